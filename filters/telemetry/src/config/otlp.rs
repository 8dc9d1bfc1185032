//! From `otlp` and `traceContext.otlp` in the document to who is told of metrics and of spans, or a refusal.

use std::collections::BTreeMap;
use std::time::Duration;

use filter_core::config::{Span, Whole, step};
use filter_core::{HeaderName, Invalid, Metrics};
use serde::Deserialize;

use crate::meter::Meter;
use crate::otlp::metrics::Readings;
use crate::otlp::spans::Spans;
use crate::otlp::{Collector, Exporter};

/// Who is told of spans.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawSpans {
    cluster: String,
    authority: Option<String>,
    path: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    timeout: Option<Span>,
    schedule_delay: Option<Span>,
    max_queue_size: Option<Whole>,
    max_export_batch_size: Option<Whole>,
    service_name: String,
    resource_attributes: Option<BTreeMap<String, String>>,
}

/// Who is told of metrics.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawMetrics {
    cluster: String,
    authority: Option<String>,
    path: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    timeout: Option<Span>,
    export_interval: Option<Span>,
    max_export_batch_size: Option<Whole>,
    service_name: String,
    resource_attributes: Option<BTreeMap<String, String>>,
}

/// What is said of a collector, whatever it is told.
struct RawCollector {
    cluster: String,
    authority: Option<String>,
    path: String,
    headers: Option<BTreeMap<String, String>>,
    timeout: Option<Span>,
    delay: (&'static str, Option<Span>, Duration),
    service_name: String,
    resource_attributes: Option<BTreeMap<String, String>>,
}

/// The defaults of OpenTelemetry's batch span processor, and the most that one worker may keep.
const QUEUE: u64 = 2048;
const BATCH: u64 = 512;
const LARGEST: u64 = 65_536;
/// The most points of one request: so many have a body of few megabytes, which collectors take.
const POINTS: u64 = 4096;

const HOUR: Duration = Duration::from_secs(3600);

impl RawSpans {
    /// # Errors
    /// The first field that cannot be, by its pointer in `otlp`.
    pub(super) fn compile(self, metrics: &mut Metrics) -> Result<Exporter<Spans>, Invalid> {
        let queue = number("/maxQueueSize", LARGEST, self.max_queue_size, QUEUE)?;
        let batch =
            number("/maxExportBatchSize", queue, self.max_export_batch_size, BATCH.min(queue))?;
        let collector = RawCollector {
            cluster: self.cluster,
            authority: self.authority,
            path: self.path.unwrap_or_else(|| "/v1/traces".to_owned()),
            headers: self.headers,
            timeout: self.timeout,
            delay: ("/scheduleDelay", self.schedule_delay, Duration::from_secs(5)),
            service_name: self.service_name,
            resource_attributes: self.resource_attributes,
        };
        let collector = collector.compile(&["service.name"])?;
        Exporter::<Spans>::new(collector, size(queue), size(batch), metrics)
            .map_err(|invalid| Invalid::at("", "room for four more series", invalid.to_string()))
    }
}

impl RawMetrics {
    /// # Errors
    /// The first field that cannot be, by its pointer in `otlp`.
    pub(super) fn compile(
        self,
        meter: &Meter,
        metrics: &mut Metrics,
    ) -> Result<Exporter<Readings>, Invalid> {
        let batch = number("/maxExportBatchSize", POINTS, self.max_export_batch_size, BATCH)?;
        let collector = RawCollector {
            cluster: self.cluster,
            authority: self.authority,
            path: self.path.unwrap_or_else(|| "/v1/metrics".to_owned()),
            headers: self.headers,
            timeout: self.timeout,
            delay: ("/exportInterval", self.export_interval, Duration::from_secs(60)),
            service_name: self.service_name,
            resource_attributes: self.resource_attributes,
        };
        // Each worker is an instance of its own.
        let collector = collector.compile(&["service.name", "service.instance.id"])?;
        Exporter::<Readings>::new(collector, size(batch), meter.instruments(), metrics)
            .map_err(|invalid| Invalid::at("", "room for three more series", invalid.to_string()))
    }
}

impl RawCollector {
    /// A collector; `own` are attributes of the resource that it is not to be given.
    fn compile(self, own: &[&str]) -> Result<Collector, Invalid> {
        let word =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let path = self.path;
        let authority = self.authority.unwrap_or_else(|| self.cluster.clone());
        let texts = [
            ("/cluster", &self.cluster, word(&self.cluster), "the name of a cluster"),
            ("/authority", &authority, word(&authority), "a host, perhaps with a port"),
            ("/path", &path, word(&path) && path.starts_with('/'), "a path"),
            ("/serviceName", &self.service_name, !self.service_name.is_empty(), "a name"),
        ];
        for (pointer, text, holds, expected) in texts {
            if !holds {
                return Err(Invalid::at(pointer, expected, format!("string {text:?}")));
            }
        }
        let time = |pointer, span: Option<Span>, usual| match span.map(|Span(time)| time) {
            Some(time) if !(Duration::from_millis(100)..=HOUR).contains(&time) => {
                Err(Invalid::at(pointer, "a time from 100ms to 1h", format!("{time:?}")))
            }
            time => Ok(time.unwrap_or(usual)),
        };
        let given = self.resource_attributes.unwrap_or_default();
        if let Some(name) = given.keys().find(|name| name.is_empty() || own.contains(&&***name)) {
            let pointer = format!("/resourceAttributes{}", step(name));
            let own = own.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
            let expected = format!("a name other than {}", own.join(" and "));
            return Err(Invalid::at(pointer, expected, name.as_str()));
        }
        let service = ("service.name".to_owned(), self.service_name);
        let (pointer, delay, usual) = self.delay;
        Ok(Collector {
            cluster: self.cluster,
            authority,
            path,
            headers: headers(self.headers.unwrap_or_default())?,
            timeout: time("/timeout", self.timeout, Duration::from_secs(10))?,
            delay: time(pointer, delay, usual)?,
            resource: std::iter::once(service).chain(given).collect(),
        })
    }
}

/// Headers as they are sent. What makes the request is not to be changed, nor what the proxy sees to.
fn headers(given: BTreeMap<String, String>) -> Result<Vec<(String, String)>, Invalid> {
    const OTHERS: [&str; 5] =
        ["connection", "content-length", "content-type", "host", "transfer-encoding"];
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in given {
        let pointer = format!("/headers{}", step(&name));
        let parsed = HeaderName::parse(&name).map(|name| name.as_str().to_owned());
        let parsed = parsed.filter(|name| !OTHERS.contains(&name.as_str()));
        let parsed = parsed.filter(|name| headers.iter().all(|(other, _)| other != name));
        let Some(name) = parsed else {
            let expected = "a header, once, that the exporter does not set itself";
            return Err(Invalid::at(pointer, expected, name));
        };
        let plain = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !plain || value.trim().len() != value.len() {
            // It may be a secret.
            return Err(Invalid::at(pointer, "one line of printable ASCII", "another value"));
        }
        headers.push((name, value));
    }
    Ok(headers)
}

fn number(pointer: &str, most: u64, given: Option<Whole>, usual: u64) -> Result<u64, Invalid> {
    match given {
        Some(Whole(number)) if !(1..=most).contains(&number) => {
            Err(Invalid::at(pointer, format!("1 to {most}"), number.to_string()))
        }
        given => Ok(given.map_or(usual, |Whole(number)| number)),
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
