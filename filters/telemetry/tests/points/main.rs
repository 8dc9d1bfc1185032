//! What a collector is told of requests, read with OpenTelemetry's own definitions.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod delivery;
mod exemplars;
mod laws;
mod names;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::ports::{Clock, Entropy, Ports};
use filter_core::view::{Attribute, Value};
use filter_core::{
    Answer, Callout, Chores, Count, Errand, Filter, HeaderMap, Metrics, Outcome, Phase, View,
};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, HistogramDataPoint, NumberDataPoint};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use telemetry::Telemetry;

/// Randomness that is another each time, or none; and a clock that knows how often it was asked.
struct Proxy<'a> {
    world: &'a World,
    last: Cell<Option<u128>>,
    asked: Cell<u32>,
}

impl Entropy for Proxy<'_> {
    fn seed(&self) -> [u8; 16] {
        let Some(last) = self.last.get() else { return [0; 16] };
        self.last.set(Some(last + (1 << 64) + 1));
        (last + (1 << 64) + 1).to_be_bytes()
    }
}

impl Clock for Proxy<'_> {
    fn wall(&self) -> Duration {
        self.asked.set(self.asked.get() + 1);
        self.world.clock.wall()
    }

    fn monotonic(&self) -> Duration {
        self.asked.set(self.asked.get() + 1);
        self.world.clock.monotonic()
    }
}

/// A worker of a proxy, in a world that all share.
struct Worker<'a> {
    filter: Telemetry,
    metrics: Metrics,
    proxy: Proxy<'a>,
}

/// A request of one route that ended.
struct Ended<'a> {
    path: &'a str,
    code: i64,
    took: Duration,
    lines: &'a [(&'a str, &'a str)],
}

impl Default for Ended<'_> {
    fn default() -> Self {
        Self { path: "/orders/7", code: 200, took: Duration::from_millis(25), lines: &[] }
    }
}

impl<'a> Worker<'a> {
    /// One by this document, with `otlp` put into it; `number` tells its randomness from others'.
    #[track_caller]
    fn new(document: &str, number: u32, world: &'a World) -> Self {
        let mut metrics = Metrics::default();
        let filter = Telemetry::configure(document.as_bytes(), &mut metrics);
        let filter = filter.unwrap_or_else(|invalid| panic!("{document}: {invalid}"));
        let last = Cell::new(Some(u128::from(number) << 32));
        Self { filter, metrics, proxy: Proxy { world, last, asked: Cell::new(0) } }
    }

    fn ports(&self) -> Ports<'_> {
        Ports { clock: &self.proxy, entropy: &self.proxy, ..self.proxy.world.ports() }
    }

    fn wait(&self, time: Duration) {
        self.proxy.world.clock.advance(time);
    }

    /// A whole exchange: what was answered when the request arrived, and when it ended.
    fn serve(&self, ended: &Ended<'_>) -> [Outcome; 2] {
        let lines = [&[(":method", "GET"), (":path", ended.path)], ended.lines].concat();
        let took = i64::try_from(ended.took.as_nanos()).unwrap();
        let attributes = BTreeMap::from([
            (Attribute::ResponseCode, Value::Number(ended.code)),
            (Attribute::ResponseFlags, Value::Number(0)),
            (Attribute::RequestDuration, Value::Number(took)),
            (Attribute::RequestProtocol, Value::Text(b"HTTP/2".to_vec())),
            (Attribute::RequestSize, Value::Number(0)),
            (Attribute::ResponseSize, Value::Number(65)),
        ]);
        let exchange = FixtureExchange {
            request: HeaderMap::from_pairs(lines),
            attributes,
            ..FixtureExchange::default()
        };
        let mut memo = Default::default();
        let view = View::new(&exchange, Phase::Request, &[]);
        let arrival = self.filter.on_request(&view, &mut memo, &self.ports());
        let view = View::new(&exchange, Phase::Log, &[]);
        [arrival, self.filter.on_log(&view, &mut memo, &self.ports())]
    }

    /// The one call of this tick, if there is one.
    fn tick(&self) -> Option<Callout> {
        only(self.filter.on_tick(&self.ports()))
    }

    /// The call after a while in which one must be due, read.
    #[track_caller]
    fn told(&self) -> Told {
        self.wait(Duration::from_secs(60));
        Told::of(&self.tick().unwrap())
    }

    fn answered(&self, answer: &Answer) -> Chores {
        self.filter.on_fetched(Errand(1), answer, &self.ports())
    }

    fn took(&self) -> Chores {
        self.answered(&status("200"))
    }

    /// What was counted about points.
    fn counted(&self, counts: &[Count]) -> Vec<(String, u64)> {
        let told = counts.iter().filter_map(|count| {
            let Count::Add(series, by) = count else { panic!("{count:?}") };
            let (_, stat) = self.metrics.stat(*series).unwrap();
            let result = stat.strip_prefix("outrigger_telemetry_points_total.result=.=")?;
            Some((result.trim_end_matches(";.;").to_owned(), *by))
        });
        told.collect()
    }
}

fn status(status: &str) -> Answer {
    let headers = HeaderMap::from_pairs([(":status", status)]);
    Answer::Response { headers, body: Vec::new() }
}

fn only(chores: Chores) -> Option<Callout> {
    assert!(chores.calls.len() <= 1 && !chores.resume);
    chores.calls.into_iter().next().map(|(errand, callout)| {
        assert_eq!(errand, Errand(1));
        callout
    })
}

/// What one request tells.
#[derive(Debug)]
struct Told {
    resource: Resource,
    /// By name: the unit, and the points.
    metrics: BTreeMap<String, (String, Points)>,
}

#[derive(Debug)]
enum Points {
    Sums(Vec<NumberDataPoint>),
    Histograms(Vec<HistogramDataPoint>),
}

impl Told {
    fn of(callout: &Callout) -> Self {
        let request = ExportMetricsServiceRequest::decode(callout.body.as_slice()).unwrap();
        let [resource] = request.resource_metrics.try_into().unwrap();
        let [scope] = resource.scope_metrics.try_into().unwrap();
        assert_eq!(scope.scope.unwrap().name, "outrigger.telemetry");
        let metrics = scope.metrics.into_iter().map(|metric| {
            let points = match metric.data.unwrap() {
                Data::Sum(sum) => {
                    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                    Points::Sums(sum.data_points)
                }
                Data::Histogram(histogram) => {
                    assert_eq!(histogram.aggregation_temporality, 2);
                    Points::Histograms(histogram.data_points)
                }
                other => panic!("{other:?}"),
            };
            assert!(!metric.description.is_empty());
            (metric.name, (metric.unit, points))
        });
        Self { resource: resource.resource.unwrap(), metrics: metrics.collect() }
    }

    #[track_caller]
    fn sums(&self, name: &str) -> &[NumberDataPoint] {
        let (_, Points::Sums(points)) = &self.metrics[name] else { panic!("{name}") };
        points
    }

    #[track_caller]
    fn histograms(&self, name: &str) -> &[HistogramDataPoint] {
        let (_, Points::Histograms(points)) = &self.metrics[name] else { panic!("{name}") };
        points
    }

    fn instance(&self) -> String {
        let of = |one: &&KeyValue| one.key == "service.instance.id";
        let value = self.resource.attributes.iter().find(of).unwrap().value.clone();
        let Some(Any::StringValue(id)) = value.unwrap().value else { panic!("an id of text") };
        id
    }
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

fn number(point: &NumberDataPoint) -> i64 {
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
    let Some(Value::AsInt(number)) = point.value else { panic!("{point:?}") };
    number
}

/// The spans of exemplars, in order, and what was measured of them.
fn spans(exemplars: &[Exemplar]) -> Vec<(u64, f64)> {
    use opentelemetry_proto::tonic::metrics::v1::exemplar::Value;
    let read = |exemplar: &Exemplar| {
        let span = u64::from_be_bytes(exemplar.span_id.clone().try_into().unwrap());
        let value = match exemplar.value.unwrap() {
            Value::AsDouble(value) => value,
            Value::AsInt(value) => value as f64,
        };
        (span, value)
    };
    exemplars.iter().map(read).collect()
}

/// `otlp` and what else there is of a document.
fn document(otlp: &str, rest: &str) -> String {
    format!(
        r#"{{"routes":[{{"path":"/orders/{{id}}"}}],"duration":{{}},
            "otlp":{{"cluster":"otel","serviceName":"edge"{otlp}}}{rest}}}"#
    )
}
