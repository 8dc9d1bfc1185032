//! From bytes to configuration, or a refusal that says where, what was expected and what was found.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where, as a JSON Pointer (RFC 6901). Empty for the whole document.
    pub pointer: String,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl Invalid {
    /// A refusal of what stands at `pointer`.
    pub fn at(
        pointer: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { pointer: pointer.into(), expected: expected.into(), found: found.into() }
    }

    /// The same refusal, of a document that stands at `pointer` in a larger one.
    #[must_use]
    pub fn under(self, pointer: &str) -> Self {
        Self { pointer: format!("{pointer}{}", self.pointer), ..self }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at \"{}\": expected {}, found {}", self.pointer, self.expected, self.found)
    }
}

impl std::error::Error for Invalid {}

/// One member of an object as a step of a JSON Pointer, escaped (RFC 6901 §3).
#[must_use]
pub fn step(member: &str) -> String {
    format!("/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// Parses a JSON document into its raw shape.
///
/// # Errors
/// When the document is empty, is not JSON, or does not have the shape.
pub fn parse<T: DeserializeOwned>(document: &[u8]) -> Result<T, Invalid> {
    if document.is_empty() {
        return Err(Invalid::at("", "a JSON object", "an empty document"));
    }
    // serde would also take an array for a struct, by position.
    if document.trim_ascii_start().first() == Some(&b'[') {
        return Err(Invalid::at("", "a JSON object", "an array"));
    }
    read::<Solid>(document)?;
    read(document)
}

fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T, Invalid> {
    let mut reader = serde_json::Deserializer::from_slice(document);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| refusal(&pointer(error.path()), error.inner()))?;
    reader.end().map_err(|error| refusal("", &error))?;
    Ok(value)
}

fn pointer(path: &Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => step(key),
            Segment::Enum { variant } => step(variant),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Splits serde's sentence into its two halves. serde words every type error as "KIND: FOUND, expected EXPECTED".
fn refusal(pointer: &str, error: &serde_json::Error) -> Invalid {
    let text = error.to_string();
    if error.is_syntax() || error.is_eof() {
        return Invalid::at(pointer, "a JSON document", text);
    }
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(sentence, _)| sentence);
    if let Some(field) = text.strip_prefix("missing field ") {
        return Invalid::at(pointer, format!("a field {field}"), "none");
    }
    if let Some(field) = text.strip_prefix("duplicate field ") {
        return Invalid::at(pointer, format!("one field {field}"), "two");
    }
    for (marker, prefix) in
        [(", expected one of ", "one of "), (", expected ", ""), (", there are no ", "no ")]
    {
        if let Some((found, expected)) = text.split_once(marker) {
            let found = ["invalid type: ", "invalid value: ", "invalid length ", "unknown "]
                .iter()
                .find_map(|kind| found.strip_prefix(kind))
                .unwrap_or(found);
            // serde names the Rust type.
            let expected = if expected.starts_with("struct ") { "an object" } else { expected };
            return Invalid::at(pointer, format!("{prefix}{expected}"), found);
        }
    }
    Invalid::at(pointer, "a valid value", text)
}

/// A document without null in it. No field of ours means anything by null, but serde reads it as a field that was left
/// out: `paths:` with nothing after it would be a rule about all paths.
struct Solid;

impl<'de> Deserialize<'de> for Solid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Solid {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or no field at all")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<String, Self>()?.is_some() {}
        Ok(self)
    }
}

/// What is written as an object. serde would also take a list, by position, and an empty one for an empty object.
#[derive(Clone, Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// A duration as Istio and Envoy write it: `"1m30s"`, `"0.5s"`, `"250ms"`, `"2h"`; units h, m, s, ms, each at most
/// once and in this order. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// The duration that `text` writes, exact to the nanosecond.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total: u64 = 0;
        let mut last_unit = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at_checked(digits)?;
            let (unit, tail) = [
                ("h", 3_600_000_000_000_u64),
                ("ms", 1_000_000),
                ("m", 60_000_000_000),
                ("s", 1_000_000_000),
            ]
            .iter()
            .find_map(|(name, nanos)| tail.strip_prefix(name).map(|tail| (*nanos, tail)))?;
            if unit >= last_unit {
                return None;
            }
            last_unit = unit;
            total = total.checked_add(scaled(number, unit)?)?;
            rest = tail;
        }
        (!text.is_empty()).then_some(Self(Duration::from_nanos(total)))
    }
}

/// `number` (decimal digits, perhaps with a fraction) times `unit`; `None` if that is not a whole number.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    let exact = part.checked_rem(scale)? == 0;
    let part = exact.then(|| part.checked_div(scale)).flatten()?;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part)
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::invalid_value(
                Unexpected::Str(&text),
                &"a duration like \"1m30s\" or \"0.5s\"",
            )
        })
    }
}

/// A whole number that may have travelled as a float: Istio passes a plugin's numbers through float64, so `100.0`
/// and `1e2` mean 100. What no float64 tells apart (above 2⁵³) or has a fraction is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole(pub u64);

impl Whole {
    /// The largest whole number below which float64 tells all apart.
    pub const MAX: u64 = 1 << 53;
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "a whole number from 0 to 2^53";
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole =
            if number.is_f64() { number.as_f64().and_then(integral) } else { number.as_u64() };
        if let Some(whole) = whole.filter(|whole| *whole <= Self::MAX) {
            return Ok(Self(whole));
        }
        Err(D::Error::invalid_value(Unexpected::Other(&format!("number {number}")), &EXPECTED))
    }
}

/// The whole number that a float is, up to [`Whole::MAX`].
fn integral(float: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 is exact in float64")]
    let in_range = float >= 0.0 && float <= Whole::MAX as f64 && float.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number between 0 and 2^53"
    )]
    in_range.then_some(float as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing is of interest")]
    struct Raw {
        rules: Vec<Rule>,
        #[serde(default)]
        mode: Option<Mode>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing is of interest")]
    struct Rule {
        max_tokens: Whole,
        #[serde(default)]
        every: Option<Span>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    enum Mode {
        Allow,
        Deny,
    }

    #[track_caller]
    fn refused(document: &str, pointer: &str, expected: &str, found: &str) {
        let invalid = parse::<Raw>(document.as_bytes()).unwrap_err();
        assert_eq!(invalid, Invalid::at(pointer, expected, found));
    }

    #[test]
    fn a_refusal_says_where_what_and_instead_of_what() {
        refused("", "", "a JSON object", "an empty document");
        refused(" [1]", "", "a JSON object", "an array");
        refused("1", "", "an object", "integer `1`");
        refused("{}", "", "a field `rules`", "none");
        refused(r#"{"rules":1}"#, "/rules", "a sequence", "integer `1`");
        refused(
            r#"{"rules":[{"maxTokens":1,"max":2}]}"#,
            "/rules/0/max",
            "`maxTokens` or `every`",
            "field `max`",
        );
        refused(r#"{"rules":[],"mode":"allow"}"#, "/mode", "`ALLOW` or `DENY`", "variant `allow`");
        refused(r#"{"rules":[],"rules":[]}"#, "", "one field `rules`", "two");
        refused(
            r#"{"rules":[{"maxTokens":1.5}]}"#,
            "/rules/0/maxTokens",
            "a whole number from 0 to 2^53",
            "number 1.5",
        );
        refused(
            r#"{"rules":[{"maxTokens":1,"every":"5"}]}"#,
            "/rules/0/every",
            "a duration like \"1m30s\" or \"0.5s\"",
            "string \"5\"",
        );
    }

    #[test]
    fn null_is_no_value_anywhere() {
        for (document, pointer) in [
            (r#"{"rules":[],"mode":null}"#, "/mode"),
            (r#"{"rules":[{"maxTokens":1,"every":null}]}"#, "/rules/0/every"),
            (r#"{"rules":[{"maxTokens":1},null]}"#, "/rules/1"),
            ("null", ""),
        ] {
            refused(document, pointer, "a value, or no field at all", "null");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        struct Loose {
            a: Option<u8>,
        }
        assert_eq!(serde_json::from_str::<Loose>("[]").unwrap().a, None);
        assert!(serde_json::from_str::<Object<Loose>>("[]").is_err());
        assert!(serde_json::from_str::<Object<Loose>>("{}").is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused_whole() {
        for document in ["{", "\0\0", "{\"rules\":[]} x", "nul", "{\"rules\":[]"] {
            let invalid = parse::<Raw>(document.as_bytes()).unwrap_err();
            assert_eq!(invalid.expected, "a JSON document", "{document:?}: {invalid}");
        }
    }

    #[test]
    fn whole_numbers_survive_float64() {
        for (text, whole) in
            [("100", 100), ("100.0", 100), ("1e2", 100), ("0", 0), ("9007199254740992", 1 << 53)]
        {
            assert_eq!(serde_json::from_str::<Whole>(text).unwrap(), Whole(whole), "{text}");
        }
        for text in
            ["-1", "1.5", "1e300", "9007199254740993", "18446744073709551615", "\"1\"", "null"]
        {
            assert!(serde_json::from_str::<Whole>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_in_istio() {
        for (text, millis) in [
            ("1m30s", 90_000),
            ("0.5s", 500),
            ("250ms", 250),
            ("2h", 7_200_000),
            ("0s", 0),
            ("1h1m1s1ms", 3_661_001),
        ] {
            assert_eq!(Span::parse(text), Some(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1s1s",
            "1s1m",
            "1 s",
            ".5s",
            "5.s",
            "1.0000000001s",
            "99999999999h",
            "1d",
            "1e3s",
        ] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }

    #[test]
    fn members_are_escaped_in_pointers() {
        assert_eq!(step("a/b~c"), "/a~1b~0c");
    }
}
