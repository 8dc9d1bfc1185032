//! What is counted, in OpenTelemetry's words.

use filter_core::view::Attribute;

use super::Meter;
use crate::admission::Counted;
use crate::otlp::tally::{Instrument, Measure};

impl Meter {
    /// Everything that is counted of requests, but for the sum of durations, which their histogram has.
    pub(crate) fn instruments(&self) -> Vec<Instrument> {
        let requests =
            ("http.server.requests", "Requests that ended.", Measure::Requests, &self.requests);
        let durations = self.durations.iter().map(|durations| {
            let description = "Duration of HTTP server requests.";
            ("http.server.request.duration", description, Measure::Time, &durations.histogram)
        });
        let sizes = self.sizes.iter().flat_map(|sizes| &sizes.metrics);
        let sizes = sizes.map(|(attribute, counted)| {
            let (name, description) = match attribute {
                Attribute::RequestSize => {
                    ("http.server.request.body.size", "Size of HTTP server request bodies.")
                }
                _ => ("http.server.response.body.size", "Size of HTTP server response bodies."),
            };
            (name, description, Measure::Size, counted)
        });
        let objectives = self.objectives.iter().map(|(_, counted)| {
            let description = "Requests that were good, bad or of no matter for an objective.";
            ("http.server.slo.requests", description, Measure::Requests, counted)
        });
        let all = std::iter::once(requests).chain(durations).chain(sizes).chain(objectives);
        all.map(|(name, description, measure, counted)| {
            instrument(name, description, measure, counted)
        })
        .collect()
    }
}

fn instrument(
    name: &'static str,
    description: &'static str,
    measure: Measure,
    counted: &Counted,
) -> Instrument {
    let (families, rests) = counted.families();
    let rests = u32::try_from(rests).unwrap_or(u32::MAX);
    Instrument { name, description, measure, families, rests }
}
