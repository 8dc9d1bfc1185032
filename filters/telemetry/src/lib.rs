//! The telemetry filter: tells which route a request takes, for logs, traces and later filters, and counts each request
//! once, by route, method and outcome.

mod config;
mod labels;
mod method;
mod outcome;
mod route;

use filter_core::{
    Attribute, Filter, Headers, Invalid, Metrics, Outcome, Phase, Ports, Publication, View,
};

use filter_core::matching::path::canonical;
use filter_core::metrics::MAX_SERIES;

use labels::Requests;
use method::Method;
use outcome::Ending;
use route::Routes;

/// The routes, and the series that their requests are counted in.
#[derive(Debug)]
pub struct Telemetry {
    routes: Routes,
    requests: Requests,
}

/// What a request was when it arrived. At its end its path may have been rewritten.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memo(Option<Arrival>);

#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// The rank of the route it took.
    route: Option<usize>,
    method: Method,
    grpc: bool,
}

impl Filter for Telemetry {
    const NAME: &'static str = "telemetry";

    const LATER: &'static [Phase] = &[Phase::Log];

    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let routes = config::routes(document)?;
        let requests = Requests::declare(routes.ranked(), metrics).map_err(|invalid| {
            let expected = format!("routes that need at most {MAX_SERIES} metric series in all");
            Invalid::at("/routes", expected, invalid.to_string())
        })?;
        Ok(Self { routes, requests })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        match phase {
            Phase::Log => Ending::ATTRIBUTES.to_vec(),
            Phase::Request | Phase::Response => Vec::new(),
        }
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let arrival = self.classify(view.request());
        memo.0 = Some(arrival);
        Outcome { publish: self.publish(arrival), ..Outcome::pass() }
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let (arrival, publish) = match memo.0 {
            Some(arrival) => (arrival, Vec::new()),
            None => {
                let arrival = self.classify(view.request());
                (arrival, self.publish(arrival))
            }
        };
        let end = Ending::of(*view, arrival.grpc);
        let count = self.requests.count(arrival.route, arrival.method, end);
        Outcome { publish, counts: count.into_iter().collect(), ..Outcome::pass() }
    }
}

impl Telemetry {
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
