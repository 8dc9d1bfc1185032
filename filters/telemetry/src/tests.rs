//! Whole exchanges, and the laws that hold for all of them.

mod attributes;
mod labels;
mod measures;

use std::collections::BTreeMap;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::metrics::MetricKind;
use filter_core::view::Value;
use filter_core::{Count, HeaderMap};
use proptest::prelude::*;

use super::*;

const DOCUMENT: &str = r#"{"routes":[
    {"path":"/"},
    {"path":"/products/{id}","methods":["GET"]},
    {"path":"/pkg.Service/{method}","methods":["POST"]},
    {"path":"/files/{**}"}
]}"#;

fn configured(document: &str) -> (Telemetry, Metrics) {
    let mut metrics = Metrics::default();
    let telemetry = Telemetry::configure(document.as_bytes(), &mut metrics).unwrap();
    (telemetry, metrics)
}

fn exchange(headers: &[(&str, &str)], code: i64) -> FixtureExchange {
    FixtureExchange {
        request: HeaderMap::from_pairs(headers.iter().copied()),
        attributes: BTreeMap::from([
            (Attribute::ResponseCode, Value::Number(code)),
            (Attribute::ResponseFlags, Value::Number(0)),
            (Attribute::ResponseGrpcStatus, Value::Number(2)),
        ]),
        ..FixtureExchange::default()
    }
}

/// The published route and the counted stats of a request that is seen in these phases.
fn played(
    filter: &(Telemetry, Metrics),
    exchange: &FixtureExchange,
    phases: &[Phase],
) -> (Vec<String>, Vec<String>) {
    let world = World::default();
    let mut memo = Memo::default();
    let (mut published, mut counted) = (Vec::new(), Vec::new());
    for phase in phases {
        let view = View::new(exchange, *phase, &[]);
        let outcome = match phase {
            Phase::Request => filter.0.on_request(&view, &mut memo, &world.ports()),
            Phase::Response => filter.0.on_response(&view, &mut memo, &world.ports()),
            Phase::Log => filter.0.on_log(&view, &mut memo, &world.ports()),
        };
        assert!(outcome.edits.is_empty() && outcome.decisions.is_empty() && !outcome.reroute);
        for publication in outcome.publish {
            if publication.name == "http_route" {
                published.push(String::from_utf8(publication.value).unwrap());
            }
        }
        for count in outcome.counts {
            let Count::Add(series, 1) = count else { panic!("{count:?}") };
            let (kind, stat) = filter.1.stat(series).unwrap();
            assert_eq!(kind, MetricKind::Counter);
            counted.push(stat);
        }
    }
    (published, counted)
}

const WHOLE: [Phase; 3] = [Phase::Request, Phase::Response, Phase::Log];

fn stat(route: &str, method: &str, outcome: &str) -> Vec<String> {
    vec![format!(
        "http_server_requests_total.http_route=.={route};.;http_request_method=.={method};.;outcome=.={outcome};.;"
    )]
}

#[test]
fn a_request_is_published_when_it_arrives_and_counted_when_it_ends() {
    let filter = configured(DOCUMENT);
    let get = exchange(&[(":method", "GET"), (":path", "/products/7?x=/")], 404);
    let (published, counted) = played(&filter, &get, &WHOLE);
    assert_eq!(published, ["/products/{id}"]);
    assert_eq!(counted, stat("/products/{id}", "GET", "client_error"));
    let (_, early) = played(&filter, &get, &[Phase::Request, Phase::Response]);
    assert!(early.is_empty());
}

#[test]
fn a_request_that_never_arrived_is_classified_at_its_end() {
    let filter = configured(DOCUMENT);
    let get = exchange(&[(":method", "GET"), (":path", "/files/a/b")], 500);
    let (published, counted) = played(&filter, &get, &[Phase::Log]);
    assert_eq!(published, ["/files/{**}"]);
    assert_eq!(counted, stat("/files/{**}", "GET", "server_error"));
}

#[test]
fn a_rewritten_path_is_counted_as_it_arrived() {
    let filter = configured(DOCUMENT);
    let world = World::default();
    let mut memo = Memo::default();
    let before = exchange(&[(":method", "GET"), (":path", "/products/7")], 200);
    filter.0.on_request(&View::new(&before, Phase::Request, &[]), &mut memo, &world.ports());
    let after = exchange(&[(":method", "GET"), (":path", "/files/x")], 200);
    let end = filter.0.on_log(&View::new(&after, Phase::Log, &[]), &mut memo, &world.ports());
    assert!(end.publish.is_empty());
    let Some(Count::Add(series, 1)) = end.counts.first() else { panic!("{end:?}") };
    assert_eq!(vec![filter.1.stat(*series).unwrap().1], stat("/products/{id}", "GET", "ok"));
}

#[test]
fn grpc_is_counted_by_its_status() {
    let filter = configured(DOCUMENT);
    let path = (":path", "/pkg.Service/Get");
    let plain = exchange(&[(":method", "POST"), path], 200);
    assert_eq!(played(&filter, &plain, &WHOLE).1, stat("/pkg.Service/{method}", "POST", "ok"));
    let grpc = exchange(&[(":method", "POST"), path, ("content-type", "application/grpc")], 200);
    let failed = stat("/pkg.Service/{method}", "POST", "server_error");
    assert_eq!(played(&filter, &grpc, &WHOLE).1, failed);
    assert_eq!(played(&filter, &grpc, &[Phase::Log]).1, failed);
}

#[test]
fn what_takes_no_route_has_no_name_of_its_own() {
    let filter = configured(DOCUMENT);
    for (method, path, label) in [
        ("GET", "/nowhere", "GET"),
        ("POST", "/products/7", "POST"),
        ("GET", "/products/a%2fb", "GET"),
        ("GET", "/products/a;b", "GET"),
        ("get", "/products/7", "_OTHER"),
        ("PROPFIND", "*", "_OTHER"),
        ("CONNECT", "", "CONNECT"),
    ] {
        let request = exchange(&[(":method", method), (":path", path)], 200);
        let (published, counted) = played(&filter, &request, &WHOLE);
        assert!(published.is_empty(), "{method} {path}");
        assert_eq!(counted, stat("_other", label, "ok"), "{method} {path}");
    }
}

#[test]
fn only_series_that_can_occur_are_declared() {
    assert_eq!(configured("").1.series(), 55);
    assert_eq!(configured(DOCUMENT).1.series(), 3 * 55 + 2 * 5);
}

#[test]
fn more_routes_than_series_are_refused() {
    let document = |count: usize| {
        let routes: Vec<String> = (0..count).map(|n| format!(r#"{{"path":"/{n}"}}"#)).collect();
        format!(r#"{{"routes":[{}]}}"#, routes.join(","))
    };
    assert_eq!(configured(&document(362)).1.series(), 363 * 55);
    let refused = |metrics: &mut Metrics| {
        Telemetry::configure(document(363).as_bytes(), metrics).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&mut Metrics::default()),
        "at \"/routes\": expected routes that need at most 20000 metric series in all, found 20020 metric series"
    );
}

proptest! {
    #[test]
    fn every_request_is_counted_once(
        method in prop_oneof![Just(b"GET".to_vec()), prop::collection::vec(any::<u8>(), 0..6)],
        path in prop_oneof![
            "/(products|files|pkg.Service)/[a-z%;./]{0,6}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..20),
        ],
        kind in prop::sample::select(vec!["application/grpc", "application/json", "\u{ff}"]),
        code in prop::option::of(any::<i64>()),
        flags in prop::option::of(any::<i64>()),
        status in prop::option::of(any::<i64>()),
        arrived in any::<bool>(),
    ) {
        let filter = configured(DOCUMENT);
        let attributes = [
            (Attribute::ResponseCode, code),
            (Attribute::ResponseFlags, flags),
            (Attribute::ResponseGrpcStatus, status),
        ];
        let exchange = FixtureExchange {
            request: HeaderMap::from_pairs([
                (&b":method"[..], &method[..]), (b":path", &path), (b"content-type", kind.as_bytes()),
            ]),
            attributes: attributes.into_iter().filter_map(|(a, n)| Some((a, Value::Number(n?)))).collect(),
            ..FixtureExchange::default()
        };
        let phases = if arrived { &WHOLE[..] } else { &[Phase::Log] };
        let (published, counted) = played(&filter, &exchange, phases);
        prop_assert_eq!(counted.len(), 1);
        let label = published.first().map_or("_other", String::as_str);
        prop_assert!(published.len() <= 1);
        let start = format!("http_server_requests_total.http_route=.={label};.;");
        prop_assert!(counted[0].starts_with(&start), "{} {}", counted[0], start);
    }
}
