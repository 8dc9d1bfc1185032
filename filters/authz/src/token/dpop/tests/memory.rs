//! Proofs that were seen.

use std::cell::RefCell;

use filter_core::cells::{Cell, Cells, Stored, Unavailable, Version};
use filter_core::fixture::BrokenCells;
use proptest::prelude::*;

use super::*;

fn admit(
    replays: &Replays,
    id: &str,
    made: i64,
    now: i64,
    ports: &Ports<'_>,
) -> Result<(), Reason> {
    replays.admit(["key", id], made, now, ports)
}

#[test]
fn a_proof_is_remembered_for_as_long_as_it_is_good_and_no_longer() {
    let (world, replays) = (World::default(), replays());
    let ports = world.ports();
    assert_eq!(admit(&replays, "a", 100, 100, &ports), Ok(()));
    // A little longer, for a worker that read the clock before another pruned the cell.
    for now in [100, 160, 165] {
        assert_eq!(admit(&replays, "a", 100, now, &ports), Err(Reason::DpopReplayed), "{now}");
    }
    assert_eq!(admit(&replays, "a", 100, 166, &ports), Ok(()));
}

#[test]
fn a_proof_that_is_too_old_for_one_rule_was_seen_for_another() {
    let mut issuers = Issuers::new(Limits::default());
    for max_age in [60, 600] {
        let mut issuer = super::super::super::tests::issuer("https://issuer.example", &[]);
        issuer.places.push(Place::of_proven());
        issuer.dpop = Some(Dpop { required: true, max_age });
        issuers.add(issuer, Source::Inline(jwks::parse(cases::JWKS).unwrap()));
    }
    let jkt = thumbprint(&jwk("es256")).unwrap();
    let token = mint(json!({ "key": "rs256", "claims": { "cnf": { "jkt": jkt } } }));
    let (credential, proof) =
        (format!("DPoP {token}"), proof("es256", &token, json!({}), json!({})));
    let request = request(&[("authorization", &credential), ("dpop", &proof)]);
    let exchange = FixtureExchange { request, ..FixtureExchange::default() };
    let view = View::new(&exchange, Phase::Request, &[]);
    let world = World::default();
    let told = || issuers.identify(view, &world.ports()).map(|identity| identity.is_some());
    assert_eq!(told(), Ok(true));
    world.clock.advance(Duration::from_secs(100));
    assert_eq!(told(), Err(Reason::DpopReplayed));
}

#[test]
fn a_memory_that_is_full_refuses_and_one_that_cannot_be_asked_does_too() {
    let (world, replays) = (World::default(), replays());
    let ports = world.ports();
    let mut refused = 0;
    for id in 0..160_000 {
        match admit(&replays, &id.to_string(), 100, 100, &ports) {
            Ok(()) => {}
            Err(Reason::DpopUnavailable) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused >= 160_000 - 131_072, "{refused}");
    assert!(world.cells.len() <= 4097);
    assert_eq!(admit(&replays, "0", 100, 100, &ports), Err(Reason::DpopReplayed));
    assert_eq!(admit(&replays, "new", 166, 166, &ports), Ok(()));

    let ports = Ports { cells: &BrokenCells, ..ports };
    let told = admit(&super::replays(), "a", 100, 100, &ports);
    assert_eq!(told, Err(Reason::DpopUnavailable));
}

/// Cells in which somebody else gets ahead, between reading and writing, as often as that is said.
struct Raced<'a> {
    cells: &'a dyn Cells,
    others: RefCell<Vec<Box<dyn FnOnce() + 'a>>>,
}

impl Cells for Raced<'_> {
    fn load(&self, key: &[u8]) -> Result<Option<Cell>, Unavailable> {
        let held = self.cells.load(key);
        if let Some(other) = self.others.borrow_mut().pop() {
            other();
        }
        held
    }

    fn store(
        &self,
        key: &[u8],
        value: &[u8],
        expected: Option<Version>,
    ) -> Result<Stored, Unavailable> {
        self.cells.store(key, value, expected)
    }
}

proptest! {
    #[test]
    fn however_workers_race_one_of_them_admits(ids in prop::collection::vec(0..3_u8, 1..6), own in 0..3_u8) {
        let world = World::default();
        let admitted = RefCell::new([0_u32; 3]);
        let count = |id: u8, told: Result<(), Reason>| {
            if told.is_ok() {
                admitted.borrow_mut()[usize::from(id)] += 1;
            } else {
                assert_eq!(told, Err(Reason::DpopReplayed));
            }
        };
        let others: Vec<Box<dyn FnOnce()>> = ids
            .iter()
            .map(|id| {
                let (world, count, id) = (&world, &count, *id);
                let other = move || count(id, admit(&replays(), &id.to_string(), 100, 100, &world.ports()));
                Box::new(other) as Box<dyn FnOnce()>
            })
            .collect();
        let raced = Raced { cells: &world.cells, others: RefCell::new(others) };
        let ports = Ports { cells: &raced, ..world.ports() };
        for _ in 0..2 {
            count(own, admit(&replays(), &own.to_string(), 100, 100, &ports));
        }
        prop_assert!(admitted.borrow().iter().all(|count| *count <= 1));
        prop_assert_eq!(admitted.borrow()[usize::from(own)], 1);
    }
}
