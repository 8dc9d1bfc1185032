//! The chain over doubles of filters that write down when they are asked, and what they see.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::outcome::GrpcStatus;
use filter_core::{
    Callout, Chores, Edit, Errand, Filter, HeaderMap, HeaderName, Headers, Invalid, Metrics, Reply,
    Verdict,
};

use super::*;
use crate::chain::{End, Link};

/// A filter that appends its name to the header `trail`.
struct Double {
    name: &'static str,
    verdict: Verdict,
    seen: Rc<RefCell<Vec<String>>>,
}

impl Double {
    fn trail(&self, phase: &str, headers: Headers<'_>, verdict: Verdict) -> Outcome {
        let copies: Vec<String> = headers
            .copies("trail")
            .map(|copy| String::from_utf8_lossy(copy).into_owned())
            .collect();
        self.seen.borrow_mut().push(format!("{phase} {}: {}", self.name, copies.join(",")));
        let value = format!("{}{}", copies.join(","), self.name).into_bytes();
        let edits = vec![Edit::Set(HeaderName::literal("trail"), value)];
        Outcome { verdict, edits, ..Outcome::pass() }
    }
}

impl Filter for Double {
    const NAME: &'static str = "double";

    type Memo = usize;

    fn configure(_: &[u8], _: &mut Metrics) -> Result<Self, Invalid> {
        Err(Invalid::at("", "nothing", "something"))
    }

    fn attributes(&self, _: Phase) -> Vec<Attribute> {
        vec![Attribute::FilterState(self.name), Attribute::RouteName]
    }

    fn on_request(&self, view: &View<'_>, asked: &mut usize, _: &Ports<'_>) -> Outcome {
        *asked += 1;
        self.trail("request", view.request(), self.verdict.clone())
    }

    fn on_answer(&self, view: &View<'_>, _: &Answer, asked: &mut usize, _: &Ports<'_>) -> Outcome {
        *asked += 1;
        // Awaits twice, and then lets the request go on.
        let verdict = if *asked == 2 { self.verdict.clone() } else { Verdict::Continue };
        self.trail("answer", view.request(), verdict)
    }

    fn on_response(&self, view: &View<'_>, asked: &mut usize, _: &Ports<'_>) -> Outcome {
        assert!(*asked > 0, "{} was not asked of the request", self.name);
        self.trail("response", view.response(), Verdict::Continue)
    }

    fn on_log(&self, view: &View<'_>, _: &mut usize, _: &Ports<'_>) -> Outcome {
        self.trail("log", view.request(), Verdict::Continue)
    }

    fn period(&self) -> Option<Duration> {
        self.name.bytes().next().map(|byte| Duration::from_secs(byte.into()))
    }

    fn on_tick(&self, _: &Ports<'_>) -> Chores {
        Chores { calls: vec![(Errand(3), call(self.name))], ..Chores::default() }
    }

    fn on_fetched(&self, errand: Errand, _: &Answer, _: &Ports<'_>) -> Chores {
        self.seen.borrow_mut().push(format!("{} fetched {}", self.name, errand.0));
        let calls = if errand == Errand(3) { vec![(Errand(4), call(self.name))] } else { vec![] };
        Chores { calls, ..Chores::default() }
    }
}

fn reply() -> Verdict {
    Verdict::Reply(Reply {
        status: 403,
        grpc_status: GrpcStatus::PermissionDenied,
        headers: Vec::new(),
        body: Vec::new(),
        details: String::new(),
    })
}

fn call(cluster: &str) -> Callout {
    Callout {
        cluster: cluster.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: Duration::ZERO,
    }
}

fn wait() -> Verdict {
    Verdict::Await(call("keys"))
}

type Three = Link<Double, Link<Double, Link<Double, End>>>;

/// `a`, `b` unless it is left out, and `c`.
fn three(verdict: Option<Verdict>) -> (Row<Three>, Rc<RefCell<Vec<String>>>) {
    let seen = Rc::default();
    let double = |name, verdict| Double { name, verdict, seen: Rc::clone(&seen) };
    let third = Link { filter: Some(double("c", Verdict::Continue)), behind: End };
    let second = Link { filter: verdict.map(|verdict| double("b", verdict)), behind: third };
    let first = Link { filter: Some(double("a", Verdict::Continue)), behind: second };
    (Row(first), seen)
}

fn exchange() -> FixtureExchange {
    FixtureExchange {
        request: HeaderMap::from_pairs([("trail", "0"), ("trail", "1")]),
        response: HeaderMap::from_pairs([("trail", "2")]),
        ..FixtureExchange::default()
    }
}

/// Plays an exchange whose callouts are all answered, as the host would.
fn play(row: &Row<Three>, seen: &RefCell<Vec<String>>) -> Vec<String> {
    let (exchange, world) = (exchange(), World::default());
    let ports = world.ports();
    let mut memo = <Three as Chain>::Memo::default();
    let mut outcome = row.on_request(View::new(&exchange, Phase::Request, &[]), &mut memo, &ports);
    let mut edits = outcome.edits;
    while let Verdict::Await(_) | Verdict::Hold(_) = outcome.verdict {
        let view = View::new(&exchange, Phase::Request, &edits);
        outcome = row.on_answer(view, &Answer::Failure, &mut memo, &ports);
        edits.extend(outcome.edits);
    }
    seen.borrow_mut().push(format!("{} edits", edits.len()));
    row.on_response(View::new(&exchange, Phase::Response, &[]), &mut memo, &ports);
    row.on_log(View::new(&exchange, Phase::Log, &[]), &mut memo, &ports);
    seen.take()
}

#[test]
fn each_sees_the_edits_of_those_before_it() {
    let (row, seen) = three(Some(Verdict::Continue));
    assert_eq!(
        play(&row, &seen),
        [
            "request a: 0,1",
            "request b: 0,1a",
            "request c: 0,1ab",
            "3 edits",
            "response c: 2",
            "response b: 2c",
            "response a: 2cb",
            "log a: 0,1",
            "log b: 0,1",
            "log c: 0,1",
        ]
    );
}

#[test]
fn a_filter_that_is_left_out_is_not_missed() {
    let (row, seen) = three(None);
    assert_eq!(
        play(&row, &seen),
        [
            "request a: 0,1",
            "request c: 0,1a",
            "2 edits",
            "response c: 2",
            "response a: 2c",
            "log a: 0,1",
            "log c: 0,1",
        ]
    );
}

#[test]
fn a_reply_ends_the_row() {
    let (row, seen) = three(Some(reply()));
    assert_eq!(
        play(&row, &seen),
        [
            "request a: 0,1",
            "request b: 0,1a",
            "2 edits",
            "response b: 2",
            "response a: 2b",
            "log a: 0,1",
            "log b: 0,1",
            "log c: 0,1",
        ]
    );
}

#[test]
fn an_answer_goes_to_the_one_that_awaits_it_and_the_request_goes_on_behind() {
    let (row, seen) = three(Some(wait()));
    assert_eq!(
        play(&row, &seen),
        [
            "request a: 0,1",
            "request b: 0,1a",
            "answer b: 0,1ab",
            "answer b: 0,1abb",
            "request c: 0,1abbb",
            "5 edits",
            "response c: 2",
            "response b: 2c",
            "response a: 2cb",
            "log a: 0,1",
            "log b: 0,1",
            "log c: 0,1",
        ]
    );
}

#[test]
fn an_answer_that_nobody_awaits_changes_nothing() {
    let (row, seen) = three(Some(Verdict::Continue));
    let (exchange, world) = (exchange(), World::default());
    let view = View::new(&exchange, Phase::Request, &[]);
    let mut memo = <Three as Chain>::Memo::default();
    let outcome = row.on_answer(view, &Answer::Failure, &mut memo, &world.ports());
    assert_eq!(outcome, Outcome::pass());
    assert!(seen.take().is_empty());
}

#[test]
fn attributes_are_those_of_all_each_once() {
    let (row, _) = three(None);
    let expected = [Attribute::RouteName, Attribute::FilterState("a"), Attribute::FilterState("c")];
    assert_eq!(row.attributes(Phase::Log), expected);
}

#[test]
fn what_each_fetches_is_told_to_it_alone() {
    for verdict in [Some(Verdict::Continue), None] {
        let (row, seen) = three(verdict.clone());
        let world = World::default();
        let mut calls = row.0.on_tick(&world.ports()).calls;
        let mut fetched = Vec::new();
        while let Some((errand, callout)) = calls.pop() {
            calls.extend(row.0.on_fetched(errand, &Answer::Failure, &world.ports()).calls);
            fetched.push(format!("for {}: {}", callout.cluster, seen.take().join(",")));
        }
        fetched.sort();
        let mut expected = Vec::new();
        for name in if verdict.is_some() { vec!["a", "b", "c"] } else { vec!["a", "c"] } {
            expected.extend([3, 4].map(|errand| format!("for {name}: {name} fetched {errand}")));
        }
        assert_eq!(fetched, expected);
        assert_eq!(row.0.period(), Some(Duration::from_secs(u64::from(b'a'))));
    }
}

#[test]
fn a_held_request_is_continued_where_it_was_held() {
    let held = |verdict| {
        let (row, seen) = three(Some(verdict));
        play(&row, &seen)
    };
    assert_eq!(held(Verdict::Hold(Duration::ZERO)), held(wait()));
}
