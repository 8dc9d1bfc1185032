//! What each rule counts, in `outrigger_ratelimit_decisions_total{rule, reason}`.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::BTreeMap;

use filter_core::cells::{self, Stored, Unavailable, Version};
use filter_core::fixture::{FixtureExchange, MapCells, MovableClock, NoSignatures, SameSeed};
use filter_core::{Cells, Count, Filter, HeaderMap, Metrics, Outcome, Phase, Ports, View};
use ratelimit::{Memo, RateLimit};

/// Cells that may be kept from being read, or from being written.
#[derive(Default)]
struct Store {
    cells: MapCells,
    contended: Cell<bool>,
    unreadable: Cell<bool>,
}

impl Cells for Store {
    fn load(&self, key: &[u8]) -> Result<Option<cells::Cell>, Unavailable> {
        if self.unreadable.get() { Err(Unavailable) } else { self.cells.load(key) }
    }

    fn store(&self, key: &[u8], value: &[u8], at: Option<Version>) -> Result<Stored, Unavailable> {
        if self.contended.get() { Ok(Stored::Conflict) } else { self.cells.store(key, value, at) }
    }
}

/// A filter, and what it counted.
struct Counted {
    filter: RateLimit,
    metrics: Metrics,
    store: Store,
    counts: BTreeMap<String, u64>,
    /// Of requests that are never over.
    memos: Vec<Memo>,
}

impl Counted {
    fn by(rules: &str) -> Self {
        let mut metrics = Metrics::default();
        let document = format!(r#"{{"rules":[{rules}]}}"#);
        let filter = RateLimit::configure(document.as_bytes(), &mut metrics).unwrap();
        Self { filter, metrics, store: Store::default(), counts: BTreeMap::new(), memos: vec![] }
    }

    /// Sends a request of this client for this path, which the upstream answers with 200.
    fn send(&mut self, path: &str, client: &str) {
        let clock = MovableClock::default();
        let ports = Ports {
            clock: &clock,
            cells: &self.store,
            signatures: &NoSignatures,
            entropy: &SameSeed,
        };
        let request = HeaderMap::from_pairs([(":path", path), ("x-client", client)]);
        let response = HeaderMap::from_pairs([(":status", "200"), ("x-cost", "3")]);
        let exchange = FixtureExchange { request, response, ..FixtureExchange::default() };
        let mut memo = Memo::default();
        let view = |phase| View::new(&exchange, phase, &[]);
        let came = self.filter.on_request(&view(Phase::Request), &mut memo, &ports);
        let answered = self.filter.on_response(&view(Phase::Response), &mut memo, &ports);
        self.memos.push(memo);
        for Outcome { decisions, counts, .. } in [came, answered] {
            let decided = decisions.iter().map(filter_core::Decision::count);
            decided.chain(counts).for_each(|count| self.add(count));
        }
    }

    fn add(&mut self, count: Count) {
        let Count::Add(series, number) = count else { panic!("{count:?}") };
        let (_, stat) = self.metrics.stat(series).unwrap();
        let labels = stat.strip_prefix("outrigger_ratelimit_decisions_total.rule=.=").unwrap();
        let labels = labels.replace(";.;reason=.=", " ").replace(";.;", "");
        *self.counts.entry(labels).or_default() += number;
    }

    /// What was counted since last asked.
    fn told(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.counts).into_iter().collect()
    }
}

fn lines(lines: &[(&str, u64)]) -> Vec<(String, u64)> {
    lines.iter().map(|(labels, count)| ((*labels).to_owned(), *count)).collect()
}

#[test]
fn each_rule_counts_what_it_admits_and_what_it_refuses() {
    let mut counted = Counted::by(
        r#"{"name":"two","limits":["2/hour"],"match":{"paths":["/both","/two"]}},
           {"name":"three","limits":["3/day"],"match":{"paths":["/both","/three"]}}"#,
    );
    (0..2).for_each(|_| counted.send("/both", ""));
    assert_eq!(counted.told(), lines(&[("three admitted", 2), ("two admitted", 2)]));
    counted.send("/both", "");
    assert_eq!(
        counted.told(),
        lines(&[("two limited", 1)]),
        "three has one left and is not charged"
    );
    (0..2).for_each(|_| counted.send("/three", ""));
    assert_eq!(counted.told(), lines(&[("three admitted", 1), ("three limited", 1)]));
    (0..5).for_each(|_| counted.send("/both", ""));
    assert_eq!(counted.told(), lines(&[("three limited", 5), ("two limited", 5)]), "both refuse");
    counted.send("/elsewhere", "");
    assert_eq!(counted.told(), []);
}

#[test]
fn a_rule_in_shadow_counts_beside_those_that_are_enforced() {
    let mut counted = Counted::by(
        r#"{"name":"two","limits":["2/hour"]},
           {"name":"watched","limits":["1/hour"],"mode":"shadow"},
           {"name":"at-once","concurrency":{"maxRequests":1},"mode":"shadow"}"#,
    );
    counted.send("/", "");
    let first = [("at-once admitted", 1), ("two admitted", 1), ("watched admitted", 1)];
    assert_eq!(counted.told(), lines(&first));
    // Nothing was told of the end of the first, so it is in flight.
    counted.send("/", "");
    let second =
        [("at-once shadow_limited", 1), ("two admitted", 1), ("watched shadow_limited", 1)];
    assert_eq!(counted.told(), lines(&second));
    counted.send("/", "");
    let third = [("at-once shadow_limited", 1), ("two limited", 1), ("watched shadow_limited", 1)];
    assert_eq!(counted.told(), lines(&third));
}

#[test]
fn of_a_rule_that_is_enforced_in_part_each_refusal_is_one_or_the_other() {
    // The dice always say the same here, so one share tells it apart from the next.
    let refused = |percent: u64| {
        let mut counted = Counted::by(&format!(
            r#"{{"name":"some","limits":["1/hour"],"enforcedPercent":{percent}}}"#
        ));
        (0..4).for_each(|_| counted.send("/", ""));
        counted.told()
    };
    let shares: Vec<_> = (0..=100).map(refused).collect();
    let shadow = lines(&[("some admitted", 1), ("some shadow_limited", 3)]);
    let enforced = lines(&[("some admitted", 1), ("some limited", 3)]);
    let turn = shares.iter().position(|told| *told == enforced).unwrap();
    assert!((1..=100).contains(&turn), "{turn}");
    assert!(shares.iter().take(turn).all(|told| *told == shadow));
    assert!(shares.iter().skip(turn).all(|told| *told == enforced));
}

#[test]
fn trouble_with_the_store_is_counted_by_the_rule_that_had_it() {
    let mut counted = Counted::by(
        r#"{"name":"through","limits":["9/hour"],"contended":"allow","match":{"paths":["/allow"]}},
           {"name":"shut","limits":["9/hour"],"match":{"paths":["/deny"]}},
           {"name":"watched","limits":["9/hour"],"mode":"shadow","match":{"paths":["/shadow","/allow"]}}"#,
    );
    for path in ["/allow", "/deny", "/shadow"] {
        counted.send(path, "");
    }
    counted.told();
    counted.store.contended.set(true);
    counted.send("/allow", "");
    assert_eq!(counted.told(), lines(&[("through contended", 1), ("watched contended", 1)]));
    counted.send("/deny", "");
    assert_eq!(counted.told(), lines(&[("shut contended", 1)]));
    counted.send("/shadow", "");
    assert_eq!(counted.told(), lines(&[("watched contended", 1)]));
    counted.store.unreadable.set(true);
    counted.send("/shadow", "");
    assert_eq!(counted.told(), lines(&[("watched unavailable", 1)]));
    counted.send("/allow", "");
    assert_eq!(counted.told(), lines(&[("through unavailable", 1)]));
}

#[test]
fn every_key_that_loses_its_place_is_counted() {
    let keys = 100_000;
    let mut counted = Counted::by(
        r#"{"name":"per-client","key":[{"header":"x-client"}],"limits":["9/hour"],
            "settle":{"costHeader":"x-cost","maxCost":9}}"#,
    );
    for key in 0..keys {
        counted.send("/", &key.to_string());
    }
    let told: BTreeMap<String, u64> = counted.told().into_iter().collect();
    let places = 8 * (counted.store.cells.len() as u64 - 1);
    // All places are taken by now, or nearly: what was admitted and did not find one took another's.
    let admitted = told["per-client admitted"];
    let evicted = told["per-client evicted"];
    println!("{admitted} admitted, {evicted} evicted, {places} places");
    assert!(evicted >= admitted - places && evicted <= admitted - places + 100);
}
