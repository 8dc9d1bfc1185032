//! A plugin under a proxy that answers every call with any status and any bytes. Nothing may panic, and no request
//! may go on whose headers could not be read or cleaned.

#![expect(clippy::unwrap_used, reason = "this is a test")]

mod proxy;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use filter_core::cells::{Step, update};
use filter_core::matching::Truth;
use filter_core::metrics::Family;
use filter_core::outcome::GrpcStatus;
use filter_core::ports::PublicKey;
use filter_core::{
    Answer, Attribute, Chores, Count, Edit, Errand, Expression, Filter, HeaderName, Invalid,
    Metrics, Outcome, Phase, Ports, Publication, Reply, Stated, Verdict, View,
};
use proptest::prelude::*;
use proxy::{Proxy, Said, callout, encoded, plugin};

/// What the proxy says to the calls it gets, in order and then again from the start.
#[derive(Clone, Debug, Default)]
struct Script {
    answers: Vec<(u32, Vec<u8>)>,
    next: usize,
    /// What the plugin did.
    acts: Vec<Act>,
    /// The expressions that were compiled, and the tokens of those that are kept.
    expressions: Vec<String>,
    tokens: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Act {
    Replied { accepted: bool },
    Continued,
    HeadersRead { status: u32, bytes: Vec<u8> },
    HeaderEdited { status: u32 },
    Called { token: u32 },
    Held,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
    /// The phases in which the filter heeds what comes of its requests. Every test has a thread of its own.
    static HEEDS: Cell<&'static [Phase]> = const { Cell::new(&[Phase::Response, Phase::Log]) };
    /// Whether the filter makes up its mind without a look at the headers.
    static BLIND: Cell<bool> = const { Cell::new(false) };
    /// How many calls the filter makes in the background at one time, if it makes any.
    static CALLS: Cell<usize> = const { Cell::new(1) };
}

fn act(act: Act) {
    SCRIPT.with_borrow_mut(|script| script.acts.push(act));
}

/// A proxy that says what it was given to say.
struct TestProxy;

impl Proxy for TestProxy {
    fn answer() -> Said {
        SCRIPT.with_borrow_mut(|script| {
            let count = script.answers.len().max(1);
            let answer = script.answers.get(script.next % count).cloned().unwrap_or_default();
            script.next += 1;
            answer
        })
    }

    fn header_map_pairs(map: u32) -> Said {
        let (status, bytes) = Self::answer();
        if map == 0 {
            act(Act::HeadersRead { status, bytes: bytes.clone() });
        }
        (status, bytes)
    }

    fn edit(_: u32, _: &Edit) -> u32 {
        let status = Self::answer().0;
        act(Act::HeaderEdited { status });
        status
    }

    fn continue_request() -> u32 {
        act(Act::Continued);
        Self::answer().0
    }

    fn send_local_response() -> u32 {
        let status = Self::answer().0;
        act(Act::Replied { accepted: status == 0 });
        status
    }

    fn http_call(_: &[u8], token: u32) -> u32 {
        let status = Self::answer().0;
        if status == 0 {
            act(Act::Called { token });
        }
        status
    }

    fn call_foreign(name: &[u8], arguments: &[u8]) -> Said {
        let (status, bytes) = Self::answer();
        let given = arguments.to_vec();
        SCRIPT.with_borrow_mut(|script| match name {
            b"expr_create" if status == 0 && bytes.len() == 4 => {
                script.expressions.push(String::from_utf8(given).unwrap());
                script.tokens.push(bytes.clone());
            }
            b"expr_evaluate" => assert!(script.tokens.contains(&given)),
            b"expr_delete" => {
                let at = script.tokens.iter().position(|token| *token == given);
                script.tokens.swap_remove(at.unwrap());
            }
            _ => {}
        });
        (status, bytes)
    }
}

/// A filter that asks for everything, and answers whatever the headers' bytes add up to.
struct Curious {
    counter: Family,
    histogram: Family,
    condition: Option<Expression>,
}

const ATTRIBUTES: [Attribute; 6] = [
    Attribute::SourceAddress,
    Attribute::RequestDuration,
    Attribute::ResponseCode,
    Attribute::ResponseFlags,
    Attribute::RouteName,
    Attribute::FilterState("curious"),
];

impl Curious {
    fn ask(&self, view: &View<'_>, ports: &Ports<'_>) -> u64 {
        if BLIND.get() {
            return ports.clock.wall().as_secs() % 1000;
        }
        let mut sum = u64::from(view.request().method().first().copied().unwrap_or_default());
        for headers in [view.request(), view.response()] {
            for name in [":path", "x-owned", "cookie"] {
                sum += headers.copies(name).map(|value| value.len() as u64).sum::<u64>();
            }
            let _ = (headers.cookie("a"), headers.is_grpc());
        }
        for attribute in ATTRIBUTES {
            sum += view.text(attribute).map_or(0, |text| text.len() as u64);
            sum += view.number(attribute).unwrap_or_default().unsigned_abs() % 100;
        }
        sum += ports.clock.wall().as_secs() % 7 + ports.clock.monotonic().as_secs() % 5;
        sum += u64::from(ports.entropy.seed()[0]);
        let key = PublicKey { hash: "sha256", der: &[1, 2, 3] };
        sum += u64::from(ports.signatures.verify(&key, b"message", b"signature") == Some(true));
        let _ = update(ports.cells, b"cell", 3, |held| {
            Step::Replace(held.unwrap_or_default().to_vec(), held.is_some())
        });
        if let Some(condition) = &self.condition {
            sum += u64::from(view.holds(condition) == Truth::True);
        }
        sum
    }

    fn answer(&self, sum: u64) -> Outcome {
        let owned = HeaderName::literal("x-owned");
        let verdict = match sum % 5 {
            0 | 1 => Verdict::Continue,
            2 => Verdict::Reply(Reply {
                status: u16::try_from(sum % 1000).unwrap(),
                grpc_status: GrpcStatus::Unavailable,
                headers: vec![(owned.clone(), b"x".to_vec())],
                body: b"no".to_vec(),
                details: "curious{no}".to_owned(),
            }),
            3 => {
                act(Act::Held);
                Verdict::Hold(Duration::from_nanos(sum))
            }
            _ => Verdict::Await(callout()),
        };
        Outcome {
            verdict,
            edits: vec![
                Edit::Remove(HeaderName::literal("x-other")),
                Edit::Remove(owned.clone()),
                Edit::Set(owned, b"ours".to_vec()),
                Edit::Append(HeaderName::literal("x-more"), b"ours too".to_vec()),
            ],
            publish: vec![Publication { name: "curious", value: b"\xff\0".to_vec() }],
            counts: vec![
                Count::Add(self.counter.series(&[]), sum),
                Count::Record(self.histogram.series(&[]), sum),
            ],
            reroute: sum.is_multiple_of(2),
            ..Outcome::pass()
        }
    }
}

impl Filter for Curious {
    const NAME: &'static str = "curious";
    type Memo = u64;

    fn configure(document: &[u8], metrics: &mut Metrics) -> Result<Self, Invalid> {
        if document.first() == Some(&0) {
            return Err(Invalid::at("/x", "no zero", "a zero"));
        }
        let counter = metrics.counter("counter", vec![]).unwrap();
        // Without a condition, so that a proxy that compiles nothing does not refuse each configuration.
        let condition = (document.first() == Some(&1)).then(|| Expression::parse("true").unwrap());
        let histogram = metrics.histogram("histogram", vec![]).unwrap();
        Ok(Self { counter, histogram, condition })
    }

    fn expressions(&self) -> Vec<Stated> {
        let stated = |expression| Stated { pointer: "/condition".to_owned(), expression };
        self.condition.clone().map(stated).into_iter().collect()
    }

    fn attributes(&self, _: Phase) -> Vec<Attribute> {
        ATTRIBUTES.to_vec()
    }

    fn on_request(&self, view: &View<'_>, memo: &mut u64, ports: &Ports<'_>) -> Outcome {
        *memo = self.ask(view, ports);
        self.answer(*memo)
    }

    fn on_answer(
        &self,
        view: &View<'_>,
        answer: &Answer,
        memo: &mut u64,
        ports: &Ports<'_>,
    ) -> Outcome {
        if let Answer::Response { headers, body } = answer {
            *memo += headers.iter().count() as u64 + body.len() as u64;
        }
        self.answer(*memo / 2 + self.ask(view, ports))
    }

    fn heeds(&self, _: &u64, phase: Phase) -> bool {
        HEEDS.get().contains(&phase)
    }

    fn on_response(&self, view: &View<'_>, memo: &mut u64, ports: &Ports<'_>) -> Outcome {
        self.answer(*memo + self.ask(view, ports))
    }

    fn on_log(&self, view: &View<'_>, memo: &mut u64, ports: &Ports<'_>) -> Outcome {
        self.answer(*memo + self.ask(view, ports))
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn on_tick(&self, ports: &Ports<'_>) -> Chores {
        let sum = ports.clock.wall().as_secs();
        let calls = if sum.is_multiple_of(2) { CALLS.get() } else { 0 };
        let calls = std::iter::repeat_n((Errand(1), callout()), calls).collect();
        let counts = vec![Count::Add(self.counter.series(&[]), 1)];
        Chores { calls, counts, resume: sum.is_multiple_of(3) }
    }

    fn on_fetched(&self, errand: Errand, answer: &Answer, ports: &Ports<'_>) -> Chores {
        assert_eq!(errand, Errand(1));
        let _ = answer;
        self.on_tick(ports)
    }
}

filter_host::plugin!(Curious, Response, Log);

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        ":method", ":path", "x-owned", "x-other", "cookie", "\u{ff}", "",
    ]);
    let pair =
        (name.prop_map(|name| name.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..6));
    prop_oneof![
        // What a condition yields, and a token of one.
        (0_u8..3).prop_map(|byte| vec![byte]),
        any::<[u8; 4]>().prop_map(Vec::from),
        prop::collection::vec(any::<u8>(), 0..24),
        prop::collection::vec(pair, 0..6).prop_map(|pairs| encoded(&pairs)),
        Just(Vec::new()),
    ]
}

fn status() -> impl Strategy<Value = u32> {
    prop_oneof![8 => Just(0_u32), 2 => 1_u32..13, 1 => any::<u32>()]
}

/// Plays one whole exchange, and returns what the plugin did while it had the request.
fn play(answers: Vec<(u32, Vec<u8>)>, configured: usize) -> Vec<Act> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CONTEXTS: AtomicU32 = AtomicU32::new(1);
    let root = CONTEXTS.fetch_add(2, Ordering::Relaxed);
    let stream = root + 1;

    SCRIPT.set(Script::default());
    filter_host::start();
    plugin::proxy_on_context_create(root, 0);
    SCRIPT.with_borrow_mut(|script| script.answers = answers);
    let _ = plugin::proxy_on_configure(root, configured);
    plugin::proxy_on_context_create(stream, root);
    SCRIPT.with_borrow_mut(|script| script.acts.clear());

    let mut action = plugin::proxy_on_request_headers(stream, 3, false);
    let rest = (
        plugin::proxy_on_request_body(stream, 10, false),
        plugin::proxy_on_request_trailers(stream, 1),
    );
    assert_eq!(rest, (action, action), "a body may go on just when its headers may");
    let mut answered = 0;
    // This filter may ask for ever; the proxy of this test dies after a few answers.
    for _ in 0..5 {
        plugin::proxy_on_tick(root);
        let token = SCRIPT.with_borrow(|script| {
            script.acts.iter().rev().find_map(|act| match act {
                Act::Called { token } => Some(*token),
                _ => None,
            })
        });
        match token {
            Some(token) if token > answered => {
                answered = token;
                let count = token as usize % 3;
                plugin::proxy_on_http_call_response(root, token, count, count, 0);
            }
            _ => {}
        }
        let acts = SCRIPT.with_borrow(|script| script.acts.clone());
        if acts.contains(&Act::Continued) {
            action = 0;
        }
    }
    let acts = SCRIPT.with_borrow(|script| script.acts.clone());
    let replied = acts.iter().any(|act| matches!(act, Act::Replied { .. }));
    let waits = acts.iter().any(|act| matches!(act, Act::Called { .. } | Act::Held));
    assert!(action == 0 || replied || waits, "a request is stopped for a reason: {acts:?}");
    assert!(action == 1 || !replied, "a request that goes on got no reply: {acts:?}");
    if action == 0 {
        for act in &acts {
            if let Act::HeaderEdited { status } = act {
                assert_eq!(*status, 0, "a request went on with a header that was not cleaned");
            }
            if let Act::HeadersRead { status, .. } = act {
                assert_eq!(*status, 0, "a request went on whose headers could not be read");
            }
        }
    }
    plugin::proxy_on_response_headers(stream, 2, true);
    plugin::proxy_on_log(stream);
    plugin::proxy_on_delete(stream);
    plugin::proxy_on_delete(root);
    let kept = SCRIPT.with_borrow(|script| script.tokens.clone());
    assert!(kept.is_empty(), "the proxy keeps expressions of a plugin that is gone: {kept:?}");
    acts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_the_proxy_says_breaks_a_plugin(
        answers in prop::collection::vec((status(), bytes()), 1..40),
        configured in 0_usize..2,
        blind in any::<bool>(),
    ) {
        BLIND.set(blind);
        play(answers, configured);
    }
}

#[test]
fn a_plugin_that_was_never_configured_lets_nothing_through() {
    // The configuration is `\0`, which the filter refuses.
    let acts = play(vec![(0, vec![0])], 1);
    assert_eq!(acts, [Act::Replied { accepted: true }]);
}

#[test]
fn edits_that_change_nothing_are_not_made() {
    let owned = (b"x-owned".to_vec(), b"ours".to_vec());
    let method = (b":method".to_vec(), vec![0]);
    let acts = play(vec![(0, encoded(&[method, owned]))], 0);
    assert!(acts.iter().any(|act| matches!(act, Act::HeadersRead { .. })));
    // All but what is appended.
    let edits = acts.iter().filter(|act| matches!(act, Act::HeaderEdited { .. })).count();
    assert_eq!(edits, 1, "{acts:?}");
}

#[test]
fn every_call_is_sent_however_many_there_are_and_no_more_than_some_again() {
    let root = u32::MAX - 99;
    for (status, sent) in [(0, 100), (1, 0)] {
        SCRIPT.set(Script { answers: vec![(0, Vec::new())], ..Script::default() });
        CALLS.set(100);
        plugin::proxy_on_context_create(root, 0);
        assert!(plugin::proxy_on_configure(root, 0));
        SCRIPT.with_borrow_mut(|script| script.answers = vec![(status, Vec::new())]);
        plugin::proxy_on_tick(root);
        let acts = SCRIPT.with_borrow(|script| script.acts.clone());
        assert_eq!(acts.len(), sent, "{acts:?}");
        plugin::proxy_on_delete(root);
    }
}

#[test]
fn a_condition_is_compiled_by_itself_and_then_as_one_that_yields_a_boolean() {
    // The configuration is `\x01`, with a condition; the token of an expression is the other answer.
    play(vec![(0, vec![1]), (0, vec![7, 0, 0, 0])], 1);
    let compiled = SCRIPT.with_borrow(|script| script.expressions.clone());
    assert_eq!(compiled[..2], ["true", "(true\n) ? true : false"]);
}

#[test]
fn a_context_that_nobody_made_is_refused_or_unheard() {
    SCRIPT.set(Script { answers: vec![(0, Vec::new())], ..Script::default() });
    let nobody = u32::MAX;
    assert_eq!(plugin::proxy_on_request_headers(nobody, 0, true), 1);
    let acts = SCRIPT.with_borrow(|script| script.acts.clone());
    assert_eq!(acts, [Act::Replied { accepted: true }]);
    assert_eq!(plugin::proxy_on_request_body(nobody, 1, true), 1, "nor does its body go on");
    plugin::proxy_on_response_headers(nobody, 0, true);
    plugin::proxy_on_log(nobody);
    plugin::proxy_on_delete(nobody);
    plugin::proxy_on_delete(nobody);
    plugin::proxy_on_tick(nobody);
    plugin::proxy_on_http_call_response(nobody, 1, 1, 1, 0);
    assert!(!plugin::proxy_on_configure(nobody, 0), "there is no such plugin to configure");
    let after = SCRIPT.with_borrow(|script| script.acts.clone());
    assert_eq!(after, acts);
}

#[test]
fn exchanges_may_be_made_in_one_order_and_come_in_another() {
    let (root, streams) = (u32::MAX - 9, [u32::MAX - 8, u32::MAX - 7, u32::MAX - 6]);
    // All of them empty: headers that add up to nothing, so that each request goes on.
    SCRIPT.set(Script { answers: vec![(0, Vec::new())], ..Script::default() });
    plugin::proxy_on_context_create(root, 0);
    assert!(plugin::proxy_on_configure(root, 0));
    for stream in streams {
        plugin::proxy_on_context_create(stream, root);
    }
    let [first, second, third] = streams;
    assert_eq!(plugin::proxy_on_request_headers(second, 0, true), 0);
    plugin::proxy_on_delete(third);
    assert_eq!(plugin::proxy_on_request_headers(third, 0, true), 1, "it is gone");
    plugin::proxy_on_delete(root);
    plugin::proxy_on_log(second);
    let told = SCRIPT.with_borrow(|script| script.next);
    plugin::proxy_on_log(second);
    assert_eq!(SCRIPT.with_borrow(|script| script.next), told, "it is told once");
    assert_eq!(plugin::proxy_on_request_headers(first, 0, true), 1, "its plugin is gone");
    for stream in streams {
        plugin::proxy_on_delete(stream);
    }
}

#[test]
fn what_a_filter_does_not_heed_it_is_not_asked_about_again() {
    let phases: [&[Phase]; 4] =
        [&[], &[Phase::Response], &[Phase::Log], &[Phase::Response, Phase::Log]];
    for (root, heeds) in (0..).map(|case| u32::MAX - 10 * (case + 2)).zip(phases) {
        HEEDS.set(heeds);
        SCRIPT.set(Script { answers: vec![(0, Vec::new())], ..Script::default() });
        let stream = root + 1;
        plugin::proxy_on_context_create(root, 0);
        assert!(plugin::proxy_on_configure(root, 0));
        plugin::proxy_on_context_create(stream, root);
        assert_eq!(plugin::proxy_on_request_headers(stream, 0, true), 0);
        let told = SCRIPT.with_borrow(|script| script.next);
        plugin::proxy_on_response_headers(stream, 0, true);
        let response = SCRIPT.with_borrow(|script| script.next);
        plugin::proxy_on_log(stream);
        let log = SCRIPT.with_borrow(|script| script.next);
        let asked = [(Phase::Response, response > told), (Phase::Log, log > response)];
        assert!(asked.iter().all(|(phase, asked)| *asked == heeds.contains(phase)), "{heeds:?}");
        plugin::proxy_on_delete(stream);
        plugin::proxy_on_delete(root);
    }
}
