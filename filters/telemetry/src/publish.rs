//! What of a request is left in filter state, for access logs, traces, Istio's metrics and later filters.

use std::time::Duration;

use filter_core::{Attribute as Asked, Headers, Publication, Stated, View};

use crate::attribute::{Attribute, When};
use crate::classify::{Arrival, Classifier, Deed};
use crate::end::End;
use crate::label::Label;
use crate::meter::Took;
use crate::redact::Redaction;
use crate::worth::Worth;

/// The names that are given already, which attributes may not take.
pub(crate) const TAKEN: [&str; 18] = [
    "http_route",
    "request_operation",
    "request_outcome",
    "request_protocol",
    "request_tenant",
    "request_caller_workload",
    "request_canary_version",
    "request_upstream_revision",
    "error_type",
    "log",
    "path_redacted",
    "authorization_scheme",
    "cookie_names",
    "telemetry_debug",
    "authz",
    "canary",
    "ratelimit",
    "telemetry",
];

/// What is published.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    wanted: Wanted,
    /// Whether anything but the route and the operation is wanted when requests arrive.
    more: bool,
    /// Whether anything is when they end.
    late: bool,
}

/// What is to be published.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// `http_route` and `request_operation`, unless the configuration wants metrics alone.
    pub(crate) route: bool,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) redaction: Option<Redaction>,
    pub(crate) worth: Option<Worth>,
    /// Whether `telemetry_debug` is wanted.
    pub(crate) debug: bool,
}

/// How a request ended, as far as it is published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) took: Option<Took>,
    /// That of its route.
    pub(crate) threshold: Option<Duration>,
    pub(crate) sampled: bool,
}

impl Publisher {
    /// Publishes this.
    pub(crate) fn new(wanted: Wanted) -> Self {
        let any = |when| wanted.attributes.iter().any(|attribute| attribute.when == when);
        let more = any(When::Arrived) || wanted.redaction.is_some();
        let late = any(When::Ended) || wanted.worth.is_some() || wanted.debug;
        Self { wanted, more, late }
    }

    /// What can be said when a request arrives.
    pub(crate) fn at_arrival(
        &self,
        view: View<'_>,
        classifier: &Classifier,
        arrival: &Arrival,
    ) -> Vec<Publication> {
        let deed = if self.wanted.route { classifier.deed(arrival) } else { None };
        if self.more {
            return self.with_more(view, deed);
        }
        deed.map_or_else(Vec::new, |deed| {
            let (template, operation) = (deed.template.into_bytes(), deed.operation.into_bytes());
            vec![
                Publication { name: "http_route", value: template },
                Publication { name: "request_operation", value: operation },
            ]
        })
    }

    /// The same, among what else is wanted: an attribute may name the operation.
    #[inline(never)]
    fn with_more(&self, view: View<'_>, deed: Option<Deed>) -> Vec<Publication> {
        let Wanted { route, attributes, redaction, .. } = &self.wanted;
        let mut published = Vec::new();
        let early = attributes.iter().filter(|attribute| attribute.when == When::Arrived);
        let mut operation = None;
        for attribute in early {
            let publication = attribute.publication(view);
            if attribute.names_operation() {
                operation = publication.as_ref().map(|found| found.value.clone());
            }
            published.extend(publication);
        }
        if *route {
            let (template, own) = deed.map(|deed| (deed.template, deed.operation)).unzip();
            let value = template.map(String::into_bytes);
            published.extend(value.map(|value| Publication { name: "http_route", value }));
            let value = operation.or(own.map(String::into_bytes));
            published.extend(value.map(|value| Publication { name: "request_operation", value }));
        }
        if let Some(redaction) = redaction {
            published.extend(redaction.of(view.request()));
        }
        published
    }

    /// What can be said when it ends.
    #[inline(never)]
    pub(crate) fn at_end(&self, view: View<'_>, ended: Ended) -> Vec<Publication> {
        let Wanted { attributes, worth, debug, .. } = &self.wanted;
        let late = attributes.iter().filter(|attribute| attribute.when == When::Ended);
        let mut published: Vec<Publication> =
            late.filter_map(|attribute| attribute.publication(view)).collect();
        let Ended { end, took, threshold, sampled } = ended;
        let worth =
            worth.and_then(|worth| worth.of(end, took.map(Took::duration), threshold, sampled));
        published.extend(worth.map(|why| text("log", why)));
        if *debug {
            let took = took.map_or_else(String::new, |took| took.micros().to_string());
            let details = view.text(Asked::ResponseCodeDetails).unwrap_or_default();
            let told = format!(
                "outcome={},error_type={},microseconds={took},details={}",
                end.outcome.as_str(),
                end.error.unwrap_or_default(),
                String::from_utf8_lossy(&details),
            );
            published.push(text("telemetry_debug", &told));
        }
        published
    }

    /// Whether a request is in the sample of those worth a line.
    pub(crate) fn samples(&self, request: Headers<'_>) -> bool {
        self.wanted.worth.is_some_and(|worth| worth.sample > 0 && worth.samples(request))
    }

    /// Whether it matters how requests end.
    pub(crate) fn heeds_ends(&self) -> bool {
        self.late
    }

    /// The attributes that it needs when a request ends, besides those that tell how it did.
    pub(crate) fn attributes(&self) -> Vec<Asked> {
        let Wanted { worth, debug, .. } = &self.wanted;
        let took = (worth.is_some() || *debug).then_some(Asked::RequestDuration);
        took.into_iter().chain(debug.then_some(Asked::ResponseCodeDetails)).collect()
    }

    /// The conditions that are judged when requests arrive.
    pub(crate) fn expressions(&self) -> Vec<Stated> {
        let all = self.wanted.attributes.iter();
        let early = all.filter(|attribute| attribute.when == When::Arrived);
        early.flat_map(Attribute::conditions).cloned().collect()
    }

    /// The conditions that are judged when they end: all, as some never arrive.
    pub(crate) fn late_expressions(&self) -> Vec<Stated> {
        self.wanted.attributes.iter().flat_map(Attribute::conditions).cloned().collect()
    }
}

/// How a request ended, and where it belongs by each label, in filter state.
#[inline(never)]
pub(crate) fn end(end: End, labels: &[Label], places: &[usize]) -> Vec<Publication> {
    let outcome = text("request_outcome", end.outcome.as_str());
    let error = end.error.map(|error| text("error_type", error));
    let values = labels
        .iter()
        .zip(places)
        .filter_map(|(label, place)| Some(text(label.state, label.value(*place)?.as_str())));
    [outcome].into_iter().chain(error).chain(values).collect()
}

fn text(name: &'static str, value: &str) -> Publication {
    Publication { name, value: value.as_bytes().to_vec() }
}
