//! The telemetry filter: tells which route a request takes, for logs, traces and later filters, and counts each request
//! once, by route, method, outcome and whatever labels it is told to.
//!
//! In reading order: `classify` tells what a request is, by the trie of `route`, the documents of `openapi`, the
//! `descriptor`s of gRPC and the `guess`es of `learned` templates; `end` tells how it ended, in the words of `outcome` and
//! `error`; `label` puts values of a `source` within bounds; `meter` counts, in the `series` that `admission` gives, what
//! `slo` says too, and `usage` tells how many of them there are by now; `attribute`, `redact` and `worth` are published
//! beside it; `config` parses. If told to, `trace` looks after the trace that the request is part of, and `otlp` sends
//! spans and metrics.

mod admission;
mod attribute;
mod classify;
mod config;
mod descriptor;
mod end;
mod error;
mod guess;
mod label;
mod learned;
mod meter;
mod method;
mod notes;
mod openapi;
mod otlp;
mod outcome;
mod publish;
mod redact;
mod route;
mod series;
mod slo;
mod source;
mod trace;
mod usage;
mod value;
mod worth;

use std::cell::Cell;
use std::time::Duration;

use filter_core::{
    Answer, Attribute, Chores, Count, Errand, Filter, Invalid, Metrics, Outcome, Phase, Ports,
    Publication, Stated, View,
};

use classify::{Arrival, Classifier};
use end::End;
use meter::{Meter, Request, Took, by_labels};
use otlp::metrics::{Reading, Readings};
use otlp::spans::Spans;
use otlp::{Exporter, Source as _};
use publish::Publisher;
use trace::context::Context;
use trace::{Hop, Tracing};

/// The routes, what is published of requests, and the series that they are counted in.
#[derive(Debug)]
pub struct Telemetry {
    classifier: Classifier,
    publisher: Publisher,
    meter: Meter,
    sinks: Sinks,
    tracing: Option<Tracing>,
    /// What a collector is told of.
    readings: Option<Exporter<Readings>>,
    /// Whether it matters how requests end.
    heeds_ends: bool,
    /// Whether what is told once is told. It is told again after a new configuration, and by each worker.
    told: Cell<bool>,
}

/// Where the end of a request is told, if anywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sinks {
    pub(crate) metrics: bool,
    /// Filter state, for what is known when a request ends.
    pub(crate) state_at_end: bool,
}

/// What is kept of a request from its arrival to its end.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    seen: Seen,
    traced: Traced,
}

/// How much of a request was seen.
#[derive(Clone, Debug, Default)]
enum Seen {
    /// Nothing: it has not arrived.
    #[default]
    Nothing,
    /// That it arrived, which is all if its end does not matter.
    Arrival,
    /// What is wanted of it at its end.
    Kept(Kept),
}

#[derive(Clone, Debug)]
struct Kept {
    arrival: Arrival,
    grpc: bool,
    /// Whether its `x-request-id` is in the sample.
    sampled: bool,
}

/// What is known of the trace that a request is part of.
#[derive(Clone, Copy, Debug, Default)]
struct Traced {
    /// This hop's span.
    hop: Option<Hop>,
    /// The place of the request in a trace that is recorded, if it may be an example of others.
    place: Option<Context>,
}

impl Filter for Telemetry {
    const NAME: &'static str = "telemetry";

    const LATER: &'static [Phase] = &[Phase::Response, Phase::Log];

    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        config::parse(document, metrics)
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        let mut attributes = match phase {
            Phase::Log if self.heeds_ends => {
                let how = [
                    Attribute::ResponseCode,
                    Attribute::ResponseFlags,
                    Attribute::ResponseGrpcStatus,
                ];
                let why = self.sinks.state_at_end.then_some(Attribute::ResponseCodeDetails);
                let more = why.into_iter().chain(self.publisher.attributes());
                how.into_iter().chain(self.meter.attributes()).chain(more).collect()
            }
            Phase::Request | Phase::Response | Phase::Log => Vec::new(),
        };
        attributes.extend(self.tracing.iter().flat_map(|tracing| tracing.attributes(phase)));
        attributes
    }

    fn expressions(&self) -> Vec<Stated> {
        self.publisher.expressions()
    }

    fn late_expressions(&self) -> Vec<Stated> {
        self.publisher.late_expressions()
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let request = view.request();
        let arrival = self.classifier.classify(request, ports.cells);
        let publish = self.publisher.at_arrival(*view, &self.classifier, &arrival);
        let mut outcome = Outcome { publish, ..Outcome::pass() };
        if self.tracing.is_some() || self.readings.is_some() {
            memo.traced = self.trace(view, &mut outcome, ports);
        }
        memo.seen = if self.heeds_ends {
            let (grpc, sampled) = (request.is_grpc(), self.publisher.samples(request));
            Seen::Kept(Kept { arrival, grpc, sampled })
        } else {
            Seen::Arrival
        };
        outcome
    }

    fn heeds(&self, _: &Memo, phase: Phase) -> bool {
        self.tracing.is_some() || (self.heeds_ends && phase == Phase::Log)
    }

    fn on_response(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let edits = self.tracing.as_ref().zip(memo.traced.hop.as_ref());
        let edits = edits.map(|(tracing, hop)| tracing.on_response(hop, view.response()));
        Outcome { edits: edits.unwrap_or_default(), ..Outcome::pass() }
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let mut outcome = Outcome::pass();
        let kept = match std::mem::take(&mut memo.seen) {
            Seen::Kept(kept) => kept,
            Seen::Arrival => return outcome,
            Seen::Nothing => {
                let (kept, published) = self.late_arrival(*view, ports);
                outcome.publish = published;
                kept
            }
        };
        let Kept { mut arrival, grpc, sampled } = kept;
        let route = self.classifier.route(arrival.taken);
        let (expected, threshold) =
            route.map_or((&[][..], None), |route| (&route.expected, route.threshold));
        let end = End::of(*view, grpc, expected);
        let counts = &mut outcome.counts;
        self.classifier.learn(&mut arrival, end, ports.cells, &self.meter.notes, counts);
        let rows = self.meter.rows(*view, &arrival, end, ports, counts);
        let took = Took::of(*view);
        if self.sinks.metrics || self.readings.is_some() {
            let request = Request { end, took, threshold, rows: &rows };
            let counted = self.meter.count(*view, &request, ports, counts);
            if let Some(readings) = &self.readings {
                let place = memo.traced.place;
                readings.record(Reading { counts: &counted, took, place }, ports);
            }
            if self.sinks.metrics {
                // Mostly nothing was noted that these would have to come after.
                if counts.is_empty() {
                    *counts = counted;
                } else {
                    counts.extend(counted);
                }
                if !self.told.replace(true) {
                    counts.extend(self.meter.first());
                }
                self.meter.tally(counts, ports);
            }
        }
        if self.publisher.heeds_ends() {
            let ended = publish::Ended { end, took, threshold, sampled };
            outcome.publish.extend(self.publisher.at_end(*view, ended));
        }
        if self.sinks.state_at_end {
            let labels = &self.meter.labels;
            outcome.publish.extend(publish::end(end, labels, by_labels(&rows)));
        }
        if let (Some(tracing), Some(hop)) = (&self.tracing, &memo.traced.hop) {
            outcome.counts.extend(self.span(*view, tracing, hop, &arrival, ports));
        }
        outcome
    }

    fn period(&self) -> Option<Duration> {
        let spans = self.spans().map(Exporter::period);
        spans.into_iter().chain(self.readings.as_ref().map(Exporter::period)).min()
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let mut chores = self.spans().map(|spans| spans.on_tick(ports)).unwrap_or_default();
        let readings = self.readings.as_ref().map(|readings| readings.on_tick(ports));
        chores.extend(readings.unwrap_or_default());
        chores
    }

    fn on_fetched(&self, errand: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores {
        let chores = match &self.readings {
            Some(readings) if errand == Readings::ERRAND => {
                Some(readings.on_fetched(answer, ports))
            }
            _ => self.spans().map(|spans| spans.on_fetched(answer, ports)),
        };
        chores.unwrap_or_default()
    }
}

impl Telemetry {
    fn spans(&self) -> Option<&Exporter<Spans>> {
        self.tracing.as_ref()?.exporter.as_ref()
    }

    /// Looks after the trace that the request is part of.
    #[inline(never)]
    fn trace(&self, view: &View<'_>, outcome: &mut Outcome, ports: &Ports<'_>) -> Traced {
        let (place, hop) = match &self.tracing {
            Some(tracing) => {
                let (traced, place, hop) = tracing.on_request(view, ports);
                outcome.extend(traced);
                (place, hop)
            }
            None => (trace::untouched(view.request()), None),
        };
        let recorded = |place: &Context| self.readings.is_some() && place.sampled == Some(true);
        Traced { hop, place: place.filter(recorded) }
    }

    /// What a request was that is seen for the first time as it ends.
    #[inline(never)]
    fn late_arrival(&self, view: View<'_>, ports: &Ports<'_>) -> (Kept, Vec<Publication>) {
        let request = view.request();
        let arrival = self.classifier.classify(request, ports.cells);
        let published = self.publisher.at_arrival(view, &self.classifier, &arrival);
        let (grpc, sampled) = (request.is_grpc(), self.publisher.samples(request));
        (Kept { arrival, grpc, sampled }, published)
    }

    /// Ends this hop's span.
    #[inline(never)]
    fn span(
        &self,
        view: View<'_>,
        tracing: &Tracing,
        hop: &Hop,
        arrival: &Arrival,
        ports: &Ports<'_>,
    ) -> Option<Count> {
        let route = || self.classifier.deed(arrival).map(|deed| deed.template);
        let code = view.number(Attribute::ResponseCode);
        tracing.on_log(hop, arrival.method.as_str(), route, code, ports)
    }
}

#[cfg(test)]
mod tests;
