//! What one rule has to say about one request before any bucket is read: whether it is about it, whose limits hold, and
//! what it costs.

use std::rc::Rc;
use std::time::Duration;

use filter_core::matching::{Facts, Operation, Truth};
use filter_core::ports::Ports;
use filter_core::{Copies, HeaderName, Headers};

use crate::config::{Cost, LimitRule, Overrides, Quota, Settle, divided};
use crate::gcra::TICKS_PER_SECOND;
use crate::in_flight::Fleet;
use crate::limit::Limits;

impl LimitRule {
    /// Whether the rule is about a request. What cannot be told may be meant, and a limit must hold; but who cannot be
    /// told to be exempt is not.
    pub(crate) fn applies(&self, facts: &Facts<'_>) -> bool {
        let about = |about: &Operation| about.matches(facts.line());
        self.about.as_ref().map_or(Truth::True, about) != Truth::False
            && self.when.iter().all(|condition| condition.holds(facts) != Truth::False)
            && !self.exempt.iter().any(|condition| condition.holds(facts) == Truth::True)
    }

    /// Whether a refusal of this rule is one, this time. A host without randomness enforces.
    pub(crate) fn is_enforced(&self, ports: &Ports<'_>) -> bool {
        match self.enforced {
            0 => false,
            100.. => true,
            percent => {
                let drawn = u128::from_le_bytes(ports.entropy.seed()) % 100;
                drawn < u128::from(percent)
            }
        }
    }

    /// What the response makes of the cost, if anything.
    pub(crate) fn settle(&self) -> Option<&Settle> {
        match &self.quota {
            Quota::Rate(rate) => rate.settle.as_ref(),
            Quota::Concurrency(_) => None,
        }
    }

    /// The limits of this request's key and what the request costs; none if the key is not limited.
    pub(crate) fn terms(&self, facts: &Facts<'_>, replicas: u64) -> Option<Terms> {
        match &self.quota {
            Quota::Rate(rate) => {
                let cost = rate.cost.of(facts);
                if let Some(known) = self.known(&rate.overrides, facts) {
                    return Some(Terms::Rate { limits: known.clone()?, cost });
                }
                let (limits, cost) = match self.brought(facts) {
                    None => (Rc::clone(&rate.limits), cost),
                    // A bucket of nothing: no cost is ever covered.
                    Some(0) => (Rc::clone(&rate.limits), u64::MAX),
                    Some(number) => (rate.limits.refitted(number, replicas), cost),
                };
                Some(Terms::Rate { limits, cost })
            }
            Quota::Concurrency(concurrency) => {
                let most = match self.known(&concurrency.overrides, facts) {
                    Some(known) => (*known)?,
                    None => match self.brought(facts) {
                        None => concurrency.most,
                        Some(0) => 0,
                        Some(number) => number.checked_div(replicas).unwrap_or(number).max(1),
                    },
                };
                Some(Terms::InFlight { fleet: Rc::clone(&concurrency.fleet), most })
            }
        }
    }

    /// What is configured for this request's key alone.
    fn known<'a, T>(
        &self,
        overrides: &'a Overrides<T>,
        facts: &Facts<'_>,
    ) -> Option<&'a Option<T>> {
        if overrides.is_empty() {
            return None;
        }
        overrides.get(&self.key.texts(facts)?)
    }

    /// The limit that the request brings along, if it does.
    fn brought(&self, facts: &Facts<'_>) -> Option<u64> {
        let from = self.limit_from.as_ref()?;
        number(&from.part.text(facts)?).map(|number| number.min(from.max))
    }
}

/// What a rule holds a request to.
#[derive(Debug)]
pub(crate) enum Terms {
    /// So many tokens by time, of which the request costs some.
    Rate { limits: Rc<Limits>, cost: u64 },
    /// So many requests at the same time.
    InFlight { fleet: Rc<Fleet>, most: u64 },
}

impl Limits {
    /// As many tokens as `number`, over the time in which the first window fills.
    fn refitted(self: &Rc<Self>, number: u64, replicas: u64) -> Rc<Self> {
        let fill = self.window(0).gcra.empty(0);
        let fill = Duration::from_secs(fill / TICKS_PER_SECOND)
            .saturating_add(Duration::from_nanos(fill % TICKS_PER_SECOND / 64));
        let window = divided(number, number, fill, replicas).ok();
        let brought = window.and_then(|window| Self::new(&[window])?.in_place_of(self));
        brought.map_or_else(|| Rc::clone(self), Rc::new)
    }
}

impl Cost {
    /// What a request costs. One that says what cannot be read, or says it twice, costs the most.
    fn of(&self, facts: &Facts<'_>) -> u64 {
        let Some((name, most)) = &self.header else { return self.tokens };
        let mut copies = facts.headers().copies(name.as_str());
        match (copies.next(), copies.next()) {
            (None, _) => self.tokens,
            (Some(value), None) => number(value).unwrap_or(*most).clamp(self.tokens, *most),
            (Some(_), Some(_)) => *most,
        }
    }
}

/// A whole number in decimal digits. One that is too large is the largest.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text.trim_ascii()).ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The number that a header says; none if it is absent, repeated, or no number.
pub(crate) fn only_number(headers: Headers<'_>, name: &HeaderName) -> Option<u64> {
    match headers.only(name.as_str()) {
        Copies::One(value) => number(value),
        _ => None,
    }
}
