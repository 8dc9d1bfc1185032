//! Istio's string match: exact, prefix, suffix, presence.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

/// `abc` matches exactly, `abc*` a prefix, `*abc` a suffix, `*` any value but the empty one. Bytes, not characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringPattern {
    /// The value is this.
    Exact(Vec<u8>),
    /// The value begins with this.
    Prefix(Vec<u8>),
    /// The value ends with this.
    Suffix(Vec<u8>),
    /// There is a value.
    Present,
}

impl StringPattern {
    /// The pattern that `text` writes. An asterisk elsewhere than at one end is refused: Istio would take it
    /// literally, and nobody means that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let literal = |part: &str| (!part.contains('*')).then(|| part.as_bytes().to_vec());
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            _ if text.is_empty() => None,
            _ if text == "*" => Some(Self::Present),
            (Some(suffix), None) => literal(suffix).map(Self::Suffix),
            (None, Some(prefix)) => literal(prefix).map(Self::Prefix),
            (None, None) => literal(text).map(Self::Exact),
            (Some(_), Some(_)) => None,
        }
    }

    /// The pattern that Istio reads in `text`: as [`StringPattern::parse`], but one asterisk at an end is a wildcard, the
    /// first of two, and any other stands for itself.
    #[must_use]
    pub fn as_in_istio(text: &str) -> Option<Self> {
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            _ if text.is_empty() => None,
            _ if text == "*" => Some(Self::Present),
            (Some(suffix), _) => Some(Self::Suffix(suffix.into())),
            (None, Some(prefix)) => Some(Self::Prefix(prefix.into())),
            (None, None) => Some(Self::Exact(text.into())),
        }
    }

    /// Whether `value` matches.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => value == exact,
            Self::Prefix(prefix) => value.starts_with(prefix),
            Self::Suffix(suffix) => value.ends_with(suffix),
            Self::Present => !value.is_empty(),
        }
    }
}

impl<'de> Deserialize<'de> for StringPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Str(&text), &"`abc`, `abc*`, `*abc` or `*`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_at_one_end_is_a_wildcard() {
        for (pattern, value, matches) in [
            ("abc", "abc", true),
            ("abc", "ABC", false),
            ("abc", "abcd", false),
            ("abc*", "abc", true),
            ("abc*", "abcd", true),
            ("*abc", "xabc", true),
            ("*abc", "abcx", false),
            ("*", "x", true),
            ("*", "", false),
        ] {
            let parsed = StringPattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(value.as_bytes()), matches, "{pattern} on {value}");
        }
    }

    #[test]
    fn an_asterisk_elsewhere_is_refused() {
        for pattern in ["", "a*b", "*a*", "**"] {
            assert_eq!(StringPattern::parse(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn istio_takes_an_asterisk_elsewhere_for_itself() {
        let matches = |pattern: &str, value: &str| {
            StringPattern::as_in_istio(pattern).unwrap().matches(value.as_bytes())
        };
        assert!(matches("a*b", "a*b"));
        assert!(!matches("a*b", "axb"));
        assert!(matches("*a*", "xa*"));
        assert!(!matches("*a*", "xax"));
        assert_eq!(StringPattern::as_in_istio(""), None);
    }
}
