//! Workers that race: whatever happens between any two calls to the store, no limit is passed and no token is lost.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Barrier, Mutex, PoisonError};

use filter_core::cells::{self, Stored, Unavailable, Version};
use filter_core::fixture::{FixtureExchange, MapCells, MovableClock, NoSignatures, SameSeed};
use filter_core::{Cells, Filter, HeaderMap, Metrics, Phase, Ports, View};
use proptest::prelude::*;
use ratelimit::{Memo, RateLimit};

/// Two rules that some requests match both, and others one each.
const EVEN: &str = r#"{"name":"even","match":{"paths":["/both","/even"]},
    "tokenBucket":{"maxTokens":4,"fillInterval":"1h"}}"#;
const ODD: &str = r#"{"name":"odd","match":{"paths":["/both","/odd"]},
    "tokenBucket":{"maxTokens":4,"fillInterval":"1h"}}"#;
const WIDE: &str = r#"{"name":"wide","tokenBucket":{"maxTokens":9,"fillInterval":"1h"}}"#;
const NARROW: &str = r#"{"name":"narrow","tokenBucket":{"maxTokens":5,"fillInterval":"1h"}}"#;

fn filter(rules: &[&str]) -> RateLimit {
    let document = format!("{{\"rules\":[{}]}}", rules.join(","));
    RateLimit::configure(document.as_bytes(), &mut Metrics::default()).unwrap()
}

/// Sends one request, and tells the reason of what came of it.
fn send(worker: &RateLimit, path: &str, cells: &dyn Cells) -> &'static str {
    let request = HeaderMap::from_pairs([(":method", "GET"), (":path", path)]);
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    let view = View::new(&exchange, Phase::Request, &[]);
    let clock = MovableClock::default();
    let ports = Ports { clock: &clock, cells, signatures: &NoSignatures, entropy: &SameSeed };
    worker.on_request(&view, &mut Memo::default(), &ports).decisions.first().unwrap().reason
}

/// How many requests for both paths a filter of this one rule still lets through.
fn left(rule: &str, cells: &dyn Cells) -> u64 {
    let after = filter(&[rule]);
    (0..).take_while(|_| send(&after, "/both", cells) == "admitted").count().try_into().unwrap()
}

/// Workers of which any may run, as often as the dice say, before any call of another to the store. Stores may also
/// fail for no reason.
struct Race {
    workers: Vec<RateLimit>,
    running: Cell<usize>,
    dice: RefCell<Vec<u8>>,
    cells: MapCells,
    told: RefCell<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Race {
    fn run(rules: &[&str], workers: usize, requests: usize, dice: Vec<u8>) -> Self {
        let race = Self {
            workers: (0..workers).map(|_| filter(rules)).collect(),
            running: Cell::new(0),
            dice: RefCell::new(dice),
            cells: MapCells::default(),
            told: RefCell::default(),
        };
        (0..requests).for_each(|_| race.send());
        race
    }

    fn send(&self) {
        let next = self.running.get();
        let Some(worker) = self.workers.get(next) else { return };
        self.running.set(next + 1);
        let path = ["/both", "/even", "/odd"][usize::from(self.die() % 3)];
        let reason = send(worker, path, self);
        *self.told.borrow_mut().entry((reason, path)).or_default() += 1;
        self.running.set(next);
    }

    fn die(&self) -> u8 {
        self.dice.borrow_mut().pop().unwrap_or(u8::MAX)
    }

    fn others(&self) {
        while self.die() < 100 {
            self.send();
        }
    }

    /// How often this reason was told, to requests for these paths.
    fn told(&self, reason: &str, paths: &[&str]) -> u64 {
        let told = self.told.borrow();
        let these = told.iter().filter(|((why, path), _)| *why == reason && paths.contains(path));
        these.map(|(_, count)| *count).sum()
    }

    fn troubled(&self) -> bool {
        self.told.borrow().keys().any(|(why, _)| !["admitted", "limited"].contains(why))
    }
}

impl Cells for Race {
    fn load(&self, key: &[u8]) -> Result<Option<cells::Cell>, Unavailable> {
        self.others();
        self.cells.load(key)
    }

    fn store(&self, key: &[u8], value: &[u8], at: Option<Version>) -> Result<Stored, Unavailable> {
        self.others();
        if self.die() < 40 { Ok(Stored::Conflict) } else { self.cells.store(key, value, at) }
    }
}

const ALL: [&str; 3] = ["/both", "/even", "/odd"];

proptest! {
    #[test]
    fn a_limit_is_met_exactly(workers in 1_usize..17, dice in prop::collection::vec(any::<u8>(), 0..400)) {
        let race = Race::run(&[NARROW], workers, 8, dice);
        prop_assert!(!race.troubled());
        prop_assert_eq!(race.told("admitted", &ALL), 5);
        prop_assert_eq!(left(NARROW, &race.cells), 0);
    }

    #[test]
    fn the_narrower_of_two_rules_is_met_exactly(
        workers in 1_usize..17,
        requests in 1_usize..8,
        wide_first: bool,
        dice in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let rules = if wide_first { [WIDE, NARROW] } else { [NARROW, WIDE] };
        let race = Race::run(&rules, workers, requests, dice);
        prop_assert!(!race.troubled());
        let admitted = race.told("admitted", &ALL);
        prop_assert_eq!(left(NARROW, &race.cells), 5 - admitted);
        prop_assert_eq!(left(WIDE, &race.cells), 9 - admitted);
    }

    #[test]
    fn no_token_is_ever_given_twice_or_lost(
        workers in 1_usize..17,
        requests in 1_usize..12,
        dice in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let race = Race::run(&[EVEN, ODD], workers, requests, dice);
        prop_assert!(!race.troubled());
        let even = race.told("admitted", &["/both", "/even"]);
        let odd = race.told("admitted", &["/both", "/odd"]);
        let sums = [even + left(EVEN, &race.cells), odd + left(ODD, &race.cells)];
        prop_assert_eq!(sums, [4, 4]);
    }
}

/// Cells that let another act once, before the call of this number.
struct Before<'a> {
    cells: &'a MapCells,
    calls: Cell<u32>,
    number: u32,
    act: &'a dyn Fn(),
}

impl Before<'_> {
    fn call(&self) {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.number {
            (self.act)();
        }
    }
}

impl Cells for Before<'_> {
    fn load(&self, key: &[u8]) -> Result<Option<cells::Cell>, Unavailable> {
        self.call();
        self.cells.load(key)
    }

    fn store(&self, key: &[u8], value: &[u8], at: Option<Version>) -> Result<Stored, Unavailable> {
        self.call();
        self.cells.store(key, value, at)
    }
}

#[test]
fn whoever_loses_the_last_token_of_one_rule_keeps_those_of_the_others() {
    // Seed: load, store. Quotes: load even, load odd. Charges: store even, store odd.
    for (number, calls) in [(1, 3), (2, 5), (3, 4), (4, 4), (5, 9), (6, 9)] {
        let cells = MapCells::default();
        let act =
            || (0..4).for_each(|_| assert_eq!(send(&filter(&[ODD]), "/odd", &cells), "admitted"));
        let before = Before { cells: &cells, calls: Cell::new(0), number, act: &act };
        assert_eq!(send(&filter(&[EVEN, ODD]), "/both", &before), "limited", "call {number}");
        assert_eq!(left(EVEN, &cells), 4, "call {number}");
        assert_eq!(before.calls.get(), calls, "call {number}");
    }
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
fn threads_meet_a_limit_exactly() {
    const WORKERS: usize = 8;
    for _ in 0..50 {
        let (shared, start) = (Shared::default(), Barrier::new(WORKERS));
        let work = || {
            let worker = filter(&[WIDE, NARROW]);
            start.wait();
            (0..20).map(|_| send(&worker, "/", &shared)).collect::<Vec<_>>()
        };
        let reasons: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert!(reasons.iter().all(|reason| *reason == "admitted" || *reason == "limited"));
        assert_eq!(reasons.iter().filter(|reason| **reason == "admitted").count(), 5);
    }
}
