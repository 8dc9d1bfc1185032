//! One issuer of tokens: which of them are for us, and what is done with them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::{Attribute, HeaderName, View};

use super::algorithm::Algorithm;
use super::claims::{ClaimPath, Claims};
use super::dpop::Dpop;
use super::place::Place;
use super::revocation::Revocations;
use super::validity::Validity;
use crate::Reason;

/// An issuer of tokens, by one of the configuration's `jwtRules`.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// `iss` of its tokens.
    pub(crate) name: String,
    /// The audiences, one of which a token must have; empty if any will do.
    pub(crate) audiences: Vec<String>,
    /// How its tokens may be signed.
    pub(crate) algorithms: Vec<Algorithm>,
    /// Where its tokens are looked for.
    pub(crate) places: Vec<Place>,
    /// When its tokens are valid.
    pub(crate) validity: Validity,
    /// Which of its tokens were taken back.
    pub(crate) revocations: Revocations,
    /// Whether a token must name the certificate that its sender shows (RFC 8705 §3).
    pub(crate) bound: bool,
    /// How its tokens may be bound to keys of clients (RFC 9449); `None` if that is not looked at.
    pub(crate) dpop: Option<Dpop>,
    /// The claims that are lists of words, besides `scope` and `permission`.
    pub(crate) words: Vec<String>,
    /// The headers to write claims into.
    pub(crate) claim_headers: Vec<(HeaderName, ClaimPath)>,
    /// The header to write the payload into.
    pub(crate) payload_header: Option<HeaderName>,
    /// Whether the upstream gets the token.
    pub(crate) forward: bool,
}

impl Issuer {
    /// Whether a token with these claims is for us, now, from whoever sends it.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn admits(
        &self,
        claims: &Claims,
        now: std::time::Duration,
        view: View<'_>,
    ) -> Result<(), Reason> {
        self.validity.check(claims, now)?;
        if !self.audiences.is_empty() && !self.is_meant(claims) {
            return Err(Reason::TokenAudience);
        }
        if self.bound && !is_bound_to_sender(claims, view) {
            return Err(Reason::TokenBinding);
        }
        Ok(())
    }

    /// Whether a token with these claims is meant for one of the audiences.
    #[inline(never)]
    fn is_meant(&self, claims: &Claims) -> bool {
        claims.audiences().any(|audience| self.audiences.iter().any(|ours| ours == audience))
    }

    /// Every header that is written for this issuer.
    pub(crate) fn written(&self) -> impl Iterator<Item = &HeaderName> {
        self.claim_headers.iter().map(|(header, _)| header).chain(&self.payload_header)
    }

    /// What is written into this header for a token with these claims, and this payload, encoded; `None` for nothing.
    pub(super) fn written_into(
        &self,
        name: &HeaderName,
        claims: &Claims,
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        if self.payload_header.as_ref() == Some(name) {
            return Some(payload.to_vec());
        }
        let (_, path) = self.claim_headers.iter().find(|(header, _)| header == name)?;
        path.header_value(claims)
    }
}

/// Whether `cnf.x5t#S256` (RFC 8705 §3.1) is the hash of the certificate that the connection was made with.
#[inline(never)]
fn is_bound_to_sender(claims: &Claims, view: View<'_>) -> bool {
    let named = claims.certificate().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let Some(named) = named.filter(|hash| hash.len() == 32) else {
        return false;
    };
    let named: String = named.iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = view.text(Attribute::PeerCertificateDigest);
    shown.is_some_and(|shown| shown.eq_ignore_ascii_case(named.as_bytes()))
}
