//! A flood of made-up keys: the table does not grow with them, nor do the metrics, and no key gets more than its limit.
//! `FLOOD=1000000` sends a million of them; it is fewer otherwise.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::thread;

use integration::{Bootstrap, Client, Envoy, Plugin, Request, poll};
use serde_json::json;

const THREADS: usize = 16;
/// More keys than the table has room for, twice over.
const FIRST: usize = 64_000;
/// What the table of one rule may take, in bytes.
const TABLE: u64 = 2_000_000;
/// What else may come and go in a process that served so many: buffers, connections, histograms.
const NOISE: u64 = 1_000_000;

/// Sends a request for each of these keys; tells how many went through.
fn keys(address: std::net::SocketAddr, from: usize, to: usize) -> usize {
    let share = (to - from) / THREADS;
    let press = |number: usize| {
        let begin = from + number * share;
        thread::spawn(move || {
            let mut client = Client::new(address);
            let mut send = |key: usize| {
                let request = Request::get("/").with("x-api-key", format!("made-up-{key}"));
                client.send(&request).unwrap().status
            };
            (begin..begin + share).filter(|key| send(*key) == 200).count()
        })
    };
    let threads: Vec<_> = (0..THREADS).map(press).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

#[test]
fn made_up_keys_take_no_more_memory_than_the_table() {
    [1, 2, 4].into_iter().for_each(flood);
}

fn flood(workers: u32) {
    let all = std::env::var("FLOOD").map_or(3 * FIRST, |count| count.parse().unwrap());
    let rules = json!({"rules": [{
        "name": "per-key",
        "key": [{"header": "x-api-key"}],
        "tokenBucket": {"maxTokens": 3, "tokensPerFill": 1, "fillInterval": "24h"},
    }]});
    let nobody = "127.0.0.1:9".parse().unwrap();
    let mut bootstrap = Bootstrap::before("ratelimit", &[("v1", nobody)]).unwrap();
    let answer = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    let demo = bootstrap.demo().unwrap();
    let demo = demo.with_plugins(&[Plugin::shipped("ratelimit", &rules)]).unwrap();
    bootstrap.set_listeners(vec![demo.with_first_route(answer).unwrap()]).unwrap();
    let envoy = Envoy::start(&bootstrap, workers).unwrap();
    let address = envoy.listener("demo").unwrap();
    let admin = envoy.admin();
    let memory = || admin.memory().unwrap();
    // Lines of the access log that wait for a busy disk go away.
    let below = |bound| poll::until(poll::DEADLINE, "memory", || (memory() < bound).then_some(()));
    let series = || admin.stats("").unwrap().len();

    // What the first requests of all kinds need.
    let ask = Request::get("/").with("x-api-key", "honest");
    let mut client = Client::new(address);
    let mut honest = || client.send(&ask).unwrap().status;
    assert_eq!([0; 5].map(|_| honest()), [200, 200, 200, 429, 429]);
    keys(address, 0, 1000);
    let begin = memory();

    let first = keys(address, FIRST, 2 * FIRST);
    let (filled, counted) = (memory(), series());
    println!(
        "{workers} workers: {first} of {FIRST} keys went through; {} bytes more",
        filled.saturating_sub(begin)
    );
    assert_eq!(below(begin + TABLE), Ok(()), "{begin}, then {filled}");

    let more = keys(address, 2 * FIRST, 2 * FIRST + all - FIRST);
    let after = memory();
    println!("{more} of {} others; {} bytes more", all - FIRST, after.saturating_sub(begin));
    assert_eq!(below(filled + NOISE), Ok(()), "{filled}, then {after}");
    assert_eq!(series(), counted);
    assert_eq!(honest(), 429, "its debt outlives its place");
    let labels = [("rule", "per-key"), ("reason", "evicted")];
    let evicted = admin.metric("outrigger_ratelimit_decisions_total", &labels).unwrap();
    println!("{evicted} evicted");
    assert!(evicted > 0);
}
