//! A document that lives elsewhere and that every worker has: fetched by one of them ahead of its time, shared by cells,
//! kept for a while when its source is down.

mod endpoint;
mod plan;

use std::cell::Cell;
use std::time::Duration;

use filter_core::cells::Updated;
use filter_core::{Answer, Callout, Copies, Headers, Ports, Step, cells};

pub(crate) use endpoint::Endpoint;
use plan::Plan;
pub(crate) use plan::Timing;

/// How often a cell is tried to be written.
const ATTEMPTS: u32 = 16;

/// How large a document may be, in bytes.
const MAX_SIZE: usize = 256 * 1024;

/// A document, as one worker knows it.
#[derive(Debug)]
pub(crate) struct Remote {
    endpoint: Endpoint,
    timing: Timing,
    plan_cell: Vec<u8>,
    document_cell: Vec<u8>,
    /// The generation that the caller was given last; 0 if it was told that there is none.
    given: Cell<u32>,
    /// How many attempts there were when it last looked.
    attempts: Cell<u32>,
}

/// What is new about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    None,
    /// An attempt to fetch it has ended and changed nothing.
    Tried,
    /// This is it from now on.
    Document(Vec<u8>),
    /// It is too old to be used, and another is not to be had.
    Gone,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// There is a new document.
    Changed,
    /// The document is the same.
    Same,
    /// None came, or none that can be used.
    Failed,
}

impl Remote {
    pub(crate) fn new(endpoint: Endpoint, timing: Timing) -> Self {
        // A plugin with other times makes its own plans, and keeps its own document.
        let times = [timing.timeout, timing.refresh, timing.max_stale].map(|time| time.as_millis());
        let cell = |kind: &str| format!("authz {kind} {times:?} {}", endpoint.name()).into_bytes();
        Self {
            plan_cell: cell("plan"),
            document_cell: cell("document"),
            endpoint,
            timing,
            given: Cell::new(0),
            attempts: Cell::new(0),
        }
    }

    /// Where it is fetched from.
    pub(crate) fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// Whether it is fetched from the same place as another.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && self.timing == other.timing
    }

    /// Looks whether another worker has fetched it, or whether it is too old by now.
    pub(crate) fn look(&self, ports: &Ports<'_>) -> News {
        let Some(plan) = self.plan(ports) else { return News::None };
        let tried = self.attempts.replace(plan.attempts) != plan.attempts;
        if !plan.is_usable(ports.clock.monotonic(), &self.timing) {
            return match self.given.replace(0) {
                0 if tried => News::Tried,
                0 => News::None,
                _ => News::Gone,
            };
        }
        if plan.generation != self.given.get()
            && let Ok(Some(cell)) = ports.cells.load(&self.document_cell)
        {
            self.given.set(plan.generation);
            return News::Document(cell.value);
        }
        if tried { News::Tried } else { News::None }
    }

    /// The request to send, if it is time and no other worker is at it.
    pub(crate) fn begin(&self, ports: &Ports<'_>) -> Option<Callout> {
        let now = ports.clock.monotonic();
        if !self.plan(ports)?.is_due(now) {
            return None;
        }
        let begun =
            self.update(ports, |plan| plan.is_due(now).then(|| plan.begun(now, &self.timing)));
        begun.then(|| self.endpoint.callout(self.timing.timeout))
    }

    /// Takes the answer to it, for all workers, if it is `good`. [`Remote::look`] gives it to this one too.
    pub(crate) fn end(
        &self,
        answer: &Answer,
        good: impl FnOnce(&[u8]) -> bool,
        ports: &Ports<'_>,
    ) -> Fetched {
        let now = ports.clock.monotonic();
        let Some(document) = document(answer).filter(|document| good(document)) else {
            self.update(ports, |plan| Some(plan.failed(now)));
            return Fetched::Failed;
        };
        let chance = ports.entropy.seed().first().copied().unwrap_or_default();
        // The document first: who sees the plan must find it.
        let written = cells::update(ports.cells, &self.document_cell, ATTEMPTS, |held| {
            if held == Some(document) {
                Step::Keep(Fetched::Same)
            } else {
                Step::Replace(document.to_vec(), Fetched::Changed)
            }
        });
        let Updated::Done(fetched) = written else {
            self.update(ports, |plan| Some(plan.failed(now)));
            return Fetched::Failed;
        };
        self.update(ports, |plan| {
            Some(match fetched {
                Fetched::Same if plan.generation != 0 => plan.confirmed(now, &self.timing, chance),
                _ => plan.succeeded(now, &self.timing, chance),
            })
        });
        fetched
    }

    /// Wishes for a newer document, and tells whether one is on its way: to this proxy, or only from another worker to
    /// this one.
    pub(crate) fn wish(&self, ports: &Ports<'_>) -> bool {
        let now = ports.clock.monotonic();
        let wished = self.update(ports, |plan| plan.wished(now));
        let coming = |plan: Plan| plan.is_pending(now) || plan.attempts != self.attempts.get();
        wished || self.plan(ports).is_some_and(coming)
    }

    /// How many attempts to fetch it had ended when this worker last looked; changes with each.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timing.timeout
    }

    fn plan(&self, ports: &Ports<'_>) -> Option<Plan> {
        let cell = ports.cells.load(&self.plan_cell).ok()?;
        Some(Plan::decode(cell.as_ref().map(|cell| cell.value.as_slice())))
    }

    /// Writes what `change` makes of the plan; false if it makes nothing, or others wrote every time.
    fn update(&self, ports: &Ports<'_>, change: impl Fn(Plan) -> Option<Plan>) -> bool {
        let updated = cells::update(ports.cells, &self.plan_cell, ATTEMPTS, |held| {
            match change(Plan::decode(held)) {
                Some(plan) => Step::Replace(plan.encode(), true),
                None => Step::Keep(false),
            }
        });
        updated == Updated::Done(true)
    }
}

/// The document in an answer, if there is one.
fn document(answer: &Answer) -> Option<&[u8]> {
    let Answer::Response { headers, body } = answer else { return None };
    let fine = matches!(Headers::new(headers, &[]).only(":status"), Copies::One(b"200"));
    (fine && body.len() <= MAX_SIZE).then_some(body.as_slice())
}

#[cfg(test)]
mod tests;
