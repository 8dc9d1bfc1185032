//! From an `Authorization` header to an identity: which issuers are believed, and about what.
//!
//! Nothing in a token is interpreted before its signature is known to be good but the header, which says only which
//! keys to try.

mod claims;
mod compact;
mod credential;
mod json;
mod jwks;
mod key;

use filter_core::{Edit, HeaderName, Headers, Ports};

pub(crate) use claims::{ClaimPath, Claims, decimal};
use compact::Compact;
pub(crate) use jwks::InvalidKeySet;
use key::Key;

use crate::Reason;

/// How many keys are tried on one token at most. A token that names its key needs one.
const MAX_TRIES: usize = 8;

/// An issuer of tokens, and what is done with them.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// `iss` of its tokens.
    pub(crate) name: String,
    /// The audiences, one of which a token must have; empty if any will do.
    pub(crate) audiences: Vec<String>,
    /// The headers to write claims into.
    pub(crate) claim_headers: Vec<(HeaderName, ClaimPath)>,
    /// Whether the upstream gets the token.
    pub(crate) forward: bool,
}

/// All issuers that are believed, and their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Issuers {
    issuers: Vec<Issuer>,
    keys: Vec<SharedKey>,
    /// Every header that some issuer's claims are written into.
    owned: Vec<HeaderName>,
}

/// A key, once, and all who sign with it: issuers do share key sets.
#[derive(Clone, Debug)]
struct SharedKey {
    key: Key,
    holders: Vec<Holder>,
}

/// An issuer that signs with a key, and what it calls the key.
#[derive(Clone, Debug)]
struct Holder {
    issuer: usize,
    kid: Option<String>,
}

impl Holder {
    /// Whether a token's `kid` may mean this. A key without a name may be called anything.
    fn fits(&self, kid: Option<&str>) -> bool {
        self.kid.as_deref().is_none_or(|own| kid.is_none_or(|kid| kid == own))
    }
}

/// Who a request comes from, proven by a token.
#[derive(Clone, Debug)]
pub(crate) struct Identity<'a> {
    /// What the token says.
    pub(crate) claims: Claims,
    /// The principal.
    pub(crate) principal: Principal,
    issuer: &'a Issuer,
}

/// Istio's `request.auth.principal`: `ISSUER/SUBJECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    /// The token names no subject.
    None,
    /// This one.
    Named(String),
    /// One that another issuer, whose name goes on where this one's ends, could also have named.
    Ambiguous,
}

impl Issuers {
    /// Adds an issuer with its key set.
    ///
    /// # Errors
    /// When the key set is refused.
    pub(crate) fn add(&mut self, issuer: Issuer, jwks: &str) -> Result<(), InvalidKeySet> {
        let position = self.issuers.len();
        for named in jwks::parse(jwks)? {
            let holder = Holder { issuer: position, kid: named.kid };
            match self.keys.iter_mut().find(|shared| shared.key.is(&named.key)) {
                Some(shared) => shared.holders.push(holder),
                None => self.keys.push(SharedKey { key: named.key, holders: vec![holder] }),
            }
        }
        for (header, _) in &issuer.claim_headers {
            if !self.owned.contains(header) {
                self.owned.push(header.clone());
            }
        }
        self.issuers.push(issuer);
        Ok(())
    }

    /// Whether nobody is believed, so that there are no tokens.
    pub(crate) fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Who sent this request; `None` without a token.
    ///
    /// # Errors
    /// When there is a token that does not prove it.
    pub(crate) fn identify(
        &self,
        headers: Headers<'_>,
        ports: &Ports<'_>,
    ) -> Result<Option<Identity<'_>>, Reason> {
        if self.is_empty() {
            return Ok(None);
        }
        match credential::bearer(headers)? {
            None => Ok(None),
            Some(token) => self.prove(&Compact::parse(token)?, ports).map(Some),
        }
    }

    fn prove(&self, token: &Compact<'_>, ports: &Ports<'_>) -> Result<Identity<'_>, Reason> {
        let kid = token.kid.as_deref();
        let mut fitting = self
            .keys
            .iter()
            .filter(|shared| shared.key.algorithm() == token.algorithm)
            .filter(|shared| shared.holders.iter().any(|holder| holder.fits(kid)))
            .take(MAX_TRIES)
            .peekable();
        fitting.peek().ok_or(Reason::TokenKeyUnknown)?;
        let shared = fitting
            .find(|shared| shared.key.signed(token, ports.signatures))
            .ok_or(Reason::SignatureInvalid)?;

        let claims = Claims::new(token.payload()?)?;
        let name = claims.issuer().ok_or(Reason::TokenIssuer)?;
        let mut issuers = shared
            .holders
            .iter()
            .filter(|holder| holder.fits(kid))
            .filter_map(|holder| self.issuers.get(holder.issuer))
            .filter(|issuer| issuer.name == name)
            .peekable();
        issuers.peek().ok_or(Reason::TokenIssuer)?;
        claims.check_time(ports.clock.wall())?;
        let issuer = issuers.find(|issuer| issuer.serves(&claims)).ok_or(Reason::TokenAudience)?;
        let principal = self.principal(issuer, claims.subject());
        Ok(Identity { claims, principal, issuer })
    }

    fn principal(&self, issuer: &Issuer, subject: Option<&str>) -> Principal {
        let Some(subject) = subject.filter(|subject| !subject.is_empty()) else {
            return Principal::None;
        };
        let principal = format!("{}/{subject}", issuer.name);
        let another = self.issuers.iter().any(|other| {
            other.name.len() > issuer.name.len()
                && principal.strip_prefix(&other.name).is_some_and(|rest| rest.starts_with('/'))
        });
        if another { Principal::Ambiguous } else { Principal::Named(principal) }
    }

    /// What becomes of the request's headers: each header that may carry a claim carries a proven one or none, and the
    /// token ends here unless it is to be forwarded.
    pub(crate) fn edits(&self, identity: Option<&Identity<'_>>) -> Vec<Edit> {
        let claim = |name: &HeaderName| {
            let identity = identity?;
            let (_, path) =
                identity.issuer.claim_headers.iter().find(|(header, _)| header == name)?;
            path.header_value(&identity.claims)
        };
        let mut edits: Vec<Edit> = self
            .owned
            .iter()
            .map(|name| match claim(name) {
                Some(value) => Edit::Set(name.clone(), value),
                None => Edit::Remove(name.clone()),
            })
            .collect();
        if identity.is_some_and(|identity| !identity.issuer.forward) {
            edits.push(Edit::Remove(HeaderName::literal("authorization")));
        }
        edits
    }
}

impl Issuer {
    /// Whether a token with these claims is meant for us.
    fn serves(&self, claims: &Claims) -> bool {
        self.audiences.is_empty()
            || claims.audiences().any(|audience| self.audiences.iter().any(|ours| ours == audience))
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
