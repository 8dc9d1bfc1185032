//! How many series are in use, by all workers together. A bit in one shared cell says of each series whether anybody has
//! counted in it; whoever sets it adds one to a gauge. A worker asks the cell when it counts in a series for the first
//! time, and not again.

use std::cell::RefCell;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use filter_core::cells::{Cells, Step, Updated, update};
use filter_core::metrics::{Family, InvalidMetric, MetricKind, Metrics};
use filter_core::{Count, Series};
use siphasher::sip::SipHasher13;

/// How often a bit is tried to be set while others set theirs. One that is not set is tried again when it is next seen.
const ATTEMPTS: u32 = 8;

/// The series that are in use.
#[derive(Debug)]
pub(crate) struct Usage {
    gauge: Family,
    /// Where the bits of each family begin, and where those of the last end.
    begins: Vec<usize>,
    /// The cell: made of the configuration alone, so that one in which bits mean other series begins anew.
    key: Vec<u8>,
    /// What this worker knows of the cell, whose bits are only ever set.
    known: RefCell<Vec<u8>>,
}

impl Usage {
    /// Declares the gauge, for all series that are declared by then and it; `meaning` is all that decides which values
    /// those have that are learned.
    pub(crate) fn declare(
        meaning: &dyn Debug,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let gauge = metrics.family("outrigger_telemetry_series", MetricKind::Gauge, vec![], &[])?;
        let mut begins = vec![0_usize];
        for size in metrics.sizes() {
            let end = begins.last().copied().unwrap_or_default();
            begins.push(end.saturating_add(size));
        }
        let mut hasher = SipHasher13::new();
        format!("{meaning:?}{metrics:?}").hash(&mut hasher);
        let key = [b"tu:", &hasher.finish().to_be_bytes()[..]].concat();
        let known = RefCell::new(vec![0; metrics.series().div_ceil(8)]);
        Ok(Self { gauge, begins, key, known })
    }

    /// Adds to the gauge what these counts are the first of.
    #[inline(never)]
    pub(crate) fn count(&self, counts: &mut Vec<Count>, cells: &dyn Cells) {
        let Ok(mut known) = self.known.try_borrow_mut() else { return };
        let own = self.gauge.series(&[]);
        let series = counts.iter().map(|count| {
            let (Count::Add(series, _) | Count::Record(series, _)) = *count;
            series
        });
        let bits = series.chain([own]).filter_map(|series| self.bit(series));
        let new: Vec<usize> = bits.filter(|bit| !is_set(&known, *bit)).collect();
        if new.is_empty() {
            return;
        }
        let mut latest = Vec::new();
        let added = update(cells, &self.key, ATTEMPTS, |held| {
            latest = held.map_or_else(|| vec![0; known.len()], <[u8]>::to_vec);
            // The bits of one request may be the same ones.
            let added = new.iter().filter(|bit| set(&mut latest, **bit)).count();
            if added == 0 { Step::Keep(0) } else { Step::Replace(latest.clone(), added) }
        });
        if let Updated::Done(added) = added {
            *known = latest;
            if let Some(added) = u64::try_from(added).ok().filter(|added| *added > 0) {
                counts.push(Count::Add(own, added));
            }
        }
    }

    /// The bit of a series; none for what was declared later.
    fn bit(&self, series: Series) -> Option<usize> {
        let family = usize::from(series.family);
        let bit = self.begins.get(family)?.checked_add(usize::try_from(series.index).ok()?)?;
        (bit < *self.begins.get(family.checked_add(1)?)?).then_some(bit)
    }
}

fn mask(bit: usize) -> u8 {
    1_u8.rotate_left(u32::try_from(bit % 8).unwrap_or_default())
}

fn is_set(bits: &[u8], bit: usize) -> bool {
    bits.get(bit / 8).is_some_and(|byte| byte & mask(bit) != 0)
}

/// Sets a bit; whether it was not set.
fn set(bits: &mut [u8], bit: usize) -> bool {
    let Some(byte) = bits.get_mut(bit / 8) else { return false };
    let fresh = *byte & mask(bit) == 0;
    *byte |= mask(bit);
    fresh
}

#[cfg(test)]
mod tests {
    use filter_core::cells::{Cell, Stored, Unavailable, Version};
    use filter_core::fixture::{BrokenCells, MapCells};
    use filter_core::metrics::{Dimension, LabelValue};
    use proptest::prelude::*;

    use super::*;

    /// Two families of series, and what is in use of them as one worker knows it.
    fn worker() -> ([Family; 2], Usage) {
        let mut metrics = Metrics::default();
        let families = [5, 30].map(|size: u32| {
            let values = (0..size).filter_map(|value| LabelValue::parse(&value.to_string()));
            let side = Dimension::closed("a", values.collect());
            metrics.family("m", MetricKind::Counter, vec![side], &[]).unwrap()
        });
        let usage = Usage::declare(&"", &mut metrics).unwrap();
        (families, usage)
    }

    /// What a count of these series adds.
    fn added(
        (families, usage): &([Family; 2], Usage),
        of: &[(usize, usize)],
        cells: &dyn Cells,
    ) -> u64 {
        let one = |(family, row): &(usize, usize)| Count::Add(families[*family].series(&[*row]), 1);
        let mut counts: Vec<Count> = of.iter().map(one).collect();
        usage.count(&mut counts, cells);
        match counts.get(of.len()) {
            Some(Count::Add(series, added)) if *series == usage.gauge.series(&[]) => *added,
            None => 0,
            Some(other) => panic!("{other:?}"),
        }
    }

    /// Nobody may ask these.
    struct Untouched;

    impl Cells for Untouched {
        fn load(&self, _: &[u8]) -> Result<Option<Cell>, Unavailable> {
            panic!("asked")
        }

        fn store(&self, _: &[u8], _: &[u8], _: Option<Version>) -> Result<Stored, Unavailable> {
            panic!("asked")
        }
    }

    #[test]
    fn what_is_known_asks_nobody() {
        let cells = MapCells::default();
        let one = worker();
        assert_eq!(added(&one, &[(0, 4), (1, 29), (0, 4)], &cells), 3, "these two, and the gauge");
        assert_eq!(added(&one, &[(1, 29), (0, 4)], &Untouched), 0);
        let two = worker();
        assert_eq!(added(&two, &[(1, 29)], &cells), 0);
        assert_eq!(added(&two, &[(0, 4)], &Untouched), 0, "what others told is known");
    }

    #[test]
    fn what_could_not_be_told_is_told_later() {
        let one = worker();
        assert_eq!(added(&one, &[(0, 1)], &BrokenCells), 0);
        assert_eq!(added(&one, &[(0, 1)], &MapCells::default()), 2);
    }

    proptest! {
        #[test]
        fn each_series_is_counted_once_whoever_counts_in_it(
            requests in prop::collection::vec(
                (0_usize..3, prop::collection::vec((0_usize..2, 0_usize..5), 1..4)), 1..40,
            ),
        ) {
            let cells = MapCells::default();
            let workers = [(); 3].map(|()| worker());
            let all: u64 = requests.iter().map(|(at, of)| added(&workers[*at], of, &cells)).sum();
            let distinct: std::collections::BTreeSet<_> =
                requests.iter().flat_map(|(_, of)| of).collect();
            prop_assert_eq!(usize::try_from(all).unwrap(), distinct.len() + 1);
            prop_assert_eq!(cells.len(), 1);
        }
    }
}
