//! What keeps requests apart: each key has a bucket of its own.

use std::borrow::Cow;
use std::net::IpAddr;

use filter_core::matching::part::Prefixes;
use filter_core::matching::template::Segment;
use filter_core::matching::{Facts, PathTemplate};
use filter_core::{Attribute, Copies, HeaderName};

use crate::seed::{KeyHasher, Seed};

/// What a request is counted by. Without parts, all requests of the rule are counted together.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) parts: Option<Vec<Part>>,
    pub(crate) missing: MissingKey,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All copies of a header, in order. A client that repeats it gets a bucket of its own, and no one else's.
    Header(HeaderName),
    /// The client's address without its port, as far as the prefixes go.
    Client(Client),
    /// A cookie.
    Cookie(String),
    /// All copies of a parameter of the query, decoded, in order.
    Query(String),
    /// The canonical path.
    Path,
    /// The segments that the variables of a template stand for.
    Variables(PathTemplate),
    /// The method.
    Method,
    /// An attribute of the proxy: the route, the client's certificate, a claim.
    Attribute(Attribute),
}

/// Which address is the client's, and how much of it tells clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// How many from the right in X-Forwarded-For; the proxy's opinion if none are said.
    pub(crate) trusted_hops: Option<usize>,
    pub(crate) prefixes: Prefixes,
}

/// What to do with a request that lacks a part of the key: none of its copies says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MissingKey {
    /// The rule does not apply to it.
    Skip,
    /// All such requests share one bucket of the rule.
    #[default]
    Shared,
    /// It is refused.
    Deny,
}

/// Whose bucket it is.
#[derive(Debug)]
pub(crate) enum Subject {
    /// The one with this hash.
    Bucket(KeyHasher),
    /// Nobody's.
    Skip,
    /// It cannot be told, and that is refused.
    Deny,
}

/// What a request says of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Something, and it was hashed.
    This,
    /// Nothing.
    Nothing,
    /// Something that servers read differently.
    Unclear,
}

impl Key {
    /// Whose bucket the request counts in. What is unclear is never skipped: a client could make it so.
    pub(crate) fn subject(&self, facts: &Facts<'_>, seed: &Seed) -> Subject {
        let mut hasher = seed.hasher();
        hasher.number(1);
        let mut said = Said::This;
        for part in self.parts.iter().flatten() {
            match part.feed(facts, &mut hasher) {
                Said::This => {}
                Said::Unclear => said = Said::Unclear,
                Said::Nothing if said == Said::This => said = Said::Nothing,
                Said::Nothing => {}
            }
        }
        match (said, self.missing) {
            (Said::This, _) if self.parts.is_some() => Subject::Bucket(hasher),
            (Said::Nothing, MissingKey::Skip) => Subject::Skip,
            (Said::Nothing | Said::Unclear, MissingKey::Deny) => Subject::Deny,
            _ => {
                let mut hasher = seed.hasher();
                hasher.number(0);
                Subject::Bucket(hasher)
            }
        }
    }

    /// The parts as text; none if the request lacks one or says several.
    pub(crate) fn texts(&self, facts: &Facts<'_>) -> Option<Vec<Vec<u8>>> {
        self.parts.iter().flatten().map(|part| part.text(facts).map(Cow::into_owned)).collect()
    }

    /// The attributes that the parts ask for.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.parts.iter().flatten().filter_map(Part::attribute)
    }
}

impl Part {
    /// Adds what the request says of the part to the hash.
    fn feed(&self, facts: &Facts<'_>, hasher: &mut KeyHasher) -> Said {
        match self {
            Self::Header(name) => feed_all(facts.headers().copies(name.as_str()), hasher),
            Self::Query(name) => {
                let values = facts.query(name);
                feed_all(values.iter().map(|value| &**value), hasher)
            }
            Self::Cookie(name) if facts.headers().cookie(name) == Copies::Many => Said::Unclear,
            Self::Path | Self::Variables(_) if facts.line().path().is_err() => Said::Unclear,
            Self::Variables(template) => {
                let Some(values) =
                    facts.line().path().ok().and_then(|path| variables(template, path))
                else {
                    return Said::Nothing;
                };
                values.iter().for_each(|value| hasher.field(value));
                Said::This
            }
            _ => match self.text(facts) {
                Some(text) => {
                    hasher.field(&text);
                    Said::This
                }
                None => Said::Nothing,
            },
        }
    }

    /// The one thing that the request says of the part.
    pub(crate) fn text<'a>(&self, facts: &'a Facts<'_>) -> Option<Cow<'a, [u8]>> {
        let one = |copies: Copies<'a>| match copies {
            Copies::One(value) if !value.is_empty() => Some(Cow::Borrowed(value)),
            _ => None,
        };
        match self {
            Self::Header(name) => {
                match facts.headers().copies(name.as_str()).collect::<Vec<_>>()[..] {
                    [value] if !value.is_empty() => Some(Cow::Owned(value.to_vec())),
                    _ => None,
                }
            }
            Self::Cookie(name) => one(facts.headers().cookie(name)),
            Self::Query(name) => match &facts.query(name)[..] {
                [value] if !value.is_empty() => Some(Cow::Owned(value.to_vec())),
                _ => None,
            },
            Self::Path => facts.line().path().ok().map(Cow::Borrowed),
            Self::Variables(template) => {
                let values = variables(template, facts.line().path().ok()?)?;
                Some(Cow::Owned(values.join(&b'/')))
            }
            Self::Method => {
                Some(Cow::Borrowed(facts.line().method())).filter(|text| !text.is_empty())
            }
            Self::Client(client) => client.text(facts),
            Self::Attribute(attribute) => facts.text(*attribute).map(Cow::Owned),
        }
    }

    pub(crate) fn attribute(&self) -> Option<Attribute> {
        match self {
            Self::Client(Client { trusted_hops: None, .. }) => Some(Attribute::SourceAddress),
            Self::Attribute(attribute) => Some(*attribute),
            _ => None,
        }
    }
}

impl Client {
    fn text<'a>(&self, facts: &'a Facts<'_>) -> Option<Cow<'a, [u8]>> {
        let address = match self.trusted_hops {
            Some(hops) => forwarded(facts, hops)?,
            None => match facts.address() {
                Some(address) => address,
                // A pipe, or whatever else the proxy listens on.
                None => return facts.text(Attribute::SourceAddress).map(Cow::Owned),
            },
        };
        Some(Cow::Owned(self.prefixes.masked(address).to_string().into_bytes()))
    }
}

/// The address so many from the right over all lines of X-Forwarded-For.
fn forwarded(facts: &Facts<'_>, hops: usize) -> Option<IpAddr> {
    let lines: Vec<&[u8]> = facts.headers().copies("x-forwarded-for").collect();
    let mut items = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).rev();
    let item = items.nth(hops.checked_sub(1)?)?.trim_ascii();
    filter_core::matching::ip::address_of(item).map(|address| address.to_canonical())
}

/// Hashes how many copies there are, and each.
fn feed_all<'a>(copies: impl Iterator<Item = &'a [u8]> + Clone, hasher: &mut KeyHasher) -> Said {
    hasher.number(u64::try_from(copies.clone().count()).unwrap_or(u64::MAX));
    let mut said = Said::Nothing;
    for copy in copies {
        hasher.field(copy);
        if !copy.is_empty() {
            said = Said::This;
        }
    }
    said
}

/// The segments that the variables of a template stand for, in order, if the path matches.
fn variables<'p>(template: &PathTemplate, path: &'p [u8]) -> Option<Vec<&'p [u8]>> {
    let path = path.strip_prefix(b"/").filter(|_| template.matches(path))?;
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let tail = template.tail().unwrap_or_default();
    let skip = segments.len().saturating_sub(tail.len());
    let head = template.head().iter().zip(&segments);
    let pairs = head.chain(tail.iter().zip(segments.iter().skip(skip)));
    Some(pairs.filter(|(part, _)| **part == Segment::One).map(|(_, segment)| *segment).collect())
}

#[cfg(test)]
mod tests;
