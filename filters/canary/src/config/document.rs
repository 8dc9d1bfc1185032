//! The document as a whole: its rollouts, and what they share.

use std::collections::HashMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use filter_core::config::{self, Object};
use filter_core::matching::{Index, NonEmpty, Operation, StringPattern};
use filter_core::{HeaderName, Invalid, Rule, Series};
use serde::Deserialize;

use super::cookie::RawCookie;
use super::rollout::{RawRollout, Shared};
use super::{Carry, Holdout, Plan};
use crate::bucket::PartsPerMillion;
use crate::effects::Owned;
use crate::role::{Application, Peers, Role};
use crate::sign::{Key, Keys};

/// The key of our member of baggage, unless somebody says otherwise.
const MEMBER: &str = "outrigger.canary";
/// More keys are no rotation.
const MAX_KEYS: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object with `rollouts`")]
struct Raw {
    rollouts: NonEmpty<Object<RawRollout>>,
    holdout: Option<Object<RawHoldout>>,
    role: Option<RawRole>,
    peers: Option<Object<RawPeers>>,
    baggage: Option<Object<RawBaggage>>,
    signing_keys: Option<NonEmpty<Object<RawKey>>>,
    anonymous_cookie: Option<Object<RawCookie>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHoldout {
    salt: Option<String>,
    weight: PartsPerMillion,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum RawRole {
    Edge,
    Mesh,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPeers {
    principals: Option<NonEmpty<StringPattern>>,
    application: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBaggage {
    member: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: Rule,
    secret: String,
}

/// What a document writes.
pub(crate) fn parse(document: &[u8]) -> Result<Plan, Invalid> {
    let raw: Raw = config::parse(document)?;
    let role = role(raw.role, raw.peers)?;
    let (member, carry) = baggage(raw.baggage)?;
    let keys = raw.signing_keys.map(signing_keys).transpose()?;
    let anonymous = raw.anonymous_cookie.map(|Object(cookie)| cookie.compile()).transpose();
    let anonymous = anonymous.map_err(|invalid| invalid.under("/anonymousCookie"))?;
    let holdout = raw
        .holdout
        .map(|Object(raw)| Holdout { salt: raw.salt.unwrap_or_default(), weight: raw.weight });
    let shared = Shared {
        is_signed: keys.is_some(),
        is_anonymous: anonymous.is_some(),
        has_a_part: role != Role::Edge || holdout.is_some() || carry.is_some(),
    };
    let mut unique = Unique::default();
    if let Some(cookie) = &anonymous {
        unique.take("cookie", &cookie.name, "/anonymousCookie", "/name")?;
    }
    let mut rollouts = Vec::new();
    for (index, Object(rollout)) in raw.rollouts.into_vec().into_iter().enumerate() {
        let own = format!("/rollouts/{index}");
        for (kind, text, field) in rollout.names() {
            unique.take(kind, text, &own, field)?;
        }
        rollouts.push(rollout.compile(&shared).map_err(|invalid| invalid.under(&own))?);
    }
    let about = rollouts.iter().map(|rollout| rollout.about.iter().map(Operation::about).collect());
    let index = Index::over(about);
    let owned = Owned::of(&rollouts);
    let all = (0..rollouts.len()).collect();
    Ok(Plan { rollouts, all, holdout, role, member, carry, keys, anonymous, owned, index })
}

/// Names that may be given once, by what they are names of.
#[derive(Default)]
struct Unique(HashMap<(&'static str, String), String>);

impl Unique {
    fn take(
        &mut self,
        kind: &'static str,
        text: &str,
        own: &str,
        field: &str,
    ) -> Result<(), Invalid> {
        match self.0.insert((kind, text.to_owned()), own.to_owned()) {
            None => Ok(()),
            Some(first) => {
                let (expected, found) =
                    (format!("a {kind} of its own"), format!("the {kind} of {first}"));
                Err(Invalid::at(format!("{own}{field}"), expected, found))
            }
        }
    }
}

fn role(role: Option<RawRole>, peers: Option<Object<RawPeers>>) -> Result<Role, Invalid> {
    match (role, peers) {
        (None | Some(RawRole::Edge), None) => Ok(Role::Edge),
        (None | Some(RawRole::Edge), Some(_)) => {
            Err(Invalid::at("/peers", "`role: mesh` beside `peers`", "the role `edge`"))
        }
        (Some(RawRole::Mesh), None) => Err(Invalid::at("", "a field `peers`", "none")),
        (Some(RawRole::Mesh), Some(Object(peers))) => {
            let application = match peers.application {
                Some(true) => Application::Believed,
                Some(false) | None => Application::Unknown,
            };
            let principals = peers.principals.map(NonEmpty::into_vec).unwrap_or_default();
            if principals.is_empty() && application == Application::Unknown {
                return Err(Invalid::at(
                    "/peers",
                    "`principals` or `application: true`",
                    "neither",
                ));
            }
            Ok(Role::Mesh(Peers { principals, application }))
        }
    }
}

fn baggage(raw: Option<Object<RawBaggage>>) -> Result<(String, Option<Carry>), Invalid> {
    let Some(Object(raw)) = raw else { return Ok((MEMBER.to_owned(), None)) };
    let member = raw.member.unwrap_or_else(|| MEMBER.to_owned());
    // The key of a member is a token, as a header's name is, but with its case.
    if HeaderName::parse(&member).is_none() {
        let expected = "the key of a member of baggage, a token";
        return Err(Invalid::at("/baggage/member", expected, format!("{member:?}")));
    }
    // The series is declared when the document is known to be right.
    Ok((member, Some(Carry { too_long: Series { family: 0, index: 0 } })))
}

fn signing_keys(raw: NonEmpty<Object<RawKey>>) -> Result<Keys, Invalid> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = GeneralPurpose::new(&STANDARD, config);
    let raw = raw.into_vec();
    if raw.len() > MAX_KEYS {
        let expected = format!("at most {MAX_KEYS} keys");
        return Err(Invalid::at("/signingKeys", expected, raw.len().to_string()));
    }
    let mut keys = Vec::new();
    let mut unique = Unique::default();
    for (index, Object(raw)) in raw.into_iter().enumerate() {
        let own = format!("/signingKeys/{index}");
        unique.take("id", raw.id.as_str(), &own, "/id")?;
        let secret = base64.decode(&raw.secret).unwrap_or_default();
        let length = secret.len();
        keys.push(Key::new(raw.id, &secret).ok_or_else(|| {
            let expected = "at least 32 bytes as base64";
            Invalid::at(format!("{own}/secret"), expected, format!("{length} bytes"))
        })?);
    }
    Ok(Keys::new(keys))
}
