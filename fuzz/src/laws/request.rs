//! Requests: whatever a client sends, headers that are not its own are gone, and nobody comes in without a token.

use authz::Authz;
use canary::Canary;
use filter_core::Filter;
use filter_core::fixture::World;
use ratelimit::RateLimit;
use serde_json::{Value, json};
use suite::Suite;
use telemetry::Telemetry;

use super::{MARK, gate};
use crate::corpus::{GOOD, ISSUER, Lines, SCENES, Scene};
use crate::draw::Draw;
use crate::play::{Attributes, Loaded, Played, attributes, copies};

/// A filter of any kind.
type Asked = Box<dyn Fn(&World, &Lines, &Attributes) -> Played>;

/// A configuration that is loaded.
struct Stage {
    filter: Asked,
    /// The suite's authz, alone.
    authz: Option<Loaded<Authz>>,
    /// The headers that are not the client's.
    owned: Vec<String>,
}

thread_local! {
    static STAGES: Vec<Stage> = SCENES.iter().map(stage).collect();
    static PLACES: Loaded<Authz> = {
        let rule = json!({
            "issuer": ISSUER, "jwks": cases::EVERY_JWKS,
            "fromHeaders": [{ "name": "x-token" }, { "name": "authorization", "prefix": "Bearer " }, { "name": "x-kept", "prefix": "jwt=" }],
            "fromParams": ["access_token", "jwt"], "fromCookies": ["session", "kept"],
        });
        Loaded::new(&gate(&rule, 100))
    };
}

pub(crate) fn run(draw: &mut Draw<'_>) {
    let at = draw.below(SCENES.len());
    let mut lines = draw.one(&SCENES[at].requests).clone();
    let known = attributes(draw);
    let places = draw.once_in(4);
    STAGES.with(|stages| {
        let stage = &stages[at];
        crate::request::change(&mut lines, &stage.owned, draw);
        if places {
            PLACES.with(|filter| behind(filter, &lines));
        } else {
            on(stage, lines, &known, draw);
        }
    });
}

fn on(stage: &Stage, mut lines: Lines, known: &Attributes, draw: &mut Draw<'_>) {
    for name in &stage.owned {
        let name = if draw.once_in(2) { name.to_uppercase() } else { name.clone() };
        for _ in 0..draw.below(3) {
            lines.push((name.clone().into_bytes(), MARK.to_vec()));
        }
    }
    let played = (stage.filter)(&World::default(), &lines, known);
    if played.admitted() {
        for name in &stage.owned {
            let left = copies(&played.upstream, name);
            assert!(!left.contains(&MARK), "{name} is the client's: {lines:?}");
        }
    }
    if let Some(authz) = &stage.authz {
        let alone = authz.ask(&World::default(), &lines, known);
        assert!(
            alone.admitted() || !played.admitted(),
            "authz refuses, the suite does not: {lines:?}"
        );
    }
}

/// Where nobody comes in without a token, there is one in what was sent, and none in what goes on.
fn behind(filter: &Loaded<Authz>, lines: &Lines) {
    let played = filter.ask(&World::default(), lines, &Attributes::new());
    if !played.admitted() {
        return;
    }
    let sent: Vec<u8> = lines.iter().flat_map(|(_, value)| [value, &b"\n"[..]].concat()).collect();
    let sent = unescaped(&sent);
    let signed =
        GOOD.iter().any(|token| sent.windows(token.len()).any(|part| part == token.as_bytes()))
            || sent.windows(2).any(|part| part == b"ey") && corpus_token(&sent);
    assert!(signed, "believed without a token: {lines:?}");
    let again = filter.ask(&World::default(), &played.upstream, &Attributes::new());
    assert!(!again.admitted(), "the token goes on: {lines:?} as {:?}", played.upstream);
}

/// Whether a token of the cases is in what was sent.
fn corpus_token(sent: &[u8]) -> bool {
    let values =
        SCENES.iter().flat_map(|scene| scene.requests.iter().flatten().map(|(_, value)| value));
    values.flat_map(|value| value.split(|byte| b" =&,;\"".contains(byte))).any(|token| {
        token.starts_with(b"ey")
            && token.len() > 100
            && sent.windows(token.len()).any(|part| part == token)
    })
}

/// Escapes decoded, as in a query.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|digits| str::from_utf8(digits).ok());
        let code = escape
            .filter(|_| bytes[at] == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 3 } else { 1 };
    }
    out
}

fn stage(scene: &Scene) -> Stage {
    fn load<F: Filter>(document: &str) -> Asked {
        let loaded = Loaded::<F>::new(document);
        Box::new(move |world, lines, known| loaded.ask(world, lines, known))
    }
    let text = scene.document.to_string();
    let filter = match scene.filter {
        "suite" => load::<Suite>(&text),
        "ratelimit" => load::<RateLimit>(&text),
        "canary" => load::<Canary>(&text),
        "telemetry" => load::<Telemetry>(&text),
        _ => load::<Authz>(&text),
    };
    let authz = scene.document.get("authz").filter(|_| scene.filter == "suite");
    let authz = authz.map(|authz| Loaded::new(&authz.to_string()));
    let mut owned = Vec::new();
    headers(&scene.document, &mut owned);
    Stage { filter, authz, owned }
}

/// The headers that a configuration says are its own.
fn headers(value: &Value, owned: &mut Vec<String>) {
    let name = |value: &Value| value.as_str().map(str::to_ascii_lowercase);
    match value {
        Value::Array(items) => items.iter().for_each(|item| headers(item, owned)),
        Value::Object(members) => {
            owned.extend(members.get("outputPayloadToHeader").and_then(name));
            let claims = members.get("outputClaimToHeaders").and_then(Value::as_array);
            owned.extend(claims.into_iter().flatten().filter_map(|claim| name(&claim["header"])));
            // In shadow a rollout's headers are not its own.
            let enforced = members.get("mode").is_none_or(|mode| mode != "shadow");
            let is_rollout = enforced && members.contains_key("stable");
            owned.extend(members.get("header").filter(|_| is_rollout).and_then(name));
            let bucket = members.get("bucketHeader").filter(|_| enforced);
            owned.extend(bucket.and_then(|bucket| name(&bucket["name"])));
            members.values().for_each(|member| headers(member, owned));
        }
        _ => {}
    }
}
