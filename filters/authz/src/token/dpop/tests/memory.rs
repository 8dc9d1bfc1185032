//! Proofs that were seen.

use std::cell::RefCell;

use filter_core::cells::{Cell, Cells, Stored, Unavailable, Version};
use proptest::prelude::*;

use super::*;

fn admit(
    replays: &Replays,
    id: &str,
    until: i64,
    now: i64,
    ports: &Ports<'_>,
) -> Result<(), Reason> {
    replays.admit(["key", id], until, now, ports)
}

#[test]
fn a_proof_is_remembered_for_as_long_as_it_is_good_and_no_longer() {
    let (world, replays) = (World::default(), Replays::default());
    let ports = world.ports();
    assert_eq!(admit(&replays, "a", 160, 100, &ports), Ok(()));
    assert_eq!(admit(&replays, "a", 160, 160, &ports), Err(Reason::DpopReplayed));
    assert_eq!(admit(&replays, "a", 260, 161, &ports), Ok(()));
}

#[test]
fn a_memory_that_is_full_refuses_and_one_that_cannot_be_asked_does_too() {
    let (world, replays) = (World::default(), Replays::default());
    let ports = world.ports();
    let mut refused = 0;
    for id in 0..80_000 {
        match admit(&replays, &id.to_string(), 160, 100, &ports) {
            Ok(()) => {}
            Err(Reason::DpopUnavailable) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused >= 80_000 - 65_536, "{refused}");
    assert!(world.cells.len() <= 4097);
    assert_eq!(admit(&replays, "0", 160, 100, &ports), Err(Reason::DpopReplayed));
    assert_eq!(admit(&replays, "new", 260, 161, &ports), Ok(()));

    struct Broken;
    impl Cells for Broken {
        fn load(&self, _: &[u8]) -> Result<Option<Cell>, Unavailable> {
            Err(Unavailable)
        }
        fn store(&self, _: &[u8], _: &[u8], _: Option<Version>) -> Result<Stored, Unavailable> {
            Err(Unavailable)
        }
    }
    let ports = Ports { cells: &Broken, ..ports };
    let told = admit(&Replays::default(), "a", 160, 100, &ports);
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
                let other = move || count(id, admit(&Replays::default(), &id.to_string(), 160, 100, &world.ports()));
                Box::new(other) as Box<dyn FnOnce()>
            })
            .collect();
        let raced = Raced { cells: &world.cells, others: RefCell::new(others) };
        let ports = Ports { cells: &raced, ..world.ports() };
        for _ in 0..2 {
            count(own, admit(&Replays::default(), &own.to_string(), 160, 100, &ports));
        }
        prop_assert!(admitted.borrow().iter().all(|count| *count <= 1));
        prop_assert_eq!(admitted.borrow()[usize::from(own)], 1);
    }
}
