//! What is believed of tokens, by example.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cases::Token;
use filter_core::fixture::{FixtureExchange, MovableClock, World};
use filter_core::{HeaderMap, Phase};
use serde_json::{Value, json};

use super::*;

mod binding;
mod host;

const ISSUER: &str = "https://issuer.example";

pub(super) fn issuer(name: &str, audiences: &[&str]) -> Issuer {
    Issuer {
        name: name.to_owned(),
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        algorithms: Algorithm::ALL
            .into_iter()
            .map(|(_, algorithm)| algorithm)
            .filter(|algorithm| !algorithm.is_symmetric())
            .collect(),
        places: Place::usual(),
        validity: Validity::default(),
        revocations: Revocations::default(),
        bound: false,
        dpop: None,
        words: vec![],
        claim_headers: vec![],
        payload_header: None,
        forward: false,
    }
}

/// These issuers, and no memory of tokens.
fn issuers(list: &[(&str, &[&str], &str)]) -> Issuers {
    let mut issuers = Issuers::new(Limits { entries: 0, ..Limits::default() });
    for (name, audiences, jwks) in list {
        issuers.add(issuer(name, audiences), Source::Inline(parse_key_set(jwks).unwrap()));
    }
    issuers
}

fn corpus() -> Issuers {
    issuers(&[(ISSUER, &[], cases::JWKS)])
}

/// An issuer with a key for every algorithm, and a memory of this many tokens.
pub(super) fn every(entries: usize) -> Issuers {
    let mut issuers = Issuers::new(Limits { entries, ..Limits::default() });
    let algorithms = Algorithm::ALL.iter().map(|(_, algorithm)| *algorithm).collect();
    let issuer = Issuer { algorithms, ..issuer(ISSUER, &[]) };
    issuers.add(issuer, Source::Inline(parse_key_set(cases::EVERY_JWKS).unwrap()));
    issuers
}

pub(super) fn mint(token: Value) -> String {
    let mut token: Token = serde_json::from_value(token).unwrap();
    token.claims.entry("iss").or_insert_with(|| ISSUER.into());
    token.mint(MovableClock::EPOCH).unwrap()
}

pub(super) fn identify<'a>(issuers: &'a Issuers, token: &str) -> Result<Identity<'a>, Reason> {
    let identity = identify_bytes(issuers, token.as_bytes(), &World::default().ports());
    identity.map(|identity| identity.expect("there is a token"))
}

pub(super) fn identify_bytes<'a>(
    issuers: &'a Issuers,
    token: &[u8],
    ports: &Ports<'_>,
) -> Result<Option<Identity<'a>>, Reason> {
    let value = [b"Bearer ", token].concat();
    let request = HeaderMap::from_pairs([("authorization", value)]);
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    issuers.identify(View::new(&exchange, Phase::Request, &[]), ports)
}

#[track_caller]
fn refused(issuers: &Issuers, token: &str, reason: Reason) {
    assert_eq!(identify(issuers, token).map(|identity| identity.proof), Err(reason));
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
        assert_eq!(identity.principal(), &Principal::Named(format!("{ISSUER}/alice").into()));
        let token = mint(json!({ "key": key }));
        assert_eq!(identify(&issuers, &token).unwrap().principal(), &Principal::None);
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
    assert_eq!(issuers.ring().len(), 2);
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
        identify(&issuers, &token).unwrap().proof.principal.clone()
    };
    assert_eq!(principal(ISSUER, "tenant/admin"), Principal::Ambiguous);
    assert_eq!(principal(&inner, "admin"), Principal::Named(format!("{inner}/admin").into()));
    assert_eq!(
        principal(ISSUER, "tenants/admin"),
        Principal::Named(format!("{ISSUER}/tenants/admin").into())
    );
    assert_eq!(principal(ISSUER, ""), Principal::None);
}
