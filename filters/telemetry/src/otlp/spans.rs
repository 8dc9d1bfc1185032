//! Spans of this hop, in a queue of fixed length.

use std::collections::VecDeque;
use std::time::Duration;

use filter_core::metrics::{InvalidMetric, Metrics};
use filter_core::{Count, Errand, Ports};

use super::{Batch, Collector, Exporter, Fate, Source, proto};
use crate::trace::context::Context;
use crate::trace::id::SpanId;

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

/// Spans that wait.
#[derive(Debug)]
pub(crate) struct Spans {
    queue: VecDeque<Span>,
    /// How many there may be.
    room: usize,
    /// How many are sent at once.
    batch: usize,
}

impl Exporter<Spans> {
    /// An exporter with nothing to send.
    ///
    /// # Errors
    /// When there are too many series.
    pub(crate) fn new(
        collector: Collector,
        room: usize,
        batch: usize,
        metrics: &mut Metrics,
    ) -> Result<Self, InvalidMetric> {
        let fates = &[Fate::Sent, Fate::Rejected, Fate::Failed, Fate::Dropped];
        Self::of(Spans { queue: VecDeque::new(), room, batch }, collector, fates, metrics)
    }

    /// Takes a span, if there is room.
    pub(crate) fn offer(&self, span: Span) -> Option<Count> {
        let mut state = self.state.try_borrow_mut().ok()?;
        let spans = &mut state.source;
        if spans.queue.len() >= spans.room {
            return Some(self.count(Fate::Dropped, 1));
        }
        spans.queue.push_back(span);
        None
    }
}

impl Source for Spans {
    const ERRAND: Errand = Errand(0);
    const COUNTER: &'static str = "outrigger_telemetry_spans_total";

    fn waits(&self) -> bool {
        !self.queue.is_empty()
    }

    /// A whole batch that has come meanwhile need not wait.
    fn presses(&self) -> bool {
        self.queue.len() >= self.batch
    }

    fn take(&mut self, resource: &[(String, String)], _: &Ports<'_>) -> Option<Batch> {
        let spans: Vec<Span> = self.queue.drain(..self.batch.min(self.queue.len())).collect();
        let items = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        Some(Batch { items, body: proto::spans::request(resource, spans) })
    }
}
