//! Values to compare with: fixed ones, and such as the request itself gives, `{path.tenant}`.

use std::borrow::Cow;

use filter_core::matching::{PathTemplate, StringPattern, Truth};
use filter_core::{Copies, HeaderName};

use super::Facts;

/// What one value of a condition compares with.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// A fixed pattern.
    Pattern(StringPattern),
    /// Exactly what the request has there, between two fixed texts.
    Given(Box<[u8]>, Reference, Box<[u8]>),
}

/// Where in a request a value is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `{path.NAME}`: the segment that a variable of the rule's path stands for, its escapes decoded.
    Path(Box<str>),
    /// `{header.NAME}`: a header that occurs once.
    Header(HeaderName),
    /// `{query.NAME}`: a parameter that occurs once, its escapes decoded.
    Query(Box<str>),
    /// `{host}`: the host's name, without port.
    Host,
    /// `{host.N}`: one label of the host's name, the first being 0.
    Label(usize),
}

/// By which template the path was found to be one that the rule is about, if by any.
pub(crate) type Matched<'a> = Option<&'a PathTemplate>;

impl Text {
    /// The value that holds a reference; `None` for one that holds none, or not whole.
    pub(crate) fn given(text: &str) -> Option<Self> {
        let (before, rest) = text.split_once('{')?;
        let (inside, after) = rest.split_once('}')?;
        if [before, after].iter().any(|part| part.contains(['{', '}', '*'])) {
            return None;
        }
        let reference = Reference::parse(inside)?;
        Some(Self::Given(before.as_bytes().into(), reference, after.as_bytes().into()))
    }

    /// Whether a value is the one meant; unknown where the request does not give one to compare with.
    pub(crate) fn matches(&self, value: &[u8], facts: &Facts<'_>, matched: Matched<'_>) -> Truth {
        match self {
            Self::Pattern(pattern) => pattern.matches(value).into(),
            Self::Given(before, reference, after) => match reference.value(facts, matched) {
                None => Truth::Unknown,
                Some(given) => {
                    let inside = value.strip_prefix(&**before);
                    let inside = inside.and_then(|rest| rest.strip_suffix(&**after));
                    (inside == Some(&*given)).into()
                }
            },
        }
    }

    /// The variable of the path that the value refers to, if any.
    pub(crate) fn variable(&self) -> Option<&str> {
        match self {
            Self::Given(_, Reference::Path(name), _) => Some(name),
            Self::Given(..) | Self::Pattern(_) => None,
        }
    }
}

impl Reference {
    fn parse(text: &str) -> Option<Self> {
        if text == "host" {
            return Some(Self::Host);
        }
        let (kind, name) = text.split_once('.').filter(|(_, name)| !name.is_empty())?;
        match kind {
            "path" => Some(Self::Path(name.into())),
            "header" => HeaderName::parse(name).map(Self::Header),
            "query" => Some(Self::Query(name.into())),
            "host" => name.parse().ok().map(Self::Label),
            _ => None,
        }
    }

    /// What the request gives; `None` for nothing, nothing to speak of, or more than one thing.
    fn value<'a>(&'a self, facts: &'a Facts<'_>, matched: Matched<'_>) -> Option<Cow<'a, [u8]>> {
        let value = match self {
            Self::Path(name) => {
                let path = facts.line.path().ok()?;
                decoded(matched?.segment(name, path)?)?
            }
            Self::Header(name) => {
                let Copies::One(value) = facts.headers().only(name.as_str()) else {
                    return None;
                };
                Cow::Borrowed(value)
            }
            Self::Query(name) => parameter(facts.line.query()?, name.as_bytes())?,
            Self::Host => facts.line.host()?,
            Self::Label(at) => match facts.line.host()? {
                Cow::Borrowed(host) => Cow::Borrowed(label(host, *at)?),
                Cow::Owned(host) => Cow::Owned(label(&host, *at)?.to_vec()),
            },
        };
        (!value.is_empty()).then_some(value)
    }
}

fn label(host: &[u8], at: usize) -> Option<&[u8]> {
    host.split(|byte| *byte == b'.').nth(at)
}

/// The one value of a query's parameter, decoded; `None` where servers could differ about it.
fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    // Some take `;` for a separator too.
    if query.contains(&b';') {
        return None;
    }
    let mut found = None;
    for pair in query.split(|byte| *byte == b'&') {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let key = decoded(sides.next()?)?;
        if *key == *name {
            if found.is_some() {
                return None;
            }
            // Some take `+` for a blank.
            let value = sides.next().filter(|value| !value.contains(&b'+'))?;
            found = Some(decoded(value)?);
        }
    }
    found
}

/// The bytes with their escapes decoded (RFC 3986 §2.1); `None` if one is broken.
fn decoded(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !raw.contains(&b'%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_told_where_all_servers_would_tell_the_same() {
        for (query, value) in [
            ("tenant=acme", Some("acme")),
            ("a=b&tenant=acme&c", Some("acme")),
            ("%74enant=a%63me", Some("acme")),
            ("tenant=acme&tenant=acme", None),
            ("tenant=acme&%74enant=other", None),
            ("tenant", None),
            ("tenant=a+b", None),
            ("tenant=acme;x=y", None),
            ("tenant=%zz", None),
            ("", None),
        ] {
            let found = parameter(query.as_bytes(), b"tenant");
            assert_eq!(found.as_deref(), value.map(str::as_bytes), "{query}");
        }
    }

    #[test]
    fn a_reference_stands_between_fixed_texts() {
        for text in ["{path.a}", "tenant-{header.x-a}", "{query.a}.x", "{host}", "{host.0}"] {
            assert!(Text::given(text).is_some(), "{text}");
        }
        for text in [
            "a",
            "{",
            "{}",
            "{path}",
            "{path.}",
            "{a.b}",
            "{host.x}",
            "{header.a b}",
            "{path.a}{host}",
            "*{host}",
        ] {
            assert!(Text::given(text).is_none(), "{text}");
        }
    }
}
