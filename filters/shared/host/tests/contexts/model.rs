//! What must come of each step.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::{Call, Callback, Event};
use super::steps::{Heeds, Says, Step};
use super::{LONGEST, PERIOD};

/// What there is, by what came of it so far.
#[derive(Default)]
pub(crate) struct Model {
    /// The plugins that are configured.
    configured: BTreeSet<u32>,
    exchanges: BTreeMap<u32, Exchange>,
    /// The contexts that ended while they were held, and the plugin of each, which looks for it at its next tick.
    missed: BTreeMap<u32, u32>,
    time: u64,
}

/// An exchange, from when its context is made to when that is deleted.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    number: u64,
    context: u32,
    root: u32,
    heeds: Heeds,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Its request has not come.
    New,
    /// Its plugin was not configured when the request came.
    Refused,
    WentOn,
    Replied,
    /// It waits for the answer to the call that was made last for it.
    Awaits,
    /// It waits for news, or this time.
    Held {
        until: u64,
    },
    /// It was told in the log, or need not be.
    Over,
}

impl Exchange {
    fn asked(&self, callback: Callback) -> Event {
        let (root, context, exchange) = (self.root, self.context, Some(self.number));
        // Nothing is remembered of one that was not asked about before.
        let memo = exchange.filter(|_| self.state != State::New);
        Event::Asked { root, callback, context, exchange, memo }
    }

    /// Its filter is asked about the request, and says this.
    fn decided(&mut self, callback: Callback, says: Says, time: u64) -> Vec<Event> {
        let context = self.context;
        let (state, event) = match says {
            Says::Continue => (State::WentOn, Some(Event::WentOn { context })),
            Says::Reply => (State::Replied, Some(Event::Replied { context })),
            Says::Await => (State::Awaits, Some(Event::Called { context })),
            Says::Hold => (State::Held { until: time + LONGEST }, None),
        };
        let asked = self.asked(callback);
        self.state = state;
        [asked].into_iter().chain(event).collect()
    }
}

impl Model {
    /// Whether a proxy would do so now.
    pub(crate) fn allows(&self, step: &Step) -> bool {
        match step {
            Step::Configure { root } => !self.configured.contains(root),
            // A proxy counts its contexts up, and does not come to a number again before the next tick.
            Step::Create { context, .. } => {
                !self.exchanges.contains_key(context) && !self.missed.contains_key(context)
            }
            Step::Request { context, .. } => {
                self.exchanges.get(context).is_some_and(|exchange| exchange.state == State::New)
            }
            _ => true,
        }
    }

    /// What must come of a step, the calls being those that were made before it. An exchange has the number of the step
    /// that made it.
    pub(crate) fn follow(&mut self, number: u64, step: &Step, calls: &[Call]) -> Vec<Event> {
        match *step {
            Step::Configure { root } => {
                self.configured.insert(root);
                Vec::new()
            }
            Step::Create { context, root } => {
                let (heeds, state) = (Heeds::default(), State::New);
                self.exchanges.insert(context, Exchange { number, context, root, heeds, state });
                Vec::new()
            }
            Step::Request { context, says, heeds } => self.request(context, says, heeds),
            Step::Response { context } => self.response(context),
            Step::Log { context } => self.log(context),
            Step::Delete { context } => {
                self.ended(context);
                self.exchanges.remove(&context);
                Vec::new()
            }
            Step::Tick { root, says, news } => self.tick(root, says, news),
            Step::Answer { ref call, root, says } => {
                let call = call.of(calls);
                call.map(|call| self.answer(call, calls, root, says)).unwrap_or_default()
            }
        }
    }

    fn request(&mut self, context: u32, says: Says, heeds: Heeds) -> Vec<Event> {
        let Some(exchange) = self.exchanges.get_mut(&context) else { return Vec::new() };
        if !self.configured.contains(&exchange.root) {
            exchange.state = State::Refused;
            return vec![Event::Replied { context }];
        }
        exchange.heeds = heeds;
        exchange.decided(Callback::Request, says, self.time)
    }

    fn response(&self, context: u32) -> Vec<Event> {
        let heeding = self.exchanges.get(&context).filter(|exchange| {
            let unasked = matches!(exchange.state, State::New | State::Refused | State::Over);
            exchange.heeds.response && !unasked
        });
        heeding.map(|exchange| exchange.asked(Callback::Response)).into_iter().collect()
    }

    /// An exchange is over, or deleted.
    fn ended(&mut self, context: u32) {
        if let Some(Exchange { state: State::Held { .. }, root, .. }) = self.exchanges.get(&context)
        {
            self.missed.insert(context, *root);
        }
    }

    fn log(&mut self, context: u32) -> Vec<Event> {
        self.ended(context);
        let Some(exchange) = self.exchanges.get_mut(&context) else { return Vec::new() };
        let told = match exchange.state {
            State::New => self.configured.contains(&exchange.root),
            State::Refused | State::Over => false,
            _ => exchange.heeds.log,
        };
        let event = told.then(|| exchange.asked(Callback::Log));
        exchange.state = State::Over;
        event.into_iter().collect()
    }

    fn tick(&mut self, root: u32, says: Says, news: bool) -> Vec<Event> {
        self.time += PERIOD;
        self.missed.retain(|_, looking| *looking != root);
        let time = self.time;
        let due = |exchange: &&mut Exchange| match exchange.state {
            State::Held { until } => exchange.root == root && (news || until <= time),
            _ => false,
        };
        let due = self.exchanges.values_mut().filter(due);
        due.flat_map(|exchange| exchange.decided(Callback::Answer, says, time)).collect()
    }

    /// The answer to a call is for the exchange that it was made for, if that waits for it, and not for an earlier one.
    fn answer(&mut self, call: Call, calls: &[Call], root: u32, says: Says) -> Vec<Event> {
        let last = calls.iter().rfind(|other| other.exchange == call.exchange);
        let awaited = last.is_some_and(|last| last.token == call.token);
        let waiting = self.exchanges.values_mut().find(|exchange| {
            let own = exchange.number == call.exchange && exchange.root == root;
            own && awaited && exchange.state == State::Awaits
        });
        let time = self.time;
        waiting.map(|exchange| exchange.decided(Callback::Answer, says, time)).unwrap_or_default()
    }

    /// What a proxy must be told to do with the body of each request that came: to let it go on, or not.
    pub(crate) fn rests(&self) -> impl Iterator<Item = (u32, u32)> {
        self.exchanges.values().filter_map(|exchange| match exchange.state {
            State::New | State::Over => None,
            State::WentOn => Some((exchange.context, 0)),
            State::Refused | State::Replied | State::Awaits | State::Held { .. } => {
                Some((exchange.context, 1))
            }
        })
    }

    /// Whether there may be a memo of this exchange.
    pub(crate) fn may_be_remembered(&self, number: u64) -> bool {
        let mut exchanges = self.exchanges.values();
        exchanges.any(|exchange| exchange.number == number && exchange.state != State::Over)
    }
}
