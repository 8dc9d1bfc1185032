//! What a board concludes, and what it remembers.

use super::super::judge::tests::terms;
use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn tally(requests: u32, failed: u32) -> Tally {
    Tally { requests, failed, slow: 0 }
}

/// A proxy with one worker and a rollout from v1 to v2, whose time goes by in units of a window's slices.
struct Bench {
    board: Board,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self { board: Board::default(), now: 100_000 }
    }

    /// A slice goes by, in which v1 fails nobody and v2 these.
    fn goes(&mut self, stable: u32, v2: (u32, u32)) -> Vec<Event> {
        self.now += 1_000;
        let epoch = |name| {
            let record = self.board.records.iter().find(|record| record.name == name);
            record.map_or(0, |record| record.epoch)
        };
        let news = [
            News { epoch: epoch("v1"), tally: tally(stable, 0) },
            News { epoch: epoch("v2"), tally: tally(v2.0, v2.1) },
        ];
        let events = self.board.take(&terms(), &names(&["v1", "v2"]), &news, self.now);
        events
            .into_iter()
            .map(|(version, event)| (version == 1).then_some(event).unwrap())
            .collect()
    }

    fn phase(&self) -> Phase {
        self.board.records[1].phase
    }

    /// Lets time go by until something happens, and tells what and after how many slices.
    fn until_something(&mut self) -> (Event, u64) {
        let begin = self.now;
        loop {
            if let Some(event) = self.goes(0, (0, 0)).pop() {
                return (event, (self.now - begin) / 1_000);
            }
            assert!(self.now < 10_000_000, "nothing happens");
        }
    }
}

#[test]
fn a_variant_that_fails_is_taken_off_and_let_back_by_degrees() {
    let mut bench = Bench::new();
    assert_eq!(bench.goes(500, (50, 20)), [], "too few");
    assert_eq!(bench.goes(500, (50, 20)), [Event::Ejected]);
    assert_eq!(bench.phase(), Phase::Ejected { until: bench.now + 30_000, ejections: 1 });
    assert_eq!(bench.until_something(), (Event::Probing, 30));
    assert_eq!(bench.goes(500, (10, 0)), [], "too few");
    assert_eq!(bench.goes(500, (10, 0)), [Event::Recovered]);
    assert_eq!(bench.goes(500, (50, 0)), []);
}

#[test]
fn it_is_off_for_longer_each_time_up_to_a_limit() {
    let mut bench = Bench::new();
    bench.goes(500, (0, 0));
    assert_eq!(bench.goes(500, (100, 100)), [Event::Ejected]);
    for times in 1..15_u64 {
        assert_eq!(bench.until_something(), (Event::Probing, (30 * times).min(300)));
        assert_eq!(bench.goes(500, (20, 20)), [Event::EjectedAgain]);
    }
}

#[test]
fn what_is_held_against_it_wears_off() {
    let mut bench = Bench::new();
    assert_eq!(bench.goes(500, (100, 100)), [Event::Ejected]);
    bench.until_something();
    assert_eq!(bench.goes(500, (20, 20)), [Event::EjectedAgain]);
    bench.until_something();
    assert_eq!(bench.goes(500, (20, 0)), [Event::Recovered]);
    // One of the two ejections wears off in ten slices.
    for _ in 0..10 {
        assert_eq!(bench.goes(500, (10, 0)), []);
    }
    assert_eq!(bench.goes(500, (100, 100)), [Event::Ejected]);
    assert_eq!(bench.phase(), Phase::Ejected { until: bench.now + 60_000, ejections: 2 });
}

#[test]
fn without_anybody_to_compare_with_it_neither_goes_nor_comes_back_while_it_fails() {
    let mut bench = Bench::new();
    assert_eq!(bench.goes(99, (100, 100)), []);
    assert_eq!(bench.goes(1, (0, 0)), [Event::Ejected]);
    bench.until_something();
    assert_eq!(bench.goes(0, (1_000, 1_000)), []);
    assert_eq!(bench.goes(100, (0, 0)), [Event::EjectedAgain]);
    bench.until_something();
    assert_eq!(bench.goes(0, (20, 0)), [Event::Recovered], "what is fine needs no comparison");
}

#[test]
fn the_window_slides() {
    let mut bench = Bench::new();
    assert_eq!(bench.goes(500, (99, 99)), []);
    for _ in 0..9 {
        assert_eq!(bench.goes(500, (0, 0)), []);
    }
    assert_eq!(bench.goes(500, (1, 1)), [], "those ninety-nine were too long ago");
    assert_eq!(bench.goes(500, (98, 98)), []);
    assert_eq!(bench.goes(500, (1, 1)), [Event::Ejected]);
}

#[test]
fn what_was_decided_before_it_changed_says_nothing() {
    let mut bench = Bench::new();
    bench.goes(500, (100, 100));
    bench.until_something();
    let late = [News::default(), News { epoch: 0, tally: tally(1_000, 1_000) }];
    let events = bench.board.take(&terms(), &names(&["v1", "v2"]), &late, bench.now);
    assert_eq!(events, []);
    assert_eq!(bench.phase(), Phase::Probing { seen: Tally::default(), ejections: 1 });
}

#[test]
fn versions_are_known_by_their_names_and_remembered_for_a_while() {
    let mut bench = Bench::new();
    bench.goes(500, (100, 100));
    let (terms, news) = (terms(), [News::default(); 3]);
    let off = bench.phase();
    // A push that knows others, in another order.
    bench.board.take(&terms, &names(&["v1", "v3"]), &news[..2], bench.now);
    bench.board.take(&terms, &names(&["v1", "v3", "v2"]), &news, bench.now + 1);
    assert_eq!(bench.board.records[1].phase, Phase::default());
    assert_eq!(bench.board.records[2].phase, off);
    // What no push has named for an hour is forgotten.
    let later = bench.now + REMEMBERED + 2;
    bench.board.take(&terms, &names(&["v1", "v3"]), &news[..2], later);
    assert_eq!(bench.board.records.len(), 2);
}

#[test]
fn it_remembers_no_more_versions_than_a_hundred() {
    let mut board = Board::default();
    for number in 0..500 {
        let own = names(&["v1", &format!("v{number}-new")]);
        board.take(&terms(), &own, &[News::default(); 2], number);
    }
    assert_eq!(board.records.len(), 2 + MAX_OTHERS);
    assert_eq!(board.records[2].name, "v498-new");
}

#[test]
fn slices_of_another_length_begin_a_window_and_leave_what_is_off() {
    let mut bench = Bench::new();
    assert_eq!(bench.goes(500, (99, 99)), []);
    let longer = Terms { slice: 2_000, ..terms() };
    let one = [News { epoch: 0, tally: tally(500, 0) }, News { epoch: 0, tally: tally(1, 1) }];
    assert_eq!(bench.board.take(&longer, &names(&["v1", "v2"]), &one, bench.now), []);
    let rest = [News::default(), News { epoch: 0, tally: tally(99, 99) }];
    let events = bench.board.take(&longer, &names(&["v1", "v2"]), &rest, bench.now);
    assert_eq!(events, [(1, Event::Ejected)]);
    let off = bench.phase();
    bench.board.take(&terms(), &names(&["v1", "v2"]), &rest, bench.now);
    assert_eq!(bench.phase(), off);
}

#[test]
fn a_variant_that_became_stable_is_on() {
    let mut bench = Bench::new();
    bench.goes(500, (100, 100));
    bench.board.take(&terms(), &names(&["v2", "v3"]), &[News::default(); 2], bench.now);
    assert_eq!(bench.board.records[0].phase, Phase::default());
}
