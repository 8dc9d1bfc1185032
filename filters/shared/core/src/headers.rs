//! Headers as they came: bytes, every copy, in one buffer.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer};

use crate::Edit;

/// A header's name, lower-case (RFC 9113 §8.2.1), or a pseudo-header's with its colon.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(std::rc::Rc<str>);

impl HeaderName {
    /// A name that is known when the program is written. Lower-case it yourself.
    #[must_use]
    pub fn literal(name: &'static str) -> Self {
        debug_assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
        Self(name.into())
    }

    /// The name in lower case, if it is a token (RFC 9110 §5.6.2). Pseudo-headers are not: no configuration may name
    /// one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        (!name.is_empty() && name.bytes().all(token))
            .then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            serde::de::Error::invalid_value(
                serde::de::Unexpected::Str(&name),
                &"a header name (RFC 9110 §5.1)",
            )
        })
    }
}

/// The name of a header that a filter may take from the client and set itself: not one that frames a message or says
/// where it goes (RFC 9110 §7.6.1, RFC 9113 §8.2.2), nor one that says who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedHeader(pub HeaderName);

impl OwnedHeader {
    /// Headers that others depend on.
    const TAKEN: [&str; 14] = [
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
}

impl<'de> Deserialize<'de> for OwnedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = HeaderName::deserialize(deserializer)?;
        if Self::TAKEN.contains(&name.as_str()) {
            return Err(serde::de::Error::invalid_value(
                serde::de::Unexpected::Str(name.as_str()),
                &"a header that nothing else depends on",
            ));
        }
        Ok(Self(name))
    }
}

/// All headers of one message: the buffer they came in and where each field lies in it.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// Where one header lies in a [`HeaderMap`]'s buffer.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name's bytes.
    pub name: Range<usize>,
    /// The value's bytes.
    pub value: Range<usize>,
}

impl HeaderMap {
    /// A map over a buffer that is kept as it is. A range that lies outside of it reads as empty.
    #[must_use]
    pub fn new(bytes: Vec<u8>, fields: Vec<Field>) -> Self {
        Self { bytes, fields }
    }

    /// A map of these pairs, in this order.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut map = Self::default();
        for (name, value) in pairs {
            let start = map.bytes.len();
            map.bytes.extend_from_slice(name.as_ref());
            let middle = map.bytes.len();
            map.bytes.extend_from_slice(value.as_ref());
            map.fields.push(Field { name: start..middle, value: middle..map.bytes.len() });
        }
        map
    }

    /// Every field in order: name and value, as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        self.fields.iter().map(|field| (self.part(&field.name), self.part(&field.value)))
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Every copy of one header, in order.
    pub fn copies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        // Lengths first: every look for a header goes by all of them.
        let named = move |field: &&Field| {
            field.name.len() == name.len()
                && self.part(&field.name).eq_ignore_ascii_case(name.as_bytes())
        };
        self.fields.iter().filter(named).map(|field| self.part(&field.value))
    }
}

/// How often a header occurs, for those who must not pick one of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies<'a> {
    /// Not at all.
    None,
    /// Once, with this value.
    One(&'a [u8]),
    /// More than once.
    Many,
}

/// The headers of one message as the next filter would see them: a map, with edits over it that are decided but not
/// yet applied.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    map: &'a HeaderMap,
    edits: &'a [Edit],
}

impl<'a> Headers<'a> {
    /// `map` as it will be after `edits`.
    #[must_use]
    pub fn new(map: &'a HeaderMap, edits: &'a [Edit]) -> Self {
        Self { map, edits }
    }

    /// Every copy of one header, in order.
    pub fn copies(self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        let own = move |edit: &&Edit| edit.name().as_str() == name;
        let last = self.edits.iter().rposition(|edit| own(&edit) && edit.supersedes());
        let map = if last.is_none() { Some(self.map) } else { None };
        let edits = self.edits.get(last.unwrap_or_default()..).unwrap_or_default();
        let edited = edits.iter().filter(own).filter_map(Edit::value);
        map.into_iter().flat_map(move |map| map.copies(name)).chain(edited)
    }

    /// The names that lines came under and that edits are about, each perhaps several times, and in the case that they
    /// have there. One that was removed may be among them.
    pub fn names(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let edited = self.edits.iter().map(|edit| edit.name().as_str().as_bytes());
        self.map.iter().map(|(name, _)| name).chain(edited)
    }

    /// One header, unless it is repeated.
    #[must_use]
    pub fn only(self, name: &'a str) -> Copies<'a> {
        let mut copies = self.copies(name);
        match (copies.next(), copies.next()) {
            (None, _) => Copies::None,
            (Some(value), None) => Copies::One(value),
            (Some(_), Some(_)) => Copies::Many,
        }
    }

    /// One cookie (RFC 6265 §5.4) over all `cookie` lines, which HTTP/2 may split, unless it is repeated.
    #[must_use]
    pub fn cookie(self, name: &str) -> Copies<'a> {
        let mut found = Copies::None;
        for line in self.copies("cookie") {
            for pair in line.split(|byte| *byte == b';') {
                let mut sides = pair.splitn(2, |byte| *byte == b'=');
                let (Some(key), Some(value)) = (sides.next(), sides.next()) else {
                    continue;
                };
                if key.trim_ascii() == name.as_bytes() {
                    found = match found {
                        Copies::None => Copies::One(value.trim_ascii()),
                        Copies::One(_) | Copies::Many => Copies::Many,
                    };
                }
            }
        }
        found
    }

    /// A pseudo-header, which the proxy has seen to be single; empty when there is none.
    fn pseudo(self, name: &'a str) -> &'a [u8] {
        self.copies(name).next().unwrap_or_default()
    }

    /// `:method` (RFC 9113 §8.3.1), or empty.
    #[must_use]
    pub fn method(self) -> &'a [u8] {
        self.pseudo(":method")
    }

    /// `:path` with its query, raw, or empty (CONNECT has none).
    #[must_use]
    pub fn path(self) -> &'a [u8] {
        self.pseudo(":path")
    }

    /// `:authority`, or empty.
    #[must_use]
    pub fn authority(self) -> &'a [u8] {
        self.pseudo(":authority")
    }

    /// Whether this is gRPC by its content type (`application/grpc`, also `application/grpc+proto`).
    #[must_use]
    pub fn is_grpc(self) -> bool {
        self.copies("content-type").any(|value| {
            value
                .strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> HeaderMap {
        HeaderMap::from_pairs([(":method", "GET"), ("x-a", "1"), ("X-A", "2"), ("x-b", "\u{ff}")])
    }

    fn values(headers: Headers<'_>, name: &'static str) -> Vec<Vec<u8>> {
        headers.copies(name).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn every_copy_is_seen_whatever_its_case() {
        let map = map();
        let headers = Headers::new(&map, &[]);
        assert_eq!(values(headers, "x-a"), [b"1", b"2"]);
        assert_eq!(headers.only("x-a"), Copies::Many);
        assert_eq!(headers.only("x-c"), Copies::None);
        assert_eq!(headers.method(), b"GET");
    }

    #[test]
    fn a_decided_edit_hides_every_copy() {
        let map = map();
        let name = HeaderName::literal("x-a");
        let set = [Edit::Set(name.clone(), b"3".to_vec())];
        assert_eq!(Headers::new(&map, &set).only("x-a"), Copies::One(b"3"));
        let removed = [Edit::Set(name.clone(), b"3".to_vec()), Edit::Remove(name)];
        assert_eq!(Headers::new(&map, &removed).only("x-a"), Copies::None);
        assert_eq!(values(Headers::new(&map, &removed), "x-b").len(), 1);
    }

    #[test]
    fn what_is_appended_comes_after_what_is_there() {
        let map = map();
        let append = |value: &str| Edit::Append(HeaderName::literal("x-a"), value.into());
        let appended = [append("3"), append("4")];
        assert_eq!(values(Headers::new(&map, &appended), "x-a"), [b"1", b"2", b"3", b"4"]);
        let set = Edit::Set(HeaderName::literal("x-a"), b"9".to_vec());
        let both = [append("3"), set, append("4")];
        assert_eq!(values(Headers::new(&map, &both), "x-a"), [b"9", b"4"]);
        let names: Vec<_> = Headers::new(&map, &both).names().collect();
        assert_eq!(names, [&b":method"[..], b"x-a", b"X-A", b"x-b", b"x-a", b"x-a", b"x-a"]);
    }

    #[test]
    fn ranges_outside_of_the_buffer_are_empty() {
        let map = HeaderMap::new(vec![1, 2], vec![Field { name: 0..9, value: 7..9 }]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&[][..], &[][..])]);
    }

    #[test]
    fn names_are_tokens_in_lower_case() {
        assert_eq!(HeaderName::parse("X-User").unwrap().as_str(), "x-user");
        for bad in ["", ":path", "a b", "a\n", "é"] {
            assert_eq!(HeaderName::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_header_that_others_depend_on_is_not_taken() {
        assert!(serde_json::from_str::<OwnedHeader>("\"X-Owned\"").is_ok());
        for bad in ["\"Host\"", "\"authorization\"", "\":path\"", "\"\"", "1"] {
            assert!(serde_json::from_str::<OwnedHeader>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cookies_are_found_on_every_line() {
        let map = HeaderMap::from_pairs([("cookie", "a=1; uid=x=y ;c"), ("cookie", "b=2;a=3")]);
        let headers = Headers::new(&map, &[]);
        assert_eq!(headers.cookie("uid"), Copies::One(b"x=y"));
        assert_eq!(headers.cookie("b"), Copies::One(b"2"));
        assert_eq!(headers.cookie("a"), Copies::Many);
        assert_eq!(headers.cookie("c"), Copies::None);
    }

    #[test]
    fn grpc_is_told_by_content_type() {
        for (value, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
        ] {
            let map = HeaderMap::from_pairs([("content-type", value)]);
            assert_eq!(Headers::new(&map, &[]).is_grpc(), grpc, "{value}");
        }
    }
}
