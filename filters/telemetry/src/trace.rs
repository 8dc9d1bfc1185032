//! What becomes of the trace that a request is part of: its headers, and what is told of it.

pub(crate) mod b3;
pub(crate) mod baggage;
pub(crate) mod context;
pub(crate) mod format;
pub(crate) mod id;
pub(crate) mod jaeger;
pub(crate) mod respond;
pub(crate) mod sampler;
pub(crate) mod sender;
pub(crate) mod state;

use std::time::Duration;

use filter_core::{
    Attribute, Copies, Count, Edit, HeaderName, Headers, Outcome, Phase, Ports, Publication, View,
};

use crate::otlp::Exporter;
use crate::otlp::spans::{Span, Spans};
use context::Context;
use format::{Came, Format};
use id::{SpanId, TraceId};
use respond::Response;
use sampler::{Continued, Sampler};
use sender::{Belief, Trust};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// The part of the configuration that is about traces.
#[derive(Debug)]
pub(crate) struct Tracing {
    /// What this hop is in a trace.
    pub(crate) role: Role,
    /// Who is believed; everybody if there is none.
    pub(crate) trust: Option<Trust>,
    /// The headers to read, in order: the first that tell a place do.
    pub(crate) extract: Vec<Format>,
    /// The headers to write.
    pub(crate) inject: Vec<Format>,
    /// How many bytes of `tracestate` there is room for.
    pub(crate) room: Option<usize>,
    /// What of the baggage goes on.
    pub(crate) limits: baggage::Limits,
    /// What of the baggage is left in filter state.
    pub(crate) publish: Vec<Published>,
    /// What the caller is told.
    pub(crate) respond: Vec<Response>,
    /// Who is told of this hop's spans.
    pub(crate) exporter: Option<Exporter<Spans>>,
}

/// A request that is a span of this hop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    /// Its place, as the upstream is told it.
    place: Context,
    /// The caller's span.
    parent: Option<SpanId>,
    /// When it arrived, if it is to be told.
    begun: Option<Duration>,
}

/// What this hop is in a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Nothing: headers are left as they came.
    Bystander,
    /// A proxy that takes away what is not valid (W3C Trace Context level 2 §4.1.3, "Alternative Processing").
    Cleaner,
    /// A span of its own.
    Span(Sampler),
}

/// A member of the baggage that is left in filter state.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Its key.
    pub(crate) key: Box<[u8]>,
    /// Under which name. It lives as long as the module: a configuration has few.
    pub(crate) name: &'static str,
}

impl Tracing {
    /// What must be known of the sender.
    pub(crate) fn attributes(&self, phase: Phase) -> Vec<Attribute> {
        match (phase, &self.trust) {
            (Phase::Request, Some(trust)) => trust.attributes(),
            _ => Vec::new(),
        }
    }

    /// The headers to send on, the place of the request as they tell it, and this hop's span, if it has one.
    pub(crate) fn on_request(
        &self,
        view: &View<'_>,
        ports: &Ports<'_>,
    ) -> (Outcome, Option<Context>, Option<Hop>) {
        let headers = view.request();
        let belief = self.trust.as_ref().map_or(Belief::Full, |trust| trust.belief(view));
        let mut publish = Vec::new();
        if belief != Belief::None {
            self.publish_baggage(headers, &mut publish);
        }
        let came = if belief == Belief::None { Came::Nothing } else { self.came(headers) };
        let next = match (self.role, came) {
            (Role::Bystander, _) => {
                return (Outcome { publish, ..Outcome::pass() }, came.place(), None);
            }
            (Role::Cleaner, Came::Place(context, _)) => Some(context),
            (Role::Cleaner, Came::Nothing | Came::Denied) => None,
            (Role::Span(sampler), came) => next(sampler, came, belief, ports),
        };
        let span = next.filter(|_| matches!(self.role, Role::Span(_)));
        let publication = |name, id: String| Publication { name, value: id.into_bytes() };
        publish.extend(next.map(|next| publication("trace_id", next.trace.to_string())));
        publish.extend(span.map(|span| publication("span_id", span.span.to_string())));
        let edits = self.edits(headers, belief, came, next);
        let told = |place: &Context| self.exporter.is_some() && place.sampled == Some(true);
        let hop = span.map(|place| Hop {
            place,
            parent: came.place().map(|came| came.span),
            begun: told(&place).then(|| ports.clock.wall()),
        });
        (Outcome { edits, publish, ..Outcome::pass() }, next, hop)
    }

    /// What the caller is told of the span.
    pub(crate) fn on_response(&self, hop: &Hop, headers: Headers<'_>) -> Vec<Edit> {
        let text = if self.respond.is_empty() { String::new() } else { hop.place.traceparent() };
        self.respond.iter().map(|response| response.edit(&text, headers)).collect()
    }

    /// The span is over. It is told if it is recorded.
    pub(crate) fn on_log(
        &self,
        hop: &Hop,
        method: &'static str,
        route: impl FnOnce() -> Option<String>,
        code: Option<i64>,
        ports: &Ports<'_>,
    ) -> Option<Count> {
        let (exporter, begun) = self.exporter.as_ref().zip(hop.begun)?;
        exporter.offer(Span {
            place: hop.place,
            parent: hop.parent,
            begun,
            ended: ports.clock.wall(),
            method,
            route: route(),
            code,
        })
    }

    fn came(&self, headers: Headers<'_>) -> Came {
        let mut denied = Came::Nothing;
        for format in &self.extract {
            match format.extract(headers) {
                Came::Nothing => {}
                Came::Denied => denied = Came::Denied,
                place @ Came::Place(..) => return place,
            }
        }
        denied
    }

    fn edits(
        &self,
        headers: Headers<'_>,
        belief: Belief,
        came: Came,
        next: Option<Context>,
    ) -> Vec<Edit> {
        let mut wanted: Vec<(&'static str, Vec<u8>)> = Vec::new();
        for format in &self.inject {
            match (next, came) {
                (Some(context), _) => wanted.extend(format.write(&context)),
                (None, Came::Denied) => wanted.extend(format.deny()),
                (None, _) => {}
            }
        }
        let state = matches!(came, Came::Place(_, Format::TraceContext))
            && wanted.iter().any(|(name, _)| *name == TRACEPARENT);
        if state {
            let state = state::carried(headers.copies(TRACESTATE), self.room);
            wanted.extend(state.map(|state| (TRACESTATE, state)));
        }
        let baggage =
            (belief != Belief::None).then(|| self.limits.carried(headers.copies(BAGGAGE)));
        wanted.extend(baggage.flatten().map(|baggage| (BAGGAGE, baggage)));

        let written = |name: &str| wanted.iter().any(|(wanted, _)| *wanted == name);
        let mut unwanted: Vec<HeaderName> = self
            .owned(belief)
            .filter(|name| !written(name) && headers.copies(name).next().is_some())
            .map(HeaderName::literal)
            .collect();
        if belief == Belief::None {
            unwanted.extend(
                headers
                    .names()
                    .filter(|name| jaeger::is_baggage(name))
                    .filter_map(|name| HeaderName::parse(std::str::from_utf8(name).ok()?)),
            );
        }
        let changed = wanted
            .iter()
            .filter(|(name, value)| headers.only(name) != Copies::One(value.as_slice()))
            .map(|(name, value)| Edit::Set(HeaderName::literal(name), value.clone()));
        changed.chain(unwanted.into_iter().map(Edit::Remove)).collect()
    }

    /// The headers that the client's copies of are no more than hints: those of the formats in use, and of every format
    /// if the client is not to say anything.
    fn owned(&self, belief: Belief) -> impl Iterator<Item = &'static str> {
        let of = |formats: &[Format], names: &'static [&'static str]| {
            let ours = belief == Belief::None
                || self.extract.iter().chain(&self.inject).any(|used| formats.contains(used));
            if ours { names } else { &[] }
        };
        let parts = [
            &[TRACEPARENT, TRACESTATE, BAGGAGE][..],
            of(&[Format::B3, Format::B3Multi], &b3::ALL),
            of(&[Format::Jaeger], &[jaeger::HEADER]),
            of(&[], &jaeger::OTHERS),
        ];
        parts.into_iter().flatten().copied()
    }

    fn publish_baggage(&self, headers: Headers<'_>, publish: &mut Vec<Publication>) {
        if self.publish.is_empty() {
            return;
        }
        let mut found: Vec<Option<baggage::Member<'_>>> = vec![None; self.publish.len()];
        // Of several members with one key the last counts, as in OpenTelemetry.
        for member in baggage::members(headers.copies(BAGGAGE)) {
            let place = self.publish.iter().position(|published| *published.key == *member.key);
            if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
                *slot = Some(member);
            }
        }
        publish.extend(self.publish.iter().zip(found).filter_map(|(published, member)| {
            Some(Publication { name: published.name, value: member?.text().into_bytes() })
        }));
    }
}

/// The place of a request whose trace nobody looks after here.
pub(crate) fn untouched(headers: Headers<'_>) -> Option<Context> {
    Format::TraceContext.extract(headers).place()
}

/// The place of the request as the upstream is told it; `None` if the proxy has no randomness to begin a trace with. A
/// trace that goes on keeps the span it came with then.
fn next(sampler: Sampler, came: Came, belief: Belief, ports: &Ports<'_>) -> Option<Context> {
    let [a, b, c, d, e, f, g, h, spare @ ..] = ports.entropy.seed();
    let spare = u64::from_be_bytes(spare);
    let span = SpanId::new(u64::from_be_bytes([a, b, c, d, e, f, g, h])).or(SpanId::new(spare));
    let Came::Place(context, _) = came else {
        let trace = TraceId::new(u128::from_be_bytes(ports.entropy.seed()))?;
        let decided = sampler.begun.map(|ratio| ratio.takes(trace.random_bits()));
        let sampled = if came == Came::Denied { Some(false) } else { decided };
        return Some(Context { trace, span: span?, sampled, debug: false, random: true });
    };
    let span = span.unwrap_or(context.span);
    // A sender that is not believed could choose an id for its bits.
    let bits = if belief == Belief::Full { context.trace.random_bits() } else { spare >> 8 };
    let decided = sampler.begun.map(|ratio| ratio.takes(bits));
    let sampled = match (belief, sampler.continued) {
        (Belief::Full, Continued::Keep) => context.sampled.or(decided),
        (Belief::Full, Continued::Never) => Some(false),
        (Belief::Full, Continued::Always) => Some(true),
        (Belief::Place | Belief::None, _) => decided,
    };
    let debug = context.debug && belief == Belief::Full && sampled == Some(true);
    Some(Context { span, sampled, debug, ..context })
}
