//! A request's passage through the filter: asked, held, asked again, and what it says carried out.

use std::time::Duration;

use filter_core::outcome::GrpcStatus;
use filter_core::{Answer, Edit, Filter, Outcome, Phase, Reply, Verdict, View};

use crate::abi::{self, Map};
use crate::exchange::{HostExchange, Kept};
use crate::exports::Action;
use crate::plugin::{Caller, Plugin};
use crate::{apply, world};

/// How many callouts one after the other may fail to be sent before the request is refused.
const MAX_FAILED_CALLOUTS: u32 = 4;

pub(crate) struct Passage<F: Filter> {
    context: u32,
    memo: F::Memo,
    state: State,
}

enum State {
    /// The request goes on, or has not come yet.
    Passing,
    /// The request waits.
    Held(Held),
    /// The request got a reply.
    Replied,
}

/// A request that waits.
struct Held {
    awaited: Awaited,
    /// The headers as they came, if they were read, and what was judged of them.
    kept: Kept,
    /// The edits since.
    edits: Vec<Edit>,
}

#[derive(Clone, Copy)]
enum Awaited {
    /// The answer to the callout with this token.
    Answer(u32),
    /// News from the filter's background, or this time of the monotonic clock.
    News { until: Duration },
}

impl<F: Filter> Passage<F> {
    /// The passage of the exchange with this context.
    pub(crate) fn new(context: u32) -> Self {
        Self { context, memo: F::Memo::default(), state: State::Passing }
    }

    pub(crate) fn on_request(&mut self, plugin: &Plugin<F>) -> Action {
        let mut exchange = HostExchange::new(&plugin.request, Phase::Request);
        let view = View::new(&exchange, Phase::Request, &[]);
        let outcome = plugin.filter.on_request(&view, &mut self.memo, &world::PORTS);
        self.conclude(plugin, &mut exchange, &[], outcome)
    }

    pub(crate) fn on_response(&mut self, plugin: &Plugin<F>) {
        let exchange = HostExchange::new(&plugin.response, Phase::Response);
        let view = View::new(&exchange, Phase::Response, &[]);
        let outcome = plugin.filter.on_response(&view, &mut self.memo, &world::PORTS);
        let editable = (!outcome.edits.is_empty()).then(|| (Map::Response, view.response()));
        if let Err(status) = apply::effects(&outcome, &plugin.stats, editable) {
            log::error!("{}: response header not edited: {status:?}", F::NAME);
        }
    }

    pub(crate) fn on_log(&mut self, plugin: &Plugin<F>) {
        let exchange = HostExchange::new(&plugin.log, Phase::Log);
        let view = View::new(&exchange, Phase::Log, &[]);
        let outcome = plugin.filter.on_log(&view, &mut self.memo, &world::PORTS);
        // There is nothing left to edit, so nothing can fail.
        let _ = apply::effects(&outcome, &plugin.stats, None);
    }

    /// Whether anything may come of asking the filter in this later phase.
    pub(crate) fn is_heeded(&self, plugin: &Plugin<F>, phase: Phase) -> bool {
        plugin.filter.heeds(&self.memo, phase)
    }

    /// What to do with a body or trailers: going on would let the held headers go on as well.
    pub(crate) fn rest(&self) -> Action {
        match self.state {
            State::Passing => Action::Continue,
            State::Held(_) | State::Replied => Action::Pause,
        }
    }

    /// Whether the request waits for the answer to this callout.
    pub(crate) fn awaits(&self, token: u32) -> bool {
        matches!(self.state, State::Held(Held { awaited: Awaited::Answer(own), .. }) if own == token)
    }

    /// Whether the request waits for news.
    pub(crate) fn waits_for_news(&self) -> bool {
        matches!(self.state, State::Held(Held { awaited: Awaited::News { .. }, .. }))
    }

    /// Whether the request has waited for news as long as it may.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        matches!(self.state, State::Held(Held { awaited: Awaited::News { until }, .. }) if until <= now)
    }

    /// Asks again about a held request, and lets it go on if the filter says so.
    pub(crate) fn go_on(&mut self, plugin: &Plugin<F>, answer: &Answer) {
        let held = match std::mem::replace(&mut self.state, State::Passing) {
            State::Held(held) => held,
            other => {
                self.state = other;
                return;
            }
        };
        let mut exchange = HostExchange::new(&plugin.request, Phase::Request).with(held.kept);
        let view = View::new(&exchange, Phase::Request, &held.edits);
        let outcome = plugin.filter.on_answer(&view, answer, &mut self.memo, &world::PORTS);
        if self.conclude(plugin, &mut exchange, &held.edits, outcome) == Action::Continue
            && let Err(status) = abi::continue_request()
        {
            log::error!("{}: request not resumed: {status:?}", F::NAME);
        }
    }

    /// Carries out what the filter says of the request, which passes unless that is something else.
    fn conclude(
        &mut self,
        plugin: &Plugin<F>,
        exchange: &mut HostExchange<'_>,
        edits: &[Edit],
        outcome: Outcome,
    ) -> Action {
        if !matches!(outcome.verdict, Verdict::Continue) {
            return self.detain(plugin, exchange, edits.to_vec(), outcome);
        }
        match carry_out(&outcome, plugin, exchange, edits) {
            Ok(()) => Action::Continue,
            Err(reason) => self.fault(reason),
        }
    }

    /// Carries out what the filter says of a request that is to wait or is answered here, and what it says where it cannot
    /// wait. Apart, as what passes should not carry its code along.
    #[inline(never)]
    fn detain(
        &mut self,
        plugin: &Plugin<F>,
        exchange: &mut HostExchange<'_>,
        mut edits: Vec<Edit>,
        mut outcome: Outcome,
    ) -> Action {
        for _ in 0..MAX_FAILED_CALLOUTS {
            if matches!(outcome.verdict, Verdict::Hold(_)) {
                exchange.judge_all();
            }
            if let Err(reason) = carry_out(&outcome, plugin, exchange, &edits) {
                return self.fault(reason);
            }
            let awaited = match outcome.verdict {
                Verdict::Continue => return Action::Continue,
                Verdict::Reply(reply) => return self.reply(&reply),
                verdict => self.awaited(plugin, verdict),
            };
            edits.extend(outcome.edits);
            if let Some(awaited) = awaited {
                self.state = State::Held(Held { awaited, kept: exchange.take_kept(), edits });
                return Action::Pause;
            }
            let view = View::new(exchange, Phase::Request, &edits);
            let (memo, failure) = (&mut self.memo, Answer::Failure);
            outcome = plugin.filter.on_answer(&view, &failure, memo, &world::PORTS);
        }
        self.fault("callouts_exhausted")
    }

    /// What the request waits for, if it can.
    fn awaited(&self, plugin: &Plugin<F>, verdict: Verdict) -> Option<Awaited> {
        match verdict {
            Verdict::Continue | Verdict::Reply(_) => None,
            Verdict::Await(callout) => {
                let token = plugin.call(&callout, Caller::Exchange(self.context));
                token.ok().map(Awaited::Answer)
            }
            Verdict::Hold(longest) => plugin.waiting.admits(self.context).then(|| Awaited::News {
                until: world::PORTS.clock.monotonic().saturating_add(longest),
            }),
        }
    }

    fn reply(&mut self, reply: &Reply) -> Action {
        self.state = State::Replied;
        apply::reply(reply);
        Action::Pause
    }

    /// Refuses a request about which no decision could be made or kept.
    #[cold]
    pub(crate) fn fault(&mut self, reason: &str) -> Action {
        let details = format!("{}{{{reason}}}", F::NAME);
        log::error!("{details}: request refused");
        self.reply(&Reply {
            status: 500,
            grpc_status: GrpcStatus::Internal,
            headers: Vec::new(),
            body: Vec::new(),
            details,
        })
    }
}

/// Applies what an outcome says of a request besides its verdict.
///
/// # Errors
/// When the headers could not be read, or one could not be edited: why the request is refused.
fn carry_out<F: Filter>(
    outcome: &Outcome,
    plugin: &Plugin<F>,
    exchange: &HostExchange<'_>,
    edits: &[Edit],
) -> Result<(), &'static str> {
    let view = View::new(exchange, Phase::Request, edits);
    let editable = (!outcome.edits.is_empty()).then(|| (Map::Request, view.request()));
    // Only now: an edit is made by what is there, and may be the first to ask for it.
    if exchange.unreadable() {
        return Err("headers_unreadable");
    }
    apply::effects(outcome, &plugin.stats, editable).map_err(|_| "header_not_editable")
}
