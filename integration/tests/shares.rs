//! Of 100,000 users each version gets the share that it was given, whoever was in a version stays in it while it grows, and
//! two proxies that know nothing of each other decide alike: on a real Envoy, by our own hash and by those of platforms.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Instant;

use integration::{Bootstrap, Envoy, Plugin, poll};
use serde_json::{Value, json};

const USERS: usize = 100_000;
/// Of how many the second proxy is asked.
const AGAIN: usize = 20_000;
const CONNECTIONS: usize = 4;

const HASHES: [&str; 4] = ["native", "growthbook-v2", "flagd", "launchdarkly"];
/// How much v2 gets at each step of a ramp, in percent.
const RAMP: [f64; 5] = [0.1, 1.0, 5.0, 25.0, 50.0];
/// What three versions get beside each other.
const THREE: [(&str, f64); 3] = [("v2", 3.0), ("v3", 10.0), ("v4", 33.3333)];

/// The header that tells of a rollout.
fn header(hash: &str, step: usize) -> String {
    format!("x-{hash}-{step}")
}

/// For each hash, a rollout at every step of a ramp, all of one salt, and one between several versions.
fn document() -> Value {
    let rollout = |hash: &str, step: usize, variants: Value| {
        json!({
            "name": format!("{hash}-{step}"),
            "header": header(hash, step),
            "key": [{"header": "x-user"}],
            "hash": hash,
            "salt": format!("{hash}-salt"),
            "stable": "v1",
            "variants": variants,
        })
    };
    let rollouts: Vec<Value> = HASHES
        .iter()
        .flat_map(|hash| {
            let ramp = RAMP.iter().enumerate().map(|(step, weight)| {
                rollout(hash, step, json!([{"name": "v2", "weight": weight}]))
            });
            let three = THREE.map(|(name, weight)| json!({"name": name, "weight": weight}));
            ramp.chain([rollout(hash, RAMP.len(), three.to_vec().into())]).collect::<Vec<_>>()
        })
        .collect();
    json!({ "rollouts": rollouts })
}

/// An Envoy that answers with what the filter decided, in the order of the document.
fn start(workers: u32) -> (Envoy, SocketAddr) {
    let mut bootstrap =
        Bootstrap::before("canary", &[("v1", "127.0.0.1:9".parse().unwrap())]).unwrap();
    let steps = 0..=RAMP.len();
    let headers = HASHES.iter().flat_map(|hash| steps.clone().map(|step| header(hash, step)));
    let said: Vec<String> = headers.map(|header| format!("%REQ({header})%")).collect();
    let route = json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "said"}},
        "response_headers_to_add": [{"header": {"key": "x-said", "value": said.join(",")}}],
    });
    let demo = bootstrap.demo().unwrap().with_first_route(route).unwrap();
    let demo = demo.with_plugins(&[Plugin::shipped("canary", &document())]).unwrap();
    // Nobody reads the lines of so many requests.
    let demo = demo.managed("access_log", json!([])).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, workers).unwrap();
    let address = envoy.listener("demo").unwrap();
    (envoy, address)
}

/// What a proxy says of the first so many users, each the versions by its rollouts.
fn ask(address: SocketAddr, users: usize) -> Vec<Vec<String>> {
    let each = users / CONNECTIONS;
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| thread::spawn(move || connection(address, number * each, each)))
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

fn connection(address: SocketAddr, first: usize, users: usize) -> Vec<Vec<String>> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(poll::DEADLINE)).unwrap();
    let (mut received, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    let mut ask = |user: usize| loop {
        if received.is_empty() {
            let request =
                format!("GET / HTTP/1.1\r\nhost: a.example\r\nx-user: user-{user}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
        }
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "the connection ended");
        received.extend_from_slice(buffer.get(..length).unwrap());
        if let Some((versions, length)) = answer(&received) {
            received.drain(..length);
            return versions;
        }
    };
    (first..first + users).map(&mut ask).collect()
}

/// The answer, if it is whole: what it says, and how long it is.
fn answer(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes).unwrap() else { return None };
    assert_eq!(response.code, Some(200));
    let said = response.headers.iter().find(|field| field.name == "x-said").unwrap();
    let versions = std::str::from_utf8(said.value).unwrap().split(',').map(str::to_owned);
    let length = head + "said".len();
    (length <= bytes.len()).then(|| (versions.collect(), length))
}

/// A share of the users that is no further from its weight than three standard deviations of a fair draw.
fn fair(users: usize, weight: f64, of: &str) {
    let (all, share) = (USERS as f64, weight / 100.0);
    let sigma = (all * share * (1.0 - share)).sqrt();
    let off = (users as f64 - all * share) / sigma;
    println!("{of}: {users} at {weight} %, {off:+.2} sigma");
    assert!(off.abs() <= 3.0, "{of}: {users} of {all} at {weight} % is {off:+.2} sigma off");
}

#[test]
fn shares_are_exact_grow_only_and_are_the_same_in_every_proxy() {
    let (_one, address) = start(2);
    let begin = Instant::now();
    let said = ask(address, USERS);
    println!("{USERS} users in {:?}", begin.elapsed());
    let columns = RAMP.len() + 1;
    for (family, hash) in HASHES.iter().enumerate() {
        let version =
            |user: &[String], step: usize| user.get(family * columns + step).unwrap().clone();
        for (step, weight) in RAMP.iter().enumerate() {
            let count = said.iter().filter(|user| version(user, step) == "v2").count();
            fair(count, *weight, &format!("{hash}, v2 alone"));
        }
        for (name, weight) in THREE {
            let count = said.iter().filter(|user| version(user, RAMP.len()) == name).count();
            fair(count, weight, &format!("{hash}, {name} of three"));
        }
        for user in &said {
            let steps: Vec<bool> =
                (0..RAMP.len()).map(|step| version(user, step) == "v2").collect();
            assert!(steps.is_sorted(), "{hash}: somebody left v2 while it grew: {steps:?}");
        }
    }
    let (_other, address) = start(1);
    let again = ask(address, AGAIN);
    let same = again.iter().zip(&said).all(|(again, said)| again == said);
    assert!(same, "two proxies differ");
}
