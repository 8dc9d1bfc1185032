//! What a worker knows of keys without asking the store: that they owe at least so much. A debt never falls but by what
//! is given back, so whoever was refused is refused until its end, and a flood costs a reading of the clock.

use std::cell::RefCell;

use crate::gcra::TICKS_PER_SECOND;
use crate::limit::Debts;
use crate::table::Place;

/// How many keys are remembered, each in the one place that its fingerprint says.
const PLACES: usize = 512;

/// How long a debt is believed that may be given back in part: a tenth of a second.
const BELIEVED: u64 = TICKS_PER_SECOND / 10;

/// The refused keys of one worker.
#[derive(Debug, Default)]
pub(crate) struct Memory(RefCell<Vec<Option<Known>>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    place: Place,
    debts: Debts,
    /// Until when it is believed.
    until: u64,
}

impl Memory {
    /// What a key owes at least, if that is known at `now`.
    pub(crate) fn recall(&self, place: &Place, now: u64) -> Option<Debts> {
        let places = self.0.borrow();
        let known = places.get(index(place))?.as_ref()?;
        (known.place == *place && now <= known.until).then_some(known.debts)
    }

    /// Remembers what a refused key owes: for good if nothing is ever given back, else for a moment.
    pub(crate) fn keep(&self, place: Place, debts: Debts, now: u64, for_good: bool) {
        let until = if for_good { u64::MAX } else { now.saturating_add(BELIEVED) };
        let mut places = self.0.borrow_mut();
        if places.is_empty() {
            places.resize(PLACES, None);
        }
        if let Some(known) = places.get_mut(index(&place)) {
            *known = Some(Known { place, debts, until });
        }
    }
}

fn index(place: &Place) -> usize {
    let [low, next, ..] = place.fingerprint.to_le_bytes();
    usize::from(u16::from_le_bytes([low, next])) & (PLACES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debts(tat: u64) -> Debts {
        [crate::debt::Debt { tat, token: 1 }; 5]
    }

    fn place(fingerprint: u64, slot: u8) -> Place {
        let mut cell = *b"orl1........00";
        cell[13] = slot;
        Place { cell, fingerprint }
    }

    #[test]
    fn only_the_key_that_was_kept_is_recalled() {
        let memory = Memory::default();
        assert_eq!(memory.recall(&place(1, 0), 0), None);
        memory.keep(place(1, 0), debts(9), 0, true);
        assert_eq!(memory.recall(&place(1, 0), u64::MAX - 1), Some(debts(9)));
        assert_eq!(memory.recall(&place(1, 1), 0), None);
        let same_place = 1 + PLACES as u64;
        assert_eq!(memory.recall(&place(same_place, 0), 0), None);
        memory.keep(place(same_place, 0), debts(8), 0, true);
        assert_eq!(memory.recall(&place(1, 0), 0), None);
    }

    #[test]
    fn what_may_be_given_back_is_believed_for_a_moment() {
        let memory = Memory::default();
        memory.keep(place(1, 0), debts(9), 5, false);
        assert!(memory.recall(&place(1, 0), 5 + BELIEVED).is_some());
        assert!(memory.recall(&place(1, 0), 6 + BELIEVED).is_none());
    }
}
