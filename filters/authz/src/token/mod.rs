//! From a request's token to an identity: which issuers are believed, and about what.
//!
//! Nothing in a token is interpreted before its signature is known to be good but the header, which says only which
//! keys to try.

mod algorithm;
mod by_words;
mod cache;
mod claims;
mod compact;
mod dpop;
mod header;
mod identity;
mod issuer;
mod json;
mod jwks;
mod key;
mod place;
mod revocation;
mod ring;
mod source;
mod validity;
mod wait;

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use filter_core::{Edit, HeaderName, Headers, Ports, View};

pub(crate) use algorithm::Algorithm;
use cache::Cache;
pub(crate) use cache::Limits;
pub(crate) use claims::{ClaimPath, Claims, decimal};
use compact::Compact;
pub(crate) use dpop::Dpop;
use dpop::Replays;
use header::{Header, KnownHeaders};
pub(crate) use identity::{Identity, Principal};
pub(crate) use issuer::Issuer;
pub(crate) use jwks::{NamedKey, parse as parse_key_set};
pub(crate) use place::{Place, Prefix, emptied};
pub(crate) use revocation::{Revocation, Revocations};
use ring::Ring;
pub(crate) use source::{RemoteSet, Source};
pub(crate) use validity::Validity;
pub(crate) use wait::Wait;

use crate::Reason;
use crate::fetch::Remote;

/// All issuers that are believed, and their keys.
#[derive(Debug, Default)]
pub(crate) struct Issuers {
    issuers: Vec<Issuer>,
    /// Where each issuer's keys come from.
    sources: Vec<Source>,
    remotes: Vec<RemoteSet>,
    /// All keys. Another ring takes its place when fetched keys change.
    ring: RefCell<Rc<Ring>>,
    /// Every header that is written for some issuer.
    pub(crate) owned: Vec<HeaderName>,
    /// Every place where some issuer's tokens are looked for.
    places: Vec<SharedPlace>,
    /// Tokens that were good. It saves time and changes no answer, so it is no state that anybody could see.
    cache: RefCell<Cache>,
    headers: KnownHeaders,
    /// Proofs that were seen.
    replays: Replays,
}

/// A place, once, and the issuers whose tokens are looked for in it, by position.
#[derive(Clone, Debug)]
struct SharedPlace {
    place: Place,
    readers: Vec<usize>,
}

/// A token in a request, and where it is, by position among the places.
struct Found<'a> {
    token: Cow<'a, [u8]>,
    places: Vec<usize>,
}

/// What a signature proves of a token, whoever sends it and whenever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proof {
    claims: Claims,
    principal: Principal,
    /// The issuers of this name who sign with the key, by position.
    signers: Vec<usize>,
}

impl Issuers {
    /// Nobody yet, and room for this many good tokens.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { cache: RefCell::new(Cache::new(limits)), ..Self::default() }
    }

    /// Adds an issuer, and says where its keys come from.
    pub(crate) fn add(&mut self, issuer: Issuer, source: Source) {
        let position = self.issuers.len();
        let max_age = issuer.dpop.map_or(0, |dpop| dpop.max_age);
        self.replays.longest = self.replays.longest.max(max_age);
        self.sources.push(source);
        for header in issuer.written() {
            if !self.owned.contains(header) {
                self.owned.push(header.clone());
            }
        }
        for place in &issuer.places {
            match self.places.iter_mut().find(|shared| shared.place == *place) {
                Some(shared) => shared.readers.push(position),
                None => {
                    let (place, readers) = (place.clone(), vec![position]);
                    self.places.push(SharedPlace { place, readers });
                }
            }
        }
        self.issuers.push(issuer);
        self.forge();
    }

    /// Adds a key set that is fetched, unless it is there already, and gives its position.
    pub(crate) fn add_remote(&mut self, remote: Remote) -> usize {
        let known = self.remotes.iter().position(|known| known.is(&remote));
        known.unwrap_or_else(|| {
            self.remotes.push(RemoteSet::new(remote));
            self.remotes.len().saturating_sub(1)
        })
    }

    /// Makes a ring of the keys as they are now.
    fn forge(&self) {
        let mut ring = Ring::new(self.ring().generation.wrapping_add(1));
        for (position, source) in self.sources.iter().enumerate() {
            match source {
                Source::Inline(keys) => ring.add(position, keys),
                Source::Remote(remote) => {
                    if let Some(set) = self.remotes.get(*remote) {
                        set.with_keys(|keys| ring.add(position, keys));
                    }
                }
            }
        }
        if let Ok(mut current) = self.ring.try_borrow_mut() {
            *current = Rc::new(ring);
        }
    }

    /// The keys as they are now.
    pub(crate) fn ring(&self) -> Rc<Ring> {
        // It is never lent out for longer than this takes.
        self.ring.try_borrow().map(|ring| Rc::clone(&ring)).unwrap_or_default()
    }

    /// Whether somebody's tokens are bound to certificates.
    pub(crate) fn ask_for_certificates(&self) -> bool {
        self.issuers.iter().any(|issuer| issuer.bound)
    }

    /// Who sent this request; `None` without a token.
    ///
    /// # Errors
    /// When there is a token that does not prove it.
    pub(crate) fn identify(
        &self,
        view: View<'_>,
        ports: &Ports<'_>,
    ) -> Result<Option<Identity<'_>>, Reason> {
        let Some(found) = self.find(view.request())? else {
            return Ok(None);
        };
        let ring = self.ring();
        let generation = ring.generation;
        let remembered = self.remembered(|cache| cache.find(&found.token, generation)).flatten();
        let is_new = remembered.is_none();
        let proof = match remembered {
            Some(proof) => proof,
            None => {
                let token = Compact::parse(&found.token, &self.headers)?;
                Rc::new(self.prove(&ring, &token, ports)?)
            }
        };
        let now = ports.clock.wall();
        let admitted = self.admit(&proof, &found, now, view, ports);
        self.remembered(|cache| match admitted {
            Ok(_) if is_new => {
                let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
                cache.keep(&found.token, generation, now, &proof);
            }
            Err(Reason::TokenExpired) if !is_new => cache.forget(&found.token),
            _ => {}
        });
        admitted.map(|issuer| Some(Identity::new(issuer, &proof, found)))
    }

    /// The one token of the request, and every place where it is.
    fn find<'a>(&'a self, headers: Headers<'a>) -> Result<Option<Found<'a>>, Reason> {
        let mut found: Option<Found<'a>> = None;
        for (position, shared) in self.places.iter().enumerate() {
            let Some(token) = shared.place.token(headers)? else {
                continue;
            };
            match &mut found {
                None => found = Some(Found { token, places: vec![position] }),
                Some(found) if found.token == token => found.places.push(position),
                Some(_) => return Err(Reason::TokenRepeated),
            }
        }
        Ok(found)
    }

    /// Asks the cache. Nobody else is asking it: there is one thread, and nothing that it calls comes back here.
    fn remembered<T>(&self, ask: impl FnOnce(&mut Cache) -> T) -> Option<T> {
        self.cache.try_borrow_mut().ok().map(|mut cache| ask(&mut cache))
    }

    /// What the token's signature proves.
    fn prove(&self, ring: &Ring, token: &Compact<'_>, ports: &Ports<'_>) -> Result<Proof, Reason> {
        let Header { algorithm, kid } = &*token.header;
        let kid = kid.as_deref();
        let accepted = |issuer: &Issuer| issuer.algorithms.contains(algorithm);
        if !self.issuers.iter().any(accepted) {
            return Err(Reason::TokenAlgorithm);
        }
        let accepts = |position: usize| self.issuers.get(position).is_some_and(accepted);
        let mut fitting = ring.fitting(*algorithm, kid, accepts).peekable();
        fitting.peek().ok_or(Reason::TokenKeyUnknown)?;
        let shared = fitting
            .find(|shared| shared.key.signed(token, ports.signatures))
            .ok_or(Reason::SignatureInvalid)?;
        token.make_known(&self.headers);

        let claims = Claims::new(token.payload()?)?;
        let name = claims.issuer().ok_or(Reason::TokenIssuer)?;
        let holders = shared.holders(kid).map(|holder| holder.issuer);
        let signers = holders
            .filter(|position| accepts(*position))
            .filter(|position| self.issuers.get(*position).is_some_and(|own| own.name == name))
            .collect();
        let others = self.issuers.iter().map(|issuer| issuer.name.as_str());
        let principal = Principal::of(name, claims.subject(), others);
        Ok(Proof { claims, principal, signers })
    }

    /// Whose token it is, if it is for us, from this sender, now.
    fn admit(
        &self,
        proof: &Proof,
        found: &Found<'_>,
        now: Duration,
        view: View<'_>,
        ports: &Ports<'_>,
    ) -> Result<&Issuer, Reason> {
        let signers = proof
            .signers
            .iter()
            .filter_map(|position| Some((*position, self.issuers.get(*position)?)));
        if signers.clone().any(|(_, issuer)| issuer.revocations.take_back(&proof.claims)) {
            return Err(Reason::TokenRevoked);
        }
        let mut refusal = Reason::TokenIssuer;
        for (position, issuer) in signers {
            // A place for one issuer's tokens is none for another's.
            if !self.found_by(position, found) {
                continue;
            }
            let bound = |()| self.is_with_its_key(issuer, &proof.claims, found, now, view, ports);
            match issuer.admits(&proof.claims, now, view).and_then(bound) {
                Ok(()) => return Ok(issuer),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }

    /// Whether the token is where this issuer's are looked for.
    fn found_by(&self, issuer: usize, found: &Found<'_>) -> bool {
        let mut places = found.places.iter().filter_map(|position| self.places.get(*position));
        places.any(|shared| shared.readers.contains(&issuer))
    }

    /// What becomes of the headers that may carry a claim: each carries a proven one or none.
    pub(crate) fn edits(&self, identity: Option<&Identity<'_>>) -> Vec<Edit> {
        let written = |name: &HeaderName| identity.and_then(|identity| identity.written(name));
        let edit = |name: &HeaderName| match written(name) {
            Some(value) => Edit::Set(name.clone(), value),
            None => Edit::Remove(name.clone()),
        };
        self.owned.iter().map(edit).collect()
    }

    /// The places to take the token out of: it ends here, unless it is to be forwarded.
    pub(crate) fn emptied(&self, identity: &Identity<'_>) -> impl Iterator<Item = &Place> {
        let places = if identity.issuer.forward { &[][..] } else { &identity.places };
        let places = places.iter().filter_map(|position| self.places.get(*position));
        places.map(|shared| &shared.place)
    }

    /// Every place where tokens are looked for.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().map(|shared| &shared.place)
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
