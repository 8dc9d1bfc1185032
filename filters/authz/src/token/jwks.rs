//! JSON Web Key Sets (RFC 7517): which keys of one this filter takes.
//!
//! A key that is wrong refuses the whole set. A key that is right but for something that this filter does not do
//! (another curve, another algorithm, encryption) is left out, as identity providers publish such beside the others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;
use super::key::{Algorithm, InvalidKey, Key};

/// A key and its name in the set.
#[derive(Clone, Debug)]
pub(crate) struct NamedKey {
    /// `kid`.
    pub(crate) kid: Option<String>,
    /// The key.
    pub(crate) key: Key,
}

/// Why a key set is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidKeySet {
    /// What should stand there.
    pub(crate) expected: &'static str,
    /// What stands there, and in which key.
    pub(crate) found: String,
}

impl InvalidKeySet {
    fn new(expected: &'static str, found: impl Into<String>) -> Self {
        Self { expected, found: found.into() }
    }

    fn in_key(self, index: usize) -> Self {
        Self { found: format!("{} in key {index}", self.found), ..self }
    }
}

/// The usable keys of a set, at least one.
///
/// # Errors
/// When `text` is not a key set, a key in it is wrong, two go by one name, or none is of use.
pub(crate) fn parse(text: &str) -> Result<Vec<NamedKey>, InvalidKeySet> {
    const SET: &str = "a JSON Web Key Set as a string";
    let set = json::object(text.as_bytes())
        .map_err(|error| InvalidKeySet::new(SET, format!("a text that is none: {error}")))?;
    let Some(Value::Array(members)) = set.get("keys") else {
        return Err(InvalidKeySet::new(SET, "an object without an array `keys`"));
    };
    let mut keys: Vec<NamedKey> = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let Value::Object(member) = member else {
            return Err(InvalidKeySet::new("an object", "something else").in_key(index));
        };
        let Some(named) = usable(member).map_err(|error| error.in_key(index))? else {
            continue;
        };
        let same = |other: &NamedKey| {
            other.kid == named.kid && other.key.algorithm() == named.key.algorithm()
        };
        if let Some(kid) = &named.kid
            && keys.iter().any(same)
        {
            let found = format!("`kid` {kid:?} for a second time");
            return Err(InvalidKeySet::new("a `kid` for one key", found).in_key(index));
        }
        keys.push(named);
    }
    if keys.is_empty() {
        let found = format!("none among {}", members.len());
        return Err(InvalidKeySet::new("a key for RS256 or ES256 signatures", found));
    }
    Ok(keys)
}

/// The key that `members` describe, if this filter has a use for it.
fn usable(members: &Map<String, Value>) -> Result<Option<NamedKey>, InvalidKeySet> {
    if members.contains_key("d") {
        return Err(InvalidKeySet::new("a public key", "a private one (`d`)"));
    }
    let kid = text(members, "kid")?.map(str::to_owned);
    let kind = text(members, "kty")?;
    let native = match kind {
        Some("RSA") => Algorithm::Rs256,
        Some("EC") => Algorithm::Es256,
        // Registered, and not of ours.
        Some("OKP" | "oct" | "AKP") => return Ok(None),
        _ => {
            let found = kind.map_or_else(|| "none".to_owned(), |kind| format!("{kind:?}"));
            return Err(InvalidKeySet::new("a registered key type (`kty`)", found));
        }
    };
    let algorithm = text(members, "alg")?;
    let named = algorithm.and_then(Algorithm::named);
    if named.is_some_and(|named| named != native) {
        let found = format!("`alg` {:?}", algorithm.unwrap_or_default());
        return Err(InvalidKeySet::new("an algorithm for the key's type", found));
    }
    let signs = text(members, "use")?.is_none_or(|purpose| purpose == "sig") && verifies(members)?;
    if !signs || algorithm.is_some() && named.is_none() {
        return Ok(None);
    }
    let key = match native {
        Algorithm::Rs256 => Key::rsa(&number(members, "n")?, &number(members, "e")?),
        Algorithm::Es256 => match text(members, "crv")? {
            Some("P-256") => Key::p256(&number(members, "x")?, &number(members, "y")?),
            Some("P-384" | "P-521" | "secp256k1") if named.is_none() => return Ok(None),
            other => {
                let found = format!("`crv` {:?}", other.unwrap_or_default());
                return Err(InvalidKeySet::new("a curve for the key's algorithm", found));
            }
        },
    };
    match key {
        Ok(key) => Ok(Some(NamedKey { kid, key })),
        Err(InvalidKey::TooLong) => Ok(None),
        Err(InvalidKey::TooShort(bits)) => {
            Err(InvalidKeySet::new("an RSA modulus of at least 2048 bits", format!("{bits} bits")))
        }
        Err(InvalidKey::Modulus) => Err(InvalidKeySet::new(
            "an odd RSA modulus and an odd exponent from 3 to 2^33",
            "other numbers",
        )),
        Err(InvalidKey::Point) => {
            Err(InvalidKeySet::new("a point on P-256, 32 bytes each way", "something else"))
        }
    }
}

/// Whether `key_ops` (RFC 7517 §4.3) leaves the key to verify with.
fn verifies(members: &Map<String, Value>) -> Result<bool, InvalidKeySet> {
    let Some(operations) = members.get("key_ops") else {
        return Ok(true);
    };
    let list = operations.as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    let repeated = names
        .iter()
        .enumerate()
        .any(|(at, name)| names.iter().skip(at + 1).any(|other| other == name));
    if !operations.is_array() || names.len() != list.len() || repeated {
        return Err(InvalidKeySet::new("`key_ops` as a list of different names", "another value"));
    }
    Ok(names.contains(&"verify"))
}

fn text<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, InvalidKeySet> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(InvalidKeySet::new("a string", format!("another value of `{name}`"))),
    }
}

/// A number in base64url (RFC 7518 §2).
fn number(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, InvalidKeySet> {
    let text = text(members, name)?.unwrap_or_default();
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(InvalidKeySet::new("a number in base64url", format!("another value of `{name}`"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    fn corpus() -> Vec<Map<String, Value>> {
        let set = json::object(cases::JWKS.as_bytes()).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key.as_object().unwrap().clone()).collect()
    }

    /// The corpus's key of this type, with members set, or removed by null.
    fn key(kty: &str, changes: Value) -> Value {
        let mut key = corpus().into_iter().find(|key| key["kty"] == kty).unwrap();
        for (name, value) in changes.as_object().unwrap().clone() {
            if value.is_null() {
                key.remove(&name);
            } else {
                key.insert(name, value);
            }
        }
        Value::Object(key)
    }

    fn set(keys: Vec<Value>) -> Result<usize, InvalidKeySet> {
        parse(&serde_json::json!({ "keys": keys, "other": 1 }).to_string()).map(|keys| keys.len())
    }

    #[test]
    fn the_keys_of_the_corpus_are_usable() {
        let keys = parse(cases::JWKS).unwrap();
        let names: Vec<_> = keys.iter().map(|key| key.kid.as_deref().unwrap()).collect();
        assert_eq!(names, ["rs256", "es256"]);
    }

    #[test]
    fn keys_for_other_ends_are_left_out() {
        for other in [
            value!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }),
            value!({ "kty": "oct", "k": "AA" }),
            value!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" }),
            value!({ "kty": "EC", "crv": "secp256k1", "alg": "ES256K", "x": "AA", "y": "AA" }),
            key("RSA", value!({ "alg": "RS512" })),
            key("RSA", value!({ "alg": "RSA-OAEP", "use": "enc" })),
            key("RSA", value!({ "use": "enc" })),
            key("RSA", value!({ "key_ops": ["encrypt"] })),
            key("RSA", value!({ "key_ops": [] })),
            key("EC", value!({ "use": "enc", "alg": null })),
        ] {
            assert_eq!(set(vec![other.clone(), key("EC", value!({}))]), Ok(1), "{other}");
            let alone = set(vec![other]).unwrap_err();
            assert_eq!(alone.found, "none among 1");
        }
    }

    #[test]
    fn what_a_key_need_not_say_it_need_not_say() {
        for key in [
            key("RSA", value!({ "alg": null, "use": null, "kid": null })),
            key("EC", value!({ "alg": null, "use": null, "kid": null })),
            key("EC", value!({ "key_ops": ["verify"], "x5c": ["AA"], "x5t": "A", "other": {} })),
        ] {
            assert_eq!(set(vec![key.clone()]), Ok(1), "{key}");
        }
    }

    #[test]
    fn a_wrong_key_refuses_the_set() {
        for (wrong, found) in [
            (value!({ "n": "AA" }), "none in key 1"),
            (value!({ "kty": "rsa" }), "\"rsa\" in key 1"),
            (value!({ "kty": 1 }), "another value of `kty` in key 1"),
            (value!([]), "something else in key 1"),
            (key("RSA", value!({ "alg": "ES256" })), "`alg` \"ES256\" in key 1"),
            (key("EC", value!({ "alg": "RS256" })), "`alg` \"RS256\" in key 1"),
            (key("RSA", value!({ "d": "AQAB" })), "a private one (`d`) in key 1"),
            (key("RSA", value!({ "n": null })), "another value of `n` in key 1"),
            (key("RSA", value!({ "n": "AQAB" })), "17 bits in key 1"),
            (key("RSA", value!({ "n": "A+A=" })), "another value of `n` in key 1"),
            (key("RSA", value!({ "e": "AQ" })), "other numbers in key 1"),
            (key("RSA", value!({ "e": "AQAA" })), "other numbers in key 1"),
            (key("RSA", value!({ "key_ops": "verify" })), "another value in key 1"),
            (key("RSA", value!({ "key_ops": ["verify", "verify"] })), "another value in key 1"),
            (key("RSA", value!({ "use": 1 })), "another value of `use` in key 1"),
            (key("EC", value!({ "crv": "P-384" })), "`crv` \"P-384\" in key 1"),
            (key("EC", value!({ "crv": "p256" })), "`crv` \"p256\" in key 1"),
            (key("EC", value!({ "crv": null })), "`crv` \"\" in key 1"),
            (key("EC", value!({ "y": "AAAA" })), "something else in key 1"),
            (key("EC", value!({})), "`kid` \"es256\" for a second time in key 1"),
        ] {
            let error = set(vec![key("EC", value!({})), wrong.clone()]).unwrap_err();
            assert_eq!(error.found, found, "{wrong}");
        }
    }

    #[test]
    fn a_kid_may_be_shared_by_keys_of_different_algorithms() {
        let keys = vec![key("EC", value!({ "kid": "a" })), key("RSA", value!({ "kid": "a" }))];
        assert_eq!(set(keys), Ok(2));
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, r#"{"keys":[]}"#]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
