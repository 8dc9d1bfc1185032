//! The filters in the demo mesh: gateway → frontend → checkout v1 | v2 → payments, each hop by mutual TLS.

use std::time::{SystemTime, UNIX_EPOCH};

use cases::{JWKS, Token};
use proof::{Answer, Bed, Fault, until};
use serde_json::{Value, json};

const CHECKOUT: [&str; 2] = ["next", "body"];

fn token(claims: Value) -> Result<String, Fault> {
    let token = json!({ "key": "rs256", "claims": claims });
    let token: Token = serde_json::from_value(token).map_err(|error| error.to_string())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    Ok(format!("Bearer {}", token.mint(now.as_secs())?))
}

fn status(bed: &Bed, path: &str, headers: &[(&str, &str)]) -> Result<u16, Fault> {
    Ok(bed.get(path, headers)?.status)
}

#[test]
fn every_hop_knows_its_caller_by_mutual_tls_and_nobody_else_gets_in() {
    let bed = Bed::connect().unwrap();
    let answer = bed.wait_for("/", &[], |answer| answer.status == 200).unwrap();
    let payments =
        answer.said(&["next", "body", "next", "body", "headers", "x-forwarded-client-cert"]);
    let payments = payments.as_str().unwrap_or_default();
    assert!(payments.contains("spiffe://cluster.local/ns/demo/sa/checkout"), "{}", answer.body);

    let stranger = bed.get_pod("payments", "/");
    assert!(stranger.is_err(), "a caller without an identity was answered: {stranger:?}");
}

#[test]
fn tokens_and_policies_decide_across_the_mesh() {
    let bed = Bed::connect().unwrap();
    let plugin = bed
        .plugin(
            "authz",
            "checkout",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_CLOSE", "match": [{ "mode": "SERVER" }],
                "pluginConfig": {
                    "jwtRules": [{ "issuer": "https://demo.example", "jwks": JWKS }],
                    "policies": [{ "name": "buyers", "rules": [{
                        "from": [{ "source": { "requestPrincipals": ["https://demo.example/*"] } }],
                        "when": [{ "key": "request.auth.claims[groups]", "values": ["buyers"] }],
                    }] }],
                },
            }),
        )
        .unwrap();
    let buyer = token(json!({ "iss": "https://demo.example", "sub": "ann", "groups": ["buyers"] }))
        .unwrap();
    let visitor =
        token(json!({ "iss": "https://demo.example", "sub": "bob", "groups": ["visitors"] }))
            .unwrap();
    let expired = token(
        json!({ "iss": "https://demo.example", "sub": "ann", "groups": ["buyers"], "exp": 1 }),
    )
    .unwrap();

    let applied = bed.apply(&plugin).unwrap();
    let refusal = bed.settle("/checkout/1", 401).unwrap();
    assert!(refusal.said(&["next", "body"]).to_string().contains("authz"), "{}", refusal.body);
    assert_eq!(
        bed.wait_for("/checkout/1", &[("authorization", &buyer)], |answer| answer.status == 200)
            .unwrap()
            .status,
        200
    );
    assert_eq!(status(&bed, "/checkout/1", &[("authorization", &visitor)]).unwrap(), 403);
    assert_eq!(status(&bed, "/checkout/1", &[("authorization", &expired)]).unwrap(), 401);
    drop(applied);
    bed.wait_for("/checkout/1", &[], |answer| answer.status == 200).unwrap();
}

#[test]
fn a_limit_holds_over_the_workers_of_a_proxy() {
    let bed = Bed::connect().unwrap();
    let plugin = bed
        .plugin(
            "ratelimit",
            "frontend",
            json!({
                "phase": "AUTHZ", "failStrategy": "FAIL_RELOAD", "match": [{ "mode": "SERVER" }],
                "pluginConfig": { "rules": [{
                    "name": "per-tenant", "key": [{ "header": "x-tenant" }], "missingKey": "deny",
                    "tokenBucket": { "maxTokens": 5, "fillInterval": "3600s" },
                }] },
            }),
        )
        .unwrap();
    let _applied = bed.apply(&plugin).unwrap();
    bed.settle("/search", 429).unwrap();
    // Buckets outlive the plugin, so a bed that is used again needs clients that it has not seen.
    let (one, other) = (format!("a{}", std::process::id()), format!("b{}", std::process::id()));
    let answers = (0..12).map(|_| status(&bed, "/search", &[("x-tenant", one.as_str())]).unwrap());
    assert_eq!(answers.filter(|status| *status == 200).count(), 5);
    let limited = bed.get("/search", &[("x-tenant", one.as_str())]).unwrap();
    assert_eq!(
        (limited.status, limited.header("retry-after").is_some()),
        (429, true),
        "{}",
        limited.body
    );
    assert_eq!(status(&bed, "/search", &[("x-tenant", other.as_str())]).unwrap(), 200);
}

#[test]
fn the_gateway_draws_a_version_and_the_second_hop_takes_its_route() {
    let bed = Bed::connect().unwrap();
    let plugin = bed.plugin("canary", "gateway", json!({
        "failStrategy": "FAIL_OPEN", "match": [{ "mode": "CLIENT" }],
        "pluginConfig": { "rollouts": [{
            "name": "checkout", "header": "x-canary-checkout", "key": [{ "header": "x-user" }], "stable": "v1",
            "variants": [{ "name": "v2", "weight": 50 }],
        }] },
    })).unwrap();
    let _applied = bed.apply(&plugin).unwrap();
    let drawn = |answer: &Answer| answer.said(&["headers", "x-canary-checkout"]);
    bed.settle_on("/", &[("x-user", "u0")], |answer| !drawn(answer).is_null()).unwrap();

    let mut seen = std::collections::BTreeMap::new();
    for user in (0..20).chain(0..20) {
        let user = format!("u{user}");
        // What the client says of its version is worth nothing.
        let answer = bed.get("/", &[("x-user", &user), ("x-canary-checkout", "v2")]).unwrap();
        let served = answer.said(&[CHECKOUT.as_slice(), &["version"]].concat());
        assert_eq!(drawn(&answer), served, "{}", answer.body);
        let before = seen.insert(user, served.clone());
        assert!(before.is_none_or(|before| before == served), "a user was moved: {}", answer.body);
    }
    let second = seen.values().filter(|version| **version == "v2").count();
    assert!((1..20).contains(&second), "{second} of 20 users got v2");
}

#[test]
fn the_route_is_in_istios_access_log() {
    let bed = Bed::connect().unwrap();
    let plugin = bed
        .plugin(
            "telemetry",
            "checkout",
            json!({
                "phase": "AUTHN", "failStrategy": "FAIL_OPEN", "match": [{ "mode": "SERVER" }],
                "pluginConfig": { "routes": [{ "path": "/orders/{id}" }] },
            }),
        )
        .unwrap();
    let _applied = bed.apply(&plugin).unwrap();
    let line = until("the route in the access log", || {
        bed.get("/orders/17", &[])?;
        let log = bed.proxy_log("checkout")?;
        let line = log.lines().find(|line| line.contains(r#""http_route":"/orders/{id}""#));
        line.map(str::to_owned).ok_or_else(|| log.lines().last().unwrap_or_default().to_owned())
    })
    .unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["path"], "/orders/17", "{line}");
}
