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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
        // There are few of them.
        let range = self.ranges.iter().find(|range| bucket < range.end)?;
        (range.start <= bucket).then_some(range.variant)
    }

    /// How many buckets each variant would lose to `next`, by position as far as there are any.
    #[must_use]
    pub fn lost(&self, next: &Self) -> Vec<u32> {
        let mut lost = Vec::new();
        for range in &self.ranges {
            let mut left = range.end.saturating_sub(range.start);
            for other in next.ranges.iter().filter(|other| other.variant == range.variant) {
                let shared = range.end.min(other.end).saturating_sub(range.start.max(other.start));
                left = left.saturating_sub(shared);
            }
            if lost.len() <= range.variant {
                lost.resize(range.variant.saturating_add(1), 0);
            }
            if let Some(own) = lost.get_mut(range.variant) {
                *own = left.saturating_add(*own);
            }
        }
        lost
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
mod tests;
