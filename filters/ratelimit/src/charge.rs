//! What one rule says to one key, and the change of the shared table that charges it: exactly once, or not at all.

use filter_core::cells::{Cells, Stored, Unavailable, Version};

use crate::gcra::{Gcra, Ruling, TICKS_PER_SECOND};
use crate::table::{Place, Slot};

/// How often a change of a cell is tried before others are let go first.
pub(crate) const ATTEMPTS: u32 = 32;

/// The tokens that one request costs.
const COST: u64 = 1;

/// How much further ahead than a bucket's whole burst a TAT may be and still be believed. Workers read the clock and
/// then write, so a true one is ahead by as long as a worker sleeps in between. What is further ahead was left by a
/// larger limit of the same name, and is cut to an empty bucket.
const SLACK: u64 = 60 * TICKS_PER_SECOND;

/// Why nothing could be decided. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Others wrote first, every time.
    Contended,
    /// The store cannot be used.
    Unavailable,
}

impl From<Unavailable> for Trouble {
    fn from(Unavailable: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// What a rule says to a key, as of what its cell held when it was read.
#[derive(Debug)]
pub(crate) struct Quote<'a> {
    limit: &'a Gcra,
    place: Place,
    now: u64,
    slot: Slot,
    version: Option<Version>,
    ruling: Ruling,
}

impl<'a> Quote<'a> {
    /// Asks `limit` about the key at `place`.
    pub(crate) fn ask(
        limit: &'a Gcra,
        place: Place,
        now: u64,
        cells: &dyn Cells,
    ) -> Result<Self, Unavailable> {
        let held = cells.load(&place.cell)?;
        let version = held.as_ref().map(|cell| cell.version);
        let mut slot = Slot::parse(held.map(|cell| cell.value));
        let mut tat = slot.tat(place.fingerprint);
        // A host without a clock says zero; whoever knows no time forgives nothing.
        if now > 0 && tat > limit.empty(now).saturating_add(SLACK) {
            tat = limit.empty(now);
            slot.set(place.fingerprint, tat);
            // Whoever wins here has cut it too. This request is refused either way.
            let _ = cells.store(&place.cell, slot.as_bytes(), version)?;
        }
        Ok(Self { limit, place, now, slot, version, ruling: limit.decide(tat, now, COST) })
    }

    /// The whole tokens that are left when the key is charged; none if it is refused.
    pub(crate) fn remaining(&self) -> u64 {
        match self.ruling {
            Ruling::Admit { remaining, .. } => remaining,
            Ruling::Refuse { .. } => 0,
        }
    }

    /// In how many ticks the key would be admitted; none if it is now.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self.ruling {
            Ruling::Admit { .. } => None,
            Ruling::Refuse { retry_after } => Some(retry_after),
        }
    }

    /// Charges the key, asking again as often as others wrote in between. `Ok(Err(wait))` when they took what was left.
    pub(crate) fn charge(mut self, cells: &dyn Cells) -> Result<Result<Receipt<'a>, u64>, Trouble> {
        for _ in 0..ATTEMPTS {
            let (tat, remaining) = match self.ruling {
                Ruling::Admit { tat, remaining } => (tat, remaining),
                Ruling::Refuse { retry_after } => return Ok(Err(retry_after)),
            };
            self.slot.set(self.place.fingerprint, tat);
            match cells.store(&self.place.cell, self.slot.as_bytes(), self.version)? {
                Stored::Swapped => {
                    return Ok(Ok(Receipt {
                        limit: self.limit,
                        place: self.place,
                        tat,
                        remaining,
                    }));
                }
                Stored::Conflict => self = Self::ask(self.limit, self.place, self.now, cells)?,
            }
        }
        Err(Trouble::Contended)
    }
}

/// A charge that was made, and can be taken back.
#[derive(Debug)]
pub(crate) struct Receipt<'a> {
    limit: &'a Gcra,
    place: Place,
    tat: u64,
    /// The whole tokens that were left.
    pub(crate) remaining: u64,
}

impl Receipt<'_> {
    /// Takes the charge back, unless others have charged the same key since. Then it stands, as it does when the store
    /// fails or is contended: that can only refuse, and the token comes back with time.
    pub(crate) fn take_back(self, cells: &dyn Cells) {
        let Some(amount) = self.limit.charge(COST) else { return };
        for _ in 0..ATTEMPTS {
            let Ok(Some(cell)) = cells.load(&self.place.cell) else { return };
            let mut slot = Slot::parse(Some(cell.value));
            if !slot.take_back(self.place.fingerprint, self.tat, amount) {
                return;
            }
            match cells.store(&self.place.cell, slot.as_bytes(), Some(cell.version)) {
                Ok(Stored::Conflict) => {}
                Ok(Stored::Swapped) | Err(Unavailable) => return,
            }
        }
    }
}

/// Ticks as whole seconds for a client to wait: rounded up, at least one.
pub(crate) fn seconds(wait: u64) -> u64 {
    wait.div_ceil(TICKS_PER_SECOND).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use filter_core::fixture::World;

    use super::*;

    const SECOND: u64 = TICKS_PER_SECOND;

    fn limit(burst: u64) -> Gcra {
        Gcra::new(burst, 1, Duration::from_secs(1)).unwrap()
    }

    fn place(fingerprint: u64) -> Place {
        Place { cell: *b"orl1........00", fingerprint }
    }

    fn tat(world: &World, key: u64) -> u64 {
        Slot::parse(world.cells.load(&place(0).cell).unwrap().map(|cell| cell.value)).tat(key)
    }

    fn pay<'a>(world: &World, limit: &'a Gcra, key: u64, now: u64) -> Result<Receipt<'a>, u64> {
        Quote::ask(limit, place(key), now, &world.cells).unwrap().charge(&world.cells).unwrap()
    }

    #[test]
    fn a_charge_taken_back_leaves_no_trace() {
        let (world, limit) = (World::default(), limit(2));
        pay(&world, &limit, 1, SECOND).unwrap();
        let before = tat(&world, 1);
        pay(&world, &limit, 1, SECOND).unwrap().take_back(&world.cells);
        assert_eq!(tat(&world, 1), before);
    }

    #[test]
    fn what_others_took_meanwhile_stays_taken() {
        let (world, limit) = (World::default(), limit(3));
        let receipt = pay(&world, &limit, 1, SECOND).unwrap();
        // The bucket was full again when the next request came: it alone owes the second token.
        pay(&world, &limit, 1, 5 * SECOND).unwrap();
        receipt.take_back(&world.cells);
        assert_eq!(tat(&world, 1), 6 * SECOND);
    }

    #[test]
    fn a_debt_outlives_a_smaller_limit_as_an_empty_bucket_at_most() {
        let (world, large, small) = (World::default(), limit(1000), limit(2));
        for _ in 0..1000 {
            pay(&world, &large, 1, 0).unwrap();
        }
        assert_eq!(pay(&world, &small, 1, 0).unwrap_err(), 999 * SECOND, "without a clock");
        assert_eq!(pay(&world, &small, 1, SECOND).unwrap_err(), SECOND);
        pay(&world, &small, 1, 2 * SECOND).unwrap();
        assert_eq!(pay(&world, &small, 1, 2 * SECOND).unwrap_err(), SECOND);
    }

    #[test]
    fn a_tat_that_is_ahead_by_a_slow_worker_is_believed() {
        let (world, limit) = (World::default(), limit(2));
        let later = 59 * SECOND;
        pay(&world, &limit, 1, later).unwrap();
        pay(&world, &limit, 1, later).unwrap();
        assert_eq!(pay(&world, &limit, 1, 0).unwrap_err(), later + SECOND);
        assert_eq!(tat(&world, 1), later + 2 * SECOND);
    }

    #[test]
    fn a_wait_is_rounded_up_to_a_second() {
        for (wait, told) in [(0, 1), (1, 1), (SECOND, 1), (SECOND + 1, 2), (60 * SECOND, 60)] {
            assert_eq!(seconds(wait), told);
        }
    }
}
