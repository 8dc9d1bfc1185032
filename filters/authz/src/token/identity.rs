//! Who a request comes from, proven by a token.

use std::rc::Rc;

use filter_core::HeaderName;

use super::claims::Claims;
use super::issuer::Issuer;
use super::{Found, Proof};

/// Who a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Identity<'a> {
    /// What the token says.
    pub(crate) claims: Claims,
    /// The principal.
    pub(crate) principal: Principal,
    pub(super) issuer: &'a Issuer,
    /// Where the token is, by position among all places.
    pub(super) places: Vec<usize>,
    /// The payload, encoded, if it is to be written into a header.
    payload: Option<Vec<u8>>,
}

/// Istio's `request.auth.principal`: `ISSUER/SUBJECT`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    /// The token names no subject.
    None,
    /// This one.
    Named(Rc<str>),
    /// One that another issuer, whose name goes on where this one's ends, could also have named.
    Ambiguous,
}

impl Principal {
    /// The principal that `issuer`'s token with this subject names, among all issuers.
    pub(super) fn of<'a>(
        issuer: &str,
        subject: Option<&str>,
        mut issuers: impl Iterator<Item = &'a str>,
    ) -> Self {
        let Some(subject) = subject.filter(|subject| !subject.is_empty()) else {
            return Self::None;
        };
        let principal = [issuer, "/", subject].concat();
        let another = issuers.any(|other| {
            other.len() > issuer.len()
                && principal.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
        });
        if another { Self::Ambiguous } else { Self::Named(principal.into()) }
    }
}

impl<'a> Identity<'a> {
    /// The identity that a token of this issuer's proves.
    pub(super) fn new(issuer: &'a Issuer, proof: &Proof, found: Found<'_>) -> Self {
        let payload = || found.token.split(|byte| *byte == b'.').nth(1).map(<[u8]>::to_vec);
        Self {
            claims: proof.claims.with_words(&issuer.words),
            principal: proof.principal.clone(),
            issuer,
            payload: issuer.payload_header.as_ref().and_then(|_| payload()),
            places: found.places,
        }
    }

    /// What is written into this header.
    pub(super) fn written(&self, name: &HeaderName) -> Option<Vec<u8>> {
        if self.issuer.payload_header.as_ref() == Some(name) {
            return self.payload.clone();
        }
        let (_, path) = self.issuer.claim_headers.iter().find(|(header, _)| header == name)?;
        path.header_value(&self.claims)
    }
}
