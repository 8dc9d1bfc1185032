//! From the document to rollouts, or a refusal.

use std::collections::HashMap;

use filter_core::config::{self, Object};
use filter_core::headers::OwnedHeader;
use filter_core::matching::{NonEmpty, Operation};
use filter_core::{HeaderName, Invalid, Rule};
use serde::Deserialize;

use crate::bucket::PartsPerMillion;
use crate::key::Part;
use crate::layout::Layout;

/// The most variants of one rollout.
const MAX_VARIANTS: usize = 100;
/// What the stable version is called where no value is set for it.
const STABLE: &str = "stable";

/// One decision between versions.
#[derive(Clone, Debug)]
pub(crate) struct Rollout {
    pub(crate) name: Rule,
    /// The requests it is about; all if none are said.
    pub(crate) about: Option<Operation>,
    /// The header that tells the route which version it is.
    pub(crate) header: HeaderName,
    pub(crate) key: Vec<Part>,
    pub(crate) salt: String,
    pub(crate) stable: Option<Rule>,
    pub(crate) variants: Vec<Rule>,
    pub(crate) layout: Layout,
}

impl Rollout {
    /// What a variant, or the stable version, is called.
    pub(crate) fn version(&self, variant: Option<usize>) -> &str {
        let name = match variant {
            Some(variant) => self.variants.get(variant),
            None => self.stable.as_ref(),
        };
        name.map_or(STABLE, Rule::as_str)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `rollouts`")]
struct Raw {
    rollouts: NonEmpty<Object<RawRollout>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRollout {
    name: Rule,
    r#match: Option<Operation>,
    header: OwnedHeader,
    key: NonEmpty<Object<RawPart>>,
    salt: Option<String>,
    stable: Option<Rule>,
    variants: NonEmpty<Object<RawVariant>>,
    #[expect(dead_code, reason = "one policy so far, which may be written out")]
    missing_key: Option<MissingKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawPart {
    header: Option<HeaderName>,
    /// A cookie's name is a token, as a header's is (RFC 6265 §4.1.1), but with its case.
    cookie: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawVariant {
    name: Rule,
    weight: PartsPerMillion,
}

/// What a request without a key gets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum MissingKey {
    Stable,
}

/// The rollouts that a document writes.
pub(crate) fn parse(document: &[u8]) -> Result<Vec<Rollout>, Invalid> {
    let raw: Raw = config::parse(document)?;
    let rollouts = raw.rollouts.into_vec().into_iter().enumerate();
    let (mut names, mut headers) = (HashMap::new(), HashMap::new());
    let compile = |(index, Object(rollout)): (usize, Object<RawRollout>)| {
        let pointer = format!("/rollouts/{index}");
        for (field, taken) in [
            ("name", names.insert(rollout.name.to_string(), index)),
            ("header", headers.insert(rollout.header.0.to_string(), index)),
        ] {
            if let Some(first) = taken {
                let found = format!("the {field} of /rollouts/{first}");
                let expected = format!("a {field} of its own");
                return Err(Invalid::at(format!("{pointer}/{field}"), expected, found));
            }
        }
        rollout.compile().map_err(|invalid| invalid.under(&pointer))
    };
    rollouts.map(compile).collect()
}

impl RawRollout {
    fn compile(self) -> Result<Rollout, Invalid> {
        let part = |(index, Object(part)): (usize, Object<RawPart>)| {
            part.compile().map_err(|invalid| invalid.under(&format!("/key/{index}")))
        };
        let key =
            self.key.into_vec().into_iter().enumerate().map(part).collect::<Result<_, _>>()?;
        let given = self.variants.into_vec().into_iter().map(|Object(variant)| variant);
        let (variants, layout) = variants(given.collect(), self.stable.as_ref())
            .map_err(|invalid| invalid.under("/variants"))?;
        Ok(Rollout {
            salt: self.salt.unwrap_or_else(|| self.name.to_string()),
            name: self.name,
            about: self.r#match,
            header: self.header.0,
            key,
            stable: self.stable,
            variants,
            layout,
        })
    }
}

impl RawPart {
    fn compile(self) -> Result<Part, Invalid> {
        match (self.header, self.cookie) {
            (Some(header), None) => Ok(Part::Header(header)),
            (None, Some(cookie)) if HeaderName::parse(&cookie).is_some() => {
                Ok(Part::Cookie(cookie))
            }
            (None, Some(cookie)) => {
                Err(Invalid::at("/cookie", "a cookie's name", format!("{cookie:?}")))
            }
            (Some(_), Some(_)) => Err(Invalid::at("", "either `header` or `cookie`", "both")),
            (None, None) => Err(Invalid::at("", "either `header` or `cookie`", "neither")),
        }
    }
}

/// The names of the variants, each its own, and the layout of their weights.
fn variants(raw: Vec<RawVariant>, stable: Option<&Rule>) -> Result<(Vec<Rule>, Layout), Invalid> {
    if raw.len() > MAX_VARIANTS {
        let expected = format!("at most {MAX_VARIANTS} variants");
        return Err(Invalid::at("", expected, raw.len().to_string()));
    }
    let mut names = vec![stable.map_or(STABLE, Rule::as_str)];
    for (index, variant) in raw.iter().enumerate() {
        let name = variant.name.as_str();
        if names.contains(&name) {
            let expected = "a name that neither another variant nor the stable version has";
            return Err(Invalid::at(format!("/{index}/name"), expected, format!("`{name}`")));
        }
        names.push(name);
    }
    let weights: Vec<_> = raw.iter().map(|variant| variant.weight).collect();
    let layout = Layout::new(&weights).ok_or_else(|| {
        let sum: u64 = weights.iter().map(|weight| u64::from(weight.parts())).sum();
        let found = format!("{} %", decimal(sum));
        Invalid::at("", "weights of at most 100 % together", found)
    })?;
    Ok((raw.into_iter().map(|variant| variant.name).collect(), layout))
}

/// Parts per million as a percentage.
fn decimal(parts: u64) -> String {
    let text = format!("{}.{:04}", parts / 10_000, parts % 10_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
