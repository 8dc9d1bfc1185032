//! One exchange: each phase in, the filter asked, its outcome carried out.

use std::rc::Rc;

use filter_core::outcome::GrpcStatus;
use filter_core::{Answer, Edit, Filter, HeaderMap, Outcome, Phase, Reply, Verdict, View};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::abi::{self, Buffer, Map};
use crate::exchange::HostExchange;
use crate::root::Plugin;
use crate::{apply, wire, world};

/// How many callouts one after the other may fail to be sent before the request is refused.
const MAX_FAILED_CALLOUTS: u32 = 4;

pub(crate) struct Stream<F: Filter> {
    /// None if the plugin was never configured: a proxy may run one so when the first configuration that it got was
    /// refused.
    plugin: Option<Rc<Plugin<F>>>,
    memo: F::Memo,
    state: State,
}

enum State {
    /// The request goes on, or has not come yet.
    Passing,
    /// The request waits for an answer.
    Held(Held),
    /// The request got a reply.
    Replied,
}

/// A request that waits.
struct Held {
    token: u32,
    /// The headers as they came, if they were read.
    request: Option<HeaderMap>,
    /// The edits since.
    edits: Vec<Edit>,
}

impl<F: Filter> Stream<F> {
    pub(crate) fn new(plugin: Option<Rc<Plugin<F>>>) -> Self {
        Self { plugin, memo: F::Memo::default(), state: State::Passing }
    }

    /// Carries out what the filter says of the request, and what it says of callouts that cannot be sent.
    fn conclude(
        &mut self,
        plugin: &Plugin<F>,
        exchange: HostExchange<'_>,
        mut edits: Vec<Edit>,
        mut outcome: Outcome,
    ) -> Action {
        for _ in 0..MAX_FAILED_CALLOUTS {
            if exchange.unreadable() {
                return self.fault("headers_unreadable");
            }
            let view = View::new(&exchange, Phase::Request, &edits);
            let editable = (!outcome.edits.is_empty()).then(|| (Map::Request, view.request()));
            if apply::effects(&outcome, &plugin.stats, editable).is_err() {
                return self.fault("header_not_editable");
            }
            edits.extend(outcome.edits);
            match outcome.verdict {
                Verdict::Continue => {
                    self.state = State::Passing;
                    return Action::Continue;
                }
                Verdict::Reply(reply) => return self.reply(&reply),
                Verdict::Await(callout) => {
                    if let Ok(token) = apply::call(&callout) {
                        let request = exchange.into_request();
                        self.state = State::Held(Held { token, request, edits });
                        return Action::Pause;
                    }
                    let view = View::new(&exchange, Phase::Request, &edits);
                    outcome = plugin.filter.on_answer(
                        &view,
                        &Answer::Failure,
                        &mut self.memo,
                        &world::ports(),
                    );
                }
            }
        }
        self.fault("callouts_exhausted")
    }

    fn reply(&mut self, reply: &Reply) -> Action {
        self.state = State::Replied;
        apply::reply(reply);
        Action::Pause
    }

    /// Refuses a request about which no decision could be made or kept.
    fn fault(&mut self, reason: &str) -> Action {
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

    /// What to do with a body or trailers: going on would let the held headers go on as well.
    fn rest(&self) -> Action {
        match self.state {
            State::Passing => Action::Continue,
            State::Held(_) | State::Replied => Action::Pause,
        }
    }
}

impl<F: Filter> Context for Stream<F> {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _: usize) {
        let Some(plugin) = self.plugin.clone() else { return };
        let held = match std::mem::replace(&mut self.state, State::Passing) {
            State::Held(held) if held.token == token => held,
            other => {
                self.state = other;
                return;
            }
        };
        let answer = answer(headers, body);
        let mut exchange = HostExchange::new(&plugin.request, Phase::Request);
        if let Some(request) = held.request {
            exchange = exchange.with_request(request);
        }
        let view = View::new(&exchange, Phase::Request, &held.edits);
        let outcome = plugin.filter.on_answer(&view, &answer, &mut self.memo, &world::ports());
        if self.conclude(&plugin, exchange, held.edits, outcome) == Action::Continue
            && let Err(status) = abi::continue_request()
        {
            log::error!("{}: request not resumed: {status:?}", F::NAME);
        }
    }
}

/// Reads the answer to a callout. The proxy tells a failed one by giving it no headers.
fn answer(headers: usize, body: usize) -> Answer {
    if headers == 0 {
        return Answer::Failure;
    }
    let Some(headers) = abi::header_map(Map::CalloutResponse).ok().and_then(wire::header_map)
    else {
        return Answer::Failure;
    };
    if body == 0 {
        return Answer::Response { headers, body: Vec::new() };
    }
    match abi::buffer(Buffer::CalloutResponseBody, body) {
        Ok(body) => Answer::Response { headers, body },
        Err(_) => Answer::Failure,
    }
}

impl<F: Filter> HttpContext for Stream<F> {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return self.fault("not_configured") };
        let exchange = HostExchange::new(&plugin.request, Phase::Request);
        let view = View::new(&exchange, Phase::Request, &[]);
        let outcome = plugin.filter.on_request(&view, &mut self.memo, &world::ports());
        self.conclude(&plugin, exchange, Vec::new(), outcome)
    }

    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        self.rest()
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.rest()
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Continue };
        let exchange = HostExchange::new(&plugin.response, Phase::Response);
        let view = View::new(&exchange, Phase::Response, &[]);
        let outcome = plugin.filter.on_response(&view, &mut self.memo, &world::ports());
        let editable = (!outcome.edits.is_empty()).then(|| (Map::Response, view.response()));
        if let Err(status) = apply::effects(&outcome, &plugin.stats, editable) {
            log::error!("{}: response header not edited: {status:?}", F::NAME);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        let Some(plugin) = self.plugin.clone() else { return };
        let exchange = HostExchange::new(&plugin.log, Phase::Log);
        let view = View::new(&exchange, Phase::Log, &[]);
        let outcome = plugin.filter.on_log(&view, &mut self.memo, &world::ports());
        // There is nothing left to edit, so nothing can fail.
        let _ = apply::effects(&outcome, &plugin.stats, None);
    }
}
