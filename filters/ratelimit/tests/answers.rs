//! What the filter asks of the host, and what it answers when the host cannot help.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::time::Duration;

use filter_core::cells::{self, Stored, Unavailable, Version};
use filter_core::fixture::{FixtureExchange, NoSignatures, SameSeed, World};
use filter_core::outcome::GrpcStatus;
use filter_core::ports::Clock;
use filter_core::{Cells, Filter, HeaderMap, Metrics, Outcome, Phase, Ports, Reply, Verdict, View};
use ratelimit::{Memo, RateLimit};

/// A host that counts what it is asked, and whose store may fail.
#[derive(Default)]
struct Host {
    world: World,
    clock: Cell<u32>,
    loads: Cell<u32>,
    stores: Cell<u32>,
    unreadable: Cell<bool>,
    unwritable: Cell<bool>,
    contended: Cell<bool>,
}

fn one_more(count: &Cell<u32>) {
    count.set(count.get() + 1);
}

impl Clock for Host {
    fn wall(&self) -> Duration {
        panic!("a limit must not depend on what people set the time to")
    }

    fn monotonic(&self) -> Duration {
        one_more(&self.clock);
        self.world.clock.monotonic()
    }
}

impl Cells for Host {
    fn load(&self, key: &[u8]) -> Result<Option<cells::Cell>, Unavailable> {
        one_more(&self.loads);
        if self.unreadable.get() { Err(Unavailable) } else { self.world.cells.load(key) }
    }

    fn store(&self, key: &[u8], value: &[u8], at: Option<Version>) -> Result<Stored, Unavailable> {
        one_more(&self.stores);
        match (self.unwritable.get(), self.contended.get()) {
            (true, _) => Err(Unavailable),
            (_, true) => Ok(Stored::Conflict),
            _ => self.world.cells.store(key, value, at),
        }
    }
}

impl Host {
    fn send(&self, filter: &RateLimit, path: &str) -> Outcome {
        let request = HeaderMap::from_pairs([(":method", "GET"), (":path", path)]);
        let exchange = FixtureExchange { request, ..FixtureExchange::default() };
        let view = View::new(&exchange, Phase::Request, &[]);
        let ports =
            Ports { clock: self, cells: self, signatures: &NoSignatures, entropy: &SameSeed };
        filter.on_request(&view, &mut Memo::default(), &ports)
    }

    /// How often the clock was read, cells were loaded and stored, since last asked.
    fn asked(&self) -> [u32; 3] {
        [self.clock.take(), self.loads.take(), self.stores.take()]
    }
}

fn filter() -> RateLimit {
    let document = br#"{"rules":[
        {"name":"all","tokenBucket":{"maxTokens":4,"fillInterval":"60s"},"match":{"notPaths":["/free"]}},
        {"name":"some","tokenBucket":{"maxTokens":2,"fillInterval":"60s"},"match":{"paths":["/some"]}}]}"#;
    RateLimit::configure(document, &mut Metrics::default()).unwrap()
}

fn evidence(outcome: &Outcome) -> String {
    let [decision] = &outcome.decisions[..] else { panic!("{outcome:?}") };
    decision.evidence().to_owned()
}

fn reply(outcome: Outcome) -> Reply {
    let Verdict::Reply(reply) = outcome.verdict else { panic!("{outcome:?}") };
    reply
}

#[test]
fn a_request_costs_what_its_rules_cost() {
    let (host, filter) = (Host::default(), filter());
    assert_eq!(host.send(&filter, "/free"), Outcome::pass());
    assert_eq!(host.asked(), [0, 0, 0], "no rule");
    assert_eq!(evidence(&host.send(&filter, "/")), "admitted:all");
    assert_eq!(host.asked(), [1, 2, 2], "one rule, and the first seed");
    assert_eq!(evidence(&host.send(&filter, "/")), "admitted:all");
    assert_eq!(host.asked(), [1, 1, 1], "one rule");
    assert_eq!(evidence(&host.send(&filter, "/some")), "admitted:all");
    assert_eq!(host.asked(), [1, 2, 2], "two rules");
    host.send(&filter, "/");
    host.asked();
    assert_eq!(evidence(&host.send(&filter, "/")), "limited:all");
    assert_eq!(host.asked(), [1, 1, 0], "a refusal");
    assert_eq!(evidence(&host.send(&filter, "/")), "limited:all");
    assert_eq!(host.asked(), [1, 0, 0], "another");
    let again = self::filter();
    assert_eq!(evidence(&host.send(&again, "/some")), "limited:all");
    assert_eq!(host.asked(), [1, 3, 0], "a refusal by a module that has yet to read the seed");
}

#[test]
fn the_rule_with_the_fewest_tokens_left_is_named() {
    let (host, filter) = (Host::default(), filter());
    assert_eq!(evidence(&host.send(&filter, "/some")), "admitted:some");
    assert_eq!(evidence(&host.send(&filter, "/")), "admitted:all");
    assert_eq!(evidence(&host.send(&filter, "/")), "admitted:all");
    assert_eq!(evidence(&host.send(&filter, "/some")), "admitted:all");
}

#[test]
fn of_several_refusals_the_longest_wait_is_told() {
    let document = br#"{"rules":[
        {"name":"short","tokenBucket":{"maxTokens":1,"fillInterval":"1s"}},
        {"name":"long","tokenBucket":{"maxTokens":1,"fillInterval":"60s"}},
        {"name":"as-long","tokenBucket":{"maxTokens":1,"fillInterval":"60s"}}]}"#;
    let filter = RateLimit::configure(document, &mut Metrics::default()).unwrap();
    let host = Host::default();
    assert_eq!(evidence(&host.send(&filter, "/")), "admitted:short");
    let refused = host.send(&filter, "/");
    assert_eq!(evidence(&refused), "limited:long");
    assert_eq!(reply(refused).headers[0].1, b"60");
}

#[test]
fn a_store_that_fails_lets_nobody_through() {
    for (read, stage) in [(true, "read"), (false, "write")] {
        let (host, filter) = (Host::default(), filter());
        let broken = if read { &host.unreadable } else { &host.unwritable };
        for warm in [false, true] {
            broken.set(true);
            let refused = host.send(&filter, "/");
            assert_eq!(evidence(&refused), "unavailable:all", "{stage}, warm: {warm}");
            let reply = reply(refused);
            assert_eq!((reply.status, reply.grpc_status), (503, GrpcStatus::Unavailable));
            assert_eq!(reply.body, b"rate_limit_unavailable");
            broken.set(false);
            assert_eq!(evidence(&host.send(&filter, "/")), "admitted:all");
        }
    }
}

#[test]
fn contention_ends() {
    let (host, filter) = (Host::default(), filter());
    for warm in [false, true] {
        host.contended.set(true);
        host.asked();
        let refused = host.send(&filter, "/");
        assert_eq!(evidence(&refused), "contended:all", "warm: {warm}");
        assert!(host.asked().iter().all(|count| *count <= 33));
        let reply = reply(refused);
        assert_eq!((reply.status, reply.grpc_status), (429, GrpcStatus::ResourceExhausted));
        assert_eq!(reply.headers[0].1, b"1");
        host.contended.set(false);
        assert_eq!(evidence(&host.send(&filter, "/")), "admitted:all");
    }
}

#[test]
fn the_store_does_not_grow_with_its_clients() {
    let document = br#"{"rules":[{"name":"per-client","key":[{"header":"x-client"}],
        "tokenBucket":{"maxTokens":1,"fillInterval":"60s"}}]}"#;
    let filter = RateLimit::configure(document, &mut Metrics::default()).unwrap();
    let world = World::default();
    for client in 0..100_000 {
        let request = HeaderMap::from_pairs([("x-client", client.to_string())]);
        let exchange = FixtureExchange { request, ..FixtureExchange::default() };
        let view = View::new(&exchange, Phase::Request, &[]);
        filter.on_request(&view, &mut Memo::default(), &world.ports());
    }
    assert_eq!(world.cells.len(), 4096 + 1);
}
