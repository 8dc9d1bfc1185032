//! What charging and giving back leave in the table.

use std::time::Duration;

use filter_core::fixture::World;
use proptest::prelude::*;

use super::*;
use crate::limit::Window;

const SECOND: u64 = TICKS_PER_SECOND;

fn limit(burst: u64) -> Limits {
    Limits::new(&[Window::bucket(burst, 1, Duration::from_secs(1)).unwrap()]).unwrap()
}

fn place(fingerprint: u64) -> Place {
    Place { cell: *b"orl1........00", fingerprint }
}

fn tat(world: &World, key: u64) -> u64 {
    let held = world.cells.load(&place(0).cell).unwrap().map(|cell| cell.value);
    Slot::parse(limit(1).layout(), held).seat(key).tats[0]
}

fn claim(limits: Limits, key: u64, now: u64) -> Claim {
    Claim { limits: Rc::new(limits), place: place(key), cost: 1, now, slack: SLACK }
}

fn pay(world: &World, limits: Limits, key: u64, now: u64) -> Result<Receipt, u64> {
    let quote = Quote::ask(claim(limits, key, now), &world.cells).unwrap();
    quote.charge(&world.cells).unwrap().map_err(|quote| quote.wait().unwrap())
}

#[test]
fn a_charge_given_back_leaves_no_trace() {
    let (world, limit) = (World::default(), limit(2));
    pay(&world, limit, 1, SECOND).unwrap();
    let before = tat(&world, 1);
    pay(&world, limit, 1, SECOND).unwrap().give_back(1, None, &world.cells);
    assert_eq!(tat(&world, 1), before);
}

#[test]
fn what_came_back_with_time_is_not_given_back() {
    let (world, limit) = (World::default(), limit(3));
    let receipt = pay(&world, limit, 1, SECOND).unwrap();
    // The bucket was full again when the next request came: it alone owes the second token.
    pay(&world, limit, 1, 5 * SECOND).unwrap();
    receipt.give_back(1, Some(5 * SECOND), &world.cells);
    assert_eq!(tat(&world, 1), 6 * SECOND);
}

#[test]
fn what_is_still_owed_is_given_back_whoever_came_since() {
    for (late, left) in [(Some(SECOND), 2 * SECOND), (Some(SECOND + SECOND / 4), 9 * SECOND / 4)] {
        let (world, limit) = (World::default(), limit(3));
        let receipt = pay(&world, limit, 1, SECOND).unwrap();
        pay(&world, limit, 1, SECOND).unwrap();
        receipt.give_back(1, late, &world.cells);
        assert_eq!(tat(&world, 1), left, "{late:?}");
    }
    let (world, limit) = (World::default(), limit(3));
    let receipt = pay(&world, limit, 1, SECOND).unwrap();
    pay(&world, limit, 1, SECOND).unwrap();
    receipt.give_back(1, None, &world.cells);
    assert_eq!(tat(&world, 1), 3 * SECOND, "without a clock nothing is forgiven");
}

#[test]
fn a_charge_on_top_needs_no_tokens_and_ends_at_a_second_bucket() {
    let (world, limit) = (World::default(), limit(3));
    let receipt = pay(&world, limit, 1, SECOND).unwrap();
    assert!(receipt.charge_more(4, SECOND, &world.cells));
    assert_eq!(tat(&world, 1), 6 * SECOND);
    assert!(receipt.charge_more(1000, SECOND, &world.cells));
    assert_eq!(tat(&world, 1), 7 * SECOND);
    assert!(receipt.charge_more(1000, 0, &world.cells));
    assert_eq!(tat(&world, 1), 7 * SECOND, "a debt never falls");
}

#[test]
fn a_debt_outlives_a_smaller_limit_as_an_empty_bucket_at_most() {
    let (world, large, small) = (World::default(), limit(1000), limit(2));
    for _ in 0..1000 {
        pay(&world, large, 1, 0).unwrap();
    }
    assert_eq!(pay(&world, small, 1, 0).unwrap_err(), 999 * SECOND, "without a clock");
    assert_eq!(pay(&world, small, 1, SECOND).unwrap_err(), SECOND);
    pay(&world, small, 1, 2 * SECOND).unwrap();
    assert_eq!(pay(&world, small, 1, 2 * SECOND).unwrap_err(), SECOND);
}

#[test]
fn a_tat_that_is_ahead_by_a_slow_worker_is_believed() {
    let (world, limit) = (World::default(), limit(2));
    let later = 59 * SECOND;
    pay(&world, limit, 1, later).unwrap();
    pay(&world, limit, 1, later).unwrap();
    assert_eq!(pay(&world, limit, 1, 0).unwrap_err(), later + SECOND);
    assert_eq!(tat(&world, 1), later + 2 * SECOND);
}

#[test]
fn the_ninth_key_of_a_slot_evicts_one_that_owes() {
    let (world, limit) = (World::default(), limit(2));
    for key in 1..=8 {
        assert!(!pay(&world, limit, key, SECOND).unwrap().evicted, "{key}");
    }
    assert!(pay(&world, limit, 9, SECOND).unwrap().evicted);
    assert!(
        !pay(&world, limit, 10, 9 * SECOND).unwrap().evicted,
        "whoever owes nothing loses none"
    );
}

#[test]
fn a_penalty_is_told_and_kept() {
    let (world, limit) = (World::default(), limit(1).with_penalty(Duration::from_secs(60)));
    pay(&world, limit, 1, SECOND).unwrap();
    let mut quote = Quote::ask(claim(limit, 1, SECOND), &world.cells).unwrap();
    assert_eq!(quote.wait(), Some(SECOND));
    quote.bar(&world.cells).unwrap();
    assert_eq!(quote.wait(), Some(60 * SECOND));
    let mut quote = Quote::ask(claim(limit, 1, 31 * SECOND), &world.cells).unwrap();
    quote.bar(&world.cells).unwrap();
    assert_eq!(quote.wait(), Some(30 * SECOND), "asking does not prolong it");
    pay(&world, limit, 1, 61 * SECOND).unwrap();
}

#[test]
fn a_wait_is_rounded_up_to_a_second() {
    for (wait, told) in [(0, 1), (1, 1), (SECOND, 1), (SECOND + 1, 2), (60 * SECOND, 60)] {
        assert_eq!(seconds(wait), told);
    }
}

proptest! {
    /// Requests come in order of time, and so does what is given back of some of them.
    #[test]
    fn no_interval_holds_more_than_the_burst_what_flows_in_and_what_is_given_back(
        burst in 1_u64..5,
        steps in prop::collection::vec((0_u64..150, 0_u8..4), 1..80),
    ) {
        let (world, limit) = (World::default(), limit(burst));
        let (mut now, mut open) = (SECOND, vec![]);
        // When, and how many tokens more or less were used then.
        let mut used: Vec<(u64, i64)> = vec![];
        for (percent, what) in steps {
            now += SECOND * percent / 100;
            if what > 0 {
                if let Ok(receipt) = pay(&world, limit, 1, now) {
                    used.push((now, 1));
                    if what == 1 { open.push(receipt); }
                }
            } else if let Some(receipt) = open.pop() {
                Receipt::give_back(&receipt, 1, Some(now), &world.cells);
                used.push((now, -1));
            }
            for (index, (began, _)) in used.iter().enumerate() {
                let sum: i64 = used[index..].iter().map(|(_, count)| *count).sum();
                let allowed = burst * SECOND + (now - began);
                prop_assert!(sum.max(0) as u64 * SECOND <= allowed, "{sum} from {began} to {now}");
            }
        }
    }

    #[test]
    fn giving_back_at_once_is_the_inverse_of_charging(burst in 1_u64..9, before in 0_u64..9, wait in 0_u64..200) {
        let (world, limit) = (World::default(), limit(burst));
        for _ in 0..before {
            let _ = pay(&world, limit, 1, SECOND);
        }
        let now = SECOND + SECOND * wait / 100;
        let owed = tat(&world, 1).max(now);
        if let Ok(receipt) = pay(&world, limit, 1, now) {
            receipt.give_back(1, Some(now), &world.cells);
            prop_assert_eq!(tat(&world, 1), owed);
        }
    }
}
