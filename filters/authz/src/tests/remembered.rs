//! What is remembered of a token changes nothing: who asks again is answered as if nobody had.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::Attribute;
use filter_core::fixture::MovableClock;
use filter_core::view::Value as AttributeValue;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Another issuer, whose name goes on where the first one's ends.
const OTHER: &str = "https://issuer.example/tenant";
/// The hash of the certificate that some tokens are bound to.
const CERTIFICATE: [u8; 32] = [0xaa; 32];

/// Tokens of several issuers, audiences, times and senders, by keys that are quick to verify.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let now = MovableClock::EPOCH;
    let bound = URL_SAFE_NO_PAD.encode(CERTIFICATE);
    let claims = [
        json!({ "iss": ISSUER, "sub": "tenant/admin", "aud": "one", "jti": "1" }),
        json!({ "iss": ISSUER, "sub": "alice", "aud": ["two", "one"], "nbf": now + 50, "iat": now }),
        json!({ "iss": ISSUER, "sub": "bob", "aud": "two", "exp": now + 100, "iat": now - 60,
                "cnf": { "x5t#S256": bound }, "groups": ["a", { "b": 1e15 }] }),
        json!({ "iss": OTHER, "sub": "admin", "aud": "one", "exp": now + 100 }),
        json!({ "iss": OTHER, "sub": "lines\r\nx: y", "level": 1e3 }),
        json!({ "iss": "nobody", "sub": "alice" }),
    ];
    let mint = |(key, claims): (&str, &Value)| {
        let token = json!({ "key": key, "claims": claims });
        let token: cases::Token = serde_json::from_value(token).unwrap();
        token.mint(now).unwrap()
    };
    let keys = ["eddsa", "hs256"];
    keys.into_iter().flat_map(|key| claims.iter().map(move |claims| mint((key, claims)))).collect()
});

/// One of `jwtRules`. Several have names, keys, places and headers in common.
fn rule() -> impl Strategy<Value = Value> {
    let more = [
        json!({ "audiences": ["one"] }),
        json!({ "audiences": ["two"] }),
        json!({ "fromHeaders": [{ "name": "x-token" }] }),
        json!({ "fromParams": ["t"] }),
        json!({ "fromCookies": ["sid"], "fromParams": ["t"] }),
        json!({ "forwardOriginalToken": true }),
        json!({ "outputPayloadToHeader": "x-payload" }),
        json!({ "outputClaimToHeaders": [{ "header": "x-user", "claim": "sub" }] }),
        json!({ "outputClaimToHeaders": [
            { "header": "x-user", "claim": "groups" }, { "header": "x-level", "claim": "level" },
        ] }),
        json!({ "clockSkew": "0s" }),
        json!({ "maxLifetime": "130s" }),
        json!({ "requireCertificateBinding": true }),
        json!({ "revoked": [{ "jti": "1" }, { "sub": "alice", "issuedBefore": MovableClock::EPOCH }] }),
    ];
    let keys = ["eddsa", "hs256"].map(key_set).into_iter().chain([cases::EVERY_JWKS.to_owned()]);
    let several = subsequence(more.to_vec(), 0..5);
    (select(vec![ISSUER, ISSUER, OTHER]), select(keys.collect::<Vec<_>>()), several).prop_map(
        |(issuer, jwks, more)| {
            let mut rule = json!({ "issuer": issuer, "jwks": jwks });
            for (name, value) in more.iter().flat_map(|members| members.as_object().unwrap()) {
                rule[name] = value.clone();
            }
            rule
        },
    )
}

/// The set of this key alone.
fn key_set(name: &str) -> String {
    let mut set: Value = serde_json::from_str(cases::EVERY_JWKS).unwrap();
    set["keys"].as_array_mut().unwrap().retain(|key| key["kid"] == name);
    set.to_string()
}

/// A request and when it comes, in seconds.
#[derive(Clone, Debug)]
struct Request {
    at: u64,
    fields: Vec<(&'static str, String)>,
    certificate: bool,
}

/// A request with one token in one or two places.
fn request() -> impl Strategy<Value = Request> {
    let place = |token: String, place: usize| match place {
        0..=2 => ("authorization", format!("Bearer {token}")),
        3 => ("authorization", format!("bearer\t{token}")),
        4 => ("x-token", token),
        5 => ("x-user", "forged".to_owned()),
        6 => ("cookie", format!("a=b; sid={token}")),
        _ => (":path", format!("/?t={token}&a=b")),
    };
    let times = select(vec![0, 20, 49, 50, 99, 100, 159, 160, 3599, 3600, 3660]);
    let token = any::<prop::sample::Index>().prop_map(|at| at.get(&TOKENS).clone());
    let places = prop::collection::vec(0_usize..8, 1..3);
    (times, token, places, any::<bool>()).prop_map(move |(at, token, places, certificate)| {
        let fields = places.into_iter().map(|at| place(token.clone(), at)).collect();
        Request { at, fields, certificate }
    })
}

fn answer(authz: &Authz, request: &Request, world: &World) -> Outcome {
    world.clock.0.set(Duration::from_secs(request.at));
    let line = [(":method", "GET"), (":authority", "demo.example"), (":path", "/")];
    let missing = |(name, _): &(&str, &str)| request.fields.iter().all(|(own, _)| own != name);
    let own = request.fields.iter().map(|(name, value)| (*name, value.as_str()));
    let all = HeaderMap::from_pairs(line.into_iter().filter(missing).chain(own));
    let digest = CERTIFICATE.map(|byte| format!("{byte:02x}")).concat();
    let shown = AttributeValue::Text(digest.into_bytes());
    let attributes = request.certificate.then_some((Attribute::PeerCertificateDigest, shown));
    let attributes = attributes.into_iter().collect();
    let exchange = FixtureExchange { request: all, attributes, ..FixtureExchange::default() };
    let view = View::new(&exchange, Phase::Request, &[]);
    authz.on_request(&view, &mut Memo::default(), &world.ports())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn who_asks_again_is_answered_as_if_nobody_had(
        rules in prop::collection::vec(rule(), 1..4),
        requests in prop::collection::vec(request(), 1..25),
        size in select(vec![1, 2, 1000]),
    ) {
        let policies = json!([
            { "name": "no-bob", "action": "DENY", "rules": [
                { "from": [{ "source": { "requestPrincipals": ["*bob"] } }] },
            ] },
            { "name": "known", "rules": [{ "from": [{ "source": { "requestPrincipals": ["*"] } }] }] },
        ]);
        let with_room_for = |tokens: u64| {
            let cache = json!({ "jwtCacheSize": tokens });
            authz(json!({ "jwtRules": rules, "policies": policies, "jwtCacheConfig": cache }))
        };
        let (remembering, forgetful) = (with_room_for(size), with_room_for(0));
        let world = World::default();
        for request in requests {
            let told = answer(&remembering, &request, &world);
            prop_assert_eq!(told, answer(&forgetful, &request, &world), "{:?}", request);
        }
    }
}
