//! Which version: every rollout that a request matches puts its user into a variant or into stable, always the same,
//! and tells the route by a header that no client can set.
//!
//! In reading order: [`mod@bucket`] hashes a key to one of a million buckets, [`layout`] says which buckets are whose,
//! and so what happens when weights change; `key` says who the user is; `config` parses.

pub mod bucket;
mod config;
pub mod hash;
mod key;
pub mod layout;

use std::cell::LazyCell;

use filter_core::decision::Reason;
use filter_core::matching::{RequestLine, Truth};
use filter_core::metrics::{Family, InvalidMetric, LabelValue};
use filter_core::{
    Count, Edit, Filter, Headers, Invalid, Ledger, Metrics, Outcome, Ports, Publication, View,
};

use bucket::bucket;
use config::Rollout;

/// The canary filter.
#[derive(Debug)]
pub struct Canary {
    rollouts: Vec<Rollout>,
    ledger: Ledger,
    /// Of each rollout, the counters of its versions: stable, then the variants.
    assignments: Vec<Family>,
}

/// Why a user got a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The bucket belongs to a variant.
    Bucket,
    /// The bucket belongs to none.
    Stable,
    /// There is no key to know the user by.
    MissingKey,
}

impl Reason for Why {
    const ALL: &'static [Self] = &[Self::Bucket, Self::Stable, Self::MissingKey];

    fn as_str(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Stable => "stable",
            Self::MissingKey => "missing_key",
        }
    }
}

impl Filter for Canary {
    const NAME: &'static str = "canary";

    type Memo = ();

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let rollouts = config::parse(document)?;
        let uncountable = |error: InvalidMetric| {
            Invalid::at("/rollouts", "rollouts that can be counted", error.to_string())
        };
        let names = rollouts.iter().map(|rollout| rollout.name.clone()).collect();
        let ledger = Ledger::open::<Why>(Self::NAME, names, metrics).map_err(uncountable)?;
        let assignments = rollouts
            .iter()
            .map(|rollout| count_by_version(rollout, metrics).map_err(uncountable))
            .collect::<Result<_, _>>()?;
        Ok(Self { rollouts, ledger, assignments })
    }

    fn on_request(&self, view: &View<'_>, _: &mut (), _: &Ports<'_>) -> Outcome {
        let headers = view.request();
        let line = LazyCell::new(|| RequestLine::of(headers));
        let mut outcome = Outcome::pass();
        let mut published = Vec::new();
        for (index, rollout) in self.rollouts.iter().enumerate() {
            // What cannot be told stays on the default route.
            let meant =
                rollout.about.as_ref().is_none_or(|about| about.matches(&line) == Truth::True);
            let value = if meant {
                let (why, variant) = rollout.assign(headers);
                outcome.decisions.push(self.ledger.by(index, why));
                outcome.counts.extend(self.count(index, variant));
                publish(&mut published, rollout, variant);
                variant.map_or(rollout.stable.as_ref(), |variant| rollout.variants.get(variant))
            } else {
                None
            };
            let name = rollout.header.clone();
            match value {
                Some(value) => outcome.edits.push(Edit::Set(name, value.as_str().into())),
                None if headers.copies(rollout.header.as_str()).next().is_some() => {
                    outcome.edits.push(Edit::Remove(name));
                }
                None => {}
            }
        }
        if !published.is_empty() {
            outcome.publish.push(Publication { name: "canary_variant", value: published });
        }
        outcome
    }
}

impl Canary {
    fn count(&self, rollout: usize, variant: Option<usize>) -> Option<Count> {
        let version = variant.map_or(0, |variant| variant.saturating_add(1));
        Some(Count::Add(self.assignments.get(rollout)?.series(&[0, version]), 1))
    }
}

impl Rollout {
    /// The variant that the request's user is in; none for stable.
    fn assign(&self, headers: Headers<'_>) -> (Why, Option<usize>) {
        let Some(key) = key::of(&self.key, headers) else {
            return (Why::MissingKey, None);
        };
        match self.layout.variant(bucket(&self.salt, key)) {
            Some(variant) => (Why::Bucket, Some(variant)),
            None => (Why::Stable, None),
        }
    }
}

/// Adds `ROLLOUT=VERSION` to a list.
fn publish(list: &mut Vec<u8>, rollout: &Rollout, variant: Option<usize>) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(rollout.name.as_str().as_bytes());
    list.push(b'=');
    list.extend_from_slice(rollout.version(variant).as_bytes());
}

/// Declares a rollout's part of the counter of assignments: a family of its own, since versions are its own.
fn count_by_version(rollout: &Rollout, metrics: &mut Metrics) -> Result<Family, InvalidMetric> {
    let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
    let variants = (0..rollout.variants.len()).map(Some);
    let versions = std::iter::once(None).chain(variants);
    let versions = versions.map(|variant| label(rollout.version(variant)));
    metrics.counter(
        "outrigger_canary_assignments_total",
        vec![
            ("rollout", vec![label(rollout.name.as_str())?]),
            ("variant", versions.collect::<Result<_, _>>()?),
        ],
    )
}
