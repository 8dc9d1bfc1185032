//! One request: quoted by all of its rules, then charged by all of them, or by none.

use std::cell::{LazyCell, OnceCell};

use filter_core::matching::Facts;
use filter_core::ports::Ports;
use filter_core::{Cells, View};

use crate::charge::{Claim, Quote, Receipt, Trouble};
use crate::config::{Config, Contended};
use crate::key::Subject;
use crate::memory::Memory;
use crate::reason::Why;
use crate::seed::Seed;

/// What decides, and what it keeps from one request to the next.
pub(crate) struct Judge {
    pub(crate) config: Config,
    memory: Memory,
    /// Read from the cells once, then kept.
    seed: OnceCell<Seed>,
    /// Whether the response may correct what a request costs.
    pub(crate) settles: bool,
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
    /// The rules that did not come to count it, and let it through.
    pub(crate) uncounted: Vec<usize>,
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

impl Judge {
    pub(crate) fn new(config: Config) -> Self {
        let settles = config.rules.iter().any(|rule| rule.settle.is_some());
        let only_grows = config.rules.len() == 1 && !settles;
        Self { config, memory: Memory::default(), seed: OnceCell::new(), settles, only_grows }
    }

    /// Decides on a request, and charges it.
    pub(crate) fn rule(&self, view: &View<'_>, ports: &Ports<'_>) -> Ruling {
        let mut ruling = Ruling::default();
        if let Err(refused) = self.quote(view, ports, &mut ruling) {
            ruling.refused = Some(refused);
            return ruling;
        }
        let waits = ruling.quotes.iter().filter_map(|(rule, quote)| Some((*rule, quote.wait()?)));
        if let Some((rule, wait)) = waits.rev().max_by_key(|(_, wait)| *wait) {
            ruling.refused = Some(Refused::limited(rule, wait));
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
            let Some((limits, cost)) = rule.terms(&facts, self.config.replicas) else { continue };
            let place = rule.table.place(key);
            let claim = Claim { limits, place, cost, now, slack: rule.slack };
            let quote = match self.ask(claim, ports.cells) {
                Ok(quote) => quote,
                // Whoever only watches breaks nothing.
                Err(_) if rule.enforced == 0 => continue,
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
        if let Some(quote) = known.and_then(|tats| Quote::recalled(&claim, tats)) {
            return Ok(quote);
        }
        let mut quote = Quote::ask(claim, cells)?;
        if quote.wait().is_some() {
            quote.bar(cells)?;
            let Claim { place, now, .. } = quote.claim;
            self.memory.keep(place, *quote.tats(), now, self.only_grows);
        }
        Ok(quote)
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
                    Ok(Ok(receipt)) => ruling.shadows.push((index, receipt)),
                    Ok(Err(_)) => ruling.shadow_limited.push(index),
                    Err(_) => ruling.uncounted.push(index),
                }
                continue;
            }
            let refused = match quote.charge(ports.cells) {
                Ok(Ok(receipt)) => {
                    ruling.receipts.push((index, receipt));
                    continue;
                }
                Ok(Err(quote)) if self.config.is_enforced(index, ports) => {
                    let refused = Refused::limited(index, quote.wait().unwrap_or(0));
                    ruling.quotes.push((index, *quote));
                    refused
                }
                Ok(Err(_)) => {
                    ruling.shadow_limited.push(index);
                    continue;
                }
                Err(Trouble::Contended) if self.config.lets_contended_through(index) => {
                    ruling.uncounted.push(index);
                    continue;
                }
                Err(trouble) => Refused::trouble(index, trouble),
            };
            let charged = std::mem::take(&mut ruling.receipts);
            if !charged.is_empty() {
                let now = self.now(ports);
                let mut all = charged.into_iter().rev();
                all.by_ref().for_each(|(_, receipt)| {
                    receipt.give_back(receipt.claim.cost, now, ports.cells);
                });
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
