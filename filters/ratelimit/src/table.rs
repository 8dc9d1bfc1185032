//! Who owes how much, in bounded memory: a fixed table of slots over the shared cells, each with room for a few keys.
//!
//! A cell's name holds neither what a client sent nor time, since cells are never forgotten: a prefix, a hash of the
//! rule's name, and the slot. When a slot is full, a new key takes the place of the one that owes least, and takes over
//! its debt ("Space-Saving", Metwally et al. 2005). So no key ever owes less than it would in a table without end:
//! eviction can only refuse, never admit. A debt that lies in the past is none, so in quiet times nobody notices.

use std::num::NonZeroU64;

use filter_core::Rule;

use crate::seed::{KeyHasher, Seed};

/// How many slots a rule has that keeps keys apart.
pub const SLOTS: NonZeroU64 = NonZeroU64::new(4096).unwrap();

/// What is kept of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// What each owes.
    Debts,
    /// How many requests of each are in flight.
    Leases,
}

/// The table of one rule.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    prefix: [u8; 4],
    rule: u64,
    slots: NonZeroU64,
}

/// Where the debt of one key is written: in which cell, and under which fingerprint there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The cell's name.
    pub cell: [u8; 14],
    /// What tells the key from others in the cell.
    pub fingerprint: u64,
}

impl Table {
    /// The table of `rule`. Its name is its identity, so that debts outlive a change of the limit.
    #[must_use]
    pub fn new(rule: &Rule, contents: Contents, slots: NonZeroU64) -> Self {
        // Not secret: every configuration of the process must find the same cells.
        let mut hasher = Seed::new([0; 16], std::time::Duration::ZERO).hasher();
        hasher.field(rule.as_str().as_bytes());
        let prefix = match contents {
            Contents::Debts => *b"orl1",
            Contents::Leases => *b"orf1",
        };
        Self { prefix, rule: hasher.finish().0, slots }
    }

    /// The place of the key that was hashed.
    #[must_use]
    pub fn place(&self, mut key: KeyHasher) -> Place {
        key.number(self.rule);
        let (fingerprint, slot) = key.finish();
        let mut cell = [0; 14];
        let slots = slot % self.slots;
        let prefix = self.prefix.into_iter();
        let name =
            prefix.chain(self.rule.to_be_bytes()).chain(slots.to_be_bytes().into_iter().skip(6));
        cell.iter_mut().zip(name).for_each(|(to, from)| *to = from);
        Place { cell, fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_cell_is_named_by_rule_and_slot_alone() {
        let seed = Seed::new([7; 16], Duration::ZERO);
        let table = Table::new(&Rule::parse("a").unwrap(), Contents::Debts, SLOTS);
        let other = Table::new(&Rule::parse("b").unwrap(), Contents::Debts, SLOTS);
        let mut names = std::collections::HashSet::new();
        for client in 0..100_000 {
            let mut hasher = seed.hasher();
            hasher.number(client);
            let place = table.place(hasher.clone());
            assert!(place.cell.starts_with(b"orl1"));
            assert_ne!(place.cell, other.place(hasher).cell);
            names.insert(place.cell);
        }
        assert_eq!(names.len(), 4096);
        let leases = Table::new(&Rule::parse("a").unwrap(), Contents::Leases, SLOTS);
        assert!(leases.place(seed.hasher()).cell.starts_with(b"orf1"));
        let single = Table::new(&Rule::parse("a").unwrap(), Contents::Debts, NonZeroU64::MIN);
        assert_eq!(single.place(seed.hasher()).cell.last_chunk::<2>(), Some(&[0, 0]));
    }
}
