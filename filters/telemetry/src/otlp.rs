//! Spans of this hop on their way to a collector, by OTLP/HTTP: kept in a queue of fixed length, sent in batches by the
//! clock, tried again where that may help, and counted whatever becomes of them. No request waits for any of it.

mod proto;
mod schedule;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use filter_core::metrics::{Family, InvalidMetric, LabelValue, Metrics};
use filter_core::{Answer, Callout, Chores, Copies, Count, Errand, Headers, Ports};

use crate::trace::context::Context;
use crate::trace::id::SpanId;
use schedule::{Next, Schedule};

/// Where spans go, and in what portions.
#[derive(Debug)]
pub(crate) struct Collector {
    /// A cluster of the proxy.
    pub(crate) cluster: String,
    /// `:authority`.
    pub(crate) authority: String,
    /// `:path`.
    pub(crate) path: String,
    /// How long a batch may take.
    pub(crate) timeout: Duration,
    /// How often a batch is sent.
    pub(crate) delay: Duration,
    /// How many spans may wait in one worker.
    pub(crate) queue: usize,
    /// How many are sent at once.
    pub(crate) batch: usize,
    /// What the spans are of.
    pub(crate) resource: Vec<(String, String)>,
}

/// One request, seen from this hop, as the server of its caller.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// Its place, as the upstream is told it.
    pub(crate) place: Context,
    /// The caller's span.
    pub(crate) parent: Option<SpanId>,
    /// When it arrived, since the epoch.
    pub(crate) begun: Duration,
    /// When it was over.
    pub(crate) ended: Duration,
    /// Its method, or `_OTHER`.
    pub(crate) method: &'static str,
    /// The template of the route it took.
    pub(crate) route: Option<String>,
    /// The status that the caller got.
    pub(crate) code: Option<i64>,
}

/// What becomes of a span.
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
    const ALL: [Self; 4] = [Self::Sent, Self::Rejected, Self::Failed, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// The queue of one worker.
#[derive(Debug)]
pub(crate) struct Exporter {
    collector: Collector,
    fates: Family,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Span>,
    /// What is being sent, or will be again.
    batch: Option<Batch>,
    schedule: Schedule,
}

#[derive(Debug)]
struct Batch {
    body: Vec<u8>,
    spans: u64,
}

impl Exporter {
    /// An exporter with nothing to send.
    ///
    /// # Errors
    /// When there are too many series.
    pub(crate) fn new(collector: Collector, metrics: &mut Metrics) -> Result<Self, InvalidMetric> {
        let fate = |fate: Fate| LabelValue::parse(fate.as_str()).ok_or(InvalidMetric::Name);
        let fates = Fate::ALL.into_iter().map(fate).collect::<Result<_, _>>()?;
        let fates = metrics.counter("outrigger_telemetry_spans_total", vec![("result", fates)])?;
        Ok(Self { collector, fates, state: RefCell::default() })
    }

    /// How often it must be asked what to do.
    pub(crate) fn period(&self) -> Duration {
        self.collector.delay.min(schedule::FIRST)
    }

    /// Takes a span, if there is room.
    pub(crate) fn offer(&self, span: Span) -> Option<Count> {
        let mut state = self.state.try_borrow_mut().ok()?;
        if state.queue.len() >= self.collector.queue {
            return Some(self.count(Fate::Dropped, 1));
        }
        state.queue.push_back(span);
        None
    }

    /// Sends what is due.
    pub(crate) fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let Ok(mut state) = self.state.try_borrow_mut() else { return Chores::default() };
        if state.batch.is_none() && state.queue.is_empty() {
            return Chores::default();
        }
        let now = ports.clock.monotonic();
        if state.schedule.is_due(now) { self.send(&mut state, now) } else { Chores::default() }
    }

    /// Sees what became of the batch.
    pub(crate) fn on_fetched(&self, answer: &Answer, ports: &Ports<'_>) -> Chores {
        let Ok(mut state) = self.state.try_borrow_mut() else { return Chores::default() };
        let Some(spans) = state.batch.as_ref().map(|batch| batch.spans) else {
            return Chores::default();
        };
        let now = ports.clock.monotonic();
        let (taken, may_help, after) = judge(answer);
        if let Some(rejected) = taken {
            state.batch = None;
            state.schedule.succeeded(now, self.collector.delay);
            let rejected = rejected.min(spans);
            let counts = [(Fate::Sent, spans.saturating_sub(rejected)), (Fate::Rejected, rejected)];
            let counts = counts.into_iter().filter(|(_, spans)| *spans > 0);
            let counts = counts.map(|(fate, spans)| self.count(fate, spans)).collect();
            let mut chores = Chores { counts, ..Chores::default() };
            // What has come meanwhile need not wait.
            if state.queue.len() >= self.collector.batch {
                chores.extend(self.send(&mut state, now));
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
        Chores { counts: vec![self.count(Fate::Failed, spans)], ..Chores::default() }
    }

    fn send(&self, state: &mut State, now: Duration) -> Chores {
        let batch = state.batch.get_or_insert_with(|| {
            let spans: Vec<Span> =
                state.queue.drain(..self.collector.batch.min(state.queue.len())).collect();
            Batch {
                spans: u64::try_from(spans.len()).unwrap_or(u64::MAX),
                body: proto::request(&self.collector.resource, spans),
            }
        });
        state.schedule.sent(now);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let callout = Callout {
            cluster: self.collector.cluster.clone(),
            headers: vec![
                header(":method", "POST"),
                header(":path", &self.collector.path),
                header(":authority", &self.collector.authority),
                header("content-type", "application/x-protobuf"),
            ],
            body: batch.body.clone(),
            timeout: self.collector.timeout,
        };
        Chores { calls: vec![(Errand(0), callout)], ..Chores::default() }
    }

    fn count(&self, fate: Fate, spans: u64) -> Count {
        let position = Fate::ALL.iter().position(|other| *other == fate).unwrap_or_default();
        Count::Add(self.fates.series(&[position]), spans)
    }
}

/// How many spans were rejected if the collector took the batch; else whether trying again may help, and how long the
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
