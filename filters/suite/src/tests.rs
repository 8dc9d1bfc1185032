//! The suite decides as the four would, one after the other, each on what the one before it left.

use authz::Authz;
use canary::Canary;
use cases::Token;
use filter_core::decision::Decision;
use filter_core::fixture::{FixtureExchange, MovableClock, World};
use filter_core::view::{Attribute, Value};
use filter_core::{
    Copies, Count, Edit, Filter, HeaderMap, Headers, Metrics, Outcome, Phase, Publication, Verdict,
    View,
};
use proptest::prelude::*;
use ratelimit::RateLimit;
use telemetry::Telemetry;

use crate::Suite;

const TELEMETRY: &str =
    r#"{"routes": [{"path": "/a/{x}"}, {"path": "/{**}", "methods": ["GET"]}]}"#;

const AUTHZ: &str = r#"{
    "jwtRules": [{"issuer": "me", "jwks": JWKS, "outputClaimToHeaders": [{"header": "x-sub", "claim": "sub"}]}],
    "policies": [
        {"name": "law-deny", "action": "DENY", "rules": [{"to": [{"operation": {"methods": ["PUT"], "paths": ["/a/*"]}}]}]},
        {"name": "law-allow", "rules": [
            {"to": [{"operation": {"methods": ["GET"]}}]},
            {"from": [{"source": {"requestPrincipals": ["*"]}}]}
        ]}
    ]
}"#;

const RATELIMIT: &str = r#"{"rules": [
    {"name": "law-key", "key": [{"header": "x-sub"}], "missingKey": "skip", "tokenBucket": {"maxTokens": 2, "fillInterval": "60s"}},
    {"name": "law-all", "match": {"paths": ["/a/*"]}, "tokenBucket": {"maxTokens": 4, "fillInterval": "60s"}}
]}"#;

const CANARY: &str = r#"{"rollouts": [
    {"name": "law", "header": "x-version", "key": [{"header": "x-sub"}], "stable": "v1", "variants": [{"name": "v2", "weight": 50}]}
]}"#;

fn authz_document() -> String {
    AUTHZ.replace("JWKS", &format!("{:?}", cases::JWKS))
}

/// The four, configured one by one.
struct Four(Telemetry, Authz, RateLimit, Canary);

fn configured<F: Filter>(document: &str, metrics: &mut Metrics) -> F {
    F::configure(document.as_bytes(), metrics).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn four() -> Four {
    let metrics = &mut Metrics::default();
    Four(
        configured(TELEMETRY, metrics),
        configured(&authz_document(), metrics),
        configured(RATELIMIT, metrics),
        configured(CANARY, metrics),
    )
}

fn suite() -> Suite {
    let authz = authz_document();
    let document = format!(
        r#"{{"canary": {CANARY}, "ratelimit": {RATELIMIT}, "authz": {authz}, "telemetry": {TELEMETRY}}}"#
    );
    configured(&document, &mut Metrics::default())
}

/// What came of an exchange.
#[derive(Debug, Default, PartialEq)]
struct Came {
    verdict: Verdict,
    decisions: Vec<Decision>,
    published: Vec<Publication>,
    counts: Vec<Count>,
    sent: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Came {
    fn add(&mut self, outcome: Outcome) {
        self.decisions.extend(outcome.decisions);
        self.published.extend(outcome.publish);
        self.counts.extend(outcome.counts);
    }
}

/// The headers after edits, as the proxy performs them.
fn performed(map: &HeaderMap, edits: &[Edit]) -> HeaderMap {
    let mut lines: Vec<(Vec<u8>, Vec<u8>)> =
        map.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    for edit in edits {
        let name = edit.name().as_str();
        if edit.supersedes() {
            lines.retain(|(line, _)| !line.eq_ignore_ascii_case(name.as_bytes()));
        }
        lines.extend(edit.value().map(|value| (name.into(), value.to_vec())));
    }
    HeaderMap::from_pairs(lines)
}

fn lines(map: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut lines: Vec<_> =
        map.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    lines.sort();
    lines
}

fn request(headers: HeaderMap) -> FixtureExchange {
    let address = Value::Text(b"127.0.0.1:5000".to_vec());
    FixtureExchange {
        request: headers,
        attributes: [
            (Attribute::SourceAddress, address),
            (Attribute::ResponseCode, Value::Number(200)),
        ]
        .into(),
        ..FixtureExchange::default()
    }
}

/// Asks one filter, performs what it says, and tells whether the request goes on.
fn ask<F: Filter>(
    filter: &F,
    memo: &mut F::Memo,
    headers: &mut HeaderMap,
    world: &World,
    came: &mut Came,
) -> bool {
    let exchange = request(headers.clone());
    let view = View::new(&exchange, Phase::Request, &[]);
    let outcome = filter.on_request(&view, memo, &world.ports());
    *headers = performed(headers, &outcome.edits);
    came.verdict = outcome.verdict.clone();
    came.add(outcome);
    came.verdict == Verdict::Continue
}

fn end<F: Filter>(
    filter: &F,
    memo: &mut F::Memo,
    headers: &HeaderMap,
    world: &World,
    came: &mut Came,
) {
    let exchange = request(headers.clone());
    came.add(filter.on_log(&View::new(&exchange, Phase::Log, &[]), memo, &world.ports()));
}

/// One request through the four by hand.
fn through_four(four: &Four, mut headers: HeaderMap, world: &World) -> Came {
    let mut came = Came::default();
    let (mut telemetry, mut authz) = Default::default();
    let (mut ratelimit, mut canary) = Default::default();
    let _ = ask(&four.0, &mut telemetry, &mut headers, world, &mut came)
        && ask(&four.1, &mut authz, &mut headers, world, &mut came)
        && ask(&four.2, &mut ratelimit, &mut headers, world, &mut came)
        && ask(&four.3, &mut canary, &mut headers, world, &mut came);
    end(&four.0, &mut telemetry, &headers, world, &mut came);
    end(&four.1, &mut authz, &headers, world, &mut came);
    end(&four.2, &mut ratelimit, &headers, world, &mut came);
    end(&four.3, &mut canary, &headers, world, &mut came);
    came.sent = lines(&headers);
    came
}

/// The same request through the suite.
fn through_suite(suite: &Suite, mut headers: HeaderMap, world: &World) -> Came {
    let mut came = Came::default();
    let mut memo = Default::default();
    ask(suite, &mut memo, &mut headers, world, &mut came);
    end(suite, &mut memo, &headers, world, &mut came);
    came.sent = lines(&headers);
    came
}

fn header_maps() -> impl Strategy<Value = HeaderMap> {
    let now = MovableClock::EPOCH + 1000;
    let token = |sub: &str| {
        let text = format!(r#"{{"key": "es256", "claims": {{"iss": "me", "sub": {sub:?}}}}}"#);
        format!("Bearer {}", serde_json::from_str::<Token>(&text).unwrap().mint(now).unwrap())
    };
    let tokens = [token("ann"), token("bob"), "Bearer x.y.z".to_owned()];
    let made_up = ("(x-sub|X-Sub|x-version|authorization|x-other)", "(ann|bob|v2)?");
    (
        prop::sample::select(vec!["GET", "PUT", "POST"]),
        prop::sample::select(vec!["/a/1", "/a/2?x", "/a%2f1", "/b", "/"]),
        prop::option::weighted(0.7, prop::sample::select(tokens.to_vec())),
        prop::collection::vec(made_up, 0..3),
    )
        .prop_map(|(method, path, token, made_up)| {
            let mut lines = vec![
                (":method".to_owned(), method.to_owned()),
                (":path".to_owned(), path.to_owned()),
                (":authority".to_owned(), "shop.example".to_owned()),
            ];
            lines.extend(token.map(|token| ("authorization".to_owned(), token)));
            lines.extend(made_up);
            HeaderMap::from_pairs(lines)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_suite_decides_as_the_four_one_after_the_other(
        requests in prop::collection::vec(header_maps(), 1..16),
    ) {
        let (four, suite) = (four(), suite());
        let (by_hand, at_once) = (World::default(), World::default());
        for headers in requests {
            let expected = through_four(&four, headers.clone(), &by_hand);
            let came = through_suite(&suite, headers, &at_once);
            prop_assert_eq!(came, expected);
        }
    }
}

#[test]
fn what_the_client_made_up_reaches_nobody() {
    let suite = suite();
    let headers = HeaderMap::from_pairs([
        (":method", "GET"),
        (":path", "/b"),
        (":authority", "shop.example"),
        ("x-sub", "ann"),
        ("X-Sub", "bob"),
        ("x-version", "v2"),
    ]);
    let came = through_suite(&suite, headers, &World::default());
    assert_eq!(came.verdict, Verdict::Continue);
    let sent = HeaderMap::from_pairs(came.sent);
    let sent = Headers::new(&sent, &[]);
    assert_eq!(sent.only("x-sub"), Copies::None);
    assert_eq!(sent.only("x-version"), Copies::One(b"v1"));
}
