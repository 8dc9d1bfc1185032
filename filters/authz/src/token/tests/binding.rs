//! Tokens that are bound to a client's certificate (RFC 8705 §3).

use filter_core::Attribute;
use filter_core::view::Value as Shown;

use super::*;

/// The example of RFC 8705 §3.1, and the same 32 bytes as the proxy writes them.
const THUMBPRINT: &str = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";
const DIGEST: &str = "6f070ad1eb1cdc0082dc3076639fe5112b1713ca3d96d734e4ef3d8dd37e760d";

fn told(issuers: &Issuers, claims: Value, shown: Option<&str>) -> Option<Reason> {
    let token = mint(json!({ "key": "es256", "claims": claims }));
    let request = HeaderMap::from_pairs([("authorization", format!("Bearer {token}"))]);
    let mut exchange = FixtureExchange { request, ..FixtureExchange::default() };
    if let Some(shown) = shown {
        let shown = Shown::Text(shown.as_bytes().to_vec());
        exchange.attributes.insert(Attribute::PeerCertificateDigest, shown);
    }
    let view = View::new(&exchange, Phase::Request, &[]);
    issuers.identify(view, &World::default().ports()).err()
}

/// The RFC's text has two bits too many for 32 bytes; strictly written, it ends in another letter.
fn strict() -> String {
    THUMBPRINT.replace("dg2", "dg0")
}

fn bound() -> Issuers {
    let mut issuers = Issuers::new(Limits::default());
    let issuer = Issuer { bound: true, ..issuer(ISSUER, &[]) };
    issuers.add(issuer, Source::Inline(parse_key_set(cases::JWKS).unwrap()));
    issuers
}

#[test]
fn a_bound_token_comes_over_its_own_connection_or_not_at_all() {
    let issuers = bound();
    assert!(issuers.ask_for_certificates());
    let strict = strict();
    let named = |thumbprint: &str| json!({ "cnf": { "x5t#S256": thumbprint } });
    let upper = DIGEST.to_uppercase();
    let other = DIGEST.replace('6', "7");
    let refused = Some(Reason::TokenBinding);
    for (claims, shown, verdict) in [
        (named(&strict), Some(DIGEST), None),
        (named(&strict), Some(upper.as_str()), None),
        (named(&strict), Some(other.as_str()), refused),
        (named(&strict), DIGEST.get(..62), refused),
        (named(&strict), Some(""), refused),
        (named(&strict), None, refused),
        (named(THUMBPRINT), Some(DIGEST), refused),
        (named(""), Some(""), refused),
        (named(""), None, refused),
        (json!({ "cnf": { "x5t": strict } }), Some(DIGEST), refused),
        (json!({ "cnf": { "x5t#S256": 1 } }), Some(DIGEST), refused),
        (json!({ "cnf": strict }), Some(DIGEST), refused),
        (json!({}), Some(DIGEST), refused),
    ] {
        assert_eq!(told(&issuers, claims.clone(), shown), verdict, "{claims} {shown:?}");
    }
}

#[test]
fn a_token_that_was_good_is_refused_over_another_connection() {
    let issuers = bound();
    let named = json!({ "cnf": { "x5t#S256": strict() } });
    assert_eq!(told(&issuers, named.clone(), Some(DIGEST)), None);
    assert_eq!(told(&issuers, named.clone(), None), Some(Reason::TokenBinding));
    assert_eq!(told(&issuers, named, Some(DIGEST)), None);
}

#[test]
fn nobody_is_asked_for_a_certificate_without_need() {
    assert!(!corpus().ask_for_certificates());
    assert_eq!(told(&corpus(), json!({ "cnf": { "x5t#S256": "x" } }), None), None);
}
