//! Which version: every rollout that a request matches puts its user into a variant or into stable, always the same,
//! and tells the route by a header that no client can set.
//!
//! In reading order: [`mod@bucket`] hashes a key to one of a million buckets, [`hash`] does so as the experiment platforms
//! do; [`layout`] says which buckets are whose, and so what happens when weights change; [`schedule`] changes them by the
//! clock, and `shares` puts the two together; `request` is what can be asked, `key` who the user is, `selector` which
//! requests are meant, `overrides` who may choose, `sticky` what a user had, `role` and `baggage` what was decided before;
//! `assign` puts them in order, `effects` tells the upstream, and `versions` whoever counts; `guard` takes a variant off, and
//! `ways` knows the routes, which `watch` looks at when a request is over. `sign` is what clients carry for us in `preview`
//! tokens and in cookies. `config` parses, and [`compare`] holds a configuration against the one that runs.

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
mod versions;
mod watch;
mod ways;

use std::time::Duration;

use filter_core::metrics::InvalidMetric;
use filter_core::{
    Attribute, Chores, Edit, Filter, HeaderName, Invalid, Ledger, Metrics, Outcome, Phase, Ports,
    Publication, View,
};

use assign::{Assignment, Why};
pub use compare::compare;
use config::{Mode, Plan, Rollout};
pub use preview::preview_token;
use request::Request;
use versions::Versions;
use watch::Watch;

/// The canary filter.
#[derive(Debug)]
pub struct Canary {
    plan: Plan,
    /// Of each rollout.
    versions: Vec<Versions>,
    /// Of each rollout that is watched.
    watches: Vec<Option<Watch>>,
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
        let versions =
            |(place, rollout)| Versions::of(rollout, place, &ledger, metrics).map_err(uncountable);
        let versions = plan.rollouts.iter().enumerate().map(versions).collect::<Result<_, _>>()?;
        let watch = |rollout| Watch::of(rollout, metrics).map_err(uncountable);
        let watches = plan.rollouts.iter().map(watch).collect::<Result<_, _>>()?;
        plan.open(metrics).map_err(uncountable)?;
        Ok(Self { plan, versions, watches })
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
        let candidates = self.plan.candidates(&request);
        let mut said = Said::with_room(candidates.len());
        for index in candidates.iter().copied() {
            self.ask(index, &request, memo, &mut said);
        }
        let Said { mut outcome, others } = said;
        outcome.reroute = !outcome.publish.is_empty();
        let owned = &self.plan.owned;
        if owned.may_be_in(request.headers()) {
            outcome.edits = effects::over_stripped(&request, outcome.edits);
        }
        if !others.is_empty() || owned.may_be_in_baggage(request.headers()) {
            self.plan.pass_on(&request, &others, &mut outcome);
        }
        memo.cookies = request.cookies();
        outcome
    }

    fn heeds(&self, memo: &Memo, phase: Phase) -> bool {
        match phase {
            Phase::Request => false,
            Phase::Response => !memo.cookies.is_empty(),
            Phase::Log => !memo.watched.is_empty(),
        }
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

/// What rollouts say of a request, until all have.
struct Said<'p> {
    outcome: Outcome,
    /// Those that have an effect and are not plain.
    others: Vec<(&'p Rollout, Assignment)>,
}

impl Said<'_> {
    /// With room for what so many rollouts say, so that nothing of it is moved as it grows.
    fn with_room(rollouts: usize) -> Self {
        let outcome = match rollouts {
            0 => Outcome::pass(),
            _ => Outcome {
                decisions: Vec::with_capacity(rollouts),
                edits: Vec::with_capacity(rollouts),
                counts: Vec::with_capacity(rollouts),
                ..Outcome::pass()
            },
        };
        Self { outcome, others: Vec::new() }
    }
}

impl Canary {
    /// Asks a rollout. It is a function of its own, as in the loop the compiler would make ready for all of them what few
    /// come to.
    #[inline(never)]
    fn ask<'p>(
        &'p self,
        index: usize,
        request: &Request<'_>,
        memo: &mut Memo,
        said: &mut Said<'p>,
    ) {
        let Some(rollout) = self.plan.rollouts.get(index) else { return };
        if !rollout.is_about(request) {
            return;
        }
        let mut got = rollout.assign(request);
        if !rollout.is_plain {
            got = self.watch(index, rollout, got, request, memo);
        }
        if let Some(versions) = self.versions.get(index) {
            let version = versions.assigned(got);
            said.outcome.decisions.extend(version.by(got.why).cloned());
            said.outcome.counts.extend(version.count);
        }
        // In shadow nothing is ours.
        if rollout.mode == Mode::Enforce {
            said.outcome.edits.extend(rollout.edit(got));
            if !rollout.is_plain {
                rollout.tell(got, request, &mut said.outcome);
                said.others.push((rollout, got));
            }
        }
    }

    /// Keeps a user from a variant that is off, and notes what to look at when the exchange is over.
    #[inline(never)]
    fn watch(
        &self,
        index: usize,
        rollout: &Rollout,
        mut got: Assignment,
        request: &Request<'_>,
        memo: &mut Memo,
    ) -> Assignment {
        if let Some(Some(watch)) = self.watches.get(index)
            && let Some(watched) =
                watch.admit(index, &mut got, || rollout.user(request), request.ports)
        {
            memo.watched.keep(watched, request.headers());
        }
        got
    }
}
