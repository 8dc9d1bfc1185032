//! One request, asked of a configuration, and what came of it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::RefCell;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::view::Value;
use filter_core::{
    Attribute, Count, Edit, Filter, HeaderMap, Headers, Invalid, Metrics, Phase, View,
};

/// Who is in front of the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    None,
    /// With this URI in its certificate.
    Uri(&'static str),
    /// The workload, by the listener for what goes out.
    Outbound,
    /// Somebody, by the listener for what comes in.
    Inbound,
}

/// What came of a request.
pub(crate) struct Asked {
    pub(crate) evidence: Vec<String>,
    /// The stats that were counted in, besides decisions, with their labels.
    pub(crate) counted: Vec<String>,
    pub(crate) reroute: bool,
    pub(crate) attributes: Vec<Attribute>,
    map: HeaderMap,
    edits: Vec<Edit>,
    response: Vec<Edit>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

impl Asked {
    pub(crate) fn of(document: &str, path: &str, peer: Peer, lines: &[(&str, &str)]) -> Self {
        let mut metrics = Metrics::default();
        let filter = canary::Canary::configure(document.as_bytes(), &mut metrics).unwrap();
        let pseudo = [(":method", "GET"), (":authority", "a.example"), (":path", path)];
        let map = HeaderMap::from_pairs(pseudo.iter().chain(lines).copied());
        let known = match peer {
            Peer::None => vec![],
            Peer::Uri(uri) => vec![(Attribute::PeerUri, Value::Text(uri.into()))],
            Peer::Outbound => vec![(Attribute::ListenerDirection, Value::Number(2))],
            Peer::Inbound => vec![(Attribute::ListenerDirection, Value::Number(1))],
        };
        let attributes = filter.attributes(Phase::Request);
        let exchange = FixtureExchange {
            request: map.clone(),
            attributes: known.into_iter().filter(|(name, _)| attributes.contains(name)).collect(),
            ..FixtureExchange::default()
        };
        let mut memo = canary::Memo::default();
        WORLD.with_borrow(|world| {
            let view = View::new(&exchange, Phase::Request, &[]);
            let outcome = filter.on_request(&view, &mut memo, &world.ports());
            let view = View::new(&exchange, Phase::Response, &[]);
            let response = filter.on_response(&view, &mut memo, &world.ports());
            let stat = |count: &Count| match count {
                Count::Add(series, _) | Count::Record(series, _) => {
                    metrics.stat(*series).unwrap().1
                }
            };
            Self {
                evidence: outcome
                    .decisions
                    .iter()
                    .map(|decision| decision.evidence().to_owned())
                    .collect(),
                counted: outcome.counts.iter().map(stat).collect(),
                reroute: outcome.reroute,
                attributes,
                map,
                edits: outcome.edits,
                response: response.edits,
            }
        })
    }

    /// Every copy of a header as the upstream gets it.
    pub(crate) fn upstream(&self, name: &str) -> Vec<String> {
        let copies = Headers::new(&self.map, &self.edits);
        copies.copies(name).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
    }

    /// The cookies that the client is given, after some that the upstream gives.
    pub(crate) fn cookies(&self) -> Vec<String> {
        let theirs = HeaderMap::from_pairs([("set-cookie", "theirs=1")]);
        let copies = Headers::new(&theirs, &self.response);
        let lines =
            copies.copies("set-cookie").map(|line| String::from_utf8(line.to_vec()).unwrap());
        let mut lines: Vec<String> = lines.collect();
        assert_eq!(lines.remove(0), "theirs=1");
        lines
    }
}

/// Why a configuration is refused.
pub(crate) fn refusal(document: &str) -> Invalid {
    canary::Canary::configure(document.as_bytes(), &mut Metrics::default()).unwrap_err()
}
