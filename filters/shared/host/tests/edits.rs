//! A filter that edits headers, those of a request in several rounds, under a proxy that has them. What the upstream
//! and the client get is what the edits say, and whenever the filter looks, it sees what the proxy has.

mod proxy;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use filter_core::{
    Answer, Callout, Chores, Edit, Filter, HeaderName, Invalid, Metrics, Outcome, Ports, Verdict,
    View,
};
use proptest::prelude::*;
use proxy::{Proxy, Said, callout, encoded, plugin};

const ROOT: u32 = 1;
const EXCHANGE: u32 = 2;

/// The map of the request's headers; the response's is another.
const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;

/// The headers that the filter edits.
const NAMES: [&str; 4] = ["x-a", "x-b", "cookie", "x-ab"];
/// How these and others may have been spelled.
const SPELLINGS: [&str; 8] = ["x-a", "X-A", "x-b", "cookie", "Cookie", "x-ab", "", "y"];
const VALUES: [&[u8]; 4] = [b"", b"1", b"2", b"\xff\x00"];

/// A cluster that the proxy does not know.
const UNKNOWN: &str = "unknown";

/// The headers of a message, in order.
#[derive(Clone, Debug, Default)]
struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// Does what an edit says.
    fn edit(&mut self, edit: &Edit) {
        let name = edit.name().as_str().as_bytes();
        if edit.supersedes() {
            self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        }
        self.0.extend(edit.value().map(|value| (name.to_vec(), value.to_vec())));
    }

    /// The values of each header. How the lines of several stand to each other means nothing.
    fn by_name(&self) -> BTreeMap<Vec<u8>, Vec<&[u8]>> {
        let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, value) in &self.0 {
            names.entry(name.to_ascii_lowercase()).or_default().push(value.as_slice());
        }
        names
    }

    /// What a look at them shows.
    fn look(&self) -> Look {
        let names = self.by_name();
        NAMES.map(|name| {
            let values = names.get(name.as_bytes()).into_iter().flatten();
            values.map(|value| value.to_vec()).collect()
        })
    }
}

/// The values of each header that the filter edits.
type Look = [Vec<Vec<u8>>; NAMES.len()];

/// What the filter does when it is asked.
#[derive(Clone, Debug, Default)]
struct Round {
    /// Whether it looks at headers, or just edits them.
    looks: bool,
    edits: Vec<Edit>,
}

/// What a request waits for until its filter is asked again.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// The answer to a callout.
    Answer,
    /// The answer to a callout that cannot be sent, so that the filter is asked at once.
    Failure,
    /// News from the filter's background.
    News,
}

/// An exchange as the proxy has it, and what is to come of it.
#[derive(Default)]
struct Exchange {
    request: Fields,
    response: Fields,
    /// What the filter does with the request, and what it waits for after that.
    rounds: VecDeque<(Round, Option<Wait>)>,
    /// What the filter does with the response.
    last: Round,
    /// What the filter saw, and what the proxy had then.
    looks: Vec<(Look, Look)>,
    /// The token of the call that was made last.
    token: Option<u32>,
    goes_on: bool,
}

impl Exchange {
    fn fields(&mut self, map: u32) -> &mut Fields {
        if map == REQUEST { &mut self.request } else { &mut self.response }
    }
}

thread_local! {
    static NOW: RefCell<Exchange> = RefCell::default();
}

/// A proxy that has headers, and does with them what it is told.
struct TestProxy;

impl Proxy for TestProxy {
    fn header_map_pairs(map: u32) -> Said {
        (0, NOW.with_borrow_mut(|now| encoded(&now.fields(map).0)))
    }

    fn edit(map: u32, edit: &Edit) -> u32 {
        NOW.with_borrow_mut(|now| now.fields(map).edit(edit));
        0
    }

    fn continue_request() -> u32 {
        NOW.with_borrow_mut(|now| now.goes_on = true);
        0
    }

    fn http_call(cluster: &[u8], token: u32) -> u32 {
        if cluster == UNKNOWN.as_bytes() {
            return 2;
        }
        NOW.with_borrow_mut(|now| now.token = Some(token));
        0
    }
}

/// A filter that does what each round says.
struct Editor;

impl Editor {
    fn play(round: Round, map: u32, view: &View<'_>) -> Vec<Edit> {
        if round.looks {
            let headers = if map == REQUEST { view.request() } else { view.response() };
            let seen = NAMES.map(|name| headers.copies(name).map(<[u8]>::to_vec).collect());
            NOW.with_borrow_mut(|now| {
                let had = now.fields(map).look();
                now.looks.push((seen, had));
            });
        }
        round.edits
    }

    fn next(view: &View<'_>) -> Outcome {
        let next = NOW.with_borrow_mut(|now| now.rounds.pop_front());
        let (round, wait) = next.unwrap_or_default();
        let verdict = match wait {
            None => Verdict::Continue,
            Some(Wait::Answer) => Verdict::Await(callout()),
            Some(Wait::Failure) => {
                Verdict::Await(Callout { cluster: UNKNOWN.to_owned(), ..callout() })
            }
            Some(Wait::News) => Verdict::Hold(Duration::from_secs(1)),
        };
        Outcome { verdict, edits: Self::play(round, REQUEST, view), ..Outcome::pass() }
    }
}

impl Filter for Editor {
    const NAME: &'static str = "editor";
    type Memo = ();

    fn configure(_: &[u8], _: &mut Metrics) -> Result<Self, Invalid> {
        Ok(Self)
    }

    fn on_request(&self, view: &View<'_>, (): &mut (), _: &Ports<'_>) -> Outcome {
        Self::next(view)
    }

    fn on_answer(&self, view: &View<'_>, _: &Answer, (): &mut (), _: &Ports<'_>) -> Outcome {
        Self::next(view)
    }

    fn on_response(&self, view: &View<'_>, (): &mut (), _: &Ports<'_>) -> Outcome {
        let last = NOW.with_borrow_mut(|now| std::mem::take(&mut now.last));
        Outcome { edits: Self::play(last, RESPONSE, view), ..Outcome::pass() }
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_millis(100))
    }

    fn on_tick(&self, _: &Ports<'_>) -> Chores {
        Chores { resume: true, ..Chores::default() }
    }
}

filter_host::plugin!(Editor, Response, Log);

fn fields() -> impl Strategy<Value = Fields> {
    let name = prop::sample::select(&SPELLINGS[..]);
    let field = (name, prop::sample::select(&VALUES[..]));
    let field = field.prop_map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
    prop::collection::vec(field, 0..7).prop_map(Fields)
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = || prop::sample::select(&NAMES[..]).prop_map(HeaderName::literal);
    let value = || prop::sample::select(&VALUES[..]).prop_map(<[u8]>::to_vec);
    prop_oneof![
        (name(), value()).prop_map(|(name, value)| Edit::Set(name, value)),
        (name(), value()).prop_map(|(name, value)| Edit::Append(name, value)),
        name().prop_map(Edit::Remove),
    ]
}

fn round() -> impl Strategy<Value = Round> {
    let edits = prop::collection::vec(edit(), 0..5);
    (any::<bool>(), edits).prop_map(|(looks, edits)| Round { looks, edits })
}

/// Rounds with what is waited for after each, and the last one, after which the request goes on.
fn rounds() -> impl Strategy<Value = VecDeque<(Round, Option<Wait>)>> {
    let wait = prop::sample::select(&[Wait::Answer, Wait::Failure, Wait::News][..]);
    let held = prop::collection::vec((round(), wait.prop_map(Some)), 0..4);
    (held, round()).prop_map(|(held, last)| held.into_iter().chain([(last, None)]).collect())
}

/// Plays an exchange to its end, and returns it as it is then, unless its request goes on too early or too late.
fn play(exchange: Exchange) -> Result<Exchange, TestCaseError> {
    let waits = exchange.rounds.iter().filter_map(|(_, wait)| *wait);
    let waits: Vec<Wait> = waits.filter(|wait| !matches!(wait, Wait::Failure)).collect();
    NOW.set(exchange);
    plugin::proxy_on_context_create(ROOT, 0);
    prop_assert!(plugin::proxy_on_configure(ROOT, 0));
    plugin::proxy_on_context_create(EXCHANGE, ROOT);

    let action = plugin::proxy_on_request_headers(EXCHANGE, 1, false);
    NOW.with_borrow_mut(|now| now.goes_on = action == 0);
    for wait in waits {
        prop_assert!(!NOW.with_borrow(|now| now.goes_on), "it waits for {:?}", wait);
        prop_assert_eq!(plugin::proxy_on_request_body(EXCHANGE, 1, false), 1);
        match (wait, NOW.with_borrow(|now| now.token)) {
            (Wait::Answer, Some(token)) => {
                plugin::proxy_on_http_call_response(ROOT, token, 0, 0, 0);
            }
            _ => plugin::proxy_on_tick(ROOT),
        }
    }
    prop_assert!(NOW.with_borrow(|now| now.goes_on), "it waits for nothing");
    prop_assert_eq!(plugin::proxy_on_request_trailers(EXCHANGE, 1), 0);
    plugin::proxy_on_response_headers(EXCHANGE, 1, true);
    plugin::proxy_on_log(EXCHANGE);
    Ok(NOW.take())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_upstream_and_the_client_get_what_the_edits_say(
        (request, response) in (fields(), fields()),
        rounds in rounds(),
        last in round(),
    ) {
        let (mut upstream, mut client) = (request.clone(), response.clone());
        rounds.iter().flat_map(|(round, _)| &round.edits).for_each(|edit| upstream.edit(edit));
        last.edits.iter().for_each(|edit| client.edit(edit));

        let end = play(Exchange { request, response, rounds, last, ..Exchange::default() });
        // Also of an exchange that broke the law, as a smaller one may be played after it.
        plugin::proxy_on_delete(EXCHANGE);
        plugin::proxy_on_delete(ROOT);
        let end = end?;
        prop_assert_eq!(end.request.by_name(), upstream.by_name());
        prop_assert_eq!(end.response.by_name(), client.by_name());
        for (seen, had) in end.looks {
            prop_assert_eq!(seen, had);
        }
    }
}
