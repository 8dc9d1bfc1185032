//! What may happen: whatever the proxy does next, and what the filter says if it is asked then.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::stage::{Call, Event, NOW};
use super::{CONTEXTS, ROOTS};
use crate::proxy::plugin;

/// What the filter says of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Says {
    #[default]
    Continue,
    Reply,
    Await,
    Hold,
}

/// The later phases that the filter heeds for an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heeds {
    pub(crate) response: bool,
    pub(crate) log: bool,
}

/// What the proxy does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Configure {
        root: u32,
    },
    Create {
        context: u32,
        root: u32,
    },
    Request {
        context: u32,
        says: Says,
        heeds: Heeds,
    },
    Response {
        context: u32,
    },
    Log {
        context: u32,
    },
    Delete {
        context: u32,
    },
    Tick {
        root: u32,
        says: Says,
        news: bool,
    },
    /// The answer to a call comes to a plugin, which need not be the one that made it.
    Answer {
        call: Which,
        root: u32,
        says: Says,
    },
}

impl Step {
    /// The context that the proxy makes effective for it.
    pub(crate) fn context(&self) -> u32 {
        match self {
            Self::Configure { root } | Self::Tick { root, .. } | Self::Answer { root, .. } => *root,
            Self::Create { context, .. }
            | Self::Request { context, .. }
            | Self::Response { context }
            | Self::Log { context }
            | Self::Delete { context } => *context,
        }
    }

    /// Takes it, and returns what came of it.
    pub(crate) fn take(&self, number: u64, calls: &[Call]) -> Vec<Event> {
        NOW.with_borrow_mut(|now| now.prepare(number, self));
        match *self {
            Self::Configure { root } => assert!(plugin::proxy_on_configure(root, 0)),
            Self::Create { context, root } => plugin::proxy_on_context_create(context, root),
            Self::Request { context, .. } => {
                if plugin::proxy_on_request_headers(context, 1, false) == 0 {
                    NOW.with_borrow_mut(|now| now.events.push(Event::WentOn { context }));
                }
            }
            Self::Response { context } => {
                plugin::proxy_on_response_headers(context, 1, true);
            }
            Self::Log { context } => plugin::proxy_on_log(context),
            Self::Delete { context } => {
                plugin::proxy_on_delete(context);
                NOW.with_borrow_mut(|now| now.exchanges.remove(&context));
            }
            Self::Tick { root, .. } => plugin::proxy_on_tick(root),
            Self::Answer { ref call, root, .. } => {
                if let Some(call) = call.of(calls) {
                    plugin::proxy_on_http_call_response(root, call.token, 0, 0, 0);
                }
            }
        }
        NOW.with_borrow_mut(|now| std::mem::take(&mut now.events))
    }
}

/// One of the calls that were made, be they answered or not.
#[derive(Clone, Debug)]
pub(crate) struct Which(Index);

impl Which {
    pub(crate) fn of(&self, calls: &[Call]) -> Option<Call> {
        (!calls.is_empty()).then(|| *self.0.get(calls))
    }
}

/// So weighed that contexts are soon used again, and that calls are answered after that.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    // Weighed as well, as what is held may be taken for another.
    let says = || select(&[Says::Continue, Says::Reply, Says::Await, Says::Await, Says::Hold][..]);
    let (context, root) = (|| select(&CONTEXTS[..]), || select(&ROOTS[..]));
    let heeds = any::<(bool, bool)>().prop_map(|(response, log)| Heeds { response, log });
    let call = any::<Index>().prop_map(Which);
    prop_oneof![
        6 => (context(), root()).prop_map(|(context, root)| Step::Create { context, root }),
        8 => (context(), says(), heeds)
            .prop_map(|(context, says, heeds)| Step::Request { context, says, heeds }),
        2 => context().prop_map(|context| Step::Response { context }),
        2 => context().prop_map(|context| Step::Log { context }),
        5 => context().prop_map(|context| Step::Delete { context }),
        3 => (root(), says(), any::<bool>())
            .prop_map(|(root, says, news)| Step::Tick { root, says, news }),
        5 => (call, root(), says()).prop_map(|(call, root, says)| Step::Answer { call, root, says }),
        1 => Just(Step::Configure { root: ROOTS[1] }),
    ]
}
