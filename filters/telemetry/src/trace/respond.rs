//! What the caller is told of its trace: `traceresponse` and the metric `trace` of `Server-Timing`.

use filter_core::{Edit, HeaderName, Headers};

use super::context::trim;

/// A header for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// `traceresponse`, of the drafts of Trace Context level 2.
    Traceresponse,
    /// `Server-Timing` with a metric `trace`, of the present draft.
    ServerTiming,
}

impl Response {
    /// The header, for a request that was given this place. Other metrics of `Server-Timing` stay.
    pub(crate) fn edit(self, place: &str, headers: Headers<'_>) -> Edit {
        match self {
            Self::Traceresponse => {
                Edit::Set(HeaderName::literal("traceresponse"), place.as_bytes().to_vec())
            }
            Self::ServerTiming => {
                let ours = [b"trace;desc=", place.as_bytes()].concat();
                let others = headers.copies("server-timing").flat_map(metrics);
                let others = others.filter(|metric| !is_trace(metric)).map(<[u8]>::to_vec);
                let all: Vec<Vec<u8>> = others.chain([ours]).collect();
                Edit::Set(HeaderName::literal("server-timing"), all.join(&b", "[..]))
            }
        }
    }
}

fn is_trace(metric: &[u8]) -> bool {
    let name = metric.split(|byte| *byte == b';').next().unwrap_or_default();
    trim(name).eq_ignore_ascii_case(b"trace")
}

/// The metrics of one line (RFC 9110 §5.6.1): a comma in a quoted string parts nothing.
fn metrics(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = line.split(move |byte| {
        let literal = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !literal => escaped = true,
            b'"' if !literal => quoted = !quoted,
            _ => {}
        }
        *byte == b',' && !quoted
    });
    parts.map(trim).filter(|metric| !metric.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter_core::HeaderMap;

    #[test]
    fn the_metrics_of_others_stay() {
        for (lines, expected) in [
            (&[][..], "trace;desc=00-1"),
            (&["db;dur=5"], "db;dur=5, trace;desc=00-1"),
            (&["db;dur=5", "cache , trace;desc=old"], "db;dur=5, cache, trace;desc=00-1"),
            (&["TRACE ;desc=\"a,b\",x"], "x, trace;desc=00-1"),
            (&[r#"a;desc="x, \", trace", b"#], r#"a;desc="x, \", trace", b, trace;desc=00-1"#),
            (&["traces, a\"open, trace"], "traces, a\"open, trace, trace;desc=00-1"),
        ] {
            let map = HeaderMap::from_pairs(lines.iter().map(|line| ("Server-Timing", line)));
            let edit = Response::ServerTiming.edit("00-1", Headers::new(&map, &[]));
            let Edit::Set(name, value) = edit else { panic!("{edit:?}") };
            assert_eq!(name.as_str(), "server-timing");
            assert_eq!(String::from_utf8(value).unwrap(), expected);
        }
    }
}
