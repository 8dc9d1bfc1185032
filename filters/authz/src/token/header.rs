//! What a token's header says (RFC 7515 §4), and the headers seen last: an issuer's tokens have the same few, so that
//! most need not be read.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::compact::decoded;
use super::json;
use crate::Reason;

/// How a token says that it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// `alg`.
    pub(crate) algorithm: Algorithm,
    /// `kid`: the key that it is signed with.
    pub(crate) kid: Option<String>,
}

impl Header {
    /// The header of a JWT: `typ` is absent, `JWT` or, by RFC 9068 §2.1, `at+jwt`.
    ///
    /// # Errors
    /// As [`Header::of_proof`].
    pub(super) fn of_jwt(text: &[u8]) -> Result<Self, Reason> {
        Self::of_type(text, |kind| matches!(kind, None | Some("jwt" | "at+jwt")))
            .map(|(own, _)| own)
    }

    /// The header of a DPoP proof (RFC 9449 §4.2), and all its members, among which its key is.
    ///
    /// # Errors
    /// When it is not the encoding of one JSON object, when it is of another type, or demands an extension (`crit`; this
    /// filter has none), or when the algorithm is not one of ours.
    pub(super) fn of_proof(text: &[u8]) -> Result<(Self, Map<String, Value>), Reason> {
        Self::of_type(text, |kind| kind == Some("dpop+jwt"))
    }

    /// A header whose `typ`, in lower case and without `application/` (RFC 7515 §4.1.9), will do (RFC 8725 §3.11).
    fn of_type(
        text: &[u8],
        will_do: fn(Option<&str>) -> bool,
    ) -> Result<(Self, Map<String, Value>), Reason> {
        let members = json::object(&decoded(text)?).map_err(|_| Reason::TokenMalformed)?;
        // RFC 7797 §7: no JWT has `b64`, which changes what is signed.
        let kind = member(&members, "typ")?.map(str::to_ascii_lowercase);
        let kind = kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
        if ["crit", "b64"].iter().any(|name| members.contains_key(*name)) || !will_do(kind) {
            return Err(Reason::TokenMalformed);
        }
        let kid = member(&members, "kid")?.map(str::to_owned);
        let algorithm = member(&members, "alg")?.ok_or(Reason::TokenMalformed)?;
        let algorithm = Algorithm::named(algorithm).ok_or(Reason::TokenAlgorithm)?;
        Ok((Self { algorithm, kid }, members))
    }
}

fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Reason> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Reason::TokenMalformed),
    }
}

/// What the headers of good tokens said, by their text. It decides nothing: a text always says the same.
#[derive(Debug, Default)]
pub(crate) struct KnownHeaders(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    headers: Vec<(Box<[u8]>, Rc<Header>)>,
    /// The one to be replaced next, when there are enough.
    oldest: usize,
}

impl KnownHeaders {
    /// How many are known at most.
    const MANY: usize = 8;
    /// How long the text of one may be.
    const LONG: usize = 512;

    /// What this text says, be it known or not.
    ///
    /// # Errors
    /// As [`Header::of_jwt`].
    pub(super) fn read(&self, text: &[u8]) -> Result<Rc<Header>, Reason> {
        let known = self.0.try_borrow().ok().and_then(|known| {
            let found = known.headers.iter().find(|(own, _)| **own == *text);
            found.map(|(_, header)| Rc::clone(header))
        });
        known.map_or_else(|| Header::of_jwt(text).map(Rc::new), Ok)
    }

    /// Gets to know the header of a good token, so that nobody without one puts anything here.
    pub(super) fn keep(&self, text: &[u8], header: &Rc<Header>) {
        let Ok(mut known) = self.0.try_borrow_mut() else { return };
        if text.len() > Self::LONG || known.headers.iter().any(|(own, _)| **own == *text) {
            return;
        }
        let new = (text.into(), Rc::clone(header));
        if known.headers.len() < Self::MANY {
            known.headers.push(new);
            return;
        }
        let oldest = known.oldest;
        if let Some(place) = known.headers.get_mut(oldest) {
            *place = new;
        }
        known.oldest = oldest.wrapping_add(1) % Self::MANY;
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn text(kid: usize) -> Vec<u8> {
        URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#)).into_bytes()
    }

    #[test]
    fn a_known_header_says_what_it_said() {
        let known = KnownHeaders::default();
        let first = known.read(&text(1)).unwrap();
        known.keep(&text(1), &first);
        assert!(Rc::ptr_eq(&known.read(&text(1)).unwrap(), &first));
        assert_eq!(known.read(&text(2)).unwrap().kid.as_deref(), Some("2"));
    }

    #[test]
    fn only_the_last_few_are_known() {
        let known = KnownHeaders::default();
        for kid in 0..100 {
            let header = known.read(&text(kid)).unwrap();
            known.keep(&text(kid), &header);
            known.keep(&text(kid), &header);
        }
        let kids: Vec<Option<String>> =
            known.0.borrow().headers.iter().map(|(_, header)| header.kid.clone()).collect();
        assert_eq!(kids.len(), KnownHeaders::MANY);
        assert!((92..100).all(|kid| kids.contains(&Some(kid.to_string()))), "{kids:?}");
        let long =
            URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(999)));
        let header = known.read(long.as_bytes()).unwrap();
        known.keep(long.as_bytes(), &header);
        assert!(!Rc::ptr_eq(&known.read(long.as_bytes()).unwrap(), &header));
    }
}
