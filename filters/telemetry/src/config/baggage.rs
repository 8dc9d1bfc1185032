//! From `traceContext.baggage` in the document to what of the baggage goes on, or a refusal.

use std::collections::BTreeSet;

use filter_core::Invalid;
use filter_core::config::Whole;
use filter_core::matching::NonEmpty;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::trace::Published;
use crate::trace::baggage::{self, Limits};

use super::trace::too_small;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawBaggage {
    allow: Option<NonEmpty<Key>>,
    max_members: Option<Whole>,
    max_bytes: Option<Whole>,
    publish: Option<NonEmpty<Key>>,
}

impl RawBaggage {
    /// The fields that are about what goes on, and whether they are given.
    pub(super) fn forwarded(&self) -> [(&'static str, bool); 3] {
        [
            ("/baggage/allow", self.allow.is_some()),
            ("/baggage/maxMembers", self.max_members.is_some()),
            ("/baggage/maxBytes", self.max_bytes.is_some()),
        ]
    }
}

/// The key of a member of baggage.
pub(super) struct Key(pub(super) String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        if !baggage::token(key.as_bytes()) {
            let expected = &"a key of baggage: a token (RFC 9110 §5.6.2)";
            return Err(D::Error::invalid_value(Unexpected::Str(&key), expected));
        }
        Ok(Self(key))
    }
}

/// What every platform must pass on (W3C Baggage §3.3.2).
const MEMBERS: u64 = 64;
const BYTES: u64 = 8192;

/// What goes on, and what is left in filter state.
///
/// # Errors
/// By its pointer in `traceContext`.
pub(super) fn limits(raw: Option<RawBaggage>) -> Result<(Limits, Vec<Published>), Invalid> {
    let raw = raw.unwrap_or(RawBaggage {
        allow: None,
        max_members: None,
        max_bytes: None,
        publish: None,
    });
    // Less than every platform must pass on would be a quiet loss.
    let at_least = |given: Option<Whole>, least: u64, pointer: &str| match given {
        Some(Whole(given)) if given < least => Err(too_small(pointer, least, given)),
        given => Ok(usize::try_from(given.map_or(least, |given| given.0)).unwrap_or(usize::MAX)),
    };
    let allow = raw.allow.map(|keys| {
        let keys = keys.into_vec().into_iter();
        keys.map(|Key(key)| key.into_bytes().into_boxed_slice()).collect::<BTreeSet<_>>()
    });
    let limits = Limits {
        allow,
        members: at_least(raw.max_members, MEMBERS, "/baggage/maxMembers")?,
        bytes: at_least(raw.max_bytes, BYTES, "/baggage/maxBytes")?,
    };
    Ok((limits, published(raw.publish.map(NonEmpty::into_vec).unwrap_or_default())?))
}

/// The members to publish, each as `baggage_KEY`, with an underscore for what filter state's names do not have.
fn published(keys: Vec<Key>) -> Result<Vec<Published>, Invalid> {
    let mut all: Vec<Published> = Vec::with_capacity(keys.len());
    for (position, Key(key)) in keys.into_iter().enumerate() {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let name = format!("baggage_{}", key.chars().map(plain).collect::<String>());
        if all.iter().any(|other| other.name == name) {
            let expected = format!("a key that no other is published like, as `{name}`");
            return Err(Invalid::at(format!("/baggage/publish/{position}"), expected, key));
        }
        let name = Box::leak(name.into_boxed_str());
        all.push(Published { key: key.into_bytes().into_boxed_slice(), name });
    }
    Ok(all)
}
