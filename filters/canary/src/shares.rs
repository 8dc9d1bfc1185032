//! Which buckets are whose at a time.

use std::cell::RefCell;
use std::time::Duration;

use crate::bucket::PartsPerMillion;
use crate::layout::Layout;
use crate::schedule::Schedule;

/// How variants are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// Each from its own place: [`Layout::new`].
    Places,
    /// As the experiment platforms do: [`Layout::in_order`].
    InOrder {
        /// How much of each weight counts.
        coverage: PartsPerMillion,
    },
}

/// The weights of a rollout's variants, and who that makes theirs.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    schedules: Vec<Schedule>,
    arrangement: Arrangement,
    present: Present,
}

/// The layout that counts now.
#[derive(Clone, Debug)]
enum Present {
    /// For ever.
    Fixed(Layout),
    /// In this second since the Unix epoch. Whoever asks in another one makes the next, and as that hangs on the second
    /// alone, all workers and proxies whose clocks agree have the same.
    At(RefCell<(u64, Layout)>),
}

impl Arrangement {
    fn layout(self, schedules: &[Schedule], now: Duration) -> Option<Layout> {
        let weights: Vec<PartsPerMillion> =
            schedules.iter().map(|schedule| schedule.weight(now)).collect();
        match self {
            Self::Places => Layout::new(&weights),
            Self::InOrder { coverage } => Layout::in_order(&weights, coverage),
        }
    }
}

impl Shares {
    /// None if the weights are ever more than all. As none ever falls, they are most at the end.
    pub(crate) fn new(schedules: Vec<Schedule>, arrangement: Arrangement) -> Option<Self> {
        let last = arrangement.layout(&schedules, Duration::MAX)?;
        let present = if schedules.iter().any(Schedule::moves) {
            Present::At(RefCell::new((0, arrangement.layout(&schedules, Duration::ZERO)?)))
        } else {
            Present::Fixed(last)
        };
        Some(Self { schedules, arrangement, present })
    }

    /// The layout at a time since the Unix epoch.
    pub(crate) fn layout(&self, now: Duration) -> Layout {
        // Weights that are ever more than all were refused.
        self.arrangement.layout(&self.schedules, now).unwrap_or_default()
    }

    /// The variant that a bucket belongs to; none if it is stable. The clock is read only if weights change by it; one that
    /// cannot be read ([`Duration::MAX`]) leaves ramps at their beginning.
    pub(crate) fn variant(&self, bucket: u32, clock: impl FnOnce() -> Duration) -> Option<usize> {
        let present = match &self.present {
            Present::Fixed(layout) => return layout.variant(bucket),
            Present::At(present) => present,
        };
        let now = Some(clock()).filter(|now| *now != Duration::MAX).unwrap_or_default().as_secs();
        let mut present = present.borrow_mut();
        if present.0 != now
            && let Some(layout) = self.arrangement.layout(&self.schedules, Duration::from_secs(now))
        {
            *present = (now, layout);
        }
        present.1.variant(bucket)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{Course, Point};

    fn ramp(from: u32, to: u32, start: u64, seconds: u64) -> Schedule {
        let point = |at, parts| Point {
            at: Duration::from_secs(at),
            weight: PartsPerMillion::new(parts).unwrap(),
        };
        let points = vec![point(start, from), point(start + seconds, to)];
        Schedule::ramp(points, Course::Linear, None).unwrap()
    }

    proptest! {
        #[test]
        fn over_a_ramp_nobody_leaves_a_variant(
            a in (0..250_000_u32, 0..=250_000_u32), b in (0..250_000_u32, 0..=250_000_u32),
            start in 1..1_000_u64, seconds in 1..1_000_u64, times in prop::collection::vec(0..3_000_u64, 2..20),
            buckets in prop::collection::vec(0..1_000_000_u32, 1..50),
        ) {
            let schedules =
                vec![ramp(a.0, a.0 + a.1, start, seconds), ramp(b.0, b.0 + b.1, start / 2, seconds)];
            let shares = Shares::new(schedules, Arrangement::Places).unwrap();
            let mut times = times;
            times.sort_unstable();
            let mut before = vec![None; buckets.len()];
            for time in times {
                let at = || Duration::from_secs(time);
                for (bucket, before) in buckets.iter().zip(&mut before) {
                    let variant = shares.variant(*bucket, at);
                    prop_assert!(before.is_none() || *before == variant);
                    *before = variant;
                }
            }
        }

        #[test]
        fn it_does_not_matter_what_was_asked_before(times in prop::collection::vec(0..3_000_u64, 1..20), bucket in 0..1_000_000_u32) {
            let new = || Shares::new(vec![ramp(0, 1_000_000, 10, 2_000)], Arrangement::Places).unwrap();
            let asked = new();
            for time in times {
                let at = || Duration::from_secs(time);
                prop_assert_eq!(asked.variant(bucket, at), new().variant(bucket, at));
            }
        }
    }

    #[test]
    fn without_a_clock_a_ramp_has_not_begun() {
        let shares = Shares::new(vec![ramp(0, 1_000_000, 10, 10)], Arrangement::Places).unwrap();
        assert_eq!(shares.variant(0, || Duration::from_secs(20)), Some(0));
        assert_eq!(shares.variant(0, || Duration::MAX), None);
    }
}
