//! What was measured, as sums since this worker began to count.
//!
//! A stream of points has one writer in OpenTelemetry, so that each worker's is one of its own, by a random
//! `service.instance.id`: a worker that begins anew is a new stream, and nothing is counted twice. The sums are
//! cumulative: a point that does not arrive is made up for by the next, nothing needs to be kept or merged for it, and it
//! is what OpenTelemetry's SDKs send unless told otherwise and Prometheus wants.

use std::collections::BTreeMap;
use std::time::Duration;

use filter_core::metrics::{InvalidMetric, LabelValue, Metrics};
use filter_core::{Count, Errand, Ports, Series};

use super::tally::{Attributes, Exemplar, Instrument, Measure, Tally, Value};
use super::{Batch, Collector, Exporter, Fate, Source, proto};
use crate::meter::Took;
use crate::trace::context::Context;

/// What one worker measured.
#[derive(Debug)]
pub(crate) struct Readings {
    instruments: Vec<(Instrument, Tally)>,
    /// Which of those a family of series belongs to.
    of_family: BTreeMap<u16, usize>,
    /// What the labels of series are.
    names: Metrics,
    /// How many points are sent at once.
    batch: usize,
    /// When it began to count, since the epoch.
    begun: Option<Duration>,
    /// `service.instance.id`.
    instance: Option<String>,
    /// Which instrument and which of its points are sent next. It is the first of all but amid a round.
    next: (usize, usize),
}

/// A request that ended, as it was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    /// In which series, and of sizes how much.
    pub(crate) counts: &'a [Count],
    /// How long it took.
    pub(crate) took: Option<Took>,
    /// Its place in a trace, if that is recorded.
    pub(crate) place: Option<Context>,
}

impl Exporter<Readings> {
    /// An exporter that has measured nothing. `metrics` know all series of the instruments.
    ///
    /// # Errors
    /// When there are too many series.
    pub(crate) fn new(
        collector: Collector,
        batch: usize,
        instruments: Vec<Instrument>,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let families = instruments.iter().enumerate().flat_map(|(place, instrument)| {
            instrument.families.iter().map(move |family| (*family, place))
        });
        let readings = Readings {
            of_family: families.collect(),
            instruments: instruments.into_iter().map(|each| (each, Tally::default())).collect(),
            names: metrics.clone(),
            batch,
            begun: None,
            instance: None,
            next: (0, 0),
        };
        Self::of(readings, collector, &[Fate::Sent, Fate::Rejected, Fate::Failed], metrics)
    }

    /// Adds a request that ended.
    #[inline(never)]
    pub(crate) fn record(&self, reading: Reading<'_>, ports: &Ports<'_>) {
        if let Ok(mut state) = self.state.try_borrow_mut() {
            state.source.record(reading, ports);
        }
    }
}

impl Readings {
    /// The clock is read for the first request of all, and for one that becomes an exemplar.
    fn record(&mut self, reading: Reading<'_>, ports: &Ports<'_>) {
        let mut read = None;
        let mut now = || *read.get_or_insert_with(|| ports.clock.wall());
        // The interval of a point does not hold its begin.
        self.begun.get_or_insert_with(|| now().saturating_sub(Duration::from_nanos(1)));
        for count in reading.counts {
            let (Count::Add(series, counted) | Count::Record(series, counted)) = *count;
            let place = self.of_family.get(&series.family);
            let Some((instrument, tally)) =
                place.and_then(|place| self.instruments.get_mut(*place))
            else {
                continue;
            };
            let value = match (instrument.measure, reading.took) {
                (Measure::Time, Some(took)) => took.nanos(),
                _ => counted,
            };
            let names = &self.names;
            let exemplar = || {
                let Context { trace, span, .. } = reading.place?;
                Some(Exemplar { value, time: now(), trace, span })
            };
            let attributes = || attributes(names, series, instrument.rests);
            tally.record(instrument.measure, series, value, attributes, exemplar);
        }
    }
}

impl Source for Readings {
    const ERRAND: Errand = Errand(1);
    const COUNTER: &'static str = "outrigger_telemetry_points_total";

    fn waits(&self) -> bool {
        self.begun.is_some()
    }

    /// The rest of a round follows at once. One that was given up goes on where it was, so that no point keeps the others
    /// from being told.
    fn presses(&self) -> bool {
        self.next != (0, 0)
    }

    fn take(&mut self, resource: &[(String, String)], ports: &Ports<'_>) -> Option<Batch> {
        if self.instance.is_none() {
            self.instance = instance(ports.entropy.seed());
        }
        let instance = ("service.instance.id".to_owned(), self.instance.clone()?);
        let resource = [resource, &[instance]].concat();
        let begun = self.begun?;
        let times = (begun, ports.clock.wall().max(begun));
        let (first, passed) = std::mem::take(&mut self.next);
        let (mut room, mut metrics) = (self.batch, Vec::new());
        for (place, (instrument, tally)) in self.instruments.iter_mut().enumerate().skip(first) {
            let from = if place == first { passed } else { 0 };
            let there = tally.len().saturating_sub(from);
            let taken = there.min(room);
            if taken > 0 {
                let points = tally.points(from, taken);
                metrics.push(proto::metrics::metric(instrument, points, times));
            }
            room = room.saturating_sub(taken);
            if taken < there {
                self.next = (place, from.saturating_add(taken));
                break;
            }
        }
        let items = u64::try_from(self.batch.saturating_sub(room)).unwrap_or(u64::MAX);
        Some(Batch { items, body: proto::metrics::request(&resource, metrics) })
    }
}

/// What a series is about. One that stands for what was not admitted says so, as OpenTelemetry's SDKs do.
fn attributes(names: &Metrics, series: Series, rests: u32) -> Attributes {
    let labels = names.labelled(series).unwrap_or_default();
    let told = labels.into_iter().filter_map(|(label, value)| attribute(label, value));
    let rest = (series.index < rests).then_some(("otel.metric.overflow", Value::Flag));
    told.chain(rest).collect()
}

/// A label by OpenTelemetry's name, if there is one. What its conventions have no word for is left out there.
fn attribute(label: &'static str, value: &LabelValue) -> Option<(&'static str, Value)> {
    let absent = matches!(value.as_str(), "_other" | "unknown");
    let text = |name| Some((name, Value::Text(value.clone())));
    match label {
        "http_request_method" => text("http.request.method"),
        "http_route" if absent => None,
        "http_route" => text("http.route"),
        "http_response_status_code" => {
            let code = value.as_str().parse().ok().map(Value::Number);
            code.map(|code| ("http.response.status_code", code))
        }
        "error_type" => text("error.type"),
        "network_protocol_version" if absent => None,
        "network_protocol_version" => text("network.protocol.version"),
        own => text(own),
    }
}

/// A random id (UUID version 4, RFC 9562 §5.4), unless there is no randomness.
fn instance(seed: [u8; 16]) -> Option<String> {
    let number = u128::from_be_bytes(seed);
    if number == 0 {
        return None;
    }
    let number = number & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let mut text = format!("{number:032x}");
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    Some(text)
}
