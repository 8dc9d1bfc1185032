//! Statistics that a noisy machine cannot bend: medians and quartiles, of rounds paired with their neighbours.

use serde::Serialize;

/// The middle of some values, and between what the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The lower quartile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper quartile.
    pub high: f64,
}

impl Spread {
    /// The spread of values, if there are any.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            high: quantile(&sorted, 0.75)?,
        })
    }
}

/// The value that a tenth of these stay below: what something takes while the machine does little else. Neighbours on a shared
/// machine only ever add to it, and what they add may be more than what is measured.
#[must_use]
pub fn calm(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.1)
}

/// The value below which this part of the sorted values lies, interpolated between the two nearest.
#[must_use]
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = part * last as f64;
    let below = *sorted.get(place.floor() as usize)?;
    let above = *sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

/// What each round of `these` has over the same round of `those`.
#[must_use]
pub fn differences(these: &[f64], those: &[f64]) -> Vec<f64> {
    these.iter().zip(those).map(|(this, that)| this - that).collect()
}

/// How many times the same round of `those` goes into each round of `these`. Nothing, where `those` are so small that
/// more than a quarter of them drown in the noise: multiples of noise are noise.
#[must_use]
pub fn ratios(these: &[f64], those: &[f64]) -> Vec<f64> {
    if Spread::of(those).is_none_or(|those| those.low <= 0.0) {
        return Vec::new();
    }
    let pairs = these.iter().zip(those).filter(|(_, that)| **that > 0.0);
    pairs.map(|(this, that)| this / that).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_two() {
        assert_eq!(Spread::of(&[9.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Spread::of(&[9.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn the_quartiles_hold_the_middle_half() {
        let spread = Spread { low: 2.0, median: 3.0, high: 4.0 };
        assert_eq!(Spread::of(&[5.0, 4.0, 3.0, 2.0, 1.0]), Some(spread));
        let alone = Spread { low: 7.0, median: 7.0, high: 7.0 };
        assert_eq!(Spread::of(&[7.0]), Some(alone));
    }

    #[test]
    fn one_wild_round_moves_no_median() {
        let calm = Spread::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let wild = Spread::of(&[1.0, 2.0, 3.0, 4.0, 5000.0]).unwrap();
        assert_eq!(calm.median, wild.median);
    }

    #[test]
    fn a_quantile_lies_between_the_two_nearest_values() {
        assert_eq!(quantile(&[0.0, 10.0], 0.25), Some(2.5));
        assert_eq!(quantile(&[0.0, 10.0], 1.0), Some(10.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_machine_that_slows_down_slows_both_of_a_pair() {
        let (filter, floor) = ([12.0, 22.0, 32.0], [10.0, 20.0, 30.0]);
        assert_eq!(differences(&filter, &floor), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        assert_eq!(ratios(&[2.0, 9.0, 4.0], &[1.0, 3.0, 4.0]), [2.0, 3.0, 1.0]);
    }

    #[test]
    fn a_round_without_a_cost_has_no_ratio() {
        let rare = ratios(&[1.0, 1.0, 1.0, 1.0, 1.0], &[-1.0, 1.0, 1.0, 1.0, 2.0]);
        assert_eq!(rare, [1.0, 1.0, 1.0, 0.5]);
        assert!(ratios(&[1.0, 1.0, 1.0], &[-1.0, 0.0, 1.0]).is_empty());
    }
}
