//! What must hold of a request besides what it asks for: a field of `from`, or an element of `when`.

use std::borrow::Cow;

use filter_core::matching::{IpBlock, StringPattern, Truth};
use filter_core::{Attribute, HeaderName};
use serde_json::Value;

use super::facts::Endpoint;
use super::operation::{Field, is_port};
use super::peer::PeerPattern;
use super::principal::PrincipalPattern;
use super::text::{Matched, Text};
use super::{Facts, Reading};
use crate::token::{ClaimPath, Said, decimal};

/// A predicate over one thing that a request is known by.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// A claim of the token's or of the API key's.
    Claim(Claim, Field<Text>),
    /// The token's principal.
    Principal(Field<PrincipalPattern>),
    /// The client that the API key is of.
    Client(Field<StringPattern>),
    /// The certificate of the other end.
    Peer(Field<PeerPattern>),
    /// A header.
    Header(HeaderName, Field<Text>),
    /// An address.
    Address(Endpoint, Field<IpBlock>),
    /// The port that the client connected to.
    Port(Field<u16>),
    /// The name that the client asked for in its TLS greeting.
    ServerName(Field<StringPattern>),
}

/// A claim, and how its value is read.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Whose it is.
    pub(crate) of: Credential,
    /// Where it lies.
    pub(crate) path: ClaimPath,
    /// Whether numbers and booleans are texts too (`typed`).
    pub(crate) typed: bool,
    /// Whether it tells what a token is good for, so that another token could help (RFC 6750 §3.1).
    pub(crate) scope: bool,
}

/// What tells who asks, and more about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A token, by `jwtRules`.
    Token,
    /// An API key, by `apiKeyAuth`.
    ApiKey,
}

/// Conditions that are taken to hold, to find out whether they are what is wanting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assume {
    /// None.
    Nothing,
    /// Those on scopes.
    Scopes,
    /// Those on credentials.
    Credentials,
}

impl Condition {
    /// Whether the condition holds. What a request lacks matches nothing, and so every `not` holds of it.
    pub(crate) fn holds(&self, facts: &Facts<'_>, matched: Matched<'_>, assume: Assume) -> Truth {
        let assumed = match assume {
            Assume::Nothing => false,
            Assume::Scopes => matches!(self, Self::Claim(claim, _) if claim.scope),
            Assume::Credentials => self.is_about_credential(),
        };
        if assumed {
            return Truth::True;
        }
        match self {
            Self::Claim(claim, field) => field.holds(|texts| {
                facts.said(claim.of).map_or(Truth::False, |said| {
                    claim.any(texts, said, &|text, value| text.matches(value, facts, matched))
                })
            }),
            Self::Principal(field) => field.holds(|patterns| {
                facts.identity.map_or(Truth::False, |identity| {
                    Truth::any(patterns.iter().map(|pattern| pattern.matches(identity)))
                })
            }),
            Self::Client(field) => field.holds(|patterns| {
                facts.client.map_or(Truth::False, |client| {
                    let name = client.name().as_bytes();
                    patterns.iter().any(|pattern| pattern.matches(name)).into()
                })
            }),
            Self::Peer(field) => {
                field.holds(|patterns| PeerPattern::any(patterns, facts.peer(), facts.reading))
            }
            Self::Header(name, field) => field.holds(|texts| header(name, texts, facts, matched)),
            Self::Address(endpoint, field) => field.holds(|blocks| {
                facts.address(*endpoint).map_or(facts.reading.unknown(), |address| {
                    blocks.iter().any(|block| block.contains(address)).into()
                })
            }),
            Self::Port(field) => field.holds(|ports| is_port(facts, ports)),
            Self::ServerName(field) => field.holds(|patterns| {
                let name = facts.server_name().unwrap_or_default();
                patterns.iter().any(|pattern| pattern.matches(name)).into()
            }),
        }
    }

    /// Whether only a credential can meet the condition, or fail it.
    pub(crate) fn is_about_credential(&self) -> bool {
        matches!(self, Self::Claim(..) | Self::Principal(_) | Self::Client(_))
    }

    /// The attribute that the condition asks for.
    pub(crate) fn attribute(&self) -> Option<Attribute> {
        match self {
            Self::Claim(..) | Self::Principal(_) | Self::Client(_) | Self::Header(..) => None,
            Self::Peer(_) => Some(Attribute::PeerUri),
            Self::Address(endpoint, _) => Some(endpoint.attribute()),
            Self::Port(_) => Some(Attribute::DestinationPort),
            Self::ServerName(_) => Some(Attribute::RequestedServerName),
        }
    }

    /// The values that may refer to the request.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        let field = match self {
            Self::Claim(_, field) | Self::Header(_, field) => Some(field),
            _ => None,
        };
        field.into_iter().flat_map(Field::items)
    }
}

impl Claim {
    /// Whether any text of the claim is any of those.
    fn any(&self, texts: &[Text], said: Said<'_>, is: &dyn Fn(&Text, &[u8]) -> Truth) -> Truth {
        let one = |value: &[u8]| Truth::any(texts.iter().map(|text| is(text, value)));
        let found = Truth::any(self.path.texts(said).map(|text| one(text.as_bytes())));
        if !self.typed || found == Truth::True {
            return found;
        }
        let value = self.path.find(said.claims);
        let values = match value {
            Some(Value::Array(items)) => items.as_slice(),
            other => other.map_or(&[][..], std::slice::from_ref),
        };
        let typed = values.iter().filter_map(typed).map(|text| one(text.as_bytes()));
        Truth::any(std::iter::once(found).chain(typed))
    }
}

/// A number or a boolean as text.
fn typed(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(number) => Some(Cow::Owned(decimal(number))),
        _ => None,
    }
}

/// Whether a header is one of those. If it has several values, in several lines or in a list, and some match and some
/// do not, then it cannot be told which of them the upstream will believe.
fn header(name: &HeaderName, texts: &[Text], facts: &Facts<'_>, matched: Matched<'_>) -> Truth {
    let any = |value: &[u8]| {
        Truth::any(texts.iter().map(|text| match text {
            // In Envoy, a header is present even if it is empty.
            Text::Pattern(StringPattern::Present) => Truth::True,
            text => text.matches(value, facts, matched),
        }))
    };
    let line = |value: &[u8]| {
        let whole = any(value);
        if whole != Truth::False || facts.reading == Reading::Istio || !value.contains(&b',') {
            return whole;
        }
        let mut items = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if items.any(|item| any(item) != Truth::False) { Truth::Unknown } else { Truth::False }
    };
    // Envoy has the one for the other.
    let name = if name.as_str() == "host" { ":authority" } else { name.as_str() };
    let mut lines = facts.headers().copies(name).map(line);
    if facts.reading == Reading::Istio {
        return lines.any(|line| line == Truth::True).into();
    }
    let first = lines.next().unwrap_or(Truth::False);
    lines.fold(first, |all, line| if line == all { all } else { Truth::Unknown })
}
