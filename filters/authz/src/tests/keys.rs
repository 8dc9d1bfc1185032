//! Keys that are fetched: what the filter says while they come, when they go, and when they cannot be had.

use filter_core::cells::Cells as _;

use super::*;

const KEYS: &str = "http://keys.example:8080/jwks";

/// The corpus's key set, with these keys alone.
fn set(kids: &[&str]) -> String {
    let mut set: Value = serde_json::from_str(cases::JWKS).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.retain(|key| kids.iter().any(|kid| key["kid"] == *kid));
    assert_eq!(keys.len(), kids.len());
    set.to_string()
}

/// One worker of a proxy whose keys are elsewhere.
struct Worker {
    authz: Authz,
}

impl Worker {
    fn new() -> Self {
        let rule = json!({ "issuer": ISSUER, "jwksUri": KEYS, "maxStale": "600s" });
        Self { authz: authz(json!({ "jwtRules": [rule] })) }
    }

    /// Lets the worker look, and answers what it sends for.
    fn tick(&self, world: &World, answer: &Answer) -> (usize, bool) {
        let chores = self.authz.on_tick(&world.ports());
        let mut resume = chores.resume;
        for (errand, callout) in &chores.calls {
            assert_eq!(callout.cluster, "outbound|8080||keys.example");
            resume |= self.authz.on_fetched(*errand, answer, &world.ports()).resume;
        }
        (chores.calls.len(), resume)
    }

    fn ask(&self, world: &World, key: &str, memo: &mut Memo) -> String {
        self.phase(key, |view| self.authz.on_request(view, memo, &world.ports()))
    }

    fn ask_again(&self, world: &World, key: &str, memo: &mut Memo, answer: &Answer) -> String {
        self.phase(key, |view| self.authz.on_answer(view, answer, memo, &world.ports()))
    }

    fn phase(&self, key: &str, ask: impl FnOnce(&View<'_>) -> Outcome) -> String {
        let authorization = token(key);
        let request = HeaderMap::from_pairs([
            (":method", "GET"),
            (":path", "/"),
            (":authority", "demo.example"),
            ("authorization", authorization.as_str()),
        ]);
        let exchange = FixtureExchange { request, ..FixtureExchange::default() };
        let outcome = ask(&View::new(&exchange, Phase::Request, &[]));
        match outcome.verdict {
            Verdict::Hold(_) => "held".to_owned(),
            _ => outcome.decisions[0].evidence().to_owned(),
        }
    }
}

fn served(body: &str) -> Answer {
    Answer::Response { headers: HeaderMap::from_pairs([(":status", "200")]), body: body.into() }
}

#[test]
fn a_request_waits_for_the_first_keys() {
    let (world, worker, mut memo) = (World::default(), Worker::new(), Memo::default());
    assert_eq!(worker.ask(&world, "rs256", &mut memo), "held");
    assert_eq!(worker.ask_again(&world, "rs256", &mut memo, &Answer::Resumed), "held");
    assert_eq!(worker.tick(&world, &served(&set(&["rs256"]))), (1, true));
    assert_eq!(worker.ask_again(&world, "rs256", &mut memo, &Answer::Resumed), "allowed");
    assert_eq!(worker.ask(&world, "rs256", &mut Memo::default()), "allowed");
    // It was tried just now, so this key is not waited for.
    assert_eq!(worker.ask(&world, "es256", &mut Memo::default()), "token_key_unknown");
}

#[test]
fn keys_that_cannot_be_had_are_told_from_tokens_that_are_bad() {
    for bad in [Answer::Failure, served("{}"), served("no JSON")] {
        let (world, worker, mut memo) = (World::default(), Worker::new(), Memo::default());
        assert_eq!(worker.ask(&world, "rs256", &mut memo), "held");
        assert_eq!(worker.tick(&world, &bad), (1, true));
        let told = worker.ask_again(&world, "rs256", &mut memo, &Answer::Resumed);
        assert_eq!(told, "keys_unavailable");
        // While it is waited until the next attempt nobody is held.
        assert_eq!(worker.ask(&world, "rs256", &mut Memo::default()), "keys_unavailable");
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(worker.ask(&world, "rs256", &mut Memo::default()), "held");
    }
}

#[test]
fn who_finds_no_room_to_wait_is_told_at_once() {
    let (world, worker, mut memo) = (World::default(), Worker::new(), Memo::default());
    assert_eq!(worker.ask(&world, "rs256", &mut memo), "held");
    let told = worker.ask_again(&world, "rs256", &mut memo, &Answer::Failure);
    assert_eq!(told, "keys_unavailable");
}

#[test]
fn a_new_key_is_fetched_when_its_first_token_comes() {
    let (world, worker, other) = (World::default(), Worker::new(), Worker::new());
    worker.tick(&world, &served(&set(&["rs256"])));
    world.clock.advance(Duration::from_secs(10));
    let mut memo = Memo::default();
    assert_eq!(worker.ask(&world, "es256", &mut memo), "held");
    // Another worker is quicker; this one sees it by the clock.
    assert_eq!(other.tick(&world, &served(&set(&["rs256", "es256"]))), (1, true));
    assert_eq!(worker.ask_again(&world, "es256", &mut memo, &Answer::Resumed), "held");
    assert_eq!(worker.tick(&world, &Answer::Failure), (0, true));
    assert_eq!(worker.ask_again(&world, "es256", &mut memo, &Answer::Resumed), "allowed");
}

#[test]
fn a_token_by_a_key_that_nobody_has_is_waited_for_once() {
    let (world, worker) = (World::default(), Worker::new());
    worker.tick(&world, &served(&set(&["rs256"])));
    world.clock.advance(Duration::from_secs(10));
    let mut memo = Memo::default();
    assert_eq!(worker.ask(&world, "es256", &mut memo), "held");
    assert_eq!(worker.tick(&world, &served(&set(&["rs256"]))), (1, true));
    let told = worker.ask_again(&world, "es256", &mut memo, &Answer::Resumed);
    assert_eq!(told, "token_key_unknown");
    assert_eq!(worker.ask(&world, "es256", &mut Memo::default()), "token_key_unknown");
    assert_eq!(worker.tick(&world, &Answer::Failure).0, 0, "a flood costs no fetch");
}

#[test]
fn a_key_that_is_taken_back_is_good_no_more_also_for_tokens_that_are_remembered() {
    let (world, worker) = (World::default(), Worker::new());
    worker.tick(&world, &served(&set(&["rs256", "es256"])));
    for _ in 0..2 {
        assert_eq!(worker.ask(&world, "rs256", &mut Memo::default()), "allowed");
    }
    world.clock.advance(Duration::from_secs(600));
    worker.tick(&world, &served(&set(&["es256"])));
    assert_eq!(worker.ask(&world, "rs256", &mut Memo::default()), "token_key_unknown");
    assert_eq!(worker.ask(&world, "es256", &mut Memo::default()), "allowed");
    world.clock.advance(Duration::from_secs(600));
    worker.tick(&world, &served(&json!({ "keys": [] }).to_string()));
    assert_eq!(worker.ask(&world, "es256", &mut Memo::default()), "token_key_unknown");
}

#[test]
fn keys_are_used_for_a_while_when_their_source_is_down() {
    let (world, worker) = (World::default(), Worker::new());
    worker.tick(&world, &served(&set(&["es256"])));
    let mut fetches = 0;
    for second in 1..=1200 {
        world.clock.advance(Duration::from_secs(1));
        fetches += worker.tick(&world, &Answer::Failure).0;
        if second % 300 == 0 {
            assert_eq!(worker.ask(&world, "es256", &mut Memo::default()), "allowed", "{second}");
        }
    }
    assert!((10..30).contains(&fetches), "{fetches} in ten minutes");
    world.clock.advance(Duration::from_secs(1));
    worker.tick(&world, &Answer::Failure);
    assert!(
        ["keys_unavailable", "held"]
            .contains(&worker.ask(&world, "rs256", &mut Memo::default()).as_str())
    );
}

#[test]
fn a_secret_or_a_weak_key_that_is_published_is_left_out() {
    let mut with_secret: Value = serde_json::from_str(&set(&["rs256"])).unwrap();
    let keys = with_secret["keys"].as_array_mut().unwrap();
    keys.push(json!({ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" }));
    keys.push(json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak" }));
    let (world, worker) = (World::default(), Worker::new());
    worker.tick(&world, &served(&with_secret.to_string()));
    assert_eq!(worker.ask(&world, "rs256", &mut Memo::default()), "allowed");
    assert_eq!(worker.authz.issuers.ring().len(), 1);
}

#[test]
fn a_store_that_fails_lets_nobody_in() {
    let worker = Worker::new();
    let world = World { cells: Default::default(), ..World::default() };
    // Somebody wrote nonsense into the cells.
    for name in ["plan", "document"] {
        let key = format!("authz {name} [5000, 600000, 600000] outbound|8080||keys.example {KEYS}");
        world.cells.store(key.as_bytes(), b"nonsense", None).unwrap();
    }
    assert_eq!(worker.tick(&world, &Answer::Failure), (1, true));
    assert_eq!(worker.ask(&world, "rs256", &mut Memo::default()), "keys_unavailable");
}
