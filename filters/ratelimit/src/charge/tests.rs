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
    Slot::parse(limit(1).layout(), held, 0).seat(key).debts[0].tat
}

fn claim(limits: Limits, key: u64, now: u64) -> Claim {
    Claim { limits: Rc::new(limits), place: place(key), cost: 1, now }
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
    receipt.charge_more(4, SECOND, &world.cells);
    assert_eq!(tat(&world, 1), 6 * SECOND);
    receipt.charge_more(1000, SECOND, &world.cells);
    assert_eq!(tat(&world, 1), 7 * SECOND);
    receipt.charge_more(1000, 0, &world.cells);
    assert_eq!(tat(&world, 1), 7 * SECOND, "a debt never falls");
}

#[test]
fn tokens_that_were_used_stay_used_when_limits_change() {
    let hundred = |seconds| {
        let period = Duration::from_secs(seconds);
        Limits::new(&[Window::bucket(100, 100, period).unwrap()]).unwrap()
    };
    let (minute, hour) = (hundred(60), hundred(3600));
    let world = World::default();
    (0..60).for_each(|_| drop(pay(&world, minute, 1, SECOND).unwrap()));
    let left = |limits: Limits, now| {
        let quote = Quote::ask(claim(limits, 1, now), &world.cells).unwrap();
        limits.window(0).left(&quote.seat.debts[0], now).0
    };
    // Under whichever limit they are asked for, and before any of it is written.
    assert_eq!((left(minute, SECOND), left(hour, SECOND)), (40, 40));
    (0..40).for_each(|_| drop(pay(&world, hour, 1, SECOND).unwrap()));
    assert_eq!(pay(&world, minute, 1, SECOND).unwrap_err(), 3 * SECOND / 5);
    assert_eq!(pay(&world, hour, 1, SECOND).unwrap_err(), 36 * SECOND);
    // What flows in does so by the limit that was asked last, also when that refused.
    assert_eq!(left(minute, 37 * SECOND), 1);
    pay(&world, minute, 1, 37 * SECOND).unwrap();
    assert_eq!(left(hour, 37 * SECOND + 3 * SECOND / 5), 1);
}

#[test]
fn who_used_more_than_a_smaller_bucket_holds_waits_for_all_of_it() {
    let (world, large, small) = (World::default(), limit(1000), limit(2));
    for _ in 0..1000 {
        pay(&world, large, 1, 0).unwrap();
    }
    assert_eq!(pay(&world, small, 1, SECOND).unwrap_err(), 998 * SECOND);
    // And finds as much used when the limit is what it was.
    assert_eq!(pay(&world, large, 1, 0).unwrap_err(), SECOND);
}

#[test]
fn what_another_configuration_charged_is_given_back_in_its_tokens() {
    let (world, second) = (World::default(), limit(9));
    let slower = Limits::new(&[Window::bucket(9, 1, Duration::from_secs(10)).unwrap()]).unwrap();
    let receipt = pay(&world, second, 1, SECOND).unwrap();
    pay(&world, slower, 1, SECOND).unwrap();
    assert_eq!(tat(&world, 1), 21 * SECOND);
    receipt.give_back(1, Some(SECOND), &world.cells);
    assert_eq!(tat(&world, 1), 11 * SECOND);
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

    /// Of a limit that is changed again and again, by name: used tokens are what they would be by a count of tokens.
    #[test]
    fn no_push_forgives_a_token_or_takes_one(
        steps in prop::collection::vec((0_u64..3000, prop::option::weighted(0.2, 0_usize..5)), 1..120),
    ) {
        // Tokens at once, and seconds a token.
        let shapes = [(5, 1), (5, 60), (3, 4), (8, 2), (1, 30)];
        let limits = shapes.map(|(burst, seconds)| {
            Limits::new(&[Window::bucket(burst, 1, Duration::from_secs(seconds)).unwrap()]).unwrap()
        });
        // Sixtieths of a tick's part of a token of a second, so that all of these are whole.
        let whole = i128::from(60 * SECOND);
        let (world, mut now, mut shape, mut used) = (World::default(), SECOND, 0, 0_i128);
        for (millis, change) in steps {
            let passed = SECOND / 1000 * millis;
            now += passed;
            used = (used - i128::from(passed) * 60 / shapes[shape].1 as i128).max(0);
            shape = change.unwrap_or(shape);
            let burst = whole * shapes[shape].0 as i128;
            match pay(&world, limits[shape], 1, now) {
                Ok(_) => {
                    used += whole;
                    prop_assert!(used <= burst, "{used} used of {burst}");
                }
                // Parts of a tick were rounded up at each change.
                Err(_) => prop_assert!(used + whole + 60 * 120 > burst, "{used} used of {burst}"),
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
