//! What is told to collectors, by OTLP/HTTP: in batches by the clock, one at a time, tried again where that may help, and
//! counted whatever becomes of them. No request waits for any of it.
//!
//! `spans` keeps spans in a queue of fixed length. `metrics` keeps what was measured as sums in the points of a `tally`,
//! which are told anew each time, so that one that does not arrive is made up for by the next. `schedule` tells when to
//! send, `proto` how it is written.

pub(crate) mod metrics;
mod proto;
mod schedule;
pub(crate) mod spans;
pub(crate) mod tally;

use std::cell::RefCell;
use std::time::Duration;

use filter_core::metrics::{Family, InvalidMetric, LabelValue, Metrics};
use filter_core::{Answer, Callout, Chores, Copies, Count, Errand, Headers, Ports};

use schedule::{Next, Schedule};

/// Where to send, and how often.
#[derive(Debug)]
pub(crate) struct Collector {
    /// A cluster of the proxy.
    pub(crate) cluster: String,
    /// `:authority`.
    pub(crate) authority: String,
    /// `:path`.
    pub(crate) path: String,
    /// Headers besides those that every request has.
    pub(crate) headers: Vec<(String, String)>,
    /// How long a batch may take.
    pub(crate) timeout: Duration,
    /// How often a batch is sent.
    pub(crate) delay: Duration,
    /// What is told of.
    pub(crate) resource: Vec<(String, String)>,
}

/// What becomes of one of the things that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The collector took it.
    Sent,
    /// The collector has no use for it.
    Rejected,
    /// It could not be sent, however often it was tried.
    Failed,
    /// The queue was full.
    Dropped,
}

impl Fate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// What batches are made of.
pub(crate) trait Source {
    /// Which errand of the filter's it is to send them.
    const ERRAND: Errand;
    /// Counts what becomes of them.
    const COUNTER: &'static str;

    /// Whether there is anything to send.
    fn waits(&self) -> bool;

    /// Whether there is more to send than should wait for the clock, after a batch that was taken.
    fn presses(&self) -> bool;

    /// The next batch.
    fn take(&mut self, resource: &[(String, String)], ports: &Ports<'_>) -> Option<Batch>;
}

/// The body of a request, and how many things are in it.
#[derive(Debug)]
pub(crate) struct Batch {
    body: Vec<u8>,
    items: u64,
}

/// What one worker sends of one kind.
#[derive(Debug)]
pub(crate) struct Exporter<S> {
    collector: Collector,
    fates: (Family, &'static [Fate]),
    state: RefCell<State<S>>,
}

#[derive(Debug)]
struct State<S> {
    source: S,
    /// What is being sent, or will be again.
    batch: Option<Batch>,
    schedule: Schedule,
}

impl<S: Source> Exporter<S> {
    fn of(
        source: S,
        collector: Collector,
        fates: &'static [Fate],
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let name = |fate: &Fate| LabelValue::parse(fate.as_str()).ok_or(InvalidMetric::Name);
        let names = fates.iter().map(name).collect::<Result<_, _>>()?;
        let family = metrics.counter(S::COUNTER, vec![("result", names)])?;
        let state = State { source, batch: None, schedule: Schedule::default() };
        Ok(Self { collector, fates: (family, fates), state: RefCell::new(state) })
    }

    /// How often it must be asked what to do.
    pub(crate) fn period(&self) -> Duration {
        self.collector.delay.min(schedule::FIRST)
    }

    /// Sends what is due.
    pub(crate) fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let Ok(mut state) = self.state.try_borrow_mut() else { return Chores::default() };
        if state.batch.is_none() && !state.source.waits() {
            return Chores::default();
        }
        let now = ports.clock.monotonic();
        if state.schedule.is_due(now) {
            self.send(&mut state, now, ports)
        } else {
            Chores::default()
        }
    }

    /// Sees what became of the batch.
    pub(crate) fn on_fetched(&self, answer: &Answer, ports: &Ports<'_>) -> Chores {
        let Ok(mut state) = self.state.try_borrow_mut() else { return Chores::default() };
        let Some(items) = state.batch.as_ref().map(|batch| batch.items) else {
            return Chores::default();
        };
        let now = ports.clock.monotonic();
        let (taken, may_help, after) = judge(answer);
        if let Some(rejected) = taken {
            state.batch = None;
            state.schedule.succeeded(now, self.collector.delay);
            let rejected = rejected.min(items);
            let counts = [(Fate::Sent, items.saturating_sub(rejected)), (Fate::Rejected, rejected)];
            let counts = counts.into_iter().filter(|(_, items)| *items > 0);
            let counts = counts.map(|(fate, items)| self.count(fate, items)).collect();
            let mut chores = Chores { counts, ..Chores::default() };
            if state.source.presses() {
                chores.extend(self.send(&mut state, now, ports));
            }
            return chores;
        }
        let next = if may_help {
            state.schedule.failed(now, after, ports.entropy.seed())
        } else {
            Next::GiveUp
        };
        if next == Next::Again {
            return Chores::default();
        }
        state.batch = None;
        state.schedule.succeeded(now, self.collector.delay);
        Chores { counts: vec![self.count(Fate::Failed, items)], ..Chores::default() }
    }

    fn send(&self, state: &mut State<S>, now: Duration, ports: &Ports<'_>) -> Chores {
        let batch = state.batch.take();
        let batch = batch.or_else(|| state.source.take(&self.collector.resource, ports));
        let Some(batch) = batch else { return Chores::default() };
        state.schedule.sent(now);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            header(":method", "POST"),
            header(":path", &self.collector.path),
            header(":authority", &self.collector.authority),
            header("content-type", "application/x-protobuf"),
        ];
        headers.extend(self.collector.headers.iter().cloned());
        let callout = Callout {
            cluster: self.collector.cluster.clone(),
            headers,
            body: batch.body.clone(),
            timeout: self.collector.timeout,
        };
        state.batch = Some(batch);
        Chores { calls: vec![(S::ERRAND, callout)], ..Chores::default() }
    }

    fn count(&self, fate: Fate, items: u64) -> Count {
        let (family, fates) = &self.fates;
        let position = fates.iter().position(|other| *other == fate).unwrap_or_default();
        Count::Add(family.series(&[position]), items)
    }
}

/// How many things were rejected if the collector took the batch; else whether trying again may help, and how long the
/// collector asks to wait (OTLP specification, "OTLP/HTTP Response").
fn judge(answer: &Answer) -> (Option<u64>, bool, Option<Duration>) {
    let Answer::Response { headers, body } = answer else { return (None, true, None) };
    let headers = Headers::new(headers, &[]);
    let only = |name| match headers.only(name) {
        Copies::One(value) => std::str::from_utf8(value).ok(),
        Copies::None | Copies::Many => None,
    };
    match only(":status") {
        Some(status) if status.starts_with('2') => (Some(proto::rejected(body)), false, None),
        Some("429" | "502" | "503" | "504") => {
            let seconds = only("retry-after").and_then(|text| text.parse().ok());
            (None, true, seconds.map(Duration::from_secs))
        }
        _ => (None, false, None),
    }
}
