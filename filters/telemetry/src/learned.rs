//! Values that all workers learn together: a table of fixed size in one shared cell, in which a value's place never
//! changes, so that a series means the same to each of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use filter_core::cells::{Cells, Step, Updated, update};
use filter_core::metrics::{Dimension, LabelValue, Learned};
use siphasher::sip::SipHasher13;

/// How often an entry is tried to be made while others make theirs.
const ATTEMPTS: u32 = 8;

/// A table of values.
#[derive(Debug)]
pub(crate) struct Table {
    /// The cell: made of the configuration alone, so that one that gives the table another meaning begins anew.
    key: Vec<u8>,
    places: Learned,
    known: RefCell<Known>,
}

/// What this worker knows of the cell. It only ever grows, so that what is known stays true.
#[derive(Debug, Default)]
struct Known {
    places: BTreeMap<String, usize>,
    /// How many bytes of the cell that is.
    bytes: usize,
}

/// What came of learning a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// It has this place.
    Known(usize),
    /// It has this place from now on.
    New(usize),
    /// There is no room for it.
    Full,
    /// The cell cannot be had, or others kept on changing it.
    Lost,
}

impl Table {
    /// A table of so many values, for a label of this name; `meaning` is all that tells it from others.
    pub(crate) fn new(name: &str, room: usize, meaning: &str) -> Self {
        let mut hasher = SipHasher13::new();
        (name, room, meaning).hash(&mut hasher);
        let key = [b"tl:", &hasher.finish().to_be_bytes()[..]].concat();
        Self { key, places: Learned::with_room(room), known: RefCell::default() }
    }

    /// The values as a label, after those that it has anyway.
    pub(crate) fn dimension(&self, label: &'static str, values: Vec<LabelValue>) -> Dimension {
        let rows = values.into_iter().map(|value| vec![Some(value)]).collect();
        Dimension::learned(vec![label], rows, &self.places)
    }

    /// The value at a place, if this worker knows it.
    pub(crate) fn value(&self, place: usize) -> Option<LabelValue> {
        self.places.values(place)?.first().cloned().flatten()
    }

    /// Where a value is. One that this worker does not know may be known to others; once the table is full nobody asks.
    pub(crate) fn find(&self, value: &str, cells: &dyn Cells) -> Option<usize> {
        let Ok(mut known) = self.known.try_borrow_mut() else { return None };
        let place = known.places.get(value).copied();
        if place.is_some() || known.places.len() >= self.places.room() {
            return place;
        }
        if let Ok(Some(cell)) = cells.load(&self.key) {
            known.catch_up(&cell.value, &self.places);
        }
        known.places.get(value).copied()
    }

    /// Learns a value, if there is room for it.
    pub(crate) fn learn(&self, value: &LabelValue, cells: &dyn Cells) -> Lesson {
        let Ok(mut known) = self.known.try_borrow_mut() else { return Lesson::Lost };
        let room = self.places.room();
        if let Some(place) = known.places.get(value.as_str()) {
            return Lesson::Known(*place);
        }
        if known.places.len() >= room {
            return Lesson::Full;
        }
        let learned = update(cells, &self.key, ATTEMPTS, |held| {
            let held = held.unwrap_or_default();
            known.catch_up(held, &self.places);
            if let Some(place) = known.places.get(value.as_str()) {
                return Step::Keep(Lesson::Known(*place));
            }
            let place = known.places.len();
            match u8::try_from(value.as_str().len()) {
                Ok(length) if place < room => {
                    let entry = [&[length], value.as_str().as_bytes()].concat();
                    Step::Replace([held, &entry].concat(), Lesson::New(place))
                }
                Ok(_) | Err(_) => Step::Keep(Lesson::Full),
            }
        });
        match learned {
            Updated::Done(lesson) => {
                if let Lesson::New(place) = lesson {
                    known.add(value.clone(), place, &self.places);
                }
                lesson
            }
            Updated::Contended | Updated::Unavailable => Lesson::Lost,
        }
    }
}

impl Known {
    /// Takes over what the cell holds beyond what is known.
    fn catch_up(&mut self, held: &[u8], places: &Learned) {
        while let Some((length, rest)) = held.get(self.bytes..).and_then(|rest| rest.split_first())
        {
            let value = rest.get(..usize::from(*length)).and_then(|text| str::from_utf8(text).ok());
            // Only this module writes the cell, and only what this reads.
            let Some(value) = value.and_then(LabelValue::parse) else { return };
            let place = self.places.len();
            self.add(value, place, places);
        }
    }

    fn add(&mut self, value: LabelValue, place: usize, places: &Learned) {
        let bytes = value.as_str().len().saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.places.insert(value.as_str().to_owned(), place);
        places.learn(place, vec![Some(value)]);
    }
}

#[cfg(test)]
mod tests {
    use filter_core::fixture::{BrokenCells, MapCells};
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> LabelValue {
        LabelValue::parse(text).unwrap()
    }

    #[test]
    fn workers_agree_on_places() {
        let cells = MapCells::default();
        let (one, two) = (Table::new("tenant", 3, ""), Table::new("tenant", 3, ""));
        assert_eq!(one.learn(&value("a"), &cells), Lesson::New(0));
        assert_eq!(two.learn(&value("b"), &cells), Lesson::New(1));
        assert_eq!(one.learn(&value("b"), &cells), Lesson::Known(1));
        assert_eq!(two.find("a", &cells), Some(0));
        assert_eq!(two.learn(&value("c"), &cells), Lesson::New(2));
        assert_eq!(one.learn(&value("d"), &cells), Lesson::Full);
        assert_eq!(one.find("c", &cells), Some(2));
        assert_eq!(cells.len(), 1, "however many values there are, there is one cell");
    }

    #[test]
    fn another_meaning_is_another_table() {
        let cells = MapCells::default();
        Table::new("tenant", 3, "x-tenant").learn(&value("a"), &cells);
        for other in [Table::new("tenant", 3, "x-org"), Table::new("tenant", 4, "x-tenant")] {
            assert_eq!(other.find("a", &cells), None);
        }
    }

    #[test]
    fn a_full_table_asks_nobody() {
        let table = Table::new("tenant", 1, "");
        assert_eq!(table.learn(&value("a"), &BrokenCells), Lesson::Lost);
        table.learn(&value("a"), &MapCells::default());
        assert_eq!(table.learn(&value("b"), &BrokenCells), Lesson::Full);
        assert_eq!(table.find("a", &BrokenCells), Some(0));
    }

    proptest! {
        #[test]
        fn whoever_learns_what_the_tables_say_the_same(
            lessons in prop::collection::vec((0_usize..3, "[a-f]{1,2}"), 1..60),
        ) {
            let cells = MapCells::default();
            let tables = [(); 3].map(|()| Table::new("tenant", 10, ""));
            for (worker, text) in &lessons {
                tables[*worker].learn(&value(text), &cells);
            }
            for (_, text) in &lessons {
                let places = [0, 1, 2].map(|worker: usize| tables[worker].find(text, &cells));
                prop_assert_eq!(places[0], places[1]);
                prop_assert_eq!(places[0], places[2]);
                prop_assert!(places[0].is_none_or(|place| place < 10));
            }
        }
    }
}
