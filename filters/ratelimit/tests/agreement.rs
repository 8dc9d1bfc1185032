//! The algorithm agrees with those of others: step by step with the `governor` crate, and with tables from the tests of
//! governor and nginx (throttled's and redis-cell's are in `numbers`).
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, FakeRelativeClock};
use governor::{Quota, RateLimiter};
use proptest::prelude::*;
use ratelimit::gcra::{Gcra, NEVER, Ruling, ticks};

/// One bucket, and its time.
struct Bucket {
    limit: Gcra,
    tat: u64,
    now: u64,
}

impl Bucket {
    fn new(burst: u64, token: Duration) -> Self {
        Self {
            limit: Gcra::new(burst, 1, token).unwrap(),
            tat: 0,
            now: ticks(Duration::from_secs(1)),
        }
    }

    /// Nothing if it is admitted, else the wait.
    fn take(&mut self, cost: u64) -> Option<u64> {
        match self.limit.decide(self.tat, self.now, cost) {
            Ruling::Admit { tat, .. } => {
                self.tat = tat;
                None
            }
            Ruling::Refuse { retry_after } => Some(retry_after),
        }
    }
}

/// What a table says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Yes,
    No,
    Never,
}

use Told::{Never, No, Yes};

/// Tokens at once; milliseconds a token; milliseconds to wait before each request, its cost, and what is told.
type Table = (u64, u64, &'static [(u64, u64, Told)]);

/// governor 9f3a79d, tests/direct.rs: `rejects_too_many`, `does_not_allow_one_extra_cell_after_longer_interval`,
/// `never_allows_more_than_capacity_all`, `all_capacity_check_rejects_excess`. `actual_threadsafety` is below.
const GOVERNOR: [Table; 4] = [
    (2, 500, &[(0, 1, Yes), (1, 1, Yes), (1, 1, No), (1000, 1, Yes), (1, 1, Yes), (1, 1, No)]),
    (
        5,
        200,
        &[
            (0, 1, Yes),
            (0, 1, Yes),
            (0, 1, Yes),
            (0, 1, Yes),
            (0, 1, Yes),
            (0, 1, No),
            (2000, 1, Yes),
            (0, 1, Yes),
            (0, 1, Yes),
            (0, 1, Yes),
            (0, 1, Yes),
            (0, 1, No),
        ],
    ),
    (4, 250, &[(0, 2, Yes), (0, 2, Yes), (1, 2, No), (1000, 2, Yes), (1, 2, Yes), (1, 2, No)]),
    (5, 200, &[(0, 15, Never), (0, 7, Never), (0, 6, Never), (0, 5, Yes)]),
];

/// nginx-tests 76bb761, limit_req.t (two a second, burst one) and limit_req2.t (one a minute, no burst). There, a bucket
/// holds one more than the burst.
const NGINX: [Table; 2] = [
    (2, 500, &[(0, 1, Yes), (0, 1, Yes), (0, 1, No), (0, 1, No), (0, 1, No), (600, 1, Yes)]),
    (1, 60_000, &[(0, 1, Yes), (100, 1, No)]),
];

#[test]
fn the_tables_of_governor_and_nginx_hold() {
    for (number, (burst, millis, steps)) in GOVERNOR.iter().chain(&NGINX).enumerate() {
        let mut bucket = Bucket::new(*burst, Duration::from_millis(*millis));
        for (step, (wait, cost, told)) in steps.iter().enumerate() {
            bucket.now += ticks(Duration::from_millis(*wait));
            let found = match bucket.take(*cost) {
                None => Yes,
                Some(NEVER) => Never,
                Some(_) => No,
            };
            assert_eq!(found, *told, "table {number}, step {step}");
        }
    }
}

/// governor's `actual_threadsafety`: twenty at once, then none, then one a twentieth of a second.
#[test]
fn twenty_a_second_are_twenty_at_once_and_then_one_by_one() {
    let mut bucket = Bucket::new(20, Duration::from_millis(50));
    assert!((0..20).all(|_| bucket.take(1).is_none()));
    bucket.now += ticks(Duration::from_millis(2));
    assert_eq!(bucket.take(1), Some(ticks(Duration::from_millis(48))));
    bucket.now += ticks(Duration::from_millis(998));
    assert_eq!(bucket.take(1), None);
}

/// governor's `correct_wait_time`.
#[test]
fn whoever_waits_as_long_as_told_goes_through() {
    let mut bucket = Bucket::new(5, Duration::from_millis(200));
    let mut refused = 0;
    for _ in 0..20 {
        bucket.now += ticks(Duration::from_millis(1));
        if let Some(wait) = bucket.take(1) {
            refused += 1;
            bucket.now += wait;
            assert_eq!(bucket.take(1), None);
        }
    }
    assert_eq!(refused, 15);
}

proptest! {
    #[test]
    fn every_decision_and_every_wait_is_governors(
        burst in 1_u32..20,
        millis in 1_u64..1000,
        steps in prop::collection::vec((0_u64..3000, 1_u32..25), 1..200),
    ) {
        let token = Duration::from_millis(millis);
        let clock = FakeRelativeClock::default();
        let quota = Quota::with_period(token).unwrap().allow_burst(NonZeroU32::new(burst).unwrap());
        let governor = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut bucket = Bucket::new(u64::from(burst), token);
        for (wait, cost) in steps {
            // Thousandths of a token's time, in whole nanoseconds.
            let wait = Duration::from_nanos(millis * 1000 * wait);
            clock.advance(wait);
            bucket.now += ticks(wait);
            let theirs = match governor.check_n(NonZeroU32::new(cost).unwrap()) {
                Ok(Ok(_)) => None,
                Ok(Err(until)) => Some(ticks(until.wait_time_from(clock.now()))),
                Err(_) => Some(NEVER),
            };
            prop_assert_eq!(bucket.take(u64::from(cost)), theirs);
        }
    }
}
