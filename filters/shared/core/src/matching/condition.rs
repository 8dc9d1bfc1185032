//! What must hold of a request besides its request line: an element of AuthorizationPolicy's `when`, for filters that see
//! identities through the proxy alone.

use std::borrow::Cow;

use serde::Deserialize;

use super::facts::Facts;
use super::regex::{Regex, Written};
use super::{IpBlock, NonEmpty, StringPattern, Truth};
use crate::{Attribute, Copies, HeaderName, Invalid};

/// One condition: any of these values, and none of those.
#[derive(Clone, Debug)]
pub struct Condition {
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// A text.
    Text(Text, Sides<Pattern>),
    /// The client's address.
    Address(Sides<IpBlock>),
}

#[derive(Clone, Debug)]
enum Text {
    Header(HeaderName),
    Cookie(String),
    Query(String),
    Attribute(Attribute),
}

#[derive(Clone, Debug)]
enum Pattern {
    String(StringPattern),
    Regex(Regex),
}

#[derive(Clone, Debug)]
struct Sides<T> {
    values: Option<Vec<T>>,
    not_values: Option<Vec<T>>,
}

/// A condition as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RawCondition {
    key: String,
    values: Option<NonEmpty<Written>>,
    not_values: Option<NonEmpty<Written>>,
}

impl RawCondition {
    /// The condition.
    ///
    /// # Errors
    /// What is wrong with it, where it is.
    pub fn compile(self) -> Result<Condition, Invalid> {
        let Self { key, values, not_values } = self;
        if values.is_none() && not_values.is_none() {
            return Err(Invalid::at("", "`values` or `notValues`", "neither"));
        }
        let test = if key == "remote.ip" {
            Test::Address(sides(values, not_values, block)?)
        } else {
            let text = text(&key).ok_or_else(|| {
                let expected = "`request.headers[NAME]`, `request.cookies[NAME]`, \
                                `request.query[NAME]`, `request.auth.claims[NAME]`, \
                                `source.principal` or `remote.ip`";
                Invalid::at("/key", expected, format!("`{key}`"))
            })?;
            Test::Text(text, sides(values, not_values, pattern)?)
        };
        Ok(Condition { test })
    }
}

/// What a key names, other than an address.
fn text(key: &str) -> Option<Text> {
    if key == "source.principal" {
        return Some(Text::Attribute(Attribute::PeerUri));
    }
    let (map, name) = key.strip_suffix(']')?.split_once('[')?;
    match map {
        "request.headers" => HeaderName::parse(name).map(Text::Header),
        // A cookie's name is a token too (RFC 6265 §4.1.1), but with its case.
        "request.cookies" => HeaderName::parse(name).map(|_| Text::Cookie(name.to_owned())),
        "request.query" => (!name.is_empty()).then(|| Text::Query(name.to_owned())),
        "request.auth.claims" => is_claim(name).then(|| Text::Attribute(claim_of(PAYLOAD, name))),
        _ => None,
    }
}

fn pattern(written: Written) -> Result<Pattern, (&'static str, String)> {
    match written {
        Written::Regex(regex) => Ok(Pattern::Regex(regex)),
        Written::Text(text) => StringPattern::parse(&text)
            .map(Pattern::String)
            .ok_or_else(|| ("`abc`, `abc*`, `*abc`, `*` or `{regex: TEXT}`", format!("`{text}`"))),
    }
}

fn block(written: Written) -> Result<IpBlock, (&'static str, String)> {
    const EXPECTED: &str = "an IP address or a CIDR block";
    match written {
        Written::Regex(_) => Err((EXPECTED, "a regular expression".to_owned())),
        Written::Text(text) => IpBlock::parse(&text).ok_or_else(|| (EXPECTED, format!("`{text}`"))),
    }
}

fn sides<T>(
    values: Option<NonEmpty<Written>>,
    not_values: Option<NonEmpty<Written>>,
    parse: fn(Written) -> Result<T, (&'static str, String)>,
) -> Result<Sides<T>, Invalid> {
    let side = |name: &str, list: Option<NonEmpty<Written>>| {
        let one = |(index, written): (usize, Written)| {
            parse(written).map_err(|(expected, found)| {
                Invalid::at(format!("/{name}/{index}"), expected, found)
            })
        };
        list.map(|list| list.into_vec().into_iter().enumerate().map(one).collect()).transpose()
    };
    Ok(Sides { values: side("values", values)?, not_values: side("notValues", not_values)? })
}

/// The name under which Istio lets `jwt_authn` leave the claims of a token.
pub const PAYLOAD: &str = "payload";

/// Whether this may be the name of a claim: nothing that would end a string of the proxy's expressions.
#[must_use]
pub fn is_claim(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"'\\[]".contains(&byte))
}

/// The attribute of a claim. Its name lives as long as the module: an attribute is looked up for every request, and a
/// configuration has few.
#[must_use]
pub fn claim_of(payload: &str, claim: &str) -> Attribute {
    let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    Attribute::JwtClaim { payload: keep(payload), claim: keep(claim) }
}

impl<T> Sides<T> {
    fn hold(&self, any: impl Fn(&[T]) -> Truth) -> Truth {
        let values = self.values.as_deref().map_or(Truth::True, &any);
        values.and(|| !self.not_values.as_deref().map_or(Truth::False, &any))
    }
}

impl Pattern {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::String(pattern) => pattern.matches(value),
            Self::Regex(regex) => regex.matches(value),
        }
    }
}

/// Whether any of the patterns matches each of these copies, or none of them; unknown if they differ.
fn agree<'a>(patterns: &[Pattern], copies: impl Iterator<Item = Cow<'a, [u8]>>) -> Truth {
    let one = |value: Cow<'_, [u8]>| patterns.iter().any(|pattern| pattern.matches(&value));
    let mut copies = copies.map(one);
    let first = copies.next().unwrap_or(false);
    if copies.all(|copy| copy == first) { first.into() } else { Truth::Unknown }
}

impl Condition {
    /// Whether the condition holds. What a request lacks matches nothing, and so every `not` holds of it. A header or a
    /// parameter whose copies differ, and a cookie that is sent twice, cannot be told.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> Truth {
        match &self.test {
            Test::Text(text, sides) => sides.hold(|patterns| match text {
                Text::Header(name) => {
                    agree(patterns, facts.headers().copies(name.as_str()).map(Cow::Borrowed))
                }
                Text::Query(name) => agree(patterns, facts.query(name).into_iter()),
                Text::Cookie(name) => match facts.headers().cookie(name) {
                    Copies::None => Truth::False,
                    Copies::One(value) => agree(patterns, std::iter::once(Cow::Borrowed(value))),
                    Copies::Many => Truth::Unknown,
                },
                Text::Attribute(attribute) => {
                    agree(patterns, facts.text(*attribute).map(Cow::Owned).into_iter())
                }
            }),
            Test::Address(sides) => sides.hold(|blocks| match facts.address() {
                Some(address) => blocks.iter().any(|block| block.contains(address)).into(),
                None => Truth::Unknown,
            }),
        }
    }

    /// The attribute that it asks for.
    #[must_use]
    pub fn attribute(&self) -> Option<Attribute> {
        match &self.test {
            Test::Text(Text::Header(_) | Text::Cookie(_) | Text::Query(_), _) => None,
            Test::Text(Text::Attribute(attribute), _) => Some(*attribute),
            Test::Address(_) => Some(Attribute::SourceAddress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::FixtureExchange;
    use crate::view::Value;
    use crate::{HeaderMap, Phase, View};

    fn holds(condition: &str, headers: &[(&str, &str)], address: &str) -> Truth {
        let raw: RawCondition = serde_json::from_str(condition).unwrap();
        let exchange = FixtureExchange {
            request: HeaderMap::from_pairs(headers.iter().copied()),
            attributes: [(Attribute::SourceAddress, Value::Text(address.into()))].into(),
            ..FixtureExchange::default()
        };
        let view = View::new(&exchange, Phase::Request, &[]);
        raw.compile().unwrap().holds(&Facts::new(&view))
    }

    #[test]
    fn a_header_whose_copies_differ_cannot_be_told() {
        let condition = r#"{"key":"request.headers[X-Plan]","values":["free","trial-*"]}"#;
        for (headers, expected) in [
            (&[("x-plan", "free")][..], Truth::True),
            (&[("x-plan", "trial-7")], Truth::True),
            (&[("x-plan", "gold")], Truth::False),
            (&[], Truth::False),
            (&[("x-plan", "free"), ("x-plan", "gold")], Truth::Unknown),
            (&[("x-plan", "free"), ("x-plan", "trial-1")], Truth::True),
        ] {
            assert_eq!(holds(condition, headers, ""), expected, "{headers:?}");
        }
        let not = r#"{"key":"request.headers[x-plan]","notValues":["gold"]}"#;
        assert_eq!(holds(not, &[], ""), Truth::True);
        assert_eq!(holds(not, &[("x-plan", "gold")], ""), Truth::False);
    }

    #[test]
    fn an_address_lies_in_a_block_or_not() {
        let condition = r#"{"key":"remote.ip","values":["10.0.0.0/8"],"notValues":["10.9.9.9"]}"#;
        assert_eq!(holds(condition, &[], "10.1.1.1:5"), Truth::True);
        assert_eq!(holds(condition, &[], "10.9.9.9:5"), Truth::False);
        assert_eq!(holds(condition, &[], "11.1.1.1:5"), Truth::False);
        assert_eq!(holds(condition, &[], "pipe"), Truth::Unknown);
    }

    #[test]
    fn cookies_and_parameters_are_read_like_headers() {
        let condition = r#"{"key":"request.cookies[beta]","values":["yes"]}"#;
        for (cookie, expected) in [
            ("beta=yes", Truth::True),
            ("Beta=yes", Truth::False),
            ("beta=no", Truth::False),
            ("beta=yes; beta=yes", Truth::Unknown),
        ] {
            assert_eq!(holds(condition, &[("cookie", cookie)], ""), expected, "{cookie}");
        }
        let condition = r#"{"key":"request.query[v]","values":[{"regex":"[12]"}]}"#;
        for (path, expected) in [
            ("/?v=1", Truth::True),
            ("/?v=12", Truth::False),
            ("/?v=%31&v=2", Truth::True),
            ("/?v=1&v=3", Truth::Unknown),
            ("/#?v=1", Truth::False),
        ] {
            assert_eq!(holds(condition, &[(":path", path)], ""), expected, "{path}");
        }
    }

    #[test]
    fn what_could_never_hold_is_refused() {
        for (condition, pointer) in [
            (r#"{"key":"request.headers[a b]","values":["x"]}"#, "/key"),
            (r#"{"key":"request.auth.claims[a'b]","values":["x"]}"#, "/key"),
            (r#"{"key":"source.ip","values":["x"]}"#, "/key"),
            (r#"{"key":"remote.ip","values":["10.0.0.0/8","x"]}"#, "/values/1"),
            (r#"{"key":"request.headers[a]","notValues":["a*b"]}"#, "/notValues/0"),
            (r#"{"key":"request.headers[a]"}"#, ""),
            (r#"{"key":"request.cookies[a b]","values":["x"]}"#, "/key"),
            (r#"{"key":"request.query[]","values":["x"]}"#, "/key"),
            (r#"{"key":"remote.ip","values":[{"regex":"10.*"}]}"#, "/values/0"),
        ] {
            let raw: RawCondition = serde_json::from_str(condition).unwrap();
            assert_eq!(raw.compile().unwrap_err().pointer, pointer, "{condition}");
        }
    }
}
