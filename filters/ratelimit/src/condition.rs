//! What must hold of a request besides its request line: an element of AuthorizationPolicy's `when`.

use filter_core::matching::{IpBlock, NonEmpty, StringPattern, Truth};
use filter_core::{Attribute, HeaderName, Invalid};
use serde::Deserialize;

use crate::facts::Facts;

/// One condition: any of these values, and none of those.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// A text: a header or an attribute.
    Text(Text, Sides<StringPattern>),
    /// The client's address.
    Address(Sides<IpBlock>),
}

#[derive(Clone, Debug)]
enum Text {
    Header(HeaderName),
    Attribute(Attribute),
}

#[derive(Clone, Debug)]
struct Sides<T> {
    values: Option<Vec<T>>,
    not_values: Option<Vec<T>>,
}

/// A condition as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RawCondition {
    key: String,
    values: Option<NonEmpty<String>>,
    not_values: Option<NonEmpty<String>>,
}

impl RawCondition {
    /// The condition, or what is wrong with it.
    pub(crate) fn compile(self) -> Result<Condition, Invalid> {
        let Self { key, values, not_values } = self;
        if values.is_none() && not_values.is_none() {
            return Err(Invalid::at("", "`values` or `notValues`", "neither"));
        }
        let text = |text| {
            let expected = "`abc`, `abc*`, `*abc` or `*`";
            Ok(Test::Text(text, sides(&values, &not_values, StringPattern::parse, expected)?))
        };
        let test = match key.as_str() {
            "remote.ip" => {
                let expected = "an IP address or a CIDR block";
                Test::Address(sides(&values, &not_values, IpBlock::parse, expected)?)
            }
            "source.principal" => text(Text::Attribute(Attribute::PeerUri))?,
            _ => {
                let inner = |prefix| key.strip_prefix(prefix)?.strip_suffix(']');
                let header = inner("request.headers[").and_then(HeaderName::parse);
                let claim = inner("request.auth.claims[").filter(|name| is_claim(name));
                match (header, claim) {
                    (Some(name), _) => text(Text::Header(name))?,
                    (None, Some(name)) => text(Text::Attribute(claim_of(PAYLOAD, name)))?,
                    (None, None) => {
                        let expected = "`request.headers[NAME]`, `remote.ip`, `source.principal` \
                                        or `request.auth.claims[NAME]`";
                        return Err(Invalid::at("/key", expected, format!("`{key}`")));
                    }
                }
            }
        };
        Ok(Condition { test })
    }
}

fn sides<T>(
    values: &Option<NonEmpty<String>>,
    not_values: &Option<NonEmpty<String>>,
    parse: fn(&str) -> Option<T>,
    expected: &str,
) -> Result<Sides<T>, Invalid> {
    let side = |name: &str, list: &Option<NonEmpty<String>>| {
        let one = |(index, text): (usize, &String)| {
            parse(text).ok_or_else(|| {
                Invalid::at(format!("/{name}/{index}"), expected, format!("`{text}`"))
            })
        };
        list.as_ref().map(|list| list.iter().enumerate().map(one).collect()).transpose()
    };
    Ok(Sides { values: side("values", values)?, not_values: side("notValues", not_values)? })
}

/// The name under which Istio lets `jwt_authn` leave the claims of a token.
pub(crate) const PAYLOAD: &str = "payload";

/// Whether this may be the name of a claim: nothing that would end a string of the proxy's expressions.
pub(crate) fn is_claim(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"'\\[]".contains(&byte))
}

/// The attribute of a claim. Its name lives as long as the module: an attribute is looked up for every request, and a
/// configuration has few.
pub(crate) fn claim_of(payload: &str, claim: &str) -> Attribute {
    let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    Attribute::JwtClaim { payload: keep(payload), claim: keep(claim) }
}

impl<T> Sides<T> {
    fn hold(&self, any: impl Fn(&[T]) -> Truth) -> Truth {
        let values = self.values.as_deref().map_or(Truth::True, &any);
        values.and(|| !self.not_values.as_deref().map_or(Truth::False, &any))
    }
}

impl Condition {
    /// Whether the condition holds. What a request lacks matches nothing, and so every `not` holds of it. A header
    /// whose copies differ cannot be told.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> Truth {
        match &self.test {
            Test::Text(Text::Header(name), sides) => sides.hold(|patterns| {
                let one = |value: &[u8]| patterns.iter().any(|pattern| pattern.matches(value));
                let mut copies = facts.headers().copies(name.as_str()).map(one);
                let first = copies.next().unwrap_or(false);
                if copies.all(|copy| copy == first) { first.into() } else { Truth::Unknown }
            }),
            Test::Text(Text::Attribute(attribute), sides) => sides.hold(|patterns| {
                let value = facts.text(*attribute).unwrap_or_default();
                let known = !value.is_empty();
                (known && patterns.iter().any(|pattern| pattern.matches(&value))).into()
            }),
            Test::Address(sides) => sides.hold(|blocks| match facts.address() {
                Some(address) => blocks.iter().any(|block| block.contains(address)).into(),
                None => Truth::Unknown,
            }),
        }
    }

    /// The attribute that it asks for.
    pub(crate) fn attribute(&self) -> Option<Attribute> {
        match &self.test {
            Test::Text(Text::Header(_), _) => None,
            Test::Text(Text::Attribute(attribute), _) => Some(*attribute),
            Test::Address(_) => Some(Attribute::SourceAddress),
        }
    }
}

#[cfg(test)]
mod tests {
    use filter_core::fixture::FixtureExchange;
    use filter_core::view::Value;
    use filter_core::{HeaderMap, Phase, View};

    use super::*;

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
    fn what_could_never_hold_is_refused() {
        for (condition, pointer) in [
            (r#"{"key":"request.headers[a b]","values":["x"]}"#, "/key"),
            (r#"{"key":"request.auth.claims[a'b]","values":["x"]}"#, "/key"),
            (r#"{"key":"source.ip","values":["x"]}"#, "/key"),
            (r#"{"key":"remote.ip","values":["10.0.0.0/8","x"]}"#, "/values/1"),
            (r#"{"key":"request.headers[a]","notValues":["a*b"]}"#, "/notValues/0"),
            (r#"{"key":"request.headers[a]"}"#, ""),
        ] {
            let raw: RawCondition = serde_json::from_str(condition).unwrap();
            assert_eq!(raw.compile().unwrap_err().pointer, pointer, "{condition}");
        }
    }
}
