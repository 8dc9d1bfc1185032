//! A proxy whose workers share cells and nothing else.

use std::time::Duration;

use canary::{Canary, Memo};
use filter_core::fixture::{FixtureExchange, World};
use filter_core::view::{Attribute, Value};
use filter_core::{Count, Edit, Filter, HeaderMap, Metrics, Phase, View};

/// A window of two seconds, thirty requests, off for a second at first and for four at most.
pub(crate) const GUARDED: &str = r#"{"rollouts":[{
    "name":"shop","header":"x-shop","key":[{"header":"x-user"}],"stable":"v1",
    "variants":[{"name":"v2","weight":40}],
    "guard":{"interval":"2s","minRequests":30,"errors":{"max":10,"overStable":5},
             "latency":{"limit":"100ms","max":50},
             "baseEjectionTime":"1s","maxEjectionTime":"4s","halfOpen":{"weight":25,"minRequests":5}}}]}"#;

pub(crate) const TICK: Duration = Duration::from_millis(200);

/// A proxy with workers that each have a configuration of their own and its memory.
pub(crate) struct Proxy {
    pub(crate) world: World,
    pub(crate) workers: Vec<Canary>,
    /// All workers declare the same.
    metrics: Metrics,
    pub(crate) events: Vec<String>,
}

impl Proxy {
    pub(crate) fn new(workers: usize, document: &str) -> Self {
        let metrics = configured(document).1;
        let workers = (0..workers).map(|_| configured(document).0).collect();
        Self { world: World::default(), workers, metrics, events: Vec::new() }
    }

    /// Every worker's clock strikes.
    pub(crate) fn tick(&mut self) {
        self.world.clock.advance(TICK);
        for worker in 0..self.workers.len() {
            self.tick_of(worker);
        }
    }

    pub(crate) fn tick_of(&mut self, worker: usize) {
        let counts = self.workers[worker].on_tick(&self.world.ports()).counts;
        self.events.extend(counts.into_iter().map(|count| match count {
            Count::Add(series, 1) => {
                let name = self.metrics.stat(series).unwrap().1;
                name.rsplit_once("result=.=").unwrap().1.trim_end_matches(";.;").to_owned()
            }
            other => panic!("{other:?}"),
        }));
    }

    /// A request by a user, and what a worker makes of it.
    pub(crate) fn begin(&self, worker: usize, user: usize) -> Begun {
        self.begin_with(worker, user, &[])
    }

    /// As [`Proxy::begin`], with more headers.
    pub(crate) fn begin_with(&self, worker: usize, user: usize, more: &[(&str, &str)]) -> Begun {
        let user = format!("user-{user}");
        let lines = [(":method", "GET"), (":path", "/"), (":authority", "a"), ("x-user", &user)];
        let request = HeaderMap::from_pairs(lines.iter().chain(more).copied());
        let exchange = FixtureExchange { request, ..FixtureExchange::default() };
        let mut memo = Memo::default();
        let view = View::new(&exchange, Phase::Request, &[]);
        let outcome = self.workers[worker].on_request(&view, &mut memo, &self.world.ports());
        let evidence = outcome.decisions[0].evidence();
        let (_, version) = evidence.split_once(':').unwrap();
        Begun {
            worker,
            memo,
            version: version.to_owned(),
            reason: outcome.decisions[0].reason,
            edits: outcome.edits,
        }
    }

    /// It is over, with this status.
    pub(crate) fn end(&self, mut begun: Begun, status: i64) {
        let attributes = [
            (Attribute::ResponseCode, Value::Number(status)),
            (Attribute::ResponseFlags, Value::Number(0)),
            (Attribute::RequestDuration, Value::Number(1_000_000)),
        ];
        let exchange =
            FixtureExchange { attributes: attributes.into(), ..FixtureExchange::default() };
        let view = View::new(&exchange, Phase::Log, &[]);
        self.workers[begun.worker].on_log(&view, &mut begun.memo, &self.world.ports());
    }

    /// Requests of so many users, of whom those on v2 get this status. Tells how many were on v2.
    pub(crate) fn traffic(&self, users: usize, status: i64) -> usize {
        let mut on_v2 = 0;
        for user in 0..users {
            let begun = self.begin(user % self.workers.len(), user);
            let v2 = begun.version == "shop=v2";
            on_v2 += usize::from(v2);
            self.end(begun, if v2 { status } else { 200 });
        }
        on_v2
    }

    /// Those of so many users who are on v2 with every worker; the workers agree.
    pub(crate) fn on_v2(&self, users: usize) -> Vec<usize> {
        let of = |worker| -> Vec<usize> {
            (0..users).filter(|user| self.begin(worker, *user).version == "shop=v2").collect()
        };
        let first = of(0);
        assert!((1..self.workers.len()).all(|worker| of(worker) == first), "workers differ");
        first
    }
}

/// A request that is under way.
pub(crate) struct Begun {
    pub(crate) worker: usize,
    pub(crate) memo: Memo,
    pub(crate) version: String,
    pub(crate) reason: &'static str,
    pub(crate) edits: Vec<Edit>,
}

pub(crate) fn configured(document: &str) -> (Canary, Metrics) {
    let mut metrics = Metrics::default();
    let canary = Canary::configure(document.as_bytes(), &mut metrics);
    (canary.unwrap_or_else(|invalid| panic!("{invalid}")), metrics)
}
