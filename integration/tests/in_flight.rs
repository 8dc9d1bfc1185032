//! So many at the same time is so many, with one worker, two and four: under pressure, while configurations are pushed, and
//! while the module crashes; and every place that is taken comes back.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use integration::discovered::Discovered;
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Upstream, poll};
use serde_json::{Value, json};

const WORKERS: [u32; 3] = [1, 2, 4];
const MOST: usize = 5;
const LEASE: Duration = Duration::from_secs(2);

fn rule(most: usize) -> Value {
    json!({
        "name": "at-once",
        "key": [{"header": "x-api-key"}],
        "concurrency": {"maxRequests": most, "leaseDuration": format!("{}s", LEASE.as_secs())},
    })
}

fn start(plugin: &Plugin, workers: u32) -> (Envoy, SocketAddr, Upstream) {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("ratelimit", &[("v1", upstream.address())]).unwrap();
    let demo = bootstrap.demo().unwrap().with_plugins(std::slice::from_ref(plugin)).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, workers).unwrap();
    let address = envoy.listener("demo").unwrap();
    (envoy, address, upstream)
}

fn ask() -> Request {
    Request::get("/").with("x-api-key", "one")
}

/// A request on a connection of its own, and what comes of it.
fn send(address: SocketAddr) -> JoinHandle<Result<u16, String>> {
    thread::spawn(move || Client::new(address).send(&ask()).map(|response| response.status))
}

/// What Envoy answers where the VM of a worker crashed, until it makes another: a second later, and more each time.
const CRASHED: Result<u16, String> = Ok(503);

/// A request on a connection of its own that the upstream holds, as the last of so many.
fn held(
    address: SocketAddr,
    upstream: &Upstream,
    number: usize,
) -> JoinHandle<Result<u16, String>> {
    let mut open = send(address);
    let arrived = poll::until(poll::DEADLINE, "a request to arrive", || {
        let arrived = upstream.in_flight() >= number as u64;
        if !arrived && open.is_finished() {
            let answered = mem::replace(&mut open, send(address));
            assert_eq!(answered.join().unwrap(), CRASHED, "request {number}");
        }
        arrived.then_some(())
    });
    assert_eq!(arrived, Ok(()), "request {number}");
    open
}

/// Sends requests until so many are held by the upstream and the next is refused.
fn fill(
    address: SocketAddr,
    upstream: &Upstream,
    most: usize,
) -> Vec<JoinHandle<Result<u16, String>>> {
    let open = (1..=most).map(|number| held(address, upstream, number)).collect();
    let next = poll::until(poll::DEADLINE, "an answer", || {
        let answered = send(address).join().unwrap();
        (answered != CRASHED).then_some(answered)
    });
    assert_eq!(next, Ok(Ok(429)));
    assert_eq!(upstream.in_flight(), most as u64);
    open
}

/// Lets the held requests end, and holds what comes after them.
fn end(open: Vec<JoinHandle<Result<u16, String>>>, upstream: &Upstream) {
    upstream.let_go();
    for thread in open {
        assert_eq!(thread.join().unwrap(), Ok(200));
    }
    upstream.hold();
}

/// Waits until a request would go through. It is over then.
fn comes_free(address: SocketAddr, upstream: &Upstream) {
    upstream.let_go();
    let free = poll::until(poll::DEADLINE, "a place", || {
        (send(address).join().unwrap() == Ok(200)).then_some(())
    });
    assert_eq!(free, Ok(()));
    upstream.hold();
}

/// Connections that ask and ask, until told to stop.
struct Flood {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<[usize; 2]>>,
}

impl Flood {
    fn upon(address: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let press = |_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                let (mut client, mut counts) = (Client::new(address), [0, 0]);
                while !over.load(Ordering::Acquire) {
                    // While a VM is made anew, connections may be refused an answer.
                    match client.send(&ask()).map(|response| response.status) {
                        Ok(200) => counts[0] += 1,
                        Ok(429) => counts[1] += 1,
                        _ => {}
                    }
                }
                counts
            })
        };
        let threads = (0..16).map(press).collect();
        Self { over, threads }
    }

    /// How many were let through, and how many were refused.
    fn stop(self) -> [usize; 2] {
        self.over.store(true, Ordering::Release);
        let counts = self.threads.into_iter().map(|thread| thread.join().unwrap());
        counts.fold([0, 0], |[goes, refused], [more, others]| [goes + more, refused + others])
    }
}

/// Holds answers back until all places are taken, or for a moment, and then lets them go.
fn pulse(upstream: &Upstream) {
    upstream.hold();
    let full = || (upstream.in_flight() >= MOST as u64).then_some(());
    let _ = poll::until(LEASE / 10, "all places to be taken", full);
    upstream.let_go();
    let ended = || (upstream.in_flight() < MOST as u64).then_some(());
    let _ = poll::until(LEASE / 10, "some to end", ended);
}

#[test]
fn under_pressure_no_more_are_in_flight_and_all_come_back() {
    for workers in WORKERS {
        let plugin = Plugin::shipped("ratelimit", &json!({"rules": [rule(MOST)]}));
        let (envoy, address, upstream) = start(&plugin, workers);
        let flood = Flood::upon(address);
        (0..30).for_each(|_| pulse(&upstream));
        let [admitted, refused] = flood.stop();
        println!("{admitted} of {} with {workers} workers", admitted + refused);
        assert_eq!(upstream.peak(), MOST as u64);
        assert_eq!(upstream.requests(), admitted as u64);
        let counted = |reason| {
            let labels = [("rule", "at-once"), ("reason", reason)];
            envoy.admin().metric("outrigger_ratelimit_decisions_total", &labels).unwrap()
        };
        assert_eq!(counted("admitted"), admitted as u64);
        assert_eq!(counted("concurrency_limited") + counted("contended"), refused as u64);
        assert_eq!(counted("expired"), 0);
        for _ in 0..2 {
            upstream.hold();
            end(fill(address, &upstream, MOST), &upstream);
        }
    }
}

#[test]
fn a_client_that_goes_away_leaves_its_place() {
    let plugin = Plugin::shipped("ratelimit", &json!({"rules": [rule(1)]}));
    let (_envoy, address, upstream) = start(&plugin, 2);
    upstream.hold();
    let mut gone = Client::new(address).within(Duration::from_millis(300));
    assert!(gone.send(&ask()).is_err());
    drop(gone);
    comes_free(address, &upstream);
}

#[test]
fn a_request_keeps_its_place_through_pushes_for_as_long_as_it_takes() {
    for workers in WORKERS {
        let upstream = Upstream::start("v1").unwrap();
        // Another rule each time: else it would be the same configuration, and none.
        let plugin = |push: usize, most: usize| {
            let other = json!({"name": format!("other-{push}"), "limits": ["700/s"]});
            Plugin::shipped("ratelimit", &json!({"rules": [rule(most), other]}))
        };
        let mut envoy =
            Discovered::start_with(&plugin(0, MOST), upstream.address(), workers).unwrap();
        let address = envoy.envoy().listener("demo").unwrap();
        upstream.hold();
        let open = fill(address, &upstream, MOST);
        let (begin, mut push) = (Instant::now(), 0);
        while begin.elapsed() < 3 * LEASE {
            push += 1;
            assert!(envoy.push(&plugin(push, MOST)).unwrap().accepted);
            assert_eq!(send(address).join().unwrap(), Ok(429), "{:?}", begin.elapsed());
        }
        println!("{push} pushes with {workers} workers");
        assert!(envoy.push(&plugin(push + 1, MOST + 1)).unwrap().accepted);
        let more = held(address, &upstream, MOST + 1);
        assert_eq!(send(address).join().unwrap(), Ok(429));
        end(open.into_iter().chain([more]).collect(), &upstream);
        assert!(envoy.push(&plugin(push + 2, MOST)).unwrap().accepted);
        end(fill(address, &upstream, MOST), &upstream);
    }
}

#[test]
fn what_a_module_held_that_crashed_comes_back() {
    for workers in WORKERS {
        let (envoy, address, upstream) =
            start(&Plugin::brittle(&json!({"rules": [rule(MOST)]})), workers);
        let crashes = || envoy.log().matches("as asked").count();
        let crash = || {
            let before = crashes();
            poll::until(poll::DEADLINE, "a crash", || {
                let _ = Client::new(address).send(&ask().with("x-probe", "panic"));
                (crashes() > before).then_some(())
            })
            .unwrap();
        };
        upstream.hold();
        let open = fill(address, &upstream, MOST);
        (0..2 * workers).for_each(|_| crash());
        println!("{} crashes with {workers} workers", crashes());
        upstream.let_go();
        let ended: Vec<_> = open.into_iter().map(|thread| thread.join().unwrap()).collect();
        println!("what was in flight: {ended:?}");
        upstream.let_go();
        // That a place's time is up is found by whoever asks next, and told by the next tick.
        let all = poll::until(poll::DEADLINE, "all places", || {
            let _ = send(address).join().unwrap();
            let labels = [("rule", "at-once"), ("reason", "expired")];
            let expired = envoy.admin().metric("outrigger_ratelimit_decisions_total", &labels);
            let lost = ended.iter().filter(|status| **status != Ok(200)).count();
            (expired.unwrap_or(0) >= lost as u64).then_some(())
        });
        assert_eq!(all, Ok(()));
        upstream.hold();
        end(fill(address, &upstream, MOST), &upstream);
    }
}

#[test]
fn a_module_that_crashes_in_mid_flood_leaks_nothing() {
    for workers in WORKERS {
        let (envoy, address, upstream) =
            start(&Plugin::brittle(&json!({"rules": [rule(MOST)]})), workers);
        let flood = Flood::upon(address);
        let crashes = || envoy.log().matches("as asked").count();
        for round in 1..=8 {
            poll::until(poll::DEADLINE, "a crash", || {
                pulse(&upstream);
                let _ = Client::new(address).send(&ask().with("x-probe", "panic"));
                (crashes() >= round).then_some(())
            })
            .unwrap();
        }
        flood.stop();
        println!("{} crashes with {workers} workers", crashes());
        assert_eq!(upstream.peak(), MOST as u64);
        comes_free(address, &upstream);
        let begin = Instant::now();
        poll::until(poll::DEADLINE, "the leases", || (begin.elapsed() > LEASE).then_some(()))
            .unwrap();
        end(fill(address, &upstream, MOST), &upstream);
    }
}
