//! What one rule has to say about one request before any bucket is read: whether it is about it, whose limits hold, and
//! what it costs.

use std::rc::Rc;
use std::time::Duration;

use filter_core::matching::{Facts, Operation, Truth};
use filter_core::ports::Ports;
use filter_core::{Copies, HeaderName, Headers};

use crate::config::{Cost, LimitRule, divided};
use crate::gcra::TICKS_PER_SECOND;
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

    /// The limits of this request's key and what the request costs; none if the key is not limited.
    pub(crate) fn terms(&self, facts: &Facts<'_>, replicas: u64) -> Option<(Rc<Limits>, u64)> {
        let cost = self.cost.of(facts);
        if !self.overrides.is_empty()
            && let Some(known) = self.key.texts(facts).and_then(|key| self.overrides.get(&key))
        {
            return known.as_ref().map(|limits| (Rc::clone(limits), cost));
        }
        let own = || Rc::clone(&self.limits);
        let Some(from) = &self.limit_from else { return Some((own(), cost)) };
        let Some(number) = from.part.text(facts).and_then(|text| number(&text)) else {
            return Some((own(), cost));
        };
        if number == 0 {
            // A bucket of nothing: no cost is ever covered.
            return Some((own(), u64::MAX));
        }
        let number = number.min(from.max);
        let fill = self.limits.window(0).gcra.empty(0);
        let fill = Duration::from_secs(fill / TICKS_PER_SECOND)
            .saturating_add(Duration::from_nanos(fill % TICKS_PER_SECOND / 64));
        let window = divided(number, number, fill, replicas).ok();
        let brought = window.and_then(|window| Limits::new(&[window])?.in_place_of(&self.limits));
        Some((brought.map_or_else(own, Rc::new), cost))
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
