//! All keys of all issuers, as they are now. Fetched keys come and go, and each time there is a new ring.

use super::algorithm::Algorithm;
use super::jwks::NamedKey;
use super::key::Key;

/// How many keys are tried on one token at most. A token that names its key needs one.
pub(super) const MAX_TRIES: usize = 8;

/// Every key, once, and who signs with it: issuers do share key sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    /// Tells this ring from those before.
    pub(super) generation: u64,
    keys: Vec<SharedKey>,
}

/// A key, and all who sign with it.
#[derive(Clone, Debug)]
pub(super) struct SharedKey {
    pub(super) key: Key,
    holders: Vec<Holder>,
}

/// An issuer that signs with a key, and what it calls the key.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    /// The issuer's position.
    pub(super) issuer: usize,
    kid: Option<String>,
}

impl Holder {
    /// Whether a token's `kid` may mean this. A key without a name may be called anything.
    fn fits(&self, kid: Option<&str>) -> bool {
        self.kid.as_deref().is_none_or(|own| kid.is_none_or(|kid| kid == own))
    }
}

impl SharedKey {
    /// Those who sign with it and may call it so.
    pub(super) fn holders<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Holder> {
        self.holders.iter().filter(move |holder| holder.fits(kid))
    }
}

impl Ring {
    /// An empty one, other than those of smaller numbers.
    pub(super) fn new(generation: u64) -> Self {
        Self { generation, keys: Vec::new() }
    }

    /// Adds the keys of the issuer at this position.
    pub(super) fn add(&mut self, issuer: usize, keys: &[NamedKey]) {
        for named in keys {
            let holder = Holder { issuer, kid: named.kid.clone() };
            match self.keys.iter_mut().find(|shared| shared.key.is(&named.key)) {
                Some(shared) => shared.holders.push(holder),
                None => {
                    self.keys.push(SharedKey { key: named.key.clone(), holders: vec![holder] });
                }
            }
        }
    }

    /// How many keys there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys to try on a token.
    pub(super) fn fitting<'a>(
        &'a self,
        algorithm: Algorithm,
        kid: Option<&'a str>,
        issuer: impl Fn(usize) -> bool + 'a,
    ) -> impl Iterator<Item = &'a SharedKey> {
        self.keys
            .iter()
            .filter(move |shared| shared.key.verifies(algorithm))
            .filter(move |shared| shared.holders(kid).any(|holder| issuer(holder.issuer)))
            .take(MAX_TRIES)
    }
}
