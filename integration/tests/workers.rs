//! A limit is the limit of the whole proxy, however many workers share it and however hard they are pressed.

use std::thread;

use integration::{Bootstrap, Client, Envoy, Request, Upstream};
use serde_json::json;

const WORKERS: u32 = 4;
const CONNECTIONS: usize = 24;
const REQUESTS: usize = 50;
const LIMIT: usize = 200;

#[test]
fn four_workers_admit_exactly_the_limit_of_each_key() {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("ratelimit", &[("v1", upstream.address())]).unwrap();
    let document = json!({"rules": [{
        "name": "exact",
        "key": [{"header": "x-api-key"}],
        // Slow enough that none comes back before the test is over.
        "tokenBucket": {"maxTokens": LIMIT, "tokensPerFill": 1, "fillInterval": "24h"},
    }]});
    let demo = bootstrap.demo().unwrap();
    let demo = demo.configure("ratelimit", "ratelimit", &document.to_string()).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, WORKERS).unwrap();
    let address = envoy.listener("demo").unwrap();

    // Half of the connections press on one key, half on the other, all at once.
    let press = |key: &'static str| {
        move || {
            let mut client = Client::new(address);
            let request = Request::get("/").with("x-api-key", key);
            let statuses = (0..REQUESTS).map(|_| client.send(&request).unwrap().status);
            statuses.filter(|status| *status == 200).count()
        }
    };
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| if number % 2 == 0 { "one" } else { "two" })
        .map(|key| (key, thread::spawn(press(key))))
        .collect();
    let mut admitted = [("one", 0), ("two", 0)];
    for (key, thread) in threads {
        let count = thread.join().unwrap();
        admitted.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, sum)| *sum += count);
    }

    let admin = envoy.admin();
    let counted = |reason| {
        let labels = [("rule", "exact"), ("reason", reason)];
        admin.metric("outrigger_ratelimit_decisions_total", &labels).unwrap()
    };
    let workers = admin.stats("worker_").unwrap();
    let busy =
        |(name, value): &(&String, &u64)| name.ends_with(".downstream_cx_total") && **value > 0;
    println!("{admitted:?} admitted of {} each", CONNECTIONS / 2 * REQUESTS);
    println!("{} limited, {} contended", counted("limited"), counted("contended"));
    println!("{} workers had connections", workers.iter().filter(busy).count());
    assert_eq!(admitted, [("one", LIMIT), ("two", LIMIT)]);
    assert_eq!(counted("admitted"), 2 * LIMIT as u64);
    assert_eq!(upstream.requests(), 2 * LIMIT as u64);
    assert!(workers.iter().filter(busy).count() > 1, "one worker alone shows nothing: {workers:?}");
}
