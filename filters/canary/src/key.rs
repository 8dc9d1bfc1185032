//! What makes a user the same user: the first of the key's parts that the request has.

use std::borrow::Cow;

use filter_core::matching::part::Prefixes;
use filter_core::{Attribute, Copies, HeaderName, Headers};

use crate::request::Request;

/// One thing to know a user by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A header's value.
    Header(HeaderName),
    /// A cookie's value.
    Cookie(String),
    /// What the proxy knows: a claim, the client's certificate.
    Attribute(Attribute),
    /// The id in a cookie that we issue.
    AnonymousCookie,
    /// The client's address, as far as the prefixes go.
    ClientAddress(Prefixes),
    /// The trace that the request belongs to.
    TraceId,
}

/// What to do with a request that has none of the key's parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MissingKey {
    /// It gets the stable version.
    #[default]
    Stable,
    /// It gets a version by chance, each time anew.
    Random,
}

/// The key of a request. What is repeated or empty is no key: of several values none is the user's, and which of them
/// comes first is not ours to say.
pub(crate) fn of<'a>(
    parts: &'a [Part],
    request: &'a Request<'_>,
) -> Option<(&'a Part, Cow<'a, [u8]>)> {
    parts.iter().find_map(|part| Some((part, part.value(request)?)))
}

/// Every key that the request has, in order, but for an id that we would only just give.
pub(crate) fn all<'a>(
    parts: &'a [Part],
    request: &'a Request<'_>,
) -> impl Iterator<Item = Cow<'a, [u8]>> {
    parts.iter().filter_map(|part| match part {
        Part::AnonymousCookie => {
            request.known_anonymous_id().map(|id| Cow::Borrowed(id.as_bytes()))
        }
        part => part.value(request),
    })
}

impl Part {
    fn value<'a>(&'a self, request: &'a Request<'_>) -> Option<Cow<'a, [u8]>> {
        let headers = request.headers();
        let value = match self {
            Self::Header(name) => only(headers.only(name.as_str())),
            Self::Cookie(name) => only(headers.cookie(name)),
            Self::Attribute(attribute) => request.facts.text(*attribute).map(Cow::Owned),
            Self::AnonymousCookie => request.anonymous_id().map(|id| Cow::Borrowed(id.as_bytes())),
            Self::ClientAddress(prefixes) => {
                let address = prefixes.masked(request.facts.address()?);
                Some(Cow::Owned(address.to_string().into_bytes()))
            }
            Self::TraceId => trace_id(headers).map(Cow::Borrowed),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The attribute that the part asks for.
    pub(crate) fn attribute(&self) -> Option<Attribute> {
        match self {
            Self::Attribute(attribute) => Some(*attribute),
            Self::ClientAddress(_) => Some(Attribute::SourceAddress),
            Self::Header(_) | Self::Cookie(_) | Self::AnonymousCookie | Self::TraceId => None,
        }
    }
}

fn only(copies: Copies<'_>) -> Option<Cow<'_, [u8]>> {
    match copies {
        Copies::One(value) => Some(Cow::Borrowed(value)),
        Copies::None | Copies::Many => None,
    }
}

/// The trace's id in `traceparent` (W3C Trace Context §3.2.2), as it is written there; of a version to come too.
fn trace_id(headers: Headers<'_>) -> Option<&[u8]> {
    let Copies::One(value) = headers.only("traceparent") else { return None };
    let mut fields = value.split(|byte| *byte == b'-');
    let (version, trace, parent, _flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let hex = |field: &[u8], length: usize| {
        field.len() == length && field.iter().all(|byte| b"0123456789abcdef".contains(byte))
    };
    let some = |field: &[u8]| field.iter().any(|byte| *byte != b'0');
    let valid = hex(version, 2)
        && version != b"ff"
        && hex(trace, 32)
        && some(trace)
        && hex(parent, 16)
        && some(parent);
    valid.then_some(trace)
}

#[cfg(test)]
mod tests {
    use filter_core::HeaderMap;

    use super::*;

    #[test]
    fn a_trace_is_known_by_its_id() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (value, expected) in [
            (format!("00-{id}-00f067aa0ba902b7-01"), true),
            (format!("cc-{id}-00f067aa0ba902b7-01-what"), true),
            (format!("ff-{id}-00f067aa0ba902b7-01"), false),
            (format!("00-{id}-0000000000000000-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()), false),
            (format!("00-{id}"), false),
            (id.to_owned(), false),
            (String::new(), false),
        ] {
            let map = HeaderMap::from_pairs([("traceparent", &value)]);
            let found = trace_id(Headers::new(&map, &[]));
            assert_eq!(found, expected.then_some(id.as_bytes()), "{value}");
        }
    }
}
