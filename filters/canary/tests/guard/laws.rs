//! What holds of the guard whatever happens.

use std::time::Duration;

use proptest::prelude::*;

use super::NOBODY;
use super::proxy::{GUARDED, Proxy, configured};

/// What happens to a proxy.
#[derive(Clone, Debug)]
enum Happening {
    /// Requests of so many users from this one on, on a worker; those on v2 fail or not.
    Requests { worker: usize, from: usize, count: usize, fails: bool },
    /// A worker's clock strikes.
    Tick { worker: usize },
    /// Time goes by, in milliseconds.
    Time(u64),
    /// A worker crashes, and another takes its place.
    Crash { worker: usize },
}

const WORKERS: usize = 3;

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        4 => (0..WORKERS, 0..1_000_usize, 1..60_usize, any::<bool>()).prop_map(
            |(worker, from, count, fails)| Happening::Requests { worker, from, count, fails }),
        4 => (0..WORKERS).prop_map(|worker| Happening::Tick { worker }),
        2 => (0..3_000_u64).prop_map(Happening::Time),
        1 => (0..WORKERS).prop_map(|worker| Happening::Crash { worker }),
    ];
    prop::collection::vec(happening, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_it_only_ever_takes_users_off(happenings in happenings()) {
        let mut proxy = Proxy::new(WORKERS, GUARDED);
        let free = Proxy::new(1, GUARDED);
        for happening in happenings {
            match happening {
                Happening::Requests { worker, from, count, fails } => {
                    for user in from..from + count {
                        let begun = proxy.begin(worker, user);
                        let meant = free.begin(0, user);
                        match begun.reason {
                            "guarded" => prop_assert_eq!((&*begun.version, &*meant.version), ("shop=v1", "shop=v2")),
                            reason => prop_assert_eq!((&begun.version, reason), (&meant.version, meant.reason)),
                        }
                        let fails = fails && begun.version == "shop=v2";
                        proxy.end(begun, if fails { 500 } else { 200 });
                    }
                }
                Happening::Tick { worker } => proxy.tick_of(worker),
                Happening::Time(millis) => proxy.world.clock.advance(Duration::from_millis(millis)),
                Happening::Crash { worker } => proxy.workers[worker] = configured(GUARDED).0,
            }
        }
        // What is told of it is a walk through its phases, each step once for all workers.
        let mut before = "recovered".to_owned();
        for event in &proxy.events {
            let follows = match &**event {
                "ejected" => before == "recovered",
                "probing" => before == "ejected" || before == "ejected_again",
                _ => before == "probing",
            };
            prop_assert!(follows, "{:?}", proxy.events);
            before.clone_from(event);
        }
    }

    #[test]
    fn on_too_few_requests_it_does_nothing(requests in prop::collection::vec((0..WORKERS, 0..1_000_usize), 0..150), ticks in 1..9_usize) {
        let mut proxy = Proxy::new(WORKERS, GUARDED);
        let (mut stable, mut v2) = (0, 0);
        for (number, (worker, user)) in requests.iter().enumerate() {
            let begun = proxy.begin(*worker, *user);
            let is_v2 = begun.version == "shop=v2";
            let count = if is_v2 { &mut v2 } else { &mut stable };
            *count += 1;
            proxy.end(begun, if is_v2 { 500 } else { 200 });
            if number % ticks == 0 {
                proxy.tick_of(number % WORKERS);
            }
        }
        (0..2).for_each(|_| proxy.tick());
        let enough = stable >= 30 && v2 >= 30;
        // And with enough of them it loses none that was counted.
        prop_assert_eq!(proxy.events.first().map(String::as_str), enough.then_some("ejected"));
    }

    #[test]
    fn a_variant_that_fails_is_off_within_two_ticks_and_one_that_is_well_comes_back(workers in 1..5_usize, before in 0..30_usize) {
        let mut proxy = Proxy::new(workers, GUARDED);
        for _ in 0..before {
            proxy.traffic(20, 200);
            proxy.tick();
        }
        // In the window there are at most as many good ones, so that this is far beyond any limit.
        proxy.traffic(200, 500);
        (0..2).for_each(|_| proxy.tick());
        prop_assert_eq!(&proxy.events, &["ejected"]);
        prop_assert_eq!(proxy.on_v2(200), NOBODY);
        let mut ticks = 0;
        while proxy.events.last().is_none_or(|event| event != "recovered") {
            proxy.traffic(200, 200);
            proxy.tick();
            ticks += 1;
            prop_assert!(ticks < 12, "{:?}", proxy.events);
        }
        proxy.tick();
        prop_assert_eq!(proxy.on_v2(200), Proxy::new(1, GUARDED).on_v2(200));
    }
}
