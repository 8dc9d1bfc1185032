//! How much, per key: every rule that a request matches must have a token left for it, in a bucket that all workers
//! share.
//!
//! A request is first quoted by all of its rules, then charged by all of them. So a refused one is charged nowhere, and
//! in a flood the store is only read. If another worker takes the last token in between, the charges made so far are
//! taken back.
//!
//! In reading order: [`gcra`] is the algorithm, [`table`] where its numbers are kept, and [`seed`] what places them
//! there; `charge` reads, decides and swaps; `key` says whose bucket; `config` parses.

mod charge;
mod config;
pub mod gcra;
mod key;
pub mod seed;
pub mod table;

use std::cell::{LazyCell, OnceCell};

use filter_core::decision::Reason;
use filter_core::matching::{RequestLine, Truth};
use filter_core::outcome::GrpcStatus;
use filter_core::{
    Attribute, Cells, Filter, HeaderName, Invalid, Ledger, Metrics, Outcome, Phase, Ports, Reply,
    View,
};

use charge::{Quote, Receipt, Trouble, seconds};
use config::LimitRule;
use key::Subject;
use seed::Seed;

/// The ratelimit filter.
#[derive(Debug)]
pub struct RateLimit {
    rules: Vec<LimitRule>,
    ledger: Ledger,
    retry_after: HeaderName,
    /// Read from the cells once, then kept.
    seed: OnceCell<Seed>,
}

/// Why a request went through or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Every rule had a token left.
    Admitted,
    /// The rule had none.
    Limited,
    /// The request lacks the rule's key, and the rule denies that.
    MissingKey,
    /// Other workers wrote the bucket first, every time it was tried.
    Contended,
    /// The shared store could not be used.
    Unavailable,
}

impl Reason for Why {
    const ALL: &'static [Self] =
        &[Self::Admitted, Self::Limited, Self::MissingKey, Self::Contended, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Limited => "limited",
            Self::MissingKey => "missing_key",
            Self::Contended => "contended",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A request that does not go through: the rule, why, and in how many ticks it is worth another try.
struct Refused {
    rule: usize,
    why: Why,
    wait: Option<u64>,
}

impl Refused {
    fn limited(rule: usize, wait: u64) -> Self {
        Self { rule, why: Why::Limited, wait: Some(wait) }
    }

    fn trouble(rule: usize, trouble: impl Into<Trouble>) -> Self {
        let why = match trouble.into() {
            Trouble::Contended => Why::Contended,
            Trouble::Unavailable => Why::Unavailable,
        };
        Self { rule, why, wait: Some(0) }
    }
}

impl Filter for RateLimit {
    const NAME: &'static str = "ratelimit";

    type Memo = ();

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        let rules = config::parse(document)?;
        let names = rules.iter().map(|rule| rule.name.clone()).collect();
        let ledger = Ledger::open::<Why>(Self::NAME, names, metrics).map_err(|error| {
            Invalid::at("/rules", "rules that can be counted", error.to_string())
        })?;
        let retry_after = HeaderName::literal("retry-after");
        Ok(Self { rules, ledger, retry_after, seed: OnceCell::new() })
    }

    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        let asked =
            phase == Phase::Request && self.rules.iter().any(|rule| rule.key.asks_address());
        if asked { vec![Attribute::SourceAddress] } else { vec![] }
    }

    fn on_request(&self, view: &View<'_>, _: &mut (), ports: &Ports<'_>) -> Outcome {
        let decided = self.quote(view, ports).and_then(|quotes| Self::charge(quotes, ports.cells));
        match decided {
            Ok(None) => Outcome::pass(),
            Ok(Some(rule)) => Outcome::because(self.ledger.by(rule, Why::Admitted)),
            Err(refused) => self.refuse(&refused),
        }
    }
}

impl RateLimit {
    /// What each rule that the request matches says. Refused by the one that makes it wait longest, if any refuses.
    fn quote(
        &self,
        view: &View<'_>,
        ports: &Ports<'_>,
    ) -> Result<Vec<(usize, Quote<'_>)>, Refused> {
        let line = LazyCell::new(|| RequestLine::of(view.request()));
        let scene = LazyCell::new(|| self.scene(ports));
        let mut quotes = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            // What cannot be told may be meant, and a limit must hold.
            if rule.about.as_ref().is_some_and(|about| about.matches(&line) == Truth::False) {
                continue;
            }
            let (seed, now) = (*scene).map_err(|trouble| Refused::trouble(index, trouble))?;
            let key = match rule.key.subject(view, &seed) {
                Subject::Bucket(key) => key,
                Subject::Skip => continue,
                Subject::Deny => {
                    return Err(Refused { rule: index, why: Why::MissingKey, wait: None });
                }
            };
            let quote = Quote::ask(&rule.limit, rule.table.place(key), now, ports.cells)
                .map_err(|unavailable| Refused::trouble(index, unavailable))?;
            quotes.push((index, quote));
        }
        let waits = quotes.iter().filter_map(|(rule, quote)| Some((*rule, quote.wait()?)));
        match waits.rev().max_by_key(|(_, wait)| *wait) {
            Some((rule, wait)) => Err(Refused::limited(rule, wait)),
            None => Ok(quotes),
        }
    }

    /// Charges every rule, or none: the one with the fewest tokens left first, since that is where another worker may
    /// come first. Of those with the fewest left afterwards, the first is named.
    fn charge(
        mut quotes: Vec<(usize, Quote<'_>)>,
        cells: &dyn Cells,
    ) -> Result<Option<usize>, Refused> {
        quotes.sort_by_key(|(_, quote)| quote.remaining());
        let mut receipts: Vec<(usize, Receipt<'_>)> = Vec::with_capacity(quotes.len());
        for (rule, quote) in quotes {
            let refused = match quote.charge(cells) {
                Ok(Ok(receipt)) => {
                    receipts.push((rule, receipt));
                    continue;
                }
                Ok(Err(wait)) => Refused::limited(rule, wait),
                Err(trouble) => Refused::trouble(rule, trouble),
            };
            receipts.into_iter().rev().for_each(|(_, receipt)| receipt.take_back(cells));
            return Err(refused);
        }
        Ok(receipts
            .iter()
            .min_by_key(|(rule, receipt)| (receipt.remaining, *rule))
            .map(|(rule, _)| *rule))
    }

    /// The seed, and the time since its epoch.
    fn scene(&self, ports: &Ports<'_>) -> Result<(Seed, u64), Trouble> {
        let now = ports.clock.monotonic();
        let seed = match self.seed.get() {
            Some(seed) => *seed,
            None => {
                let seed = Seed::of_process(ports, now)?;
                *self.seed.get_or_init(|| seed)
            }
        };
        Ok((seed, seed.since_epoch(now)))
    }

    fn refuse(&self, refused: &Refused) -> Outcome {
        let (status, grpc_status, body) = match refused.why {
            Why::Unavailable => (503, GrpcStatus::Unavailable, "rate_limit_unavailable"),
            _ => (429, GrpcStatus::ResourceExhausted, "local_rate_limited"),
        };
        let wait = refused.wait.map(|wait| seconds(wait).to_string().into_bytes());
        let reply = Reply {
            status,
            grpc_status,
            headers: wait.into_iter().map(|wait| (self.retry_after.clone(), wait)).collect(),
            body: body.into(),
            details: String::new(),
        };
        Outcome::reply(reply, self.ledger.by(refused.rule, refused.why))
    }
}
