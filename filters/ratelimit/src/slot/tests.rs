//! Laws of a slot.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::gcra::TICKS_PER_SECOND;
use crate::limit::{Limits, Verdict, Window};

/// A token's time in all debts here that do not say another.
const TOKEN: u64 = 100;

fn one() -> Layout {
    Layout::of(&[60_000])
}

fn debts(tats: &[u64]) -> Debts {
    let mut all = Debts::default();
    all.iter_mut().zip(tats).for_each(|(to, tat)| *to = Debt { tat: *tat, token: TOKEN });
    all
}

fn put(slot: &mut Slot, key: u64, owed: &[u64]) {
    let seat = slot.seat(key);
    slot.write(key, &seat, &debts(owed), 0);
}

fn tats<const N: usize>(slot: &Slot, key: u64) -> [u64; N] {
    std::array::from_fn(|index| slot.seat(key).debts[index].tat)
}

fn tat(slot: &Slot, key: u64) -> u64 {
    let [tat] = tats(slot, key);
    tat
}

fn parse(layout: Layout, slot: &Slot) -> Slot {
    Slot::parse(layout, Some(slot.as_bytes().to_vec()), 0)
}

fn filled(entries: &[(u64, u64)]) -> Slot {
    let mut slot = Slot::parse(one(), None, 0);
    entries.iter().for_each(|(key, tat)| put(&mut slot, *key, &[*tat]));
    slot
}

#[test]
fn what_is_not_ours_reads_as_empty() {
    let empty = Slot::parse(one(), None, 0);
    let own = filled(&[(1, 10)]);
    assert_eq!(parse(one(), &own), own);
    let longer = |more: &[u8]| [own.as_bytes(), more].concat();
    let windows = |count: u32| [&MARK[..], &count.to_le_bytes(), &[0; 60]].concat();
    for garbage in [
        vec![],
        b"O".to_vec(),
        MARK.to_vec(),
        b"ORL\x04".to_vec(),
        vec![b'x'; 44],
        longer(&[0]),
        longer(&[0; 24 * KEYS_PER_SLOT]),
        windows(0),
        windows(6),
        windows(u32::MAX),
    ] {
        assert_eq!(Slot::parse(one(), Some(garbage.clone()), 0), empty, "{garbage:?}");
    }
}

#[test]
fn a_newcomer_to_a_full_slot_may_owe_what_those_before_it_did() {
    let entries: Vec<_> = (1..=8).map(|key| (key, 100 * (9 - key))).collect();
    let mut slot = filled(&entries);
    assert_eq!((tat(&slot, 3), tat(&slot, 8), tat(&slot, 99)), (600, 100, 0));
    put(&mut slot, 99, &[150]);
    assert_eq!((tat(&slot, 99), tat(&slot, 8), tat(&slot, 7)), (150, 100, 200));
    put(&mut slot, 8, &[300]);
    // Whoever came last could be the one that has just gone.
    assert_eq!((tat(&slot, 99), tat(&slot, 8)), (150, 300));
    assert_eq!(slot.as_bytes().len(), 28 + 8 * 24);
}

#[test]
fn a_newcomer_may_owe_what_any_of_those_before_owed_in_any_window() {
    let mut slot = Slot::parse(Layout::of(&[1, 2]), None, 0);
    put(&mut slot, 1, &[10, 50]);
    put(&mut slot, 2, &[60, 5]);
    (3..=8).for_each(|key| put(&mut slot, key, &[1000, 1000]));
    assert_eq!(tats(&slot, 9), [0, 0]);
    put(&mut slot, 9, &[70, 70]);
    assert_eq!(tats(&slot, 10), [10, 50]);
    put(&mut slot, 10, &[80, 80]);
    assert_eq!(tats(&slot, 11), [60, 50]);
}

#[test]
fn a_debt_stays_with_its_window_when_others_come_or_go() {
    let mut slot = Slot::parse(Layout::of(&[1000, 60_000]), None, 0);
    put(&mut slot, 7, &[11, 22]);
    let read = |ids: &[u32]| {
        let [first, second, third] = tats(&parse(Layout::of(ids), &slot), 7);
        [first, second, third].into_iter().take(ids.len()).collect::<Vec<_>>()
    };
    assert_eq!(read(&[60_000, 1000]), [22, 11]);
    assert_eq!(read(&[1000]), [11]);
    assert_eq!(read(&[60_000, 5000]), [22, 11], "a new window takes over from the one that went");
    assert_eq!(read(&[1000, 60_000, 9]), [11, 22, 0]);
    assert_eq!(read(&[9]), [22], "nothing is forgiven that may be owed");
    assert_eq!(read(&[9, BARRED]), [22, 0], "nor is anybody barred for it");
    let single = filled(&[(7, 33)]);
    assert_eq!(tats(&parse(Layout::of(&[1, 2]), &single), 7), [33, 33]);
}

#[test]
fn of_windows_that_went_the_one_with_the_most_tokens_used_is_taken_over() {
    let mut slot = Slot::parse(Layout::of(&[1, 2]), None, 0);
    let (few, many) = (Debt { tat: 900, token: 300 }, Debt { tat: 500, token: 100 });
    let mut owed = Debts::default();
    (owed[0], owed[1]) = (few, many);
    let seat = slot.seat(7);
    slot.write(7, &seat, &owed, 0);
    assert_eq!(parse(Layout::of(&[9]), &slot).seat(7).debts[0], many);
    let later = Slot::parse(Layout::of(&[9]), Some(slot.as_bytes().to_vec()), 450);
    assert_eq!(later.seat(7).debts[0], few);
}

proptest! {
    /// Limits of the same windows change from one request to the next, as for keys that have others and by pushes.
    #[test]
    fn no_key_is_ever_admitted_that_an_endless_table_would_refuse(
        shapes in prop::collection::vec((1_u64..4, 1_u64..4), 1..=3),
        requests in prop::collection::vec((0_u64..24, 0_u64..15, 0_u64..20), 1..400),
        changes in 0_u64..3,
    ) {
        let limits = |factor: u64| {
            let window = |(index, (burst, seconds)): (usize, &(u64, u64))| {
                let period = Duration::from_secs(*seconds) + Duration::from_millis(index as u64);
                Window { period, ..Window::bucket(burst * factor, 1, period / factor as u32).unwrap() }
            };
            Limits::new(&shapes.iter().enumerate().map(window).collect::<Vec<_>>()).unwrap()
        };
        let (mut slot, mut now) = (Slot::parse(limits(1).layout(), None, 0), 1);
        let mut endless: HashMap<u64, Debts> = HashMap::new();
        for (key, percent, dice) in requests {
            now += TICKS_PER_SECOND * percent / 100;
            let limits = limits(if dice < changes { 1 + dice } else { 1 });
            let seat = slot.seat(key);
            let before = endless.get(&key).copied().unwrap_or_default();
            for ((stored, owed), window) in seat.debts.iter().zip(before).zip(limits.windows()) {
                let token = window.gcra.token();
                let (stored, owed) = (stored.reckoned(token, now), owed.reckoned(token, now));
                prop_assert!(stored.max(now) >= owed, "{stored} is less than {owed}");
            }
            let Verdict::Admit { debts, .. } = limits.decide(&seat.debts, now, 1) else { continue };
            slot.write(key, &seat, &debts, now);
            let Verdict::Admit { debts, .. } = limits.decide(&before, now, 1) else {
                return Err(TestCaseError::fail("admitted too much"));
            };
            endless.insert(key, debts);
            prop_assert!(slot.as_bytes().len() <= 8 + 20 * 3 + (8 + 16 * 3) * KEYS_PER_SLOT);
            prop_assert_eq!(&Slot::parse(limits.layout(), Some(slot.as_bytes().to_vec()), now), &slot);
        }
    }

    #[test]
    fn no_bytes_break_a_slot(bytes in prop::collection::vec(any::<u8>(), 0..300), mark in 0_u8..5, now: u64) {
        let bytes = [b"ORL", &[mark][..], &[mark, 0, 0, 0], &bytes].concat();
        let mut slot = Slot::parse(Layout::of(&[1, 2]), Some(bytes), now);
        put(&mut slot, 5, &[1, 2]);
        prop_assert_eq!(tats(&slot, 5), [1, 2]);
    }
}
