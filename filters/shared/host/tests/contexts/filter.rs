//! The filter of these exchanges.

use std::rc::Rc;
use std::time::Duration;

use filter_core::outcome::GrpcStatus;
use filter_core::{
    Answer, Chores, Filter, Headers, Invalid, Metrics, Outcome, Phase, Ports, Reply, Verdict, View,
};

use super::stage::{Callback, Event, NOW};
use super::steps::{Heeds, Says};
use super::{LONGEST, PERIOD};
use crate::proxy::callout;

/// A filter that says what it is to say, and remembers which exchange it said it of.
struct Mindful {
    root: u32,
}

#[derive(Default)]
struct Memo {
    exchange: Option<Rc<u64>>,
    heeds: Heeds,
}

impl Mindful {
    /// Notes that it was asked, and returns which exchange about.
    fn note(&self, callback: Callback, headers: Headers<'_>, memo: &Memo) -> Option<u64> {
        let named = headers.copies("exchange").next();
        let exchange = named.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        NOW.with_borrow_mut(|now| {
            let (root, memo) = (self.root, memo.exchange.as_deref().copied());
            now.note(|context| Event::Asked { root, callback, context, exchange, memo });
        });
        exchange
    }

    fn say() -> Outcome {
        let verdict = match NOW.with_borrow(|now| now.says) {
            Says::Continue => Verdict::Continue,
            Says::Reply => Verdict::Reply(Reply {
                status: 403,
                grpc_status: GrpcStatus::PermissionDenied,
                headers: Vec::new(),
                body: Vec::new(),
                details: "mindful{no}".to_owned(),
            }),
            Says::Await => Verdict::Await(callout()),
            Says::Hold => Verdict::Hold(Duration::from_nanos(LONGEST)),
        };
        Outcome { verdict, ..Outcome::pass() }
    }
}

impl Filter for Mindful {
    const NAME: &'static str = "mindful";
    type Memo = Memo;

    fn configure(_: &[u8], _: &mut Metrics) -> Result<Self, Invalid> {
        Ok(Self { root: NOW.with_borrow(|now| now.effective) })
    }

    fn on_request(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        let exchange = self.note(Callback::Request, view.request(), memo).map(Rc::new);
        NOW.with_borrow_mut(|now| {
            now.memos.extend(exchange.as_ref().map(Rc::downgrade));
            *memo = Memo { exchange, heeds: now.heeds };
        });
        Self::say()
    }

    fn on_answer(&self, view: &View<'_>, _: &Answer, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        self.note(Callback::Answer, view.request(), memo);
        Self::say()
    }

    fn heeds(&self, memo: &Memo, phase: Phase) -> bool {
        match phase {
            Phase::Request => false,
            Phase::Response => memo.heeds.response,
            Phase::Log => memo.heeds.log,
        }
    }

    fn on_response(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        self.note(Callback::Response, view.response(), memo);
        Outcome::pass()
    }

    fn on_log(&self, view: &View<'_>, memo: &mut Memo, _: &Ports<'_>) -> Outcome {
        self.note(Callback::Log, view.request(), memo);
        Outcome::pass()
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_nanos(PERIOD))
    }

    fn on_tick(&self, _: &Ports<'_>) -> Chores {
        Chores { resume: NOW.with_borrow(|now| now.news), ..Chores::default() }
    }
}

filter_host::plugin!(Mindful, Response, Log);
