//! What a token says (RFC 7519 §4), once its signature is known to be good.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use crate::Reason;

/// The members of a payload, their registered ones of the right types. The times among them, in seconds since the epoch,
/// are asked for by every request, and so read once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claims {
    members: Map<String, Value>,
    expiry: Option<i64>,
    not_before: Option<i64>,
    issued_at: Option<i64>,
}

/// What claims say, by how those who make them write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// The claims.
    pub(crate) claims: &'a Claims,
    /// The claims that are lists of words, besides `scope` and `permission`.
    words: &'a [String],
}

impl Claims {
    /// The claims of a payload.
    ///
    /// # Errors
    /// When a registered claim is not of the type that it must have.
    pub(crate) fn new(members: Map<String, Value>) -> Result<Self, Reason> {
        let is_of_its_type = |(name, value): (&String, &Value)| match (name.as_str(), value) {
            ("aud", Value::Array(list)) => list.iter().all(Value::is_string),
            ("iss" | "sub" | "jti" | "aud", value) => value.is_string(),
            ("exp" | "nbf" | "iat", value) => seconds(value, f64::floor).is_some(),
            _ => true,
        };
        if !members.iter().all(is_of_its_type) {
            return Err(Reason::TokenMalformed);
        }
        let date = |name: &str, round| members.get(name).and_then(|value| seconds(value, round));
        Ok(Self {
            expiry: date("exp", f64::floor),
            not_before: date("nbf", f64::ceil),
            issued_at: date("iat", f64::floor),
            members,
        })
    }

    /// What the claims say where these are lists of words, besides `scope` and `permission`.
    pub(crate) fn with_words<'a>(&'a self, words: &'a [String]) -> Said<'a> {
        Said { claims: self, words }
    }

    /// A text of this name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// `iss`.
    pub(crate) fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `jti`.
    pub(crate) fn id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `aud`, one or several.
    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.members.get("aud").into_iter().flat_map(texts)
    }

    /// `exp`.
    pub(crate) fn expiry(&self) -> Option<i64> {
        self.expiry
    }

    /// `nbf`.
    pub(crate) fn not_before(&self) -> Option<i64> {
        self.not_before
    }

    /// `iat`.
    pub(crate) fn issued_at(&self) -> Option<i64> {
        self.issued_at
    }

    /// About how many bytes they take.
    pub(crate) fn weight(&self) -> usize {
        weight_of_members(&self.members)
    }

    /// `cnf.jkt`: the hash of the key that the token is bound to (RFC 9449 §6.1), as it is written. What is no text is
    /// one that no key has.
    pub(crate) fn key_thumbprint(&self) -> Option<&str> {
        let thumbprint = self.members.get("cnf")?.get("jkt")?;
        Some(thumbprint.as_str().unwrap_or_default())
    }

    /// `cnf.x5t#S256`: the hash of the certificate that the token is bound to (RFC 8705 §3.1), as it is written.
    pub(crate) fn certificate(&self) -> Option<&str> {
        self.members.get("cnf")?.get("x5t#S256")?.as_str()
    }
}

/// About how many bytes a value takes. Of a short token there may be many: an object in it takes a whole node of a tree.
fn weight(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(list) => {
            let spare = list.capacity().saturating_sub(list.len());
            let spare = spare.saturating_mul(size_of::<Value>());
            list.iter().map(weight).fold(spare, usize::saturating_add)
        }
        Value::Object(members) => weight_of_members(members),
    };
    inside.saturating_add(size_of::<Value>())
}

fn weight_of_members(members: &Map<String, Value>) -> usize {
    /// The members that a node of the standard library's B-tree has room for, and what at least it holds but for the root.
    const ROOM: usize = 11;
    const LEAST: usize = 5;
    let nodes = members.len().div_ceil(LEAST);
    let room = nodes.saturating_mul(ROOM).saturating_sub(members.len());
    let spare = room.saturating_mul(size_of::<(String, Value)>());
    let member = |(name, value): (&String, &Value)| {
        weight(value).saturating_add(name.len()).saturating_add(size_of::<String>())
    };
    members.iter().map(member).fold(spare, usize::saturating_add)
}

/// A NumericDate (RFC 7519 §2) in whole seconds; `None` for what is no time that a clock can tell.
fn seconds(value: &Value, round: fn(f64) -> f64) -> Option<i64> {
    /// Below it, float64 tells all whole numbers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = value.as_number()?;
    if !number.is_f64() {
        return number.as_i64();
    }
    let float = number.as_f64().map(round).filter(|float| float.abs() < EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number that float64 has exactly")]
    Some(float as i64)
}

/// The texts in a claim's value: a string, or the strings of a list.
fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let (one, list) = match value {
        Value::Array(list) => (None, list.as_slice()),
        one => (Some(one), &[][..]),
    };
    one.into_iter().chain(list).filter_map(Value::as_str)
}

/// Where a claim lies in the payload: the names to follow, from the outside in. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// The claim that stands in brackets in Istio's conditions, e.g. `[realm][roles]`.
    pub(crate) fn in_brackets(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        let names: Vec<String> = inner.split("][").map(str::to_owned).collect();
        let plain = |name: &String| !name.is_empty() && !name.contains(['[', ']']);
        names.iter().all(plain).then_some(Self(names))
    }

    /// The payload's own claim of this name.
    pub(crate) fn top(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The claim that Istio's `outputClaimToHeaders` names, nested ones by dots.
    pub(crate) fn dotted(text: &str) -> Option<Self> {
        let names: Vec<String> = text.split('.').map(str::to_owned).collect();
        names.iter().all(|name| !name.is_empty()).then_some(Self(names))
    }

    /// Whether the claim says what a token is good for (RFC 8693 §4.2).
    pub(crate) fn is_scope(&self) -> bool {
        matches!(self.0.as_slice(), [name] if matches!(name.as_str(), "scope" | "scp" | "permission"))
    }

    /// The claim's value, if it is there.
    pub(crate) fn find<'a>(&self, claims: &'a Claims) -> Option<&'a Value> {
        let (last, outer) = self.0.split_last()?;
        outer
            .iter()
            .try_fold(&claims.members, |object, name| object.get(name)?.as_object())?
            .get(last)
    }

    /// The texts that a condition compares: a string, or the strings of a list. `scope` and `permission` are lists of
    /// words (RFC 8693 §4.2), as in Istio, and so is what `spaceDelimitedClaims` names. Other values have none.
    pub(crate) fn texts<'a>(&self, said: Said<'a>) -> impl Iterator<Item = &'a str> {
        let words = match self.0.as_slice() {
            [name] => name == "scope" || name == "permission" || said.words.contains(name),
            _ => false,
        };
        self.find(said.claims).into_iter().flat_map(move |value| {
            let split = words && value.is_string();
            texts(value).flat_map(move |text| {
                let (whole, words) = if split { (None, text) } else { (Some(text), "") };
                whole.into_iter().chain(words.split(' ').filter(|word| !word.is_empty()))
            })
        })
    }

    /// The claim as a header's value, as Envoy writes it: a string, number or boolean as text, a list or object as
    /// JSON in base64. None for what is absent, empty, or cannot stand in a header.
    pub(crate) fn header_value(&self, claims: &Claims) -> Option<Vec<u8>> {
        let text = match self.find(claims)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => decimal(number),
            list @ (Value::Array(_) | Value::Object(_)) => STANDARD.encode(list.to_string()),
        };
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.into_bytes())
    }
}

/// A number without a fraction that is zero: `1e3` and `1000.0` are `1000`.
pub(crate) fn decimal(number: &Number) -> String {
    let whole = number.as_f64().filter(|_| number.is_f64()).filter(|float| float.fract() == 0.0);
    whole.map_or_else(|| number.to_string(), |whole| format!("{whole}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Result<Claims, Reason> {
        Claims::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn registered_claims_have_their_types() {
        for good in [
            json!({}),
            json!({ "iss": "a", "sub": "b", "aud": "c", "exp": 1, "nbf": 1.5, "iat": -1 }),
            json!({ "aud": ["c", "d"], "other": null }),
            json!({ "aud": [] }),
        ] {
            assert!(claims(good.clone()).is_ok(), "{good}");
        }
        for bad in [
            json!({ "iss": 1 }),
            json!({ "iss": null }),
            json!({ "sub": ["a"] }),
            json!({ "aud": 1 }),
            json!({ "aud": ["c", 1] }),
            json!({ "exp": "1" }),
            json!({ "exp": null }),
            json!({ "exp": 9_223_372_036_854_775_808_u64 }),
            json!({ "exp": 1e16 }),
            json!({ "exp": -1e300 }),
            json!({ "nbf": true }),
            json!({ "iat": [] }),
            json!({ "jti": 7 }),
        ] {
            assert_eq!(claims(bad.clone()), Err(Reason::TokenMalformed), "{bad}");
        }
    }

    #[test]
    fn what_is_short_as_text_may_weigh_much() {
        let light = claims(json!({ "list": "0".repeat(3500) })).unwrap().weight();
        let heavy = claims(json!({ "list": vec![json!({ "": 0 }); 500] })).unwrap().weight();
        assert!(heavy > 50 * light, "{light}, {heavy}");
    }

    #[test]
    fn brackets_follow_nested_claims() {
        let claims = claims(json!({
            "realm": { "roles": ["a", "b", 1], "on": true, "https://x.y/z": "c" },
            "scope": "read  write",
            "note": "read write",
            "parts": "x y",
        }))
        .unwrap();
        let words = ["parts".to_owned()];
        let claims = claims.with_words(&words);
        for (path, found) in [
            ("[realm][roles]", &["a", "b"][..]),
            ("[realm][https://x.y/z]", &["c"]),
            ("[realm][on]", &[]),
            ("[realm]", &[]),
            ("[realm][roles][a]", &[]),
            ("[missing]", &[]),
            ("[scope]", &["read", "write"]),
            ("[note]", &["read write"]),
            ("[parts]", &["x", "y"]),
        ] {
            let path = ClaimPath::in_brackets(path).unwrap();
            assert_eq!(path.texts(claims).collect::<Vec<_>>(), found, "{path:?}");
        }
        for bad in ["", "[]", "a", "[a", "a]", "[a]b", "[a][]", "[[a]]", "[a]][b]"] {
            assert_eq!(ClaimPath::in_brackets(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_claim_is_written_into_a_header_as_by_envoy() {
        let claims = claims(json!({
            "text": "a b", "whole": 42, "float": 1000.0, "half": 0.5, "yes": true, "none": null, "empty": "",
            "list": ["a", 1], "lines": "a\r\nx-admin: 1", "in": { "a": { "b": "deep" } },
        }))
        .unwrap();
        for (path, value) in [
            ("text", Some("a b")),
            ("whole", Some("42")),
            ("float", Some("1000")),
            ("half", Some("0.5")),
            ("yes", Some("true")),
            ("list", Some("WyJhIiwxXQ==")),
            ("in.a.b", Some("deep")),
            ("in.a", Some("eyJiIjoiZGVlcCJ9")),
            ("in.b", None),
            ("none", None),
            ("empty", None),
            ("lines", None),
            ("missing", None),
        ] {
            let written = ClaimPath::dotted(path).unwrap().header_value(&claims);
            assert_eq!(written.as_deref(), value.map(str::as_bytes), "{path}");
        }
        for bad in ["", ".", "a.", ".a", "a..b"] {
            assert_eq!(ClaimPath::dotted(bad), None, "{bad}");
        }
    }
}
