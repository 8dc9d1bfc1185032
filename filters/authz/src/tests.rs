//! The filter as a whole, where a case file cannot look.

mod keys;
mod remembered;

use std::cell::Cell;
use std::time::Duration;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::ports::{Clock, PublicKey, Signatures};
use filter_core::{Edit, HeaderMap, Phase};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://issuer.example";

fn authz(configuration: Value) -> Authz {
    Authz::configure(configuration.to_string().as_bytes(), &mut Metrics::default()).unwrap()
}

fn issuer() -> Value {
    let header = json!([{ "header": "X-User", "claim": "sub" }]);
    json!({ "issuer": ISSUER, "jwks": cases::JWKS, "outputClaimToHeaders": header })
}

fn token(key: &str) -> String {
    let token = json!({ "key": key, "claims": { "iss": ISSUER, "sub": "alice" } });
    let token: cases::Token = serde_json::from_value(token).unwrap();
    format!("Bearer {}", token.mint(filter_core::fixture::MovableClock::EPOCH).unwrap())
}

fn ask(authz: &Authz, headers: &[(&str, &[u8])], ports: &Ports<'_>) -> Outcome {
    let line: [(&str, &[u8]); 3] =
        [(":method", b"GET"), (":path", b"/"), (":authority", b"demo.example")];
    let missing = |name: &str| headers.iter().all(|(other, _)| *other != name);
    let rest = line.into_iter().filter(|(name, _)| missing(name));
    let request = HeaderMap::from_pairs(rest.chain(headers.iter().copied()));
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    authz.on_request(&View::new(&exchange, Phase::Request, &[]), &mut Default::default(), ports)
}

fn reason(authz: &Authz, headers: &[(&str, &[u8])]) -> String {
    let outcome = ask(authz, headers, &World::default().ports());
    outcome.decisions[0].evidence().to_owned()
}

/// A world that counts how often it is asked.
#[derive(Default)]
struct Counting(Cell<usize>, Cell<usize>);

impl Clock for Counting {
    fn wall(&self) -> Duration {
        self.0.set(self.0.get() + 1);
        Duration::from_secs(filter_core::fixture::MovableClock::EPOCH)
    }

    fn monotonic(&self) -> Duration {
        panic!("time intervals are of no interest here");
    }
}

impl Signatures for Counting {
    fn verify(&self, _: &PublicKey<'_>, _: &[u8], _: &[u8]) -> Option<bool> {
        self.1.set(self.1.get() + 1);
        Some(true)
    }
}

#[test]
fn the_world_is_asked_only_about_a_token() {
    let policies = json!([{ "name": "any", "rules": [{}] }]);
    let authz = authz(json!({ "jwtRules": [issuer()], "policies": policies }));
    let asked = |headers: &[(&str, &[u8])]| {
        let counting = Counting::default();
        let world = World::default();
        let ports = Ports { clock: &counting, signatures: &counting, ..world.ports() };
        assert_eq!(ask(&authz, headers, &ports).decisions.len(), 1);
        (counting.0.get(), counting.1.get())
    };
    assert_eq!(asked(&[]), (0, 0));
    assert_eq!(asked(&[("authorization", b"Basic YTpi")]), (0, 0));
    assert_eq!(asked(&[("authorization", b"Bearer a.b.c")]), (0, 0));
    assert_eq!(asked(&[("authorization", token("es256").as_bytes())]), (1, 1));
}

#[test]
fn a_refused_request_is_cleaned_of_what_it_claims() {
    let name = HeaderName::literal("x-user");
    let authz = authz(json!({ "jwtRules": [issuer()] }));
    let forged = ask(
        &authz,
        &[("authorization", b"Bearer a.b.c"), ("x-user", b"admin")],
        &World::default().ports(),
    );
    assert_eq!(forged.edits, [Edit::Remove(name.clone())]);
    let good =
        ask(&authz, &[("authorization", token("rs256").as_bytes())], &World::default().ports());
    let gone = Edit::Remove(HeaderName::literal("authorization"));
    assert_eq!(good.edits, [Edit::Set(name, b"alice".to_vec()), gone]);
}

#[test]
fn each_issuer_of_a_key_writes_its_own_headers_first_and_later() {
    let issuer = |audience: &str, header: &str| {
        json!({
            "issuer": ISSUER, "jwks": cases::JWKS, "audiences": [audience],
            "outputClaimToHeaders": [{ "header": header, "claim": "sub" }],
        })
    };
    let mut two = issuer("two", "x-two");
    two["outputPayloadToHeader"] = "x-payload".into();
    let authz = authz(json!({ "jwtRules": [issuer("one", "x-one"), two] }));
    let token = |audience: &str| {
        let claims = json!({ "iss": ISSUER, "sub": "alice", "aud": audience });
        let token = json!({ "key": "es256", "claims": claims });
        let token: cases::Token = serde_json::from_value(token).unwrap();
        token.mint(filter_core::fixture::MovableClock::EPOCH).unwrap()
    };
    let name = HeaderName::literal;
    let set = |name: &HeaderName, value: &str| Edit::Set(name.clone(), value.into());
    let (one, two, payload) = (name("x-one"), name("x-two"), name("x-payload"));
    for (audience, is_two) in [("one", false), ("two", true)] {
        let token = token(audience);
        let body = token.split('.').nth(1).unwrap();
        let written = if is_two {
            [Edit::Remove(one.clone()), set(&two, "alice"), set(&payload, body)]
        } else {
            [set(&one, "alice"), Edit::Remove(two.clone()), Edit::Remove(payload.clone())]
        };
        let value = format!("Bearer {token}");
        for time in ["first", "later"] {
            let asked =
                ask(&authz, &[("authorization", value.as_bytes())], &World::default().ports());
            let gone = Edit::Remove(name("authorization"));
            assert_eq!(asked.edits, [&written[..], &[gone]].concat(), "{audience}, {time}");
        }
    }
}

#[test]
fn a_valid_token_of_a_denied_request_writes_nothing() {
    let deny = json!([{ "name": "all", "action": "DENY", "rules": [{}] }]);
    let authz = authz(json!({ "jwtRules": [issuer()], "policies": deny }));
    let outcome =
        ask(&authz, &[("authorization", token("es256").as_bytes())], &World::default().ports());
    assert_eq!(outcome.edits, [Edit::Remove(HeaderName::literal("x-user"))]);
    let Verdict::Reply(reply) = outcome.verdict else { panic!("passed") };
    assert_eq!((reply.status, reply.details.as_str()), (403, "authz{denied:all:0}"));
    assert_eq!(reply.grpc_status as u8, 7);
}

#[test]
fn a_grpc_client_is_told_in_its_own_terms() {
    let authz = authz(json!({ "jwtRules": [issuer()], "policies": [{ "name": "closed" }] }));
    let status = |headers: &[(&str, &[u8])]| {
        let Verdict::Reply(reply) = ask(&authz, headers, &World::default().ports()).verdict else {
            panic!("passed");
        };
        (reply.status, reply.grpc_status as u8)
    };
    assert_eq!(status(&[]), (403, 7));
    assert_eq!(status(&[("authorization", b"Bearer x")]), (401, 16));
}

#[test]
fn bytes_that_no_codec_lets_through_are_decided_too() {
    let deny = json!([{ "name": "admin", "action": "DENY", "rules": [
        { "to": [{ "operation": { "paths": ["/admin/*"] } }] },
        { "to": [{ "operation": { "hosts": ["inner.example"] } }] },
    ] }]);
    let authz = authz(json!({ "policies": deny }));
    let path = |path: &[u8]| reason(&authz, &[(":path", path)]);
    assert_eq!(path(b"/"), "allowed");
    assert_eq!(path(b"/\xff"), "allowed");
    assert_eq!(path(b"/admin\0/x"), "path_ambiguous:admin:0");
    assert_eq!(path(b"/a dmin"), "path_ambiguous:admin:0");
    assert_eq!(path(b""), "path_ambiguous:admin:0");
    assert_eq!(path(b"*"), "path_ambiguous:admin:0");
    assert_eq!(reason(&authz, &[(":authority", b"")]), "denied:admin:1");
    assert_eq!(reason(&authz, &[(":authority", b"\xff")]), "denied:admin:1");
    assert_eq!(reason(&authz, &[("authorization", b"\xff\0"), ("cookie", b"\xff")]), "allowed");
}

#[test]
fn an_ambiguous_principal_is_denied_and_not_allowed() {
    let inner = format!("{ISSUER}/tenant");
    let jwt_rules = json!([issuer(), { "issuer": inner, "jwks": cases::JWKS }]);
    let source = json!({ "requestPrincipals": [format!("{inner}/*")] });
    let policy = |action: &str| {
        let rules = json!([{ "from": [{ "source": source }] }]);
        authz(json!({
            "jwtRules": jwt_rules,
            "policies": [{ "name": "tenant", "action": action, "rules": rules }],
        }))
    };
    let token = json!({ "key": "es256", "claims": { "iss": ISSUER, "sub": "tenant/admin" } });
    let token: cases::Token = serde_json::from_value(token).unwrap();
    let token =
        format!("Bearer {}", token.mint(filter_core::fixture::MovableClock::EPOCH).unwrap());
    let headers: [(&str, &[u8]); 1] = [("authorization", token.as_bytes())];
    assert_eq!(reason(&policy("DENY"), &headers), "denied:tenant:0");
    assert_eq!(reason(&policy("ALLOW"), &headers), "not_allowed");
}

#[test]
fn a_decision_that_is_made_before_is_the_same() {
    let policies = json!([
        { "name": "a", "rules": [{ "to": [{ "operation": { "methods": ["GET"] } }] }, {}] },
        { "name": "b", "action": "DENY", "rules": [{}] },
    ]);
    let authz = authz(json!({ "policies": policies }));
    for place in [None, Some(0), Some(1)] {
        let ruling = Ruling { reason: Reason::Allowed, place, scopes: None };
        assert_eq!(authz.passes.of(&ruling), Some(&decision(&authz.ledger, &ruling)), "{place:?}");
    }
    let denied = Ruling { reason: Reason::Denied, place: Some(2), scopes: None };
    assert_eq!(authz.passes.of(&denied), None);
}

#[test]
fn what_is_noted_is_counted_by_rule() {
    let policies = json!([
        { "name": "seen", "action": "AUDIT", "rules": [{}, { "to": [{ "operation": { "methods": ["PUT"] } }] }] },
        { "name": "soon", "action": "DENY", "dryRun": true, "rules": [{}] },
    ]);
    let document = json!({ "policies": policies }).to_string();
    let mut metrics = Metrics::default();
    let authz = Authz::configure(document.as_bytes(), &mut metrics).unwrap();
    let outcome = ask(&authz, &[], &World::default().ports());
    assert_eq!(outcome.verdict, Verdict::Continue);
    let counted: Vec<String> = outcome
        .counts
        .iter()
        .map(|count| match count {
            filter_core::Count::Add(series, 1) => metrics.stat(*series).unwrap().1,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        counted,
        [
            "outrigger_authz_audit_total.rule=.=seen:0;.;",
            "outrigger_authz_dry_run_total.rule=.=soon:0;.;reason=.=denied;.;",
        ]
    );
}

#[test]
fn a_configuration_of_any_bytes_is_refused_or_decides() {
    use proptest::prelude::*;
    proptest!(|(document in prop::collection::vec(any::<u8>(), 0..100))| {
        prop_assert!(Authz::configure(&document, &mut Metrics::default()).is_err());
    });
}

#[test]
fn there_are_no_more_rules_than_can_be_counted() {
    let rules = vec![json!({}); 4000];
    let policies = json!({ "policies": [{ "name": "many", "rules": rules }] });
    let document = policies.to_string();
    let refused = Authz::configure(document.as_bytes(), &mut Metrics::default());
    let invalid = refused.err().unwrap();
    assert_eq!(invalid.pointer, "/policies");
    assert!(invalid.found.contains("metric series"), "{invalid}");
}
