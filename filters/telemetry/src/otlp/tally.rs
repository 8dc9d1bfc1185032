//! The points of one metric: what was measured, summed up by attributes, with a request for an example of each bucket.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use filter_core::Series;
use filter_core::metrics::LabelValue;

use crate::series::{DURATIONS, SIZES};
use crate::trace::id::{SpanId, TraceId};

/// A metric, in OpenTelemetry's words.
#[derive(Debug)]
pub(crate) struct Instrument {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it tells.
    pub(crate) description: &'static str,
    /// What is measured.
    pub(crate) measure: Measure,
    /// The families of series that it is counted in.
    pub(crate) families: Vec<u16>,
    /// How many series of those, the first ones, stand for what was not admitted.
    pub(crate) rests: u32,
}

/// What is measured, and in which whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// How many requests.
    Requests,
    /// How long they took, in nanoseconds.
    Time,
    /// How large something was, in bytes.
    Size,
}

impl Measure {
    /// The unit that it is told in (UCUM).
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Requests => "{request}",
            Self::Time => "s",
            Self::Size => "By",
        }
    }

    /// The upper bounds of buckets, and so many of what is measured as one of their unit is.
    fn buckets(self) -> (&'static [u64], u64) {
        match self {
            Self::Requests => (&[], 1),
            Self::Time => (DURATIONS, 1_000_000),
            Self::Size => (SIZES, 1),
        }
    }

    /// Whether it has buckets.
    pub(crate) fn spreads(self) -> bool {
        !self.buckets().0.is_empty()
    }

    /// The bucket that a value belongs to.
    fn bucket(self, value: u64) -> usize {
        let (bounds, scale) = self.buckets();
        bounds.partition_point(|bound| bound.saturating_mul(scale) < value)
    }

    /// The upper bounds of its buckets, as they are told.
    pub(crate) fn bounds(self) -> Vec<f64> {
        let (bounds, scale) = self.buckets();
        bounds.iter().map(|bound| self.told(bound.saturating_mul(scale))).collect()
    }

    /// A value in the unit that it is told in.
    pub(crate) fn told(self, value: u64) -> f64 {
        match self {
            Self::Requests | Self::Size => value as f64,
            Self::Time => value as f64 / 1e9,
        }
    }
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    /// Text.
    Text(LabelValue),
    /// A number.
    Number(i64),
    /// That it is so.
    Flag,
}

/// What a point is about.
pub(crate) type Attributes = Rc<[(&'static str, Value)]>;

/// A recorded request that stands for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exemplar {
    /// What was measured of it.
    pub(crate) value: u64,
    /// When, since the epoch.
    pub(crate) time: Duration,
    /// Its trace.
    pub(crate) trace: TraceId,
    /// Its span.
    pub(crate) span: SpanId,
}

/// What was measured of requests with the same attributes.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) attributes: Attributes,
    pub(crate) sum: u64,
    /// How many were in each bucket. Of requests that are only counted there is one bucket.
    pub(crate) counts: Vec<u64>,
    /// At most one for each bucket; none are kept where there were none.
    exemplars: Vec<Option<Exemplar>>,
}

impl Point {
    /// The exemplars since it was last asked for them.
    pub(crate) fn exemplars(&mut self) -> impl Iterator<Item = Exemplar> + use<> {
        std::mem::take(&mut self.exemplars).into_iter().flatten()
    }
}

/// The points of one metric. There are no more of them than it has series.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    points: Vec<Point>,
    of_series: BTreeMap<(u16, u32), usize>,
    /// Two series may have the same attributes, as not every label is told.
    of_attributes: BTreeMap<Attributes, usize>,
}

impl Tally {
    /// Adds a value of a series. The attributes are asked for when it is the first.
    pub(crate) fn record(
        &mut self,
        measure: Measure,
        series: Series,
        value: u64,
        attributes: impl FnOnce() -> Attributes,
        exemplar: impl FnOnce() -> Option<Exemplar>,
    ) {
        let key = (series.family, series.index);
        let place = self.of_series.get(&key).copied();
        let place = place.unwrap_or_else(|| self.place(key, measure, attributes()));
        let Some(point) = self.points.get_mut(place) else { return };
        point.sum = point.sum.saturating_add(value);
        let bucket = measure.bucket(value);
        if let Some(count) = point.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        if point.exemplars.get(bucket).copied().flatten().is_some() {
            return;
        }
        let Some(exemplar) = exemplar() else { return };
        point.exemplars.resize(point.counts.len(), None);
        if let Some(slot) = point.exemplars.get_mut(bucket) {
            *slot = Some(exemplar);
        }
    }

    fn place(&mut self, key: (u16, u32), measure: Measure, attributes: Attributes) -> usize {
        let place = match self.of_attributes.get(&attributes) {
            Some(place) => *place,
            None => {
                let place = self.points.len();
                let buckets = measure.buckets().0.len().saturating_add(1);
                self.points.push(Point {
                    attributes: Rc::clone(&attributes),
                    sum: 0,
                    counts: vec![0; buckets],
                    exemplars: Vec::new(),
                });
                self.of_attributes.insert(attributes, place);
                place
            }
        };
        self.of_series.insert(key, place);
        place
    }

    /// So many points at most, from one on.
    pub(crate) fn points(&mut self, from: usize, most: usize) -> impl Iterator<Item = &mut Point> {
        self.points.iter_mut().skip(from).take(most)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }
}
