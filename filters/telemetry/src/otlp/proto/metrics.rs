//! Metrics, as `opentelemetry/proto/metrics/v1` numbers their fields.

use std::time::Duration;

use prost::Message;

use super::{KeyValue, Resource, Scope, flag, nanos, number, text};
use crate::otlp::tally;
use crate::otlp::tally::{Instrument, Measure, Point, Value};

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::otlp) struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(oneof = "Data", tags = "7, 9")]
    data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Data {
    #[prost(message, tag = "7")]
    Sum(Sum),
    #[prost(message, tag = "9")]
    Histogram(Histogram),
}

#[derive(Clone, PartialEq, Message)]
struct Sum {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<NumberPoint>,
    #[prost(int32, tag = "2")]
    aggregation_temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<HistogramPoint>,
    #[prost(int32, tag = "2")]
    aggregation_temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
struct NumberPoint {
    #[prost(fixed64, tag = "2")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    time_unix_nano: u64,
    #[prost(message, repeated, tag = "5")]
    exemplars: Vec<Exemplar>,
    #[prost(sfixed64, optional, tag = "6")]
    as_int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramPoint {
    #[prost(fixed64, tag = "2")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    time_unix_nano: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(fixed64, repeated, tag = "6")]
    bucket_counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    explicit_bounds: Vec<f64>,
    #[prost(message, repeated, tag = "8")]
    exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(fixed64, tag = "2")]
    time_unix_nano: u64,
    #[prost(double, optional, tag = "3")]
    as_double: Option<f64>,
    #[prost(bytes = "vec", tag = "4")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    trace_id: Vec<u8>,
    #[prost(sfixed64, optional, tag = "6")]
    as_int: Option<i64>,
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: i32 = 2;

/// The body of a request that exports these metrics.
pub(in crate::otlp) fn request(resource: &[(String, String)], metrics: Vec<Metric>) -> Vec<u8> {
    let scope_metrics = vec![ScopeMetrics { scope: Some(Scope::own()), metrics }];
    let resource = Some(Resource::of(resource));
    Request { resource_metrics: vec![ResourceMetrics { resource, scope_metrics }] }.encode_to_vec()
}

/// A metric with these points, by when it was begun to count and when it is told.
pub(in crate::otlp) fn metric<'a>(
    instrument: &Instrument,
    points: impl Iterator<Item = &'a mut Point>,
    times: (Duration, Duration),
) -> Metric {
    let measure = instrument.measure;
    let data = if measure.spreads() {
        Data::Histogram(Histogram {
            data_points: points.map(|point| histogram(measure, point, times)).collect(),
            aggregation_temporality: CUMULATIVE,
        })
    } else {
        Data::Sum(Sum {
            data_points: points.map(|point| sum(measure, point, times)).collect(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        })
    };
    Metric {
        name: instrument.name.to_owned(),
        description: instrument.description.to_owned(),
        unit: measure.unit().to_owned(),
        data: Some(data),
    }
}

fn sum(measure: Measure, point: &mut Point, (begun, now): (Duration, Duration)) -> NumberPoint {
    NumberPoint {
        start_time_unix_nano: nanos(begun),
        time_unix_nano: nanos(now),
        exemplars: exemplars(measure, point),
        as_int: Some(whole(point.sum)),
        attributes: attributes(point),
    }
}

fn histogram(
    measure: Measure,
    point: &mut Point,
    (begun, now): (Duration, Duration),
) -> HistogramPoint {
    HistogramPoint {
        start_time_unix_nano: nanos(begun),
        time_unix_nano: nanos(now),
        count: point.counts.iter().fold(0, |all, count| all.saturating_add(*count)),
        sum: Some(measure.told(point.sum)),
        bucket_counts: point.counts.clone(),
        explicit_bounds: measure.bounds(),
        exemplars: exemplars(measure, point),
        attributes: attributes(point),
    }
}

fn exemplars(measure: Measure, point: &mut Point) -> Vec<Exemplar> {
    let wire = |exemplar: tally::Exemplar| {
        let spreads = measure.spreads();
        Exemplar {
            time_unix_nano: nanos(exemplar.time),
            as_double: spreads.then(|| measure.told(exemplar.value)),
            span_id: exemplar.span.bytes().to_vec(),
            trace_id: exemplar.trace.bytes().to_vec(),
            as_int: (!spreads).then(|| whole(exemplar.value)),
        }
    };
    point.exemplars().map(wire).collect()
}

fn attributes(point: &Point) -> Vec<KeyValue> {
    let wire = |(key, value): &(&'static str, Value)| match value {
        Value::Text(value) => text(key, value.as_str()),
        Value::Number(value) => number(key, *value),
        Value::Flag => flag(key),
    };
    point.attributes.iter().map(wire).collect()
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
