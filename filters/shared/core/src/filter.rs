//! The one trait that a filter implements.

use std::time::Duration;

use crate::{Answer, Attribute, Chores, Errand, Invalid, Metrics, Outcome, Ports, Stated, View};

/// A parsed configuration that turns an exchange into outcomes.
///
/// A filter asks through [`View`] and [`Ports`] and answers with an [`Outcome`]; it performs nothing. The host calls
/// the phases of one exchange in the order below, on one thread, and applies every outcome before the next phase.
pub trait Filter: Sized + 'static {
    /// Names the filter in logs, metrics, filter state and response-code details.
    const NAME: &'static str;

    /// The phases after the request that the filter is asked in. Its module exports no callback for the others, as the
    /// proxy makes each one that a module exports, whether or not anything comes of it.
    const LATER: &'static [Phase] = &[Phase::Response, Phase::Log];

    /// What the filter keeps of one exchange from one phase to the next. Dropped with the exchange.
    type Memo: Default + 'static;

    /// Compiles a configuration and declares the series that the filter may count in.
    ///
    /// Runs in every VM of the proxy (the throw-away one that checks, the main thread's, each worker's), so it has no
    /// effect but its result.
    ///
    /// # Errors
    /// The first thing in `document` that does not say what it must, by JSON Pointer (RFC 6901). A filter never
    /// narrows a fault to a default: a configuration is compiled whole or refused whole.
    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid>;

    /// The attributes that [`View::text`] and [`View::number`] may be asked for in `phase`. The host reads each when it is asked
    /// for, and many together when the first is. One that is asked for without being listed is absent.
    fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        let _ = phase;
        Vec::new()
    }

    /// The expressions that [`View::holds`] may be asked about in the request phase. The host has the proxy compile
    /// them once the filter is configured, and refuses the configuration where one stands that it cannot compile. One
    /// that is asked about without being listed is unknown.
    fn expressions(&self) -> Vec<Stated> {
        Vec::new()
    }

    /// The expressions that [`View::holds`] may be asked about in the log phase, compiled and refused alike.
    fn late_expressions(&self) -> Vec<Stated> {
        Vec::new()
    }

    /// The request headers have arrived.
    fn on_request(&self, view: &View<'_>, memo: &mut Self::Memo, ports: &Ports<'_>) -> Outcome;

    /// What this filter's last outcome awaited: the answer to a [`crate::Callout`], or that it is time to look again. The
    /// request is still held.
    fn on_answer(
        &self,
        view: &View<'_>,
        answer: &Answer,
        memo: &mut Self::Memo,
        ports: &Ports<'_>,
    ) -> Outcome {
        let _ = (view, answer, memo, ports);
        Outcome::pass()
    }

    /// Whether anything may come of asking in this later phase about an exchange of which this is kept, once its request has
    /// been decided on. If not, the host need not ask; if nothing may in any phase, it forgets the exchange.
    fn heeds(&self, memo: &Self::Memo, phase: Phase) -> bool {
        let _ = (memo, phase);
        true
    }

    /// The response headers are about to be sent, be they the upstream's or a local reply's.
    fn on_response(&self, view: &View<'_>, memo: &mut Self::Memo, ports: &Ports<'_>) -> Outcome {
        let _ = (view, memo, ports);
        Outcome::pass()
    }

    /// The exchange is over; access loggers run next. It also ends exchanges whose request never reached
    /// [`Filter::on_request`]: then `memo` is the default and the request is read here for the first time.
    /// Edits and verdicts have no effect any more.
    fn on_log(&self, view: &View<'_>, memo: &mut Self::Memo, ports: &Ports<'_>) -> Outcome {
        let _ = (view, memo, ports);
        Outcome::pass()
    }

    /// How often [`Filter::on_tick`] runs, in every worker; `None` for a filter that does nothing on its own, which may
    /// not hold a request for longer than a callout either.
    fn period(&self) -> Option<Duration> {
        None
    }

    /// Time has passed, or the filter was just configured. Runs in every worker, so what one may do for all is agreed on
    /// by a cell.
    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let _ = ports;
        Chores::default()
    }

    /// The answer to a call of [`Chores::calls`].
    fn on_fetched(&self, errand: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores {
        let _ = (errand, answer, ports);
        Chores::default()
    }
}

/// A point in the life of an exchange at which a filter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// [`Filter::on_request`] and [`Filter::on_answer`].
    Request,
    /// [`Filter::on_response`].
    Response,
    /// [`Filter::on_log`].
    Log,
}
