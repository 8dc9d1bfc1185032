//! Who owes how much, in bounded memory: a fixed table of slots over the shared cells, each with room for a few keys.
//!
//! A cell's name holds neither what a client sent nor time, since cells are never forgotten: a prefix, a hash of the
//! rule's name, and the slot. When a slot is full, a new key takes the place of the one that owes least, and takes over
//! its debt ("Space-Saving", Metwally et al. 2005). So no key ever owes less than it would in a table without end:
//! eviction can only refuse, never admit. A debt that lies in the past is none, so in quiet times nobody notices.

use std::num::NonZeroU64;

use filter_core::Rule;

use crate::seed::{KeyHasher, Seed, low_half};

/// How many keys a slot has room for.
pub const KEYS_PER_SLOT: usize = 8;
/// How many slots a rule has that keeps keys apart.
pub const SLOTS: NonZeroU64 = NonZeroU64::new(4096).unwrap();

const PREFIX: [u8; 4] = *b"orl1";
const MAGIC: [u8; 4] = *b"ORL\x01";

/// The table of one rule.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    rule: u64,
    slots: NonZeroU64,
}

/// Where the debt of one key is written: in which cell, and under which fingerprint there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The cell's name.
    pub cell: [u8; 14],
    /// What tells the key from others in the cell.
    pub fingerprint: u64,
}

impl Table {
    /// The table of `rule`. Its name is its identity, so that debts outlive a change of the limit.
    #[must_use]
    pub fn new(rule: &Rule, slots: NonZeroU64) -> Self {
        // Not secret: every configuration of the process must find the same cells.
        let mut hasher = Seed::new([0; 16], std::time::Duration::ZERO).hasher();
        hasher.field(rule.as_str().as_bytes());
        Self { rule: hasher.finish().0, slots }
    }

    /// The place of the key that was hashed.
    #[must_use]
    pub fn place(&self, mut key: KeyHasher) -> Place {
        key.number(self.rule);
        let (fingerprint, slot) = key.finish();
        let mut cell = [0; 14];
        let (prefix, slots) = (PREFIX.iter().copied(), slot % self.slots);
        let name =
            prefix.chain(self.rule.to_be_bytes()).chain(slots.to_be_bytes().into_iter().skip(6));
        cell.iter_mut().zip(name).for_each(|(to, from)| *to = from);
        Place { cell, fingerprint }
    }
}

/// What a cell holds: a mark with the layout's version, then up to [`KEYS_PER_SLOT`] entries of a fingerprint and a
/// TAT, each a little-endian u64. One entry fits the string that Envoy keeps without another allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot(Vec<u8>);

impl Slot {
    /// The slot in these bytes. What is not one of ours, of this version, reads as an empty slot: other plugins share
    /// the store.
    #[must_use]
    pub fn parse(bytes: Option<Vec<u8>>) -> Self {
        let ours = |bytes: &Vec<u8>| {
            bytes.strip_prefix(&MAGIC).is_some_and(|entries| {
                let (entries, rest) = entries.as_chunks::<16>();
                rest.is_empty() && entries.len() <= KEYS_PER_SLOT
            })
        };
        Self(bytes.filter(ours).unwrap_or_else(|| MAGIC.to_vec()))
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The TAT of a key: its own, else the one it would take over, else 0.
    #[must_use]
    pub fn tat(&self, fingerprint: u64) -> u64 {
        self.seat(fingerprint).map_or(0, |(_, tat)| tat)
    }

    /// Sets the TAT of a key, at the cost of the one that owes least if there is no room.
    pub fn set(&mut self, fingerprint: u64, tat: u64) {
        let entry = ((u128::from(tat) << 64) | u128::from(fingerprint)).to_le_bytes();
        let seat = self.seat(fingerprint);
        let entries = self.0.get_mut(MAGIC.len()..).unwrap_or_default().as_chunks_mut::<16>().0;
        match seat.and_then(|(index, _)| entries.get_mut(index)) {
            Some(seat) => *seat = entry,
            None => self.0.extend_from_slice(&entry),
        }
    }

    /// Takes back the charge of `amount` that brought a key to `charged`, and tells whether that changed anything. Not
    /// if the key is elsewhere by now: then others have charged it since, perhaps from a bucket that was full again, and
    /// what they owe would be forgiven too. And in a full slot no key comes to owe less than all others do: one that
    /// was evicted while this one owed more may have owed as much as they.
    pub fn take_back(&mut self, fingerprint: u64, charged: u64, amount: u64) -> bool {
        if !self.entries().any(|entry| entry == (fingerprint, charged)) {
            return false;
        }
        let others = self.entries().filter(|(key, _)| *key != fingerprint);
        let least = others.map(|(_, tat)| tat).min().unwrap_or(0);
        let floor = if self.is_full() { least } else { 0 };
        let tat = charged.saturating_sub(amount).max(floor).min(charged);
        self.set(fingerprint, tat);
        tat < charged
    }

    /// The entry that is or becomes the key's, with its TAT; none if there is room for one more.
    fn seat(&self, fingerprint: u64) -> Option<(usize, u64)> {
        let seats = || self.entries().enumerate().map(|(index, (key, tat))| (key, (index, tat)));
        seats().find(|(key, _)| *key == fingerprint).map(|(_, seat)| seat).or_else(|| {
            let full = self.is_full();
            full.then(|| seats().map(|(_, seat)| seat).min_by_key(|(_, tat)| *tat)).flatten()
        })
    }

    fn is_full(&self) -> bool {
        self.entries().len() >= KEYS_PER_SLOT
    }

    /// Fingerprint and TAT of each key.
    fn entries(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        let entries = self.0.get(MAGIC.len()..).unwrap_or_default().as_chunks::<16>().0;
        entries.iter().map(|entry| {
            let entry = u128::from_le_bytes(*entry);
            (low_half(entry), low_half(entry >> 64))
        })
    }
}

#[cfg(test)]
mod tests;
