//! From the document to a filter, or a refusal.

mod baggage;
mod chosen;
mod grpc;
mod labels;
mod otlp;
mod published;
mod routes;
mod trace;

use std::cell::Cell;

use filter_core::Invalid;
use filter_core::config::{Object, Span, Whole, parse as parse_document};
use filter_core::matching::NonEmpty;
use filter_core::metrics::{MAX_SERIES, Metrics};
use serde::Deserialize;

use crate::classify::Classifier;
use crate::end::{Detail, Shown};
use crate::learned::Table;
use crate::meter::{Excess, MAX_HISTOGRAMS, Meter, Objectives, Wanted};
use crate::publish::{self, Publisher};
use crate::{Sinks, Telemetry};
use chosen::{Choice, chosen};
use grpc::RawService;
use labels::RawLabels;
use published::{RawAttribute, RawLog, RawRedaction};
use routes::{RawDocument, RawRoute};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a JSON object")]
struct Raw {
    routes: Option<NonEmpty<Object<RawRoute>>>,
    openapi: Option<NonEmpty<RawDocument>>,
    grpc: Option<NonEmpty<Object<RawService>>>,
    heuristic: Option<Object<RawHeuristic>>,
    attributes: Option<NonEmpty<Object<RawAttribute>>>,
    labels: Option<Object<RawLabels>>,
    duration: Option<Object<RawMetric>>,
    body_sizes: Option<Object<RawMetric>>,
    slo: Option<Object<RawSlo>>,
    max_series: Option<Whole>,
    log: Option<Object<RawLog>>,
    redact: Option<Object<RawRedaction>>,
    sinks: Option<NonEmpty<RawSink>>,
    trace_context: Option<Object<trace::RawTraceContext>>,
    otlp: Option<Object<otlp::RawMetrics>>,
    #[serde(default)]
    debug: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawHeuristic {
    max_routes: Whole,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawMetric {
    labels: Option<NonEmpty<Choice>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSlo {
    latency_threshold: Option<Span>,
    labels: Option<NonEmpty<Choice>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum RawSink {
    FilterState,
    FilterStateAtEnd,
    Metrics,
}

/// The most places of a table of learned values: what one cell can hold in 64 KiB.
const MAX_LEARNED: u64 = 1000;

/// The most series that are admitted to one metric: what one cell can hold in 32 KiB.
const MAX_ADMITTED: u64 = 4000;

/// The filter that the document describes. Nothing at all is how Istio sends `{}`.
pub(crate) fn parse(document: &[u8], metrics: &mut Metrics) -> Result<Telemetry, Invalid> {
    let raw: Raw = parse_document(if document.is_empty() { b"{}" } else { document })?;
    let tracing = raw.trace_context.map(|Object(raw)| raw.compile(metrics)).transpose();
    let tracing = tracing.map_err(|invalid| invalid.under("/traceContext"))?;
    let list = |list: Option<NonEmpty<Object<RawRoute>>>| list.map(NonEmpty::into_vec);
    let documents = raw.openapi.map(NonEmpty::into_vec).unwrap_or_default();
    let services = raw.grpc.map(NonEmpty::into_vec).unwrap_or_default();
    let routes = routes::compile(list(raw.routes).unwrap_or_default(), documents, services)?;
    let learned = match raw.heuristic {
        Some(Object(raw)) => {
            let room =
                room(raw.max_routes).map_err(|invalid| invalid.under("/heuristic/maxRoutes"))?;
            Some(Table::new("http_route", room, "heuristic"))
        }
        None => None,
    };

    let labelled = raw.labels.is_some();
    let labels = raw.labels.map(|Object(raw)| raw).unwrap_or_default();
    let (labels, mut detail) = labels.compile().map_err(|invalid| invalid.under("/labels"))?;
    let expects = routes.ranked().iter().any(|route| !route.expected.is_empty());
    detail.expected = expects.then_some(Shown);
    let choose = |of: &str, choices: Option<NonEmpty<Choice>>, detail: Option<&Detail>| {
        let choices = choices.map(NonEmpty::into_vec).unwrap_or_default();
        chosen(&choices, &labels, detail).map_err(|invalid| invalid.under(&format!("/{of}/labels")))
    };
    let durations = raw.duration.map(|Object(raw)| choose("duration", raw.labels, Some(&detail)));
    let sizes = raw.body_sizes.map(|Object(raw)| choose("bodySizes", raw.labels, None));
    let (durations, sizes) = (durations.transpose()?, sizes.transpose()?.map(|(labels, _)| labels));
    let objectives = match raw.slo {
        Some(Object(raw)) => {
            let threshold = raw.latency_threshold.map(|span| span.0);
            Some(Objectives { threshold, labels: choose("slo", raw.labels, None)?.0 })
        }
        None => None,
    };

    let log = raw.log.map(|Object(raw)| raw.compile()).transpose();
    let redaction = raw.redact.map(|Object(raw)| raw.compile()).transpose();
    let sinks = raw.sinks.map(NonEmpty::into_vec);
    let sinks = sinks.unwrap_or(vec![RawSink::FilterState, RawSink::Metrics]);
    let publisher = Publisher::new(publish::Wanted {
        route: sinks.contains(&RawSink::FilterState),
        attributes: published::attributes(raw.attributes)?,
        redaction: redaction.map_err(|invalid| invalid.under("/redact"))?,
        worth: log.map_err(|invalid| invalid.under("/log"))?,
        debug: raw.debug,
    });
    let sinks = Sinks {
        metrics: sinks.contains(&RawSink::Metrics),
        state_at_end: sinks.contains(&RawSink::FilterStateAtEnd),
    };

    let most = raw.max_series.map(|most| {
        let fits = (1..=MAX_ADMITTED).contains(&most.0);
        fits.then(|| usize::try_from(most.0).ok()).flatten().ok_or_else(|| {
            let expected = format!("a number from 1 to {MAX_ADMITTED}");
            Invalid::at("/maxSeries", expected, most.0.to_string())
        })
    });
    let most = most.transpose()?;
    let wanted = Wanted { detail, labels, durations, sizes, objectives, most };
    let meter = Meter::declare(wanted, routes.ranked(), learned.as_ref(), metrics);
    let meter = meter.map_err(|excess| match excess {
        Excess::Series(invalid) if labelled => {
            let expected =
                format!("`maxSeries`, or routes and labels that need at most {MAX_SERIES} metric series in all");
            Invalid::at("/labels", expected, invalid.to_string())
        }
        Excess::Series(invalid) => {
            let expected = format!("routes that need at most {MAX_SERIES} metric series in all");
            Invalid::at("/routes", expected, invalid.to_string())
        }
        Excess::Histograms(count) => {
            let expected =
                format!("routes and labels that need at most {MAX_HISTOGRAMS} histograms in all");
            Invalid::at("/duration", expected, format!("{count} histograms"))
        }
    })?;
    let readings = raw.otlp.map(|Object(raw)| raw.compile(&meter, metrics)).transpose();
    let readings = readings.map_err(|invalid| invalid.under("/otlp"))?;
    let spans = tracing.as_ref().is_some_and(|tracing| tracing.exporter.is_some());
    let heeds_ends = sinks.metrics
        || sinks.state_at_end
        || learned.is_some()
        || spans
        || readings.is_some()
        || publisher.heeds_ends();
    let classifier = Classifier { routes, learned };
    let told = Cell::new(false);
    Ok(Telemetry { classifier, publisher, meter, sinks, tracing, readings, heeds_ends, told })
}

/// How many values may be learned.
fn room(number: Whole) -> Result<usize, Invalid> {
    let fits = (1..=MAX_LEARNED).contains(&number.0);
    let room = fits.then(|| usize::try_from(number.0).ok()).flatten();
    room.ok_or_else(|| {
        Invalid::at("", format!("a number from 1 to {MAX_LEARNED}"), number.0.to_string())
    })
}

#[cfg(test)]
mod tests;
