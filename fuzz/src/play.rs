//! The proxy's part: asks a filter in every phase, performs what it answers, and holds every answer to the laws that
//! need no knowledge of the filter.

use std::collections::BTreeMap;

use filter_core::fixture::{FixtureExchange, World};
use filter_core::matching::Truth;
use filter_core::outcome::Verdict;
use filter_core::view::{Attribute, Kind, Value};
use filter_core::{
    Count, Edit, Filter, HeaderMap, Headers, Invalid, Metrics, Outcome, Phase, View,
};

use crate::corpus::Lines;
use crate::draw::Draw;

/// What the proxy knows about an exchange besides its headers.
pub(crate) type Attributes = BTreeMap<Attribute, Value>;

/// A filter and the series it declared.
pub(crate) struct Loaded<F> {
    filter: F,
    metrics: Metrics,
}

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Played {
    /// What the filter answered.
    pub(crate) verdict: Verdict,
    /// The evidence.
    pub(crate) evidence: Vec<String>,
    /// The request as the upstream gets it, if it does.
    pub(crate) upstream: Lines,
}

impl Played {
    /// Whether the request went on.
    pub(crate) fn admitted(&self) -> bool {
        self.verdict == Verdict::Continue
    }
}

impl<F: Filter> Loaded<F> {
    /// The filter of this configuration, and it must be one.
    pub(crate) fn new(document: &str) -> Self {
        Self::configure(document.as_bytes()).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    /// The filter of this configuration, or a refusal that says what it must.
    pub(crate) fn configure(document: &[u8]) -> Result<Self, Invalid> {
        let mut metrics = Metrics::default();
        let configured = F::configure(document, &mut metrics);
        if let Err(Invalid { pointer, expected, found }) = &configured {
            assert!(pointer.is_empty() || pointer.starts_with('/'), "no JSON Pointer: {pointer:?}");
            assert!(
                !expected.is_empty() && !found.is_empty(),
                "{pointer}: {expected:?}, {found:?}"
            );
        }
        Ok(Self { filter: configured?, metrics })
    }

    /// The filter.
    pub(crate) fn filter(&self) -> &F {
        &self.filter
    }

    /// What comes of a request, all phases played.
    pub(crate) fn ask(&self, world: &World, lines: &Lines, known: &Attributes) -> Played {
        let (ports, mut memo) = (world.ports(), F::Memo::default());
        // Some answer to each expression, and always the same.
        let judged = self.filter.expressions().into_iter().map(|stated| {
            let text = stated.expression.text();
            (text.to_owned(), [Truth::Unknown, Truth::True, Truth::False][text.len() % 3])
        });
        let mut exchange = FixtureExchange {
            request: HeaderMap::from_pairs(lines.iter().map(|(name, value)| (name, value))),
            conditions: judged.collect(),
            phase: Some(Phase::Request),
            ..FixtureExchange::default()
        };
        let offer = |exchange: &mut FixtureExchange, phase| {
            let declared = self.filter.attributes(phase).into_iter();
            exchange.attributes =
                declared.filter_map(|name| Some((name, known.get(&name)?.clone()))).collect();
        };
        offer(&mut exchange, Phase::Request);
        let outcome =
            self.filter.on_request(&View::new(&exchange, Phase::Request, &[]), &mut memo, &ports);
        self.lawful(&outcome);
        let upstream = edited(lines, &outcome.edits);
        agree(&exchange.request, &outcome.edits, &upstream);

        let status = match &outcome.verdict {
            Verdict::Reply(reply) => reply.status,
            Verdict::Continue | Verdict::Await(_) | Verdict::Hold(_) => 200,
        };
        exchange.request =
            HeaderMap::from_pairs(upstream.iter().map(|(name, value)| (name, value)));
        exchange.response = HeaderMap::from_pairs([(":status", status.to_string())]);
        exchange.phase = Some(Phase::Response);
        offer(&mut exchange, Phase::Response);
        self.lawful(&self.filter.on_response(
            &View::new(&exchange, Phase::Response, &[]),
            &mut memo,
            &ports,
        ));
        exchange.phase = None;
        offer(&mut exchange, Phase::Log);
        self.lawful(&self.filter.on_log(&View::new(&exchange, Phase::Log, &[]), &mut memo, &ports));

        let evidence = outcome.decisions.iter().map(|one| one.evidence().to_owned()).collect();
        Played { verdict: outcome.verdict, evidence, upstream }
    }

    /// What holds of every outcome of every filter.
    fn lawful(&self, outcome: &Outcome) {
        let plain = |text: &[u8]| !text.iter().any(|byte| b"\r\n\0".contains(byte));
        if let Verdict::Reply(reply) = &outcome.verdict {
            assert!((200..600).contains(&reply.status), "{}", reply.status);
            assert!(
                !reply.details.is_empty()
                    && reply.details.bytes().all(|byte| byte.is_ascii_graphic())
            );
            assert!(reply.headers.iter().all(|(_, value)| plain(value)), "{:?}", reply.headers);
            assert!(!outcome.decisions.is_empty(), "a refusal without evidence");
        }
        for edit in &outcome.edits {
            // A path, cookies and baggage that are shortened keep what the client wrote, which the proxy has let through.
            let name = edit.name();
            if ![":path", "cookie", "baggage"].contains(&name.as_str()) {
                assert!(edit.value().is_none_or(plain), "{edit:?}");
            }
        }
        let counts = outcome.decisions.iter().map(|decision| decision.count());
        for count in counts.chain(outcome.counts.iter().copied()) {
            let (Count::Add(series, _) | Count::Record(series, _)) = count;
            assert!(self.metrics.stat(series).is_some(), "a series that was not declared");
        }
    }
}

/// The lines after edits.
fn edited(lines: &Lines, edits: &[Edit]) -> Lines {
    let mut lines = lines.clone();
    for edit in edits {
        let name = edit.name().as_str().as_bytes();
        if edit.supersedes() {
            lines.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        }
        lines.extend(edit.value().map(|value| (name.to_vec(), value.to_vec())));
    }
    lines
}

/// What a filter behind would see is what the proxy makes of the edits.
fn agree(map: &HeaderMap, edits: &[Edit], upstream: &Lines) {
    for edit in edits {
        let name = edit.name().as_str();
        let seen: Vec<&[u8]> = Headers::new(map, edits).copies(name).collect();
        assert_eq!(seen, copies(upstream, name), "{name}");
    }
}

/// Every value of a header.
pub(crate) fn copies<'a>(lines: &'a Lines, name: &str) -> Vec<&'a [u8]> {
    let same = lines.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
    same.map(|(_, value)| value.as_slice()).collect()
}

/// What the proxy may know, right or odd.
pub(crate) fn attributes(draw: &mut Draw<'_>) -> Attributes {
    let usual = [
        (Attribute::SourceAddress, "127.0.0.1:50000"),
        (Attribute::DestinationAddress, "127.0.0.1:10000"),
        (Attribute::PeerUri, "spiffe://cluster.local/ns/shop/sa/cart"),
        (Attribute::DirectRemoteIp, "10.0.0.1"),
        (Attribute::RequestedServerName, "demo.example"),
        (Attribute::PeerCertificateDigest, "00ff"),
        (Attribute::ResponseCodeDetails, "via_upstream"),
    ];
    let numbers = [
        (Attribute::DestinationPort, 10000),
        (Attribute::ResponseCode, 200),
        (Attribute::ResponseFlags, 0),
        (Attribute::RequestDuration, 1_000_000),
        (Attribute::ResponseGrpcStatus, 0),
    ];
    let mut known = Attributes::new();
    let odd = draw.once_in(4);
    for (attribute, text) in usual {
        let mut text = text.as_bytes().to_vec();
        if odd && draw.once_in(2) {
            crate::bytes::change(&mut text, draw);
        }
        known.insert(attribute, Value::Text(text));
    }
    for (attribute, number) in numbers {
        let other = *draw.one(&[number, -1, i64::MAX, i64::MIN]);
        known.insert(attribute, Value::Number(if odd { other } else { number }));
    }
    if odd {
        known.retain(|attribute, _| attribute.kind() == Kind::Number || !draw.once_in(4));
    }
    known
}
