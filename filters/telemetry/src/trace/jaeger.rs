//! Jaeger's header `uber-trace-id` (Jaeger's documentation, "Propagation Format").

use std::borrow::Cow;

use filter_core::{Copies, Headers};

use super::context::Context;
use super::id::{SpanId, TraceId, any_hex};

/// Where a request's place is written.
pub(super) const HEADER: &str = "uber-trace-id";
/// What the names of headers with baggage begin with.
pub(super) const BAGGAGE: &[u8] = b"uberctx-";
/// Other headers that Jaeger's clients heed.
pub(super) const OTHERS: [&str; 2] = ["jaeger-debug-id", "jaeger-baggage"];

/// What the header says: `{trace}:{span}:{parent}:{flags}`, in hexadecimal, zeros at the left left out.
pub(super) fn extract(headers: Headers<'_>) -> Option<Context> {
    let Copies::One(value) = headers.only(HEADER) else { return None };
    // Some of its clients encode the colons.
    let text = std::str::from_utf8(value).ok()?;
    let text = if text.contains('%') {
        Cow::Owned(text.replace("%3A", ":").replace("%3a", ":"))
    } else {
        Cow::Borrowed(text)
    };
    let mut parts = text.split(':');
    let (trace, span) = (parts.next()?, parts.next()?);
    let (_parent, flags) = (parts.next()?, parts.next()?);
    if parts.next().is_some() || span.len() > 16 {
        return None;
    }
    let flags = any_hex(flags.as_bytes())?;
    let sampled = flags & 1 != 0;
    Some(Context {
        trace: TraceId::new(any_hex(trace.as_bytes())?)?,
        span: SpanId::new(u64::try_from(any_hex(span.as_bytes())?).ok()?)?,
        sampled: Some(sampled),
        debug: sampled && flags & 2 != 0,
        random: false,
    })
}

/// The header for this place. Who has not decided has not recorded.
pub(super) fn value(context: &Context) -> String {
    let flags = match (context.debug, context.sampled) {
        (true, _) => 3,
        (false, Some(true)) => 1,
        (false, _) => 0,
    };
    format!("{}:{}:0:{flags}", context.trace, context.span)
}

/// Whether a header of this name is baggage.
pub(super) fn is_baggage(name: &[u8]) -> bool {
    name.get(..BAGGAGE.len()).is_some_and(|start| start.eq_ignore_ascii_case(BAGGAGE))
}
