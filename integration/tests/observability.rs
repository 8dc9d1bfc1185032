//! What telemetry counts is what was sent: read back through a real Prometheus, and under clients that do their worst.
//! `FLOOD=1000000` sends a million made-up requests; it is fewer otherwise.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use integration::folder::Folder;
use integration::prometheus::{Prometheus, dashboard};
use integration::{Bootstrap, Client, Envoy, Plugin, Request, poll};
use serde_json::json;

const THREADS: usize = 8;

fn start(workers: u32) -> (Envoy, SocketAddr) {
    let folder = Folder::temporary().unwrap();
    let bootstrap = Bootstrap::anywhere("telemetry-red", folder.path()).unwrap();
    let envoy = Envoy::start_in(folder, &bootstrap, workers).unwrap();
    let address = envoy.listener("demo").unwrap();
    (envoy, address)
}

/// Sends so many requests from several clients at once, each made of its number.
fn load(address: SocketAddr, count: usize, request: fn(usize) -> Request) -> Vec<(usize, u16)> {
    let press = |worker: usize| {
        thread::spawn(move || {
            let mut client = Client::new(address);
            let mut sent = Vec::new();
            for number in (worker..count).step_by(THREADS) {
                sent.push((number, client.send(&request(number)).unwrap().status));
            }
            sent
        })
    };
    let threads: Vec<_> = (0..THREADS).map(press).collect();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

/// Each in its turn.
fn one_of<const N: usize>(words: [&'static str; N], number: usize) -> &'static str {
    words.iter().copied().cycle().nth(number % N).unwrap()
}

/// Orders of three tenants, of which some are not there, a search that finds nothing, and a failure.
fn shopping(number: usize) -> Request {
    let path = match number % 8 {
        0 => "/fail".to_owned(),
        1 => "/search?q=a".to_owned(),
        2 => "/orders/none".to_owned(),
        _ => format!("/orders/{number}"),
    };
    Request::get(&path).with("x-tenant", one_of(["acme", "globex", "initech"], number))
}

#[test]
#[ignore = "needs prometheus: make prometheus-test"]
fn prometheus_returns_what_the_load_generator_counted() {
    let (envoy, address) = start(2);
    let prometheus = Prometheus::start(envoy.admin().address()).unwrap();
    // A tenant is known by its first request that ends well; here by the third to fifth of all.
    let mut client = Client::new(address);
    let mut sent: Vec<(usize, u16)> =
        [3, 4, 5].map(|number| (number, client.send(&shopping(number)).unwrap().status)).into();
    sent.extend(load(address, 400, shopping));
    let seen = |wanted: f64| {
        poll::until(poll::DEADLINE, "Prometheus to have scraped it all", || {
            let found = prometheus.sum("http_server_requests_total").unwrap_or_default();
            (found >= wanted).then_some(())
        })
        .unwrap();
    };
    seen(403.0);
    // A second time, so that rates have something to tell.
    sent.extend(load(address, 400, shopping));
    seen(803.0);
    let count = |of: &dyn Fn(usize, u16) -> bool| {
        sent.iter().filter(|(number, status)| of(*number, *status)).count() as f64
    };
    for (query, counted) in [
        ("http_server_requests_total", count(&|_, _| true)),
        (r#"http_server_requests_total{http_route="/orders/{order}"}"#, count(&|n, _| n % 8 >= 2)),
        (
            r#"http_server_requests_total{http_route="/orders/{order}",outcome="ok"}"#,
            count(&|n, status| n % 8 >= 2 && status == 200),
        ),
        (r#"http_server_requests_total{outcome="client_error"}"#, count(&|n, _| n % 8 == 2)),
        (r#"http_server_requests_total{error_type="503"}"#, count(&|_, status| status == 503)),
        (r#"http_server_requests_total{tenant="acme"}"#, count(&|n, _| n % 3 == 0)),
        (
            r#"http_server_requests_total{http_response_status_class="4xx"}"#,
            count(&|_, s| s == 404),
        ),
        (r#"http_server_slo_requests_total{slo="errors",verdict="bad"}"#, count(&|_, s| s == 503)),
        (
            r#"http_server_slo_requests_total{slo="errors",verdict="good"}"#,
            count(&|n, status| status == 200 || n % 8 == 1),
        ),
        (
            r#"http_server_slo_requests_total{slo="latency",verdict!="excluded"}"#,
            count(&|n, status| status == 200 || n % 8 == 1),
        ),
        (r#"http_server_requests_total{tenant="_other"}"#, 0.0),
    ] {
        // A scrape that takes long leaves nothing to add up until the next.
        let all = poll::until(poll::DEADLINE, query, || {
            (prometheus.sum(query).ok()? == counted).then_some(())
        });
        assert_eq!(all, Ok(()), "{:?} instead of {counted}", prometheus.sum(query));
    }

    // Rules are evaluated a second later at most.
    let all = count(&|_, _| true);
    for rule in [
        "http_server_request_duration_seconds_count",
        r#"http_server_request_duration_seconds_bucket{le="+Inf"}"#,
        // The longest of buckets.
        r#"http_server_request_duration_seconds_bucket{le="10"}"#,
    ] {
        poll::until(poll::DEADLINE, rule, || (prometheus.sum(rule).ok()? == all).then_some(()))
            .unwrap();
    }
    for (title, query) in dashboard().unwrap() {
        let found = poll::until(poll::DEADLINE, &title, || {
            let found = prometheus.query(&query).unwrap();
            (!found.is_empty() && found.iter().all(|each| each.value.is_finite())).then_some(found)
        });
        let found = found.unwrap();
        let sum: f64 = found.iter().map(|each| each.value).sum();
        let expected = match title.as_str() {
            "Requests in all" | "Requests by tenant" => all,
            "Errors of servers in all" => count(&|_, status| status == 503),
            "Clients that left" | "Values without a place" => 0.0,
            _ => continue,
        };
        assert_eq!(sum, expected, "{title}: {found:?}");
    }
    let bad =
        prometheus.query(r#"route_slo:http_server_slo_bad:ratio_rate5m{slo="errors"}"#).unwrap();
    let ratio = |route: &str| {
        bad.iter().find(|each| each.labels["http_route"] == route).map(|each| each.value)
    };
    assert_eq!(ratio("/orders/{order}"), Some(0.0), "{bad:?}");
    let all_failed = bad.iter().map(|each| each.value).fold(0.0, f64::max);
    assert!((all_failed - 1.0).abs() < 1e-9, "/fail fails each time: {bad:?}");
}

/// What would forge labels if it could.
const FORGED: [&str; 4] = ["", ";.;outcome=.=evil;.;", "\"}1\\n", ".component.x."];

/// Paths and tenants that are there to stay: as many as there is room for.
const WORDS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// A request of a path, a method and a tenant that nobody ever sent.
fn made_up(number: usize) -> Request {
    let forged = one_of(FORGED, number);
    let request = Request::new(&format!("M{number}"), &format!("/p{number}-{number}/x{forged}"));
    request.with("x-tenant", format!("t{number}{forged}"))
}

/// The same, but that one in three has a path, and one in five a tenant, that many have: more combinations of what is known
/// than there may be series.
fn attack(number: usize) -> Request {
    let mut request = made_up(number);
    if !number.is_multiple_of(7) {
        request.method = one_of(["GET", "POST", "PUT", "DELETE"], number / 7).to_owned();
    }
    if number.is_multiple_of(3) {
        request.path = format!("/{}/deep", one_of(WORDS, number / 3));
    }
    if number.is_multiple_of(5) {
        request = Request { headers: Vec::new(), ..request };
        return request.with("x-tenant", one_of(WORDS, number / 50));
    }
    request
}

/// The most series of a metric, under attack.
const CAP: usize = 100;

#[test]
fn an_attack_on_labels_ends_at_the_cap() {
    let all: usize = std::env::var("FLOOD").map_or(24_000, |count| count.parse().unwrap());
    let nobody = "127.0.0.1:9".parse().unwrap();
    let mut bootstrap = Bootstrap::before("telemetry-red", &[("v1", nobody)]).unwrap();
    let mut telemetry = bootstrap.demo().unwrap().configuration("telemetry").unwrap();
    telemetry["maxSeries"] = CAP.into();
    let answer = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    let demo = bootstrap.demo().unwrap();
    let demo = demo.with_plugins(&[Plugin::shipped("telemetry", &telemetry)]).unwrap();
    let any_method = json!({"allow_custom_methods": true});
    let demo = demo.managed("http_protocol_options", any_method).unwrap();
    bootstrap.set_listeners(vec![demo.with_first_route(answer).unwrap()]).unwrap();
    let envoy = Envoy::start(&bootstrap, 2).unwrap();
    let address = envoy.listener("demo").unwrap();
    let admin = envoy.admin();

    let mut client = Client::new(address);
    for word in WORDS {
        let known = Request::get(&format!("/{word}/deep")).with("x-tenant", word);
        assert_eq!(client.send(&known).unwrap().status, 200);
    }
    let first = load(address, all / 3, attack);
    let answered =
        |(number, status): &(usize, u16)| assert_eq!(*status, 200, "{:?}", attack(*number));
    first.iter().for_each(answered);
    let series = || admin.stats("wasmcustom").unwrap().len();
    let (filled, counted) = (admin.memory().unwrap(), series());
    let begin = Instant::now();
    let again = load(address, all, |number| made_up(number + 10_000_000));
    let took = begin.elapsed().as_secs_f64();
    again.iter().for_each(answered);
    let after = admin.memory().unwrap();

    let sent = u64::try_from(WORDS.len() + first.len() + again.len()).unwrap();
    for (name, labels) in [
        ("http_server_requests_total", &[][..]),
        ("http_server_slo_requests_total", &[("slo", "errors")]),
        ("http_server_slo_requests_total", &[("slo", "latency")]),
    ] {
        assert_eq!(admin.metric(name, labels).unwrap(), sent, "{name} {labels:?}");
    }
    let in_all = poll::until(poll::DEADLINE, "the histograms to be told too", || {
        let name = "http_server_request_duration_milliseconds_count";
        (admin.metric(name, &[]).ok()? == sent).then_some(())?;
        let histograms = admin.prometheus().ok()?;
        let histograms = histograms.lines().filter(|line| line.starts_with(name)).count();
        Some(series() + histograms)
    });
    let in_all = in_all.unwrap();
    let in_use = admin.metric("outrigger_telemetry_series", &[]).unwrap();
    println!(
        "{all} made-up requests in {took:.1} s: {in_all} series, {} more than before, and {} bytes",
        series().saturating_sub(counted),
        after.saturating_sub(filled)
    );
    assert_eq!(in_use, u64::try_from(in_all).unwrap(), "what two workers say is in use");
    assert!(in_use <= admin.metric("outrigger_telemetry_series_limit", &[]).unwrap());

    let metrics = admin.prometheus().unwrap();
    let lines = || metrics.lines().filter(|line| line.starts_with("http_server_requests_total{"));
    // Five outcomes have one more each, in which all is counted that found no room.
    assert!((CAP..=CAP + 5).contains(&lines().count()), "{}", lines().count());
    for line in lines() {
        assert!(line.contains(r#"outcome="ok""#) && !line.contains("component="), "{line}");
        assert_eq!(line.matches("outcome=").count(), 1, "{line}");
    }
    assert!(!metrics.contains("=.="), "a label that no stats_tags cut out:\n{metrics}");
    // New ends of requests may add some; made-up names may not.
    assert!(series() < counted + 50, "{counted}, then {}", series());
    let settled = poll::until(poll::DEADLINE, "memory to settle", || {
        (admin.memory().ok()? < filled + 3_000_000).then_some(())
    });
    assert_eq!(settled, Ok(()), "{filled}, then {after}");
    let overflow = |label| {
        admin.metric("outrigger_telemetry_overflow_total", &[("label", label)]).unwrap() as usize
    };
    assert!(overflow("tenant") > all / 2 && overflow("http_server_requests_total") > 0);
}

#[test]
fn nothing_breaks_when_a_client_leaves_or_is_refused_before_us() {
    let (mut envoy, address) = start(1);
    let mut client = Client::new(address);
    for _ in 0..20 {
        // No HTTP, half of it, and none of the answer.
        for bytes in [
            &b"\0\x01\x02 nonsense\r\n\r\n"[..],
            b"GET /orders/1 HTTP/1.1\r\nhost: a\r\n",
            b"GET /orders/1 HTTP/1.1\r\nhost: a\r\nx-tenant: \xff\xfe\r\n\r\n",
            b"POST /orders/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf",
            b"GET http:// HTTP/1.1\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(bytes).unwrap();
        }
        assert_eq!(client.send(&Request::get("/orders/1")).unwrap().status, 200);
    }
    let labels =
        [("http_route", "/orders/{order}"), ("http_request_method", "GET"), ("tenant", "unknown")];
    poll::until(poll::DEADLINE, "the answers to be counted", || {
        let counted = envoy.admin().metric("http_server_requests_total", &labels).ok()?;
        (counted >= 20).then_some(())
    })
    .unwrap();
    poll::until(poll::DEADLINE, "those who left to be counted", || {
        let metrics = envoy.admin().prometheus().ok()?;
        metrics.contains(r#"outcome="cancelled""#).then_some(())
    })
    .unwrap();
    assert!(envoy.is_running());
    assert!(!envoy.log().contains("panicked"), "{}", envoy.log_tail());
}
