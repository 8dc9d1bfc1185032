//! Key sets: no key is trusted that the set does not hold, be it configured or fetched.

use authz::Authz;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::fixture::World;
use filter_core::{Answer, Filter as _, HeaderMap};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{bearing, gate};
use crate::corpus::{FOREIGN, GOOD, ISSUER, KEYS, KNOWN, any_key, claims};
use crate::draw::Draw;
use crate::play::{Attributes, Loaded};
use crate::{bytes, json};

const URI: &str = "https://keys.example/set";
/// A larger document is not taken over when it is fetched.
const LARGEST: usize = 256 * 1024;

pub(crate) fn run(draw: &mut Draw<'_>) {
    let (text, published) = set(draw);
    let world = World::default();
    let configured =
        Loaded::<Authz>::configure(gate(&json!({ "issuer": ISSUER, "jwks": text }), 0).as_bytes());
    if let Err(invalid) = &configured {
        assert_eq!(invalid.pointer, "/jwtRules/0/jwks", "{invalid}");
    }
    let fetching = Loaded::<Authz>::new(&gate(&json!({ "issuer": ISSUER, "jwksUri": URI }), 0));
    fetch(&fetching, &world, &text);

    let which = any_key(draw, KNOWN);
    let ask = |filter: &Loaded<Authz>, token: &str| {
        filter.ask(&world, &bearing(token.as_bytes()), &Attributes::new()).admitted()
    };
    let good = (GOOD[which].clone(), holds(&text, KEYS[which]), KEYS[which].starts_with("hs"));
    let foreign = (draw.one(&FOREIGN).1.clone(), false, false);
    let mut tokens = vec![good, foreign];
    let guessed = secret(&text, draw);
    for secret in published.into_iter().chain([guessed]) {
        let algorithm = *draw.one(&[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]);
        tokens.push((by_secret(&secret, algorithm), has_secret(&text, &secret), true));
    }
    for (token, trusted, by_secret) in tokens {
        let fetched = ask(&fetching, &token);
        assert!(trusted || !fetched, "fetched: {token} is believed by {text}");
        assert!(!(by_secret && fetched), "a fetched secret is believed: {text}");
        if let Ok(configured) = &configured {
            let admitted = ask(configured, &token);
            assert!(trusted || !admitted, "{token} is believed by {text}");
            assert!(
                by_secret || text.len() > LARGEST || admitted == fetched,
                "fetched, {token} is judged otherwise: {text}"
            );
        }
    }
}

/// The text of a key set, more or less, and a secret that was put into it, if one was: what nobody may publish.
fn set(draw: &mut Draw<'_>) -> (String, Option<Vec<u8>>) {
    let mut set: Value =
        serde_json::from_str(if draw.once_in(4) { cases::EVERY_JWKS } else { cases::JWKS })
            .expect("a key set of the corpus");
    if draw.once_in(3) {
        // One key, for speed and aim.
        let every: Value =
            serde_json::from_str(cases::EVERY_JWKS).expect("a key set of the corpus");
        set = json!({ "keys": [every["keys"][any_key(draw, KNOWN)]] });
    }
    for _ in 0..draw.below(6) {
        json::change(&mut set, draw);
    }
    let published = draw.once_in(2).then(|| [vec![b's'; 64], draw.bytes(16)].concat());
    let keys = set.get_mut("keys").and_then(Value::as_array_mut);
    if let (Some(secret), Some(keys)) = (&published, keys) {
        let mut key = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret) });
        for (name, value) in [("kid", "published"), ("alg", "HS256"), ("use", "sig")] {
            if draw.once_in(3) {
                key[name] = value.into();
            }
        }
        keys.insert(draw.below(keys.len() + 1), key);
    }
    let mut text = if draw.once_in(4) { json::respelt(&set) } else { set.to_string() };
    match draw.below(8) {
        6 => bytes::change_text(&mut text, draw),
        7 => text = String::from_utf8_lossy(&draw.bytes(512)).into_owned(),
        _ => {}
    }
    (text, published)
}

/// Lets the filter fetch the set.
fn fetch(filter: &Loaded<Authz>, world: &World, text: &str) {
    let calls = filter.filter().on_tick(&world.ports()).calls;
    assert_eq!(calls.len(), 1, "a set that is not fetched");
    for (errand, _) in calls {
        let headers = HeaderMap::from_pairs([(":status", "200")]);
        let answer = Answer::Response { headers, body: text.as_bytes().to_vec() };
        let _ = filter.filter().on_fetched(errand, &answer, &world.ports());
    }
}

/// Every object in a document.
fn objects<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        Value::Object(members) => {
            found.push(value);
            members.values().for_each(|member| objects(member, found));
        }
        _ => {}
    }
}

/// What a member of some object in the text decodes to, once for each.
fn decoded(text: &str, name: &str) -> Vec<Vec<u8>> {
    let document = serde_json::from_str(text).unwrap_or_default();
    let mut all = Vec::new();
    objects(&document, &mut all);
    let texts = all.iter().filter_map(|object| object[name].as_str());
    texts.filter_map(|text| URL_SAFE_NO_PAD.decode(text).ok()).collect()
}

/// Whether the text holds the public half of a key of the corpus.
fn holds(text: &str, key: &str) -> bool {
    let trimmed =
        |bytes: &[u8]| bytes.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<_>>();
    let every: Value = serde_json::from_str(cases::EVERY_JWKS).expect("a key set of the corpus");
    let every = every["keys"].as_array().expect("keys");
    let own = every.iter().find(|own| own["kid"] == key).expect("a key of the corpus");
    ["n", "x", "k"].iter().any(|name| {
        let half = own[*name].as_str().and_then(|half| URL_SAFE_NO_PAD.decode(half).ok());
        half.is_some_and(|half| {
            decoded(text, name).iter().any(|other| trimmed(other) == trimmed(&half))
        })
    })
}

/// A secret that an attacker knows: what is public.
fn secret(text: &str, draw: &mut Draw<'_>) -> Vec<u8> {
    match draw.below(5) {
        0 => decoded(text, "n").pop().unwrap_or_default(),
        1 => decoded(text, "x").pop().unwrap_or_default(),
        2 => text.as_bytes().to_vec(),
        3 => Vec::new(),
        _ => draw.bytes(64),
    }
}

fn has_secret(text: &str, secret: &[u8]) -> bool {
    decoded(text, "k").iter().any(|other| other == secret)
}

/// A token signed with a secret.
fn by_secret(secret: &[u8], algorithm: Algorithm) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message =
        format!("{}.{}", part(json!({ "alg": format!("{algorithm:?}") })), part(claims()));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm);
    format!("{message}.{}", signature.expect("a signature"))
}
