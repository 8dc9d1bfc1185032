//! Regular expressions over whole values, in linear time.

use std::fmt;

use regex::bytes::{Regex as Compiled, RegexBuilder};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The most that an expression may take when it is compiled, in bytes.
const MAX_SIZE: usize = 1 << 18;

/// A regular expression that must match the whole of a value (`regex` of VirtualService's StringMatch), over bytes:
/// classes like `\w` are ASCII's, and `.` is any byte but a line feed.
#[derive(Clone, Debug)]
pub struct Regex(Compiled);

impl Regex {
    /// The expression that `text` writes, in the syntax of Rust's `regex`, which is RE2's but for rarities; `None` if it
    /// is none or too large.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let compile =
            |text: &str| RegexBuilder::new(text).unicode(false).size_limit(MAX_SIZE).build().ok();
        // By itself first, as `a)|(b` is an expression in brackets only.
        compile(text)?;
        compile(&format!(r"\A(?:{text})\z")).map(Self)
    }

    /// The same expression with no regard to case (of ASCII's letters); `None` if that is too large.
    #[must_use]
    pub fn in_any_case(&self) -> Option<Self> {
        let text = format!("(?i:{})", self.0.as_str());
        RegexBuilder::new(&text).unicode(false).size_limit(MAX_SIZE).build().ok().map(Self)
    }

    /// Whether all of `value` matches.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        self.0.is_match(value)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Regex {}

/// A pattern as it is written: a text, whose form is the field's, or `{regex: TEXT}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// A text.
    Text(String),
    /// A regular expression.
    Regex(Regex),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Pattern)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    regex: Regex,
}

impl<'de> Deserialize<'de> for Regex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::invalid_value(
                serde::de::Unexpected::Str(&text),
                &"a regular expression (RE2) of moderate size",
            )
        })
    }
}

/// Reads what is written.
struct Pattern;

impl<'de> Visitor<'de> for Pattern {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or `{regex: TEXT}`")
    }

    fn visit_str<E>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
        Raw::deserialize(MapAccessDeserializer::new(map)).map(|raw| Written::Regex(raw.regex))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_value_must_match() {
        let matches = |text: &str, value: &[u8]| Regex::parse(text).unwrap().matches(value);
        assert!(matches("/v[0-9]+/.*", b"/v12/a"));
        assert!(!matches("/v[0-9]+", b"/v12/a"));
        assert!(!matches("v[0-9]+", b"/v12"));
        assert!(matches("a|bc", b"bc"));
        assert!(!matches("a|bc", b"ac"));
        assert!(!matches("a", b"a\n"));
        assert!(matches("(?i)curl/.*", b"CURL/\xff"));
        assert!(!matches(r"\w", "é".as_bytes()));
    }

    #[test]
    fn case_may_be_of_no_regard() {
        let regex = Regex::parse("Pass(word|wd)[A-C]").unwrap();
        assert!(!regex.matches(b"passwordb"));
        let any = regex.in_any_case().unwrap();
        assert!(any.matches(b"passwordb") && any.matches(b"PASSWDC"));
        assert!(!any.matches(b"xpasswordb") && any != regex);
    }

    #[test]
    fn what_is_no_expression_by_itself_is_refused() {
        for text in ["(", "a)|(b", "[", "*", r"(a)\1", "((a{100}){100}){100}"] {
            assert_eq!(Regex::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_is_a_text_or_an_expression() {
        let read = |json: &str| serde_json::from_str::<Written>(json);
        assert_eq!(read(r#""a*""#).unwrap(), Written::Text("a*".to_owned()));
        assert_eq!(read(r#"{"regex":"a*"}"#).unwrap(), Written::Regex(Regex::parse("a*").unwrap()));
        for bad in [r#"{"regex":"("}"#, r#"{"exact":"a"}"#, "{}", "[]", "1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
