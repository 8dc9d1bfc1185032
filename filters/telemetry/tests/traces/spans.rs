//! Spans on their way to a collector, read with OpenTelemetry's own definitions.

use std::time::Duration;

use filter_core::fixture::FixtureExchange;
use filter_core::metrics::MetricKind;
use filter_core::ports::Ports;
use filter_core::view::{Attribute, Value};
use filter_core::{
    Answer, Callout, Chores, Count, Errand, Filter, HeaderMap, Metrics, Phase, View,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use telemetry::Telemetry;

use crate::{Numbers, Subject};

/// A worker that exports, and what it counted.
struct Worker {
    subject: Subject,
    metrics: Metrics,
}

const RECORDED: &str = r#""mode":"originate","randomSamplingPercentage":100"#;

impl Worker {
    fn new(rest: &str) -> Self {
        let document = format!(
            r#"{{"routes":[{{"path":"/orders/{{id}}"}}],"traceContext":{{{RECORDED},
                "otlp":{{"cluster":"collector","serviceName":"edge"{rest}}}}}}}"#
        );
        let mut metrics = Metrics::default();
        let filter = Telemetry::configure(document.as_bytes(), &mut metrics).unwrap();
        Self { subject: Subject { filter, ..Subject::of("{}") }, metrics }
    }

    fn ports(&self) -> Ports<'_> {
        Ports { entropy: &self.subject.numbers, ..self.subject.world.ports() }
    }

    fn wait(&self, millis: u64) {
        self.subject.world.clock.advance(Duration::from_millis(millis));
    }

    /// A whole exchange of 25 milliseconds. What it counted about spans.
    fn serve(&self, path: &str, code: i64, lines: &[(&str, &str)]) -> Vec<(String, u64)> {
        let lines = [&[(":method", "GET"), (":path", path)], lines].concat();
        let mut exchange =
            FixtureExchange { request: HeaderMap::from_pairs(lines), ..FixtureExchange::default() };
        let mut memo = Default::default();
        let view = View::new(&exchange, Phase::Request, &[]);
        self.subject.filter.on_request(&view, &mut memo, &self.ports());
        self.wait(25);
        exchange.attributes.insert(Attribute::ResponseCode, Value::Number(code));
        let view = View::new(&exchange, Phase::Log, &[]);
        let outcome = self.subject.filter.on_log(&view, &mut memo, &self.ports());
        self.counted(&outcome.counts)
    }

    fn counted(&self, counts: &[Count]) -> Vec<(String, u64)> {
        let told = counts.iter().filter_map(|count| {
            let Count::Add(series, by) = count else { panic!("{count:?}") };
            let (kind, stat) = self.metrics.stat(*series).unwrap();
            assert_eq!(kind, MetricKind::Counter);
            let result = stat.strip_prefix("outrigger_telemetry_spans_total.result=.=")?;
            Some((result.trim_end_matches(";.;").to_owned(), *by))
        });
        told.collect()
    }

    /// The one call of this tick, if there is one.
    fn tick(&self) -> Option<Callout> {
        only(self.subject.filter.on_tick(&self.ports()))
    }

    fn answered(&self, status: &str, more: &[(&str, &str)], body: Vec<u8>) -> Chores {
        let headers = HeaderMap::from_pairs([&[(":status", status)], more].concat());
        let answer = Answer::Response { headers, body };
        self.subject.filter.on_fetched(Errand(0), &answer, &self.ports())
    }
}

fn only(chores: Chores) -> Option<Callout> {
    assert!(chores.calls.len() <= 1 && !chores.resume);
    chores.calls.into_iter().next().map(|(_, callout)| callout)
}

fn spans(callout: &Callout) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(callout.body.as_slice()).unwrap();
    let [resource] = request.resource_spans.try_into().unwrap();
    let [scope] = resource.scope_spans.try_into().unwrap();
    scope.spans
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

#[test]
fn a_span_is_told_as_opentelemetry_writes_it() {
    let worker = Worker::new(r#","resourceAttributes":{"deployment.environment":"test"}"#);
    let begun = 1_780_000_000_u64 + 1000;
    let caller = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");
    assert!(worker.serve("/orders/7", 503, &[caller]).is_empty());
    assert!(worker.serve("/nowhere", 200, &[]).is_empty());
    worker.wait(5000);
    let callout = worker.tick().unwrap();
    assert_eq!((callout.cluster.as_str(), callout.timeout), ("collector", Duration::from_secs(10)));
    let headers: Vec<(&str, &str)> =
        callout.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        (":method", "POST"),
        (":path", "/v1/traces"),
        (":authority", "collector"),
        ("content-type", "application/x-protobuf"),
    ];
    assert_eq!(headers, expected);

    let request = ExportTraceServiceRequest::decode(callout.body.as_slice()).unwrap();
    let [resource] = request.resource_spans.try_into().unwrap();
    let attributes = resource.resource.unwrap().attributes;
    let of_test = text("deployment.environment", "test");
    assert_eq!(attributes, [text("service.name", "edge"), of_test]);
    let [scope] = resource.scope_spans.try_into().unwrap();
    assert_eq!(scope.scope.unwrap().name, "outrigger.telemetry");
    let [first, second]: [Span; 2] = scope.spans.try_into().unwrap();

    assert_eq!(first.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    assert_eq!(first.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(first.span_id, 1_u64.to_be_bytes(), "the first random number there was");
    assert_eq!((first.name.as_str(), first.kind, first.flags), ("GET /orders/{id}", 2, 0x303));
    assert_eq!(first.start_time_unix_nano, begun * 1_000_000_000);
    assert_eq!(first.end_time_unix_nano, begun * 1_000_000_000 + 25_000_000);
    let expected = [
        text("http.request.method", "GET"),
        text("http.route", "/orders/{id}"),
        attribute("http.response.status_code", Any::IntValue(503)),
        text("error.type", "503"),
    ];
    assert_eq!(first.attributes, expected);
    assert_eq!(first.status.unwrap().code, 2);

    assert!(second.parent_span_id.is_empty() && second.status.is_none());
    assert_eq!((second.name.as_str(), second.flags, second.trace_id.len()), ("GET", 3, 16));
}

#[test]
fn only_what_is_recorded_is_told() {
    let worker = Worker::new("");
    let unsampled = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02");
    worker.serve("/", 200, &[unsampled]);
    worker.wait(60_000);
    assert_eq!(worker.tick(), None);
    let silent = Subject::new(&format!("{{{RECORDED}}}"));
    assert_eq!(silent.filter.period(), None);
    assert_eq!(worker.subject.filter.period(), Some(Duration::from_secs(1)));
}

#[test]
fn batches_are_sent_by_the_clock_one_at_a_time() {
    let worker = Worker::new(r#","maxExportBatchSize":2,"scheduleDelay":"2s""#);
    for _ in 0..5 {
        worker.serve("/", 200, &[]);
    }
    assert_eq!(spans(&worker.tick().unwrap()).len(), 2);
    worker.wait(60_000);
    assert_eq!(worker.tick(), None, "an answer is awaited");
    let chores = worker.answered("200", &[], Vec::new());
    assert_eq!(worker.counted(&chores.counts), [("sent".to_owned(), 2)]);
    assert_eq!(spans(&only(chores).unwrap()).len(), 2, "a whole batch need not wait");
    let chores = worker.answered("202", &[], Vec::new());
    assert!(chores.calls.is_empty());
    worker.wait(1999);
    assert_eq!(worker.tick(), None);
    worker.wait(1);
    assert_eq!(spans(&worker.tick().unwrap()).len(), 1);
}

#[test]
fn what_there_is_no_room_for_is_dropped_and_counted() {
    let worker = Worker::new(r#","maxQueueSize":3"#);
    for _ in 0..3 {
        assert!(worker.serve("/", 200, &[]).is_empty());
    }
    assert_eq!(worker.serve("/", 200, &[]), [("dropped".to_owned(), 1)]);
    assert_eq!(spans(&worker.tick().unwrap()).len(), 3);
    assert!(worker.serve("/", 200, &[]).is_empty());
}

#[test]
fn a_batch_is_tried_again_until_it_is_taken_or_given_up() {
    let worker = Worker::new("");
    worker.serve("/", 200, &[]);
    let first = worker.tick().unwrap();
    let failed = worker.subject.filter.on_fetched(Errand(0), &Answer::Failure, &worker.ports());
    assert_eq!(failed, Chores::default());
    assert_eq!(worker.tick(), None);
    for status in ["503", "429", "502"] {
        worker.wait(30_000);
        assert_eq!(worker.tick().unwrap().body, first.body);
        assert_eq!(worker.answered(status, &[("retry-after", "9")], Vec::new()), Chores::default());
        worker.wait(8_999);
        assert_eq!(worker.tick(), None, "the collector asked for time");
    }
    worker.wait(30_000);
    assert_eq!(worker.tick().unwrap().body, first.body);
    let chores = worker.answered("504", &[], Vec::new());
    assert_eq!(worker.counted(&chores.counts), [("failed".to_owned(), 1)]);

    worker.wait(60_000);
    worker.serve("/", 200, &[]);
    let second = worker.tick().unwrap();
    assert_ne!(second.body, first.body);
    let chores = worker.answered("400", &[], Vec::new());
    assert_eq!(
        worker.counted(&chores.counts),
        [("failed".to_owned(), 1)],
        "which trying mends not"
    );
    worker.wait(60_000);
    assert_eq!(worker.tick(), None);
    // Late or unasked answers are nobody's.
    assert_eq!(worker.answered("200", &[], Vec::new()), Chores::default());
}

#[test]
fn spans_that_the_collector_rejects_are_told_apart() {
    for (rejected, expected) in [
        (1, &[("sent", 1), ("rejected", 1)][..]),
        (2, &[("rejected", 2)]),
        (9, &[("rejected", 2)]),
        (-1, &[("sent", 2)]),
    ] {
        let worker = Worker::new("");
        worker.serve("/", 200, &[]);
        worker.serve("/", 200, &[]);
        worker.tick().unwrap();
        let partial = ExportTracePartialSuccess { rejected_spans: rejected, ..Default::default() };
        let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        let chores = worker.answered("200", &[], body);
        let expected: Vec<(String, u64)> =
            expected.iter().map(|(result, by)| ((*result).to_owned(), *by)).collect();
        assert_eq!(worker.counted(&chores.counts), expected);
    }
    let worker = Worker::new("");
    worker.serve("/", 200, &[]);
    worker.tick().unwrap();
    let chores = worker.answered("200", &[], b"{}".to_vec());
    assert_eq!(worker.counted(&chores.counts), [("sent".to_owned(), 1)]);
}

#[test]
fn a_proxy_without_randomness_tells_nothing() {
    let worker = Worker::new("");
    worker.subject.numbers.0.set(None);
    worker.serve("/", 200, &[]);
    worker.wait(60_000);
    assert_eq!(worker.tick(), None);
    worker.subject.numbers.0.set(Numbers::default().0.get());
}
