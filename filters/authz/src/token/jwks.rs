//! JSON Web Key Sets (RFC 7517): which keys of one this filter takes.
//!
//! A key that is wrong refuses the whole set. A key that is right but for something that this filter does not do
//! (another curve, another algorithm, encryption) is left out, as identity providers publish such beside the others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Curve};
use super::json;
use super::key::{InvalidKey, Key};

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
        let same = |other: &NamedKey| other.kid == named.kid && other.key.overlaps(&named.key);
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
        return Err(InvalidKeySet::new("a key for signatures", found));
    }
    Ok(keys)
}

/// The usable keys of a set that was fetched; `None` if it is not a key set. It may have none, as an issuer who takes
/// all of them back publishes. A wrong key is left out, as the others must not suffer; so is a secret, as what is
/// published is none.
pub(crate) fn fetched(document: &[u8]) -> Option<Vec<NamedKey>> {
    let set = json::object(document).ok()?;
    let members = set.get("keys")?.as_array()?.iter().filter_map(Value::as_object);
    let keys = members.filter_map(|member| usable(member).ok().flatten());
    Some(keys.filter(|named| !named.key.is_symmetric()).collect())
}

/// The public key that a client shows of itself (RFC 9449 §4.2); `None` for one that is wrong, that this filter has no use
/// for, or that is a secret or has secrets in it.
pub(super) fn public(members: &Map<String, Value>) -> Option<Key> {
    const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if SECRET.iter().any(|name| members.contains_key(*name)) {
        return None;
    }
    usable(members).ok().flatten().map(|named| named.key)
}

/// The key that `members` describe, if this filter has a use for it.
fn usable(members: &Map<String, Value>) -> Result<Option<NamedKey>, InvalidKeySet> {
    if members.contains_key("d") {
        return Err(InvalidKeySet::new("a public key", "a private one (`d`)"));
    }
    let kid = text(members, "kid")?.map(str::to_owned);
    let kind = Kind::of(members)?;
    let name = text(members, "alg")?;
    let only = name.and_then(Algorithm::named);
    if only.is_some_and(|only| !kind.is_for(only)) {
        let found = format!("`alg` {:?}", name.unwrap_or_default());
        return Err(InvalidKeySet::new("an algorithm for the key's type", found));
    }
    let signs = text(members, "use")?.is_none_or(|purpose| purpose == "sig") && verifies(members)?;
    if !signs || name.is_some() && only.is_none() {
        return Ok(None);
    }
    let key = match kind {
        Kind::Rsa => Key::rsa(&bytes(members, "n")?, &bytes(members, "e")?),
        Kind::Ec => match (text(members, "crv")?, only) {
            (Some("secp256k1"), None) => return Ok(None),
            (crv, only) => {
                let curve = crv.and_then(Curve::named);
                let curve =
                    curve.filter(|curve| only.is_none_or(|only| only == Algorithm::Ecdsa(*curve)));
                let curve = curve.ok_or_else(|| wrong_curve(crv))?;
                Key::ec(curve, &bytes(members, "x")?, &bytes(members, "y")?)
            }
        },
        Kind::Okp => match (text(members, "crv")?, only) {
            (Some("Ed25519"), _) => Key::ed25519(&bytes(members, "x")?),
            (Some("Ed448"), _) | (Some("X25519" | "X448"), None) => return Ok(None),
            (crv, _) => return Err(wrong_curve(crv)),
        },
        Kind::Secret => Key::secret(&bytes(members, "k")?, only),
        Kind::Foreign => return Ok(None),
    };
    match key {
        Ok(key) => Ok(only
            .map_or(Some(key.clone()), |only| key.restricted(only))
            .map(|key| NamedKey { kid, key })),
        Err(InvalidKey::TooLong) => Ok(None),
        Err(wrong) => Err(refusal(wrong)),
    }
}

/// `kty` (RFC 7518 §6.1).
#[derive(Clone, Copy)]
enum Kind {
    Rsa,
    Ec,
    Okp,
    Secret,
    /// Registered, and not of ours.
    Foreign,
}

impl Kind {
    fn of(members: &Map<String, Value>) -> Result<Self, InvalidKeySet> {
        match text(members, "kty")? {
            Some("RSA") => Ok(Self::Rsa),
            Some("EC") => Ok(Self::Ec),
            Some("OKP") => Ok(Self::Okp),
            Some("oct") => Ok(Self::Secret),
            Some("AKP") => Ok(Self::Foreign),
            other => {
                let found = other.map_or_else(|| "none".to_owned(), |other| format!("{other:?}"));
                Err(InvalidKeySet::new("a registered key type (`kty`)", found))
            }
        }
    }

    fn is_for(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Rsa(_) | Algorithm::Pss(_) => matches!(self, Self::Rsa),
            Algorithm::Ecdsa(_) => matches!(self, Self::Ec),
            Algorithm::Ed25519 => matches!(self, Self::Okp),
            Algorithm::Hmac(_) => matches!(self, Self::Secret),
        }
    }
}

fn wrong_curve(crv: Option<&str>) -> InvalidKeySet {
    let found = format!("`crv` {:?}", crv.unwrap_or_default());
    InvalidKeySet::new("a curve for the key's type and algorithm", found)
}

fn refusal(wrong: InvalidKey) -> InvalidKeySet {
    match wrong {
        InvalidKey::TooShort(bits) => {
            InvalidKeySet::new("an RSA modulus of at least 2048 bits", format!("{bits} bits"))
        }
        InvalidKey::Modulus | InvalidKey::TooLong => InvalidKeySet::new(
            "an odd RSA modulus and an odd exponent from 3 to 2^33",
            "other numbers",
        ),
        InvalidKey::Point => {
            InvalidKeySet::new("a point on the curve, both coordinates whole", "something else")
        }
        InvalidKey::Edwards => {
            InvalidKeySet::new("a point of full order on Ed25519, in 32 bytes", "something else")
        }
        InvalidKey::Guessable(length) => {
            let found = format!("{length} bytes");
            InvalidKeySet::new("a secret at least as long as its hash, 32 bytes or more", found)
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

/// A number or other bytes in base64url (RFC 7518 §2).
fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, InvalidKeySet> {
    let text = text(members, name)?.unwrap_or_default();
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(InvalidKeySet::new("bytes in base64url", format!("another value of `{name}`"))),
    }
}

#[cfg(test)]
mod tests;
