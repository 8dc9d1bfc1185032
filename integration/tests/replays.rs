//! A proof of a key is good once in the whole proxy (RFC 9449 §11.1), however many workers it comes to at one time.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use cases::{Proof, Token};
use integration::{Bootstrap, Client, Envoy, Plugin, Request, Upstream};
use serde_json::{Value, json};

const WORKERS: u32 = 4;
const CONNECTIONS: usize = 16;
const PROOFS: usize = 25;
/// The thumbprint (RFC 7638) of the corpus's key `es256`.
const KEY: &str = "5th9g8PgdfOCrvWmd_mJ2FMG_f0Adu4agBvw6w0N7yY";

fn made<T: serde::de::DeserializeOwned>(document: Value) -> T {
    serde_json::from_value(document).unwrap()
}

#[test]
fn of_many_who_send_the_same_proof_at_once_one_is_believed() {
    let upstream = Upstream::start("v1").unwrap();
    let mut bootstrap = Bootstrap::before("authz", &[("v1", upstream.address())]).unwrap();
    let issuer = "https://issuer.example";
    let rules = json!([{"issuer": issuer, "jwks": cases::JWKS, "dpop": {"required": true}}]);
    let authz = Plugin::shipped("authz", &json!({ "jwtRules": rules }));
    let demo = bootstrap.demo().unwrap().with_plugins(&[authz]).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let envoy = Envoy::start(&bootstrap, WORKERS).unwrap();
    let address = envoy.listener("demo").unwrap();

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"iss": issuer, "sub": "ann", "cnf": {"jkt": KEY}});
    let token = made::<Token>(json!({"key": "rs256", "claims": claims})).mint(now).unwrap();
    let proof = |number: usize| {
        let claims = json!({"jti": format!("replays-{number}")});
        let proof: Proof = made(json!({"key": "es256", "claims": claims}));
        proof.mint(&token, "GET", "https://demo.example/", now).unwrap()
    };
    let requests: Arc<Vec<Request>> = Arc::new(
        (0..PROOFS)
            .map(|number| {
                Request::get("/")
                    .with("authorization", format!("DPoP {token}"))
                    .with("dpop", proof(number))
            })
            .collect(),
    );
    let together = Arc::new(Barrier::new(CONNECTIONS));
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (requests, together) = (Arc::clone(&requests), Arc::clone(&together));
            thread::spawn(move || {
                let mut client = Client::new(address);
                let mut ask = |request: &Request| {
                    together.wait();
                    client.send(request).unwrap().status
                };
                requests.iter().map(&mut ask).collect::<Vec<u16>>()
            })
        })
        .collect();
    let told: Vec<Vec<u16>> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let believed = |number: usize| {
        let statuses = told.iter().filter_map(|own| own.get(number));
        let (good, other): (Vec<&u16>, Vec<&u16>) = statuses.partition(|status| **status == 200);
        assert!(other.iter().all(|status| **status == 401), "{other:?}");
        good.len()
    };
    assert_eq!((0..PROOFS).map(believed).collect::<Vec<_>>(), [1; PROOFS]);
    assert_eq!(upstream.requests(), PROOFS as u64);

    let admin = envoy.admin();
    let labels = [("rule", "none"), ("reason", "dpop_replayed")];
    let replayed = admin.metric("outrigger_authz_decisions_total", &labels).unwrap();
    assert_eq!(replayed, ((CONNECTIONS - 1) * PROOFS) as u64);
    let workers = admin.stats("worker_").unwrap();
    let busy = workers
        .iter()
        .filter(|(name, value)| name.ends_with(".downstream_cx_total") && **value > 0);
    assert!(busy.count() > 1, "one worker alone shows nothing: {workers:?}");
}
