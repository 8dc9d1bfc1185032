//! Headers as they came: bytes, every copy, in one buffer.

mod map;
mod name;

use map::Fields;
pub use map::{HeaderMap, Kinds, encoded};
pub use name::{HeaderName, OwnedHeader};

use crate::Edit;

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
        self.lines(name)
    }

    // Inlined, it would be wherever a header is looked for, and its code in the caches as often.
    #[inline(never)]
    fn lines(self, name: &'a str) -> Lines<'a> {
        let own = |edit: &Edit| edit.name().as_str() == name;
        let last = self.edits.iter().rposition(|edit| own(edit) && edit.supersedes());
        let fields =
            if last.is_none() { self.map.among(name.as_bytes()) } else { Fields::default() };
        let edits = self.edits.get(last.unwrap_or_default()..).unwrap_or_default();
        Lines { fields, edits: edits.iter(), name }
    }

    /// Whether a line of one of these names may be there, or an edit be about one; if not, none is.
    #[must_use]
    pub fn may_hold_any(self, names: Kinds) -> bool {
        // Some may be alike in length to one of these and in letters to another.
        let each = || self.map.iter().any(|(name, _)| names.may_hold(name));
        !self.edits.is_empty() || (self.map.kinds().may_share(names) && each())
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

/// The lines of one name: those that came, then those that edits write.
#[derive(Clone)]
struct Lines<'a> {
    fields: Fields<'a>,
    edits: std::slice::Iter<'a, Edit>,
    name: &'a str,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let name = self.name;
        let own = |edit: &&Edit| edit.name().as_str() == name;
        self.fields
            .next_of(name.as_bytes())
            .or_else(|| self.edits.by_ref().filter(own).find_map(Edit::value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn what_is_found_is_what_a_look_at_all_of_them_finds(
            names in prop::collection::vec("[a-cA-C:-]{0,3}", 0..9),
            edits in prop::collection::vec(("[a-c-]{1,3}", 0..3), 0..4),
            sought in "[a-c:-]{1,3}",
        ) {
            let map = HeaderMap::from_pairs(names.iter().enumerate().map(|(at, name)| (name, at.to_string())));
            let edit = |(name, kind): (String, i32)| {
                let name = HeaderName::parse(&name).unwrap();
                match kind {
                    0 => Edit::Set(name, b"set".to_vec()),
                    1 => Edit::Append(name, b"append".to_vec()),
                    _ => Edit::Remove(name),
                }
            };
            let edits: Vec<Edit> = edits.into_iter().map(edit).collect();
            let mut expected: Vec<Vec<u8>> = map
                .iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(sought.as_bytes()))
                .map(|(_, value)| value.to_vec())
                .collect();
            for edit in edits.iter().filter(|edit| edit.name().as_str() == sought) {
                if edit.supersedes() {
                    expected.clear();
                }
                expected.extend(edit.value().map(<[u8]>::to_vec));
            }
            let found: Vec<Vec<u8>> =
                Headers::new(&map, &edits).copies(&sought).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(found, expected);
        }
    }

    proptest! {
        #[test]
        fn no_name_is_missed_where_some_may_be_held(
            names in prop::collection::vec("[a-zA-Z0-9:-]{0,20}", 0..9),
            sought in prop::collection::vec("[a-z0-9:-]{0,20}", 0..9),
        ) {
            let map = HeaderMap::from_pairs(names.iter().map(|name| (name, "")));
            let kinds = Kinds::of(sought.iter().map(String::as_bytes));
            let held = Headers::new(&map, &[]).may_hold_any(kinds);
            for name in &names {
                let is_sought = sought.iter().any(|sought| sought.eq_ignore_ascii_case(name));
                prop_assert!(held || !is_sought, "{}", name);
            }
            let by_one = names.iter().any(|name| kinds.may_hold(name.as_bytes()));
            prop_assert_eq!(held, by_one);
        }
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
