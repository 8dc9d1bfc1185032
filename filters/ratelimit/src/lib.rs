//! How much, per key: every rule that a request matches must have tokens left for it, in a bucket that all workers
//! share.
//!
//! A request is first quoted by all of its rules, then charged by all of them. So a refused one is charged nowhere, and
//! in a flood the store is not even read: each worker remembers whom it refused. If another worker takes the last token
//! in between, the charges made so far are given back.
//!
//! In reading order: [`gcra`] is the algorithm, [`debt`] what it leaves, [`limit`] several of it on one key, [`slot`] and [`table`] where its
//! numbers are kept, and [`seed`] what places them there; `charge` reads, decides and swaps; `memory` spares reading;
//! `in_flight` and `leases` are the same for requests at the same time, and `quote` is either of the two;
//! `key` says whose bucket, `terms` which limits and how much; `decide` plays one request, `settle` corrects its cost by the response, `answer` and
//! `fields` tell the client; `config` parses.

mod answer;
mod charge;
mod config;
pub mod debt;
mod decide;
mod fields;
pub mod gcra;
mod in_flight;
mod key;
mod leases;
pub mod limit;
mod memory;
mod quote;
mod reason;
pub mod seed;
mod settle;
pub mod slot;
pub mod table;
mod terms;

use std::time::Duration;

use filter_core::matching::Condition;
use filter_core::outcome::Edit;
use filter_core::{
    Attribute, Chores, Count, Filter, HeaderName, Invalid, Ledger, Metrics, Outcome, Phase, Ports,
    View,
};

use config::{LimitHeaders, LimitRule, Quota};
use decide::{Judge, Refused, Ruling};
use fields::{Standing, State};
use in_flight::{Fleet, Lease};
use quote::Receipt;
use reason::Why;

/// The ratelimit filter.
pub struct RateLimit {
    judge: Judge,
    ledger: Ledger,
}

/// What is kept of a request until its response, if anything is to be done then.
#[derive(Debug, Default)]
pub struct Memo {
    standings: Vec<Standing>,
    evidence: Option<Vec<u8>>,
    charged: Vec<(usize, charge::Receipt)>,
    leases: Vec<Lease>,
}

impl Filter for RateLimit {
    const NAME: &'static str = "ratelimit";

    // When it is logged, an exchange is over, and its places come back.
    const LATER: &'static [Phase] = &[Phase::Response, Phase::Log];

    type Memo = Memo;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let config = config::parse(document)?;
        let names = config.rules.iter().map(|rule| rule.name.clone()).collect();
        let ledger = Ledger::open::<Why>(Self::NAME, names, metrics).map_err(|error| {
            Invalid::at("/rules", "rules that can be counted", error.to_string())
        })?;
        Ok(Self { judge: Judge::new(config), ledger })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        if phase != Phase::Request {
            return Vec::new();
        }
        self.rules().iter().flat_map(LimitRule::attributes).collect()
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let ruling = self.judge.rule(view, ports);
        let mut outcome = match &ruling.refused {
            Some(refused) => self.refuse(refused, &ruling, view),
            None => self.admit(&ruling),
        };
        for index in &ruling.shadow_limited {
            outcome.decisions.push(self.ledger.by(*index, Why::ShadowLimited));
        }
        if ruling.refused.is_none() {
            self.remember(ruling, &outcome, memo);
        }
        outcome
    }

    fn heeds(&self, memo: &Memo, _: Phase) -> bool {
        let Memo { standings, evidence, charged, leases } = memo;
        !standings.is_empty() || evidence.is_some() || !charged.is_empty() || !leases.is_empty()
    }

    fn on_response(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let mut outcome = Outcome::pass();
        for (index, receipt) in memo.charged.drain(..) {
            if let Some(settle) = self.rules().get(index).and_then(LimitRule::settle) {
                let now = || self.judge.now(ports);
                if settle.settle(&receipt, view.response(), now, ports.cells) {
                    outcome.counts.push(self.ledger.by(index, Why::Evicted).count());
                }
            }
        }
        if !memo.standings.is_empty() {
            let fields = fields::fields(self.judge.config.limit_headers, &memo.standings);
            outcome.edits = fields::merged(fields, view.response());
        }
        if let Some((name, evidence)) =
            self.judge.config.rule_header.clone().zip(memo.evidence.take())
        {
            outcome.edits.push(Edit::Set(name, evidence));
        }
        outcome
    }

    fn on_log(&self, _: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        memo.leases.drain(..).for_each(|lease| lease.release(ports.cells));
        Outcome::pass()
    }

    fn period(&self) -> Option<Duration> {
        let shortest = self.fleets().map(|(_, fleet)| fleet.period()).min()?;
        Some(Duration::from_nanos(shortest / 64))
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let mut chores = Chores::default();
        for (rule, fleet) in self.fleets() {
            fleet.renew(|| self.judge.now(ports), ports.cells);
            let expired = fleet.expired();
            if let (1.., Count::Add(series, _)) =
                (expired, self.ledger.by(rule, Why::Expired).count())
            {
                chores.counts.push(Count::Add(series, expired));
            }
        }
        chores
    }
}

impl RateLimit {
    /// The rules on requests at the same time, and what this worker has in flight under each.
    fn fleets(&self) -> impl Iterator<Item = (usize, &Fleet)> {
        self.rules().iter().enumerate().filter_map(|(index, rule)| match &rule.quota {
            Quota::Concurrency(concurrency) => Some((index, &*concurrency.fleet)),
            Quota::Rate(_) => None,
        })
    }

    fn rules(&self) -> &[LimitRule] {
        &self.judge.config.rules
    }

    /// Names the rule with the fewest tokens left, the first of those, and counts the others.
    fn admit(&self, ruling: &Ruling) -> Outcome {
        let fewest = |receipts: &[(usize, Receipt)]| {
            let all = receipts.iter().map(|(rule, receipt)| (receipt.remaining(), *rule));
            all.min().map(|(_, rule)| (rule, Why::Admitted))
        };
        let named = fewest(&ruling.receipts)
            .or_else(|| ruling.uncounted.first().copied())
            .or_else(|| fewest(&ruling.shadows));
        let mut outcome = match named {
            Some((rule, why)) => Outcome::because(self.ledger.by(rule, why)),
            None => Outcome::pass(),
        };
        let admitted = ruling.receipts.iter().chain(&ruling.shadows);
        let admitted = admitted.map(|(rule, _)| (*rule, Why::Admitted));
        let others = admitted.chain(ruling.uncounted.iter().copied());
        let others = others.filter(|one| Some(*one) != named).chain(ruling.evictions());
        outcome.counts.extend(others.map(|(rule, why)| self.ledger.by(rule, why).count()));
        outcome
    }

    fn refuse(&self, refused: &Refused, ruling: &Ruling, view: &View<'_>) -> Outcome {
        let Some(rule) = self.rules().get(refused.rule) else { return Outcome::pass() };
        let decision = self.ledger.by(refused.rule, refused.why);
        let grpc = view.request().is_grpc();
        let mut reply = answer::reply(&rule.reply, &rule.name, refused.why, refused.wait, grpc);
        let standings: Vec<Standing> = self.standings(&ruling.quotes, quote::Quote::state);
        let fields = fields::fields(self.judge.config.limit_headers, &standings);
        let fields = fields.into_iter().map(|(name, value)| (name, value.into_bytes()));
        reply.headers.extend(fields);
        if let Some(name) = &self.judge.config.rule_header {
            reply.headers.push((HeaderName::clone(name), decision.evidence().into()));
        }
        let mut outcome = Outcome::reply(reply, decision);
        let refusing = ruling.quotes.iter().filter(|(_, quote)| quote.wait().is_some());
        let refusing = refusing.map(|(rule, quote)| (*rule, quote.why()));
        let others = refusing.filter(|one| *one != (refused.rule, refused.why));
        let others = others.chain(ruling.uncounted.iter().copied()).chain(ruling.evictions());
        outcome.counts.extend(others.map(|(rule, why)| self.ledger.by(rule, why).count()));
        outcome
    }

    /// Keeps what the response phase needs, and nothing if it needs nothing.
    fn remember(&self, ruling: Ruling, outcome: &Outcome, memo: &mut Memo) {
        if self.judge.config.limit_headers != LimitHeaders::None {
            memo.standings = self.standings(&ruling.receipts, Receipt::state);
        }
        if self.judge.config.rule_header.is_some() && !outcome.decisions.is_empty() {
            let all: Vec<&str> =
                outcome.decisions.iter().map(filter_core::Decision::evidence).collect();
            memo.evidence = Some(all.join(",").into_bytes());
        }
        let settles =
            |rule: usize| self.rules().get(rule).is_some_and(|rule| rule.settle().is_some());
        for (rule, receipt) in ruling.receipts.into_iter().chain(ruling.shadows) {
            match receipt {
                Receipt::Rate(receipt) if settles(rule) => memo.charged.push((rule, receipt)),
                Receipt::Rate(_) => {}
                Receipt::InFlight(receipt) => memo.leases.push(receipt.lease),
            }
        }
    }

    /// What each rule has left for the client, in order of the rules.
    fn standings<T>(&self, items: &[(usize, T)], state: impl Fn(&T) -> State) -> Vec<Standing> {
        let mut items: Vec<&(usize, T)> = items.iter().collect();
        items.sort_by_key(|(rule, _)| *rule);
        let standing = |(index, item): &(usize, T)| {
            let rule = self.rules().get(*index)?.name.clone();
            Some(Standing { rule, state: state(item) })
        };
        items.into_iter().filter_map(standing).collect()
    }
}

impl LimitRule {
    /// The attributes that the rule may ask for.
    fn attributes(&self) -> Vec<Attribute> {
        let conditions = self.when.iter().chain(&self.exempt);
        let conditions = conditions.filter_map(Condition::attribute);
        let limit = self.limit_from.iter().filter_map(|from| from.part.attribute());
        self.key.attributes().chain(conditions).chain(limit).collect()
    }
}
