//! Laws of a slot.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::gcra::TICKS_PER_SECOND;
use crate::limit::{Limits, Verdict, Window};

fn one() -> Layout {
    Layout::of(&[60_000])
}

fn tats(tats: &[u64]) -> Tats {
    let mut all = Tats::default();
    all.iter_mut().zip(tats).for_each(|(to, from)| *to = *from);
    all
}

fn put(slot: &mut Slot, key: u64, owed: &[u64]) {
    let seat = slot.seat(key);
    slot.write(key, &seat, &tats(owed));
}

fn tat(slot: &Slot, key: u64) -> u64 {
    slot.seat(key).tats[0]
}

fn filled(entries: &[(u64, u64)]) -> Slot {
    let mut slot = Slot::parse(one(), None);
    entries.iter().for_each(|(key, tat)| put(&mut slot, *key, &[*tat]));
    slot
}

#[test]
fn what_is_not_ours_reads_as_empty() {
    let empty = Slot::parse(one(), None);
    let own = filled(&[(1, 10)]);
    assert_eq!(Slot::parse(one(), Some(own.as_bytes().to_vec())), own);
    let longer = |more: &[u8]| [own.as_bytes(), more].concat();
    let too_many = [&ONE[..], &[0; 16 * (KEYS_PER_SLOT + 1)]].concat();
    let windows = |count: u32| [&SEVERAL[..], &count.to_le_bytes(), &[0; 60]].concat();
    for garbage in [
        vec![],
        b"O".to_vec(),
        b"ORL\x02".to_vec(),
        b"ORL\x03".to_vec(),
        vec![b'x'; 20],
        longer(&[0]),
        too_many,
        windows(0),
        windows(1),
        windows(6),
        windows(u32::MAX),
    ] {
        assert_eq!(Slot::parse(one(), Some(garbage.clone())), empty, "{garbage:?}");
    }
}

#[test]
fn a_full_slot_passes_the_smallest_debt_on() {
    let entries: Vec<_> = (1..=8).map(|key| (key, 100 * (9 - key))).collect();
    let mut slot = filled(&entries);
    assert_eq!((tat(&slot, 3), tat(&slot, 8), tat(&slot, 99)), (600, 100, 100));
    put(&mut slot, 99, &[150]);
    assert_eq!((tat(&slot, 99), tat(&slot, 8), tat(&slot, 7)), (150, 150, 200));
    assert_eq!(slot.as_bytes().len(), 4 + 8 * 16);
}

#[test]
fn in_a_full_slot_the_least_is_what_the_others_owe() {
    let slot = filled(&(1..=8).map(|key| (key, 100 * key)).collect::<Vec<_>>());
    assert_eq!([1, 2, 8].map(|key| slot.least(key)[0]), [200, 100, 100]);
    assert_eq!(filled(&[(1, 100), (2, 100)]).least(1), Tats::default());
}

#[test]
fn a_newcomer_takes_over_what_any_of_those_before_owed_in_any_window() {
    let mut slot = Slot::parse(Layout::of(&[1, 2]), None);
    put(&mut slot, 1, &[10, 50]);
    put(&mut slot, 2, &[60, 5]);
    (3..=8).for_each(|key| put(&mut slot, key, &[1000, 1000]));
    assert_eq!(slot.seat(9).tats[..2], [10, 50]);
    put(&mut slot, 9, &[70, 70]);
    // Now the second goes, and whoever comes next could be the first again.
    assert_eq!(slot.seat(10).tats[..2], [60, 50]);
    assert_eq!(slot.least(10)[..2], [10, 50]);
}

#[test]
fn a_debt_stays_with_its_window_when_others_come_or_go() {
    let mut slot = Slot::parse(Layout::of(&[1000, 60_000]), None);
    put(&mut slot, 7, &[11, 22]);
    let read = |ids: &[u32]| {
        let slot = Slot::parse(Layout::of(ids), Some(slot.as_bytes().to_vec()));
        slot.seat(7).tats[..ids.len()].to_vec()
    };
    assert_eq!(read(&[60_000, 1000]), [22, 11]);
    assert_eq!(read(&[1000]), [11]);
    assert_eq!(read(&[60_000, 5000]), [22, 11], "a new window takes over from the one that went");
    assert_eq!(read(&[1000, 60_000, 9]), [11, 22, 0]);
    assert_eq!(read(&[9]), [22], "nothing is forgiven that may be owed");
    let single = filled(&[(7, 33)]);
    let wider = Slot::parse(Layout::of(&[1, 2]), Some(single.as_bytes().to_vec()));
    assert_eq!(wider.seat(7).tats[..2], [33, 33]);
}

proptest! {
    #[test]
    fn no_key_is_ever_admitted_that_an_endless_table_would_refuse(
        shapes in prop::collection::vec((1_u64..4, 1_u64..4), 1..=3),
        requests in prop::collection::vec((0_u64..24, 0_u64..15), 1..400),
    ) {
        let windows: Vec<Window> = shapes.iter().enumerate()
            .map(|(index, (burst, seconds))| {
                let period = Duration::from_secs(*seconds) + Duration::from_millis(index as u64);
                Window::bucket(*burst, 1, period).unwrap()
            })
            .collect();
        let limits = Limits::new(&windows).unwrap();
        let (mut slot, mut now) = (Slot::parse(limits.layout(), None), 0);
        let mut endless: HashMap<u64, Tats> = HashMap::new();
        for (key, percent) in requests {
            now += TICKS_PER_SECOND * percent / 100;
            let seat = slot.seat(key);
            let before = endless.get(&key).copied().unwrap_or_default();
            for (stored, owed) in seat.tats.iter().zip(before) {
                prop_assert!(*stored >= owed, "{stored} is less than {owed}");
            }
            let Verdict::Admit { tats, .. } = limits.decide(&seat.tats, now, 1) else { continue };
            slot.write(key, &seat, &tats);
            let Verdict::Admit { tats, .. } = limits.decide(&before, now, 1) else {
                return Err(TestCaseError::fail("admitted too much"));
            };
            endless.insert(key, tats);
            prop_assert!(slot.as_bytes().len() <= 8 + 12 * 3 + 8 * 4 * KEYS_PER_SLOT);
            prop_assert_eq!(&Slot::parse(limits.layout(), Some(slot.as_bytes().to_vec())), &slot);
        }
    }

    #[test]
    fn no_bytes_break_a_slot(bytes in prop::collection::vec(any::<u8>(), 0..300), mark in 0_u8..4) {
        let bytes = [b"ORL", &[mark][..], &bytes].concat();
        let mut slot = Slot::parse(Layout::of(&[1, 2]), Some(bytes));
        put(&mut slot, 5, &[1, 2]);
        prop_assert_eq!(slot.seat(5).tats[..2].to_vec(), vec![1, 2]);
    }
}
