//! How much, per key: every rule that a request matches must have tokens left for it, in a bucket that all workers
//! share.
//!
//! A request is first quoted by all of its rules, then charged by all of them. So a refused one is charged nowhere, and
//! in a flood the store is not even read: each worker remembers whom it refused. If another worker takes the last token
//! in between, the charges made so far are given back.
//!
//! In reading order: [`gcra`] is the algorithm, [`limit`] several of it on one key, [`slot`] and [`table`] where its
//! numbers are kept, and [`seed`] what places them there; `charge` reads, decides and swaps; `memory` spares reading;
//! `key` says whose bucket, `terms` which limits and how much; `decide` plays one request, `settle` corrects its cost by the response, `answer` and
//! `fields` tell the client; `config` parses.

mod answer;
mod charge;
mod config;
mod decide;
mod fields;
pub mod gcra;
mod key;
pub mod limit;
mod memory;
mod reason;
pub mod seed;
mod settle;
pub mod slot;
pub mod table;
mod terms;

use filter_core::matching::Condition;
use filter_core::outcome::Edit;
use filter_core::{
    Attribute, Filter, HeaderName, Invalid, Ledger, Metrics, Outcome, Phase, Ports, View,
};

use charge::Receipt;
use config::{LimitHeaders, LimitRule};
use decide::{Judge, Refused, Ruling};
use fields::Standing;
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
    charged: Vec<(usize, Receipt)>,
}

impl Filter for RateLimit {
    const NAME: &'static str = "ratelimit";

    const LATER: &'static [Phase] = &[Phase::Response];

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

    fn on_response(&self, view: &View<'_>, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
        let mut outcome = Outcome::pass();
        for (index, receipt) in memo.charged.drain(..) {
            if let Some(settle) = self.rules().get(index).and_then(|rule| rule.settle.as_ref()) {
                settle.settle(&receipt, view.response(), || self.judge.now(ports), ports.cells);
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
}

impl RateLimit {
    fn rules(&self) -> &[LimitRule] {
        &self.judge.config.rules
    }

    /// Names the rule with the fewest tokens left, the first of those, and counts the others.
    fn admit(&self, ruling: &Ruling) -> Outcome {
        let fewest = |receipts: &[(usize, Receipt)]| {
            let all = receipts.iter().map(|(rule, receipt)| (receipt.remaining, *rule));
            all.min().map(|(_, rule)| rule)
        };
        let mut named = fewest(&ruling.receipts);
        let mut outcome = match (named, ruling.uncounted.first()) {
            (Some(rule), _) => Outcome::because(self.ledger.by(rule, Why::Admitted)),
            (None, Some(rule)) => {
                named = Some(*rule);
                Outcome::because(self.ledger.by(*rule, Why::Contended))
            }
            (None, None) => match fewest(&ruling.shadows) {
                Some(rule) => {
                    named = Some(rule);
                    Outcome::because(self.ledger.by(rule, Why::Admitted))
                }
                None => Outcome::pass(),
            },
        };
        for (rule, receipt) in ruling.receipts.iter().chain(&ruling.shadows) {
            if Some(*rule) != named {
                outcome.counts.push(self.ledger.by(*rule, Why::Admitted).count());
            }
            if receipt.evicted {
                outcome.counts.push(self.ledger.by(*rule, Why::Evicted).count());
            }
        }
        for rule in ruling.uncounted.iter().filter(|rule| Some(**rule) != named) {
            outcome.counts.push(self.ledger.by(*rule, Why::Contended).count());
        }
        outcome
    }

    fn refuse(&self, refused: &Refused, ruling: &Ruling, view: &View<'_>) -> Outcome {
        let Some(rule) = self.rules().get(refused.rule) else { return Outcome::pass() };
        let decision = self.ledger.by(refused.rule, refused.why);
        let grpc = view.request().is_grpc();
        let mut reply = answer::reply(&rule.reply, &rule.name, refused.why, refused.wait, grpc);
        let standings: Vec<Standing> =
            self.standings(&ruling.quotes, |quote| (&quote.claim, *quote.tats()));
        let fields = fields::fields(self.judge.config.limit_headers, &standings);
        let fields = fields.into_iter().map(|(name, value)| (name, value.into_bytes()));
        reply.headers.extend(fields);
        if let Some(name) = &self.judge.config.rule_header {
            reply.headers.push((HeaderName::clone(name), decision.evidence().into_bytes()));
        }
        Outcome::reply(reply, decision)
    }

    /// Keeps what the response phase needs, and nothing if it needs nothing.
    fn remember(&self, ruling: Ruling, outcome: &Outcome, memo: &mut Memo) {
        if self.judge.config.limit_headers != LimitHeaders::None {
            memo.standings =
                self.standings(&ruling.receipts, |receipt| (&receipt.claim, receipt.tats));
        }
        if self.judge.config.rule_header.is_some() && !outcome.decisions.is_empty() {
            let all: Vec<String> =
                outcome.decisions.iter().map(filter_core::Decision::evidence).collect();
            memo.evidence = Some(all.join(",").into_bytes());
        }
        if self.judge.settles {
            let settles =
                |rule: usize| self.rules().get(rule).is_some_and(|rule| rule.settle.is_some());
            let charged = ruling.receipts.into_iter().chain(ruling.shadows);
            memo.charged = charged.filter(|(rule, _)| settles(*rule)).collect();
        }
    }

    /// What each rule has left for the client, in order of the rules.
    fn standings<T>(
        &self,
        items: &[(usize, T)],
        state: impl Fn(&T) -> (&charge::Claim, limit::Tats),
    ) -> Vec<Standing> {
        let mut items: Vec<&(usize, T)> = items.iter().collect();
        items.sort_by_key(|(rule, _)| *rule);
        let standing = |(index, item): &(usize, T)| {
            let rule = self.rules().get(*index)?.name.clone();
            let (claim, tats) = state(item);
            Some(Standing { rule, limits: claim.limits.clone(), tats, now: claim.now })
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
