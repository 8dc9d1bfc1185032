//! So many at the same time, over all workers, and each request is counted until it is over.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Duration;

use filter_core::cells::{self, Stored, Unavailable, Version};
use filter_core::fixture::{FixtureExchange, MovableClock, NoSignatures, SameSeed, World};
use filter_core::{Cells, Filter, HeaderMap, Metrics, Outcome, Phase, Ports, Verdict, View};
use ratelimit::{Memo, RateLimit};

fn filter(document: &str) -> RateLimit {
    RateLimit::configure(document.as_bytes(), &mut Metrics::default()).unwrap()
}

fn come(filter: &RateLimit, memo: &mut Memo, ports: &Ports<'_>) -> Outcome {
    let request = HeaderMap::from_pairs([(":method", "GET"), (":path", "/")]);
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    filter.on_request(&View::new(&exchange, Phase::Request, &[]), memo, ports)
}

fn end(filter: &RateLimit, memo: &mut Memo, ports: &Ports<'_>) {
    let exchange = FixtureExchange::default();
    filter.on_log(&View::new(&exchange, Phase::Log, &[]), memo, ports);
}

fn evidence(outcome: &Outcome) -> Vec<String> {
    outcome.decisions.iter().map(|decision| decision.evidence().to_owned()).collect()
}

#[test]
fn a_request_counts_until_it_is_over() {
    let filter = filter(r#"{"rules":[{"name":"two","concurrency":{"maxRequests":2}}]}"#);
    let (world, mut memos) = (World::default(), [Memo::default(), Memo::default()]);
    for memo in &mut memos {
        assert_eq!(evidence(&come(&filter, memo, &world.ports())), ["admitted:two"]);
    }
    let mut third = Memo::default();
    let refused = come(&filter, &mut third, &world.ports());
    assert_eq!(evidence(&refused), ["concurrency_limited:two"]);
    assert!(RateLimit::LATER.contains(&Phase::Log), "or nobody says that it is");
    let Verdict::Reply(reply) = refused.verdict else { panic!("{refused:?}") };
    assert_eq!((reply.status, &reply.headers[0].1[..]), (429, &b"1"[..]));
    end(&filter, &mut third, &world.ports());
    assert_eq!(come(&filter, &mut third, &world.ports()).decisions.len(), 1);
    for _ in 0..3 {
        // It is over once, however often that is said.
        end(&filter, &mut memos[0], &world.ports());
    }
    assert_eq!(evidence(&come(&filter, &mut third, &world.ports())), ["admitted:two"]);
    let refused = come(&filter, &mut Memo::default(), &world.ports());
    assert_eq!(evidence(&refused), ["concurrency_limited:two"]);
}

#[test]
fn a_rule_in_shadow_counts_whom_it_would_have_let_in() {
    let filter = filter(
        r#"{"rules":[{"name":"one","mode":"shadow","concurrency":{"maxRequests":1}},
            {"name":"half","enforcedPercent":0,"concurrency":{"maxRequests":2}}]}"#,
    );
    let (world, mut first) = (World::default(), Memo::default());
    let come = |memo: &mut Memo| evidence(&self::come(&filter, memo, &world.ports()));
    assert_eq!(come(&mut first), ["admitted:one"]);
    assert_eq!(come(&mut Memo::default()), ["admitted:half", "shadow_limited:one"]);
    end(&filter, &mut first, &world.ports());
    // The second never ended; what the first held is free again.
    assert_eq!(come(&mut first), ["admitted:one"]);
}

#[test]
fn whoever_another_rule_refuses_holds_no_place() {
    let filter = filter(
        r#"{"rules":[{"name":"one","concurrency":{"maxRequests":1}},{"name":"rate","limits":["1/min"]}]}"#,
    );
    let (world, mut memo) = (World::default(), Memo::default());
    assert_eq!(evidence(&come(&filter, &mut memo, &world.ports())), ["admitted:one"]);
    end(&filter, &mut memo, &world.ports());
    for _ in 0..3 {
        let refused = come(&filter, &mut Memo::default(), &world.ports());
        assert_eq!(evidence(&refused), ["limited:rate"]);
    }
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(evidence(&come(&filter, &mut memo, &world.ports())), ["admitted:one"]);
    // Of two rules that refuse, the one with the longer wait is named.
    let refused = come(&filter, &mut Memo::default(), &world.ports());
    assert_eq!(evidence(&refused), ["limited:rate"]);
}

#[test]
fn only_a_filter_that_holds_leases_keeps_time() {
    let rate = filter(r#"{"rules":[{"name":"rate","limits":["1/min"]}]}"#);
    assert_eq!(rate.period(), None);
    let two = filter(
        r#"{"rules":[{"name":"a","concurrency":{"maxRequests":1}},
            {"name":"b","concurrency":{"maxRequests":1,"leaseDuration":"8s"}}]}"#,
    );
    assert_eq!(two.period(), Some(Duration::from_secs(2)));
}

#[test]
fn what_a_vm_held_that_is_gone_comes_back_and_is_counted() {
    let document =
        r#"{"rules":[{"name":"one","concurrency":{"maxRequests":1,"leaseDuration":"8s"}}]}"#;
    let (gone, here, world) = (filter(document), filter(document), World::default());
    assert_eq!(evidence(&come(&gone, &mut Memo::default(), &world.ports())), ["admitted:one"]);
    let mut memo = Memo::default();
    let mut come = || evidence(&self::come(&here, &mut memo, &world.ports()));
    world.clock.advance(Duration::from_millis(7999));
    assert!(here.on_tick(&world.ports()).counts.is_empty());
    assert_eq!(come(), ["concurrency_limited:one"]);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(come(), ["admitted:one"]);
    let counts = here.on_tick(&world.ports()).counts;
    assert!(matches!(counts[..], [filter_core::Count::Add(_, 1)]), "{counts:?}");
    assert!(here.on_tick(&world.ports()).counts.is_empty());
}

/// Cells that threads share, and that let others go first whenever they can.
#[derive(Default)]
struct Shared(Mutex<BTreeMap<Vec<u8>, cells::Cell>>);

impl Cells for Shared {
    fn load(&self, key: &[u8]) -> Result<Option<cells::Cell>, Unavailable> {
        std::thread::yield_now();
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn store(&self, key: &[u8], value: &[u8], at: Option<Version>) -> Result<Stored, Unavailable> {
        std::thread::yield_now();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = held.get(key).map(|cell| cell.version);
        if version != at {
            return Ok(Stored::Conflict);
        }
        let version = Version(version.map_or(1, |version| version.0 + 1));
        held.insert(key.to_vec(), cells::Cell { value: value.to_vec(), version });
        Ok(Stored::Swapped)
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "these threads are the proxy's workers")]
fn threads_never_have_more_in_flight_than_may_be() {
    const WORKERS: usize = 8;
    let document = r#"{"rules":[{"name":"three","concurrency":{"maxRequests":3}}]}"#;
    let (shared, start) = (Shared::default(), Barrier::new(WORKERS));
    let (in_flight, admitted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let (worker, clock) = (filter(document), MovableClock::default());
        let ports =
            Ports { clock: &clock, cells: &shared, signatures: &NoSignatures, entropy: &SameSeed };
        start.wait();
        for _ in 0..500 {
            let mut memo = Memo::default();
            let goes = come(&worker, &mut memo, &ports).verdict == Verdict::Continue;
            if goes {
                assert!(in_flight.fetch_add(1, Ordering::SeqCst) < 3);
                admitted.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
                in_flight.fetch_sub(1, Ordering::SeqCst);
            }
            end(&worker, &mut memo, &ports);
        }
        worker.on_tick(&ports);
    };
    std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(work))));
    assert!(admitted.load(Ordering::SeqCst) > 100);
    let (after, clock) = (filter(document), MovableClock::default());
    let ports =
        Ports { clock: &clock, cells: &shared, signatures: &NoSignatures, entropy: &SameSeed };
    let mut memos = [0; 4].map(|_| Memo::default());
    let goes = memos.each_mut().map(|memo| come(&after, memo, &ports).verdict == Verdict::Continue);
    assert_eq!(goes, [true, true, true, false]);
}
