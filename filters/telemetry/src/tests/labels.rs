//! Labels whose values come with requests: what bounds them, and that nothing is lost past the bound.

use std::collections::BTreeMap;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::view::Value;
use filter_core::{Count, HeaderMap, Phase};
use proptest::prelude::*;

use super::{Memo, configured};
use crate::*;

/// A filter as one worker has it, in a world that all share.
pub(super) struct Worker<'a> {
    filter: Telemetry,
    metrics: Metrics,
    world: &'a World,
}

/// What was counted, by stat.
pub(super) type Counted = BTreeMap<String, u64>;

impl<'a> Worker<'a> {
    pub(super) fn new(document: &str, world: &'a World) -> Self {
        let (filter, metrics) = configured(document);
        Self { filter, metrics, world }
    }

    /// Plays a whole exchange; adds to what was counted, and tells what was published last by each name.
    pub(super) fn play(
        &self,
        exchange: &FixtureExchange,
        counted: &mut Counted,
    ) -> BTreeMap<&str, String> {
        let mut memo = Memo::default();
        let ports = self.world.ports();
        let view = |phase| View::new(exchange, phase, &[]);
        let arrival = self.filter.on_request(&view(Phase::Request), &mut memo, &ports);
        let end = self.filter.on_log(&view(Phase::Log), &mut memo, &ports);
        for count in arrival.counts.iter().chain(&end.counts) {
            let (Count::Add(series, more) | Count::Record(series, more)) = *count;
            *counted.entry(self.metrics.stat(series).unwrap().1).or_default() += more;
        }
        let published = arrival.publish.into_iter().chain(end.publish);
        published.map(|each| (each.name, String::from_utf8(each.value).unwrap())).collect()
    }
}

/// An exchange with these request headers that ended with this code, these details, after a millisecond.
pub(super) fn ended(headers: &[(&str, &str)], code: i64, details: &str) -> FixtureExchange {
    FixtureExchange {
        request: HeaderMap::from_pairs(headers.iter().copied()),
        attributes: BTreeMap::from([
            (Attribute::ResponseCode, Value::Number(code)),
            (Attribute::ResponseFlags, Value::Number(0)),
            (Attribute::ResponseCodeDetails, Value::Text(details.into())),
            (Attribute::RequestDuration, Value::Number(1_234_567)),
            (Attribute::RequestProtocol, Value::Text(b"HTTP/2".to_vec())),
            (Attribute::PeerUri, Value::Text(b"spiffe://td/ns/shop/sa/cart".to_vec())),
            (Attribute::FilterState("canary"), Value::Text(b"bucket:checkout=v2".to_vec())),
        ]),
        ..FixtureExchange::default()
    }
}

pub(super) fn get<'a>(path: &'a str, tenant: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", "GET"), (":path", path), ("x-tenant", tenant)]
}

/// The sum over all series of a metric.
pub(super) fn sum(counted: &Counted, metric: &str) -> u64 {
    let of = |(stat, _): &(&String, &u64)| stat.split('.').next() == Some(metric);
    counted.iter().filter(of).map(|(_, value)| value).sum()
}

pub(super) fn series(counted: &Counted, metric: &str) -> usize {
    counted.keys().filter(|stat| stat.split('.').next() == Some(metric)).count()
}

pub(super) const REQUESTS: &str = "http_server_requests_total";

#[test]
fn labels_tell_who_asked_and_how_it_ended() {
    let world = World::default();
    let worker = Worker::new(
        r#"{"routes": [{"path": "/a"}], "labels": {
            "statusClass": true, "errorType": true, "protocol": true,
            "tenant": {"header": "x-tenant", "allowed": ["acme"]},
            "callerWorkload": {"allowed": ["shop/cart"]},
            "canaryVariant": {"rollout": "checkout", "allowed": ["v1", "v2"]}
        }, "sinks": ["FILTER_STATE_AT_END", "METRICS"], "maxSeries": 100}"#,
        &world,
    );
    let mut counted = Counted::new();
    let published = worker.play(&ended(&get("/a", "acme"), 503, "via_upstream"), &mut counted);
    let expected = format!(
        "{REQUESTS}.http_route=.=/a;.;http_request_method=.=GET;.;outcome=.=server_error;.;\
         http_response_status_class=.=5xx;.;error_type=.=503;.;network_protocol_version=.=2;.;\
         tenant=.=acme;.;caller_workload=.=shop/cart;.;canary_version=.=v2;.;"
    );
    assert_eq!(counted.get(&expected), Some(&1), "{counted:?}");
    for (name, value) in [
        ("request_outcome", "server_error"),
        ("error_type", "503"),
        ("request_tenant", "acme"),
        ("request_caller_workload", "shop/cart"),
    ] {
        assert_eq!(published.get(name).map(String::as_str), Some(value));
    }
    assert_eq!(published.get("http_route"), None, "that is another sink");
}

#[test]
fn a_member_of_the_baggage_may_be_the_tenant() {
    let world = World::default();
    let document = r#"{"labels": {"tenant": {"baggage": "tenant", "allowed": ["acme"]}}}"#;
    for (baggage, details, tenant) in [
        ("user=7,tenant=ac%6De;p=1", "", "acme"),
        ("tenant=acme,tenant=other", "", "_other"),
        ("tenant=acme", "authz{denied:x}", "unknown"),
        ("Tenant=acme", "", "unknown"),
    ] {
        let worker = Worker::new(document, &world);
        let mut counted = Counted::default();
        let lines = [(":method", "GET"), (":path", "/"), ("baggage", baggage)];
        worker.play(
            &ended(&lines, if details.is_empty() { 200 } else { 403 }, details),
            &mut counted,
        );
        let stat = counted.keys().find(|stat| stat.starts_with(REQUESTS)).unwrap();
        assert!(stat.ends_with(&format!("tenant=.={tenant};.;")), "{baggage}: {stat}");
    }
}

#[test]
fn who_was_refused_may_have_written_any_tenant() {
    let world = World::default();
    let document = r#"{"labels": {"tenant": {"header": "x-tenant", "allowed": ["acme"]}}}"#;
    let worker = Worker::new(document, &world);
    for (code, details, tenant) in [
        (200, "via_upstream", "acme"),
        (403, "via_upstream", "acme"),
        (403, "authz{denied:a}", "unknown"),
        (401, "jwt_authn_access_denied{x}", "unknown"),
    ] {
        let mut counted = Counted::new();
        worker.play(&ended(&get("/a", "acme"), code, details), &mut counted);
        let (stat, _) = counted.first_key_value().unwrap();
        assert!(stat.ends_with(&format!("tenant=.={tenant};.;")), "{code} {details}: {stat}");
    }
}

#[test]
fn each_of_few_allowed_values_or_many_is_itself() {
    let world = World::default();
    for count in [1, 8, 9, 40] {
        let allowed: Vec<String> = (0..count).map(|number| format!("\"t{number}\"")).collect();
        let document = format!(
            r#"{{"labels": {{"tenant": {{"header": "x-tenant", "allowed": [{}]}}}}}}"#,
            allowed.join(",")
        );
        let worker = Worker::new(&document, &world);
        for number in 0..=count {
            let sent = format!("t{number}");
            let kept = if number < count { sent.as_str() } else { "_other" };
            let mut counted = Counted::new();
            worker.play(&ended(&get("/a", &sent), 200, ""), &mut counted);
            let (stat, _) = counted.first_key_value().unwrap();
            assert!(stat.ends_with(&format!("tenant=.={kept};.;")), "{count} {sent}: {stat}");
        }
    }
}

#[test]
fn groups_are_the_same_in_every_proxy() {
    let world = World::default();
    let document = r#"{"labels": {"tenant": {"header": "x-tenant", "groups": 4}}}"#;
    let worker = Worker::new(document, &world);
    let mut counted = Counted::new();
    for tenant in 0..400 {
        worker.play(&ended(&get("/", &format!("tenant-{tenant}")), 200, ""), &mut counted);
    }
    assert_eq!(series(&counted, REQUESTS), 4);
    assert!(counted.values().all(|count| (60..140).contains(count)), "{counted:?}");
    let mut acme = Counted::new();
    worker.play(&ended(&get("/", "acme"), 200, ""), &mut acme);
    let (stat, _) = acme.first_key_value().unwrap();
    assert!(stat.ends_with("tenant=.=0;.;"), "{stat}");
}

#[test]
fn tenants_are_learned_from_what_ends_well_and_past_the_bound_they_are_one() {
    let world = World::default();
    let document = r#"{"labels": {"tenant": {"header": "x-tenant", "max": 3}}}"#;
    let workers = [(); 2].map(|()| Worker::new(document, &world));
    let mut counted = Counted::new();
    for number in 0..10 {
        workers[0].play(&ended(&get("/", &format!("scanner-{number}")), 404, ""), &mut counted);
    }
    assert_eq!(series(&counted, REQUESTS), 1, "errors teach nothing: {counted:?}");
    for number in 0..100 {
        let tenant = format!("tenant-{}", number % 20);
        workers[number % 2].play(&ended(&get("/", &tenant), 200, ""), &mut counted);
    }
    assert_eq!(sum(&counted, REQUESTS), 110);
    assert_eq!(series(&counted, REQUESTS), 1 + 3 + 1, "{counted:?}");
    assert_eq!(sum(&counted, "outrigger_telemetry_learned_total"), 3);
    assert_eq!(sum(&counted, "outrigger_telemetry_overflow_total"), 85);
    assert_eq!(world.cells.len(), 2, "the table, and what is in use");
    // Each worker tells the bound, which is a gauge; of what is in use each tells what nobody told before.
    let bound = u64::try_from(workers[0].metrics.series()).unwrap();
    assert_eq!(counted["outrigger_telemetry_series_limit"], 2 * bound);
    assert_eq!(counted["outrigger_telemetry_series"], u64::try_from(counted.len()).unwrap());
}

#[test]
fn what_a_client_sends_forges_no_label() {
    let world = World::default();
    let document = r#"{"labels": {"tenant": {"header": "x-tenant", "max": 9}}}"#;
    let worker = Worker::new(document, &world);
    let mut counted = Counted::new();
    worker.play(&ended(&get("/", "a;.;outcome=.=ok"), 200, ""), &mut counted);
    let stat = counted.keys().find(|stat| stat.starts_with(REQUESTS)).unwrap();
    assert!(stat.ends_with("tenant=.=a_._outcome_._ok;.;"), "{stat}");
    assert_eq!(sum(&counted, "outrigger_telemetry_sanitised_total"), 1);
}

#[test]
fn a_product_that_is_too_large_says_so_unless_it_is_capped() {
    let document = |most: &str| {
        format!(
            r#"{{"routes": [{{"path": "/a"}}], "labels": {{"errorType": true, "protocol": true,
            "tenant": {{"header": "x-tenant", "max": 100}}}}{most}}}"#
        )
    };
    let refused = Telemetry::configure(document("").as_bytes(), &mut Metrics::default());
    let refused = refused.unwrap_err().to_string();
    assert_eq!(
        refused,
        "at \"/labels\": expected `maxSeries`, or routes and labels that need at most 20000 \
         metric series in all, found 942480 metric series"
    );
    let world = World::default();
    let workers = [(); 2].map(|()| Worker::new(&document(r#", "maxSeries": 10"#), &world));
    let mut counted = Counted::new();
    for number in 0..200 {
        let tenant = format!("tenant-{}", number % 50);
        let code = if number % 3 == 0 { 500 } else { 200 };
        workers[number % 2].play(&ended(&get("/a", &tenant), code, ""), &mut counted);
    }
    assert_eq!(sum(&counted, REQUESTS), 200);
    assert!(series(&counted, REQUESTS) <= 10 + 2, "{counted:?}");
    let of = |outcome: &str| {
        let mark = format!("outcome=.={outcome};");
        counted.iter().filter(|(stat, _)| stat.contains(&mark)).map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!([of("ok"), of("server_error")], [133, 67], "outcomes stay, whatever else goes");
    assert!(
        counted.contains_key(
            "outrigger_telemetry_overflow_total.label=.=http_server_requests_total;.;"
        )
    );
}

proptest! {
    #[test]
    fn sums_are_right_whatever_is_sent(
        requests in prop::collection::vec(
            (0_usize..3, "[/a-z0-9]{0,6}", prop::collection::vec(any::<u8>(), 0..6), 100_i64..600),
            1..80,
        ),
    ) {
        let world = World::default();
        let document = r#"{"heuristic": {"maxRoutes": 5}, "duration": {"labels": ["tenant"]},
            "labels": {"statusClass": true, "tenant": {"header": "x-tenant", "max": 4}}}"#;
        let workers = [(); 3].map(|()| Worker::new(document, &world));
        let mut counted = Counted::new();
        for (worker, path, tenant, code) in &requests {
            let mut exchange = ended(&[], *code, "");
            exchange.request = HeaderMap::from_pairs([
                (&b":method"[..], &b"GET"[..]), (b":path", path.as_bytes()), (b"x-tenant", tenant),
            ]);
            workers[*worker].play(&exchange, &mut counted);
        }
        let all = u64::try_from(requests.len()).unwrap();
        prop_assert_eq!(sum(&counted, REQUESTS), all);
        prop_assert_eq!(sum(&counted, "http_server_request_duration_milliseconds"), all);
        let values = |label: &str| {
            let marks = counted.keys().filter(|stat| stat.starts_with(REQUESTS));
            let of = |stat: &String| Some(stat.split(label).nth(1)?.split(';').next()?.to_owned());
            marks.filter_map(of).collect::<std::collections::BTreeSet<_>>()
        };
        prop_assert!(values("http_route=.=").len() <= 6);
        prop_assert!(values("tenant=.=").len() <= 6);
        prop_assert_eq!(counted["outrigger_telemetry_series"], u64::try_from(counted.len()).unwrap());
    }
}
