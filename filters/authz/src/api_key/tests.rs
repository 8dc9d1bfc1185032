use std::fmt::Write as _;

use filter_core::HeaderMap;
use filter_core::fixture::{FixtureExchange, World};
use filter_core::{Filter as _, Metrics, Phase, Verdict, View};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Authz;

fn hex(key: &[u8]) -> String {
    Sha256::digest(key).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn document() -> Value {
    json!({
        "apiKeyAuth": {
            "credentials": [
                { "keySha256": hex(b"k-alpha"), "client": "alpha", "claims": { "roles": ["reader"] } },
                { "keySha256": hex(b"k-beta"), "client": "beta" },
                { "keySha256": hex(b"k-beta-next"), "client": "beta" },
            ],
            "keySources": [{ "header": "x-api-key" }, { "query": "api_key" }, { "cookie": "key" }],
            "forwarding": { "header": "x-client-id" },
        },
        "policies": [{ "name": "known", "rules": [{ "from": [{ "source": { "clients": ["*"] } }] }] }],
    })
}

fn authz() -> Authz {
    Authz::configure(document().to_string().as_bytes(), &mut Metrics::default()).unwrap()
}

/// What is decided, and what the upstream would be sent, copies and all.
fn ask(authz: &Authz, headers: &[(&str, &[u8])]) -> (String, Vec<(String, Vec<u8>)>) {
    let line: [(&str, &[u8]); 3] = [(":method", b"GET"), (":path", b"/"), (":authority", b"a")];
    let missing = |name: &str| headers.iter().all(|(other, _)| *other != name);
    let rest = line.into_iter().filter(|(name, _)| missing(name));
    let request = HeaderMap::from_pairs(rest.chain(headers.iter().copied()));
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    let view = View::new(&exchange, Phase::Request, &[]);
    let outcome = authz.on_request(&view, &mut Default::default(), &World::default().ports());
    let sent = Headers::new(&exchange.request, &outcome.edits);
    let names = ["x-client-id", "x-api-key", ":path", "cookie"];
    let sent = names.iter().flat_map(|name| {
        sent.copies(name).map(|value| ((*name).to_owned(), value.to_vec())).collect::<Vec<_>>()
    });
    let evidence = outcome.decisions[0].evidence().to_owned();
    assert_eq!(outcome.verdict == Verdict::Continue, evidence.starts_with("allowed"));
    (evidence, sent.collect())
}

#[test]
fn every_key_of_a_client_names_it() {
    let authz = authz();
    for (key, client) in [("k-alpha", "alpha"), ("k-beta", "beta"), ("k-beta-next", "beta")] {
        let (evidence, sent) = ask(&authz, &[("x-api-key", key.as_bytes())]);
        assert_eq!(evidence, "allowed:known:0");
        let named = ("x-client-id".to_owned(), client.as_bytes().to_vec());
        assert_eq!(sent, [named, (":path".to_owned(), b"/".to_vec())]);
    }
    let hash = hex(b"k-alpha");
    assert_eq!(ask(&authz, &[("x-api-key", hash.as_bytes())]).0, "api_key_unknown");
}

#[test]
fn the_page_shows_a_configuration_that_works() {
    let page = include_str!("../../README.md");
    let mut blocks = page.split("```json\n").filter_map(|block| block.split("```").next());
    let example = blocks.find(|block| block.contains("keySha256")).unwrap();
    let authz = Authz::configure(example.as_bytes(), &mut Metrics::default()).unwrap();
    let line = [(":path", &b"/deploy"[..]), ("x-api-key", b"demo-key-of-ci")];
    assert_eq!(ask(&authz, &line).0, "allowed:deployers:0");
    assert_eq!(ask(&authz, &line[..1]).0, "unauthenticated:deployers:0");
}

#[test]
fn a_token_and_a_key_leave_the_same_path_together() {
    let mut document = document();
    document["jwtRules"] = json!([{
        "issuer": "https://issuer.example",
        "jwks": cases::JWKS,
        "fromParams": ["token"],
        "fromCookies": ["token"],
    }]);
    let authz = Authz::configure(document.to_string().as_bytes(), &mut Metrics::default()).unwrap();
    let token = json!({ "key": "es256", "claims": { "iss": "https://issuer.example" } });
    let token: cases::Token = serde_json::from_value(token).unwrap();
    let token = token.mint(filter_core::fixture::MovableClock::EPOCH).unwrap();
    let path = format!("/?a=1&token={token}&api_key=k-alpha&b=2");
    let cookie = format!("key=k-alpha; token={token}; other=1");
    let (evidence, sent) =
        ask(&authz, &[(":path", path.as_bytes()), ("cookie", cookie.as_bytes())]);
    assert_eq!(evidence, "allowed:known:0");
    assert!(sent.contains(&(":path".to_owned(), b"/?a=1&b=2".to_vec())), "{sent:?}");
    assert!(sent.contains(&("cookie".to_owned(), b"other=1".to_vec())), "{sent:?}");
}

proptest! {
    /// Whoever does not have the key has nothing: no bit of it may differ, nothing be missing and nothing be added.
    #[test]
    fn no_other_key_is_good(bit in 0_usize..56, tail in "[ -+--~]{1,4}", cut in 0_usize..7) {
        let authz = authz();
        let mut flipped = b"k-alpha".to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let longer = format!("k-alpha{tail}").into_bytes();
        for key in [flipped, longer, b"k-alpha"[..cut].to_vec()] {
            let (evidence, _) = ask(&authz, &[("x-api-key", &key)]);
            // Blanks around a value are no part of it (RFC 9110 §5.5).
            let good = key.trim_ascii() == b"k-alpha";
            prop_assert_eq!(evidence == "allowed:known:0", good, "{:?}", key);
        }
    }

    /// What is written into the header of the client's name is ours, on every request.
    #[test]
    fn a_copy_of_our_header_never_survives(
        copies in prop::collection::vec("[a-z, ]{0,8}", 0..3),
        key in prop::sample::select(vec!["", "k-alpha", "k-beta", "wrong"]),
        place in prop::sample::select(vec!["x-api-key", "cookie", ":path"]),
    ) {
        let value = match place {
            "cookie" => format!("key={key}"),
            ":path" => format!("/?api_key={key}"),
            _ => key.to_owned(),
        };
        let mut headers = vec![(place, value.as_bytes())];
        headers.extend(copies.iter().map(|copy| ("x-client-id", copy.as_bytes())));
        let (evidence, sent) = ask(&authz(), &headers);
        let client = key.strip_prefix("k-").map(|client| client.as_bytes().to_vec());
        let found: Vec<Vec<u8>> =
            sent.into_iter().filter(|(name, _)| name == "x-client-id").map(|sent| sent.1).collect();
        prop_assert_eq!(evidence == "allowed:known:0", client.is_some());
        prop_assert_eq!(found, client.into_iter().collect::<Vec<_>>());
    }
}
