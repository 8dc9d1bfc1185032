//! One request: quoted by all of its rules, then charged by all of them, or by none.

use std::cell::{LazyCell, OnceCell};

use filter_core::matching::Facts;
use filter_core::ports::Ports;
use filter_core::{Cells, View};

use crate::charge::{self, Claim, Trouble};
use crate::config::{Config, Contended};
use crate::in_flight;
use crate::key::Subject;
use crate::memory::Memory;
use crate::quote::{Quote, Receipt};
use crate::reason::Why;
use crate::seed::Seed;
use crate::terms::Terms;

/// What decides, and what it keeps from one request to the next.
pub(crate) struct Judge {
    pub(crate) config: Config,
    memory: Memory,
    /// Read from the cells once, then kept.
    seed: OnceCell<Seed>,
    /// Whether debts only ever grow: nothing is given back.
    only_grows: bool,
}

/// What came of a request, with the index of each rule.
#[derive(Debug, Default)]
pub(crate) struct Ruling {
    /// Why it does not go through, if so.
    pub(crate) refused: Option<Refused>,
    /// The charges of the rules that are enforced.
    pub(crate) receipts: Vec<(usize, Receipt)>,
    /// The charges of the rules that are not.
    pub(crate) shadows: Vec<(usize, Receipt)>,
    /// The rules that would have refused it, were they enforced.
    pub(crate) shadow_limited: Vec<usize>,
    /// The rules that did not come to count it, why not, and let it through.
    pub(crate) uncounted: Vec<(usize, Why)>,
    /// The rules in whose tables others lost their place to it.
    evicting: Vec<usize>,
    /// What enforced rules said, when it was refused.
    pub(crate) quotes: Vec<(usize, Quote)>,
}

/// A request that does not go through: the rule, why, and in how many ticks it is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) rule: usize,
    pub(crate) why: Why,
    pub(crate) wait: Option<u64>,
}

impl Ruling {
    /// What the rules are to count of places that were lost.
    pub(crate) fn evictions(&self) -> impl Iterator<Item = (usize, Why)> {
        self.evicting.iter().map(|rule| (*rule, Why::Evicted))
    }

    fn note(&mut self, index: usize, receipt: &Receipt) {
        if receipt.evicted() {
            self.evicting.push(index);
        }
    }
}

impl Refused {
    fn by(rule: usize, quote: &Quote) -> Self {
        Self { rule, why: quote.why(), wait: Some(quote.wait().unwrap_or(0)) }
    }

    fn trouble(rule: usize, trouble: Trouble) -> Self {
        Self { rule, why: trouble.into(), wait: Some(0) }
    }
}

impl From<Trouble> for Why {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Contended => Self::Contended,
            Trouble::Unavailable => Self::Unavailable,
        }
    }
}

impl Judge {
    pub(crate) fn new(config: Config) -> Self {
        let settles = config.rules.iter().any(|rule| rule.settle().is_some());
        // By a limit that is brought along, tokens may come back sooner than by the one that refused.
        let varies = config.rules.iter().any(|rule| rule.limit_from.is_some());
        let only_grows = config.rules.len() == 1 && !settles && !varies;
        Self { config, memory: Memory::default(), seed: OnceCell::new(), only_grows }
    }

    /// Decides on a request, and charges it.
    pub(crate) fn rule(&self, view: &View<'_>, ports: &Ports<'_>) -> Ruling {
        let mut ruling = Ruling::default();
        if let Err(refused) = self.quote(view, ports, &mut ruling) {
            ruling.refused = Some(refused);
            return ruling;
        }
        let refusing = ruling.quotes.iter().filter(|(_, quote)| quote.wait().is_some());
        if let Some((rule, quote)) = refusing.rev().max_by_key(|(_, quote)| quote.wait()) {
            ruling.refused = Some(Refused::by(*rule, quote));
            return ruling;
        }
        if let Err(refused) = self.charge(ports, &mut ruling) {
            ruling.refused = Some(refused);
        }
        ruling
    }

    /// Asks each rule that the request matches. Those that are not enforced come to `shadow_limited` if they refuse.
    fn quote(
        &self,
        view: &View<'_>,
        ports: &Ports<'_>,
        ruling: &mut Ruling,
    ) -> Result<(), Refused> {
        let facts = Facts::new(view);
        let scene = LazyCell::new(|| self.scene(ports));
        for (index, rule) in self.config.rules.iter().enumerate() {
            if !rule.applies(&facts) {
                continue;
            }
            let trouble = |trouble| Refused::trouble(index, trouble);
            let (seed, now) = (*scene).map_err(trouble)?;
            let key = match rule.key.subject(&facts, &seed) {
                Subject::Bucket(key) => key,
                Subject::Skip => continue,
                Subject::Deny if !rule.is_enforced(ports) => {
                    ruling.shadow_limited.push(index);
                    continue;
                }
                Subject::Deny => {
                    return Err(Refused { rule: index, why: Why::MissingKey, wait: None });
                }
            };
            let Some(terms) = rule.terms(&facts, self.config.replicas) else { continue };
            let place = rule.table.place(key);
            let quote = match terms {
                Terms::Rate { limits, cost } => {
                    self.ask(Claim { limits, place, cost, now }, ports.cells)
                }
                Terms::InFlight { fleet, most } => {
                    in_flight::Quote::ask(in_flight::Claim { fleet, place, most, now }, ports.cells)
                        .map(Quote::from)
                }
            };
            let quote = match quote {
                Ok(quote) => quote,
                // Whoever only watches breaks nothing.
                Err(error) if rule.enforced == 0 => {
                    ruling.uncounted.push((index, error.into()));
                    continue;
                }
                Err(error) => return Err(trouble(error)),
            };
            if quote.wait().is_some() && !rule.is_enforced(ports) {
                ruling.shadow_limited.push(index);
            } else {
                ruling.quotes.push((index, quote));
            }
        }
        Ok(())
    }

    /// What a rule says to a key: from memory if the key is known to owe too much, else from the store.
    fn ask(&self, claim: Claim, cells: &dyn Cells) -> Result<Quote, Trouble> {
        let known = self.memory.recall(&claim.place, claim.now);
        if let Some(quote) = known.and_then(|debts| charge::Quote::recalled(&claim, debts)) {
            return Ok(quote.into());
        }
        let mut quote = charge::Quote::ask(claim, cells)?;
        if quote.wait().is_some() {
            quote.bar(cells)?;
            let Claim { place, now, .. } = quote.claim;
            self.memory.keep(place, *quote.debts(), now, self.only_grows);
        }
        Ok(quote.into())
    }

    /// Charges every rule, or none: the one with the fewest tokens left first, since that is where another worker may
    /// come first. Rules that are only watched come last, each by itself.
    fn charge(&self, ports: &Ports<'_>, ruling: &mut Ruling) -> Result<(), Refused> {
        let mut quotes = std::mem::take(&mut ruling.quotes);
        let watched = |index: usize| self.config.enforced(index) == 0;
        quotes.sort_by_key(|(index, quote)| (watched(*index), quote.remaining()));
        for (index, quote) in quotes {
            if watched(index) {
                match quote.charge(ports.cells) {
                    Ok(Ok(receipt)) => {
                        ruling.note(index, &receipt);
                        ruling.shadows.push((index, receipt));
                    }
                    Ok(Err(_)) => ruling.shadow_limited.push(index),
                    Err(trouble) => ruling.uncounted.push((index, trouble.into())),
                }
                continue;
            }
            let refused = match quote.charge(ports.cells) {
                Ok(Ok(receipt)) => {
                    ruling.note(index, &receipt);
                    ruling.receipts.push((index, receipt));
                    continue;
                }
                Ok(Err(quote)) if self.config.is_enforced(index, ports) => {
                    let refused = Refused::by(index, &quote);
                    ruling.quotes.push((index, quote));
                    refused
                }
                Ok(Err(_)) => {
                    ruling.shadow_limited.push(index);
                    continue;
                }
                Err(Trouble::Contended) if self.config.lets_contended_through(index) => {
                    ruling.uncounted.push((index, Why::Contended));
                    continue;
                }
                Err(trouble) => Refused::trouble(index, trouble),
            };
            let charged = std::mem::take(&mut ruling.receipts);
            if !charged.is_empty() {
                let now = self.now(ports);
                let all = charged.into_iter().rev();
                all.for_each(|(_, receipt)| receipt.take_back(now, ports.cells));
            }
            return Err(refused);
        }
        Ok(())
    }

    /// The time since the epoch; none without a clock or before there is an epoch.
    pub(crate) fn now(&self, ports: &Ports<'_>) -> Option<u64> {
        let now = ports.clock.monotonic();
        let seed = self.seed.get()?;
        (!now.is_zero()).then(|| seed.since_epoch(now))
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
}

impl Config {
    fn enforced(&self, index: usize) -> u8 {
        self.rules.get(index).map_or(100, |rule| rule.enforced)
    }

    fn is_enforced(&self, index: usize, ports: &Ports<'_>) -> bool {
        self.rules.get(index).is_none_or(|rule| rule.is_enforced(ports))
    }

    fn lets_contended_through(&self, index: usize) -> bool {
        self.rules.get(index).is_some_and(|rule| rule.contended == Contended::Allow)
    }
}
