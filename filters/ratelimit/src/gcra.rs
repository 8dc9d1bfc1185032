//! How much, per time: the generic cell rate algorithm (ITU-T I.371), two numbers and one comparison.
//!
//! All there is to remember of a bucket is its theoretical arrival time (TAT): when it will be full again. Whoever
//! takes a token moves it on by the time that one token takes to come back; nobody may move it further ahead of now
//! than the time that a whole bucket takes.

use std::time::Duration;

/// Time is counted in ticks, 64ths of a nanosecond, so that rounding the time of a token up costs nobody a token: at a
/// million a second, one in 64 000. A u64 of ticks lasts nine years.
pub const TICKS_PER_SECOND: u64 = 64_000_000_000;

/// The longest that an empty bucket may take to fill: two years. It leaves seven for the clock.
pub const LONGEST_FILL: u64 = 730 * 24 * 3600 * TICKS_PER_SECOND;

/// The wait of a request that costs more than a bucket ever holds.
pub const NEVER: u64 = u64::MAX;

/// A duration in ticks.
#[must_use]
pub fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().saturating_mul(64)).unwrap_or(u64::MAX)
}

/// A limit: so many tokens at once, and one more every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// The time that one token takes to come back, T.
    interval: u64,
    /// The time that all tokens take to come back: the burst times T.
    tolerance: u64,
}

/// Why numbers are not a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidLimit {
    /// It lets nothing through, ever, or knows no time.
    Zero,
    /// It is more than a token a nanosecond.
    TooFast,
    /// A bucket takes longer than [`LONGEST_FILL`] to fill.
    TooSlow,
}

/// What a limit says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It goes through if the bucket becomes this.
    Admit {
        /// The bucket's TAT with this request charged.
        tat: u64,
        /// The whole tokens that are left.
        remaining: u64,
    },
    /// It does not, and the bucket stays as it is.
    Refuse {
        /// In how many ticks it would, if nobody else came; [`NEVER`] if it cannot.
        retry_after: u64,
    },
}

impl Gcra {
    /// A bucket of `burst` tokens into which `tokens` flow, evenly, every `interval`. The time of one token is rounded
    /// up to a whole tick: never more than was meant.
    ///
    /// # Errors
    /// When the numbers are out of range.
    pub fn new(burst: u64, tokens: u64, interval: Duration) -> Result<Self, InvalidLimit> {
        let fill = interval.as_nanos().saturating_mul(64);
        if burst == 0 || tokens == 0 || fill == 0 {
            return Err(InvalidLimit::Zero);
        }
        let interval = fill.div_ceil(u128::from(tokens));
        if interval < 64 {
            return Err(InvalidLimit::TooFast);
        }
        let tolerance = interval.saturating_mul(u128::from(burst));
        if tolerance > u128::from(LONGEST_FILL) {
            return Err(InvalidLimit::TooSlow);
        }
        let narrow = |ticks: u128| u64::try_from(ticks).map_err(|_| InvalidLimit::TooSlow);
        Ok(Self { interval: narrow(interval)?, tolerance: narrow(tolerance)? })
    }

    /// Whether a request of `cost` tokens goes through at `now`, when the bucket's TAT is `tat`.
    #[must_use]
    pub fn decide(&self, tat: u64, now: u64, cost: u64) -> Ruling {
        let charged = self.charge(cost).and_then(|charge| tat.max(now).checked_add(charge));
        let (Some(charge), Some(tat)) = (self.charge(cost), charged) else {
            return Ruling::Refuse { retry_after: NEVER };
        };
        let ahead = tat.saturating_sub(now);
        match self.tolerance.checked_sub(ahead) {
            Some(left) => {
                Ruling::Admit { tat, remaining: left.checked_div(self.interval).unwrap_or(0) }
            }
            None if charge > self.tolerance => Ruling::Refuse { retry_after: NEVER },
            None => Ruling::Refuse { retry_after: ahead.saturating_sub(self.tolerance) },
        }
    }

    /// The time that one token takes to come back, in ticks.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.interval
    }

    /// What `cost` tokens are in ticks.
    #[must_use]
    pub fn charge(&self, cost: u64) -> Option<u64> {
        self.interval.checked_mul(cost)
    }

    /// The TAT of a bucket that is empty at `now`.
    #[must_use]
    pub fn empty(&self, now: u64) -> u64 {
        now.saturating_add(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit() -> impl Strategy<Value = Gcra> {
        (1_u64..50, 1_u64..1000, 1_u64..100_000).prop_filter_map("in range", |(b, n, ms)| {
            Gcra::new(b, n, Duration::from_millis(ms)).ok()
        })
    }

    proptest! {
        #[test]
        fn no_interval_admits_more_than_the_burst_and_what_flows_in(
            limit in limit(),
            arrivals in prop::collection::vec((0_u64..300, 1_u64..4), 1..200),
        ) {
            let (mut tat, mut now) = (0, 0);
            // Of each admitted request, when it came and how much was admitted before it.
            let mut admitted: Vec<(u64, u64)> = vec![];
            let mut sum = 0;
            for (percent, cost) in arrivals {
                now += limit.interval * percent / 100;
                if let Ruling::Admit { tat: charged, .. } = limit.decide(tat, now, cost) {
                    tat = charged;
                    admitted.push((now, sum));
                    sum += cost;
                    for (began, before) in &admitted {
                        prop_assert!((sum - before) * limit.interval <= limit.tolerance + (now - began));
                    }
                }
            }
        }

        #[test]
        fn the_wait_is_exact(limit in limit(), tat in 0_u64..1 << 50, now in 0_u64..1 << 50, cost in 1_u64..60) {
            match limit.decide(tat, now, cost) {
                Ruling::Refuse { retry_after: NEVER } => {
                    prop_assert!(limit.charge(cost).unwrap() > limit.tolerance);
                }
                Ruling::Refuse { retry_after } => {
                    let refused = matches!(
                        limit.decide(tat, now + retry_after - 1, cost),
                        Ruling::Refuse { retry_after: 1 }
                    );
                    prop_assert!(refused);
                    let admitted = limit.decide(tat, now + retry_after, cost);
                    let admitted = matches!(admitted, Ruling::Admit { remaining: 0, .. });
                    prop_assert!(admitted);
                }
                Ruling::Admit { tat: charged, remaining } => {
                    prop_assert!(charged <= limit.empty(now));
                    prop_assert!(charged > tat.max(now));
                    prop_assert_eq!(remaining, (limit.tolerance - (charged - now)) / limit.interval);
                }
            }
        }

        #[test]
        fn nothing_overflows(limit in limit(), tat: u64, now: u64, cost: u64) {
            if let Ruling::Admit { tat: charged, .. } = limit.decide(tat, now, cost) {
                prop_assert!(charged >= tat && charged >= now);
            }
        }

        #[test]
        fn a_token_never_comes_back_too_soon(burst in 1_u64..10, tokens in 1_u64..1 << 20, ms in 1_u64..1 << 20) {
            if let Ok(limit) = Gcra::new(burst, tokens, Duration::from_millis(ms)) {
                let meant = u128::from(ticks(Duration::from_millis(ms)));
                let taken = u128::from(limit.interval) * u128::from(tokens);
                prop_assert!(taken >= meant && taken < meant + u128::from(tokens));
            }
        }
    }

    #[test]
    fn a_repeated_request_in_the_same_tick_still_counts() {
        let limit = Gcra::new(2, 1, Duration::from_secs(1)).unwrap();
        let Ruling::Admit { tat, remaining: 1 } = limit.decide(0, 5, 1) else { panic!() };
        let Ruling::Admit { tat, remaining: 0 } = limit.decide(tat, 5, 1) else { panic!() };
        let retry_after = TICKS_PER_SECOND;
        assert_eq!(limit.decide(tat, 5, 1), Ruling::Refuse { retry_after });
    }

    #[test]
    fn numbers_out_of_range_are_no_limit() {
        let of = |burst, tokens, interval| Gcra::new(burst, tokens, interval).unwrap_err();
        let second = Duration::from_secs(1);
        assert_eq!(of(0, 1, second), InvalidLimit::Zero);
        assert_eq!(of(1, 0, second), InvalidLimit::Zero);
        assert_eq!(of(1, 1, Duration::ZERO), InvalidLimit::Zero);
        assert_eq!(of(1, 2_000_000_000, second), InvalidLimit::TooFast);
        assert!(Gcra::new(1, 1_000_000_000, second).is_ok());
        assert_eq!(of(731, 1, Duration::from_secs(86_400)), InvalidLimit::TooSlow);
        assert!(Gcra::new(730, 1, Duration::from_secs(86_400)).is_ok());
        assert_eq!(of(u64::MAX, 1, Duration::MAX), InvalidLimit::TooSlow);
    }
}
