//! What is counted beside requests, and by what: routes that are learned, durations, objectives.

use filter_core::Phase;
use filter_core::fixture::World;
use filter_core::view::Value;

use super::configured;
use super::labels::{Counted, REQUESTS, Worker, ended, get, series, sum};
use crate::*;

#[test]
fn routes_are_learned_from_what_ends_well() {
    let world = World::default();
    let document = r#"{"routes": [{"path": "/known"}], "heuristic": {"maxRoutes": 2}}"#;
    let workers = [(); 2].map(|()| Worker::new(document, &world));
    let mut counted = Counted::new();
    let mut play = |worker: usize, path: &str, code| {
        let published = workers[worker].play(&ended(&get(path, ""), code, ""), &mut counted);
        published.get("http_route").cloned()
    };
    assert_eq!(play(0, "/users/17", 404), None);
    assert_eq!(play(0, "/users/17", 200), None, "it is learned when this one ends");
    assert_eq!(play(1, "/users/18", 500).as_deref(), Some("/users/{int}"));
    assert_eq!(play(1, "/known", 200).as_deref(), Some("/known"));
    play(0, "/a", 200);
    play(0, "/b", 200);
    assert_eq!(play(0, "/b", 200), None);
    assert_eq!(sum(&counted, REQUESTS), 7);
    assert_eq!(sum(&counted, "outrigger_telemetry_overflow_total"), 2);
    let learned = format!(
        "{REQUESTS}.http_route=.=/users/{{int}};.;http_request_method=.=GET;.;outcome=.=ok;.;"
    );
    assert_eq!(counted[&learned], 1);
}

#[test]
fn durations_sizes_and_objectives_are_counted_beside() {
    let world = World::default();
    let worker = Worker::new(
        r#"{"routes": [{"path": "/fast", "latencyThreshold": "1ms"}, {"path": "/slow"}],
            "duration": {}, "bodySizes": {}, "slo": {"latencyThreshold": "300ms"}}"#,
        &world,
    );
    let mut counted = Counted::new();
    for (path, code) in [("/fast", 200), ("/slow", 200), ("/slow", 500), ("/slow", 404)] {
        let mut exchange = ended(&get(path, ""), code, "");
        exchange.attributes.insert(Attribute::ResponseSize, Value::Number(10));
        worker.play(&exchange, &mut counted);
    }
    let of = |slo: &str, verdict: &str| {
        let end = format!("slo=.={slo};.;verdict=.={verdict};.;");
        counted.iter().filter(|(stat, _)| stat.ends_with(&end)).map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!([of("latency", "good"), of("latency", "bad"), of("latency", "excluded")], [1, 1, 2]);
    assert_eq!([of("errors", "good"), of("errors", "bad"), of("errors", "excluded")], [2, 1, 1]);
    assert_eq!(sum(&counted, "http_server_request_duration_milliseconds"), 4);
    assert_eq!(sum(&counted, "http_server_request_duration_microseconds_total"), 4 * 1234);
    assert_eq!(sum(&counted, "http_server_response_body_size_bytes"), 40);
    assert_eq!(series(&counted, "http_server_request_body_size_bytes"), 0);
}

#[test]
fn durations_tell_how_requests_ended_as_far_as_they_are_to() {
    let world = World::default();
    let worker = Worker::new(
        r#"{"routes": [{"path": "/a", "methods": ["GET"], "expectedCodes": [404]}], "maxSeries": 500,
            "labels": {"statusClass": true, "statusCodes": [200, 404], "errorType": true},
            "duration": {"labels": ["statusCodes", "errorType"]}}"#,
        &world,
    );
    let mut counted = Counted::new();
    for code in [200, 404, 503, 204] {
        worker.play(&ended(&get("/a", ""), code, ""), &mut counted);
    }
    for metric in [
        "http_server_request_duration_milliseconds",
        "http_server_request_duration_microseconds_total",
    ] {
        let start = format!("{metric}.http_route=.=/a;.;http_request_method=.=GET;.;outcome=.=");
        let ends: Vec<&str> = counted.keys().filter_map(|stat| stat.strip_prefix(&start)).collect();
        let expected = [
            "ok;.;http_response_status_code=.=200;.;",
            "ok;.;http_response_status_code=.=404;.;",
            "ok;.;http_response_status_code=.=_other;.;",
            "server_error;.;http_response_status_code=.=_other;.;error_type=.=503;.;",
        ];
        assert_eq!(ends, expected);
    }
}

#[test]
fn durations_have_the_labels_they_choose_in_whatever_order() {
    let world = World::default();
    let (protocol, tenant) = ("network_protocol_version=.=2;.;", "tenant=.=acme;.;");
    for (chosen, labels) in [
        ("", String::new()),
        (r#""protocol""#, protocol.to_owned()),
        (r#""tenant""#, tenant.to_owned()),
        (r#""protocol", "tenant""#, format!("{protocol}{tenant}")),
        (r#""tenant", "protocol""#, format!("{tenant}{protocol}")),
    ] {
        let chosen =
            if chosen.is_empty() { String::new() } else { format!(r#""labels": [{chosen}]"#) };
        for most in ["", r#""maxSeries": 10,"#] {
            let document = format!(
                r#"{{"routes": [{{"path": "/a", "methods": ["GET"]}}], {most} "labels":
                    {{"protocol": true, "tenant": {{"header": "x-tenant", "allowed": ["acme"]}}}},
                    "duration": {{{chosen}}}}}"#
            );
            let mut counted = Counted::new();
            let exchange = ended(&get("/a", "acme"), 200, "");
            Worker::new(&document, &world).play(&exchange, &mut counted);
            let begin = "http_server_request_duration_milliseconds";
            let stat = counted.keys().find(|stat| stat.starts_with(begin)).unwrap();
            let rows = "http_route=.=/a;.;http_request_method=.=GET;.;outcome=.=ok;.;";
            assert_eq!(*stat, format!("{begin}.{rows}{labels}"), "{document}");
        }
    }
}

#[test]
fn a_sink_that_tells_no_end_asks_for_nothing_then() {
    let (filter, _) = configured(r#"{"sinks": ["FILTER_STATE"]}"#);
    assert!(filter.attributes(Phase::Log).is_empty());
    let world = World::default();
    let worker = Worker::new(r#"{"sinks": ["FILTER_STATE"], "routes": [{"path": "/a"}]}"#, &world);
    let mut counted = Counted::new();
    let published = worker.play(&ended(&get("/a", ""), 200, ""), &mut counted);
    assert_eq!(published["http_route"], "/a");
    assert_eq!(published["request_operation"], "GET /a");
    assert!(counted.is_empty());
}

#[test]
fn histograms_have_a_bound_of_their_own() {
    let routes = |count: usize| {
        let routes: Vec<String> = (0..count).map(|n| format!(r#"{{"path":"/{n}"}}"#)).collect();
        let document = format!(r#"{{"routes":[{}],"duration":{{}}}}"#, routes.join(","));
        Telemetry::configure(document.as_bytes(), &mut Metrics::default())
    };
    assert!(routes(71).is_ok());
    assert_eq!(
        routes(72).unwrap_err().to_string(),
        "at \"/duration\": expected routes and labels that need at most 4000 histograms in all, \
         found 4015 histograms"
    );
}
