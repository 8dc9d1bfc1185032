//! A limit holds to the token, whatever happens to the proxy: on a fresh process, while configurations are pushed, while
//! the module crashes, with one worker, two and four.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use integration::discovered::Discovered;
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Upstream, poll};
use serde_json::{Value, json};

const WORKERS: [u32; 3] = [1, 2, 4];
const CONNECTIONS: usize = 16;
const LIMIT: usize = 200;

/// A limit for each key, so slow that no token comes back before the test is over.
fn slow(name: &str, tokens: usize) -> Value {
    json!({
        "name": name,
        "key": [{"header": "x-api-key"}],
        "tokenBucket": {"maxTokens": tokens, "tokensPerFill": 1, "fillInterval": "24h"},
    })
}

/// An Envoy that answers by itself whatever these plugins let through.
fn start(plugins: &[Plugin], workers: u32) -> (Envoy, SocketAddr) {
    let nobody = "127.0.0.1:9".parse().unwrap();
    let mut bootstrap = Bootstrap::before("ratelimit", &[("v1", nobody)]).unwrap();
    let answer = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    let demo = bootstrap.demo().unwrap().with_plugins(plugins).unwrap();
    bootstrap.set_listeners(vec![demo.with_first_route(answer).unwrap()]).unwrap();
    let envoy = Envoy::start(&bootstrap, workers).unwrap();
    let address = envoy.listener("demo").unwrap();
    (envoy, address)
}

fn ask(key: &str) -> Request {
    Request::get("/").with("x-api-key", key)
}

/// How many of so many requests on each connection, all at once, go through.
fn burst(address: SocketAddr, each: usize) -> usize {
    let barrier = Arc::new(Barrier::new(CONNECTIONS));
    let press = |_| {
        let barrier = Arc::clone(&barrier);
        thread::spawn(move || {
            let mut client = Client::new(address);
            barrier.wait();
            let mut send = || client.send(&ask("one")).unwrap().status;
            (0..each).filter(|_| send() == 200).count()
        })
    };
    let threads: Vec<JoinHandle<usize>> = (0..CONNECTIONS).map(press).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

#[test]
fn a_burst_on_a_fresh_process_gets_the_limit() {
    for workers in WORKERS {
        let rules = json!({"rules": [slow("exact", LIMIT)]});
        let (_envoy, address) = start(&[Plugin::shipped("ratelimit", &rules)], workers);
        assert_eq!(burst(address, 40), LIMIT, "{workers} workers");
    }
}

#[test]
fn the_narrowest_of_several_rules_and_windows_is_met() {
    for workers in WORKERS {
        let rules = json!({"rules": [
            slow("wide", 3 * LIMIT),
            {"name": "windows", "key": [{"header": "x-api-key"}], "limits": ["300/720h", "200/4800h"]},
            slow("wider", LIMIT + 500),
        ]});
        let (envoy, address) = start(&[Plugin::shipped("ratelimit", &rules)], workers);
        assert_eq!(burst(address, 30), LIMIT, "{workers} workers");
        // Whatever was refused was charged nowhere: a rule is counted as often as it let something through.
        for rule in ["wide", "windows", "wider"] {
            let labels = [("rule", rule), ("reason", "admitted")];
            let counted = envoy.admin().metric("outrigger_ratelimit_decisions_total", &labels);
            assert_eq!(counted, Ok(LIMIT as u64), "{rule}, {workers} workers");
        }
    }
}

/// Connections that ask and ask, until told to stop.
struct Flood {
    over: Arc<AtomicBool>,
    admitted: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    fn upon(address: SocketAddr) -> Self {
        let (over, admitted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let press = |_| {
            let (over, admitted) = (Arc::clone(&over), Arc::clone(&admitted));
            thread::spawn(move || {
                let mut client = Client::new(address);
                while !over.load(Ordering::Acquire) {
                    // While a VM is made anew, connections may be refused an answer.
                    if client.send(&ask("one")).is_ok_and(|response| response.status == 200) {
                        admitted.fetch_add(1, Ordering::AcqRel);
                    }
                }
            })
        };
        let threads = (0..CONNECTIONS).map(press).collect();
        Self { over, admitted, threads }
    }

    fn admitted(&self) -> usize {
        self.admitted.load(Ordering::Acquire)
    }

    fn stop(self) -> usize {
        self.over.store(true, Ordering::Release);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.admitted.load(Ordering::Acquire)
    }
}

/// Pushes these limits one after the other while requests pour in, waits until so many went through, pushes the last
/// limit once more, and tells how many went through in the end.
fn pushed(limits: &[usize], expected: usize, workers: u32) -> usize {
    let upstream = Upstream::start("v1").unwrap();
    let plugin = |push: usize, tokens: usize| {
        // Another rule each time: else it would be the same configuration, and none.
        let rules = [slow("exact", tokens), slow(&format!("other-{push}"), 700)];
        Plugin::shipped("ratelimit", &json!({"rules": rules}))
    };
    let first = plugin(0, *limits.first().unwrap());
    let mut envoy = Discovered::start_with(&first, upstream.address(), workers).unwrap();
    let address = envoy.envoy().listener("demo").unwrap();
    let flood = Flood::upon(address);
    for (push, tokens) in limits.iter().enumerate() {
        assert!(envoy.push(&plugin(push + 1, *tokens)).unwrap().accepted);
    }
    let all = poll::until(poll::DEADLINE, "the limit to be used up", || {
        (flood.admitted() >= expected).then_some(())
    });
    assert_eq!(all, Ok(()), "{} of {expected}", flood.admitted());
    assert!(envoy.push(&plugin(limits.len() + 1, *limits.last().unwrap())).unwrap().accepted);
    assert_eq!(burst(address, 20), 0);
    let admitted = flood.stop();
    assert_eq!(upstream.requests(), admitted as u64);
    admitted
}

#[test]
fn a_limit_pushed_again_and_again_in_mid_flood_is_the_same_limit() {
    for workers in WORKERS {
        assert_eq!(pushed(&[LIMIT; 10], LIMIT, workers), LIMIT, "{workers} workers");
    }
}

#[test]
fn a_limit_raised_in_mid_flood_gives_the_difference() {
    for workers in WORKERS {
        let limits = [LIMIT, LIMIT + 20, LIMIT + 20, LIMIT + 50];
        assert_eq!(pushed(&limits, LIMIT + 50, workers), LIMIT + 50, "{workers} workers");
    }
}

#[test]
fn tokens_that_were_used_stay_used_when_a_push_changes_how_fast_they_come_back() {
    const TOKENS: usize = 100;
    for workers in WORKERS {
        let upstream = Upstream::start("v1").unwrap();
        let plugin = |limit: &str| {
            let rule =
                json!({"name": "exact", "key": [{"header": "x-api-key"}], "limits": [limit]});
            Plugin::shipped("ratelimit", &json!({"rules": [rule]}))
        };
        let mut envoy =
            Discovered::start_with(&plugin("100/min"), upstream.address(), workers).unwrap();
        let begin = Instant::now();
        let flood = Flood::upon(envoy.envoy().listener("demo").unwrap());
        let used = || (flood.admitted() >= TOKENS).then_some(());
        poll::until(poll::DEADLINE, "the limit to be used up", used).unwrap();
        // What came back by the minute until every worker has the next configuration, a second later at most.
        let by_minute = |time: Duration| time.as_millis() as usize / 600 + 3;
        assert!(envoy.push(&plugin("100/h")).unwrap().accepted);
        let mut most = TOKENS + by_minute(begin.elapsed());
        let pushed = Instant::now();
        let waited = || (pushed.elapsed() > Duration::from_secs(3)).then_some(());
        poll::until(poll::DEADLINE, "three seconds", waited).unwrap();
        let by_hour = flood.admitted();
        assert!(by_hour <= most, "{by_hour} of {most}, {workers} workers");
        // Nor does going back give any of them back.
        let back = Instant::now();
        assert!(envoy.push(&plugin("100/min")).unwrap().accepted);
        let more = || (flood.admitted() > by_hour).then_some(());
        poll::until(poll::DEADLINE, "a token of the minute", more).unwrap();
        most = by_hour + by_minute(back.elapsed());
        let admitted = flood.stop();
        assert!(admitted <= most, "{admitted} of {most}, {workers} workers");
        println!("{by_hour}, then {admitted}, with {workers} workers in {:?}", begin.elapsed());
        assert_eq!(upstream.requests(), admitted as u64);
    }
}

#[test]
fn a_module_that_crashes_in_mid_flood_forgets_nothing() {
    for workers in WORKERS {
        let rules = json!({"rules": [slow("exact", LIMIT)]});
        let (envoy, address) = start(&[Plugin::brittle(&rules)], workers);
        let flood = Flood::upon(address);
        let crashes = || envoy.log().matches("as asked").count();
        for round in 1..=8 {
            // A worker whose VM is being made anew answers 503, and does not crash.
            poll::until(poll::DEADLINE, "a crash", || {
                let _ = Client::new(address).send(&ask("two").with("x-probe", "panic"));
                (crashes() >= round).then_some(())
            })
            .unwrap();
        }
        poll::until(poll::DEADLINE, "the limit", || (flood.admitted() >= LIMIT).then_some(()))
            .unwrap();
        poll::until(poll::DEADLINE, "a crash", || {
            let _ = Client::new(address).send(&ask("two").with("x-probe", "panic"));
            (crashes() > 8).then_some(())
        })
        .unwrap();
        assert_eq!(burst(address, 20), 0);
        println!("{} crashes with {workers} workers", crashes());
        assert_eq!(flood.stop(), LIMIT, "{workers} workers");
    }
}
