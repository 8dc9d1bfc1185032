//! Metrics that the telemetry filter sends to a collector, by all workers of a real Envoy, read with OpenTelemetry's own
//! definitions and held against the access log.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod told;

use std::collections::{BTreeMap, BTreeSet};

use cases::propagation::place;
use integration::upstream::Echo;
use integration::{Bootstrap, Client, Collector, Envoy, Plugin, Request, Upstream, poll};
use serde_json::{Value, json};

use told::Told;

const WORKERS: u32 = 2;

const LABELS: [&str; 8] = [
    "http_route",
    "http_request_method",
    "outcome",
    "http_response_status_code",
    "error_type",
    "tenant",
    "slo",
    "verdict",
];

struct Proxy {
    envoy: Envoy,
    collector: Collector,
    _upstream: Upstream,
}

impl Proxy {
    fn start() -> Self {
        let (upstream, collector) = (Upstream::start("v1").unwrap(), Collector::start().unwrap());
        let clusters = [("v1", upstream.address()), ("otel", collector.address())];
        let mut bootstrap = Bootstrap::before("telemetry-otlp", &clusters).unwrap();
        let demo = bootstrap.demo().unwrap();
        let mut document = demo.configuration("telemetry").unwrap();
        document["traceContext"] = json!({"mode": "originate", "randomSamplingPercentage": 50});
        document["otlp"] = json!({
            "cluster": "otel",
            "serviceName": "edge",
            "resourceAttributes": {"deployment.environment.name": "t"},
            "headers": {"x-api-key": "secret"},
            "exportInterval": "100ms",
            "maxExportBatchSize": 4,
        });
        // Envoy's counters too, to hold the sums against.
        document["sinks"] = json!(["FILTER_STATE", "METRICS"]);
        for label in LABELS {
            bootstrap.add_label(label).unwrap();
        }
        let fault = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"header_delay": {}, "percentage": {"numerator": 100}},
        });
        let filters = vec![
            Plugin::shipped("telemetry", &document).to_filter().unwrap(),
            json!({"name": "delay", "typed_config": fault}),
        ];
        let demo = demo.with_filters(filters).unwrap();
        let format = "access_log/0/typed_config/log_format/json_format";
        let operators = [("duration", "%DURATION%"), ("tenant", "%REQ(X-TENANT)%")];
        let demo = operators.into_iter().fold(demo, |demo, (name, operator)| {
            demo.managed(&format!("{format}/{name}"), Value::from(operator)).unwrap()
        });
        bootstrap.set_listeners(vec![demo]).unwrap();
        let envoy = Envoy::start(&bootstrap, WORKERS).unwrap();
        Self { envoy, collector, _upstream: upstream }
    }

    /// Sends this many requests on a connection of its own, so that every worker has some. Adds the traces that the
    /// upstream was told of, with the span.
    fn load(&self, connection: usize, count: usize, traces: &mut BTreeMap<String, (String, bool)>) {
        let mut client = Client::new(self.envoy.listener("demo").unwrap());
        for number in 0..count {
            let (path, status) = match (connection + number) % 4 {
                0 => ("/search", "404"),
                1 => ("/orders/7", "503"),
                _ => ("/orders/8", "200"),
            };
            let delay = ["0", "6", "30", "120"][(connection + 3 * number) % 4];
            let request = Request::get(path)
                .with("x-echo-status", status)
                .with("x-tenant", "acme")
                .with("x-envoy-fault-delay-request", delay);
            let echo = Echo::of(&client.send(&request).unwrap()).unwrap();
            let traceparent = echo.header("traceparent").unwrap();
            let (trace, span, flags) = place(&traceparent).unwrap();
            let sampled = flags & 1 == 1;
            traces.insert(trace.to_owned(), (span.to_owned(), sampled));
        }
    }

    /// What the collector took.
    fn told(&self) -> Told {
        let mut told = Told::default();
        for delivery in self.collector.deliveries() {
            assert_eq!(delivery.line, "POST /v1/metrics HTTP/1.1");
            assert_eq!(delivery.headers["content-type"], "application/x-protobuf");
            assert_eq!(delivery.headers["x-api-key"], "secret");
            if delivery.status == 200 {
                told.take(&delivery.body);
            }
        }
        told
    }

    fn counted(&self, metric: &str, labels: &[(&str, &str)]) -> u64 {
        self.envoy.admin().metric(metric, labels).unwrap()
    }

    /// Waits until so many requests were told of.
    fn settled(&self, requests: usize) -> Told {
        let all = u64::try_from(requests).unwrap();
        poll::until(poll::DEADLINE, "all requests in every metric", || {
            let told = self.told();
            let (counts, _) = told.sum("http.server.request.duration", &[]);
            let objectives = told.sum("http.server.slo.requests", &["slo=errors"]).0[0];
            let all_told = told.requests(&[]) == all && objectives == all;
            (all_told && counts.iter().sum::<u64>() == all).then_some(told)
        })
        .unwrap()
    }
}

/// The bucket of a duration that was written down in whole milliseconds, less what is beyond.
fn bucket(millis: u64) -> usize {
    let bounds = [5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];
    bounds.iter().take_while(|bound| **bound <= millis).count()
}

#[test]
fn what_a_collector_is_told_is_what_was_sent() {
    let proxy = Proxy::start();
    let mut traces = BTreeMap::new();
    let connections = 20;
    (0..connections).for_each(|connection| proxy.load(connection, 6, &mut traces));
    let told = proxy.settled(connections * 6);

    let lines = poll::until(poll::DEADLINE, "the access log", || {
        let lines = proxy.envoy.access_log().lines();
        (lines.len() == connections * 6).then_some(lines)
    })
    .unwrap();
    for (status, error, outcome) in
        [("200", None, "ok"), ("404", None, "ok"), ("503", Some("503"), "server_error")]
    {
        let route = if status == "404" { "/search" } else { "/orders/{order}" };
        let code = format!("http.response.status_code:{status}");
        let error = error.map(|word| format!("error.type={word}"));
        let outcome = format!("outcome={outcome}");
        let route = format!("http.route={route}");
        let mut words = vec!["http.request.method=GET", &route, &outcome, &code];
        words.extend(error.as_deref());
        let mut buckets = vec![0; 15];
        let mut millis = 0;
        for line in lines.iter().filter(|line| line.text("status").as_deref() == Some(status)) {
            let took: u64 = line.text("duration").unwrap().parse().unwrap();
            buckets[bucket(took)] += 1;
            millis += took;
        }
        let count: u64 = buckets.iter().sum();
        let (counts, sum) = told.sum("http.server.request.duration", &words);
        assert_eq!(counts, buckets, "{words:?}");
        let least = millis as f64 / 1e3;
        assert!(least <= sum && sum < least + count as f64 / 1e3, "{least} {sum} {count}");
        // The first requests may have come before the tenant was known.
        let tenants = ["tenant=acme", "tenant=_other"].map(|tenant| {
            let words = [&words[..], &[tenant]].concat();
            told.requests(&words)
        });
        assert_eq!(tenants.iter().sum::<u64>(), count, "{words:?}");
        assert!(tenants[0] > 0);
    }
    let (_, seconds) = told.sum("http.server.request.duration", &[]);
    let micros = proxy.counted("http_server_request_duration_microseconds_total", &[]) as f64;
    let all = (connections * 6) as f64;
    assert!(micros <= seconds * 1e6 + 1e-3 && seconds * 1e6 < micros + all, "{micros} {seconds}");
    let bad = told.sum("http.server.slo.requests", &["slo=errors", "verdict=bad"]).0[0];
    let errors = [("slo", "errors"), ("verdict", "bad")];
    assert_eq!(bad, proxy.counted("http_server_slo_requests_total", &errors));

    let workers: BTreeSet<&String> = told.points.keys().map(|(instance, ..)| instance).collect();
    assert_eq!(workers.len(), usize::try_from(WORKERS).unwrap(), "each worker is an instance");
    assert!(!told.exemplars.is_empty());
    for (trace, span, seconds) in &told.exemplars {
        assert_eq!(traces.get(trace), Some(&(span.clone(), true)), "{trace}");
        if let Some(seconds) = seconds {
            let line = lines.iter().find(|line| line.text("trace_id").as_ref() == Some(trace));
            let took: f64 = line.unwrap().text("duration").unwrap().parse().unwrap();
            assert!(took / 1e3 <= *seconds && *seconds < (took + 1.0) / 1e3, "{took} {seconds}");
        }
    }
    let result = |result| proxy.counted("outrigger_telemetry_points_total", &[("result", result)]);
    assert!(result("sent") > 0);
    assert_eq!((result("failed"), result("rejected")), (0, 0));
}

#[test]
fn a_collector_that_is_down_for_a_while_misses_nothing() {
    let proxy = Proxy::start();
    let mut traces = BTreeMap::new();
    proxy.load(0, 4, &mut traces);
    proxy.settled(4);
    // Refused for good, and refused for now.
    for (status, connection) in [(400, 1), (503, 2)] {
        let before = proxy.collector.deliveries().len();
        proxy.collector.answer(status);
        proxy.load(connection, 4, &mut traces);
        poll::until(poll::DEADLINE, "deliveries that are refused", || {
            (proxy.collector.deliveries().len() > before + 2).then_some(())
        })
        .unwrap();
    }
    proxy.load(3, 4, &mut traces);
    proxy.collector.answer(200);
    let told = proxy.settled(16);
    assert_eq!(told.requests(&["http.response.status_code:503"]), 4);
    assert!(proxy.counted("outrigger_telemetry_points_total", &[("result", "failed")]) > 0);
}
