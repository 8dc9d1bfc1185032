//! Names, units, attributes, buckets and resources.

use super::*;

#[test]
fn requests_are_told_as_opentelemetry_names_them() {
    let world = World::default();
    let worker = Worker::new(
        &document(
            r#","resourceAttributes":{"deployment.environment.name":"test"},
                "headers":{"Authorization":"Bearer x"}"#,
            r#","labels":{"statusCodes":[503],"errorType":true,"protocol":true,
                "tenant":{"header":"x-tenant","allowed":["acme"]}},
                "bodySizes":{"labels":["tenant"]},
                "slo":{"latencyThreshold":"300ms"},"maxSeries":100"#,
        ),
        0,
        &world,
    );
    let begun = (1_780_000_000 + 1000) * 1_000_000_000 - 1;
    let acme = [("x-tenant", "acme")];
    worker.serve(&Ended { code: 503, lines: &acme, ..Ended::default() });
    worker.serve(&Ended { path: "/none", ..Ended::default() });
    worker.wait(Duration::from_secs(60));
    let callout = worker.tick().unwrap();
    assert_eq!((callout.cluster.as_str(), callout.timeout), ("otel", Duration::from_secs(10)));
    let headers: Vec<(&str, &str)> =
        callout.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        (":method", "POST"),
        (":path", "/v1/metrics"),
        (":authority", "otel"),
        ("content-type", "application/x-protobuf"),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(headers, expected);

    let told = Told::of(&callout);
    let [service, environment, instance] = &told.resource.attributes[..] else {
        panic!("{told:?}")
    };
    assert_eq!(*service, text("service.name", "edge"));
    assert_eq!(*environment, text("deployment.environment.name", "test"));
    assert_eq!(instance.key, "service.instance.id");
    assert_eq!(told.instance(), "00000000-0000-4001-8000-000000000001");
    let units: Vec<(&str, &str)> =
        told.metrics.iter().map(|(name, (unit, _))| (name.as_str(), unit.as_str())).collect();
    let expected = [
        ("http.server.request.body.size", "By"),
        ("http.server.request.duration", "s"),
        ("http.server.requests", "{request}"),
        ("http.server.response.body.size", "By"),
        ("http.server.slo.requests", "{request}"),
    ];
    assert_eq!(units, expected);

    let [failed, other] = told.sums("http.server.requests") else { panic!("{told:?}") };
    let get = text("http.request.method", "GET");
    let expected = [
        text("http.route", "/orders/{id}"),
        get.clone(),
        text("outcome", "server_error"),
        attribute("http.response.status_code", Any::IntValue(503)),
        text("error.type", "503"),
        text("network.protocol.version", "2"),
        text("tenant", "acme"),
    ];
    assert_eq!(failed.attributes, expected);
    assert_eq!((number(failed), failed.start_time_unix_nano), (1, begun));
    assert_eq!(failed.time_unix_nano, begun + 1 + 60_000_000_000);
    let expected = [
        get,
        text("outcome", "ok"),
        text("network.protocol.version", "2"),
        text("tenant", "unknown"),
    ];
    assert_eq!(other.attributes, expected, "no route, and no code that has a name of its own");

    let bodies = told.histograms("http.server.response.body.size");
    assert_eq!((bodies.len(), bodies[0].sum), (2, Some(65.0)));
    assert_eq!(bodies[0].bucket_counts[..3], [0, 1, 0]);
    let bodies = told.histograms("http.server.request.body.size");
    assert_eq!((bodies[0].bucket_counts[0], bodies[0].sum), (1, Some(0.0)));
    assert_eq!(told.sums("http.server.slo.requests").len(), 4);
}

#[test]
fn durations_are_seconds_in_opentelemetrys_buckets_exactly() {
    let world = World::default();
    let worker = Worker::new(&document("", ""), 0, &world);
    for nanos in
        [0, 5_000_000, 5_000_001, 10_000_000, 9_999_999_999, 10_000_000_000, 10_000_000_001]
    {
        worker.serve(&Ended { took: Duration::from_nanos(nanos), ..Ended::default() });
    }
    let told = worker.told();
    let [point] = told.histograms("http.server.request.duration") else { panic!("{told:?}") };
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    assert_eq!(point.explicit_bounds, bounds);
    assert_eq!(point.bucket_counts, [2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
    assert_eq!((point.count, point.sum), (7, Some(30.020_000_001)));
    let expected = [
        text("http.route", "/orders/{id}"),
        text("http.request.method", "GET"),
        text("outcome", "ok"),
    ];
    assert_eq!(point.attributes, expected);
}

#[test]
fn durations_tell_codes_and_errors_where_they_are_to() {
    let world = World::default();
    let labels = r#","labels":{"statusCodes":[200,503],"errorType":true}"#;
    let document = document("", labels)
        .replace(r#""duration":{}"#, r#""duration":{"labels":["statusCodes","errorType"]}"#);
    let worker = Worker::new(&document, 0, &world);
    for code in [200, 503, 503] {
        worker.serve(&Ended { code, ..Ended::default() });
    }
    let told = worker.told();
    let points = told.histograms("http.server.request.duration");
    let [ok, failed] = points else { panic!("{told:?}") };
    let code = |code| attribute("http.response.status_code", Any::IntValue(code));
    assert_eq!((ok.count, &ok.attributes[3..]), (1, &[code(200)][..]));
    let expected = [code(503), text("error.type", "503")];
    assert_eq!((failed.count, &failed.attributes[3..]), (2, &expected[..]));
}

#[test]
fn series_that_read_alike_are_one_point() {
    let world = World::default();
    let labels = r#","labels":{"tenant":{"header":"x-tenant","max":5}},"maxSeries":100"#;
    let worker = Worker::new(&document("", labels), 0, &world);
    // The first tenant is not known, as nothing ended well for it; the other calls itself so.
    for (tenant, code) in [("new", 404), ("_other", 200), ("_other", 404)] {
        let lines = &[("x-tenant", tenant)];
        worker.serve(&Ended { code, lines, ..Ended::default() });
    }
    let told = worker.told();
    let [refused, ok] = told.sums("http.server.requests") else { panic!("{told:?}") };
    assert_eq!(refused.attributes[3], text("tenant", "_other"));
    assert_eq!((number(refused), number(ok)), (2, 1));
}

#[test]
fn what_finds_no_room_is_told_as_overflow() {
    let world = World::default();
    let worker = Worker::new(&document("", r#","maxSeries":1"#), 0, &world);
    for (path, code) in [("/orders/7", 200), ("/", 200), ("/", 404), ("/orders/7", 404)] {
        worker.serve(&Ended { path, code, ..Ended::default() });
    }
    let told = worker.told();
    let [admitted, ok, refused] = told.sums("http.server.requests") else { panic!("{told:?}") };
    assert_eq!((number(admitted), number(ok), number(refused)), (1, 1, 2));
    assert_eq!(admitted.attributes[0], text("http.route", "/orders/{id}"));
    let expected = [
        text("http.request.method", "_OTHER"),
        text("outcome", "client_error"),
        attribute("otel.metric.overflow", Any::BoolValue(true)),
    ];
    assert_eq!(refused.attributes, expected);
}

#[test]
fn the_proxys_own_stats_and_the_collector_are_told_apart() {
    let world = World::default();
    let counts = |document: &str| {
        let worker = Worker::new(document, 0, &world);
        let [_, end] = worker.serve(&Ended::default());
        let told = worker
            .filter
            .period()
            .is_some()
            .then(|| number(&worker.told().sums("http.server.requests")[0]));
        (end.counts.len(), told)
    };
    assert_eq!(counts(&document("", "")), (3, Some(1)));
    assert_eq!(counts(&document("", r#","sinks":["FILTER_STATE"]"#)), (0, Some(1)));
    assert_eq!(counts(r#"{"duration":{}}"#), (3, None));
    assert_eq!(
        Worker::new(&document("", ""), 0, &world).filter.period(),
        Some(Duration::from_secs(1))
    );
}

#[test]
fn a_request_reads_no_clock_but_the_first_of_all_and_an_exemplar() {
    let world = World::default();
    let worker = Worker::new(&document("", ""), 0, &world);
    let recorded = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    // The one that is an exemplar, of what is counted and of what is measured, asks once more.
    for (lines, asked) in [(&[][..], 1), (&[], 1), (&recorded, 2), (&recorded, 2), (&[], 2)] {
        worker.serve(&Ended { lines, ..Ended::default() });
        assert_eq!(worker.proxy.asked.get(), asked);
    }
}
