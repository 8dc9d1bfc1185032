//! The place of a request in a trace, and the header `traceparent` that writes it.

use super::id::{SpanId, TraceId, lower_hex};

/// The place of a request in a trace: what every format of headers says in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    /// The trace.
    pub(crate) trace: TraceId,
    /// The span that sent the request.
    pub(crate) span: SpanId,
    /// Whether the sender records it; `None` if it leaves that to others (B3's "defer").
    pub(crate) sampled: Option<bool>,
    /// Whether it is to be recorded whatever samplers say (B3, Jaeger).
    pub(crate) debug: bool,
    /// Whether the bits at the right of the trace's id are random.
    pub(crate) random: bool,
}

/// The flag of a sender that may have recorded the trace (W3C Trace Context level 2 §3.2.2.5.1).
const SAMPLED: u8 = 1;
/// The flag of a trace id whose right 7 bytes are random (§3.2.2.5.2).
const RANDOM: u8 = 2;

impl Context {
    /// What a `traceparent` says (§3.2.2); `None` for one that must be ignored. Of a higher version, what this version
    /// knows of (§3.2.4).
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let value = trim(value);
        let (known, rest) = value.split_at_checked(55)?;
        let mut fields = known.split(|byte| *byte == b'-');
        let mut field =
            |width: usize| fields.next().filter(|digits| digits.len() == width).and_then(lower_hex);
        let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        match (version, rest.first()) {
            (0xff, _) => return None,
            (_, None) => {}
            (0, Some(_)) => return None,
            (_, Some(byte)) if *byte != b'-' => return None,
            (_, Some(_)) => {}
        }
        let flags = u8::try_from(flags).ok()?;
        Some(Self {
            trace: TraceId::new(trace)?,
            span: SpanId::new(u64::try_from(span).ok()?)?,
            sampled: Some(flags & SAMPLED != 0),
            debug: false,
            random: flags & RANDOM != 0,
        })
    }

    /// The flags. Who has not decided has not recorded.
    pub(crate) fn flags(&self) -> u8 {
        let sampled = if self.sampled == Some(true) { SAMPLED } else { 0 };
        let random = if self.random { RANDOM } else { 0 };
        sampled | random
    }

    /// As a `traceparent` of version 00, and as a `traceresponse`.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags())
    }
}

/// Without optional white space around it (RFC 9110 §5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', rest)) = value.split_first() {
        value = rest;
    }
    while let Some((b' ' | b'\t', rest)) = value.split_last() {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(value: &str) -> Option<String> {
        Context::parse(value.as_bytes()).map(|context| context.traceparent())
    }

    const TRACE: &str = "00-12345678901234567890123456789012-1234567890123456";

    #[test]
    fn flags_that_nobody_knows_are_not_passed_on() {
        for (flags, kept) in [("00", "00"), ("01", "01"), ("02", "02"), ("ff", "03"), ("09", "01")]
        {
            let expected = format!("{TRACE}-{kept}");
            assert_eq!(rewritten(&format!("{TRACE}-{flags}")), Some(expected), "{flags}");
        }
    }

    #[test]
    fn of_a_higher_version_the_known_part_is_used() {
        let future = TRACE.replacen("00", "cc", 1);
        for tail in ["-01", "-01-", "-01-what-the-future-will-be-like"] {
            let expected = format!("{TRACE}-01");
            assert_eq!(rewritten(&format!("{future}{tail}")), Some(expected), "{tail}");
        }
        for tail in ["", "-", "-0", "-01.", "-01x-", "-0x"] {
            assert_eq!(rewritten(&format!("{future}{tail}")), None, "{tail}");
        }
    }

    #[test]
    fn anything_else_is_ignored() {
        let zero = "0".repeat(32);
        for value in [
            String::new(),
            format!("{TRACE}-01-"),
            format!("{TRACE}-01 01"),
            format!("{TRACE}-1"),
            format!("{TRACE}-0A").replace('1', "a").to_uppercase(),
            format!("ff{}", format!("{TRACE}-01").split_at(2).1),
            format!("00-{zero}-1234567890123456-01"),
            "00-12345678901234567890123456789012-0000000000000000-01".to_owned(),
            "00-1234567890123456789012345678901-12345678901234567-01".to_owned(),
            format!("{TRACE}-01,{TRACE}-01"),
        ] {
            assert_eq!(rewritten(&value), None, "{value}");
        }
        assert_eq!(Context::parse(&[0xff; 55]), None);
    }
}
