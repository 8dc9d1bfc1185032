//! The formats in which headers tell a request's place in a trace, each read and written.

use filter_core::{Copies, Headers};

use super::context::Context;
use super::{TRACEPARENT, b3, jaeger};

/// Headers that tell a request's place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `traceparent` and `tracestate` (W3C Trace Context level 2).
    TraceContext,
    /// `b3`.
    B3,
    /// `x-b3-traceid` and its kin.
    B3Multi,
    /// `uber-trace-id`.
    Jaeger,
}

/// What a request says of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// Nothing that is believed.
    Nothing,
    /// That it is not to be recorded.
    Denied,
    /// Its place, in this format.
    Place(Context, Format),
}

impl Came {
    /// The place, if it tells one.
    pub(super) fn place(self) -> Option<Context> {
        match self {
            Self::Place(context, _) => Some(context),
            Self::Nothing | Self::Denied => None,
        }
    }
}

impl Format {
    /// What the headers of this format say.
    pub(super) fn extract(self, headers: Headers<'_>) -> Came {
        let place = |context| Came::Place(context, self);
        match self {
            Self::TraceContext => match headers.only(TRACEPARENT) {
                Copies::One(value) => Context::parse(value).map_or(Came::Nothing, place),
                Copies::None | Copies::Many => Came::Nothing,
            },
            Self::B3 | Self::B3Multi => match b3::extract(headers) {
                Some(b3::Said::Place(context)) => place(context),
                Some(b3::Said::Deny) => Came::Denied,
                None => Came::Nothing,
            },
            Self::Jaeger => jaeger::extract(headers).map_or(Came::Nothing, place),
        }
    }

    /// The header of this format that says no more than not to record, if it has one.
    pub(super) fn deny(self) -> Option<(&'static str, Vec<u8>)> {
        let name = match self {
            Self::B3 => b3::SINGLE,
            Self::B3Multi => b3::SAMPLED,
            Self::TraceContext | Self::Jaeger => return None,
        };
        Some((name, b"0".to_vec()))
    }

    /// The headers of this format that tell a place.
    pub(super) fn write(self, context: &Context) -> Vec<(&'static str, Vec<u8>)> {
        let one = |name, value: String| vec![(name, value.into_bytes())];
        match self {
            Self::TraceContext => one(TRACEPARENT, context.traceparent()),
            Self::B3 => one(b3::SINGLE, b3::single(context)),
            Self::B3Multi => {
                b3::multiple(context).map(|(name, value)| (name, value.into_bytes())).collect()
            }
            Self::Jaeger => one(jaeger::HEADER, jaeger::value(context)),
        }
    }
}
