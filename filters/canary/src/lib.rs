//! Which version: every rollout that a request matches puts its user into a variant or into stable, always the same,
//! and tells the route by a header that no client can set.
//!
//! In reading order: [`mod@bucket`] hashes a key to one of a million buckets, [`hash`] does so as the experiment platforms
//! do; [`layout`] says which buckets are whose, and so what happens when weights change; [`schedule`] changes them by the
//! clock, and `shares` puts the two together; `request` is what can be asked, `key` who the user is, `selector` which
//! requests are meant, `overrides` who may choose, `sticky` what a user had, `role` and `baggage` what was decided before;
//! `assign` puts them in order, and `effects` tells the upstream; `guard` takes a variant off, and `ways` knows the routes,
//! which `watch` looks at when a request is over. `sign` is what clients carry for us in `preview` tokens
//! and in cookies. `config` parses, and [`compare`] holds a configuration against the one that runs.

mod anonymous;
mod assign;
mod baggage;
pub mod bucket;
mod carrier;
mod compare;
mod config;
mod cookie;
mod effects;
mod guard;
pub mod hash;
mod key;
pub mod layout;
mod overrides;
mod preview;
mod request;
mod role;
pub mod schedule;
mod selector;
mod shares;
mod sign;
mod sticky;
mod watch;
mod ways;

use std::time::Duration;

use filter_core::matching::Truth;
use filter_core::metrics::{Family, InvalidMetric, LabelValue};
use filter_core::{
    Attribute, Chores, Count, Edit, Filter, HeaderName, Invalid, Ledger, Metrics, Outcome, Phase,
    Ports, Publication, View,
};

use assign::Why;
use baggage::Decided;
pub use compare::compare;
use config::{Mode, Plan, Rollout};
pub use preview::preview_token;
use request::Request;
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
        let mut plan = config::parse(document)?;
        let uncountable = |error: InvalidMetric| {
            Invalid::at("/rollouts", "rollouts that can be counted", error.to_string())
        };
        let names = plan.rollouts.iter().map(|rollout| rollout.name.clone()).collect();
        let ledger = Ledger::open::<Why>(Self::NAME, names, metrics).map_err(uncountable)?;
        let versions = |rollout| Versions::of(rollout, metrics).map_err(uncountable);
        let assignments = plan.rollouts.iter().map(versions).collect::<Result<_, _>>()?;
        let watch = |rollout| Watch::of(rollout, metrics).map_err(uncountable);
        let watches = plan.rollouts.iter().map(watch).collect::<Result<_, _>>()?;
        plan.open(metrics).map_err(uncountable)?;
        Ok(Self { plan, ledger, assignments, watches })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        match phase {
            Phase::Request => self.plan.attributes(),
            Phase::Response => Vec::new(),
            Phase::Log => self.watches.iter().flatten().flat_map(Watch::attributes).collect(),
        }
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let request = Request::new(view, ports, &self.plan);
        let mut outcome = Outcome::pass();
        let mut sets: Vec<Edit> = Vec::new();
        let (mut published, mut parameters, mut decided) = (Vec::new(), Vec::new(), Decided::new());
        for index in self.plan.candidates(&request) {
            let Some(rollout) = self.plan.rollouts.get(index) else { continue };
            // What cannot be told stays on the default route.
            let about = rollout.about.as_ref();
            if !about.is_none_or(|about| about.matches(request.facts.line()) == Truth::True) {
                continue;
            }
            let mut got = rollout.assign(&request);
            if let Some(Some(watch)) = self.watches.get(index)
                && let Some(watched) =
                    watch.admit(index, &mut got, || rollout.user(&request), ports)
            {
                memo.watched.keep(watched, *view);
            }
            outcome.decisions.push(self.ledger.by(index, got.why));
            if let Some(Some(versions)) = self.assignments.get(index) {
                outcome.counts.push(versions.count(got.variant));
                publish(&mut published, rollout, got.variant);
            }
            // In shadow nothing is ours.
            if rollout.mode == Mode::Enforce {
                rollout.keep(got, &request);
                sets.extend(rollout.edits(got));
                outcome.publish.extend(rollout.state(got));
                parameters.extend(rollout.emptied_parameters());
                if self.plan.carries() && !rollout.variants.is_empty() {
                    let version = rollout.version(got.variant).to_owned();
                    decided.insert(rollout.name.to_string(), version);
                }
            }
        }
        outcome.reroute = !outcome.publish.is_empty();
        if !published.is_empty() {
            outcome.publish.push(Publication { name: "canary_variant", value: published });
        }
        let is_set = |edit: &Edit| sets.iter().any(|set| set.name() == edit.name());
        outcome.edits = effects::stripped(&request);
        outcome.edits.retain(|edit| !is_set(edit));
        outcome.edits.append(&mut sets);
        outcome.edits.extend(effects::without_parameters(&request, &parameters));
        let (carried, count) = self.plan.carried(&request, decided);
        outcome.edits.extend(carried);
        outcome.counts.extend(count);
        memo.cookies = request.into_cookies();
        outcome
    }

    fn heeds(&self, memo: &Memo) -> bool {
        !memo.cookies.is_empty() || !memo.watched.is_empty()
    }

    fn on_response(&self, _: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let lines = std::mem::take(&mut memo.cookies);
        let append = |line| Edit::Append(HeaderName::literal("set-cookie"), line);
        Outcome { edits: lines.into_iter().map(append).collect(), ..Outcome::pass() }
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let (counts, words) = memo.watched.over(&self.watches, *view);
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

/// What is kept of an exchange.
#[derive(Debug, Default)]
pub struct Memo {
    /// The lines of `Set-Cookie` that the response gets.
    cookies: Vec<Vec<u8>>,
    /// What to look at when the exchange is over.
    watched: watch::Notes,
}

/// Adds `ROLLOUT=VERSION` to a list.
fn publish(list: &mut Vec<u8>, rollout: &Rollout, variant: Option<usize>) {
    let (name, version) = (rollout.name.as_str(), rollout.version(variant));
    list.reserve(name.len().saturating_add(version.len()).saturating_add(2));
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(name.as_bytes());
    list.push(b'=');
    list.extend_from_slice(version.as_bytes());
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
