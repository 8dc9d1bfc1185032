//! Metrics of the proxy, defined when they are first counted.

use std::cell::{Cell, OnceCell};

use filter_core::Count;
use filter_core::metrics::{MetricKind, Metrics, Series};

use crate::abi::{self, Metric, Status};

/// The series that a filter declared, with the proxy's ids of those in use. Defining one costs the proxy far more than
/// counting in it, and one that is never counted should not be seen.
pub(crate) struct Stats {
    declared: Metrics,
    /// By family and index, from the first count in a family on.
    ids: Vec<OnceCell<Box<[Cell<Id>]>>>,
}

#[derive(Clone, Copy)]
enum Id {
    Undefined,
    Defined(u32),
    /// The proxy would not define it. It is not asked again, as that is expensive.
    Refused,
}

impl Stats {
    pub(crate) fn new(declared: Metrics) -> Self {
        let ids = declared.sizes().map(|_| OnceCell::new()).collect();
        Self { declared, ids }
    }

    /// Counts, as far as the proxy lets us. A count that it refuses is lost: no request fails for it.
    pub(crate) fn count(&self, count: &Count) {
        let (Count::Add(series, _) | Count::Record(series, _)) = *count;
        let Some(id) = self.id(series) else { return };
        let counted = match *count {
            // The proxy answers a counter's increment by zero or less with an error.
            Count::Add(_, 0) => Ok(()),
            Count::Add(_, more) => {
                abi::increment_metric(id, i64::try_from(more).unwrap_or(i64::MAX))
            }
            Count::Record(_, value) => abi::record_metric(id, value),
        };
        if let Err(status) = counted {
            uncounted(series, status);
        }
    }

    fn id(&self, series: Series) -> Option<u32> {
        let family = self.ids.get(usize::from(series.family))?;
        let known = family.get().and_then(|ids| ids.get(usize::try_from(series.index).ok()?));
        match known.map(Cell::get) {
            Some(Id::Defined(id)) => Some(id),
            Some(Id::Refused) => None,
            Some(Id::Undefined) | None => self.define(series),
        }
    }

    /// Has the proxy define a series, the first time that it is counted in.
    #[cold]
    #[inline(never)]
    fn define(&self, series: Series) -> Option<u32> {
        let family = self.ids.get(usize::from(series.family))?;
        let size = self.declared.sizes().nth(usize::from(series.family))?;
        let ids = family.get_or_init(|| vec![Cell::new(Id::Undefined); size].into());
        let slot = ids.get(usize::try_from(series.index).ok()?)?;
        if let Id::Undefined = slot.get() {
            let (kind, name) = self.declared.stat(series)?;
            let kind = match kind {
                MetricKind::Counter => Metric::Counter,
                MetricKind::Gauge => Metric::Gauge,
                MetricKind::Histogram => Metric::Histogram,
            };
            slot.set(match abi::define_metric(kind, &name) {
                Ok(id) => Id::Defined(id),
                Err(status) => {
                    log::warn!("metric {name} refused by the proxy: {status:?}");
                    Id::Refused
                }
            });
        }
        match slot.get() {
            Id::Defined(id) => Some(id),
            Id::Undefined | Id::Refused => None,
        }
    }
}

// Apart, as all that prepares a line of the log would be run through where none is written.
#[cold]
#[inline(never)]
fn uncounted(series: Series, status: Status) {
    log::debug!("metric {series:?} not counted: {status:?}");
}
