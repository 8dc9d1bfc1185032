//! Which version: every rollout that a request matches puts its user into a variant or into stable, always the same,
//! and tells the route by a header that no client can set.
//!
//! In reading order: [`mod@bucket`] hashes a key to one of a million buckets, [`hash`] does so as the experiment platforms
//! do; [`layout`] says which buckets are whose, and so what happens when weights change; [`schedule`] changes them by the
//! clock, and `shares` puts the two together; `key` says who the user is, `assign` what that
//! user gets; `guard` takes a variant off, and `ways` knows the routes, which `watch` looks at when a request is over;
//! `config` parses.

mod assign;
pub mod bucket;
mod config;
mod guard;
pub mod hash;
mod key;
pub mod layout;
pub mod schedule;
mod shares;
mod watch;
mod ways;

use std::cell::LazyCell;
use std::time::Duration;

use filter_core::matching::{RequestLine, Truth};
use filter_core::metrics::{Family, InvalidMetric, LabelValue};
use filter_core::{
    Attribute, Chores, Count, Edit, Filter, HeaderName, Headers, Invalid, Ledger, Metrics, Outcome,
    Phase, Ports, Publication, View,
};

use assign::{Assignment, Why};
use config::{Mode, Plan, Rollout};
pub use watch::Memo;
use watch::Watch;

/// The canary filter.
#[derive(Debug)]
pub struct Canary {
    plan: Plan,
    ledger: Ledger,
    /// Of each rollout that has versions.
    assignments: Vec<Option<Versions>>,
    /// Of each rollout that is watched.
    watches: Vec<Option<Watch>>,
}

/// The counters of a rollout's versions.
#[derive(Debug)]
struct Versions {
    family: Family,
    /// Which of the family's are the variants', by their order. The first is stable's.
    places: Vec<usize>,
}

impl Filter for Canary {
    const NAME: &'static str = "canary";

    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let plan = config::parse(document)?;
        let uncountable = |error: InvalidMetric| {
            Invalid::at("/rollouts", "rollouts that can be counted", error.to_string())
        };
        let names = plan.rollouts.iter().map(|rollout| rollout.name.clone()).collect();
        let ledger = Ledger::open::<Why>(Self::NAME, names, metrics).map_err(uncountable)?;
        let versions = |rollout| Versions::of(rollout, metrics).map_err(uncountable);
        let assignments = plan.rollouts.iter().map(versions).collect::<Result<_, _>>()?;
        let watch = |rollout| Watch::of(rollout, metrics).map_err(uncountable);
        let watches = plan.rollouts.iter().map(watch).collect::<Result<_, _>>()?;
        Ok(Self { plan, ledger, assignments, watches })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        match phase {
            Phase::Log => self.watches.iter().flatten().flat_map(Watch::attributes).collect(),
            Phase::Request | Phase::Response => Vec::new(),
        }
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let headers = view.request();
        let line = LazyCell::new(|| RequestLine::of(headers));
        let clock = LazyCell::new(|| ports.clock.wall());
        let mut outcome = Outcome::pass();
        let mut published = Vec::new();
        for (index, rollout) in self.plan.rollouts.iter().enumerate() {
            // What cannot be told stays on the default route.
            let meant =
                rollout.about.as_ref().is_none_or(|about| about.matches(&line) == Truth::True);
            let mut assignment =
                meant.then(|| rollout.assign(headers, self.plan.holdout.as_ref(), || *clock));
            if let (Some(Some(watch)), Some(got)) = (self.watches.get(index), &mut assignment) {
                let key = || key::of(&rollout.key, headers);
                if let Some(watched) = watch.admit(index, got, key, ports) {
                    memo.keep(watched, *view);
                }
            }
            if let Some(assignment) = assignment {
                outcome.decisions.push(self.ledger.by(index, assignment.why));
                if let Some(Some(versions)) = self.assignments.get(index) {
                    outcome.counts.push(versions.count(assignment.variant));
                    publish(&mut published, rollout, assignment.variant);
                }
            }
            // In shadow the headers are not ours.
            if rollout.mode == Mode::Enforce {
                outcome.edits.extend(rollout.edits(headers, assignment));
            }
        }
        if !published.is_empty() {
            outcome.publish.push(Publication { name: "canary_variant", value: published });
        }
        outcome
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let (counts, words) = memo.over(&self.watches, *view);
        let publish = (!words.is_empty())
            .then_some(Publication { name: "canary_route", value: words })
            .into_iter()
            .collect();
        Outcome { counts, publish, ..Outcome::pass() }
    }

    fn period(&self) -> Option<Duration> {
        self.watches.iter().flatten().any(Watch::guards).then_some(guard::PERIOD)
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let counts = self.watches.iter().flatten().flat_map(|watch| watch.tick(ports)).collect();
        Chores { counts, ..Chores::default() }
    }
}

impl Rollout {
    /// What makes the headers say what was assigned, if anything was, and nothing that a client sent.
    fn edits(&self, headers: Headers<'_>, got: Option<Assignment>) -> impl Iterator<Item = Edit> {
        let edit = |name: &HeaderName, value: Option<Vec<u8>>| match value {
            Some(value) => Some(Edit::Set(name.clone(), value)),
            None if headers.copies(name.as_str()).next().is_some() => {
                Some(Edit::Remove(name.clone()))
            }
            None => None,
        };
        let version = self.header.as_ref().and_then(|header| {
            let version = got.and_then(|got| match got.variant {
                Some(variant) => self.variants.get(variant),
                None => self.stable.as_ref(),
            });
            edit(header, version.map(|version| version.as_str().into()))
        });
        let bucket = self.bucket_header.as_ref().and_then(|bucket| {
            let number = got.and_then(|got| got.place).map(|place| bucket.number(place));
            edit(&bucket.name, number.map(|number| number.to_string().into_bytes()))
        });
        version.into_iter().chain(bucket)
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

impl Versions {
    /// Declares a rollout's part of the counter of assignments: a family of its own, since versions are its own. A rollout
    /// without variants has none.
    fn of(rollout: &Rollout, metrics: &mut Metrics) -> Result<Option<Self>, InvalidMetric> {
        if rollout.variants.is_empty() {
            return Ok(None);
        }
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        // A platform's control is a variant, and may be the stable version.
        let mut names = vec![rollout.version(None)];
        let mut places = Vec::new();
        for variant in 0..rollout.variants.len() {
            let name = rollout.version(Some(variant));
            let known = names.iter().position(|known| *known == name);
            places.push(known.unwrap_or_else(|| {
                names.push(name);
                names.len().saturating_sub(1)
            }));
        }
        let versions = names.into_iter().map(label).collect::<Result<_, _>>()?;
        let family = metrics.counter(
            "outrigger_canary_assignments_total",
            vec![("rollout", vec![label(rollout.name.as_str())?]), ("variant", versions)],
        )?;
        Ok(Some(Self { family, places }))
    }

    fn count(&self, variant: Option<usize>) -> Count {
        let place = variant.and_then(|variant| self.places.get(variant)).copied();
        Count::Add(self.family.series(&[0, place.unwrap_or_default()]), 1)
    }
}
