//! The headers of B3 (`openzipkin/b3-propagation`), one or many.

use filter_core::{Copies, Headers};

use super::context::Context;
use super::id::{SpanId, TraceId, lower_hex};

/// The single header.
pub(super) const SINGLE: &str = "b3";
/// Several headers instead.
pub(super) const TRACE: &str = "x-b3-traceid";
/// As above.
pub(super) const SPAN: &str = "x-b3-spanid";
/// As above.
pub(super) const SAMPLED: &str = "x-b3-sampled";
/// As above.
pub(super) const FLAGS: &str = "x-b3-flags";
/// All of them.
pub(super) const ALL: [&str; 6] = [SINGLE, TRACE, SPAN, "x-b3-parentspanid", SAMPLED, FLAGS];

/// What B3 says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Its place in a trace.
    Place(Context),
    /// That whatever trace it becomes part of is not to be recorded.
    Deny,
}

/// What the headers say, the single one before the others.
pub(super) fn extract(headers: Headers<'_>) -> Option<Said> {
    let single = match headers.only(SINGLE) {
        Copies::One(value) => parse(value),
        Copies::None | Copies::Many => None,
    };
    single.or_else(|| several(headers))
}

fn parse(value: &[u8]) -> Option<Said> {
    if value == b"0" {
        return Some(Said::Deny);
    }
    let mut parts = value.split(|byte| *byte == b'-');
    let (trace, span) = (parts.next()?, parts.next()?);
    let (flag, parent) = (parts.next(), parts.next());
    if parts.next().is_some() || parent.is_some_and(|parent| span_id(parent).is_none()) {
        return None;
    }
    let (sampled, debug) = match flag {
        None => (None, false),
        Some(b"0") => (Some(false), false),
        Some(b"1") => (Some(true), false),
        Some(b"d") => (Some(true), true),
        Some(_) => return None,
    };
    let (trace, span) = ids(trace, span)?;
    Some(Said::Place(Context { trace, span, sampled, debug, random: false }))
}

fn several(headers: Headers<'_>) -> Option<Said> {
    let debug = matches!(headers.only(FLAGS), Copies::One(b"1"));
    let sampled = match headers.only(SAMPLED) {
        Copies::None => None,
        Copies::One(b"1" | b"true") => Some(true),
        Copies::One(b"0" | b"false") => Some(false),
        Copies::One(_) | Copies::Many => return None,
    };
    match (headers.only(TRACE), headers.only(SPAN)) {
        (Copies::One(trace), Copies::One(span)) => {
            let (trace, span) = ids(trace, span)?;
            let sampled = if debug { Some(true) } else { sampled };
            Some(Said::Place(Context { trace, span, sampled, debug, random: false }))
        }
        (Copies::None, Copies::None) if sampled == Some(false) && !debug => Some(Said::Deny),
        _ => None,
    }
}

fn ids(trace: &[u8], span: &[u8]) -> Option<(TraceId, SpanId)> {
    let trace = matches!(trace.len(), 16 | 32).then(|| lower_hex(trace)).flatten();
    Some((TraceId::new(trace?)?, span_id(span)?))
}

fn span_id(digits: &[u8]) -> Option<SpanId> {
    let number = (digits.len() == 16).then(|| lower_hex(digits)).flatten()?;
    SpanId::new(u64::try_from(number).ok()?)
}

/// The single header for this place.
pub(super) fn single(context: &Context) -> String {
    let flag = match (context.debug, context.sampled) {
        (true, _) => "-d",
        (false, Some(true)) => "-1",
        (false, Some(false)) => "-0",
        (false, None) => "",
    };
    format!("{}-{}{flag}", context.trace, context.span)
}

/// The several headers for this place.
pub(super) fn multiple(context: &Context) -> impl Iterator<Item = (&'static str, String)> {
    let flag = match (context.debug, context.sampled) {
        (true, _) => Some((FLAGS, "1")),
        (false, Some(true)) => Some((SAMPLED, "1")),
        (false, Some(false)) => Some((SAMPLED, "0")),
        (false, None) => None,
    };
    let ids = [(TRACE, context.trace.to_string()), (SPAN, context.span.to_string())];
    ids.into_iter().chain(flag.map(|(name, value)| (name, value.to_owned())))
}
