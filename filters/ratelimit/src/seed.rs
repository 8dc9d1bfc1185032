//! What all workers of the process share before they share anything else: the secret that places keys in the table, so
//! that no client can aim at a slot, and the moment from which time is counted.

use std::hash::Hasher;
use std::time::Duration;

use filter_core::cells::{Step, Updated, update};
use filter_core::ports::Ports;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::charge::{ATTEMPTS, Trouble};
use crate::gcra::ticks;

/// The cell that holds the seed. It begins like every cell of this filter.
const CELL: &[u8] = b"orl1seed";
const MAGIC: [u8; 4] = *b"ORS\x01";

/// The secret and the beginning of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    secret: u128,
    /// Nanoseconds of the monotonic clock.
    epoch: u64,
}

impl Seed {
    /// A seed of these parts.
    #[must_use]
    pub fn new(secret: [u8; 16], epoch: Duration) -> Self {
        let epoch = u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX);
        Self { secret: u128::from_le_bytes(secret), epoch }
    }

    /// The seed of this process: the one that is there, or else a new one, which from then on is there for all.
    pub(crate) fn of_process(ports: &Ports<'_>, now: Duration) -> Result<Self, Trouble> {
        let seen = update(ports.cells, CELL, ATTEMPTS, |held| match held.and_then(Self::parse) {
            Some(seed) => Step::Keep(seed),
            None => {
                // A nanosecond before, so that zero ticks are no time.
                let epoch = now.saturating_sub(Duration::from_nanos(1));
                let seed = Self::new(ports.entropy.seed(), epoch);
                Step::Replace(seed.bytes(), seed)
            }
        });
        match seen {
            Updated::Done(seed) => Ok(seed),
            Updated::Contended => Err(Trouble::Contended),
            Updated::Unavailable => Err(Trouble::Unavailable),
        }
    }

    /// A moment of the monotonic clock as ticks since the epoch. Whoever read the clock before there was an epoch has
    /// come at its beginning.
    #[must_use]
    pub fn since_epoch(&self, now: Duration) -> u64 {
        ticks(now.saturating_sub(Duration::from_nanos(self.epoch)))
    }

    /// A hasher keyed with the secret.
    #[must_use]
    pub fn hasher(&self) -> KeyHasher {
        let [low, high] = [self.secret, self.secret >> 64].map(low_half);
        KeyHasher(SipHasher13::new_with_keys(low, high))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (secret, epoch) = rest.split_first_chunk::<16>()?;
        let epoch = u64::from_le_bytes(epoch.try_into().ok()?);
        (*magic == MAGIC).then(|| Self { secret: u128::from_le_bytes(*secret), epoch })
    }

    fn bytes(&self) -> Vec<u8> {
        [&MAGIC[..], &self.secret.to_le_bytes(), &self.epoch.to_le_bytes()].concat()
    }
}

/// Hashes a sequence of fields, each with its length before it, so that no two sequences look alike.
#[derive(Clone, Debug)]
pub struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// Adds a field.
    pub fn field(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.write(bytes);
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.write(&number.to_le_bytes());
    }

    /// The hash of all fields, as two independent halves.
    #[must_use]
    pub fn finish(self) -> (u64, u64) {
        self.0.finish128().as_u64()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the half that is wanted")]
pub(crate) fn low_half(wide: u128) -> u64 {
    wide as u64
}

#[cfg(test)]
mod tests {
    use filter_core::Cells;
    use filter_core::fixture::World;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_seed_is_everybodys() {
        let world = World::default();
        let first = Seed::of_process(&world.ports(), Duration::from_secs(5)).unwrap();
        let second = Seed::of_process(&world.ports(), Duration::from_secs(9)).unwrap();
        assert_eq!(first, second);
        let passed = Duration::from_secs(4) + Duration::from_nanos(1);
        assert_eq!(second.since_epoch(Duration::from_secs(9)), ticks(passed));
        assert_eq!(second.since_epoch(Duration::from_secs(1)), 0);
    }

    #[test]
    fn what_is_no_seed_is_replaced() {
        for garbage in [&b""[..], b"ORS\x02", b"ORS\x01short", &[b'x'; 28], &[b'x'; 99]] {
            let world = World::default();
            world.cells.store(CELL, garbage, None).unwrap();
            let seed = Seed::of_process(&world.ports(), Duration::from_secs(5)).unwrap();
            let held = world.cells.load(CELL).unwrap().unwrap().value;
            assert_eq!(Seed::parse(&held), Some(seed), "{garbage:?}");
        }
    }

    proptest! {
        #[test]
        fn fields_that_differ_hash_differently(
            a in prop::collection::vec("[ab]{0,3}", 0..4),
            b in prop::collection::vec("[ab]{0,3}", 0..4),
        ) {
            let hash = |fields: &[String]| {
                let mut hasher = Seed::new([7; 16], Duration::ZERO).hasher();
                fields.iter().for_each(|field| hasher.field(field.as_bytes()));
                hasher.finish()
            };
            prop_assert_eq!(hash(&a) == hash(&b), a == b);
        }
    }
}
