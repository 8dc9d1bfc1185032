//! Query parameters, as `application/x-www-form-urlencoded` writes them.

use std::borrow::Cow;

/// A parameter is there more than once, and servers differ in which they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

/// The value of a parameter of a raw path, decoded; `None` if it is empty or not there.
///
/// # Errors
/// When it is there more than once.
pub fn param<'a>(path: &'a [u8], name: &str) -> Result<Option<Cow<'a, [u8]>>, Repeated> {
    let mut values = pairs(parts(path).1).filter(|pair| pair.is_named(name)).map(|pair| pair.value);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Repeated),
        (value, None) => Ok(value.filter(|value| !value.is_empty()).map(decoded)),
    }
}

/// The raw path without these parameters, all else as it was; also without the question mark, if nothing is left behind
/// it.
#[must_use]
pub fn without(path: &[u8], names: &[&str]) -> Vec<u8> {
    let (before, query, fragment) = parts(path);
    let kept: Vec<&[u8]> = pairs(query)
        .filter(|pair| !names.iter().any(|name| pair.is_named(name)))
        .map(|pair| pair.whole)
        .collect();
    let query = kept.join(&b'&');
    let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
    [before, mark, &query, fragment].concat()
}

/// A path in three parts: before the question mark, between it and the fragment, and the fragment.
fn parts(path: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let split = |text: &'_ [u8], mark: u8| text.iter().position(|byte| *byte == mark);
    let end = split(path, b'#').unwrap_or(path.len());
    let (rest, fragment) = path.split_at_checked(end).unwrap_or((path, b""));
    let Some(mark) = split(rest, b'?') else {
        return (rest, b"", fragment);
    };
    let (before, query) = rest.split_at_checked(mark).unwrap_or((rest, b""));
    (before, query.get(1..).unwrap_or_default(), fragment)
}

#[derive(Clone, Copy)]
struct Pair<'a> {
    whole: &'a [u8],
    name: &'a [u8],
    value: &'a [u8],
}

impl Pair<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.name == name.as_bytes()
            || self.name.contains(&b'%') && *decoded(self.name) == *name.as_bytes()
    }
}

fn pairs(query: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    query.split(|byte| *byte == b'&').filter(|whole| !whole.is_empty()).map(|whole| {
        let mut sides = whole.splitn(2, |byte| *byte == b'=');
        let name = sides.next().unwrap_or_default();
        Pair { whole, name, value: sides.next().unwrap_or_default() }
    })
}

/// The text with its escapes resolved, once; a broken escape stays as it is.
#[must_use]
pub fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        let escape = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => digit(high).zip(digit(low)).map(|d| (d, tail)),
            _ => None,
        };
        if let Some(((high, low), tail)) = escape {
            out.push(high << 4 | low);
            rest = tail;
        } else {
            out.push(*byte);
            rest = tail;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_is_read_wherever_it_stands() {
        for (path, value) in [
            ("/", None),
            ("/?", None),
            ("/t=1", None),
            ("/?t=a.b.c", Some("a.b.c")),
            ("/?x=1&t=a&y", Some("a")),
            ("/?x?t=1", None),
            ("/?x=1?&t=1", Some("1")),
            ("/?%74=a%2Eb", Some("a.b")),
            ("/?t=%2", Some("%2")),
            ("/?t=%zz", Some("%zz")),
            ("/?t=%2525", Some("%25")),
            ("/?t=a=b", Some("a=b")),
            ("/?t=", None),
            ("/?t", None),
            ("/?T=a", None),
            ("/#?t=a", None),
            ("/?t=a#b", Some("a")),
        ] {
            let found = param(path.as_bytes(), "t").unwrap();
            assert_eq!(found.as_deref(), value.map(str::as_bytes), "{path}");
        }
        for path in ["/?t=a&t=a", "/?t=a&t=", "/?t&x&%74=1"] {
            assert_eq!(param(path.as_bytes(), "t"), Err(Repeated), "{path}");
        }
    }

    #[test]
    fn a_parameter_is_taken_out_and_nothing_else() {
        for (path, rest) in [
            ("/a?t=1", "/a"),
            ("/a?t=1&b=%20", "/a?b=%20"),
            ("/a?b=1&%74=1&c", "/a?b=1&c"),
            ("/a?t=1#f", "/a#f"),
            ("/a?b", "/a?b"),
            ("/a", "/a"),
            ("", ""),
        ] {
            assert_eq!(without(path.as_bytes(), &["t"]), rest.as_bytes(), "{path}");
        }
        assert_eq!(without(b"/?a=1&b=2&c=3", &["a", "c"]), b"/?b=2");
    }

    proptest! {
        #[test]
        fn what_was_taken_out_is_gone(path in "/[a-c?&=%#746]{0,24}") {
            let rest = without(path.as_bytes(), &["t", "a"]);
            prop_assert_eq!(param(&rest, "t"), Ok(None));
            prop_assert_eq!(param(&rest, "a"), Ok(None));
            prop_assert_eq!(without(&rest, &["t", "a"]), rest);
        }
    }
}
