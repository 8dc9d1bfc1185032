//! What a variant's weight is at a time: a ramp by the clock, so that all proxies agree without anybody who tells them.

use std::time::Duration;

use crate::bucket::PartsPerMillion;

/// A weight, and how it grows. It never falls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// In order of their times, weights that never fall; at least one.
    points: Vec<Point>,
    course: Course,
    /// From when on time does not count, as the ramp was stopped there.
    paused_at: Option<Duration>,
}

/// A weight that is reached at a time since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: Duration,
    /// What.
    pub weight: PartsPerMillion,
}

/// What is between two points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// The first weight, up to the second's time; nothing before the first.
    Steps,
    /// A straight line; the first weight before the first.
    Linear,
}

/// Points that are none of a ramp: the first one that comes too early or weighs too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disorder {
    /// There is none.
    Empty,
    /// This one is not after the one before it.
    Time(usize),
    /// This one weighs less than the one before it.
    Weight(usize),
}

impl Schedule {
    /// The same weight at all times.
    #[must_use]
    pub fn fixed(weight: PartsPerMillion) -> Self {
        let points = vec![Point { at: Duration::ZERO, weight }];
        Self { points, course: Course::Linear, paused_at: None }
    }

    /// A ramp through these points, stopped at a time if one is given.
    ///
    /// # Errors
    /// When they are not in order of time, or a weight falls.
    pub fn ramp(
        points: Vec<Point>,
        course: Course,
        paused_at: Option<Duration>,
    ) -> Result<Self, Disorder> {
        if points.is_empty() {
            return Err(Disorder::Empty);
        }
        for (index, pair) in points.windows(2).enumerate() {
            let later = index.saturating_add(1);
            if let [before, after] = pair {
                if after.at <= before.at {
                    return Err(Disorder::Time(later));
                }
                if after.weight < before.weight {
                    return Err(Disorder::Weight(later));
                }
            }
        }
        Ok(Self { points, course, paused_at })
    }

    /// Whether the weight is ever another one.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.points.len() > 1 || self.course == Course::Steps
    }

    /// The weight at a time since the Unix epoch.
    #[must_use]
    pub fn weight(&self, now: Duration) -> PartsPerMillion {
        let now = self.paused_at.map_or(now, |paused| paused.min(now));
        let after = self.points.partition_point(|point| point.at <= now);
        let reached = after.checked_sub(1).and_then(|index| self.points.get(index));
        match (reached, self.points.get(after), self.course) {
            (Some(from), Some(to), Course::Linear) => between(from, to, now),
            (Some(reached), ..) => reached.weight,
            (None, Some(first), Course::Linear) => first.weight,
            (None, ..) => PartsPerMillion::default(),
        }
    }

    /// The times at which the weight jumps or turns.
    pub fn times(&self) -> impl Iterator<Item = Duration> {
        self.points.iter().map(|point| point.at)
    }
}

/// The weight on the way from one point to the next, rounded down.
fn between(from: &Point, to: &Point, now: Duration) -> PartsPerMillion {
    let nanos = |later: Duration, earlier: Duration| later.saturating_sub(earlier).as_nanos();
    let rise = u128::from(to.weight.parts().saturating_sub(from.weight.parts()));
    let risen = rise
        .saturating_mul(nanos(now, from.at))
        .checked_div(nanos(to.at, from.at))
        .and_then(|risen| u32::try_from(risen).ok());
    let parts = from.weight.parts().saturating_add(risen.unwrap_or_default());
    PartsPerMillion::new(parts).unwrap_or(from.weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(at: u64, weight: u32) -> Point {
        Point { at: Duration::from_secs(at), weight: PartsPerMillion::new(weight).unwrap() }
    }

    fn points() -> impl Strategy<Value = Vec<Point>> {
        prop::collection::vec((1..1_000_000_u64, 0..=200_000_u32), 1..6).prop_map(|steps| {
            let (mut at, mut weight) = (0, 0);
            let next = |(later, more): (u64, u32)| {
                (at, weight) = (at + later, (weight + more).min(1_000_000));
                point(at, weight)
            };
            steps.into_iter().map(next).collect()
        })
    }

    proptest! {
        #[test]
        fn a_weight_never_falls(points in points(), course in prop_oneof![Just(Course::Steps), Just(Course::Linear)],
                                paused in prop::option::of(0..6_000_000_u64), a in 0..6_000_000_u64, b in 0..6_000_000_u64) {
            let ramp = Schedule::ramp(points, course, paused.map(Duration::from_secs)).unwrap();
            let weight = |at: u64| ramp.weight(Duration::from_secs(at));
            prop_assert!(weight(a.min(b)) <= weight(a.max(b)));
            if let Some(paused) = paused {
                prop_assert!(weight(a) <= weight(paused));
            }
        }

        #[test]
        fn a_point_is_reached_when_it_says(points in points(), course in prop_oneof![Just(Course::Steps), Just(Course::Linear)]) {
            let ramp = Schedule::ramp(points.clone(), course, None).unwrap();
            for point in points {
                prop_assert_eq!(ramp.weight(point.at), point.weight);
            }
        }
    }

    #[test]
    fn steps_hold_and_lines_rise() {
        let points = vec![point(100, 10_000), point(200, 50_000)];
        let at = |course: Course, at: u64| {
            let ramp = Schedule::ramp(points.clone(), course, None).unwrap();
            ramp.weight(Duration::from_secs(at)).parts()
        };
        assert_eq!(
            [0, 99, 100, 150, 199, 200, 999].map(|time| at(Course::Steps, time)),
            [0, 0, 10_000, 10_000, 10_000, 50_000, 50_000]
        );
        assert_eq!(
            [0, 100, 150, 199, 200, 999].map(|time| at(Course::Linear, time)),
            [10_000, 10_000, 30_000, 49_600, 50_000, 50_000]
        );
    }

    #[test]
    fn what_falls_or_comes_early_is_no_ramp() {
        let ramp = |points| Schedule::ramp(points, Course::Steps, None);
        assert_eq!(ramp(Vec::new()), Err(Disorder::Empty));
        assert_eq!(ramp(vec![point(2, 1), point(2, 2)]), Err(Disorder::Time(1)));
        assert_eq!(ramp(vec![point(1, 1), point(2, 2), point(3, 1)]), Err(Disorder::Weight(2)));
    }
}
