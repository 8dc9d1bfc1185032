//! What must hold, target by target.

pub(crate) mod configuration;
pub(crate) mod jwks;
mod policies;
pub(crate) mod request;
pub(crate) mod token;

use crate::corpus::{Lines, algorithm};
use serde_json::{Value, json};

/// What a client writes into headers that are not its own.
const MARK: &[u8] = b"written-by-the-client";

/// A configuration that lets in whoever has a token by this rule.
fn gate(rule: &Value, size: usize) -> String {
    let known = json!({ "from": [{ "source": { "requestPrincipals": ["*"] } }] });
    let cache = json!({ "jwtCacheSize": size });
    json!({ "jwtRules": [rule], "jwtCacheConfig": cache, "policies": [{ "name": "known", "rules": [known] }] }).to_string()
}

/// A request with this token where it is usual.
fn bearing(token: &[u8]) -> Lines {
    let lines = [(":method", "GET"), (":path", "/"), (":authority", "demo.example")];
    let mut lines: Lines =
        lines.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec();
    lines.push((b"authorization".to_vec(), [b"Bearer ", token].concat()));
    lines
}

/// The header of a token by this key.
fn header(key: &str) -> Value {
    json!({ "alg": algorithm(key), "kid": key.trim_end_matches("-stranger") })
}
