//! What makes a user the same user: the first of the key's parts that the request has.

use filter_core::{Copies, HeaderName, Headers};

/// One thing to know a user by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A header's value.
    Header(HeaderName),
    /// A cookie's value.
    Cookie(String),
}

/// The key of a request. What is repeated or empty is no key: of several values none is the user's, and which of them
/// comes first is not ours to say.
pub(crate) fn of<'a>(parts: &'a [Part], headers: Headers<'a>) -> Option<&'a [u8]> {
    parts.iter().find_map(|part| {
        let copies = match part {
            Part::Header(name) => headers.only(name.as_str()),
            Part::Cookie(name) => headers.cookie(name),
        };
        match copies {
            Copies::One(value) => Some(value).filter(|value| !value.is_empty()),
            Copies::None | Copies::Many => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use filter_core::HeaderMap;

    use super::*;

    #[test]
    fn the_first_part_that_says_one_thing_is_the_key() {
        let parts = [Part::Header(HeaderName::literal("x-user")), Part::Cookie("uid".to_owned())];
        let key = |lines: &[(&str, &str)]| {
            let map = HeaderMap::from_pairs(lines.iter().copied());
            of(&parts, Headers::new(&map, &[])).map(<[u8]>::to_vec)
        };
        assert_eq!(key(&[("x-user", "a"), ("cookie", "uid=b")]).unwrap(), b"a");
        assert_eq!(key(&[("cookie", "x=1; uid=b")]).unwrap(), b"b");
        assert_eq!(key(&[("x-user", ""), ("cookie", "uid=b")]).unwrap(), b"b");
        assert_eq!(key(&[("x-user", "a"), ("x-user", "a"), ("cookie", "uid=b")]).unwrap(), b"b");
        assert_eq!(key(&[("cookie", "uid=b; uid=c")]), None);
        assert_eq!(key(&[("cookie", "uid=")]), None);
        assert_eq!(key(&[]), None);
    }
}
