//! What all workers know of a rollout's versions: what came of their requests in a sliding window, and whether they are on.
//!
//! One cell holds it all, so that a variant is compared with stable, taken off and counted as such in one atomic change.
//! The cell belongs to the rollout's name, and what it says of a version to the version's: a push of a configuration
//! changes neither.

use super::judge::{Tally, Terms, Verdict};

/// How many slices the window has.
pub(crate) const SLICES: usize = 10;
/// For how long versions are remembered that no configuration names any more, in nanoseconds: an hour.
const REMEMBERED: u64 = 3_600_000_000_000;
/// How many of those.
const MAX_OTHERS: usize = 100;

/// All versions of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Board {
    /// How long a slice is, in nanoseconds, and the number of the newest.
    pub(super) slice: u64,
    pub(super) newest: u64,
    pub(super) records: Vec<Record>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(super) name: String,
    /// Changes with every phase.
    pub(crate) epoch: u32,
    pub(crate) phase: Phase,
    /// When it was written last, in nanoseconds.
    pub(super) touched: u64,
    /// The newest first.
    pub(super) window: [Tally; SLICES],
}

/// Whether a version is on. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has its whole weight, since then, and so many ejections are still held against it.
    Whole { since: u64, ejections: u32 },
    /// It is off until then, for so many ejections.
    Ejected { until: u64, ejections: u32 },
    /// Some of its users try it, and this came of it.
    Probing { seen: Tally, ejections: u32 },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Whole { since: 0, ejections: 0 }
    }
}

/// What happened to a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It was taken off.
    Ejected,
    /// Some of its users may try it.
    Probing,
    /// It failed them, and was taken off for longer.
    EjectedAgain,
    /// It has its whole weight again.
    Recovered,
}

impl Event {
    /// Every event, in the order of the label's values.
    pub(crate) const ALL: [Self; 4] =
        [Self::Ejected, Self::Probing, Self::EjectedAgain, Self::Recovered];

    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ejected => "ejected",
            Self::Probing => "probing",
            Self::EjectedAgain => "ejected_again",
            Self::Recovered => "recovered",
        }
    }
}

/// What one worker has to add about a version, as long as the version's epoch is this one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    pub(crate) epoch: u32,
    pub(crate) tally: Tally,
}

impl Board {
    /// Adds what a worker has seen of these versions, of which the first is stable, and draws the conclusions. Tells what
    /// happened to which.
    pub(crate) fn take(
        &mut self,
        terms: &Terms,
        names: &[String],
        news: &[News],
        now: u64,
    ) -> Vec<(usize, Event)> {
        self.advance(terms.slice, now);
        self.arrange(names);
        for (record, news) in self.records.iter_mut().zip(news) {
            record.touched = now;
            if record.epoch == news.epoch {
                record.add(news.tally);
            }
        }
        let mut events = Vec::new();
        let mut own = self.records.iter_mut().take(names.len());
        if let Some(stable) = own.next() {
            // It may have been a variant under the same name.
            stable.phase = Phase::default();
            let compared = stable.sum();
            for (variant, record) in own.enumerate() {
                let event = record.turn(terms, compared, now);
                events.extend(event.map(|event| (variant.saturating_add(1), event)));
            }
        }
        self.records.retain(|record| now.saturating_sub(record.touched) <= REMEMBERED);
        self.records.truncate(names.len().saturating_add(MAX_OTHERS));
        events
    }

    /// Puts what is said of these versions first, in their order.
    pub(crate) fn arrange(&mut self, names: &[String]) {
        let mut own: Vec<Record> = names.iter().map(|name| self.remove(name)).collect();
        own.append(&mut self.records);
        self.records = own;
    }

    /// Moves the windows on. With slices of another length what was counted says nothing.
    fn advance(&mut self, slice: u64, now: u64) {
        let newest = now.checked_div(slice).unwrap_or_default();
        let passed = if self.slice == slice {
            usize::try_from(newest.saturating_sub(self.newest)).unwrap_or(SLICES).min(SLICES)
        } else {
            self.newest = 0;
            SLICES
        };
        (self.slice, self.newest) = (slice, self.newest.max(newest));
        for record in &mut self.records {
            record.window.rotate_right(passed);
            record.window.iter_mut().take(passed).for_each(|slice| *slice = Tally::default());
        }
    }

    /// What is said of a version, which is not in the list any more.
    fn remove(&mut self, name: &str) -> Record {
        match self.records.iter().position(|record| record.name == name) {
            Some(place) => self.records.remove(place),
            None => Record { name: name.to_owned(), ..Record::default() },
        }
    }
}

impl Record {
    /// What came of its requests in the window.
    fn sum(&self) -> Tally {
        self.window.iter().fold(Tally::default(), |mut sum, slice| {
            sum.add(*slice);
            sum
        })
    }

    fn add(&mut self, tally: Tally) {
        match &mut self.phase {
            Phase::Whole { .. } => {
                if let Some(slice) = self.window.first_mut() {
                    slice.add(tally);
                }
            }
            Phase::Probing { seen, .. } => seen.add(tally),
            Phase::Ejected { .. } => {}
        }
    }

    /// Goes from one phase to the next, if it is time.
    fn turn(&mut self, terms: &Terms, stable: Tally, now: u64) -> Option<Event> {
        let eject = |ejections: u32| {
            let off = terms.base_ejection.saturating_mul(u64::from(ejections));
            Phase::Ejected { until: now.saturating_add(off.min(terms.max_ejection)), ejections }
        };
        let (phase, event) = match self.phase {
            Phase::Whole { since, ejections } => {
                let verdict = terms.judge(self.sum(), stable, terms.min_requests);
                if verdict != Verdict::Bad {
                    return None;
                }
                // As in Envoy, every interval without an ejection takes one away.
                let window = terms.slice.saturating_mul(u64::try_from(SLICES).unwrap_or(1));
                let rested = now.saturating_sub(since).checked_div(window).unwrap_or_default();
                let held = u64::from(ejections).saturating_sub(rested);
                let held = u32::try_from(held).unwrap_or(ejections);
                (eject(held.saturating_add(1)), Event::Ejected)
            }
            Phase::Ejected { until, ejections } if until <= now => {
                (Phase::Probing { seen: Tally::default(), ejections }, Event::Probing)
            }
            Phase::Ejected { .. } => return None,
            Phase::Probing { seen, ejections } => {
                match terms.judge(seen, stable, terms.half_open_requests) {
                    Verdict::Unknown => return None,
                    Verdict::Bad => (eject(ejections.saturating_add(1)), Event::EjectedAgain),
                    Verdict::Good => (Phase::Whole { since: now, ejections }, Event::Recovered),
                }
            }
        };
        self.phase = phase;
        self.epoch = self.epoch.wrapping_add(1);
        self.window = [Tally::default(); SLICES];
        Some(event)
    }
}

#[cfg(test)]
mod tests;
