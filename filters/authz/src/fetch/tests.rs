//! Several workers over one store.

use filter_core::HeaderMap;
use filter_core::fixture::World;

use super::*;

const TIMING: Timing = Timing {
    timeout: Duration::from_secs(5),
    refresh: Duration::from_secs(300),
    max_stale: Duration::from_secs(600),
};

fn worker() -> Remote {
    Remote::new(Endpoint::parse("https://issuer.example/keys", None).unwrap(), TIMING)
}

fn answer(status: &str, body: &str) -> Answer {
    Answer::Response { headers: HeaderMap::from_pairs([(":status", status)]), body: body.into() }
}

fn good(document: &[u8]) -> bool {
    document.starts_with(b"good")
}

/// One worker fetches, if it is its turn.
fn fetch(worker: &Remote, world: &World, answer: &Answer) -> Option<Fetched> {
    let ports = world.ports();
    worker.begin(&ports).map(|callout| {
        assert_eq!(callout.cluster, "outbound|443||issuer.example");
        worker.end(answer, good, &ports)
    })
}

#[test]
fn one_worker_fetches_for_all() {
    let (world, one, other) = (World::default(), worker(), worker());
    let ports = world.ports();
    assert_eq!(one.look(&ports), News::None);
    assert!(one.begin(&ports).is_some());
    assert_eq!(other.begin(&ports), None, "somebody is at it");
    assert_eq!(one.end(&answer("200", "good 1"), good, &ports), Fetched::Changed);
    for worker in [&one, &other] {
        assert_eq!(worker.look(&ports), News::Document(b"good 1".to_vec()));
        assert_eq!(worker.look(&ports), News::None);
        assert_eq!(worker.begin(&ports), None);
    }
    // A worker that starts later finds it there.
    assert_eq!(worker().look(&ports), News::Document(b"good 1".to_vec()));

    world.clock.advance(TIMING.refresh);
    assert_eq!(fetch(&other, &world, &answer("200", "good 1")), Some(Fetched::Same));
    assert_eq!(one.look(&ports), News::Tried);
    world.clock.advance(TIMING.refresh);
    assert_eq!(fetch(&one, &world, &answer("200", "good 2")), Some(Fetched::Changed));
    assert_eq!(other.look(&ports), News::Document(b"good 2".to_vec()));
}

#[test]
fn what_cannot_be_used_replaces_nothing() {
    let large = format!("good {}", "x".repeat(MAX_SIZE));
    let bad = [
        answer("200", "bad"),
        answer("404", "good"),
        answer("200", &large),
        Answer::Failure,
        Answer::Resumed,
    ];
    for bad in bad {
        let (world, worker) = (World::default(), worker());
        let ports = world.ports();
        assert_eq!(fetch(&worker, &world, &bad), Some(Fetched::Failed));
        assert_eq!(worker.look(&ports), News::Tried);
        assert_eq!(fetch(&worker, &world, &bad), None, "not at once again");
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(fetch(&worker, &world, &answer("200", "good")), Some(Fetched::Changed));
        assert_eq!(worker.look(&ports), News::Document(b"good".to_vec()));
        world.clock.advance(TIMING.refresh);
        assert_eq!(fetch(&worker, &world, &bad), Some(Fetched::Failed));
        assert_eq!(worker.look(&ports), News::Tried);
        assert_eq!(self::worker().look(&ports), News::Document(b"good".to_vec()));
    }
}

#[test]
fn a_document_that_is_too_old_is_gone_until_there_is_another() {
    let (world, worker) = (World::default(), worker());
    let ports = world.ports();
    fetch(&worker, &world, &answer("200", "good")).unwrap();
    assert_eq!(worker.look(&ports), News::Document(b"good".to_vec()));
    world.clock.advance(TIMING.refresh + TIMING.max_stale);
    assert_eq!(worker.look(&ports), News::None);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(worker.look(&ports), News::Gone);
    assert_eq!(worker.look(&ports), News::None);
    // Also if it is the very same.
    assert_eq!(fetch(&worker, &world, &answer("200", "good")), Some(Fetched::Same));
    assert_eq!(worker.look(&ports), News::Document(b"good".to_vec()));
}

#[test]
fn a_wish_brings_a_newer_document_once_in_ten_seconds() {
    let (world, one, other) = (World::default(), worker(), worker());
    let ports = world.ports();
    fetch(&one, &world, &answer("200", "good 1")).unwrap();
    assert_ne!((one.look(&ports), other.look(&ports)), (News::None, News::None));
    assert!(!one.wish(&ports), "the document has just come");
    world.clock.advance(Timing::COOL_DOWN);
    assert!(one.wish(&ports) && other.wish(&ports), "both wait for the same");
    assert_eq!(fetch(&other, &world, &answer("200", "good 1")), Some(Fetched::Same));
    assert_eq!(fetch(&one, &world, &answer("200", "good 1")), None);
    assert!(one.wish(&ports), "this one has not seen it yet");
    assert_eq!((one.look(&ports), one.attempts()), (News::Tried, 2));
    assert!(!one.wish(&ports));
}
