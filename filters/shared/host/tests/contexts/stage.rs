//! The proxy of these exchanges: what it has, and what it notes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Weak;

use super::steps::{Heeds, Says, Step};
use super::{PERIOD, ROOTS};
use crate::proxy::{Proxy, Said, encoded};

/// What a step brought about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// The filter of a plugin was asked.
    Asked {
        root: u32,
        callback: Callback,
        context: u32,
        /// Which exchange it is, by its headers.
        exchange: Option<u64>,
        /// Which one the filter's memo is of.
        memo: Option<u64>,
    },
    /// A request goes on.
    WentOn {
        context: u32,
    },
    Replied {
        context: u32,
    },
    Called {
        context: u32,
    },
}

/// Which of its functions the filter was asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Callback {
    Request,
    Answer,
    Response,
    Log,
}

/// A call that was made, and for which exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) token: u32,
    pub(crate) exchange: u64,
}

/// What the proxy has, what the filter is to say, and what came of it.
#[derive(Default)]
pub(crate) struct Now {
    /// The context that calls are about.
    pub(crate) effective: u32,
    /// The clock, in nanoseconds.
    pub(crate) time: u64,
    /// The exchanges that are, by their contexts. Each has a number that none had before.
    pub(crate) exchanges: BTreeMap<u32, u64>,
    pub(crate) calls: Vec<Call>,
    pub(crate) says: Says,
    pub(crate) heeds: Heeds,
    pub(crate) news: bool,
    pub(crate) events: Vec<Event>,
    /// The exchanges that the filter was given a memo of.
    pub(crate) memos: Vec<Weak<u64>>,
}

impl Now {
    /// Makes a step's context effective, and has the filter say what it is to say then.
    pub(crate) fn prepare(&mut self, number: u64, step: &Step) {
        self.effective = step.context();
        match *step {
            Step::Create { context, .. } => {
                self.exchanges.insert(context, number);
            }
            Step::Request { says, heeds, .. } => (self.says, self.heeds) = (says, heeds),
            Step::Tick { says, news, .. } => {
                (self.says, self.news) = (says, news);
                self.time += PERIOD;
            }
            Step::Answer { says, .. } => self.says = says,
            _ => {}
        }
    }

    pub(crate) fn note(&mut self, event: impl FnOnce(u32) -> Event) {
        self.events.push(event(self.effective));
    }
}

thread_local! {
    pub(crate) static NOW: RefCell<Now> = RefCell::default();
}

/// A proxy that knows its contexts. Each exchange has a header that says which one it is.
pub(crate) struct TestProxy;

impl Proxy for TestProxy {
    fn header_map_pairs(_: u32) -> Said {
        let exchange = NOW.with_borrow(|now| now.exchanges.get(&now.effective).copied());
        let field = |exchange: u64| (b"exchange".to_vec(), exchange.to_string().into_bytes());
        (0, encoded(&exchange.map(field).into_iter().collect::<Vec<_>>()))
    }

    fn monotonic_clock() -> (u32, u64) {
        (0, NOW.with_borrow(|now| now.time))
    }

    fn set_effective_context(context: u32) -> u32 {
        NOW.with_borrow_mut(|now| {
            if !ROOTS.contains(&context) && !now.exchanges.contains_key(&context) {
                return 2;
            }
            now.effective = context;
            0
        })
    }

    fn continue_request() -> u32 {
        NOW.with_borrow_mut(|now| now.note(|context| Event::WentOn { context }));
        0
    }

    fn send_local_response() -> u32 {
        NOW.with_borrow_mut(|now| now.note(|context| Event::Replied { context }));
        0
    }

    fn http_call(_: &[u8], token: u32) -> u32 {
        NOW.with_borrow_mut(|now| {
            let exchange = now.exchanges.get(&now.effective).copied().unwrap_or_default();
            now.calls.push(Call { token, exchange });
            now.note(|context| Event::Called { context });
        });
        0
    }
}
