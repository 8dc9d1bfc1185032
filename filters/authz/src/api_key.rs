//! Who asks, by an API key: a secret of one client's, of which we know the SHA-256 only.

use std::borrow::Cow;
use std::rc::Rc;

use filter_core::{Edit, HeaderName, Headers};
use sha2::{Digest as _, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::Reason;
use crate::token::{Claims, Emptied, Place, Said};

/// The keys that are known, and where they are looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiKeys {
    /// Every key, by its hash.
    pub(crate) credentials: Vec<Credential>,
    /// Where keys are looked for.
    pub(crate) places: Vec<Place>,
    /// The header that the client's name is written into.
    pub(crate) header: Option<HeaderName>,
    /// Whether the upstream gets the key.
    pub(crate) forward: bool,
}

/// One key, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    /// The SHA-256 of the key.
    pub(crate) hash: [u8; 32],
    /// The client's name.
    pub(crate) client: Rc<str>,
    /// What else is said of the client.
    pub(crate) claims: Claims,
}

/// Who a request comes from, by an API key.
#[derive(Clone, Debug)]
pub(crate) struct Client<'a> {
    credential: &'a Credential,
    /// Every place where the key is.
    places: Vec<&'a Place>,
}

impl ApiKeys {
    /// Whether there are no keys.
    pub(crate) fn is_empty(&self) -> bool {
        self.credentials.is_empty()
    }

    /// Whose key this request holds; `None` without one.
    ///
    /// # Errors
    /// When there are several, or one that is nobody's.
    pub(crate) fn identify<'a>(
        &'a self,
        headers: Headers<'a>,
    ) -> Result<Option<Client<'a>>, Reason> {
        let mut found: Option<(Cow<'a, [u8]>, Vec<&'a Place>)> = None;
        for place in &self.places {
            let key = place.token(headers).map_err(|reason| match reason {
                Reason::TokenRepeated => Reason::ApiKeyRepeated,
                _ => Reason::ApiKeyUnknown,
            })?;
            match (&mut found, key) {
                (_, None) => {}
                (None, Some(key)) => found = Some((key, vec![place])),
                (Some((known, places)), Some(key)) if *known == key => places.push(place),
                (Some(_), Some(_)) => return Err(Reason::ApiKeyRepeated),
            }
        }
        let Some((key, places)) = found else {
            return Ok(None);
        };
        let credential = self.find(&Sha256::digest(&key)).ok_or(Reason::ApiKeyUnknown)?;
        Ok(Some(Client { credential, places }))
    }

    /// The credential with this hash. All are looked at, each as long as any other, so that time tells nothing.
    fn find(&self, hash: &[u8]) -> Option<&Credential> {
        let mut found = u32::MAX;
        for (at, credential) in (0_u32..).zip(&self.credentials) {
            found.conditional_assign(&at, credential.hash.ct_eq(hash));
        }
        self.credentials.get(usize::try_from(found).ok()?)
    }

    /// What becomes of the header that names the client: a proven name or none.
    pub(crate) fn edit(&self, client: Option<&Client<'_>>) -> Option<Edit> {
        let name = self.header.clone()?;
        Some(match client {
            Some(client) => Edit::Set(name, client.name().as_bytes().to_vec()),
            None => Edit::Remove(name),
        })
    }

    /// Takes the key out of where it is, unless it is to be forwarded.
    pub(crate) fn empty<'a>(&self, client: &Client<'a>, emptied: &mut Emptied<'a>) {
        if !self.forward {
            client.places.iter().copied().for_each(|place| emptied.add(place));
        }
    }
}

impl Client<'_> {
    /// The client's name.
    pub(crate) fn name(&self) -> &str {
        &self.credential.client
    }

    /// What else is said of the client.
    pub(crate) fn says(&self) -> Said<'_> {
        self.credential.claims.with_words(&[])
    }
}

#[cfg(test)]
mod tests;
