//! Batches, and what becomes of them.

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};

use super::*;

fn points(callout: &Callout) -> usize {
    let told = Told::of(callout).metrics;
    told.values()
        .map(|(_, points)| match points {
            Points::Sums(points) => points.len(),
            Points::Histograms(points) => points.len(),
        })
        .sum()
}

/// One that has six points to tell: of three codes, each counted and measured.
fn busy(world: &World) -> Worker<'_> {
    let worker = Worker::new(&document(r#","maxExportBatchSize":4"#, ""), 0, world);
    for code in [200, 404, 503] {
        worker.serve(&Ended { code, ..Ended::default() });
    }
    worker
}

#[test]
fn all_points_are_told_in_batches_of_a_round_and_rounds_by_the_clock() {
    let world = World::default();
    let worker = busy(&world);
    let first = worker.tick().unwrap();
    assert_eq!(points(&first), 4);
    worker.wait(Duration::from_secs(600));
    assert_eq!(worker.tick(), None, "an answer is awaited");
    let chores = worker.took();
    assert_eq!(worker.counted(&chores.counts), [("sent".to_owned(), 4)]);
    assert_eq!(points(&only(chores).unwrap()), 2, "a round is told without a pause");
    assert_eq!(only(worker.took()), None);
    worker.wait(Duration::from_millis(59_999));
    assert_eq!(worker.tick(), None);
    worker.wait(Duration::from_millis(1));
    assert_eq!(points(&worker.tick().unwrap()), 4, "also of those that nothing happened to");
}

#[test]
fn a_batch_that_is_given_up_is_counted_and_the_round_goes_on() {
    let world = World::default();
    let worker = busy(&world);
    let first = worker.tick().unwrap();
    for _ in 0..4 {
        assert_eq!(worker.answered(&Answer::Failure), Chores::default());
        worker.wait(Duration::from_secs(30));
        assert_eq!(worker.tick().unwrap().body, first.body);
    }
    let chores = worker.answered(&status("503"));
    assert_eq!(worker.counted(&chores.counts), [("failed".to_owned(), 4)]);
    assert!(chores.calls.is_empty());
    worker.wait(Duration::from_secs(60));
    assert_eq!(points(&worker.tick().unwrap()), 2);
    let chores = worker.answered(&status("400"));
    assert_eq!(worker.counted(&chores.counts), [("failed".to_owned(), 2)], "at once");
    worker.wait(Duration::from_secs(60));
    assert_eq!(points(&worker.tick().unwrap()), 4);
}

#[test]
fn points_that_the_collector_rejects_are_told_apart() {
    let world = World::default();
    let worker = busy(&world);
    worker.tick().unwrap();
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 3, ..Default::default() };
    let body = ExportMetricsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let headers = HeaderMap::from_pairs([(":status", "200")]);
    let chores = worker.answered(&Answer::Response { headers, body });
    let expected = [("sent".to_owned(), 1), ("rejected".to_owned(), 3)];
    assert_eq!(worker.counted(&chores.counts), expected);
}

#[test]
fn a_worker_that_served_nobody_tells_nothing() {
    let world = World::default();
    let worker = Worker::new(&document("", ""), 0, &world);
    worker.wait(Duration::from_secs(600));
    assert_eq!(worker.tick(), None);
    // Nobody asked.
    assert_eq!(worker.took(), Chores::default());
}

#[test]
fn without_randomness_no_worker_pretends_to_be_another() {
    let world = World::default();
    let worker = Worker::new(&document("", ""), 0, &world);
    worker.serve(&Ended::default());
    let last = worker.proxy.last.take();
    assert_eq!(worker.tick(), None);
    worker.proxy.last.set(last);
    assert_eq!(points(&worker.tick().unwrap()), 2, "and nothing is lost by waiting");
}

#[test]
fn spans_and_metrics_are_sent_apart() {
    let world = World::default();
    let traces = r#","traceContext":{"mode":"originate","randomSamplingPercentage":100,
        "otlp":{"cluster":"otel","serviceName":"edge"}}"#;
    let worker = Worker::new(&document("", traces), 0, &world);
    worker.serve(&Ended::default());
    let calls = worker.filter.on_tick(&worker.ports()).calls;
    let paths: Vec<(u32, &str)> = calls
        .iter()
        .map(|(errand, callout)| {
            let path = callout.headers.iter().find(|(name, _)| name == ":path").unwrap();
            (errand.0, path.1.as_str())
        })
        .collect();
    assert_eq!(paths, [(0, "/v1/traces"), (1, "/v1/metrics")]);
    assert_eq!(worker.counted(&worker.took().counts), [("sent".to_owned(), 2)]);
    let chores = worker.filter.on_fetched(Errand(0), &status("400"), &worker.ports());
    let Some(Count::Add(series, 1)) = chores.counts.first() else { panic!("{chores:?}") };
    let (_, stat) = worker.metrics.stat(*series).unwrap();
    assert_eq!(stat, "outrigger_telemetry_spans_total.result=.=failed;.;");
}
