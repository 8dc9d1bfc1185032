//! From bytes to configuration, or a refusal that says where, what was expected and what was found.

mod values;

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

pub use values::{Span, Whole};

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

/// Parses a JSON document that is written for others, who may have their own use for null, into what is read of it.
///
/// # Errors
/// As [`parse`], null aside.
pub fn parse_foreign<T: DeserializeOwned>(document: &[u8]) -> Result<T, Invalid> {
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
    fn members_are_escaped_in_pointers() {
        assert_eq!(step("a/b~c"), "/a~1b~0c");
    }
}
