//! Takes a variant off that does worse than it may, in every worker of the proxy, and lets it back by degrees.
//!
//! A request costs no cell: each worker counts in its memory, and by the clock adds what it counted to the board that all
//! share ([`board`]), which draws the conclusions; [`judge`] says when a variant does too badly, [`ending`] what is bad.
//! What a worker knows of the board is as old as its last tick.

pub(crate) mod board;
mod codec;
pub(crate) mod ending;
pub(crate) mod judge;

use std::cell::RefCell;
use std::time::Duration;

use filter_core::cells::{Step, Updated, update};
use filter_core::metrics::{Family, InvalidMetric, LabelValue};
use filter_core::{Count, Metrics, Ports, Rule};

use crate::bucket::bucket;
use board::{Board, Event, News, Phase};
use ending::Endings;
use judge::{Tally, Terms};

/// How often a worker tells the others what it counted, and learns what they did.
pub(crate) const PERIOD: Duration = Duration::from_millis(200);
/// How often a cell is tried to be written in a row.
const ATTEMPTS: u32 = 16;

/// The guard of one rollout, in one worker.
#[derive(Debug)]
pub(crate) struct Guard {
    terms: Terms,
    rollout: Rule,
    cell: Vec<u8>,
    /// The versions, the first being stable.
    names: Vec<String>,
    events: Family,
    seen: RefCell<Seen>,
}

/// What a worker knows of the board, and what the board does not know of it.
#[derive(Debug, Default)]
struct Seen {
    /// Whether it ever looked.
    looked: bool,
    /// How many changes of phases it saw.
    changes: u64,
    versions: Vec<Version>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Version {
    gate: Gate,
    /// When it became so, in changes that the worker saw. What was decided before says nothing of what is now.
    since: u64,
    news: News,
}

/// Who gets a variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Gate {
    /// All whose it is.
    #[default]
    Open,
    /// A few of them.
    HalfOpen,
    /// Nobody.
    Closed,
}

/// When something was decided, in changes that the worker saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Guard {
    /// The guard of a rollout over these versions, of which the first is stable.
    ///
    /// # Errors
    /// When its events cannot be counted.
    pub(crate) fn new(
        terms: Terms,
        rollout: &Rule,
        names: Vec<String>,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let label = |text: &str| LabelValue::parse(text).ok_or(InvalidMetric::Name);
        let labels = vec![
            ("rollout", vec![label(rollout.as_str())?]),
            ("variant", names.iter().skip(1).map(|name| label(name)).collect::<Result<_, _>>()?),
            ("result", Event::ALL.iter().map(|e| label(e.as_str())).collect::<Result<_, _>>()?),
        ];
        let seen = Seen { versions: vec![Version::default(); names.len()], ..Seen::default() };
        Ok(Self {
            terms,
            cell: format!("canary guard {rollout}").into_bytes(),
            rollout: rollout.clone(),
            names,
            events: metrics.counter("outrigger_canary_guard_total", labels)?,
            seen: RefCell::new(seen),
        })
    }

    /// What is bad.
    pub(crate) fn endings(&self) -> &Endings {
        &self.terms.endings
    }

    /// What a decision now is made on, having looked at the board at least once: a configuration that is new to a worker
    /// is not to begin with a variant that is off.
    pub(crate) fn now(&self, ports: &Ports<'_>) -> Moment {
        if !self.seen.borrow().looked
            && let Ok(cell) = ports.cells.load(&self.cell)
        {
            let mut board = Board::parse(cell.as_ref().map(|cell| cell.value.as_slice()));
            board.arrange(&self.names);
            self.seen.borrow_mut().learn(&board);
        }
        Moment(self.seen.borrow().changes)
    }

    /// Who gets the version.
    pub(crate) fn gate(&self, version: usize) -> Gate {
        self.seen.borrow().versions.get(version).map_or(Gate::Open, |version| version.gate)
    }

    /// Who gets the version that is worst off, for routes that choose among them.
    pub(crate) fn strictest(&self) -> Gate {
        let seen = self.seen.borrow();
        seen.versions.iter().map(|version| version.gate).max().unwrap_or_default()
    }

    /// Whether a user is one of the few who try a variant that was off: always the same ones.
    pub(crate) fn probes(&self, key: &[u8]) -> bool {
        bucket(&format!("probe:{}", self.rollout), key) < self.terms.half_open.parts()
    }

    /// Counts what came of a request, if what was decided of it then is how it is now.
    pub(crate) fn count(&self, version: usize, decided: Moment, tally: Tally) {
        if let Some(version) = self.seen.borrow_mut().versions.get_mut(version)
            && decided.0 >= version.since
        {
            version.news.tally.add(tally);
        }
    }

    /// Tells the others what was counted here, learns what they did, and draws the conclusions.
    pub(crate) fn tick(&self, ports: &Ports<'_>) -> Vec<Count> {
        let now = ports.clock.monotonic().as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let mut seen = self.seen.borrow_mut();
        let news: Vec<News> = seen.versions.iter().map(|version| version.news).collect();
        let idle = news.iter().all(|news| news.tally == Tally::default());
        let updated = update(ports.cells, &self.cell, ATTEMPTS, |held| {
            let mut board = Board::parse(held);
            let events = board.take(&self.terms, &self.names, &news, now);
            if idle && events.is_empty() {
                Step::Keep((board, events))
            } else {
                Step::Replace(board.bytes(), (board, events))
            }
        });
        // If others wrote every time, or nobody can, it is for the next tick.
        let Updated::Done((board, events)) = updated else { return Vec::new() };
        seen.learn(&board);
        let count = |(version, event): (usize, Event)| {
            let event = Event::ALL.iter().position(|other| *other == event).unwrap_or_default();
            Count::Add(self.events.series(&[0, version.saturating_sub(1), event]), 1)
        };
        events.into_iter().map(count).collect()
    }
}

impl Seen {
    /// Takes over what the board says, which knows by now what was counted here.
    fn learn(&mut self, board: &Board) {
        let changes = self.changes.saturating_add(1);
        for (version, record) in self.versions.iter_mut().zip(&board.records) {
            let gate = match record.phase {
                Phase::Whole { .. } => Gate::Open,
                Phase::Probing { .. } => Gate::HalfOpen,
                Phase::Ejected { .. } => Gate::Closed,
            };
            if gate != version.gate || record.epoch != version.news.epoch {
                (self.changes, version.since) = (changes, changes);
            }
            version.gate = gate;
            version.news = News { epoch: record.epoch, tally: Tally::default() };
        }
        self.looked = true;
    }
}
