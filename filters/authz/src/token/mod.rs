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
pub(crate) use claims::{ClaimPath, Claims, Said, decimal};
use compact::Compact;
pub(crate) use dpop::Dpop;
use dpop::Replays;
use header::{Header, KnownHeaders};
pub(crate) use identity::{Identity, Principal};
pub(crate) use issuer::Issuer;
pub(crate) use jwks::{NamedKey, parse as parse_key_set};
pub(crate) use place::{Emptied, Place, Prefix};
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

/// A token in a request, and where it is.
struct Found<'a> {
    token: Cow<'a, [u8]>,
    places: Positions,
}

/// The places that one token is in, by position among all. Most are in one, which needs no list.
#[derive(Clone, Debug)]
struct Positions {
    first: usize,
    others: Vec<usize>,
}

impl Positions {
    /// Whether one of them is so.
    fn any(&self, is: impl Fn(usize) -> bool) -> bool {
        is(self.first) || self.others.iter().any(|other| is(*other))
    }
}

/// What a signature proves of a token, whoever sends it and whenever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proof {
    claims: Claims,
    principal: Principal,
    /// The issuers of this name who sign with the key.
    signers: Vec<Signer>,
}

/// An issuer whose token one may be.
#[derive(Clone, Debug, PartialEq)]
struct Signer {
    /// The issuer, by position.
    position: usize,
    /// What becomes of the headers that may carry a claim, if the token is the issuer's.
    edits: Vec<Edit>,
}

impl Proof {
    /// About how many bytes it takes.
    fn weight(&self) -> usize {
        let value = |edit: &Edit| match edit {
            Edit::Set(_, value) | Edit::Append(_, value) => value.len(),
            Edit::Remove(_) => 0,
        };
        let edits = self.signers.iter().flat_map(|signer| &signer.edits);
        edits
            .map(|edit| value(edit).saturating_add(size_of::<Edit>()))
            .sum::<usize>()
            .saturating_add(self.claims.weight())
    }
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

    /// The number of [`Self::ring`], without taking hold of it; an empty one has 0.
    fn generation(&self) -> u64 {
        self.ring.try_borrow().map_or(0, |ring| ring.generation)
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
        let generation = self.generation();
        let remembered = self.remembered(|cache| cache.find(&found.token, generation)).flatten();
        let Some(proof) = remembered else {
            return self.identify_new(found, view, ports).map(Some);
        };
        let admitted = self.admit(&proof, &found, ports.clock.wall(), view, ports);
        match admitted {
            Ok((issuer, signer)) => Ok(Some(Identity::new(issuer, signer, proof, found.places))),
            Err(reason) => {
                if reason == Reason::TokenExpired {
                    self.remembered(|cache| cache.forget(&found.token));
                }
                Err(reason)
            }
        }
    }

    /// Who sends a token that is not remembered. It is, from then on, if it was good.
    ///
    /// # Errors
    /// When the token does not prove it.
    #[inline(never)]
    fn identify_new(
        &self,
        found: Found<'_>,
        view: View<'_>,
        ports: &Ports<'_>,
    ) -> Result<Identity<'_>, Reason> {
        let ring = self.ring();
        let token = Compact::parse(&found.token, &self.headers)?;
        let proof = Rc::new(self.prove(&ring, &token, ports)?);
        let now = ports.clock.wall();
        let (issuer, signer) = self.admit(&proof, &found, now, view, ports)?;
        self.remembered(|cache| {
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            cache.keep(&found.token, ring.generation, now, &proof);
        });
        Ok(Identity::new(issuer, signer, proof, found.places))
    }

    /// The one token of the request, and every place where it is.
    fn find<'a>(&'a self, headers: Headers<'a>) -> Result<Option<Found<'a>>, Reason> {
        let mut token = None;
        let mut places = Positions { first: 0, others: Vec::new() };
        for (position, shared) in self.places.iter().enumerate() {
            let Some(here) = shared.place.token(headers)? else {
                continue;
            };
            match &token {
                None => {
                    token = Some(here);
                    places.first = position;
                }
                Some(token) if *token == here => places.others.push(position),
                Some(_) => return Err(Reason::TokenRepeated),
            }
        }
        Ok(token.map(|token| Found { token, places }))
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
        let signer = |position: usize| {
            let own = self.issuers.get(position)?;
            let is_signer = accepted(own) && own.name == name;
            is_signer.then(|| Signer {
                position,
                edits: self.written(own, &claims, token.encoded_payload()),
            })
        };
        let signers = holders.filter_map(signer).collect();
        let others = self.issuers.iter().map(|issuer| issuer.name.as_str());
        let principal = Principal::of(name, claims.subject(), others);
        Ok(Proof { claims, principal, signers })
    }

    /// Whose token it is, if it is for us, from this sender, now: the issuer, and where it is among the signers.
    fn admit(
        &self,
        proof: &Proof,
        found: &Found<'_>,
        now: Duration,
        view: View<'_>,
        ports: &Ports<'_>,
    ) -> Result<(&Issuer, usize), Reason> {
        let signers = || {
            let signers = proof.signers.iter().enumerate();
            signers
                .filter_map(|(at, signer)| Some((at, signer, self.issuers.get(signer.position)?)))
        };
        if signers().any(|(_, _, issuer)| issuer.revocations.take_back(&proof.claims)) {
            return Err(Reason::TokenRevoked);
        }
        let mut refusal = Reason::TokenIssuer;
        for (at, signer, issuer) in signers() {
            // A place for one issuer's tokens is none for another's.
            if !self.found_by(signer.position, found) {
                continue;
            }
            let bound = |()| self.is_with_its_key(issuer, &proof.claims, found, now, view, ports);
            match issuer.admits(&proof.claims, now, view).and_then(bound) {
                Ok(()) => return Ok((issuer, at)),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }

    /// Whether the token is where this issuer's are looked for.
    fn found_by(&self, issuer: usize, found: &Found<'_>) -> bool {
        let reads = |shared: &SharedPlace| shared.readers.contains(&issuer);
        found.places.any(|position| self.places.get(position).is_some_and(reads))
    }

    /// What becomes of the headers that may carry a claim, by a token of this issuer's: each carries a proven one or none.
    fn written(&self, issuer: &Issuer, claims: &Claims, payload: &[u8]) -> Vec<Edit> {
        let edit = |name: &HeaderName| match issuer.written_into(name, claims, payload) {
            Some(value) => Edit::Set(name.clone(), value),
            None => Edit::Remove(name.clone()),
        };
        self.owned.iter().map(edit).collect()
    }

    /// What becomes of the headers that may carry a claim where none is proven.
    pub(crate) fn unwritten(&self) -> impl ExactSizeIterator<Item = Edit> {
        self.owned.iter().cloned().map(Edit::Remove)
    }

    /// Takes the token out of where it is: it ends here, unless it is to be forwarded.
    pub(crate) fn empty<'a>(&'a self, identity: &Identity<'_>, emptied: &mut Emptied<'a>) {
        if identity.issuer.forward {
            return;
        }
        let mut empty = |position: usize| {
            if let Some(shared) = self.places.get(position) {
                emptied.add(&shared.place);
            }
        };
        empty(identity.places.first);
        identity.places.others.iter().copied().for_each(empty);
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
