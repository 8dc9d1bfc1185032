//! What there is to change: the cases of the filters, with their tokens minted.

use std::path::PathBuf;
use std::sync::LazyLock;

use cases::CaseFile;
use filter_core::fixture::MovableClock;
use serde_json::{Value, json};

use crate::draw::Draw;

/// Whose tokens the targets are about.
pub(crate) const ISSUER: &str = "https://issuer.example";

/// What the corpus calls its keys, those that a set has first.
pub(crate) const KEYS: [&str; 15] = [
    "hs256",
    "es256",
    "eddsa",
    "rs256",
    "ps256",
    "es384",
    "es512",
    "hs384",
    "hs512",
    "rs384",
    "rs512",
    "ps384",
    "ps512",
    "es256-stranger",
    "rs256-stranger",
];

/// How many of [`KEYS`], from the first, sign and verify in no time: the others take most of it if they are drawn alike.
const QUICK: usize = 3;

/// How many of [`KEYS`] are in a key set.
pub(crate) const KNOWN: usize = 13;

/// The wall time of every run, in seconds since the epoch; that of a `World` which was just made.
pub(crate) const NOW: u64 = MovableClock::EPOCH + 1000;

/// Lines of a request, as they come.
pub(crate) type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// A configuration and requests that are about it.
pub(crate) struct Scene {
    /// Which filter it is for.
    pub(crate) filter: &'static str,
    /// The configuration.
    pub(crate) document: Value,
    /// The requests.
    pub(crate) requests: Vec<Lines>,
}

/// Every configuration that has requests.
pub(crate) static SCENES: LazyLock<Vec<Scene>> = LazyLock::new(|| {
    ["authz", "suite", "ratelimit", "canary", "telemetry"].into_iter().flat_map(scenes).collect()
});

/// Configurations that are refused.
pub(crate) static REFUSED: LazyLock<Vec<(&'static str, Value)>> = LazyLock::new(|| {
    let of = |filter| {
        let refusals = files(filter).into_iter().flat_map(|file| file.refused);
        let bytes = refusals.filter_map(|refusal| refusal.bytes().ok());
        bytes.filter_map(move |bytes| Some((filter, serde_json::from_slice(&bytes).ok()?)))
    };
    ["authz", "suite", "ratelimit", "canary", "telemetry"].into_iter().flat_map(of).collect()
});

/// A good token by each key that is known, with the claims of [`claims`].
pub(crate) static GOOD: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mint = |key: &&str| {
        let header = json!({ "alg": algorithm(key), "kid": key }).to_string();
        cases::sign(key, header.as_bytes(), claims().to_string().as_bytes())
            .expect("a key of the corpus")
    };
    KEYS[..KNOWN].iter().map(mint).collect()
});

/// A token by each key that is in no key set, otherwise good, with the key's name.
pub(crate) static FOREIGN: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    let mint = |key: &&'static str| {
        let header = json!({ "alg": algorithm(key), "kid": key.trim_end_matches("-stranger") });
        let signed =
            cases::sign(key, header.to_string().as_bytes(), claims().to_string().as_bytes());
        (*key, signed.expect("a key of the corpus"))
    };
    KEYS[KNOWN..].iter().map(mint).collect()
});

/// One of the first `end` of [`KEYS`], by its position: mostly one that is quick.
pub(crate) fn any_key(draw: &mut Draw<'_>, end: usize) -> usize {
    let end = if draw.once_in(16) { end } else { QUICK };
    draw.below(end)
}

/// What a good token says.
pub(crate) fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "exp": NOW + 3600, "iat": NOW, "n": { "a": ["b", 1] } })
}

/// What `alg` calls the algorithm of a key.
pub(crate) fn algorithm(key: &str) -> String {
    let name = key.trim_end_matches("-stranger");
    if name == "eddsa" { "EdDSA".to_owned() } else { name.to_uppercase() }
}

fn files(filter: &str) -> Vec<CaseFile> {
    let folder =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../filters").join(filter).join("cases");
    CaseFile::read_all(&folder).expect("the filter's cases")
}

fn scenes(filter: &'static str) -> Vec<Scene> {
    let scene = |file: CaseFile| {
        let requests = file.steps.iter().map(|step| {
            let request = step.request.minted(NOW).expect("keys of the corpus");
            let pseudo = [
                (":method", request.method),
                (":path", request.path),
                (":authority", request.host),
            ];
            let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value));
            let lines = pseudo.into_iter().chain(request.headers);
            lines.map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect()
        });
        let requests: Vec<Lines> = requests.collect();
        (!requests.is_empty()).then(|| Scene { filter, document: file.configuration(), requests })
    };
    files(filter).into_iter().filter_map(scene).collect()
}
