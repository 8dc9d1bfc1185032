//! Decisions are those of Envoy's own `local_ratelimit`, request by request, on scripts whose requests come at set times.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::time::{Duration, Instant};

use integration::{Bootstrap, Client, Envoy, Plugin, Request, poll};
use serde_json::{Value, json};

const BURST: u64 = 3;
/// A token comes back every second.
const TOKEN: u64 = 1000;
/// A request that comes so late may be judged otherwise by one than by the other, or by the script.
const LATE: u64 = 200;

/// How long a machine that is too slow may take to keep time once for every script, each of which takes seven seconds.
const PATIENCE: Duration = Duration::from_secs(600);

/// A script: at which millisecond each request comes, and whether it goes through by the algorithm. Each keeps so far
/// from the moment at which that would change that being somewhat late does not matter.
fn script(mut dice: u64) -> Vec<(u64, bool)> {
    let (mut full_at, mut began, mut now, mut steps) = (0, 0, 0, vec![]);
    while now < 7000 {
        let after = full_at.max(now) + TOKEN;
        let over = after.saturating_sub(now + BURST * TOKEN);
        let room = (now + BURST * TOKEN).saturating_sub(after);
        let goes = over == 0;
        // How late the first of a busy time was is how late its tokens come back; but those who come with it, come after.
        let clear = over > LATE || goes && (room > LATE || now == began);
        let settled = full_at + LATE < now || full_at > now + LATE || steps.is_empty();
        if clear && settled {
            steps.push((now, goes));
            if full_at <= now {
                began = now;
            }
            if goes {
                full_at = full_at.max(now) + TOKEN;
            }
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        now += [0, 0, 250, 500, 750].get((dice >> 33) as usize % 5).unwrap();
    }
    steps
}

fn native() -> Value {
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "native",
            "token_bucket": {"max_tokens": BURST, "tokens_per_fill": 1, "fill_interval": "1s"},
            "filter_enabled": always,
            "filter_enforced": always,
        },
    })
}

/// Plays a script to both at once. None if the machine was too slow for it.
fn play(steps: &[(u64, bool)], clients: &mut [Client; 2]) -> Option<Vec<[bool; 2]>> {
    let begin = Instant::now();
    let mut found = vec![];
    for (at, _) in steps {
        let at = Duration::from_millis(*at);
        poll::until(poll::DEADLINE, "its time", || (begin.elapsed() >= at).then_some(())).unwrap();
        let ask = |client: &mut Client| client.send(&Request::get("/")).unwrap().status == 200;
        found.push(clients.each_mut().map(ask));
        if begin.elapsed() > at + Duration::from_millis(LATE) {
            return None;
        }
    }
    Some(found)
}

#[test]
fn decisions_are_those_of_envoys_own_filter() {
    for workers in [1, 2] {
        let mut bootstrap =
            Bootstrap::before("ratelimit", &[("v1", "127.0.0.1:9".parse().unwrap())]).unwrap();
        let answer = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
        let demo = bootstrap.demo().unwrap().with_first_route(answer).unwrap();
        // Scripts must not share buckets, so each has listeners of its own.
        let dice: Vec<u64> =
            (1..=5).map(|number| number * 0x9e37_79b9 + u64::from(workers)).collect();
        let mut listeners = vec![];
        for number in 0..dice.len() {
            let rules = json!({"rules": [{
                "name": format!("paced-{number}"),
                "tokenBucket": {"maxTokens": BURST, "tokensPerFill": 1, "fillInterval": "1s"},
            }]});
            let plugin = Plugin::shipped("ratelimit", &rules);
            let ours = demo.clone().named(&format!("ours-{number}")).unwrap();
            listeners.push(ours.with_plugins(&[plugin]).unwrap());
            let theirs = demo.clone().named(&format!("native-{number}")).unwrap();
            listeners.push(theirs.with_filters(vec![native()]).unwrap());
        }
        bootstrap.set_listeners(listeners).unwrap();
        let mut played = 0;
        let begin = Instant::now();
        'attempt: while played < dice.len() && begin.elapsed() < PATIENCE {
            let envoy = Envoy::start(&bootstrap, workers).unwrap();
            for (number, dice) in dice.iter().enumerate().skip(played) {
                let client =
                    |kind| Client::new(envoy.listener(&format!("{kind}-{number}")).unwrap());
                let steps = script(*dice);
                let Some(found) = play(&steps, &mut [client("ours"), client("native")]) else {
                    println!("too slow, once more");
                    continue 'attempt;
                };
                let expected: Vec<_> = steps.iter().map(|(_, goes)| [*goes; 2]).collect();
                assert_eq!(found, expected, "ours and native, {workers} workers, {steps:?}");
                assert!(steps.iter().any(|(_, goes)| !goes), "{steps:?}");
                played += 1;
            }
        }
        println!("{played} scripts with {workers} workers");
        assert_eq!(played, dice.len(), "this machine is too busy to keep time");
    }
}
