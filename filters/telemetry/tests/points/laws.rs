//! Whatever becomes of what is sent, what was told in the end is what was counted.

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A request ends in a worker.
    Serve { worker: usize, path: usize, code: i64, nanos: u64 },
    /// Time passes, and workers that send are answered so.
    Pass { millis: u64, answer: Reply },
    /// A worker begins anew, with nothing left to tell.
    Restart { worker: usize },
}

/// How the collector is.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Takes,
    /// It takes what was sent, but nobody hears of it.
    TakesUnheard,
    Down,
    Overloaded,
    Refuses,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let reply = prop_oneof![
        3 => Just(Reply::Takes),
        1 => Just(Reply::TakesUnheard),
        2 => Just(Reply::Down),
        1 => Just(Reply::Overloaded),
        1 => Just(Reply::Refuses),
    ];
    let serve = (
        0_usize..2,
        0_usize..4,
        prop::sample::select(vec![200_i64, 404, 503]),
        prop_oneof![0_u64..20_000_000, 0_u64..20_000_000_000],
    );
    let serve =
        serve.prop_map(|(worker, path, code, nanos)| Step::Serve { worker, path, code, nanos });
    let pass = (50_u64..70_000, reply).prop_map(|(millis, answer)| Step::Pass { millis, answer });
    let restart = (0_usize..2).prop_map(|worker| Step::Restart { worker });
    prop::collection::vec(prop_oneof![30 => serve, 20 => pass, 1 => restart], 0..80)
}

/// What was told of one stream last: when it began, when it was told, and its numbers.
type Last = (u64, u64, Vec<u64>);

/// A collector that keeps the last point of each stream.
#[derive(Debug, Default)]
struct Streams(BTreeMap<(String, String, String), Last>);

impl Streams {
    fn take(&mut self, callout: &Callout) {
        let told = Told::of(callout);
        for (name, (_, points)) in &told.metrics {
            let mut take = |attributes: &[KeyValue], times: (u64, u64), numbers: Vec<u64>| {
                let key = (told.instance(), name.clone(), format!("{attributes:?}"));
                let now = (times.0, times.1, numbers);
                if let Some(before) = self.0.insert(key, now.clone()) {
                    assert!(before.0 == now.0 && before.1 <= now.1, "{before:?} {now:?}");
                    assert!(before.2.iter().zip(&now.2).all(|(before, now)| before <= now));
                }
            };
            match points {
                Points::Sums(points) => {
                    for point in points {
                        let times = (point.start_time_unix_nano, point.time_unix_nano);
                        take(&point.attributes, times, vec![number(point).try_into().unwrap()]);
                    }
                }
                Points::Histograms(points) => {
                    for point in points {
                        let times = (point.start_time_unix_nano, point.time_unix_nano);
                        assert_eq!(point.count, point.bucket_counts.iter().sum::<u64>());
                        let sum = (point.sum.unwrap() * 1e9).round() as u64;
                        let numbers = [&point.bucket_counts[..], &[sum]].concat();
                        take(&point.attributes, times, numbers);
                    }
                }
            }
        }
    }

    /// The sum over all streams of a metric whose attributes hold these words.
    fn sum(&self, metric: &str, words: &[&str]) -> Vec<u64> {
        let mut all = Vec::new();
        for ((_, name, attributes), (_, _, numbers)) in &self.0 {
            if name == metric && words.iter().all(|word| attributes.contains(word)) {
                all.resize(numbers.len(), 0);
                all.iter_mut().zip(numbers).for_each(|(all, number)| *all += number);
            }
        }
        all
    }
}

/// Lets a worker send what is due, and answers it.
fn settle(worker: &Worker<'_>, reply: Reply, streams: &mut Streams) {
    let mut next = worker.tick();
    for _ in 0..100 {
        let Some(callout) = next else { return };
        if matches!(reply, Reply::Takes | Reply::TakesUnheard) {
            streams.take(&callout);
        }
        let answer = match reply {
            Reply::Takes => status("200"),
            Reply::TakesUnheard | Reply::Down => Answer::Failure,
            Reply::Overloaded => status("503"),
            Reply::Refuses => status("400"),
        };
        next = only(worker.answered(&answer));
    }
    panic!("a round without an end");
}

/// Lets a worker tell all it has. What is under way comes first, and then a whole round.
fn finish(worker: &Worker<'_>, streams: &mut Streams) {
    for _ in 0..3 {
        worker.wait(Duration::from_secs(60));
        settle(worker, Reply::Takes, streams);
    }
}

const PATHS: [&str; 4] = ["/orders/1", "/orders/2", "/", "/a/b"];

proptest! {
    #[test]
    fn what_was_told_in_the_end_is_what_was_counted(
        steps in steps(),
        batch in 1_u32..6,
        limited in any::<bool>(),
    ) {
        let rest = if limited { r#","maxSeries":2"# } else { "" };
        let document = document(&format!(r#","maxExportBatchSize":{batch}"#), rest);
        let world = World::default();
        let mut workers = [0, 1].map(|number| Worker::new(&document, number, &world));
        let mut begun = 2;
        let mut streams = Streams::default();
        let mut served = Vec::new();
        for step in steps {
            match step {
                Step::Serve { worker, path, code, nanos } => {
                    let took = Duration::from_nanos(nanos);
                    let path = PATHS[path];
                    workers[worker].serve(&Ended { path, code, took, lines: &[] });
                    served.push((path, code, nanos));
                }
                Step::Pass { millis, answer } => {
                    world.clock.advance(Duration::from_millis(millis));
                    workers.iter().for_each(|worker| settle(worker, answer, &mut streams));
                }
                Step::Restart { worker } => {
                    finish(&workers[worker], &mut streams);
                    workers[worker] = Worker::new(&document, begun, &world);
                    begun += 1;
                }
            }
        }
        workers.iter().for_each(|worker| finish(worker, &mut streams));
        for (outcome, code) in [("ok", 200), ("client_error", 404), ("server_error", 503)] {
            for route in ["/orders/{id}", ""] {
                let of = |(path, other, _): &&(&str, i64, u64)| {
                    let orders = path.starts_with("/orders");
                    *other == code && (route.is_empty() || (orders && !limited))
                };
                // Past the bound on series a request keeps no more than its outcome.
                if limited && !route.is_empty() {
                    continue;
                }
                let outcome = format!("\"{outcome}\"");
                let words = [outcome.as_str(), route];
                let count = u64::try_from(served.iter().filter(of).count()).unwrap();
                let told = streams.sum("http.server.requests", &words);
                prop_assert_eq!(told.first().copied().unwrap_or_default(), count);
                let mut expected = vec![0; 16];
                let bounds =
                    [5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];
                for (_, _, nanos) in served.iter().filter(of) {
                    let bucket = bounds.iter().take_while(|bound| **bound * 1_000_000 < *nanos);
                    expected[bucket.count()] += 1;
                    expected[15] += nanos;
                }
                let told = streams.sum("http.server.request.duration", &words);
                prop_assert_eq!(if told.is_empty() { vec![0; 16] } else { told }, expected);
            }
        }
    }
}
