//! What filter-host promises, kept by a real Envoy. The probe does to a request what its header `x-probe` says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;

use integration::plugin::FailurePolicy;
use integration::upstream::Echo;
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Response, Upstream, poll};
use serde_json::json;

struct Proxy {
    envoy: Envoy,
    client: Client,
    address: SocketAddr,
    upstream: Upstream,
}

/// The probe alone before an upstream.
fn start(workers: u32) -> Proxy {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("telemetry", &[("v1", upstream.address())]).unwrap();
    let demo = bootstrap.demo().unwrap();
    let demo = demo.with_plugins(&[Plugin::probe(FailurePolicy::Closed)]).unwrap();
    let demo = demo.logging(["probe", "probe_said", "probe_logged"]).unwrap();
    let hello = json!({"key": "wasm.probe_said", "string_match": {"exact": "reroute"}});
    let rerouted = json!({
        "match": {"prefix": "/", "filter_state": [hello]},
        "direct_response": {"status": 207},
    });
    let demo = demo.with_first_route(rerouted).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, workers).unwrap();
    let address = envoy.listener("demo").unwrap();
    Proxy { envoy, client: Client::new(address), address, upstream }
}

/// A request that tells the probe what to do.
fn ask(what: &str) -> Request {
    Request::get("/asked").with("x-probe", what)
}

impl Proxy {
    fn send(&mut self, request: &Request) -> Response {
        self.client.send(request).unwrap()
    }

    /// What the upstream saw of a request.
    fn echo(&mut self, request: &Request) -> Echo {
        let response = self.send(request);
        Echo::of(&response).unwrap_or_else(|| panic!("{}: {}", response.status, response.text()))
    }
}

#[test]
fn every_copy_of_a_header_is_offered_as_bytes() {
    let mut proxy = start(1);
    let request = ask("copies").with("x-many", "a").with("X-Many", b"\xff\x80").with("x-many", "");
    let echo = proxy.echo(&request);
    assert_eq!(echo.header("x-copies").unwrap(), "61,ff80,");
    assert!(echo.header("x-address").unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn every_copy_is_removed_or_replaced() {
    let mut proxy = start(1);
    let request = ask("clean")
        .with("x-many", "a")
        .with("X-MANY", "b")
        .with("x-argument", "theirs")
        .with("X-Argument", b"\xff");
    let echo = proxy.echo(&request);
    assert_eq!(echo.header("x-many"), None);
    assert_eq!(echo.header("x-argument").unwrap(), "ours");
}

#[test]
fn of_all_workers_one_creates_a_cell() {
    let proxy = start(4);
    let address = proxy.address;
    let race = move || {
        let mut client = Client::new(address);
        let response = client.send(&ask("cell").with("x-argument", "create")).unwrap();
        Echo::of(&response).unwrap().header("x-cell").unwrap()
    };
    let racers: Vec<_> = (0..64).map(|_| thread::spawn(race)).collect();
    let said: Vec<String> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    let swapped = said.iter().filter(|word| *word == "swapped").count();
    let conflict = said.iter().filter(|word| *word == "conflict").count();
    assert_eq!((swapped, conflict), (1, 63), "{said:?}");
}

#[test]
fn no_change_of_a_cell_is_lost_between_workers() {
    const THREADS: usize = 16;
    const EACH: usize = 50;
    let proxy = start(4);
    let address = proxy.address;
    let count = move || {
        let mut client = Client::new(address);
        let one = |_| {
            let response = client.send(&ask("cell").with("x-argument", "count")).unwrap();
            Echo::of(&response).unwrap().header("x-cell").unwrap().parse::<usize>().unwrap()
        };
        (0..EACH).map(one).collect::<Vec<_>>()
    };
    let threads: Vec<_> = (0..THREADS).map(|_| thread::spawn(count)).collect();
    let seen: BTreeSet<usize> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(seen, (1..=THREADS * EACH).collect());
}

#[test]
fn counters_and_histograms_have_labels() {
    let mut proxy = start(1);
    for _ in 0..2 {
        let response = proxy.send(&ask("count"));
        let line = proxy.envoy.access_log().of(&response).unwrap();
        assert_eq!(line.text("probe").unwrap(), "asked:asked-for");
    }
    let stats = proxy.envoy.admin().stats("wasmcustom").unwrap();
    let stat = |name: &str| stats.get(&format!("wasmcustom.{name}")).copied();
    assert_eq!(stat("probe_counted_total.path=.=/a/{b};.;quote=.=\"é\\;.;"), Some(6), "{stats:?}");
    assert_eq!(
        stat("outrigger_probe_decisions_total.rule=.=asked-for;.;reason=.=asked;.;"),
        Some(2)
    );
    // A histogram is merged from the workers' when the stats are flushed.
    poll::until(poll::DEADLINE, "two values in the histogram", || {
        let text = proxy.envoy.admin().prometheus().ok()?;
        let count = |line: &&str| line.starts_with("probe_size_bytes") && line.contains("_count");
        text.lines().find(count)?.ends_with(" 2").then_some(())
    })
    .unwrap();
}

#[test]
fn a_reply_has_details_headers_and_a_grpc_status() {
    let mut proxy = start(1);
    let response = proxy.send(&ask("reply"));
    assert_eq!((response.status, response.text().as_str()), (418, "as asked"));
    assert_eq!(response.header("x-reply").unwrap(), "yes");
    let line = proxy.envoy.access_log().of(&response).unwrap();
    assert_eq!(line.text("details").unwrap(), "probe{asked:asked-for}");

    let response = proxy.send(&ask("reply").with("content-type", "application/grpc"));
    assert_eq!(response.status, 200);
    assert_eq!(response.header("grpc-status").unwrap(), "8");
    assert_eq!(response.header("grpc-message").unwrap(), "as asked");
    assert_eq!(proxy.upstream.requests(), 0);
}

#[test]
fn the_proxy_checks_signatures_and_says_when_it_cannot() {
    // Of ES256, ES384, ES512 and RS512.
    let echo = start(1).echo(&ask("verify"));
    assert_eq!(echo.header("x-right").unwrap(), ["Some(true)"; 4].join(" "));
    assert_eq!(echo.header("x-wrong").unwrap(), ["Some(false)"; 4].join(" "));
    assert_eq!(echo.header("x-lacking").unwrap(), ["None"; 4].join(" "));
}

#[test]
fn clocks_go_on_and_randomness_differs() {
    let mut proxy = start(2);
    let echoes = [0; 4].map(|_| proxy.echo(&ask("world")));
    let monotonic =
        echoes.each_ref().map(|echo| echo.header("x-monotonic").unwrap().parse::<u128>().unwrap());
    assert!(monotonic.is_sorted() && monotonic.first() > Some(&0), "{monotonic:?}");
    let seeds: BTreeSet<_> = echoes.iter().map(|echo| echo.header("x-seed").unwrap()).collect();
    assert_eq!(seeds.len(), echoes.len(), "{seeds:?}");
    let wall: u64 = echoes.last().unwrap().header("x-wall").unwrap().parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(wall) < 60, "{wall} is not {now}");
}

#[test]
fn response_headers_are_edited() {
    let mut proxy = start(1);
    let response = proxy.send(&ask("response").with("x-argument", b"\xe9"));
    assert_eq!(response.header("x-upstream-version"), None);
    let answered: Vec<_> =
        response.headers.iter().filter(|(name, _)| name == "x-answered").collect();
    assert_eq!(answered, [&("x-answered".to_owned(), vec![0xe9])]);
}

#[test]
fn attributes_are_read_together_and_an_absent_one_harms_no_other() {
    let mut proxy = start(1);
    let response = proxy.send(&ask("publish").with("x-argument", "hello"));
    let line = proxy.envoy.access_log().of(&response).unwrap();
    assert_eq!(line.text("probe_said").unwrap(), "hello");
    let logged = line.text("probe_logged").unwrap();
    let values: Vec<&str> = logged.split('|').collect();
    let [address, duration, code, details, route, cluster, said] = values[..] else {
        panic!("{logged}")
    };
    assert!(address.starts_with("127.0.0.1:"), "{logged}");
    assert!(duration.parse::<u64>().unwrap() > 0, "{logged}");
    assert_eq!([code, details, cluster, said], ["200", "via_upstream", "v1", "hello"]);
    assert_eq!(route, "-", "the route has no name");

    let response = proxy.send(&ask("reply"));
    let logged = proxy.envoy.access_log().of(&response).unwrap().text("probe_logged").unwrap();
    assert!(logged.contains("|418|probe{asked:asked-for}|"), "{logged}");
    assert!(logged.ends_with("|-"), "{logged}");
}

#[test]
fn a_route_can_be_chosen_by_what_was_published() {
    let mut proxy = start(1);
    assert_eq!(proxy.send(&ask("publish").with("x-argument", "hello")).status, 200);
    assert_eq!(proxy.send(&ask("publish").with("x-argument", "reroute")).status, 207);
}

#[test]
fn a_request_waits_for_its_callout_with_body_and_all() {
    let mut proxy = start(1);
    let mut request = ask("call").with("x-argument", "v1");
    request.method = "POST".to_owned();
    request.body = vec![b'x'; 100_000];
    let echo = proxy.echo(&request);
    assert_eq!(echo.method, "POST");
    // `:status` 204, and what was decided before the callout, as the filter saw it after.
    assert_eq!(echo.header("x-status").unwrap(), "323034");
    assert_eq!(echo.header("x-seen").unwrap(), "77616974696e67");
    assert_eq!(echo.header("x-before").unwrap(), "waiting");
    assert_eq!(proxy.upstream.requests(), 2);
}

#[test]
fn a_callout_that_cannot_be_made_is_told() {
    let mut proxy = start(1);
    let echo = proxy.echo(&ask("call").with("x-argument", "no-such-cluster"));
    assert_eq!(echo.header("x-status").unwrap(), "failure");
    assert_eq!(echo.header("x-seen").unwrap(), "77616974696e67");
}

#[test]
fn a_held_request_goes_on_when_the_background_has_news() {
    let mut proxy = start(2);
    let client = Client::new(proxy.address);
    let held = thread::spawn(move || {
        let mut client = client;
        let mut request = ask("hold").with("x-argument", "60000");
        request.method = "POST".to_owned();
        request.body = vec![b'x'; 100_000];
        client.send(&request).unwrap()
    });
    poll::until(poll::DEADLINE, "the request", || {
        let active = proxy.envoy.admin().stats("http.demo.downstream_rq_active").ok()?;
        active.values().any(|count| *count == 1).then_some(())
    })
    .unwrap();
    assert!(!held.is_finished());
    proxy.send(&ask("news").with("x-argument", "v1"));
    let response = held.join().unwrap();
    let echo = Echo::of(&response).unwrap();
    // What the worker fetched, under the name it gave the call, and what was decided before.
    assert_eq!(echo.header("x-news").unwrap(), "7: 323034");
    assert_eq!(echo.header("x-status").unwrap(), "resumed");
    assert_eq!(echo.header("x-seen").unwrap(), "77616974696e67");
    assert_eq!(echo.method, "POST");
}

#[test]
fn a_request_is_held_no_longer_than_told() {
    let mut proxy = start(1);
    let echo = proxy.echo(&ask("hold").with("x-argument", "100"));
    assert_eq!(echo.header("x-status").unwrap(), "resumed");
    assert_eq!(echo.header("x-news").unwrap_or_default(), "");
}

#[test]
fn what_cannot_be_fetched_is_told_to_those_who_wait() {
    let mut proxy = start(1);
    proxy.send(&ask("news").with("x-argument", "no-such-cluster"));
    let echo = proxy.echo(&ask("hold").with("x-argument", "60000"));
    assert_eq!(echo.header("x-news").unwrap(), "7: failure");
}
