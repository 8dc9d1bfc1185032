//! From the document to rules, or a refusal.

use std::collections::HashMap;
use std::num::NonZeroU64;

use filter_core::config::{self, Object, Span, Whole};
use filter_core::matching::{NonEmpty, Operation};
use filter_core::{HeaderName, Invalid, Rule};
use serde::Deserialize;

use crate::gcra::{Gcra, InvalidLimit};
use crate::key::{Key, MissingKey, Part};
use crate::table::{SLOTS, Table};

/// The most rules: each may come to hold a megabyte of the proxy's memory.
const MAX_RULES: usize = 100;
const MAX_TOKENS: u64 = 1 << 32;
const MIN_INTERVAL: Span = Span(std::time::Duration::from_millis(1));

/// One limit on some requests.
#[derive(Clone, Debug)]
pub(crate) struct LimitRule {
    pub(crate) name: Rule,
    /// The requests it is about; all if none are said.
    pub(crate) about: Option<Operation>,
    pub(crate) key: Key,
    pub(crate) limit: Gcra,
    pub(crate) table: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `rules`")]
struct Raw {
    rules: NonEmpty<Object<RawRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRule {
    name: Rule,
    r#match: Option<Operation>,
    key: Option<NonEmpty<Object<RawPart>>>,
    missing_key: Option<MissingKey>,
    token_bucket: Object<RawBucket>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawPart {
    header: Option<HeaderName>,
    client_address: Option<Object<RawClientAddress>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClientAddress {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawBucket {
    max_tokens: Whole,
    tokens_per_fill: Option<Whole>,
    fill_interval: Span,
}

/// The rules that a document writes.
pub(crate) fn parse(document: &[u8]) -> Result<Vec<LimitRule>, Invalid> {
    let raw: Raw = config::parse(document)?;
    let rules = raw.rules.into_vec();
    if rules.len() > MAX_RULES {
        let expected = format!("at most {MAX_RULES} rules");
        return Err(Invalid::at("/rules", expected, rules.len().to_string()));
    }
    let mut seen: HashMap<Rule, usize> = HashMap::new();
    let compile = |(index, Object(rule)): (usize, Object<RawRule>)| {
        let pointer = format!("/rules/{index}");
        if let Some(first) = seen.insert(rule.name.clone(), index) {
            let found = format!("`{}`, the name of /rules/{first}", rule.name);
            return Err(Invalid::at(format!("{pointer}/name"), "a name of its own", found));
        }
        rule.compile().map_err(|invalid| invalid.under(&pointer))
    };
    rules.into_iter().enumerate().map(compile).collect()
}

impl RawRule {
    fn compile(self) -> Result<LimitRule, Invalid> {
        if self.key.is_none() && self.missing_key.is_some() {
            return Err(Invalid::at("/missingKey", "`key` beside it", "a rule without a key"));
        }
        let part = |(index, Object(part)): (usize, Object<RawPart>)| {
            part.compile().map_err(|invalid| invalid.under(&format!("/key/{index}")))
        };
        let parts = self.key.map(|parts| parts.into_vec().into_iter().enumerate().map(part));
        let parts = parts.map(Iterator::collect::<Result<Vec<_>, _>>).transpose()?;
        let limit =
            self.token_bucket.0.compile().map_err(|invalid| invalid.under("/tokenBucket"))?;
        let slots = if parts.is_some() { SLOTS } else { NonZeroU64::MIN };
        Ok(LimitRule {
            table: Table::new(&self.name, slots),
            name: self.name,
            about: self.r#match,
            key: Key { parts, missing: self.missing_key.unwrap_or_default() },
            limit,
        })
    }
}

impl RawPart {
    fn compile(self) -> Result<Part, Invalid> {
        match (self.header, self.client_address) {
            (Some(header), None) => Ok(Part::Header(header)),
            (None, Some(Object(RawClientAddress {}))) => Ok(Part::ClientAddress),
            (found, _) => {
                let found = if found.is_some() { "both" } else { "neither" };
                Err(Invalid::at("", "either `header` or `clientAddress`", found))
            }
        }
    }
}

impl RawBucket {
    fn compile(self) -> Result<Gcra, Invalid> {
        let burst = tokens("/maxTokens", self.max_tokens)?;
        let filled = tokens("/tokensPerFill", self.tokens_per_fill.unwrap_or(Whole(1)))?;
        let interval = self.fill_interval;
        if interval < MIN_INTERVAL {
            let found = format!("{:?}", interval.0);
            return Err(Invalid::at("/fillInterval", "a duration of at least 1ms", found));
        }
        let found = || format!("{filled} tokens every {:?}", interval.0);
        Gcra::new(burst, filled, interval.0).map_err(|invalid| match invalid {
            InvalidLimit::Zero | InvalidLimit::TooFast => {
                Invalid::at("/tokensPerFill", "at most one token a nanosecond", found())
            }
            InvalidLimit::TooSlow => Invalid::at(
                "/fillInterval",
                format!("a bucket of {burst} that fills within two years"),
                found(),
            ),
        })
    }
}

fn tokens(pointer: &str, count: Whole) -> Result<u64, Invalid> {
    if (1..=MAX_TOKENS).contains(&count.0) {
        return Ok(count.0);
    }
    Err(Invalid::at(pointer, "a whole number from 1 to 2^32", count.0.to_string()))
}
