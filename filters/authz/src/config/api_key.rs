//! `apiKeyAuth`: Envoy's `ApiKeyAuth`, with hashes for keys.

use filter_core::config::Object;
use filter_core::headers::{HeaderName, OwnedHeader};
use filter_core::matching::NonEmpty;
use filter_core::{Invalid, config::step};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::raw::objects;
use super::text::{CookieName, HeaderPrefix, Name, ReadHeader, text};
use crate::api_key::{ApiKeys, Credential};
use crate::token::{Claims, Issuers, Place, Prefix};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawApiKeys {
    credentials: NonEmpty<Object<RawCredential>>,
    key_sources: NonEmpty<Object<RawSource>>,
    forwarding: Option<Object<RawForwarding>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCredential {
    key_sha256: Hash,
    client: ClientName,
    claims: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSource {
    header: Option<ReadHeader>,
    prefix: Option<HeaderPrefix>,
    query: Option<Name>,
    cookie: Option<CookieName>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawForwarding {
    header: Option<OwnedHeader>,
    hide_credentials: Option<bool>,
}

text!(Hash([u8; 32]), hash, "the SHA-256 of a key, in 64 hexadecimal digits");
// It is written into a header.
text!(
    ClientName(String),
    |text| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then(|| text.to_owned())
    },
    "a name of visible ASCII characters"
);

fn hash(text: &str) -> Option<[u8; 32]> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

/// Compiles the keys, beside the tokens of `issuers`.
///
/// # Errors
/// When they do not say what they must, when a key is there twice, or when a place or a header has two uses.
pub(super) fn compile(
    raw: RawApiKeys,
    issuers: &Issuers,
    pointer: &str,
) -> Result<ApiKeys, Invalid> {
    let mut keys = ApiKeys::default();
    for (index, credential) in objects(Some(raw.credentials)).enumerate() {
        let pointer = format!("{pointer}/credentials/{index}");
        let hash = credential.key_sha256.0;
        if keys.credentials.iter().any(|other| other.hash == hash) {
            let pointer = pointer + "/keySha256";
            return Err(Invalid::at(pointer, "another key", "the same for a second time"));
        }
        let claims = Claims::new(credential.claims.unwrap_or_default()).map_err(|_| {
            let expected = "registered claims (RFC 7519 §4.1) of their types";
            Invalid::at(pointer.clone() + "/claims", expected, "others")
        })?;
        keys.credentials.push(Credential { hash, client: credential.client.0.into(), claims });
    }
    for (index, source) in objects(Some(raw.key_sources)).enumerate() {
        let pointer = format!("{pointer}/keySources/{index}");
        let place = place(source, &pointer)?;
        if keys.places.iter().any(|other| overlap(&place, other)) {
            return Err(Invalid::at(pointer, "another place", "the same for a second time"));
        }
        if issuers.places().any(|token| overlap(&place, token)) {
            return Err(Invalid::at(pointer, "a place that holds no tokens", "one of `jwtRules`"));
        }
        if let Place::Header(name, _) = &place
            && issuers.owned.contains(name)
        {
            let expected = "a header that no claim is written into";
            return Err(Invalid::at(pointer + &step("header"), expected, format!("{name:?}")));
        }
        keys.places.push(place);
    }
    if let Some(Object(forwarding)) = raw.forwarding {
        let header = forwarding.header.map(|header| header.0);
        if let Some(name) = header.as_ref().filter(|name| is_used(name, &keys, issuers)) {
            let pointer = format!("{pointer}/forwarding/header");
            let expected = "a header that nothing else is read from or written into";
            return Err(Invalid::at(pointer, expected, format!("{name:?}")));
        }
        keys.header = header;
        keys.forward = forwarding.hide_credentials == Some(false);
    }
    Ok(keys)
}

fn place(source: RawSource, pointer: &str) -> Result<Place, Invalid> {
    let prefix = source.prefix.map(|prefix| prefix.0);
    match (source.header, prefix, source.query, source.cookie) {
        (Some(name), prefix, None, None) => {
            Ok(Place::Header(name.0, prefix.unwrap_or(Prefix::Nothing)))
        }
        (None, None, Some(name), None) => Ok(Place::Param(name.0)),
        (None, None, None, Some(name)) => Ok(Place::Cookie(name.0)),
        (None, Some(_), ..) => {
            Err(Invalid::at(format!("{pointer}/prefix"), "a `header` beside it", "none"))
        }
        (None, None, None, None) => {
            Err(Invalid::at(pointer, "`header`, `query` or `cookie`", "none of them"))
        }
        _ => Err(Invalid::at(pointer, "one of `header`, `query` and `cookie`", "several")),
    }
}

/// Whether what is found in one place could be found in the other too. Headers can be told apart by their schemes.
fn overlap(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Header(one, one_prefix), Place::Header(other, other_prefix)) => {
            one == other
                && match (one_prefix, other_prefix) {
                    (Prefix::Scheme(one), Prefix::Scheme(other)) => one.eq_ignore_ascii_case(other),
                    _ => true,
                }
        }
        _ => one == other,
    }
}

fn is_used(name: &HeaderName, keys: &ApiKeys, issuers: &Issuers) -> bool {
    let reads = |place: &Place| matches!(place, Place::Header(other, _) if other == name);
    keys.places.iter().chain(issuers.places()).any(reads) || issuers.owned.contains(name)
}
