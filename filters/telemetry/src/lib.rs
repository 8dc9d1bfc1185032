//! The telemetry filter: tells which route a request takes, for logs, traces and later filters, and counts each request
//! once, by route, method and outcome. If told to, it looks after the trace that the request is part of.

mod config;
mod labels;
mod method;
mod otlp;
mod outcome;
mod route;
mod trace;

use std::time::Duration;

use filter_core::{
    Answer, Attribute, Chores, Errand, Filter, Headers, Invalid, Metrics, Outcome, Phase, Ports,
    Publication, View,
};

use filter_core::matching::path::canonical;
use filter_core::metrics::MAX_SERIES;

use labels::Requests;
use method::Method;
use otlp::Exporter;
use outcome::Ending;
use route::Routes;
use trace::{Hop, Tracing};

/// The routes, and the series that their requests are counted in.
#[derive(Debug)]
pub struct Telemetry {
    routes: Routes,
    requests: Requests,
    tracing: Option<Tracing>,
}

/// What a request was when it arrived. At its end its path may have been rewritten.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memo(Option<Arrival>, Option<Hop>);

#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// The rank of the route it took.
    route: Option<usize>,
    method: Method,
    grpc: bool,
}

impl Filter for Telemetry {
    const NAME: &'static str = "telemetry";

    const LATER: &'static [Phase] = &[Phase::Response, Phase::Log];

    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let (routes, tracing) = config::read(document, metrics)?;
        let requests = Requests::declare(routes.ranked(), metrics).map_err(|invalid| {
            let expected = format!("routes that need at most {MAX_SERIES} metric series in all");
            Invalid::at("/routes", expected, invalid.to_string())
        })?;
        Ok(Self { routes, requests, tracing })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        let mut attributes = match phase {
            Phase::Log => Ending::ATTRIBUTES.to_vec(),
            Phase::Request | Phase::Response => Vec::new(),
        };
        attributes.extend(self.tracing.iter().flat_map(|tracing| tracing.attributes(phase)));
        attributes
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let arrival = self.classify(view.request());
        memo.0 = Some(arrival);
        let mut outcome = Outcome { publish: self.publish(arrival), ..Outcome::pass() };
        if let Some(tracing) = &self.tracing {
            let (traced, hop) = tracing.on_request(view, ports);
            outcome.extend(traced);
            memo.1 = hop;
        }
        outcome
    }

    fn on_response(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let edits = self.tracing.as_ref().zip(memo.1.as_ref());
        let edits = edits.map(|(tracing, hop)| tracing.on_response(hop, view.response()));
        Outcome { edits: edits.unwrap_or_default(), ..Outcome::pass() }
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let (arrival, publish) = match memo.0 {
            Some(arrival) => (arrival, Vec::new()),
            None => {
                let arrival = self.classify(view.request());
                (arrival, self.publish(arrival))
            }
        };
        let end = Ending::of(*view, arrival.grpc);
        let count = self.requests.count(arrival.route, arrival.method, end);
        let span = self.tracing.as_ref().zip(memo.1.as_ref()).and_then(|(tracing, hop)| {
            let route = arrival.route.and_then(|rank| self.routes.ranked().get(rank));
            let route = route.map(|route| route.template.as_str());
            let code = view.number(Attribute::ResponseCode);
            tracing.on_log(hop, arrival.method.as_str(), route, code, ports)
        });
        Outcome { publish, counts: count.into_iter().chain(span).collect(), ..Outcome::pass() }
    }

    fn period(&self) -> Option<Duration> {
        self.exporter().map(Exporter::period)
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        self.exporter().map(|exporter| exporter.on_tick(ports)).unwrap_or_default()
    }

    fn on_fetched(&self, _: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores {
        self.exporter().map(|exporter| exporter.on_fetched(answer, ports)).unwrap_or_default()
    }
}

impl Telemetry {
    fn exporter(&self) -> Option<&Exporter> {
        self.tracing.as_ref()?.exporter.as_ref()
    }

    /// What the request is. A path that servers read differently takes no route.
    fn classify(&self, request: Headers<'_>) -> Arrival {
        let method = Method::of(request.method());
        let path = canonical(request.path());
        let route = path.ok().and_then(|path| self.routes.find(&path, method));
        Arrival { route, method, grpc: request.is_grpc() }
    }

    fn publish(&self, arrival: Arrival) -> Vec<Publication> {
        let route = arrival.route.and_then(|rank| self.routes.ranked().get(rank));
        let publication = route.map(|route| Publication {
            name: "http_route",
            value: route.template.as_str().as_bytes().to_vec(),
        });
        publication.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
