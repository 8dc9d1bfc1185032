//! What becomes of trace headers, seen from outside the filter.
#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod baggage;
mod hops;
mod laws;
mod propagators;
mod spans;
mod suite;

use std::cell::Cell;
use std::collections::BTreeMap;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::ports::{Entropy, Ports};
use filter_core::view::{Attribute, Value};
use filter_core::{Edit, Filter, HeaderMap, Metrics, Outcome, Phase, View};
use telemetry::Telemetry;

/// Header lines by name, all copies of each.
type Lines = BTreeMap<String, Vec<String>>;

/// Randomness that is another each time, or none.
struct Numbers(Cell<Option<u128>>);

impl Default for Numbers {
    fn default() -> Self {
        Self(Cell::new(Some(0)))
    }
}

impl Entropy for Numbers {
    fn seed(&self) -> [u8; 16] {
        let Some(last) = self.0.get() else { return [0; 16] };
        self.0.set(Some(last + (1 << 64) + 1));
        (last + (1 << 64) + 1).to_be_bytes()
    }
}

/// The filter, and the world it asks.
struct Subject {
    filter: Telemetry,
    world: World,
    numbers: Numbers,
    attributes: BTreeMap<Attribute, Value>,
}

impl Subject {
    /// The filter with this for `traceContext`, in JSON.
    #[track_caller]
    fn new(trace_context: &str) -> Self {
        Self::of(&format!(r#"{{"traceContext":{trace_context}}}"#))
    }

    #[track_caller]
    fn of(document: &str) -> Self {
        let filter = Telemetry::configure(document.as_bytes(), &mut Metrics::default());
        Self {
            filter: filter.unwrap_or_else(|invalid| panic!("{document}: {invalid}")),
            world: World::default(),
            numbers: Numbers::default(),
            attributes: BTreeMap::new(),
        }
    }

    /// The same, asked by this peer at this address.
    fn asked_by(mut self, uri: &str, address: &str) -> Self {
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        self.attributes =
            [(Attribute::PeerUri, text(uri)), (Attribute::SourceAddress, text(address))]
                .into_iter()
                .collect();
        self
    }

    fn play(&self, headers: &HeaderMap) -> (Outcome, <Telemetry as Filter>::Memo) {
        let declared = self.filter.attributes(Phase::Request);
        let attributes = self.attributes.clone().into_iter();
        let exchange = FixtureExchange {
            request: headers.clone(),
            attributes: attributes.filter(|(attribute, _)| declared.contains(attribute)).collect(),
            ..FixtureExchange::default()
        };
        let ports = Ports { entropy: &self.numbers, ..self.world.ports() };
        let mut memo = Default::default();
        let view = View::new(&exchange, Phase::Request, &[]);
        (self.filter.on_request(&view, &mut memo, &ports), memo)
    }

    /// What the upstream gets of these header lines.
    fn sends(&self, lines: &[(&str, &str)]) -> Lines {
        let (outcome, _) = self.play(&HeaderMap::from_pairs(lines.iter().copied()));
        let lines = lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        after(lines, outcome.edits)
    }

    /// One header of what the upstream gets.
    fn sends_one(&self, name: &str, lines: &[(&str, &str)]) -> Option<String> {
        let mut copies = self.sends(lines).remove(name)?;
        assert_eq!(copies.len(), 1, "{name}: {copies:?}");
        copies.pop()
    }

    /// What is left in filter state for these header lines.
    fn publishes(&self, lines: &[(&str, &str)]) -> BTreeMap<&'static str, String> {
        let (outcome, _) = self.play(&HeaderMap::from_pairs(lines.iter().copied()));
        let text = |value| String::from_utf8(value).unwrap();
        outcome.publish.into_iter().map(|one| (one.name, text(one.value))).collect()
    }

    /// What the caller gets, of these header lines of the upstream, for a request with those.
    fn answers(&self, request: &[(&str, &str)], response: &[(&str, &str)]) -> (Lines, Lines) {
        let map = HeaderMap::from_pairs(request.iter().copied());
        let (outcome, mut memo) = self.play(&map);
        let owned = |lines: &[(&str, &str)]| -> Vec<(String, String)> {
            lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let sent = after(owned(request).into_iter(), outcome.edits);
        let exchange = FixtureExchange {
            response: HeaderMap::from_pairs(response.iter().copied()),
            phase: Some(Phase::Response),
            ..FixtureExchange::default()
        };
        let view = View::new(&exchange, Phase::Response, &[]);
        // In other phases than these the host does not ask.
        let asked = Telemetry::LATER.contains(&Phase::Response);
        let outcome = asked.then(|| self.filter.on_response(&view, &mut memo, &self.world.ports()));
        let outcome = outcome.unwrap_or_default();
        (sent, after(owned(response).into_iter(), outcome.edits))
    }
}

/// Header lines after edits. White space around a value is the codec's to take away.
fn after(lines: impl Iterator<Item = (String, String)>, edits: Vec<Edit>) -> Lines {
    let mut sent = Lines::new();
    for (name, value) in lines {
        let value = value.trim_matches([' ', '\t']).to_owned();
        sent.entry(name.to_lowercase()).or_default().push(value);
    }
    for edit in edits {
        match edit {
            Edit::Set(name, value) => {
                sent.insert(name.to_string(), vec![String::from_utf8(value).unwrap()]);
            }
            Edit::Remove(name) => {
                sent.remove(name.as_str());
            }
            Edit::Append(name, _) => panic!("{name} is never one of several"),
        }
    }
    sent
}
