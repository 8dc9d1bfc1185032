//! What a response makes of its request's cost, and what of it clients are told.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use filter_core::fixture::{FixtureExchange, World};
use filter_core::view::Value;
use filter_core::{Attribute, Edit, Filter, HeaderMap, Metrics, Outcome, Phase, Verdict, View};
use ratelimit::{Memo, RateLimit};

fn filter(document: &str) -> RateLimit {
    RateLimit::configure(document.as_bytes(), &mut Metrics::default()).unwrap()
}

fn request(filter: &RateLimit, memo: &mut Memo, world: &World) -> Outcome {
    let request = HeaderMap::from_pairs([(":method", "GET"), (":path", "/")]);
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    filter.on_request(&View::new(&exchange, Phase::Request, &[]), memo, &world.ports())
}

fn respond(
    filter: &RateLimit,
    memo: &mut Memo,
    headers: &[(&str, &str)],
    world: &World,
) -> Vec<Edit> {
    let response = HeaderMap::from_pairs(headers.iter().copied());
    let exchange = FixtureExchange { response, ..FixtureExchange::default() };
    filter.on_response(&View::new(&exchange, Phase::Response, &[]), memo, &world.ports()).edits
}

/// How many more go through, each charged for good.
fn left(filter: &RateLimit, world: &World) -> usize {
    let admitted =
        |_: &u32| request(filter, &mut Memo::default(), world).verdict == Verdict::Continue;
    (0..).take_while(admitted).count()
}

#[test]
fn a_response_says_its_cost() {
    for (cost, tokens_left) in [
        ("1", 9),
        ("4", 6),
        ("0", 10),
        ("10", 0),
        // No more than the most that is believed.
        ("999", 2),
        // What is no number changes nothing.
        ("much", 9),
        ("", 9),
    ] {
        let most = if cost == "999" { 8 } else { 20 };
        let filter = filter(&format!(
            r#"{{"rules":[{{"name":"a","limits":["10/hour"],"settle":{{"costHeader":"x-cost","maxCost":{most}}}}}]}}"#
        ));
        let (world, mut memo) = (World::default(), Memo::default());
        request(&filter, &mut memo, &world);
        respond(&filter, &mut memo, &[(":status", "200"), ("x-cost", cost)], &world);
        respond(&filter, &mut memo, &[(":status", "200"), ("x-cost", cost)], &world);
        assert_eq!(left(&filter, &world), tokens_left, "{cost}");
    }
}

#[test]
fn requests_in_flight_count_until_they_are_known_to_be_free() {
    let filter =
        filter(r#"{"rules":[{"name":"a","limits":["2/hour"],"settle":{"countOnly":["401"]}}]}"#);
    let (world, mut memos) = (World::default(), [Memo::default(), Memo::default()]);
    for memo in &mut memos {
        assert_eq!(request(&filter, memo, &world).verdict, Verdict::Continue);
    }
    assert!(matches!(request(&filter, &mut Memo::default(), &world).verdict, Verdict::Reply(_)));
    let [first, second] = &mut memos;
    respond(&filter, first, &[(":status", "200")], &world);
    // Whom a worker refused, it refuses for a tenth of a second.
    world.clock.0.set(world.clock.0.get() + std::time::Duration::from_millis(101));
    respond(&filter, second, &[(":status", "401")], &world);
    assert_eq!(left(&filter, &world), 1);
}

#[test]
fn what_the_upstream_says_is_kept_beside_what_is_said_here() {
    let filter = filter(r#"{"limitHeaders":"both","rules":[{"name":"a","limits":["10/hour"]}]}"#);
    let (world, mut memo) = (World::default(), Memo::default());
    request(&filter, &mut memo, &world);
    let theirs = [("ratelimit", "\"up\";r=1"), ("x-ratelimit-remaining", "3")];
    let edits = respond(&filter, &mut memo, &theirs, &world);
    let lines: Vec<String> = edits
        .iter()
        .map(|edit| match edit {
            Edit::Set(name, value) => format!("{name}: {}", String::from_utf8_lossy(value)),
            Edit::Append(name, _) | Edit::Remove(name) => panic!("{name}"),
        })
        .collect();
    assert_eq!(
        lines,
        ["ratelimit-policy: \"a\";q=10;w=3600", "ratelimit: \"up\";r=1, \"a\";r=9;t=360"]
    );
    assert!(respond(&filter, &mut memo, &theirs, &world).len() == 2);
    assert!(respond(&filter, &mut Memo::default(), &theirs, &world).is_empty());
}

#[test]
fn a_claim_and_a_certificate_are_keys() {
    let filter = filter(
        r#"{"rules":[{"name":"a","missingKey":"deny","limits":["1/hour"],
            "key":[{"claim":{"name":"tenant"}},{"principal":{}}],
            "limitFrom":{"claim":{"name":"limit"},"max":100},
            "exempt":[{"key":"request.auth.claims[role]","values":["admin"]}]}]}"#,
    );
    let world = World::default();
    let send = |claims: &[(&str, &str)]| {
        let mut exchange = FixtureExchange::default();
        for attribute in filter.attributes(Phase::Request) {
            let name = match attribute {
                Attribute::JwtClaim { payload: "payload", claim } => claim,
                Attribute::PeerUri => "peer",
                other => panic!("{other:?}"),
            };
            if let Some((_, value)) = claims.iter().find(|(claim, _)| *claim == name) {
                exchange.attributes.insert(attribute, Value::Text((*value).into()));
            }
        }
        let view = View::new(&exchange, Phase::Request, &[]);
        let outcome = filter.on_request(&view, &mut Memo::default(), &world.ports());
        outcome.decisions.first().map_or("none", |decision| decision.reason)
    };
    let ann = [("tenant", "a"), ("peer", "spiffe://x/ns/a/sa/b")];
    assert_eq!([send(&ann), send(&ann)], ["admitted", "limited"]);
    assert_eq!(send(&[("tenant", "a")]), "missing_key");
    assert_eq!(send(&[("tenant", "a"), ("peer", "spiffe://x/ns/a/sa/c")]), "admitted");
    assert_eq!(send(&[("tenant", "a"), ("role", "admin")]), "none");
    let more = [("tenant", "b"), ("peer", "p"), ("limit", "3")];
    assert_eq!([0; 4].map(|_| send(&more)), ["admitted", "admitted", "admitted", "limited"]);
}
