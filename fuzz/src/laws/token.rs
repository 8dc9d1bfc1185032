//! Tokens: nothing is believed but what a known key signed, as it was signed.

use authz::Authz;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::fixture::World;
use serde_json::{Value, json};

use super::{MARK, bearing, gate, header};
use crate::bytes;
use crate::corpus::{GOOD, ISSUER, KEYS, KNOWN, NOW, algorithm, any_key, claims};
use crate::draw::Draw;
use crate::json;
use crate::play::{Attributes, Loaded, Played, copies};

thread_local! {
    /// Without a memory of tokens, and with one.
    static GATES: [Loaded<Authz>; 2] = [0, 3].map(|size| {
        let claims = json!([{ "header": "x-sub", "claim": "sub" }, { "header": "x-deep", "claim": "n.a" }]);
        let rule = json!({
            "issuer": ISSUER, "jwks": cases::EVERY_JWKS,
            "outputClaimToHeaders": claims, "outputPayloadToHeader": "x-payload",
        });
        Loaded::new(&gate(&rule, size))
    });
}

pub(crate) fn run(draw: &mut Draw<'_>) {
    match draw.below(5) {
        0 => {
            let mut token = GOOD[any_key(draw, KNOWN)].clone().into_bytes();
            for _ in 0..=draw.below(6) {
                bytes::change(&mut token, draw);
            }
            unsigned(&token, draw);
        }
        1 => {
            let mut parts: Vec<Vec<u8>> =
                (0..3).map(|part| part_of(&GOOD[any_key(draw, KNOWN)], part)).collect();
            for _ in 0..draw.below(6) {
                let part = draw.below(3);
                bytes::change(&mut parts[part], draw);
            }
            let parts: Vec<String> =
                parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
            unsigned(parts.join(".").as_bytes(), draw);
        }
        2 => signed(draw),
        3 => dressed(draw),
        _ => unsigned(&draw.rest(), &mut Draw::new(&[])),
    }
}

/// One part of a token, decoded.
fn part_of(token: &str, part: usize) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(token.split('.').nth(part).unwrap_or_default()).expect("a good token")
}

/// Says a token that nobody signed, unless it came out as a good one.
fn unsigned(token: &[u8], draw: &mut Draw<'_>) {
    let played = ask(token, seen(draw));
    let good = |token: &[u8]| GOOD.iter().any(|good| good.as_bytes() == token);
    let told = || format!("{played:?} for {}", String::from_utf8_lossy(token));
    assert!(played.admitted() || !good(token), "a good token is refused: {}", told());
    // The scheme may be followed by blanks, and the whole of a header is trimmed. What else is no letter of a token, such
    // as a line break, no proxy lets through: it may be taken for either.
    assert!(!played.admitted() || good(token.trim_ascii()), "a bad token is good: {}", told());
    no_mark(&played);
}

/// Says a token that a known key or a stranger's signed, whatever it says.
fn signed(draw: &mut Draw<'_>) {
    let key = KEYS[any_key(draw, KEYS.len())];
    let (mut header, mut payload) = (header(key), claims());
    let as_is = (header.to_string(), payload.to_string());
    for _ in 0..draw.below(4) {
        json::change(&mut header, draw);
    }
    for _ in 0..draw.below(4) {
        json::change(&mut payload, draw);
    }
    let (mut head, mut body) = (header.to_string(), payload.to_string());
    let mut twice = false;
    match draw.below(6) {
        1 => bytes::change_text(&mut head, draw),
        2 => bytes::change_text(&mut body, draw),
        3 => head = json::respelt(&header),
        4 => body = json::respelt(&payload),
        5 => twice = double(&mut head, &header) | double(&mut body, &payload),
        _ => {}
    }
    let token = cases::sign(key, head.as_bytes(), body.as_bytes()).expect("a key of the corpus");
    let played = ask(token.as_bytes(), seen(draw));
    let told = format!("{played:?} for {head} {body} by {key}");
    if played.admitted() {
        assert!(!twice, "a member twice: {told}");
        let trusted = KEYS[..KNOWN].contains(&key) && lawful(key, &head, &body);
        assert!(trusted, "{told}");
    } else if (head, body) == as_is {
        assert!(!KEYS[..KNOWN].contains(&key), "a good token is refused: {told}");
    }
    if !payload.to_string().contains(str::from_utf8(MARK).unwrap_or_default()) {
        no_mark(&played);
    }
}

/// Says a token that is good but for what its header says besides, by a known key or a stranger's.
fn dressed(draw: &mut Draw<'_>) {
    let key = if draw.once_in(4) { "es256-stranger" } else { KEYS[any_key(draw, KNOWN)] };
    let mut header = header(key);
    for _ in 0..=draw.below(3) {
        let (name, value) = member(draw);
        header[name] = value;
    }
    let (head, body) = (header.to_string(), claims().to_string());
    let token = cases::sign(key, head.as_bytes(), body.as_bytes()).expect("a key of the corpus");
    let played = ask(token.as_bytes(), seen(draw));
    let trusted = KEYS[..KNOWN].contains(&key) && lawful(key, &head, &body);
    assert_eq!(played.admitted(), trusted, "{played:?} for {head} by {key}");
    no_mark(&played);
}

/// A member of a header that means something to somebody (RFC 7515 §4.1, 7516 §4.1, 7797 §3, 8725 §3.11).
fn member(draw: &mut Draw<'_>) -> (&'static str, Value) {
    let keys: Value = serde_json::from_str(cases::JWKS).expect("the corpus's key set");
    let uri = json!("https://keys.example/own");
    match draw.below(12) {
        0 => ("crit", json!(["b64"])),
        1 => ("crit", draw.one(&[json!(["exp"]), json!([]), json!("exp"), json!(true)]).clone()),
        2 => ("b64", json!(false)),
        3 => ("b64", json!(true)),
        4 => ("cty", json!("JWT")),
        5 => ("typ", json!(*draw.one(&["JWT", "at+jwt", "application/at+jwt", "jwt"]))),
        6 => ("typ", json!(*draw.one(&["dpop+jwt", "secevent+jwt", "JOSE", "logout+jwt", ""]))),
        7 => ("jku", uri),
        8 => ("jwk", keys["keys"][0].clone()),
        9 => ("x5c", json!(["MIIBszCCAVmgAwIBAgIUZZ"])),
        10 => ("x5u", uri),
        _ => ("zip", json!("DEF")),
    }
}

/// Names the first member of an object twice.
fn double(text: &mut String, value: &Value) -> bool {
    let Some((name, value)) = value.as_object().and_then(|members| members.iter().next()) else {
        return false;
    };
    text.replace_range(..1, &format!("{{{}:{value},", json!(name)));
    true
}

/// Whether this may be believed of a key: a reading of RFC 7515 and 7519 apart from the filter's.
fn lawful(key: &str, head: &str, body: &str) -> bool {
    let (Ok(head), Ok(body)) =
        (serde_json::from_str::<Value>(head), serde_json::from_str::<Value>(body))
    else {
        return false;
    };
    let seconds = |name: &str| body.get(name).map(|time| time.as_f64().unwrap_or(f64::NAN));
    let now = NOW as f64;
    let typed = head.get("typ").is_none_or(|kind| {
        let kind = kind.as_str().unwrap_or("none of these").to_ascii_lowercase();
        ["jwt", "at+jwt", "application/jwt", "application/at+jwt"].contains(&kind.as_str())
    });
    head["alg"] == json!(algorithm(key))
        && head.get("kid").is_none_or(|kid| kid == key)
        && head.get("crit").is_none()
        && head.get("b64").is_none()
        && typed
        && body["iss"] == ISSUER
        && body["sub"].as_str().is_some_and(|sub| !sub.is_empty())
        && seconds("exp").is_none_or(|time| time > now - 61.0)
        && seconds("nbf").is_none_or(|time| time < now + 61.0)
        && seconds("iat").is_none_or(|time| time < now + 61.0)
}

/// Which good token was seen before, if any.
fn seen(draw: &mut Draw<'_>) -> Option<usize> {
    draw.once_in(4).then(|| any_key(draw, KNOWN))
}

/// What comes of a token, also where a good one was seen before.
fn ask(token: &[u8], before: Option<usize>) -> Played {
    GATES.with(|[forgetful, remembering]| {
        let (world, known) = (World::default(), Attributes::new());
        let mut lines = bearing(token);
        for name in ["x-sub", "X-Sub", "x-deep", "X-PAYLOAD"] {
            lines.push((name.as_bytes().to_vec(), MARK.to_vec()));
        }
        if let Some(before) = before {
            let first = remembering.ask(&world, &bearing(GOOD[before].as_bytes()), &known);
            assert!(first.admitted(), "a good token is refused: {first:?}");
        }
        let played = remembering.ask(&world, &lines, &known);
        assert_eq!(forgetful.ask(&world, &lines, &known), played, "with a memory, and without");
        played
    })
}

fn no_mark(played: &Played) {
    for name in ["x-sub", "x-deep", "x-payload"] {
        let left = copies(&played.upstream, name);
        assert!(left.len() < 2 && !left.contains(&MARK), "{name}: {left:?}");
    }
    assert!(!played.admitted() || copies(&played.upstream, "authorization").is_empty());
}
