//! Who a request comes from, proven by a token.

use std::rc::Rc;

use filter_core::Edit;

use super::claims::Said;
use super::issuer::Issuer;
use super::{Positions, Proof};

/// Who a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Identity<'a> {
    pub(super) issuer: &'a Issuer,
    /// What the token proves.
    pub(super) proof: Rc<Proof>,
    /// Where the issuer is among those who signed it.
    signer: usize,
    /// Where the token is.
    pub(super) places: Positions,
}

/// Istio's `request.auth.principal`: `ISSUER/SUBJECT`.
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
    pub(super) fn new(
        issuer: &'a Issuer,
        signer: usize,
        proof: Rc<Proof>,
        places: Positions,
    ) -> Self {
        Self { issuer, proof, signer, places }
    }

    /// What the token says.
    pub(crate) fn says(&self) -> Said<'_> {
        self.proof.claims.with_words(&self.issuer.words)
    }

    /// The principal.
    pub(crate) fn principal(&self) -> &Principal {
        &self.proof.principal
    }

    /// What becomes of the headers that may carry a claim; where it is not told, none may.
    pub(crate) fn edits(&self) -> Option<&[Edit]> {
        self.proof.signers.get(self.signer).map(|signer| signer.edits.as_slice())
    }
}
