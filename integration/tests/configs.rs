//! Every file in `envoy-configs/` loads, serves, and decides what its comments and README.md promise.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use integration::corpus::FILTERS;
use integration::folder::Folder;
use integration::tour::{METRICS, stops, visit};
use integration::{Bootstrap, Client, Envoy, Request, demo, validate, workspace};
use serde_json::Value;

fn start(name: &str) -> (Envoy, Client) {
    let folder = Folder::temporary().unwrap();
    let bootstrap = Bootstrap::anywhere(name, folder.path()).unwrap();
    let envoy = Envoy::start_in(folder, &bootstrap, 1).unwrap();
    let client = Client::new(envoy.listener("demo").unwrap());
    (envoy, client)
}

fn body(client: &mut Client, request: &Request) -> Value {
    let response = client.send(request).unwrap();
    assert_eq!(response.status, 200, "{request:?}");
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn every_file_is_accepted_as_it_is() {
    let folder = workspace::root().join("envoy-configs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let validation = validate(&Bootstrap::shipped(name).unwrap()).unwrap();
            assert!(validation.accepted, "{name}: {}", validation.log);
            count += 1;
        }
    }
    assert_eq!(count, 6);
}

#[test]
fn the_suite_is_configured_like_the_chain() {
    let demo = |name| Bootstrap::shipped(name).unwrap().demo().unwrap();
    let (chain, suite) = (demo("chain"), demo("suite").configuration("suite").unwrap());
    for filter in FILTERS {
        assert_eq!(suite[filter], chain.configuration(filter).unwrap());
    }
    assert_eq!(suite["authz"], demo("authz").configuration("authz").unwrap());
    let keys: Value =
        serde_json::from_str(suite["authz"]["jwtRules"][0]["jwks"].as_str().unwrap()).unwrap();
    assert_eq!(keys, serde_json::from_str::<Value>(cases::JWKS).unwrap());
}

#[test]
fn authz_tells_401_403_and_200_apart() {
    let (_envoy, mut client) = start("authz");
    let token = demo::token("ann", &[]).unwrap();
    assert_eq!(client.send(&Request::get("/")).unwrap().status, 401);
    assert_eq!(client.send(&Request::get("/admin").bearer(&token)).unwrap().status, 403);
    let seen = body(&mut client, &Request::get("/").with("x-jwt-sub", "root").bearer(&token));
    assert_eq!(seen["x-jwt-sub"], "ann", "and only the token says who it is");
}

/// What README.md has its readers paste.
#[test]
fn the_tokens_in_the_readme_are_good() {
    let (envoy, mut client) = start("chain");
    let readme =
        std::fs::read_to_string(workspace::root().join("envoy-configs/README.md")).unwrap();
    let token = |name| readme.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    for (name, status, version) in [("TOKEN=", 403, "v1"), ("ADMIN=", 200, "v2")] {
        let response = client.send(&Request::get("/admin").bearer(token(name))).unwrap();
        let line = envoy.access_log().of(&response).unwrap();
        assert_eq!(response.status, status, "{name}: {line:?}");
        let seen = body(&mut client, &Request::get("/checkout/17").bearer(token(name)));
        assert_eq!(seen["version"], version, "{name}");
    }
}

#[test]
fn ratelimit_admits_five_and_says_when_to_come_back() {
    let (_envoy, mut client) = start("ratelimit");
    for request in [Request::get("/search").with("x-api-key", "k1"), Request::get("/search")] {
        for _ in 0..5 {
            assert_eq!(client.send(&request).unwrap().status, 200);
        }
        let limited = client.send(&request).unwrap();
        assert_eq!(limited.status, 429);
        let seconds: u64 = limited.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(client.send(&Request::get("/elsewhere")).unwrap().status, 200);
}

#[test]
fn canary_keeps_to_its_choice_whatever_the_client_says() {
    let (_envoy, mut client) = start("canary");
    let mut versions = Vec::new();
    for number in 0..60 {
        let request = Request::get("/checkout").with("x-user", format!("user-{number}"));
        let seen = body(&mut client, &request);
        let choosing = request.with("x-canary-checkout", "v2").with("x-canary-checkout", "v2");
        let again = body(&mut client, &choosing);
        assert_eq!(seen["version"], again["version"]);
        assert_eq!(seen["version"], again["x-canary-checkout"]);
        versions.push(seen["version"].as_str().unwrap().to_owned());
    }
    let second = versions.iter().filter(|version| *version == "v2").count();
    assert!((5..=30).contains(&second), "{second} of 60 is no quarter");
}

#[test]
fn telemetry_counts_by_route_and_says_so_in_the_access_log() {
    let (envoy, mut client) = start("telemetry");
    for path in ["/checkout/17", "/checkout/18", "/elsewhere"] {
        let response = client.send(&Request::get(path)).unwrap();
        let route = envoy.access_log().of(&response).unwrap().text("http_route");
        let expected = path.starts_with("/checkout").then(|| "/checkout/{order}".to_owned());
        assert_eq!(route, expected);
    }
    let metrics = envoy.admin().prometheus().unwrap();
    for line in [
        r#"http_server_requests_total{http_route="/checkout/{order}",http_request_method="GET",outcome="ok"} 2"#,
        r#"http_server_requests_total{http_route="_other",http_request_method="GET",outcome="ok"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in\n{metrics}");
    }
}

#[test]
fn the_chain_and_the_suite_keep_what_the_tour_promises() {
    for name in ["chain", "suite"] {
        let (envoy, mut client) = start(name);
        for stop in stops().unwrap() {
            let seen = visit(&envoy, &mut client, &stop).unwrap();
            let (who, meaning) = (stop.who, stop.meaning);
            assert!(seen.kept, "{name}: {who}, {meaning}: {seen:?}");
        }
        for metric in METRICS {
            let value = envoy.admin().metric(metric.name, metric.labels).unwrap();
            assert!(value > 0, "{name}: {metric:?}");
        }
        let metrics = envoy.admin().prometheus().unwrap();
        assert!(!metrics.contains("=.="), "a label that no stats_tags cut out:\n{metrics}");
    }
}
