//! From `traceContext.otlp` in the document to who is told of spans, or a refusal.

use std::collections::BTreeMap;
use std::time::Duration;

use filter_core::config::{Span, Whole, step};
use filter_core::{Invalid, Metrics};
use serde::Deserialize;

use crate::otlp::{Collector, Exporter};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawOtlp {
    cluster: String,
    authority: Option<String>,
    path: Option<String>,
    timeout: Option<Span>,
    schedule_delay: Option<Span>,
    max_queue_size: Option<Whole>,
    max_export_batch_size: Option<Whole>,
    service_name: String,
    resource_attributes: Option<BTreeMap<String, String>>,
}

/// The defaults of OpenTelemetry's batch span processor, and the most that one worker may keep.
const QUEUE: u64 = 2048;
const BATCH: u64 = 512;
const LARGEST: u64 = 65_536;

impl RawOtlp {
    /// # Errors
    /// The first field that cannot be, by its pointer in `otlp`.
    pub(super) fn compile(self, metrics: &mut Metrics) -> Result<Exporter, Invalid> {
        let word =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let path = self.path.unwrap_or_else(|| "/v1/traces".to_owned());
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
            time => Ok(time.unwrap_or(Duration::from_secs(usual))),
        };
        let number = |pointer, most: u64, number: Option<Whole>, usual| match number {
            Some(Whole(number)) if !(1..=most).contains(&number) => {
                Err(Invalid::at(pointer, format!("1 to {most}"), number.to_string()))
            }
            number => Ok(number.map_or(usual, |Whole(number)| number)),
        };
        let queue = number("/maxQueueSize", LARGEST, self.max_queue_size, QUEUE)?;
        let batch =
            number("/maxExportBatchSize", queue, self.max_export_batch_size, BATCH.min(queue))?;
        let given = self.resource_attributes.unwrap_or_default();
        if let Some(name) = given.keys().find(|name| name.is_empty() || *name == "service.name") {
            let pointer = format!("/resourceAttributes{}", step(name));
            return Err(Invalid::at(pointer, "a name other than `service.name`", name.as_str()));
        }
        let service = ("service.name".to_owned(), self.service_name);
        let collector = Collector {
            cluster: self.cluster,
            authority,
            path,
            timeout: time("/timeout", self.timeout, 10)?,
            delay: time("/scheduleDelay", self.schedule_delay, 5)?,
            queue: usize::try_from(queue).unwrap_or(usize::MAX),
            batch: usize::try_from(batch).unwrap_or(usize::MAX),
            resource: std::iter::once(service).chain(given).collect(),
        };
        Exporter::new(collector, metrics)
            .map_err(|invalid| Invalid::at("", "room for four more series", invalid.to_string()))
    }
}

const HOUR: Duration = Duration::from_secs(3600);
