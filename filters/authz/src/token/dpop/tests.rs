//! Who is believed to have a key, by example.

use filter_core::fixture::{FixtureExchange, MovableClock, World};
use filter_core::{HeaderMap, Phase};

use super::super::tests::mint;
use super::super::{Issuers, Limits, Source};
use super::*;

mod memory;
mod target;

const TOKEN: &str = "token";
/// What the clock tells, in seconds.
const NOW: u64 = MovableClock::EPOCH + 1000;

/// A memory for proofs that are good for a minute.
fn replays() -> Replays {
    let mut replays = Replays::default();
    replays.longest = 60;
    replays
}

/// A public key of the corpus, by the name of its algorithm.
fn jwk(name: &str) -> Map<String, Value> {
    let set: Value = serde_json::from_str(cases::EVERY_JWKS).unwrap();
    let keys = set["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == name).unwrap().as_object().unwrap();
    let public = ["kty", "crv", "x", "y", "n", "e", "k"];
    key.clone().into_iter().filter(|(name, _)| public.contains(&name.as_str())).collect()
}

/// Changes that make one document of another; null takes a member away.
fn merged(mut document: Value, changes: &Value) -> Vec<u8> {
    let members = document.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    document.to_string().into_bytes()
}

/// A proof of that key's for `GET https://a.example/orders`, but for these changes of its header and its claims.
fn proof(key: &str, token: &str, header: Value, claims: Value) -> String {
    let algorithm = if key == "eddsa" { "EdDSA".to_owned() } else { key.to_uppercase() };
    let usual = json!({ "typ": "dpop+jwt", "alg": algorithm, "jwk": jwk(key) });
    let says = json!({
        "jti": "1", "htm": "GET", "htu": "https://a.example/orders", "iat": NOW,
        "ath": hash(token.as_bytes()),
    });
    cases::sign(key, &merged(usual, &header), &merged(says, &claims)).unwrap()
}

fn request(lines: &[(&str, &str)]) -> HeaderMap {
    let usual = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "a.example"),
        (":path", "/orders?page=2"),
    ];
    let changed = |name: &str| lines.iter().any(|(own, _)| *own == name);
    let usual = usual.iter().filter(|(name, _)| !changed(name));
    HeaderMap::from_pairs(usual.chain(lines).copied())
}

/// What comes of a token that is bound to `es256`'s key, with these further lines.
fn check(lines: &[(&str, &str)], world: &World, replays: &Replays) -> Result<(), Reason> {
    let bound = json!({ "cnf": { "jkt": thumbprint(&jwk("es256")).unwrap() } });
    told(&bound, true, lines, world, replays)
}

fn told(
    claims: &Value,
    by_proof: bool,
    lines: &[(&str, &str)],
    world: &World,
    replays: &Replays,
) -> Result<(), Reason> {
    let exchange = FixtureExchange { request: request(lines), ..FixtureExchange::default() };
    let view = View::new(&exchange, Phase::Request, &[]);
    let claims = Claims::new(claims.as_object().unwrap().clone()).unwrap();
    let presented = Presented { token: TOKEN.as_bytes(), by_proof };
    let ports = world.ports();
    let now = ports.clock.wall();
    Dpop { required: false, max_age: 60 }.check(&claims, presented, 5, now, (view, &ports, replays))
}

#[test]
fn the_example_of_rfc_9449_proves_what_it_says() {
    // §7.1; the thumbprint is that of §6.1.
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let check = |path: &str, token: &str, key: &str, now: u64| {
        let lines = [(":authority", "resource.example.org"), (":path", path), ("dpop", proof)];
        let exchange = FixtureExchange { request: request(&lines), ..FixtureExchange::default() };
        let view = View::new(&exchange, Phase::Request, &[]);
        let claims = json!({ "cnf": { "jkt": key } }).as_object().unwrap().clone();
        let presented = Presented { token: token.as_bytes(), by_proof: true };
        let (world, replays) = (World::default(), replays());
        let asked = (view, &world.ports(), &replays);
        let dpop = Dpop { required: true, max_age: 60 };
        dpop.check(&Claims::new(claims).unwrap(), presented, 5, Duration::from_secs(now), asked)
    };
    let (path, key) = ("/protectedresource", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(check(path, token, key, 1_562_262_618), Ok(()));
    for (path, token, key, now) in [
        ("/protected", token, key, 1_562_262_618),
        (path, "Kz~8mXK1EalYznwH", key, 1_562_262_618),
        (path, token, "0ZcOCORZNYy", 1_562_262_618),
        (path, token, key, 1_562_262_679),
        (path, token, key, 1_562_262_612),
    ] {
        assert_eq!(check(path, token, key, now), Err(Reason::DpopInvalid));
    }
}

#[test]
fn a_proof_is_good_once() {
    let (world, replays) = (World::default(), replays());
    let (one, other) = (
        proof("es256", TOKEN, json!({}), json!({})),
        proof("es256", TOKEN, json!({}), json!({ "jti": "2" })),
    );
    assert_eq!(check(&[("dpop", &one)], &world, &replays), Ok(()));
    assert_eq!(check(&[("dpop", &other)], &world, &replays), Ok(()));
    // Another worker has a memory of the secret of its own, and the same cells.
    for replays in [replays, self::replays()] {
        assert_eq!(check(&[("dpop", &one)], &world, &replays), Err(Reason::DpopReplayed));
    }
    // The same once more, newly signed: what counts is its `jti`.
    let again = proof("es256", TOKEN, json!({}), json!({ "iat": NOW - 1 }));
    assert_eq!(check(&[("dpop", &again)], &world, &self::replays()), Err(Reason::DpopReplayed));
}

#[test]
fn a_proof_of_any_algorithm_with_a_public_key_will_do() {
    for key in ["rs256", "rs512", "ps256", "es256", "es384", "es512", "eddsa"] {
        let bound = json!({ "cnf": { "jkt": thumbprint(&jwk(key)).unwrap() } });
        let lines = [("dpop", &*proof(key, TOKEN, json!({}), json!({})))];
        assert_eq!(told(&bound, true, &lines, &World::default(), &replays()), Ok(()), "{key}");
    }
}

#[test]
fn what_proves_nothing_here_and_now_is_refused() {
    let now = NOW;
    let mut private = jwk("es256");
    private.insert("d".to_owned(), "AA".into());
    let headers = [
        json!({ "typ": "JWT" }),
        json!({ "typ": null }),
        json!({ "alg": "none" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" } }),
        json!({ "jwk": null }),
        json!({ "jwk": jwk("es384") }),
        json!({ "jwk": private }),
        json!({ "jwk": "es256" }),
        json!({ "crit": ["jwk"] }),
    ];
    let claims = [
        json!({ "jti": null }),
        json!({ "jti": "" }),
        json!({ "jti": 1 }),
        json!({ "htm": "POST" }),
        json!({ "htm": "get" }),
        json!({ "htm": null }),
        json!({ "htu": "https://b.example/orders" }),
        json!({ "htu": "https://a.example/order" }),
        json!({ "htu": null }),
        json!({ "iat": now - 61 }),
        json!({ "iat": now + 6 }),
        json!({ "iat": null }),
        json!({ "ath": hash(b"another") }),
        json!({ "ath": null }),
    ];
    let mut proofs: Vec<String> =
        headers.into_iter().map(|header| proof("es256", TOKEN, header, json!({}))).collect();
    proofs.extend(claims.into_iter().map(|claims| proof("es256", TOKEN, json!({}), claims)));
    let good = proof("es256", TOKEN, json!({}), json!({}));
    let (message, _) = good.rsplit_once('.').unwrap();
    let (_, other) = proofs[0].rsplit_once('.').unwrap();
    proofs.extend([format!("{message}.{other}"), format!("{good}, {good}"), "x".to_owned()]);
    // A good proof, of another key.
    let stranger = cases::sign(
        "es256-stranger",
        &merged(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk("es256") }), &json!({})),
        b"{}",
    );
    proofs.push(stranger.unwrap());
    proofs.push(proof("es384", TOKEN, json!({}), json!({})));
    for proof in proofs {
        let (world, replays) = (World::default(), replays());
        let lines = [("dpop", proof.as_str())];
        assert_eq!(check(&lines, &world, &replays), Err(Reason::DpopInvalid), "{proof}");
        assert!(world.cells.is_empty(), "what is not good takes up no room");
    }
    let twice = [("dpop", good.as_str()), ("dpop", good.as_str())];
    assert_eq!(check(&twice, &World::default(), &replays()), Err(Reason::DpopInvalid));
}

#[test]
fn a_bound_token_is_no_bearers_and_a_bearers_is_not_bound() {
    let (world, replays) = (World::default(), replays());
    let good = proof("es256", TOKEN, json!({}), json!({}));
    let bound = json!({ "cnf": { "jkt": thumbprint(&jwk("es256")).unwrap() } });
    let (with, without) = ([("dpop", good.as_str())], []);
    for (claims, by_proof, lines, verdict) in [
        (&bound, false, &with[..], Err(Reason::DpopMissing)),
        (&bound, false, &without, Err(Reason::DpopMissing)),
        (&bound, true, &without, Err(Reason::DpopMissing)),
        (&json!({ "cnf": { "jkt": 1 } }), true, &with, Err(Reason::DpopInvalid)),
        (&json!({}), true, &with, Err(Reason::TokenBinding)),
        (&json!({}), false, &with, Ok(())),
        (&json!({}), false, &without, Ok(())),
        (&bound, true, &with, Ok(())),
    ] {
        assert_eq!(told(claims, by_proof, lines, &world, &replays), verdict, "{claims} {by_proof}");
    }
}

#[test]
fn a_token_comes_in_the_scheme_that_its_issuer_asks_for() {
    let issuers = |dpop| {
        let mut issuers = Issuers::new(Limits::default());
        let mut issuer = super::super::tests::issuer("https://issuer.example", &[]);
        issuer.places.push(Place::of_proven());
        issuer.dpop = dpop;
        issuers.add(issuer, Source::Inline(jwks::parse(cases::JWKS).unwrap()));
        issuers
    };
    let token = |claims: Value| mint(json!({ "key": "rs256", "claims": claims }));
    let bound = token(json!({ "cnf": { "jkt": thumbprint(&jwk("es256")).unwrap() } }));
    let ask = |issuers: &Issuers, scheme: &str, token: &str, jti: &str, query: &str| {
        let proof = proof("es256", token, json!({}), json!({ "jti": jti }));
        let credential = format!("{scheme} {token}");
        let path = format!("/orders{query}");
        let lines = [("authorization", &*credential), ("dpop", &*proof), (":path", &*path)];
        let exchange = FixtureExchange { request: request(&lines), ..FixtureExchange::default() };
        let world = World::default();
        let view = View::new(&exchange, Phase::Request, &[]);
        issuers.identify(view, &world.ports()).map(|identity| identity.is_some())
    };
    let optional = issuers(Some(Dpop { required: false, max_age: 60 }));
    let required = issuers(Some(Dpop { required: true, max_age: 60 }));
    let bearer = token(json!({}));
    for (issuers, scheme, token, verdict) in [
        (&optional, "DPoP", &bound, Ok(true)),
        (&optional, "dpop", &bound, Ok(true)),
        (&optional, "Bearer", &bearer, Ok(true)),
        (&optional, "Bearer", &bound, Err(Reason::DpopMissing)),
        (&optional, "DPoP", &bearer, Err(Reason::TokenBinding)),
        (&required, "DPoP", &bound, Ok(true)),
        (&required, "Bearer", &bearer, Err(Reason::TokenBinding)),
        (&required, "Bearer", &bound, Err(Reason::DpopMissing)),
    ] {
        assert_eq!(ask(issuers, scheme, token, "1", ""), verdict, "{scheme}");
    }
    // Beside the scheme, in a place for bearers' tokens.
    let query = format!("?access_token={bound}");
    assert_eq!(ask(&optional, "DPoP", &bound, "1", &query), Err(Reason::DpopMissing));
}

#[test]
fn a_proof_goes_where_its_token_goes() {
    for forward in [false, true] {
        let mut issuers = Issuers::new(Limits::default());
        let mut issuer = super::super::tests::issuer("https://issuer.example", &[]);
        (issuer.forward, issuer.dpop) = (forward, Some(Dpop { required: false, max_age: 60 }));
        issuers.add(issuer, Source::Inline(jwks::parse(cases::JWKS).unwrap()));
        let token = mint(json!({ "key": "rs256" }));
        let identity = super::super::tests::identify(&issuers, &token).unwrap();
        assert_eq!(issuers.proof_header(&identity).is_none(), forward);
    }
}
