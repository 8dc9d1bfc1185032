//! Which buckets belong to which variant, so that whoever is in a variant stays in it while it grows.
//!
//! Each variant has a fixed place to grow from, by its position in the list: the first from the low end upward, the
//! second from the high end downward, further ones from the thirds in between. In order of the list, each takes as many
//! of the free buckets as its weight says, the nearest ahead of its place; whatever is left is stable.
//!
//! It follows, for every set of weights:
//! 1. a variant that grows keeps everyone it had;
//! 2. variants listed before it do not change at all, nor does appending a variant change those before it;
//! 3. no one moves between two variants while no two of them meet, which one or two variants never do, and three not
//!    while each has at most a third.
//!
//! More cannot be had without remembering users. If three variants never traded one, each would have to hold a set that
//! depends on its own weight alone. At half and half, the second and the third would both be what the first leaves
//! over, so the same set; yet at half and half between those two they must be disjoint.

use crate::bucket::PartsPerMillion;

const END: u32 = PartsPerMillion::ALL.parts();

/// Where variants grow from, by position: the bucket, and whether upward. Later positions begin anew.
const PLACES: [(u32, bool); 6] = [
    (0, true),
    (END, false),
    (END / 3, true),
    (END - END / 3, false),
    (END - END / 3, true),
    (END / 3, false),
];

/// The variant of each bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Disjoint and in order; what lies in none is stable.
    ranges: Vec<Range>,
}

/// Buckets of one variant, from `start` up to but not with `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    start: u32,
    end: u32,
    variant: usize,
}

impl Layout {
    /// The layout of these weights, in the order of the variants. None if they are more than all.
    #[must_use]
    pub fn new(weights: &[PartsPerMillion]) -> Option<Self> {
        let total =
            weights.iter().try_fold(0_u32, |sum, weight| sum.checked_add(weight.parts()))?;
        PartsPerMillion::new(total)?;
        let mut layout = Self { ranges: Vec::new() };
        for ((variant, weight), (place, upward)) in
            weights.iter().enumerate().zip(PLACES.iter().cycle())
        {
            layout.take(variant, weight.parts(), *place, *upward);
        }
        Some(layout)
    }

    /// The layout of the experiment platforms: one variant after the other from the low end on, of each the first
    /// `coverage` of its weight. None if the weights are more than all.
    #[must_use]
    pub fn in_order(weights: &[PartsPerMillion], coverage: PartsPerMillion) -> Option<Self> {
        let mut ranges = Vec::new();
        let mut start = 0_u32;
        for (variant, weight) in weights.iter().enumerate() {
            let covered = u64::from(weight.parts()).saturating_mul(u64::from(coverage.parts()));
            // Rounded up, as what lies below a fraction of a bucket is that bucket.
            let covered = u32::try_from(covered.div_ceil(u64::from(END))).ok()?;
            if covered > 0 {
                ranges.push(Range { start, end: start.checked_add(covered)?, variant });
            }
            start = start.checked_add(weight.parts())?;
        }
        PartsPerMillion::new(start)?;
        Some(Self { ranges })
    }

    /// The variant that a bucket belongs to; none if it is stable.
    #[must_use]
    pub fn variant(&self, bucket: u32) -> Option<usize> {
        let after = self.ranges.partition_point(|range| range.start <= bucket);
        let range = self.ranges.get(after.checked_sub(1)?)?;
        (bucket < range.end).then_some(range.variant)
    }

    /// Gives `weight` free buckets to a variant: those ahead of `place`, then from the other end on.
    fn take(&mut self, variant: usize, mut weight: u32, place: u32, upward: bool) {
        for (start, end) in self.free(place, upward) {
            let length = weight.min(end.saturating_sub(start));
            weight = weight.saturating_sub(length);
            let (start, end) = if upward {
                (start, start.saturating_add(length))
            } else {
                (end.saturating_sub(length), end)
            };
            if start < end {
                self.ranges.push(Range { start, end, variant });
            }
        }
        self.ranges.sort_unstable();
    }

    /// The gaps between ranges, cut at `place`, in the order in which they lie ahead.
    fn free(&self, place: u32, upward: bool) -> Vec<(u32, u32)> {
        let starts = std::iter::once(0).chain(self.ranges.iter().map(|range| range.end));
        let ends = self.ranges.iter().map(|range| range.start).chain(std::iter::once(END));
        let mut gaps: Vec<_> = starts
            .zip(ends)
            .flat_map(|(start, end)| {
                let cut = place.clamp(start, end);
                [(start, cut), (cut, end)]
            })
            .collect();
        if !upward {
            gaps.reverse();
        }
        let (ahead, behind): (Vec<_>, Vec<_>) = gaps
            .into_iter()
            .partition(|(start, end)| if upward { *start >= place } else { *end <= place });
        [ahead, behind].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout(weights: &[u32]) -> Layout {
        let weights: Vec<_> =
            weights.iter().map(|parts| PartsPerMillion::new(*parts).unwrap()).collect();
        Layout::new(&weights).unwrap()
    }

    /// Weights that leave something over, and how much that is.
    fn weights(variants: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<u32>, u32)> {
        prop::collection::vec(prop_oneof![Just(0), 0..END], variants).prop_map(|cuts| {
            let mut rest = END;
            let take = |cut: u32| {
                let weight = cut.min(rest);
                rest -= weight;
                weight
            };
            (cuts.into_iter().map(take).collect(), rest)
        })
    }

    /// Every bucket at which either layout changes, so that between two of them neither does.
    fn edges(a: &Layout, b: &Layout) -> Vec<u32> {
        let ranges = || a.ranges.iter().chain(&b.ranges);
        let mut edges: Vec<_> = ranges().flat_map(|range| [range.start, range.end]).collect();
        edges.push(0);
        edges.retain(|edge| *edge < END);
        edges
    }

    /// Who is where before and after one variant grew.
    fn moves(before: &Layout, after: &Layout) -> Vec<(Option<usize>, Option<usize>)> {
        let edges = edges(before, after);
        edges.into_iter().map(|edge| (before.variant(edge), after.variant(edge))).collect()
    }

    fn grown(weights: &[u32], variant: usize, by: u32) -> Vec<u32> {
        let mut weights = weights.to_vec();
        weights[variant] += by;
        weights
    }

    proptest! {
        #[test]
        fn every_variant_has_its_weight((weights, _) in weights(1..9)) {
            let layout = layout(&weights);
            for (variant, weight) in weights.iter().enumerate() {
                let own = layout.ranges.iter().filter(|range| range.variant == variant);
                prop_assert_eq!(own.map(|range| range.end - range.start).sum::<u32>(), *weight);
            }
            prop_assert!(layout.ranges.iter().all(|range| range.start < range.end && range.end <= END));
            prop_assert!(layout.ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }

        #[test]
        fn a_variant_that_grows_keeps_everyone_and_leaves_those_before_it_alone(
            (weights, rest) in weights(1..9),
            which: prop::sample::Index,
            share in 0.0..1.0,
        ) {
            let variant = which.index(weights.len());
            let by = (f64::from(rest) * share) as u32;
            for (from, to) in moves(&layout(&weights), &layout(&grown(&weights, variant, by))) {
                let settled = from.is_some_and(|from| from <= variant);
                prop_assert!(!settled || from == to);
            }
        }

        #[test]
        fn with_two_variants_only_stable_users_move(
            (weights, rest) in weights(1..3),
            which: prop::sample::Index,
            share in 0.0..1.0,
        ) {
            let variant = which.index(weights.len());
            let by = (f64::from(rest) * share) as u32;
            for (from, to) in moves(&layout(&weights), &layout(&grown(&weights, variant, by))) {
                prop_assert!(from == to || (from.is_none() && to == Some(variant)));
            }
        }

        #[test]
        fn within_its_room_a_variant_takes_only_stable_users(
            small in prop::collection::vec(0..END / 6, 6),
            thirds in prop::collection::vec(0..END / 3, 3),
            which: prop::sample::Index,
            share in 0.0..1.0,
        ) {
            for (weights, room) in [(small, END / 6), (thirds, END / 3)] {
                let variant = which.index(weights.len());
                let by = (f64::from(room - weights[variant]) * share) as u32;
                for (from, to) in moves(&layout(&weights), &layout(&grown(&weights, variant, by))) {
                    prop_assert!(from == to || (from.is_none() && to == Some(variant)));
                }
            }
        }

        #[test]
        fn a_variant_appended_moves_none_of_those_before((weights, rest) in weights(1..9), share in 0.0..1.0) {
            let more = [&weights[..], &[(f64::from(rest) * share) as u32]].concat();
            for (from, to) in moves(&layout(&weights), &layout(&more)) {
                prop_assert!(from.is_none() || from == to);
            }
        }

        #[test]
        fn a_single_variant_is_what_lies_below_its_weight(weight in 0..=END, bucket in 0..END) {
            prop_assert_eq!(layout(&[weight]).variant(bucket).is_some(), bucket < weight);
        }
    }

    #[test]
    fn platforms_put_one_after_the_other() {
        // From `getBucketRange` and `chooseVariation` of GrowthBook's `cases.json` (spec 0.8.0).
        let ranges = |weights: &[u32], coverage: u32| {
            let weights: Vec<_> =
                weights.iter().map(|parts| PartsPerMillion::new(*parts).unwrap()).collect();
            let layout = Layout::in_order(&weights, PartsPerMillion::new(coverage).unwrap());
            let ranges = layout.unwrap().ranges;
            ranges.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>()
        };
        let half = [500_000, 500_000];
        assert_eq!(ranges(&half, END), [(0, 500_000), (500_000, END)]);
        assert_eq!(ranges(&half, 500_000), [(0, 250_000), (500_000, 750_000)]);
        assert_eq!(ranges(&half, 0), []);
        assert_eq!(ranges(&[400_000, 600_000], END), [(0, 400_000), (400_000, END)]);
        assert_eq!(
            ranges(&[200_000, 300_000, 500_000], 200_000),
            [(0, 40_000), (200_000, 260_000), (500_000, 600_000)]
        );
        assert_eq!(ranges(&[500_000, 0, 500_000], END), [(0, 500_000), (500_000, END)]);
        let weights = [500_000, 500_001].map(|parts| PartsPerMillion::new(parts).unwrap());
        assert_eq!(Layout::in_order(&weights, PartsPerMillion::ALL), None);
    }

    #[test]
    fn weights_beyond_all_are_no_layout() {
        let all = PartsPerMillion::ALL;
        let one = PartsPerMillion::new(1).unwrap();
        assert_eq!(Layout::new(&[all, one]), None);
        assert!(Layout::new(&[all, PartsPerMillion::default()]).is_some());
        assert_eq!(Layout::new(&vec![all; 5000]), None);
    }
}
