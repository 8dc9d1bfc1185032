//! What a collector was told, read with OpenTelemetry's own definitions.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use prost::Message as _;

/// The last point of a stream: its counts, in buckets if it has some, their sum, and when it began and was told.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    counts: Vec<u64>,
    sum: f64,
    begun: u64,
    told: u64,
}

/// A stream: whose it is, what it measures, and of what.
pub(crate) type Stream = (String, String, Vec<String>);

/// All that was told: the last point of each stream, and every exemplar: its trace, its span, and what was measured.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) points: BTreeMap<Stream, Point>,
    pub(crate) exemplars: Vec<(String, String, Option<f64>)>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(one: &KeyValue) -> String {
    match one.value.clone().unwrap().value.unwrap() {
        Any::StringValue(text) => format!("{}={text}", one.key),
        Any::IntValue(number) => format!("{}:{number}", one.key),
        other => panic!("{other:?}"),
    }
}

impl Told {
    pub(crate) fn take(&mut self, body: &[u8]) {
        use opentelemetry_proto::tonic::metrics::v1::exemplar::Value as Measured;
        let request = ExportMetricsServiceRequest::decode(body).unwrap();
        let [resource] = request.resource_metrics.try_into().unwrap();
        let attributes: Vec<String> =
            resource.resource.unwrap().attributes.iter().map(word).collect();
        let [service, environment, instance] = attributes.try_into().unwrap();
        assert_eq!([service, environment], ["service.name=edge", "deployment.environment.name=t"]);
        assert!(instance.starts_with("service.instance.id="), "{instance}");
        let [scope] = resource.scope_metrics.try_into().unwrap();
        let mut points = 0;
        for metric in scope.metrics {
            let mut keep = |attributes: &[KeyValue], point: Point| {
                points += 1;
                let words = attributes.iter().map(word).collect();
                let stream = (instance.clone(), metric.name.clone(), words);
                assert!(point.begun < point.told, "{point:?}");
                if let Some(last) = self.points.insert(stream, point.clone()) {
                    assert!(last.begun == point.begun && last.told < point.told, "{last:?}");
                }
            };
            let mut exemplars = Vec::new();
            match metric.data.unwrap() {
                Data::Sum(sum) => {
                    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                    for point in sum.data_points {
                        let Some(Number::AsInt(count)) = point.value else { panic!("{point:?}") };
                        let counts = vec![u64::try_from(count).unwrap()];
                        let (begun, told) = (point.start_time_unix_nano, point.time_unix_nano);
                        keep(&point.attributes, Point { counts, sum: 0.0, begun, told });
                        exemplars.extend(point.exemplars);
                    }
                }
                Data::Histogram(histogram) => {
                    assert_eq!((metric.unit.as_str(), histogram.aggregation_temporality), ("s", 2));
                    for point in histogram.data_points {
                        assert_eq!(point.count, point.bucket_counts.iter().sum::<u64>());
                        let (counts, sum) = (point.bucket_counts, point.sum.unwrap());
                        let (begun, told) = (point.start_time_unix_nano, point.time_unix_nano);
                        keep(&point.attributes, Point { counts, sum, begun, told });
                        exemplars.extend(point.exemplars);
                    }
                }
                other => panic!("{other:?}"),
            }
            for exemplar in exemplars {
                let measured = match exemplar.value.unwrap() {
                    Measured::AsDouble(seconds) => Some(seconds),
                    Measured::AsInt(one) => {
                        assert_eq!(one, 1);
                        None
                    }
                };
                assert!(exemplar.time_unix_nano <= now());
                self.exemplars.push((hex(&exemplar.trace_id), hex(&exemplar.span_id), measured));
            }
        }
        assert!((1..=4).contains(&points), "{points}");
    }

    /// The sum of all streams of a metric that are about all of this.
    pub(crate) fn sum(&self, metric: &str, words: &[&str]) -> (Vec<u64>, f64) {
        let mut all = (vec![0; 15], 0.0);
        for ((_, name, about), point) in &self.points {
            if name == metric && words.iter().all(|word| about.iter().any(|each| each == word)) {
                all.0.iter_mut().zip(&point.counts).for_each(|(all, count)| *all += count);
                all.1 += point.sum;
            }
        }
        all
    }

    pub(crate) fn requests(&self, words: &[&str]) -> u64 {
        self.sum("http.server.requests", words).0[0]
    }
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}
