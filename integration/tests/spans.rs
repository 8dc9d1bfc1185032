//! Spans that the telemetry filter sends to a collector, by all workers of a real Envoy, read with OpenTelemetry's own
//! definitions.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cases::propagation::place;
use integration::upstream::Echo;
use integration::{Bootstrap, Client, Collector, Envoy, Plugin, Request, Upstream, poll};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

const WORKERS: u32 = 4;

struct Proxy {
    envoy: Envoy,
    collector: Collector,
    _upstream: Upstream,
}

impl Proxy {
    fn start() -> Self {
        let (upstream, collector) = (Upstream::start("v1").unwrap(), Collector::start().unwrap());
        let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
        let port = collector.address().port();
        let socket = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        let endpoints = json!([{"lb_endpoints": [{"endpoint": {"address": socket}}]}]);
        let assignment = json!({"cluster_name": "otel", "endpoints": endpoints});
        let cluster = json!({"name": "otel", "load_assignment": assignment});
        bootstrap.add_clusters(vec![cluster]).unwrap();
        bootstrap.add_label("result").unwrap();
        let document = json!({
            "routes": [{"path": "/orders/{id}"}],
            "traceContext": {
                "mode": "originate",
                "randomSamplingPercentage": 100,
                "otlp": {
                    "cluster": "otel",
                    "serviceName": "edge",
                    "scheduleDelay": "100ms",
                    "maxExportBatchSize": 16,
                },
            },
        });
        let plugin = Plugin::shipped("telemetry", &document);
        let listener = bootstrap.demo().unwrap().with_plugins(&[plugin]).unwrap();
        bootstrap.set_listeners(vec![listener]).unwrap();
        let envoy = Envoy::start(&bootstrap, WORKERS).unwrap();
        Self { envoy, collector, _upstream: upstream }
    }

    /// Every span that was delivered, as often as it was.
    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for delivery in self.collector.deliveries() {
            assert_eq!(delivery.line, "POST /v1/traces HTTP/1.1");
            assert_eq!(delivery.headers["content-type"], "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(delivery.body.as_slice()).unwrap();
            for resource in request.resource_spans {
                let service = &resource.resource.unwrap().attributes[0];
                assert_eq!(service.key, "service.name");
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }

    fn counted(&self, result: &str) -> u64 {
        let label = [("result", result)];
        self.envoy.admin().metric("outrigger_telemetry_spans_total", &label).unwrap()
    }
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[test]
fn every_request_of_every_worker_is_a_span_once() {
    let proxy = Proxy::start();
    let begin = now();
    let mut sent = BTreeMap::new();
    for n in 0..12 {
        // A connection each, so that every worker has some.
        let mut client = Client::new(proxy.envoy.listener("demo").unwrap());
        for m in 0..10 {
            let status = if m == 0 { "503" } else { "200" };
            let request = Request::get(&format!("/orders/{n}{m}")).with("x-echo-status", status);
            let request = if m % 2 == 0 {
                let caller = format!("00-{:032x}-00f067aa0ba902b7-01", 1 + n * 10 + m);
                request.with("traceparent", caller)
            } else {
                request
            };
            let echo = Echo::of(&client.send(&request).unwrap()).unwrap();
            let traceparent = echo.header("traceparent").unwrap();
            let (trace, span, _) = place(&traceparent).unwrap();
            sent.insert(span.to_owned(), (trace.to_owned(), status, m % 2 == 0));
        }
    }
    poll::until(poll::DEADLINE, "all spans", || (proxy.counted("sent") == 120).then_some(()))
        .unwrap();
    let spans = proxy.spans();
    assert_eq!(spans.len(), 120);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for span in spans {
        let (trace, status, called) = sent.remove(&hex(&span.span_id)).unwrap();
        assert_eq!(hex(&span.trace_id), trace);
        assert_eq!(hex(&span.parent_span_id), if called { "00f067aa0ba902b7" } else { "" });
        assert_eq!(span.name, "GET /orders/{id}");
        let code = span.attributes.iter().find(|one| one.key == "http.response.status_code");
        let code = code.unwrap().value.clone().unwrap().value;
        assert_eq!(code, Some(Any::IntValue(status.parse().unwrap())));
        assert_eq!(span.status.is_some(), status == "503");
        assert!(begin <= span.start_time_unix_nano, "{}", span.start_time_unix_nano);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(span.end_time_unix_nano <= now());
    }
    for result in ["rejected", "failed", "dropped"] {
        assert_eq!(proxy.counted(result), 0);
    }
}

#[test]
fn a_collector_that_is_down_for_a_while_gets_them_later_and_no_request_waits() {
    let proxy = Proxy::start();
    proxy.collector.answer(503);
    let mut client = Client::new(proxy.envoy.listener("demo").unwrap());
    for n in 0..5 {
        assert_eq!(client.send(&Request::get(&format!("/orders/{n}"))).unwrap().status, 200);
    }
    let refused = || (!proxy.collector.deliveries().is_empty()).then_some(());
    poll::until(poll::DEADLINE, "a delivery", refused).unwrap();
    assert_eq!(proxy.counted("sent"), 0);
    proxy.collector.answer(200);
    poll::until(poll::DEADLINE, "all spans", || (proxy.counted("sent") == 5).then_some(()))
        .unwrap();
    let unique: BTreeMap<Vec<u8>, Span> =
        proxy.spans().into_iter().map(|span| (span.span_id.clone(), span)).collect();
    assert_eq!(unique.len(), 5);
    assert!(proxy.spans().len() > 5, "what was refused came again");
    assert_eq!(proxy.counted("failed"), 0);
}
