//! Where a request may carry a token: a header, a query parameter, a cookie.
//!
//! A place is filled once or not at all. Who finds two values in one cannot know which of them the upstream reads.

use std::borrow::Cow;

use filter_core::query::{self, Repeated};
use filter_core::{Copies, Edit, HeaderName, Headers, cookies};

use super::by_words;
use crate::Reason;

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A header, the token behind a prefix.
    Header(HeaderName, Prefix),
    /// A query parameter.
    Param(String),
    /// A cookie.
    Cookie(String),
}

/// What stands before the token in a header, in any case of its letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// Nothing: the value is the token.
    Nothing,
    /// An authentication scheme (RFC 9110 §11.1), and blanks.
    Scheme(String),
    /// Some other text.
    Text(String),
}

impl Prefix {
    /// The prefix that Istio's `fromHeaders` writes: `Bearer ` is a scheme, as is any word with a blank after it.
    pub(crate) fn parse(text: &str) -> Self {
        match text.strip_suffix(' ') {
            Some(word) if !word.is_empty() && word.bytes().all(is_word) => {
                Self::Scheme(word.to_owned())
            }
            _ if text.is_empty() => Self::Nothing,
            _ => Self::Text(text.to_owned()),
        }
    }

    /// What follows the prefix, if the credential begins with it.
    fn after<'a>(&self, credential: &'a [u8]) -> Option<&'a [u8]> {
        let (prefix, whole_word) = match self {
            Self::Nothing => return Some(credential).filter(|value| !value.is_empty()),
            Self::Scheme(scheme) => (scheme, true),
            Self::Text(text) => (text, false),
        };
        let (begin, rest) = credential.split_at_checked(prefix.len())?;
        let ends = match rest {
            [] | [b' ', ..] => true,
            [byte, ..] => !(whole_word && is_word(*byte)),
        };
        // Most write it as the configuration does.
        let begins = begin == prefix.as_bytes() || begin.eq_ignore_ascii_case(prefix.as_bytes());
        (ends && begins).then_some(rest)
    }

    /// The token in `rest`, what follows the prefix.
    fn token<'a>(&self, rest: &'a [u8]) -> Result<&'a [u8], Reason> {
        // Most have one blank between.
        if let [b' ', token @ ..] = rest
            && token.first().is_some_and(|byte| !byte.is_ascii_whitespace())
        {
            return Ok(token);
        }
        let token = rest.trim_ascii_start();
        let between = rest.get(..rest.len().saturating_sub(token.len())).unwrap_or_default();
        let apart = match self {
            Self::Scheme(_) => !between.is_empty() && between.iter().all(|byte| *byte == b' '),
            Self::Nothing | Self::Text(_) => true,
        };
        if apart && !token.is_empty() { Ok(token) } else { Err(Reason::TokenMalformed) }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Place {
    /// Where Istio looks unless told otherwise: `Authorization: Bearer TOKEN` (RFC 6750 §2.1), and the query parameter
    /// `access_token` (§2.3).
    pub(crate) fn usual() -> Vec<Self> {
        let scheme = Prefix::Scheme("Bearer".to_owned());
        let header = Self::Header(HeaderName::literal("authorization"), scheme);
        vec![header, Self::Param("access_token".to_owned())]
    }

    /// The token in this place.
    ///
    /// # Errors
    /// When the place is filled more than once, or with something else than a prefix and a token.
    pub(crate) fn token<'a>(
        &'a self,
        headers: Headers<'a>,
    ) -> Result<Option<Cow<'a, [u8]>>, Reason> {
        match self {
            Self::Header(name, prefix) => Ok(header(headers, name, prefix)?.map(Cow::Borrowed)),
            Self::Param(name) => {
                let path = headers.path();
                // Most paths have no query.
                if path.iter().all(|byte| *byte != b'?') { Ok(None) } else { param(path, name) }
            }
            Self::Cookie(name) => Ok(cookie(headers, name)?.map(Cow::Borrowed)),
        }
    }
}

/// The token in a query parameter.
#[inline(never)]
fn param<'a>(path: &'a [u8], name: &str) -> Result<Option<Cow<'a, [u8]>>, Reason> {
    query::param(path, name).map_err(|Repeated| Reason::TokenRepeated)
}

/// The token in a cookie.
#[inline(never)]
fn cookie<'a>(headers: Headers<'a>, name: &str) -> Result<Option<&'a [u8]>, Reason> {
    match headers.cookie(name) {
        Copies::None => Ok(None),
        Copies::One(value) => Ok(Some(unquoted(value)).filter(|value| !value.is_empty())),
        Copies::Many => Err(Reason::TokenRepeated),
    }
}

/// The token in a header.
fn header<'a>(
    headers: Headers<'a>,
    name: &'a HeaderName,
    prefix: &Prefix,
) -> Result<Option<&'a [u8]>, Reason> {
    let value = match headers.only(name.as_str()) {
        Copies::None => return Ok(None),
        Copies::One(value) => value.trim_ascii(),
        Copies::Many => return Err(Reason::TokenRepeated),
    };
    // Most values are one token, and long.
    if !by_words::has(value, b',') {
        return prefix.after(value).map(|rest| prefix.token(rest)).transpose();
    }
    one_of_list(value, prefix)
}

/// The token in a list: Envoy joins repeated lines of some headers by a comma, and none may hide behind another.
#[inline(never)]
fn one_of_list<'a>(value: &'a [u8], prefix: &Prefix) -> Result<Option<&'a [u8]>, Reason> {
    let mut others = value.split(|byte| *byte == b',').skip(1).map(<[u8]>::trim_ascii);
    match prefix.after(value) {
        None if others.any(|other| prefix.after(other).is_some()) => Err(Reason::TokenRepeated),
        None => Ok(None),
        Some(_) if others.next().is_some() => Err(Reason::TokenRepeated),
        Some(rest) => prefix.token(rest).map(Some),
    }
}

/// A cookie's value without the quotes that it may have (RFC 6265 §4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// Places that are emptied, with everything around them left as it is.
#[derive(Debug)]
pub(crate) struct Emptied<'a> {
    /// What becomes of the headers.
    edits: Vec<Edit>,
    /// Parameters and cookies, which share a header with others.
    parts: Vec<&'a Place>,
}

impl<'a> Emptied<'a> {
    /// No place yet, after these edits.
    pub(crate) fn after(edits: Vec<Edit>) -> Self {
        Self { edits, parts: Vec::new() }
    }

    /// One place more.
    pub(crate) fn add(&mut self, place: &'a Place) {
        match place {
            Place::Header(name, _) => self.edits.push(Edit::Remove(name.clone())),
            Place::Param(_) | Place::Cookie(_) => self.parts.push(place),
        }
    }

    /// The edits that empty them in a request with these headers.
    pub(crate) fn edits(mut self, headers: Headers<'_>) -> Vec<Edit> {
        if !self.parts.is_empty() {
            empty_parts(&self.parts, headers, &mut self.edits);
        }
        self.edits
    }
}

#[inline(never)]
fn empty_parts(parts: &[&Place], headers: Headers<'_>, edits: &mut Vec<Edit>) {
    let mut params = Vec::new();
    let mut taken = Vec::new();
    for place in parts {
        match place {
            Place::Header(..) => {}
            Place::Param(name) => params.push(name.as_str()),
            Place::Cookie(name) => taken.push(name.as_bytes()),
        }
    }
    if !params.is_empty() {
        let path = query::without(headers.path(), &params);
        edits.push(Edit::Set(HeaderName::literal(":path"), path));
    }
    edits.extend(cookies::without(headers, |name| taken.contains(&name)));
}

#[cfg(test)]
mod tests;
