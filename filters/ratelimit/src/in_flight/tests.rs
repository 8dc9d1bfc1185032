//! Laws of requests in flight.

use std::cell::RefCell;

use filter_core::cells::{Unavailable, Version};
use filter_core::fixture::{MapCells, World};
use proptest::prelude::*;

use super::*;

const SECOND: u64 = TICKS_PER_SECOND;
const LEASE: u64 = 4 * SECOND;

fn place(fingerprint: u64) -> Place {
    Place { cell: *b"orf1........00", fingerprint }
}

fn ask(
    fleet: &Rc<Fleet>,
    key: u64,
    most: u64,
    now: u64,
    cells: &dyn Cells,
) -> Result<Quote, Trouble> {
    Quote::ask(Claim { fleet: Rc::clone(fleet), place: place(key), most, now }, cells)
}

/// A lease, if there is one to be had.
fn go(fleet: &Rc<Fleet>, key: u64, most: u64, now: u64, cells: &dyn Cells) -> Option<Receipt> {
    ask(fleet, key, most, now, cells).ok()?.charge(cells).ok()?.ok()
}

fn worker() -> Rc<Fleet> {
    Rc::new(Fleet::new(LEASE))
}

#[test]
fn as_many_go_as_may_and_each_that_ends_makes_room() {
    let (World { cells, .. }, one, two) = (World::default(), worker(), worker());
    let first = go(&one, 7, 2, SECOND, &cells).unwrap();
    assert_eq!(first.left, 1);
    let second = go(&two, 7, 2, SECOND, &cells).unwrap();
    assert_eq!(second.left, 0);
    for worker in [&one, &two] {
        assert_eq!(ask(worker, 7, 2, SECOND, &cells).unwrap().wait(), Some(AGAIN));
    }
    assert!(go(&one, 8, 2, SECOND, &cells).is_some(), "another key");
    second.lease.release(&cells);
    assert!(go(&one, 7, 2, SECOND, &cells).is_some());
    assert_eq!(ask(&one, 7, 0, SECOND, &cells).unwrap().wait(), Some(NEVER));
}

#[test]
fn what_a_worker_that_is_gone_held_comes_back_when_its_lease_is_over() {
    let (World { cells, .. }, one) = (World::default(), worker());
    {
        let gone = worker();
        let _lost = [0; 2].map(|_| go(&gone, 7, 2, SECOND, &cells).unwrap());
    }
    assert!(go(&one, 7, 2, SECOND + LEASE - 1, &cells).is_none());
    assert!(go(&one, 7, 2, SECOND + LEASE, &cells).is_some());
    assert_eq!((one.expired(), one.expired()), (2, 0));
}

#[test]
fn a_request_keeps_its_lease_for_as_long_as_it_takes() {
    let (World { cells, .. }, one, two) = (World::default(), worker(), worker());
    let long = go(&one, 7, 1, SECOND, &cells).unwrap();
    let mut now = SECOND;
    for _ in 0..50 {
        now += one.period();
        one.renew(|| Some(now), &cells);
        two.renew(|| panic!("a worker with nothing in flight asks for no time"), &cells);
        assert!(go(&two, 7, 1, now, &cells).is_none());
    }
    long.lease.release(&cells);
    assert!(go(&two, 7, 1, now, &cells).is_some());
    assert_eq!(two.expired(), 0);
}

#[test]
fn a_release_that_got_lost_is_made_up_for_by_the_next_tick() {
    let (World { cells, .. }, one, two) = (World::default(), worker(), worker());
    let broken = Flaky { cells: &cells, dice: RefCell::new(vec![0; 200]) };
    go(&one, 7, 1, SECOND, &cells).unwrap().lease.release(&broken);
    assert!(go(&two, 7, 1, SECOND, &cells).is_none());
    one.renew(|| Some(SECOND), &cells);
    let second = go(&two, 7, 1, SECOND, &cells).unwrap();
    // A request of which nothing is heard any more.
    drop(second);
    two.renew(|| Some(SECOND), &cells);
    assert!(go(&one, 7, 1, SECOND, &cells).is_some());
    two.renew(|| panic!("there is nothing left to tell"), &cells);
}

#[test]
fn without_a_clock_none_goes() {
    let (World { cells, .. }, one) = (World::default(), worker());
    assert_eq!(ask(&one, 7, 1, 0, &cells).unwrap_err(), Trouble::Unavailable);
}

#[test]
fn whoever_finds_no_room_shares_what_is_left_of_it() {
    let (World { cells, .. }, one) = (World::default(), worker());
    let mut all: Vec<Receipt> =
        (1..=8).map(|key| go(&one, key, 3, SECOND, &cells).unwrap()).collect();
    assert!(all.iter().all(|receipt| !receipt.shared));
    let ninth = go(&one, 9, 3, SECOND, &cells).unwrap();
    assert!(ninth.shared);
    let tenth = go(&one, 10, 3, SECOND, &cells).unwrap();
    // They may be anybody's: of each key two at least could be in flight.
    assert_eq!((tenth.left, go(&one, 1, 3, SECOND, &cells).is_none()), (1, true));
    all.clear();
    one.renew(|| Some(SECOND), &cells);
    let own = go(&one, 9, 3, SECOND, &cells).unwrap();
    assert!(!own.shared, "there is room again");
    assert!(go(&one, 9, 3, SECOND, &cells).is_none(), "two of those before may be its own");
    ninth.lease.release(&cells);
    assert!(go(&one, 9, 3, SECOND, &cells).is_some());
}

/// Cells whose stores fail when the dice say so.
struct Flaky<'a> {
    cells: &'a MapCells,
    dice: RefCell<Vec<u8>>,
}

impl Cells for Flaky<'_> {
    fn load(&self, key: &[u8]) -> Result<Option<cells::Cell>, Unavailable> {
        self.cells.load(key)
    }

    fn store(&self, key: &[u8], value: &[u8], at: Option<Version>) -> Result<Stored, Unavailable> {
        match self.dice.borrow_mut().pop() {
            Some(0..40) => Err(Unavailable),
            Some(40..90) => Ok(Stored::Conflict),
            _ => self.cells.store(key, value, at),
        }
    }
}

/// What may happen to a worker.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A request of this key.
    Comes(u64),
    /// The oldest request ends.
    Ends,
    /// Nothing is heard any more of the oldest request.
    Vanishes,
    /// The VM is gone, and with it all that it had in flight.
    Crashes,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (1_u64..13).prop_map(Event::Comes),
        6 => Just(Event::Ends),
        1 => Just(Event::Vanishes),
        1 => Just(Event::Crashes),
    ]
}

proptest! {
    /// Every worker renews once a period; stores fail at times.
    #[test]
    fn a_key_never_has_more_in_flight_than_may_be_and_gets_back_all(
        most in 1_u64..4,
        events in prop::collection::vec((0_usize..4, event(), 0_u64..40), 1..200),
        dice in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let world = World::default();
        let cells = Flaky { cells: &world.cells, dice: RefCell::new(dice) };
        let mut workers: Vec<_> = (0..4).map(|_| (worker(), Vec::<(u64, Receipt)>::new())).collect();
        let (mut now, mut ticked) = (SECOND, SECOND);
        for (number, event, percent) in events {
            now += LEASE * percent / 400;
            if now >= ticked + LEASE / 4 {
                // Where it fails, it does so for a while at most.
                cells.dice.borrow_mut().clear();
                workers.iter().for_each(|(fleet, _)| fleet.renew(|| Some(now), &cells));
                ticked = now;
            }
            let (fleet, open) = &mut workers[number];
            match event {
                Event::Comes(key) => {
                    open.extend(go(fleet, key, most, now, &cells).map(|receipt| (key, receipt)));
                }
                Event::Ends if !open.is_empty() => open.remove(0).1.lease.release(&cells),
                Event::Vanishes if !open.is_empty() => drop(open.remove(0)),
                Event::Ends | Event::Vanishes => {}
                Event::Crashes => (*fleet, *open) = (worker(), vec![]),
            }
            for key in 1..13 {
                let in_flight = workers.iter().flat_map(|(_, open)| open)
                    .filter(|(of, _)| *of == key).count();
                prop_assert!(in_flight as u64 <= most, "{in_flight} of {key}");
            }
        }
        for (_, open) in &mut workers {
            open.drain(..).for_each(|(_, receipt)| receipt.lease.release(&cells));
        }
        now += LEASE;
        workers.iter().for_each(|(fleet, _)| fleet.renew(|| Some(now), &world.cells));
        let (fleet, _) = &workers[0];
        for key in 1..5 {
            let all: Vec<_> = (0..most).map_while(|_| go(fleet, key, most, now, &world.cells)).collect();
            prop_assert_eq!(all.len() as u64, most, "of {}", key);
            all.into_iter().for_each(|receipt| receipt.lease.release(&world.cells));
        }
    }
}
