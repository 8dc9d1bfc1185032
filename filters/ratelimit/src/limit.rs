//! Several limits on one key, as one: all windows must have room, and all are charged, or none.

use std::time::Duration;

use crate::debt::Debt;
use crate::gcra::{Gcra, NEVER, Ruling, ticks};
use crate::slot::{BARRED, Layout};

/// The most windows of one rule.
pub const MAX_WINDOWS: usize = 4;

/// What a key owes, by window; where a rule has a penalty, after its windows until when the key is barred. What a rule
/// does not have is nothing.
pub type Debts = [Debt; MAX_WINDOWS + 1];

/// The windows of a rule, or of one key that has others: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    windows: [Window; MAX_WINDOWS],
    count: usize,
    /// For how many ticks a key that was refused is barred.
    penalty: Option<u64>,
    layout: Layout,
}

/// One window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The algorithm's numbers.
    pub gcra: Gcra,
    /// How many tokens there are at most.
    pub burst: u64,
    /// In which time so many of them flow in; tells windows of one rule apart.
    pub period: Duration,
}

/// What a request is told by all windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through if the key comes to owe this.
    Admit {
        /// The debts with this request charged.
        debts: Debts,
        /// The whole tokens that are left in the window that has the fewest.
        remaining: u64,
        /// That window.
        window: usize,
    },
    /// It does not, and nothing changes.
    Refuse {
        /// The window that makes it wait longest.
        window: usize,
        /// In how many ticks it would go through, if nobody else came; [`NEVER`] if it cannot.
        retry_after: u64,
    },
}

impl Limits {
    /// These windows, the first [`MAX_WINDOWS`] of them; none without any.
    #[must_use]
    pub fn new(windows: &[Window]) -> Option<Self> {
        let mut all = [*windows.first()?; MAX_WINDOWS];
        all.iter_mut().zip(windows).for_each(|(to, from)| *to = *from);
        let id = |window: &Window| u32::try_from(window.period.as_millis()).unwrap_or(u32::MAX);
        let ids: Vec<u32> = windows.iter().map(id).collect();
        Some(Self {
            windows: all,
            count: windows.len().clamp(1, MAX_WINDOWS),
            penalty: None,
            layout: Layout::of(ids.get(..MAX_WINDOWS).unwrap_or(&ids)),
        })
    }

    /// The same, with a penalty.
    #[must_use]
    pub fn with_penalty(self, penalty: Duration) -> Self {
        let layout = self.layout.with(BARRED);
        Self { penalty: Some(ticks(penalty)), layout, ..self }
    }

    /// These limits for some keys of a rule with those others: written as the others are, and with their penalty. None
    /// if their windows are of other times.
    #[must_use]
    pub fn in_place_of(self, rule: &Self) -> Option<Self> {
        let pairs = || self.windows().iter().zip(rule.windows());
        let alike = self.count == rule.count
            && (self.count == 1 || pairs().all(|(one, other)| one.period == other.period));
        alike.then_some(Self { penalty: rule.penalty, layout: rule.layout, ..self })
    }

    /// The windows, at least one.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        self.windows.get(..self.count).unwrap_or_default()
    }

    /// One window; the first for one that there is not.
    #[must_use]
    pub fn window(&self, index: usize) -> &Window {
        let [first, ..] = &self.windows;
        self.windows().get(index).unwrap_or(first)
    }

    /// How the keys of such a rule are written.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether a request of `cost` tokens goes through at `now`, when the key owes `debts`.
    #[must_use]
    pub fn decide(&self, debts: &Debts, now: u64, cost: u64) -> Verdict {
        let (mut charged, mut fewest, mut longest) = (*debts, None, None);
        for (index, (window, debt)) in self.windows().iter().zip(&mut charged).enumerate() {
            let token = window.gcra.token();
            match window.gcra.decide(debt.reckoned(token, now), now, cost) {
                Ruling::Admit { tat, remaining } => {
                    *debt = Debt { tat, token };
                    if fewest.is_none_or(|(fewest, _)| remaining < fewest) {
                        fewest = Some((remaining, index));
                    }
                }
                Ruling::Refuse { retry_after } => {
                    if longest.is_none_or(|(longest, _)| retry_after > longest) {
                        longest = Some((retry_after, index));
                    }
                }
            }
        }
        let barred = debts.get(self.count).map_or(0, |until| until.owed(now));
        if self.penalty.is_some() && barred > longest.map_or(0, |(longest, _)| longest) {
            longest = Some((barred, longest.map_or(0, |(_, window)| window)));
        }
        match (longest, fewest) {
            (Some((retry_after, window)), _) => Verdict::Refuse { window, retry_after },
            (None, Some((remaining, window))) => {
                Verdict::Admit { debts: charged, remaining, window }
            }
            (None, None) => Verdict::Refuse { window: 0, retry_after: NEVER },
        }
    }

    /// The same debts, reckoned in these tokens.
    #[must_use]
    pub fn reckoned(&self, debts: &Debts, now: u64) -> Debts {
        let mut all = *debts;
        for (window, debt) in self.windows().iter().zip(&mut all) {
            if debt.owed(now) > 0 {
                let token = window.gcra.token();
                *debt = Debt { tat: debt.reckoned(token, now), token };
            }
        }
        all
    }

    /// Bars a key that was refused, and tells for how many ticks; none if it is barred, or the rule has no penalty.
    pub fn bar(&self, debts: &mut Debts, now: u64) -> Option<u64> {
        let (penalty, until) = (self.penalty?, debts.get_mut(self.count)?);
        if until.owed(now) > 0 {
            return None;
        }
        *until = Debt { tat: now.saturating_add(penalty), token: 0 };
        Some(penalty)
    }

    /// Whether a request of `cost` can ever go through.
    #[must_use]
    pub fn is_possible(&self, cost: u64) -> bool {
        self.windows().iter().all(|window| cost <= window.burst)
    }
}

impl Window {
    /// A bucket of `burst` tokens into which `tokens` flow every `interval`.
    ///
    /// # Errors
    /// When the numbers are out of range.
    pub fn bucket(
        burst: u64,
        tokens: u64,
        interval: Duration,
    ) -> Result<Self, crate::gcra::InvalidLimit> {
        let gcra = Gcra::new(burst, tokens, interval)?;
        Ok(Self { gcra, burst, period: interval })
    }

    /// What is left at `now` of a bucket with this debt: whole tokens, and in how many ticks there is one more; none
    /// when it is full.
    #[must_use]
    pub fn left(&self, debt: &Debt, now: u64) -> (u64, Option<u64>) {
        let interval = self.gcra.token();
        let debt = debt.reckoned(interval, now).saturating_sub(now);
        let owed = debt.div_ceil(interval.max(1));
        let next = match debt.checked_rem(interval) {
            _ if debt == 0 => None,
            Some(0) | None => Some(interval),
            Some(rest) => Some(rest),
        };
        // A debt beyond an empty bucket: what is beyond comes back first.
        let next = match debt.saturating_sub(self.gcra.empty(0)) {
            0 => next,
            over => Some(over.saturating_add(interval)),
        };
        (self.burst.saturating_sub(owed), next)
    }

    /// The seconds in which an empty bucket fills, rounded up.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        // Without the parts of a tick by which each token's time was rounded up.
        let exact = self.gcra.empty(0).saturating_sub(self.burst);
        exact.div_ceil(ticks(Duration::from_secs(1))).max(1)
    }
}

#[cfg(test)]
mod tests;
