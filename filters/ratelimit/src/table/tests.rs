//! Laws of the table.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::gcra::{Gcra, Ruling};

fn filled(entries: &[(u64, u64)]) -> Slot {
    let mut slot = Slot::parse(None);
    entries.iter().for_each(|(key, tat)| slot.set(*key, *tat));
    slot
}

#[test]
fn what_is_not_ours_reads_as_empty() {
    let empty = Slot::parse(None);
    let own = filled(&[(1, 10)]);
    assert_eq!(Slot::parse(Some(own.as_bytes().to_vec())), own);
    let longer = |more: &[u8]| [own.as_bytes(), more].concat();
    let too_many = [&MAGIC[..], &[0; 16 * (KEYS_PER_SLOT + 1)]].concat();
    for garbage in
        [vec![], b"O".to_vec(), b"ORL\x02".to_vec(), vec![b'x'; 20], longer(&[0]), too_many]
    {
        assert_eq!(Slot::parse(Some(garbage.clone())), empty, "{garbage:?}");
    }
}

#[test]
fn a_full_slot_passes_the_smallest_debt_on() {
    let entries: Vec<_> = (1..=8).map(|key| (key, 100 * (9 - key))).collect();
    let mut slot = filled(&entries);
    assert_eq!((slot.tat(3), slot.tat(8), slot.tat(99)), (600, 100, 100));
    slot.set(99, 150);
    assert_eq!((slot.tat(99), slot.tat(8), slot.tat(7)), (150, 150, 200));
    assert_eq!(slot.as_bytes().len(), 4 + 8 * 16);
}

#[test]
fn a_charge_taken_back_in_a_full_slot_stops_at_what_the_others_owe() {
    let mut slot = filled(&(1..=8).map(|key| (key, 100 * key)).collect::<Vec<_>>());
    assert!(!slot.take_back(1, 100, 50));
    assert!(slot.take_back(2, 200, 150));
    assert_eq!((slot.tat(1), slot.tat(2)), (100, 100));
    assert!(slot.take_back(8, 800, 50));
    assert_eq!(slot.tat(8), 750);
}

#[test]
fn a_charge_that_others_built_on_is_not_taken_back() {
    let mut slot = filled(&[(1, 100), (2, 100)]);
    assert!(!slot.take_back(1, 99, 40) && !slot.take_back(3, 100, 40));
    assert_eq!((slot.tat(1), slot.tat(2)), (100, 100));
    assert!(slot.take_back(1, 100, 40));
    assert_eq!((slot.tat(1), slot.tat(2)), (60, 100));
}

#[test]
fn a_cell_is_named_by_rule_and_slot_alone() {
    let seed = Seed::new([7; 16], Duration::ZERO);
    let table = Table::new(&Rule::parse("a").unwrap(), SLOTS);
    let other = Table::new(&Rule::parse("b").unwrap(), SLOTS);
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
    let single = Table::new(&Rule::parse("a").unwrap(), NonZeroU64::MIN);
    assert_eq!(single.place(seed.hasher()).cell.last_chunk::<2>(), Some(&[0, 0]));
}

proptest! {
    #[test]
    fn no_key_is_ever_admitted_that_an_endless_table_would_refuse(
        requests in prop::collection::vec((0_u64..24, 0_u64..150, any::<bool>()), 1..400),
    ) {
        let limit = Gcra::new(3, 1, Duration::from_millis(10)).unwrap();
        let interval = limit.charge(1).unwrap();
        let (mut slot, mut now) = (Slot::parse(None), 0);
        let mut endless: HashMap<u64, u64> = HashMap::new();
        let mut pending = vec![];
        for (key, percent, undone) in requests {
            now += interval * percent / 1000;
            let Ruling::Admit { tat, .. } = limit.decide(slot.tat(key), now, 1) else { continue };
            slot.set(key, tat);
            if undone {
                pending.push((key, tat));
            } else {
                let before = endless.get(&key).copied().unwrap_or(0);
                let Ruling::Admit { tat, .. } = limit.decide(before, now, 1) else {
                    return Err(TestCaseError::fail("admitted too much"));
                };
                endless.insert(key, tat);
            }
            if pending.len() > 3 {
                for (key, charged) in pending.drain(..).rev() {
                    slot.take_back(key, charged, interval);
                }
            }
            prop_assert!(slot.as_bytes().len() <= 4 + 16 * KEYS_PER_SLOT);
        }
    }
}
