//! The guard, as several workers of one proxy play it over shared cells.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod laws;
mod proxy;

use std::time::Duration;

use canary::Memo;
use filter_core::cells::{Cell, Cells, Stored, Unavailable, Version};
use filter_core::fixture::{FixtureExchange, World};
use filter_core::view::{Attribute, Value};
use filter_core::{Filter, HeaderMap, Phase, Ports, View};

use proxy::{Begun, GUARDED, Proxy, TICK, configured};

const NOBODY: [usize; 0] = [];
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_failing_variant_is_off_everywhere_and_comes_back_by_degrees() {
    let mut proxy = Proxy::new(4, GUARDED);
    let all = proxy.on_v2(500);
    assert!((150..250).contains(&all.len()), "{}", all.len());
    proxy.traffic(500, 500);
    proxy.tick();
    // Whoever ticked before the last had told hears of it with the next.
    proxy.tick();
    assert_eq!(proxy.on_v2(500), NOBODY);
    assert_eq!(proxy.begin(0, all[0]).reason, "guarded");
    assert_eq!(proxy.events, ["ejected"]);
    (0..6).for_each(|_| proxy.tick());
    assert_eq!(proxy.events, ["ejected", "probing"]);
    let few = proxy.on_v2(500);
    assert!(few.iter().all(|user| all.contains(user)), "only those who were in");
    assert!((30..70).contains(&few.len()), "a quarter of {}: {}", all.len(), few.len());
    proxy.traffic(500, 200);
    (0..2).for_each(|_| proxy.tick());
    assert_eq!(proxy.events, ["ejected", "probing", "recovered"]);
    assert_eq!(proxy.on_v2(500), all);
}

#[test]
fn one_that_still_fails_those_who_try_it_is_off_for_longer() {
    let mut proxy = Proxy::new(2, GUARDED);
    proxy.traffic(500, 500);
    let mut times = Vec::new();
    for _ in 0..4 {
        (0..2).for_each(|_| proxy.tick());
        let begin = proxy.world.clock.0.get();
        while proxy.on_v2(500).is_empty() && proxy.world.clock.0.get() - begin < 10 * SECOND {
            proxy.tick();
        }
        times.push((proxy.world.clock.0.get() - begin).as_secs_f64().round());
        proxy.traffic(500, 500);
    }
    assert_eq!(times, [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn what_began_before_it_was_off_does_not_count_when_it_is_tried() {
    let mut proxy = Proxy::new(1, GUARDED);
    let late: Vec<Begun> = (0..500).map(|user| proxy.begin(0, user)).collect();
    proxy.traffic(500, 500);
    (0..7).for_each(|_| proxy.tick());
    assert_eq!(proxy.events, ["ejected", "probing"]);
    late.into_iter().for_each(|begun| proxy.end(begun, 504));
    (0..3).for_each(|_| proxy.tick());
    assert_eq!(proxy.events, ["ejected", "probing"]);
}

#[test]
fn a_configuration_that_is_pushed_does_not_let_it_back() {
    let mut proxy = Proxy::new(2, GUARDED);
    proxy.traffic(500, 500);
    (0..2).for_each(|_| proxy.tick());
    let pushed = GUARDED
        .replace("\"max\":10", "\"max\":20")
        .replace("\"variants\":[", "\"variants\":[{\"name\":\"v3\",\"weight\":0},");
    proxy.workers = (0..2).map(|_| configured(&pushed).0).collect();
    // At once, before any clock strikes.
    assert_eq!(proxy.on_v2(500), NOBODY);
}

#[test]
fn a_worker_that_is_gone_takes_what_it_had_not_told_and_no_more() {
    let mut proxy = Proxy::new(3, GUARDED);
    proxy.traffic(500, 500);
    // It crashes before it told anybody; a fresh one takes its place.
    proxy.workers[0] = configured(GUARDED).0;
    (0..2).for_each(|_| proxy.tick());
    assert_eq!(proxy.events, ["ejected"]);
    proxy.workers[1] = configured(GUARDED).0;
    assert_eq!(proxy.on_v2(500), NOBODY);
}

/// A store that cannot be written, as it is broken or as others always write first.
struct Unwritable(Result<Stored, Unavailable>);

impl Cells for Unwritable {
    fn load(&self, _: &[u8]) -> Result<Option<Cell>, Unavailable> {
        self.0.map(|_| None)
    }

    fn store(&self, _: &[u8], _: &[u8], _: Option<Version>) -> Result<Stored, Unavailable> {
        self.0
    }
}

#[test]
fn what_cannot_be_told_now_is_told_later() {
    for cells in [Unwritable(Err(Unavailable)), Unwritable(Ok(Stored::Conflict))] {
        let mut proxy = Proxy::new(2, GUARDED);
        proxy.traffic(500, 500);
        for worker in &proxy.workers {
            let ports = Ports { cells: &cells, ..proxy.world.ports() };
            assert_eq!(worker.on_tick(&ports).counts, []);
        }
        assert!(!proxy.on_v2(500).is_empty());
        (0..2).for_each(|_| proxy.tick());
        assert_eq!(proxy.events, ["ejected"]);
        assert_eq!(proxy.on_v2(500), NOBODY);
    }
}

#[test]
fn slow_answers_count_too_and_each_rollout_has_one_cell() {
    let mut proxy = Proxy::new(2, GUARDED);
    for user in 0..500 {
        let mut begun = proxy.begin(user % 2, user);
        let slow = if begun.version == "shop=v2" { 101 } else { 99 };
        let attributes = [
            (Attribute::ResponseCode, Value::Number(200)),
            (Attribute::RequestDuration, Value::Number(slow * 1_000_000)),
        ];
        let exchange =
            FixtureExchange { attributes: attributes.into(), ..FixtureExchange::default() };
        let view = View::new(&exchange, Phase::Log, &[]);
        proxy.workers[begun.worker].on_log(&view, &mut begun.memo, &proxy.world.ports());
    }
    (0..2).for_each(|_| proxy.tick());
    assert_eq!(proxy.events, ["ejected"]);
    assert_eq!(proxy.world.cells.len(), 1);
    // Without news nobody writes.
    let version = || proxy.world.ports().cells.load(b"canary guard shop").unwrap().unwrap().version;
    let before = version();
    proxy.workers.iter().for_each(|worker| drop(worker.on_tick(&proxy.world.ports())));
    assert_eq!(version(), before);
}

#[test]
fn those_who_may_choose_pass_if_it_is_told_so_and_tell_it_nothing() {
    let with = |rule: &str| {
        let overrides = r#""overrides":[{"choice":{"header":"x-want"},"when":[{"key":"request.headers[x-user]","values":["user-1*"]}]}],"#;
        let document = GUARDED.replace("\"stable\"", &format!("{overrides}\"stable\""));
        document.replace("\"interval\"", &format!("{rule}\"interval\""))
    };
    let ask = |proxy: &Proxy| {
        let begun = proxy.begin_with(0, 1, &[("x-want", "v2")]);
        let got = (begun.version.clone(), begun.reason);
        (got, begun)
    };
    for (rule, passes) in [("", false), (r#""overrides":"pass","#, true)] {
        let mut proxy = Proxy::new(1, &with(rule));
        // What becomes of testers alone takes nothing off where they are left alone.
        for _ in 0..200 {
            let (got, begun) = ask(&proxy);
            assert_eq!(got, ("shop=v2".to_owned(), "override"));
            proxy.end(begun, 500);
            proxy.end(proxy.begin(0, 7), 200);
            proxy.end(proxy.begin(0, 8), 200);
        }
        proxy.tick();
        assert_eq!(proxy.events.is_empty(), passes, "{:?}", proxy.events);
        proxy.traffic(500, 500);
        proxy.tick();
        assert_eq!(proxy.events, ["ejected"]);
        let expected = if passes { ("shop=v2", "override") } else { ("shop=v1", "guarded") };
        let (got, _) = ask(&proxy);
        assert_eq!((got.0.as_str(), got.1), expected);
    }
}

#[test]
fn a_user_who_is_kept_from_a_variant_keeps_the_cookie_and_carries_what_they_got() {
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let document = GUARDED
        .replace("{\"rollouts\"", &format!("{{\"signingKeys\":[{{\"id\":\"a\",\"secret\":\"{key}\"}}],\"baggage\":{{}},\"rollouts\""))
        .replace("\"stable\"", "\"stickyCookie\":{\"name\":\"shop\"},\"stable\"");
    let mut proxy = Proxy::new(1, &document);
    let user = proxy.on_v2(50)[0];
    let cookies = |proxy: &Proxy, begun: &mut Begun| {
        let exchange = FixtureExchange::default();
        let view = View::new(&exchange, Phase::Response, &[]);
        proxy.workers[0].on_response(&view, &mut begun.memo, &proxy.world.ports()).edits
    };
    let mut begun = proxy.begin(0, user);
    let [filter_core::Edit::Append(_, line)] = &cookies(&proxy, &mut begun)[..] else {
        panic!("no cookie")
    };
    let line = String::from_utf8(line.clone()).unwrap();
    let cookie = line.split(';').next().unwrap();
    let again = |proxy: &Proxy| proxy.begin_with(0, user, &[("cookie", cookie)]);
    assert_eq!((&*again(&proxy).version, again(&proxy).reason), ("shop=v2", "sticky"));
    proxy.traffic(500, 500);
    proxy.tick();
    let mut kept = again(&proxy);
    assert_eq!((&*kept.version, kept.reason), ("shop=v1", "guarded"));
    assert_eq!(cookies(&proxy, &mut kept), []);
    let carried = kept.edits.iter().find(|edit| edit.name().as_str() == "baggage").unwrap();
    let filter_core::Edit::Set(_, carried) = carried else { panic!("{carried:?}") };
    assert!(String::from_utf8_lossy(carried).contains("shop"), "{carried:?}");
    assert!(String::from_utf8_lossy(carried).contains("v1"), "{carried:?}");
}

/// Where the route has the weights.
const DELEGATED: &str = r#"{"rollouts":[{
    "name":"shop","bucketHeader":{"name":"x-bucket"},"key":[{"header":"x-user"}],"stable":"v1",
    "routes":[{"version":"v1","cluster":"v1"},{"version":"v2","cluster":"v2"}],
    "guard":{"interval":"2s","minRequests":30,"errors":{"max":10},"baseEjectionTime":"1s"}}]}"#;

#[test]
fn where_the_route_has_the_weights_all_lie_at_the_low_end_while_a_variant_is_off() {
    let worker = configured(DELEGATED).0;
    let world = World::default();
    let ask = |user: Option<&str>, cluster: &str, status: i64| {
        let lines = [(":method", "GET"), (":path", "/"), (":authority", "a")];
        let lines = lines.into_iter().chain(user.map(|user| ("x-user", user)));
        let exchange =
            FixtureExchange { request: HeaderMap::from_pairs(lines), ..FixtureExchange::default() };
        let mut memo = Memo::default();
        let view = View::new(&exchange, Phase::Request, &[]);
        let outcome = worker.on_request(&view, &mut memo, &world.ports());
        let attributes = [
            (Attribute::ResponseCode, Value::Number(status)),
            (Attribute::ResponseCodeDetails, Value::Text(b"via_upstream".to_vec())),
            (Attribute::ClusterName, Value::Text(cluster.into())),
        ];
        let exchange =
            FixtureExchange { attributes: attributes.into(), ..FixtureExchange::default() };
        let over = worker.on_log(&View::new(&exchange, Phase::Log, &[]), &mut memo, &world.ports());
        let bucket = outcome.edits.iter().find_map(|edit| match edit {
            filter_core::Edit::Set(_, value) => Some(String::from_utf8(value.clone()).unwrap()),
            _ => None,
        });
        let route = String::from_utf8(over.publish[0].value.clone()).unwrap();
        (outcome.decisions[0].reason, bucket, route)
    };
    let word = |word: &str| format!("shop={word}");
    let before = ask(Some("ann"), "v2", 500);
    assert!(before.0 == "delegated" && before.1.as_deref() != Some("0"), "{before:?}");
    assert_eq!(before.2, word("as_meant"));
    assert_eq!(ask(None, "v2", 500), ("missing_key", None, word("as_meant")));
    for _ in 0..30 {
        ask(Some("ann"), "v1", 200);
        ask(Some("ann"), "v2", 500);
    }
    world.clock.advance(TICK);
    worker.on_tick(&world.ports());
    for user in [Some("ann"), None] {
        let low = || Some("0".to_owned());
        assert_eq!(ask(user, "v1", 200), ("guarded", low(), word("as_meant")), "{user:?}");
        assert_eq!(ask(user, "v2", 200), ("guarded", low(), word("elsewhere")), "{user:?}");
    }
}
