//! Requests that stand for others.

use super::*;

const RECORDED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn of_durations(told: &Told) -> Vec<(u64, f64)> {
    let points = told.histograms("http.server.request.duration");
    points.iter().flat_map(|point| spans(&point.exemplars)).collect()
}

#[test]
fn each_bucket_has_one_for_each_time_that_it_is_told() {
    let world = World::default();
    let worker = Worker::new(&document("", ""), 0, &world);
    let serve = |span: u64, millis, flags| {
        let traceparent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span:016x}-{flags}");
        let lines = &[("traceparent", traceparent.as_str())];
        worker.serve(&Ended { took: Duration::from_millis(millis), lines, ..Ended::default() });
    };
    for (span, millis, flags) in [(1, 3, "00"), (2, 3, "01"), (3, 4, "01"), (4, 700, "03")] {
        serve(span, millis, flags);
        worker.wait(Duration::from_secs(1));
    }
    let told = worker.told();
    assert_eq!(of_durations(&told), [(2, 0.003), (4, 0.7)]);
    let [point] = told.histograms("http.server.request.duration") else { panic!("{told:?}") };
    let [first, _] = &point.exemplars[..] else { panic!("{point:?}") };
    assert_eq!(first.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    let begun = (1_780_000_000 + 1000) * 1_000_000_000;
    assert_eq!(first.time_unix_nano, begun + 1_000_000_000);
    let [count] = told.sums("http.server.requests") else { panic!("{told:?}") };
    assert_eq!(spans(&count.exemplars), [(2, 1.0)]);

    worker.took();
    serve(5, 3, "01");
    let told = worker.told();
    assert_eq!(of_durations(&told), [(5, 0.003)], "those of before were told");
    worker.took();
    let told = worker.told();
    assert_eq!(of_durations(&told), []);
    assert_eq!(told.histograms("http.server.request.duration")[0].count, 5);
}

#[test]
fn they_are_of_the_trace_that_goes_on() {
    let world = World::default();
    let told = |trace_context: &str, traceparent: &str| {
        let rest = format!(r#","traceContext":{trace_context}"#);
        let rest = if trace_context.is_empty() { "" } else { &rest };
        let worker = Worker::new(&document("", rest), 0, &world);
        let [arrival, _] =
            worker.serve(&Ended { lines: &[("traceparent", traceparent)], ..Ended::default() });
        let own = arrival.publish.into_iter().find(|each| each.name == "span_id");
        let own =
            own.map(|id| u64::from_str_radix(std::str::from_utf8(&id.value).unwrap(), 16).unwrap());
        let spans = of_durations(&worker.told());
        (spans.first().map(|(span, _)| *span), own)
    };
    let callers = 0x00f0_67aa_0ba9_02b7;
    assert_eq!(told("", RECORDED), (Some(callers), None));
    assert_eq!(told(r#"{"mode":"pass"}"#, RECORDED), (Some(callers), None));
    assert_eq!(told(r#"{"mode":"sanitise","parentId":"keep"}"#, RECORDED), (Some(callers), None));
    let (span, own) = told(r#"{"mode":"sanitise"}"#, RECORDED);
    assert!(span.is_some() && span == own && span != Some(callers));
    let never = r#"{"mode":"originate","randomSamplingPercentage":0,"sampled":"never"}"#;
    assert_eq!(told(never, RECORDED).0, None, "what is not recorded is no example");
    let always = r#"{"mode":"originate","randomSamplingPercentage":100}"#;
    let (span, own) = told(always, "");
    assert!(span.is_some() && span == own);
}
