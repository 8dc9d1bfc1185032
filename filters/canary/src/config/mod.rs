//! From the document to rollouts, or a refusal.

mod cookie;
mod document;
mod overrides;
mod parts;
mod rollout;
mod variants;
mod watch;

use std::borrow::Cow;

use filter_core::matching::{Index, Operation};
use filter_core::metrics::InvalidMetric;
use filter_core::{Attribute, HeaderName, Metrics, Rule, Series};
use serde::Deserialize;

use crate::bucket::{Murmur, PartsPerMillion};
use crate::cookie::Cookie;
use crate::effects::Owned;
use crate::hash::Hash;
use crate::key::{MissingKey, Part};
use crate::overrides::Override;
use crate::request::Request;
use crate::role::Role;
use crate::selector::Selector;
use crate::shares::Shares;
use crate::sign::Keys;
use crate::sticky::Sticky;
pub(crate) use document::parse;
pub(crate) use watch::{Overrides, Watched};

/// What the stable version is called where no value is set for it.
const STABLE: &str = "stable";

/// One decision between versions.
#[derive(Clone, Debug)]
pub(crate) struct Rollout {
    pub(crate) name: Rule,
    /// The requests it is about; all if none are said.
    pub(crate) about: Option<Operation>,
    pub(crate) mode: Mode,
    /// The header that tells the route which version it is.
    pub(crate) header: Option<HeaderName>,
    pub(crate) bucket_header: Option<BucketHeader>,
    /// The filter state that tells the route.
    pub(crate) filter_state: Option<&'static str>,
    pub(crate) switch: Switch,
    pub(crate) overrides: Vec<Override>,
    /// Requests that it is not for.
    pub(crate) exclude: Vec<Selector>,
    /// Requests that get a version whole: a variant, or none for stable.
    pub(crate) segments: Vec<(Selector, Option<usize>)>,
    pub(crate) sticky: Option<Sticky>,
    /// Of sticky cookies, those of this version count.
    pub(crate) bucket_version: u64,
    /// Whoever has one of an earlier version is excluded.
    pub(crate) min_bucket_version: u64,
    pub(crate) key: Vec<Part>,
    pub(crate) missing: MissingKey,
    pub(crate) hash: Hash,
    pub(crate) salt: String,
    /// Our own hash, with the salt in it.
    pub(crate) salted: Murmur,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) stable: Option<Rule>,
    pub(crate) variants: Vec<Rule>,
    pub(crate) shares: Shares,
    pub(crate) watched: Option<Watched>,
    /// Whether nothing decides but the weights, and nothing tells but a header. So it is with most, and one question spares
    /// them many.
    pub(crate) is_plain: bool,
}

/// Whether a decision has an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Mode {
    /// It is what happens.
    #[default]
    Enforce,
    /// It is counted and published, and headers stay as they came.
    Shadow,
}

/// Whether a rollout runs at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    On,
    /// Everybody gets stable.
    Killed,
}

/// A header that tells the route where the user lies, for weights that somebody else keeps.
#[derive(Clone, Debug)]
pub(crate) struct BucketHeader {
    pub(crate) name: HeaderName,
    /// How many places there are, from zero on: the sum of the route's weights.
    pub(crate) buckets: u32,
}

/// What experiments that exclude each other share: each has the users between two places.
#[derive(Clone, Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) from: PartsPerMillion,
    pub(crate) to: PartsPerMillion,
}

/// Users who get stable of everything, so that there is somebody to compare with.
#[derive(Clone, Debug)]
pub(crate) struct Holdout {
    pub(crate) salt: String,
    pub(crate) weight: PartsPerMillion,
}

/// Everything that a document says.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rollouts: Vec<Rollout>,
    /// Their places.
    pub(crate) all: Vec<usize>,
    pub(crate) holdout: Option<Holdout>,
    pub(crate) role: Role,
    /// The key of our member of baggage.
    pub(crate) member: String,
    pub(crate) carry: Option<Carry>,
    pub(crate) keys: Option<Keys>,
    pub(crate) anonymous: Option<Cookie>,
    pub(crate) owned: Owned,
    index: Option<Index>,
}

/// That decisions travel in baggage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carry {
    /// How often they could not, as the header would have become too long.
    pub(crate) too_long: Series,
}

impl Plan {
    /// Declares what is counted besides decisions.
    pub(crate) fn open(&mut self, metrics: &mut Metrics) -> Result<(), InvalidMetric> {
        if let Some(carry) = &mut self.carry {
            let family = metrics.counter("outrigger_canary_baggage_too_long_total", Vec::new())?;
            carry.too_long = family.series(&[]);
        }
        Ok(())
    }

    /// The places of the rollouts that may be about a request, in order.
    pub(crate) fn candidates(&self, request: &Request<'_>) -> Cow<'_, [usize]> {
        let index = self.index.as_ref();
        let found = index.and_then(|index| request.facts.line().candidates(index));
        found.map_or(Cow::Borrowed(&self.all), Cow::Owned)
    }

    /// The attributes that decisions ask for, each once.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let mut all = self.role.attributes();
        for rollout in &self.rollouts {
            all.extend(rollout.key.iter().filter_map(Part::attribute));
            let segments = rollout.segments.iter().map(|(selector, _)| selector);
            let overrides = rollout.overrides.iter().filter_map(Override::selector);
            for selector in rollout.exclude.iter().chain(segments).chain(overrides) {
                all.extend(selector.attributes());
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }
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

    /// The version of this name: a variant, or none for stable.
    pub(crate) fn version_named(&self, name: &str) -> Option<Option<usize>> {
        version_named(name, self.stable.as_ref(), &self.variants)
    }
}

fn version_named(name: &str, stable: Option<&Rule>, variants: &[Rule]) -> Option<Option<usize>> {
    // A platform's control is a variant, and may have the name of stable.
    let variant = variants.iter().position(|variant| variant.as_str() == name);
    let is_stable = name == stable.map_or(STABLE, Rule::as_str);
    variant.map(Some).or_else(|| is_stable.then_some(None))
}
