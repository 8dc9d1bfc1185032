//! Whether a variant does worse than it may: than an absolute limit, and than the stable version by a margin; and never on
//! too few requests of either.

use crate::bucket::PartsPerMillion;
use crate::guard::ending::Endings;

/// What came of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) requests: u32,
    /// Of those, how many failed.
    pub(crate) failed: u32,
    /// Of those, how many took too long.
    pub(crate) slow: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failed = self.failed.saturating_add(other.failed);
        self.slow = self.slow.saturating_add(other.slow);
    }
}

/// What a guard goes by. Times are in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// How long a slice of the window is.
    pub(crate) slice: u64,
    /// Of either version, before anything is said.
    pub(crate) min_requests: u32,
    /// How many may fail.
    pub(crate) errors: Option<Limit>,
    /// How many may take too long.
    pub(crate) latency: Option<Limit>,
    /// What it is to fail and to take too long.
    pub(crate) endings: Endings,
    /// How long a variant is off the first time.
    pub(crate) base_ejection: u64,
    /// How long it is off at most.
    pub(crate) max_ejection: u64,
    /// How many of a variant's users try it after that.
    pub(crate) half_open: PartsPerMillion,
    /// How many requests of theirs are judged.
    pub(crate) half_open_requests: u32,
}

/// How large a part of the requests may be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// At all.
    pub(crate) max: PartsPerMillion,
    /// Beyond the part that is bad with the stable version.
    pub(crate) over_stable: PartsPerMillion,
}

/// What is to be said of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It does well enough.
    Good,
    /// There were too few requests.
    Unknown,
    /// It does worse than it may.
    Bad,
}

impl Terms {
    /// The worst that any limit says of a variant, given at least `min` requests to it.
    pub(crate) fn judge(&self, variant: Tally, stable: Tally, min: u32) -> Verdict {
        if variant.requests < min {
            return Verdict::Unknown;
        }
        let compared = (stable.requests >= self.min_requests).then_some(stable);
        let judged = |limit: &Option<Limit>, bad: fn(Tally) -> u32| {
            let part = |tally: Tally| (bad(tally), tally.requests);
            limit.map(|limit| limit.judge(part(variant), compared.map(part)))
        };
        let verdicts =
            [judged(&self.errors, |tally| tally.failed), judged(&self.latency, |tally| tally.slow)];
        verdicts.into_iter().flatten().max().unwrap_or(Verdict::Unknown)
    }
}

impl Limit {
    /// What it says of a variant with so many bad ones of so many, and of the stable version if that had enough.
    fn judge(self, (bad, of): (u32, u32), stable: Option<(u32, u32)>) -> Verdict {
        // As products, so that nothing is rounded; none can overflow, as each is of two or three numbers of 32 bits.
        let product =
            |factors: [u32; 3]| factors.iter().map(|factor| u128::from(*factor)).product::<u128>();
        let all = PartsPerMillion::ALL.parts();
        if product([bad, all, 1]) <= product([self.max.parts(), of, 1]) {
            return Verdict::Good;
        }
        let Some((stable_bad, stable_of)) = stable else { return Verdict::Unknown };
        let most = product([stable_bad, of, all]).saturating_add(product([
            self.over_stable.parts(),
            of,
            stable_of,
        ]));
        if product([bad, stable_of, all]) > most { Verdict::Bad } else { Verdict::Good }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 5 % may fail, and two percentage points more than with stable; 10 % may take too long, as many more.
    pub(crate) fn terms() -> Terms {
        let limit = |max, over_stable| Limit {
            max: PartsPerMillion::percent(max).unwrap(),
            over_stable: PartsPerMillion::percent(over_stable).unwrap(),
        };
        Terms {
            slice: 1_000,
            min_requests: 100,
            errors: Some(limit("5", "2")),
            latency: Some(limit("10", "10")),
            endings: Endings::default(),
            base_ejection: 30_000,
            max_ejection: 300_000,
            half_open: PartsPerMillion::percent("10").unwrap(),
            half_open_requests: 20,
        }
    }

    fn tally(requests: u32, failed: u32, slow: u32) -> Tally {
        Tally { requests, failed, slow }
    }

    fn judge(variant: Tally, stable: Tally) -> Verdict {
        terms().judge(variant, stable, 100)
    }

    #[test]
    fn both_the_limit_and_the_margin_are_to_be_exceeded() {
        let fine = tally(1_000, 0, 0);
        assert_eq!(judge(tally(100, 5, 0), fine), Verdict::Good, "as many as may be");
        assert_eq!(judge(tally(100, 6, 0), fine), Verdict::Bad);
        assert_eq!(judge(tally(100, 6, 0), tally(1_000, 40, 0)), Verdict::Good, "two points over");
        assert_eq!(judge(tally(100, 6, 0), tally(1_000, 39, 0)), Verdict::Bad);
        assert_eq!(judge(tally(100, 100, 0), tally(1_000, 1_000, 0)), Verdict::Good, "all is down");
        assert_eq!(judge(tally(100, 0, 11), fine), Verdict::Bad, "by latency");
        assert_eq!(judge(tally(100, 0, 20), tally(1_000, 0, 100)), Verdict::Good);
    }

    #[test]
    fn nothing_is_said_on_too_few_requests() {
        assert_eq!(judge(tally(99, 99, 99), tally(1_000, 0, 0)), Verdict::Unknown);
        assert_eq!(judge(tally(100, 100, 0), tally(99, 0, 0)), Verdict::Unknown);
        assert_eq!(judge(tally(100, 0, 0), tally(0, 0, 0)), Verdict::Good, "needs no comparison");
        assert_eq!(judge(tally(100, 0, 100), tally(99, 0, 0)), Verdict::Unknown);
    }

    #[test]
    fn a_limit_that_is_not_set_says_nothing() {
        let terms = Terms { errors: None, ..terms() };
        assert_eq!(terms.judge(tally(100, 100, 0), tally(1_000, 0, 0), 100), Verdict::Good);
    }

    proptest! {
        #[test]
        fn more_failures_are_never_better(
            of in 100_u32.., bad: u32, worse: u32, stable: (u32, u32),
        ) {
            let (bad, worse) = (bad.min(worse) % of, bad.max(worse) % of);
            let stable = tally(stable.0, stable.1.min(stable.0), 0);
            let (less, more) = (bad.min(worse), bad.max(worse));
            prop_assert!(judge(tally(of, less, 0), stable) <= judge(tally(of, more, 0), stable));
        }
    }
}
