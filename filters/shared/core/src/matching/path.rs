//! Paths, in the one form that every server behind us reads alike, or none.

use std::borrow::Cow;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::bytes::ByteSet;
use super::regex::Written;
use super::{PathTemplate, Regex, StringPattern, Truth};

/// The path has no single meaning: servers differ in how they read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

/// A path without query and fragment, with unreserved characters decoded, other escapes in upper case, `.` and `..`
/// resolved and repeated slashes merged (RFC 3986 §6.2.2).
///
/// # Errors
/// When there is no absolute path, an escape is broken, or the path holds what some servers read as a separator and
/// others do not: `\`, `;`, `%2F`, `%5C`, `%3B`, an escaped percent sign, control characters.
pub fn canonical(raw: &[u8]) -> Result<Cow<'_, [u8]>, Ambiguous> {
    if raw.first() != Some(&b'/') {
        return Err(Ambiguous);
    }
    // One pass over most paths, as every request's is read.
    let mut before = 0;
    let odd = raw.iter().position(|byte| {
        let dotted = before == b'/' && matches!(byte, b'/' | b'.');
        before = *byte;
        dotted || ODD.contains(*byte)
    });
    match odd {
        None => return Ok(Cow::Borrowed(raw)),
        Some(end) if matches!(raw.get(end), Some(b'?' | b'#')) => {
            return Ok(Cow::Borrowed(raw.get(..end).unwrap_or_default()));
        }
        Some(_) => {}
    }
    let end = raw.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(raw.len());
    resolved(&unescaped(raw.get(..end).unwrap_or_default())?).map(Cow::Owned)
}

/// The bytes that end a path, and those that do not stand for themselves in one.
static ODD: ByteSet = ByteSet::of((0, b' '), b"?#%\\;\x7f");

/// Decodes unreserved escapes once; refuses what is ambiguous.
fn unescaped(raw: &[u8]) -> Result<Vec<u8>, Ambiguous> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (digits, tail) = tail.split_at_checked(2).ok_or(Ambiguous)?;
                rest = tail;
                let digits = std::str::from_utf8(digits).map_err(|_| Ambiguous)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return Err(Ambiguous);
                }
                let byte = u8::from_str_radix(digits, 16).map_err(|_| Ambiguous)?;
                match byte {
                    b'/' | b'\\' | b';' | b'%' | 0..=0x1f | 0x7f => return Err(Ambiguous),
                    _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(byte),
                    _ => {
                        out.push(b'%');
                        out.extend(digits.bytes().map(|digit| digit.to_ascii_uppercase()));
                    }
                }
            }
            b'\\' | b';' | 0..=0x20 | 0x7f => return Err(Ambiguous),
            byte => out.push(*byte),
        }
    }
    Ok(out)
}

/// Merges slashes and resolves dot segments. A `..` above the root has no meaning.
fn resolved(path: &[u8]) -> Result<Vec<u8>, Ambiguous> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut folder = true;
    for segment in path.split(|byte| *byte == b'/') {
        folder = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop().ok_or(Ambiguous)?;
            }
            _ => kept.push(segment),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in &kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if folder {
        out.push(b'/');
    }
    Ok(out)
}

/// A path pattern: exact, prefix `/a/*`, suffix `*.html`, `*`, a template with `{*}` and `{**}`, or a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// By string.
    String(StringPattern),
    /// By template.
    Template(PathTemplate),
    /// By regular expression, which no text writes.
    Regex(Regex),
}

impl PathPattern {
    /// The pattern that `text` writes. A literal part that no canonical path has could never match, and is refused.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(['{', '}']) {
            return PathTemplate::parse(text).map(Self::Template);
        }
        let pattern = StringPattern::parse(text)?;
        let reachable = match &pattern {
            StringPattern::Exact(path) | StringPattern::Prefix(path) => {
                canonical(path).is_ok_and(|canonical| *canonical == **path)
            }
            StringPattern::Suffix(path) => {
                let path = [b"/x", path.as_slice()].concat();
                canonical(&path).is_ok_and(|canonical| *canonical == *path)
            }
            StringPattern::Present => true,
        };
        reachable.then_some(Self::String(pattern))
    }

    /// The pattern that Istio reads in `text`, with no regard to whether a canonical path can match.
    #[must_use]
    pub fn as_in_istio(text: &str) -> Option<Self> {
        if text.contains(['{', '}']) {
            return PathTemplate::parse(text).map(Self::Template);
        }
        StringPattern::as_in_istio(text).map(Self::String)
    }

    /// Whether Envoy would say that a path as sent, without its query, matches.
    #[must_use]
    pub fn matches_as_in_envoy(&self, path: &[u8]) -> bool {
        match self {
            Self::String(pattern) => pattern.matches(path),
            Self::Template(template) => template.matches_as_in_envoy(path),
            Self::Regex(regex) => regex.matches(path),
        }
    }

    /// Whether a canonical path matches; unknown when the path is ambiguous.
    #[must_use]
    pub fn matches(&self, path: Result<&[u8], Ambiguous>) -> Truth {
        match (self, path) {
            (_, Err(Ambiguous)) => Truth::Unknown,
            (Self::String(pattern), Ok(path)) => pattern.matches(path).into(),
            (Self::Template(template), Ok(path)) => template.matches(path).into(),
            (Self::Regex(regex), Ok(path)) => regex.matches(path).into(),
        }
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Written::deserialize(deserializer)? {
            Written::Regex(regex) => return Ok(Self::Regex(regex)),
            Written::Text(text) => text,
        };
        Self::parse(&text).ok_or_else(|| {
            D::Error::invalid_value(
                Unexpected::Str(&text),
                &"a canonical path like `/a/b`, `/a/*`, `*.html`, `*` or `/a/{*}/b/{**}`",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (raw, form) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a?x=/../b", "/a"),
            ("/a#/b", "/a"),
            ("//a///b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/%61dmin", "/admin"),
            ("/%2e%2E/a", ""),
            ("/a/%2e%2e/b", "/b"),
            ("/a%20b%c3%a9", "/a%20b%C3%A9"),
            ("/...", "/..."),
            ("/.hidden", "/.hidden"),
        ] {
            let canonical = canonical(raw.as_bytes());
            match form {
                "" => assert_eq!(canonical, Err(Ambiguous), "{raw}"),
                _ => assert_eq!(canonical.as_deref(), Ok(form.as_bytes()), "{raw}"),
            }
        }
    }

    #[test]
    fn what_servers_read_differently_has_none() {
        for raw in [
            "",
            "*",
            "a/b",
            "http://a/b",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/a;b/c",
            "/a%3bc",
            "/%252e",
            "/%",
            "/%2",
            "/%zz",
            "/%+1",
            "/a\0",
            "/a%00",
            "/a b",
        ] {
            assert_eq!(canonical(raw.as_bytes()), Err(Ambiguous), "{raw:?}");
        }
    }

    #[test]
    fn a_pattern_that_could_never_match_is_refused() {
        for text in
            ["", "a", "//a", "/a//*", "/a/../b", "/a?b", "/%61", "/a;b", "*/../x", "/a*b", "/{"]
        {
            assert_eq!(PathPattern::parse(text), None, "{text}");
        }
        for text in ["/", "/a", "/a/*", "/a*", "*", "*.html", "*/b", "/a/{*}/b"] {
            assert!(PathPattern::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn an_expression_is_about_the_canonical_path() {
        let pattern: PathPattern = serde_json::from_str(r#"{"regex":"/v[0-9]+/items"}"#).unwrap();
        assert_eq!(
            pattern.matches(canonical(b"//v1/./items?x").as_deref().map_err(|e| *e)),
            Truth::True
        );
        assert_eq!(pattern.matches(Ok(b"/v1/items/2")), Truth::False);
        assert_eq!(pattern.matches(Err(Ambiguous)), Truth::Unknown);
    }

    #[test]
    fn an_ambiguous_path_matches_neither_way() {
        let pattern = PathPattern::parse("/admin/*").unwrap();
        assert_eq!(pattern.matches(Err(Ambiguous)), Truth::Unknown);
        assert_eq!(pattern.matches(Ok(b"/admin/x")), Truth::True);
        assert_eq!(pattern.matches(Ok(b"/admin")), Truth::False);
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_a_fixed_point(raw in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(once) = canonical(&raw) {
                prop_assert!(canonical(&once).is_ok_and(|twice| twice == once));
            }
        }

        #[test]
        fn no_spelling_of_dots_escapes_its_folder(segments in prop::collection::vec(
            prop::sample::select(vec!["a", "..", ".", "", "%2e%2e", "%2E.", "b%2f", "x;y", "%61"]), 0..8,
        )) {
            let raw = format!("/{}", segments.join("/"));
            if let Ok(path) = canonical(raw.as_bytes()) {
                prop_assert!(path.starts_with(b"/"));
                let parts: Vec<_> = path.split(|byte| *byte == b'/').collect();
                prop_assert!(parts.iter().all(|part| !matches!(*part, b"." | b"..")));
                let inner = parts.get(1..parts.len() - 1).unwrap_or_default();
                prop_assert!(inner.iter().all(|part| !part.is_empty()));
            }
        }
    }
}
