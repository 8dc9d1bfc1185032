//! What is believed of tokens, by example.

use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cases::Token;
use filter_core::HeaderMap;
use filter_core::fixture::{MovableClock, World};
use filter_core::ports::{PublicKey, Signatures};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://issuer.example";

fn issuer(name: &str, audiences: &[&str]) -> Issuer {
    Issuer {
        name: name.to_owned(),
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        claim_headers: vec![],
        forward: false,
    }
}

fn issuers(list: &[(&str, &[&str], &str)]) -> Issuers {
    let mut issuers = Issuers::default();
    for (name, audiences, jwks) in list {
        issuers.add(issuer(name, audiences), jwks).unwrap();
    }
    issuers
}

pub(super) fn corpus() -> Issuers {
    issuers(&[(ISSUER, &[], cases::JWKS)])
}

pub(super) fn mint(token: Value) -> String {
    let mut token: Token = serde_json::from_value(token).unwrap();
    token.claims.entry("iss").or_insert_with(|| ISSUER.into());
    token.mint(MovableClock::EPOCH).unwrap()
}

pub(super) fn identify<'a>(issuers: &'a Issuers, token: &str) -> Result<Identity<'a>, Reason> {
    let map = HeaderMap::from_pairs([("authorization", format!("Bearer {token}"))]);
    let identity = issuers.identify(Headers::new(&map, &[]), &World::default().ports());
    identity.map(|identity| identity.expect("there is a token"))
}

#[track_caller]
fn refused(issuers: &Issuers, token: &str, reason: Reason) {
    assert_eq!(identify(issuers, token).map(|identity| identity.claims), Err(reason));
}

/// The key set and the token of RFC 7515 A.2.
const RFC_7515_A_2: (&str, &str) = (
    r#"{"keys":[{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]}"#,
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);

/// The key set and the token of RFC 7515 A.3.
const RFC_7515_A_3: (&str, &str) = (
    r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);

#[test]
fn the_signed_examples_of_rfc_7515_expired_in_2011() {
    for (jwks, token) in [RFC_7515_A_2, RFC_7515_A_3] {
        refused(&issuers(&[("joe", &[], jwks)]), token, Reason::TokenExpired);
        refused(&issuers(&[("jo", &[], jwks)]), token, Reason::TokenIssuer);
    }
    let both = issuers(&[("joe", &[], RFC_7515_A_2.0), ("joe", &[], RFC_7515_A_3.0)]);
    refused(&both, RFC_7515_A_3.1, Reason::TokenExpired);
    let crossed = issuers(&[("joe", &[], RFC_7515_A_2.0)]);
    refused(&crossed, RFC_7515_A_3.1, Reason::TokenKeyUnknown);
}

#[test]
fn the_unsecured_example_of_rfc_7515_is_refused_by_its_algorithm() {
    // RFC 7515 A.5.
    let token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    refused(&corpus(), token, Reason::TokenAlgorithm);
}

#[test]
fn a_good_token_proves_its_principal() {
    let issuers = corpus();
    for key in ["rs256", "es256"] {
        let token = mint(json!({ "key": key, "claims": { "sub": "alice", "groups": ["a"] } }));
        let identity = identify(&issuers, &token).unwrap();
        assert_eq!(identity.principal, Principal::Named(format!("{ISSUER}/alice")));
        let token = mint(json!({ "key": key }));
        assert_eq!(identify(&issuers, &token).unwrap().principal, Principal::None);
    }
}

#[test]
fn every_refusal_has_its_reason() {
    let issuers = issuers(&[(ISSUER, &["shop", "api"], cases::JWKS)]);
    let aud = json!("shop");
    for (token, reason) in [
        (json!({ "key": "rs256", "claims": { "aud": ["x", "shop"] } }), None),
        (json!({ "key": "rs256", "header": { "kid": null }, "claims": { "aud": aud } }), None),
        (json!({ "key": "rs256" }), Some(Reason::TokenAudience)),
        (json!({ "key": "rs256", "claims": { "aud": "Shop" } }), Some(Reason::TokenAudience)),
        (json!({ "key": "rs256", "claims": { "aud": [] } }), Some(Reason::TokenAudience)),
        (
            json!({ "key": "rs256", "claims": { "aud": aud, "iss": "x" } }),
            Some(Reason::TokenIssuer),
        ),
        (
            json!({ "key": "rs256", "claims": { "aud": aud, "iss": null } }),
            Some(Reason::TokenMalformed),
        ),
        (
            json!({ "key": "es256", "claims": { "aud": aud }, "expiresIn": -61 }),
            Some(Reason::TokenExpired),
        ),
        (
            json!({ "key": "es256", "claims": { "aud": aud, "nbf": 3_000_000_000_u64 } }),
            Some(Reason::TokenNotYetValid),
        ),
        (json!({ "key": "es256", "forged": true }), Some(Reason::SignatureInvalid)),
        (json!({ "key": "es256-stranger" }), Some(Reason::SignatureInvalid)),
        (json!({ "key": "rs256-stranger" }), Some(Reason::SignatureInvalid)),
        (
            json!({ "key": "rs256-stranger", "header": { "kid": null } }),
            Some(Reason::SignatureInvalid),
        ),
        (json!({ "key": "rs256", "header": { "kid": "other" } }), Some(Reason::TokenKeyUnknown)),
        (json!({ "key": "rs256", "header": { "kid": "es256" } }), Some(Reason::TokenKeyUnknown)),
        (json!({ "key": "rs256", "header": { "alg": "ES256" } }), Some(Reason::TokenKeyUnknown)),
        (
            json!({ "key": "rs256", "header": { "alg": "ES256", "kid": "es256" } }),
            Some(Reason::SignatureInvalid),
        ),
        (json!({ "key": "rs256", "header": { "alg": "HS256" } }), Some(Reason::TokenAlgorithm)),
        (json!({ "key": "rs256", "header": { "crit": ["exp"] } }), Some(Reason::TokenMalformed)),
    ] {
        let outcome = identify(&issuers, &mint(token.clone())).map(|_| ());
        assert_eq!(outcome.err(), reason, "{token}");
    }
}

#[test]
fn a_signature_is_judged_before_the_payload() {
    let issuers = corpus();
    let good = mint(json!({ "key": "rs256" }));
    let (header, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    refused(&issuers, &format!("{header}.bm90IGpzb24.{signature}"), Reason::SignatureInvalid);
    refused(&issuers, &format!("{header}..{signature}"), Reason::SignatureInvalid);
    let expired = mint(json!({ "key": "rs256", "expiresIn": -1000, "forged": true }));
    refused(&issuers, &expired, Reason::SignatureInvalid);
}

#[test]
fn issuers_that_share_a_key_are_told_apart_by_name() {
    let other = "https://other.example";
    let issuers = issuers(&[
        (ISSUER, &["shop"], cases::JWKS),
        (other, &[], cases::JWKS),
        (ISSUER, &["api"], cases::JWKS),
    ]);
    assert_eq!(issuers.keys.len(), 2);
    let token = mint(json!({ "key": "es256", "claims": { "iss": other, "sub": "a" } }));
    assert_eq!(identify(&issuers, &token).unwrap().issuer.name, other);
    let token = mint(json!({ "key": "es256", "claims": { "aud": "api" } }));
    assert_eq!(identify(&issuers, &token).unwrap().issuer.audiences, ["api"]);
    refused(&issuers, &mint(json!({ "key": "es256" })), Reason::TokenAudience);
}

#[test]
fn no_issuer_speaks_for_another() {
    let stranger = RFC_7515_A_3.0;
    let issuers = issuers(&[(ISSUER, &[], cases::JWKS), ("joe", &[], stranger)]);
    refused(
        &issuers,
        &mint(json!({ "key": "es256", "claims": { "iss": "joe" } })),
        Reason::TokenIssuer,
    );
}

#[test]
fn a_subject_does_not_continue_into_the_name_of_another_issuer() {
    let inner = format!("{ISSUER}/tenant");
    let issuers = issuers(&[(ISSUER, &[], cases::JWKS), (&inner, &[], cases::JWKS)]);
    let principal = |iss: &str, sub: &str| {
        let token = mint(json!({ "key": "es256", "claims": { "iss": iss, "sub": sub } }));
        identify(&issuers, &token).unwrap().principal
    };
    assert_eq!(principal(ISSUER, "tenant/admin"), Principal::Ambiguous);
    assert_eq!(principal(&inner, "admin"), Principal::Named(format!("{inner}/admin")));
    assert_eq!(
        principal(ISSUER, "tenants/admin"),
        Principal::Named(format!("{ISSUER}/tenants/admin"))
    );
    assert_eq!(principal(ISSUER, ""), Principal::None);
}

/// A proxy that answers always alike, and counts what it is asked.
#[derive(Default)]
struct Scripted {
    answer: Option<bool>,
    asked: Cell<usize>,
    der: Cell<bool>,
}

impl Signatures for Scripted {
    fn verify(&self, key: &PublicKey<'_>, _: &[u8], signature: &[u8]) -> Option<bool> {
        self.asked.set(self.asked.get() + 1);
        assert_eq!(key.hash, "sha256");
        self.der.set(p256::ecdsa::Signature::from_der(signature).is_ok());
        self.answer
    }
}

fn with_host(issuers: &Issuers, answer: Option<bool>, token: &str) -> (bool, usize, bool) {
    let host = Scripted { answer, ..Scripted::default() };
    let world = World::default();
    let ports = Ports { signatures: &host, ..world.ports() };
    let map = HeaderMap::from_pairs([("authorization", format!("Bearer {token}"))]);
    let identity = issuers.identify(Headers::new(&map, &[]), &ports);
    (identity.is_ok(), host.asked.get(), host.der.get())
}

#[test]
fn the_hosts_word_holds_and_its_silence_is_made_up_for() {
    let issuers = corpus();
    let good = mint(json!({ "key": "es256" }));
    let forged = mint(json!({ "key": "es256", "forged": true }));
    assert_eq!(with_host(&issuers, None, &good), (true, 1, true));
    assert_eq!(with_host(&issuers, None, &forged), (false, 1, true));
    assert_eq!(with_host(&issuers, Some(true), &good), (true, 1, true));
    assert_eq!(with_host(&issuers, Some(false), &good), (false, 1, true));
    let good = mint(json!({ "key": "rs256" }));
    assert_eq!(with_host(&issuers, Some(true), &good), (true, 1, false));
}

#[test]
fn a_signature_of_another_length_is_not_even_computed() {
    let issuers = corpus();
    for key in ["rs256", "es256"] {
        let good = mint(json!({ "key": key }));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let signature = compact::decoded(signature).unwrap();
        let longer = [&[0], signature.as_slice()].concat();
        for signature in [&[][..], &signature[1..], &longer] {
            let text = URL_SAFE_NO_PAD.encode(signature);
            let token = format!("{message}.{text}");
            assert_eq!(with_host(&issuers, Some(true), &token), (false, 0, false));
        }
    }
    // r and s of an ECDSA signature are not zero.
    let good = mint(json!({ "key": "es256" }));
    let (message, _) = good.rsplit_once('.').unwrap();
    let token = format!("{message}.{}", "A".repeat(86));
    assert_eq!(with_host(&issuers, Some(true), &token), (false, 0, false));
}

#[test]
fn a_token_without_a_kid_is_tried_on_a_bounded_number_of_keys() {
    let keys: Vec<Value> = (0_u8..20)
        .map(|low| {
            let mut modulus = vec![0xff; 256];
            modulus[0] = 0xff - low;
            let n = URL_SAFE_NO_PAD.encode(modulus);
            json!({ "kty": "RSA", "kid": low.to_string(), "n": n, "e": "AQAB" })
        })
        .collect();
    let issuers = issuers(&[(ISSUER, &[], &json!({ "keys": keys }).to_string())]);
    let token = mint(json!({ "key": "rs256", "header": { "kid": null } }));
    assert_eq!(with_host(&issuers, Some(false), &token), (false, MAX_TRIES, false));
    let token = mint(json!({ "key": "rs256", "header": { "kid": "19" } }));
    assert_eq!(with_host(&issuers, Some(false), &token), (false, 1, false));
}
