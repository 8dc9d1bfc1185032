//! Tokens for requests, signed when they are needed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::signer::Signer;

/// The key set of the corpus: the public halves of `rs256` and `es256`.
pub const JWKS: &str = include_str!("../keys/jwks.json");

/// A key set with a key for every algorithm, named like the algorithm in lower case.
pub const EVERY_JWKS: &str = include_str!("../keys/every.json");

/// A token to be minted (RFC 7519).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The key to sign with, by the name of its algorithm: `rs256`, `es256`, or one of those that only [`EVERY_JWKS`]
    /// has; or one that is in no key set, `rs256-stranger`, `es256-stranger`.
    pub key: String,
    /// Members of the JOSE header, over the default `alg` and `kid`; null removes one.
    #[serde(default)]
    pub header: Map<String, Value>,
    /// The claims. `exp` is added unless it is here.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Seconds from now to the token's expiry; negative for one that has expired.
    #[serde(default = "hour", rename = "expiresIn")]
    pub expires_in: i64,
    /// Whether to spoil the signature.
    #[serde(default)]
    pub forged: bool,
}

fn hour() -> i64 {
    3600
}

impl Token {
    /// The token in compact serialization (RFC 7515 §7.1), minted at `now` (seconds since the epoch).
    ///
    /// # Errors
    /// When the key is none of those listed.
    pub fn mint(&self, now: u64) -> Result<String, String> {
        let key = Signer::of(&self.key)?;
        let kid = self.key.trim_end_matches("-stranger");
        let mut header = Map::from_iter([
            ("alg".to_owned(), Value::from(key.algorithm())),
            ("kid".to_owned(), Value::from(kid)),
        ]);
        for (name, value) in &self.header {
            if value.is_null() {
                header.remove(name);
            } else {
                header.insert(name.clone(), value.clone());
            }
        }
        let mut claims = self.claims.clone();
        let expiry = now.saturating_add_signed(self.expires_in);
        claims.entry("exp").or_insert_with(|| expiry.into());

        let part = |map: Map<String, Value>| Value::Object(map).to_string();
        let token = compact(&key, part(header).as_bytes(), part(claims).as_bytes())?;
        Ok(if self.forged { forged(&token) } else { token })
    }
}

/// A proof that who sends a token has a key (RFC 9449 §4.2).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The key, as [`Token::key`] names it.
    pub key: String,
    /// Members of the header, over `typ`, `alg` and `jwk`; null removes one.
    #[serde(default)]
    pub header: Map<String, Value>,
    /// The claims, over those that make it good for its request, `htm`, `htu`, `iat` and `ath`; null removes one.
    #[serde(default)]
    pub claims: Map<String, Value>,
}

impl Proof {
    /// The proof for this token, method and URI, made at `now` (seconds since the epoch).
    ///
    /// # Errors
    /// When the key is none of those listed, or has no public half in [`EVERY_JWKS`].
    pub fn mint(&self, token: &str, method: &str, uri: &str, now: u64) -> Result<String, String> {
        let key = Signer::of(&self.key)?;
        let set: Value = serde_json::from_str(EVERY_JWKS).map_err(|error| error.to_string())?;
        let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten();
        let own = keys
            .filter_map(Value::as_object)
            .find(|own| own.get("kid") == Some(&self.key.as_str().into()));
        let own = own.ok_or_else(|| format!("no public key `{}` in the corpus", self.key))?;
        let public = ["kty", "crv", "x", "y", "n", "e"];
        let jwk: Map<String, Value> =
            own.clone().into_iter().filter(|(name, _)| public.contains(&name.as_str())).collect();
        let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm(), "jwk": jwk });
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
        let claims = json!({ "htm": method, "htu": uri, "iat": now, "ath": hash });
        let (header, claims) = (changed(header, &self.header), changed(claims, &self.claims));
        compact(&key, header.as_bytes(), claims.as_bytes())
    }
}

/// The document with these members instead of its own; null removes one.
fn changed(mut document: Value, changes: &Map<String, Value>) -> String {
    if let Some(members) = document.as_object_mut() {
        for (name, value) in changes {
            members.insert(name.clone(), value.clone());
        }
        members.retain(|_, value| !value.is_null());
    }
    document.to_string()
}

/// A token of these bytes in compact serialization, be they JSON or not, signed with the key of that name.
///
/// # Errors
/// When the key is none of those that [`Token::key`] lists.
pub fn sign(key: &str, header: &[u8], payload: &[u8]) -> Result<String, String> {
    compact(&Signer::of(key)?, header, payload)
}

fn compact(key: &Signer, header: &[u8], payload: &[u8]) -> Result<String, String> {
    let part = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", part(header), part(payload));
    Ok(format!("{message}.{}", key.sign(message.as_bytes())?))
}

/// The token with the first character of its signature changed; still base64url of the same length.
fn forged(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap_or_default();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{message}.{other}{}", signature.get(1..).unwrap_or_default())
}
