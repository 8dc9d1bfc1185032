//! A variant that fails is taken off by every worker of a proxy, and comes back when it is well.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod proxy;

use std::time::{Duration, Instant};

use integration::discovered::Discovered;
use integration::upstream::Echo;
use integration::{Plugin, Request, Upstream, poll};
use serde_json::{Value, json};

use proxy::{CONNECTIONS, Proxy, USERS, guarded, quick};

const WORKERS: [u32; 3] = [1, 2, 4];

#[test]
fn a_failing_variant_is_off_within_five_seconds_on_every_worker_and_comes_back() {
    for workers in WORKERS {
        let mut proxy = Proxy::start(&guarded(&quick()), workers, |demo| demo);
        let all = proxy.round();
        assert!((CONNECTIONS * 10..CONNECTIONS * 30).contains(&all), "{all}");
        assert_eq!(proxy.round(), all, "the same users");
        proxy.v2.answer(500, "{}");
        let begin = Instant::now();
        proxy.until_off();
        let off = begin.elapsed();
        println!("{workers} workers ({} busy): off after {off:?}", proxy.busy_workers());
        assert!(off < Duration::from_secs(5), "{off:?}");
        assert_eq!(proxy.events("ejected"), 1, "once for all workers");
        assert!(proxy.decisions("guarded") > 0);
        // While it still fails, those who try it do not bring it back.
        let again = poll::until(poll::DEADLINE, "a second ejection", || {
            proxy.round();
            (proxy.events("ejected_again") > 0).then(|| proxy.events("recovered"))
        });
        assert_eq!(again, Ok(0));
        proxy.v2.answer(200, "{}");
        proxy.until(all);
        assert_eq!(proxy.events("recovered"), 1);
        assert_eq!(proxy.routes("v2", "elsewhere") + proxy.routes("v1", "elsewhere"), 0);
        assert!(proxy.routes("v2", "as_meant") > 0 && proxy.v1.requests() > 0);
        assert!(workers == 1 || proxy.busy_workers() > 1, "one worker alone shows nothing");
    }
}

#[test]
fn one_that_does_not_answer_is_off_whatever_status_the_proxy_makes_of_it() {
    let mut guard = quick();
    guard["errors"] = json!({"max": 10, "statuses": ["599"]});
    let mut proxy = Proxy::start(&guarded(&guard), 2, |demo| demo);
    // Nobody listens any more, and kept connections break.
    drop(std::mem::replace(&mut proxy.v2, Upstream::start("unused").unwrap()));
    poll::until(poll::DEADLINE, "an ejection", || {
        proxy.round();
        (proxy.events("ejected") > 0).then_some(())
    })
    .unwrap();
}

#[test]
fn one_that_answers_too_late_is_off_too() {
    let guard = json!({
        "interval": "5s", "minRequests": 20, "latency": {"limit": "40ms", "max": 50}, "baseEjectionTime": "1m",
    });
    let canary = Plugin::shipped("canary", &guarded(&guard));
    let fault = |config: Value| {
        let mut typed = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        });
        typed["delay"] = config;
        typed
    };
    let off = fault(json!({"fixed_delay": "1s", "percentage": {"numerator": 0}}));
    let late = fault(json!({"fixed_delay": "0.05s", "percentage": {"numerator": 100}}));
    let mut proxy = Proxy::start(&json!({}), 2, |demo| {
        let demo = demo.with_filters(vec![
            canary.to_filter().unwrap(),
            json!({"name": "envoy.filters.http.fault", "typed_config": off}),
        ]);
        let header = json!([{"name": "x-canary-checkout", "string_match": {"exact": "v2"}}]);
        let route = json!({
            "match": {"prefix": "/", "headers": header},
            "route": {"cluster": "v2"},
            "typed_per_filter_config": {"envoy.filters.http.fault": late},
        });
        demo.unwrap().with_first_route(route).unwrap()
    });
    proxy.clients.truncate(2);
    assert!(proxy.round() > 0);
    proxy.until(0);
    assert_eq!(proxy.events("ejected"), 1);
}

#[test]
fn one_that_fails_by_its_grpc_status_is_off_for_grpc_alone() {
    let mut document = guarded(&quick());
    document["rollouts"][0].as_object_mut().unwrap().remove("routes");
    // The routes answer in the place of both versions: with success, and with INTERNAL.
    let answer = |matching: Value, status: &str| {
        let header = json!({"key": "grpc-status", "value": status});
        json!({
            "match": matching,
            "direct_response": {"status": 200},
            "response_headers_to_add": [{"header": header}],
        })
    };
    let v2 = json!([{"name": "x-canary-checkout", "string_match": {"exact": "v2"}}]);
    let mut proxy = Proxy::start(&document, 2, |demo| {
        let demo = demo.with_first_route(answer(json!({"prefix": "/"}), "0")).unwrap();
        demo.with_first_route(answer(json!({"prefix": "/", "headers": v2}), "13")).unwrap()
    });
    let mut failed = |kind: &str| {
        let users = (0..USERS).map(|user| format!("u{user}"));
        let requests =
            users.map(|user| Request::get("/").with("x-user", user).with("content-type", kind));
        let requests: Vec<Request> = requests.collect();
        let answers = proxy.clients.iter_mut().flat_map(|client| {
            requests.iter().map(|request| client.send(request).unwrap()).collect::<Vec<_>>()
        });
        answers.filter(|answer| answer.header("grpc-status").as_deref() == Some("13")).count()
    };
    let all = failed("text/plain");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(1) {
        assert_eq!(failed("text/plain"), all, "to plain HTTP it is a header as any other");
    }
    poll::until(poll::DEADLINE, "v2 to be off", || {
        (failed("application/grpc+proto") == 0).then_some(())
    })
    .unwrap();
}

#[test]
fn testers_still_get_it_if_they_may_pass() {
    for pass in [true, false] {
        let mut guard = quick();
        guard["baseEjectionTime"] = "5m".into();
        if pass {
            guard["overrides"] = "pass".into();
        }
        let mut document = guarded(&guard);
        document["rollouts"][0]["overrides"] = json!([{
            "choice": {"header": "x-want"},
            "when": [{"key": "request.headers[x-group]", "values": ["qa"]}],
        }]);
        let mut proxy = Proxy::start(&document, 2, |demo| demo);
        proxy.v2.answer(500, "{}");
        proxy.until(0);
        let tester = Request::get("/").with("x-user", "u1").with("x-group", "qa");
        let versions = proxy.clients.iter_mut().map(|client| {
            let answer = client.send(&tester.clone().with("x-want", "v2")).unwrap();
            answer.header("x-upstream-version").unwrap()
        });
        let expected = if pass { "v2" } else { "v1" };
        assert!(versions.collect::<Vec<_>>().iter().all(|version| version == expected));
        assert_eq!(proxy.round(), 0, "and nobody else does");
    }
}

#[test]
fn too_few_requests_take_nothing_off() {
    let mut guard = quick();
    guard["minRequests"] = 100_000.into();
    let mut proxy = Proxy::start(&guarded(&guard), 2, |demo| demo);
    proxy.v2.answer(500, "{}");
    let all = proxy.round();
    let begin = Instant::now();
    // Several ticks of every worker.
    while begin.elapsed() < Duration::from_secs(2) {
        assert_eq!(proxy.round(), all);
    }
    assert_eq!(proxy.decisions("guarded") + proxy.events("ejected"), 0);
}

#[test]
fn a_route_that_leads_elsewhere_is_counted_and_told() {
    let limited = Plugin::shipped(
        "ratelimit",
        &json!({"rules": [{"name": "once", "match": {"paths": ["/limited"]}, "limits": ["1/24h"]}]}),
    );
    let canary = Plugin::shipped("canary", &guarded(&quick()));
    let mut proxy = Proxy::start(&json!({}), 1, |demo| {
        let demo = demo.with_plugins(&[canary, limited]).unwrap();
        let nowhere = json!({"match": {"prefix": "/nowhere"}, "route": {"cluster_header": "x-to"}});
        let nowhere = demo.with_first_route(nowhere).unwrap();
        let wrong = json!({"match": {"prefix": "/wrong"}, "route": {"cluster": "v1"}});
        let wrong = nowhere.with_first_route(wrong).unwrap();
        let itself = json!({"match": {"prefix": "/itself"}, "direct_response": {"status": 200}});
        wrong.with_first_route(itself).unwrap()
    });
    let client = proxy.clients.first_mut().unwrap();
    let mut told = Vec::new();
    for path in ["/", "/wrong", "/nowhere", "/itself", "/limited", "/limited"] {
        let answer =
            client.send(&Request::get(path).with("x-user", "u1").with("x-to", "gone")).unwrap();
        let line = proxy.envoy.access_log().of(&answer).unwrap();
        told.push((path, answer.status, line.text("canary"), line.text("canary_route")));
    }
    let v2 = Some("bucket:checkout=v2".to_owned());
    let went =
        |path, status, word: &str| (path, status, v2.clone(), Some(format!("checkout={word}")));
    assert_eq!(
        told,
        [
            went("/", 200, "as_meant"),
            went("/wrong", 200, "elsewhere"),
            went("/nowhere", 503, "no_route"),
            went("/itself", 200, "elsewhere"),
            went("/limited", 200, "as_meant"),
            went("/limited", 429, "not_routed"),
        ]
    );
    for (word, count) in [("as_meant", 2), ("elsewhere", 2), ("no_route", 1), ("not_routed", 1)] {
        assert_eq!(proxy.routes("v2", word), count, "{word}");
    }
}

/// Where the route has the weights, and the filter tells it the bucket alone.
#[test]
fn users_stay_with_stable_though_the_route_has_the_weights() {
    let mut document = guarded(&quick());
    let rollout = &mut document["rollouts"][0];
    let members = rollout.as_object_mut().unwrap();
    members.remove("header");
    members.remove("variants");
    members.insert("bucketHeader".to_owned(), json!({"name": "x-bucket"}));
    for workers in [1, 4] {
        let mut proxy = Proxy::start(&document, workers, |demo| {
            let clusters = json!([{"name": "v1", "weight": 60}, {"name": "v2", "weight": 40}]);
            let route =
                json!({"weighted_clusters": {"header_name": "x-bucket", "clusters": clusters}});
            demo.with_first_route(json!({"match": {"prefix": "/"}, "route": route})).unwrap()
        });
        let all = proxy.round();
        assert!(all > 0);
        proxy.v2.answer(500, "{}");
        proxy.until(0);
        proxy.v2.answer(200, "{}");
        proxy.until(all);
        assert_eq!([proxy.events("ejected"), proxy.events("recovered")], [1, 1]);
        assert_eq!(proxy.routes("v2", "elsewhere") + proxy.routes("v1", "elsewhere"), 0);
    }
}

#[test]
fn a_configuration_that_is_pushed_does_not_let_it_back() {
    let upstream = Upstream::start("v1").unwrap();
    let plugin = |guard: &Value| {
        let mut document = guarded(guard);
        document["rollouts"][0].as_object_mut().unwrap().remove("routes");
        Plugin::shipped("canary", &document)
    };
    let mut guard = quick();
    guard["baseEjectionTime"] = "10m".into();
    guard["maxEjectionTime"] = "10m".into();
    let mut proxy = Discovered::start_with(&plugin(&guard), upstream.address(), 2).unwrap();
    let v2s = |proxy: &mut Discovered| {
        let version = |user: usize| {
            let request = Request::get("/").with("x-user", format!("u{user}"));
            let seen = Echo::of(&proxy.send(&request).unwrap()).unwrap();
            seen.header("x-canary-checkout").unwrap()
        };
        (0..USERS).map(version).filter(|version| version == "v2").count()
    };
    assert!(v2s(&mut proxy) > 0);
    poll::until(poll::DEADLINE, "an ejection", || {
        for user in 0..USERS {
            let request = Request::get("/").with("x-user", format!("u{user}"));
            let version = Echo::of(&proxy.send(&request).unwrap()).unwrap();
            if version.header("x-canary-checkout").as_deref() == Some("v2") {
                proxy.send(&request.with("x-echo-status", "500")).unwrap();
            }
        }
        (v2s(&mut proxy) == 0).then_some(())
    })
    .unwrap();
    guard["minRequests"] = 60.into();
    assert!(proxy.push(&plugin(&guard)).unwrap().accepted);
    for _ in 0..5 {
        assert_eq!(v2s(&mut proxy), 0);
    }
}
