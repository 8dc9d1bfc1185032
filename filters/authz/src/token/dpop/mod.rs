//! Tokens that are bound to a key of the client's, who proves with each request that it has the key: DPoP (RFC 9449).

mod replay;
mod target;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::{Copies, HeaderName, Ports, View};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub(super) use replay::Replays;

use super::claims::Claims;
use super::compact::Compact;
use super::issuer::Issuer;
use super::jwks;
use super::place::{Place, Prefix};
use super::{Found, Identity, Issuers, SharedPlace};
use crate::Reason;

/// How an issuer's tokens may be bound to keys, by `dpop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dpop {
    /// Whether each of them must be.
    pub(crate) required: bool,
    /// How old a proof may be, in seconds.
    pub(crate) max_age: i64,
}

/// A token, as it came.
#[derive(Clone, Copy, Debug)]
struct Presented<'a> {
    token: &'a [u8],
    /// Whether it came in the scheme `DPoP` (§7.1), and in no other place.
    by_proof: bool,
}

impl Place {
    /// `Authorization: DPoP TOKEN` (§7.1).
    pub(crate) fn of_proven() -> Self {
        let scheme = Prefix::Scheme("DPoP".to_owned());
        Self::Header(HeaderName::literal("authorization"), scheme)
    }
}

impl Issuers {
    /// Whether who sends an issuer's token has the key that it is bound to, if that is looked at.
    ///
    /// # Errors
    /// As [`Dpop::check`].
    pub(super) fn is_with_its_key(
        &self,
        issuer: &Issuer,
        claims: &Claims,
        found: &Found<'_>,
        now: Duration,
        view: View<'_>,
        ports: &Ports<'_>,
    ) -> Result<(), Reason> {
        let Some(dpop) = issuer.dpop else {
            return Ok(());
        };
        let presented = Presented { token: &found.token, by_proof: self.by_proof(found) };
        dpop.check(claims, presented, issuer.validity.skew, now, (view, ports, &self.replays))
    }

    /// Whether the token is in the scheme `DPoP`, and nowhere else.
    fn by_proof(&self, found: &Found<'_>) -> bool {
        let elsewhere = |shared: &SharedPlace| shared.place != Place::of_proven();
        !found.places.any(|position| self.places.get(position).is_some_and(elsewhere))
    }

    /// Whether somebody's tokens are good without a proof.
    pub(crate) fn take_bearers(&self) -> bool {
        self.issuers.iter().any(|issuer| issuer.dpop.is_none_or(|dpop| !dpop.required))
    }

    /// Whether somebody's tokens may be bound to keys.
    pub(crate) fn take_proofs(&self) -> bool {
        self.issuers.iter().any(|issuer| issuer.dpop.is_some())
    }

    /// The header that ends here with the token, if it is bound to a key: the proof is about this hop.
    pub(crate) fn proof_header(&self, identity: &Identity<'_>) -> Option<HeaderName> {
        let ends = identity.issuer.dpop.is_some() && !identity.issuer.forward;
        ends.then(|| HeaderName::literal("dpop"))
    }
}

impl Dpop {
    /// Whether who sends the token has the key that it is bound to. What proves it is good once.
    ///
    /// # Errors
    /// When that is not proven, or was proven before, or when it cannot be told.
    #[inline(never)]
    fn check(
        self,
        claims: &Claims,
        presented: Presented<'_>,
        skew: i64,
        now: Duration,
        (view, ports, replays): (View<'_>, &Ports<'_>, &Replays),
    ) -> Result<(), Reason> {
        let key = match (claims.key_thumbprint(), presented.by_proof) {
            (None, false) if !self.required => return Ok(()),
            (None, _) => return Err(Reason::TokenBinding),
            // A bound token must not be let down to a bearer's (§7.2).
            (Some(_), false) => return Err(Reason::DpopMissing),
            (Some(key), true) => key,
        };
        let headers = view.request();
        let text = match headers.only("dpop") {
            Copies::One(text) => text,
            Copies::None => return Err(Reason::DpopMissing),
            Copies::Many => return Err(Reason::DpopInvalid),
        };
        let invalid = |_| Reason::DpopInvalid;
        let (compact, header) = Compact::parse_proof(text).map_err(invalid)?;
        let Some(Value::Object(members)) = header.get("jwk") else {
            return Err(Reason::DpopInvalid);
        };
        let own = thumbprint(members).filter(|own| own == key);
        let own = own.and_then(|_| jwks::public(members)).ok_or(Reason::DpopInvalid)?;
        if !own.signed(&compact, ports.signatures) {
            return Err(Reason::DpopInvalid);
        }
        let proof = compact.payload().and_then(Claims::new).map_err(invalid)?;
        let says = |name: &str| proof.text(name).filter(|text| !text.is_empty());
        let id = says("jti").ok_or(Reason::DpopInvalid)?;
        let method = headers.only(":method");
        let for_this = says("htm").is_some_and(|own| method == Copies::One(own.as_bytes()))
            && says("htu").is_some_and(|own| target::is(own, headers))
            && says("ath") == Some(&hash(presented.token));
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let made = proof.issued_at().ok_or(Reason::DpopInvalid)?;
        let too_old = now > made.saturating_add(self.max_age);
        if !for_this || too_old || made > now.saturating_add(skew) {
            return Err(Reason::DpopInvalid);
        }
        // Last, so that nobody but who has a good token fills the memory.
        replays.admit([key, id], made, now, ports)
    }
}

/// SHA-256 of a text, in base64url.
fn hash(text: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// The thumbprint of a key (RFC 7638 §3): the hash of its required members, in order of their names.
fn thumbprint(key: &Map<String, Value>) -> Option<String> {
    let required: &[&str] = match key.get("kty")?.as_str()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let mut members = String::new();
    for name in required {
        let value = key.get(*name)?.as_str()?;
        let comma = if members.is_empty() { "" } else { "," };
        members += &format!("{comma}{}:{}", json!(name), json!(value));
    }
    Some(hash(format!("{{{members}}}").as_bytes()))
}

#[cfg(test)]
mod tests;
