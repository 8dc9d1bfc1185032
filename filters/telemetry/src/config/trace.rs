//! From `traceContext` in the document to what becomes of traces, or a refusal.

use filter_core::config::{Object, Whole};
use filter_core::matching::{IpBlock, NonEmpty, StringPattern};
use filter_core::{Invalid, Metrics};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::trace::format::Format;
use crate::trace::respond::Response;
use crate::trace::sampler::{Continued, Ratio, Sampler};
use crate::trace::sender::{Others, Source, Trust};
use crate::trace::{Role, Tracing};

use super::baggage::{RawBaggage, limits};
use super::otlp::RawSpans;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawTraceContext {
    mode: Mode,
    parent_id: Option<ParentId>,
    trusted: Option<NonEmpty<Object<RawSource>>>,
    untrusted: Option<Untrusted>,
    sampled: Option<Sampled>,
    random_sampling_percentage: Option<Percentage>,
    extract: Option<NonEmpty<Propagator>>,
    inject: Option<NonEmpty<Propagator>>,
    respond: Option<NonEmpty<Respond>>,
    tracestate: Option<Object<RawTracestate>>,
    baggage: Option<Object<RawBaggage>>,
    otlp: Option<Object<RawSpans>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Mode {
    Pass,
    Sanitise,
    Originate,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum ParentId {
    Renew,
    Keep,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Untrusted {
    Restart,
    Continue,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Sampled {
    Keep,
    Never,
    Always,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Propagator {
    TraceContext,
    B3,
    B3Multi,
    Jaeger,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Respond {
    Traceresponse,
    ServerTiming,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawSource {
    principals: Option<NonEmpty<Principal>>,
    remote_ip_blocks: Option<NonEmpty<IpBlock>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawTracestate {
    max_length: Whole,
}

/// A pattern over a SPIFFE identity, which is written without its scheme as in Istio.
struct Principal(StringPattern);

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = &"`abc`, `abc*`, `*abc` or `*`, without `spiffe://`";
        let pattern = StringPattern::parse(&text).filter(|_| !text.starts_with("spiffe://"));
        pattern.map(Self).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

struct Percentage(Ratio);

impl<'de> Deserialize<'de> for Percentage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        let ratio = Ratio::percent(percent);
        let expected = &"a number from 0 to 100";
        ratio.map(Self).ok_or_else(|| D::Error::invalid_value(Unexpected::Float(percent), expected))
    }
}

/// What every vendor should (W3C Trace Context level 2 §3.3.3).
const TRACESTATE: u64 = 512;

impl RawTraceContext {
    /// # Errors
    /// The first field that goes against another, by its pointer in `traceContext`.
    pub(super) fn compile(self, metrics: &mut Metrics) -> Result<Tracing, Invalid> {
        self.consistent()?;
        let continued = match self.sampled {
            None | Some(Sampled::Keep) => Continued::Keep,
            Some(Sampled::Never) => Continued::Never,
            Some(Sampled::Always) => Continued::Always,
        };
        let begun = self.random_sampling_percentage.map(|Percentage(ratio)| ratio);
        let role = match (self.mode, self.parent_id) {
            (Mode::Pass, _) => Role::Bystander,
            (Mode::Sanitise, Some(ParentId::Keep)) => Role::Cleaner,
            (Mode::Sanitise | Mode::Originate, _) => Role::Span(Sampler { continued, begun }),
        };
        let formats = |list: Option<NonEmpty<Propagator>>| {
            let list = list.map_or_else(|| vec![Propagator::TraceContext], NonEmpty::into_vec);
            list.into_iter().map(Propagator::format).collect()
        };
        let trust = trust(self.trusted, self.untrusted)?;
        let room = match self.tracestate {
            Some(Object(raw)) if raw.max_length.0 < TRACESTATE => {
                return Err(too_small("/tracestate/maxLength", TRACESTATE, raw.max_length.0));
            }
            room => room.map(|Object(raw)| usize::try_from(raw.max_length.0).unwrap_or(usize::MAX)),
        };
        let (limits, publish) = limits(self.baggage.map(|Object(raw)| raw))?;
        let respond = self.respond.map(NonEmpty::into_vec).unwrap_or_default();
        let respond = respond.into_iter().map(|respond| match respond {
            Respond::Traceresponse => Response::Traceresponse,
            Respond::ServerTiming => Response::ServerTiming,
        });
        let exporter = self.otlp.map(|Object(raw)| raw.compile(metrics)).transpose();
        let exporter = exporter.map_err(|invalid| invalid.under("/otlp"))?;
        Ok(Tracing {
            role,
            trust,
            extract: formats(self.extract),
            inject: formats(self.inject),
            room,
            limits,
            publish,
            respond: respond.collect(),
            exporter,
        })
    }

    /// Refuses what has no meaning beside the rest.
    fn consistent(&self) -> Result<(), Invalid> {
        let refused = |field: &str, expected: &str| Err(Invalid::at(field, expected, "a value"));
        let baggage = self.baggage.as_ref().map(|Object(baggage)| baggage);
        let others = [
            ("/trusted", self.trusted.is_some()),
            ("/untrusted", self.untrusted.is_some()),
            ("/extract", self.extract.is_some()),
            ("/inject", self.inject.is_some()),
            ("/respond", self.respond.is_some()),
            ("/tracestate", self.tracestate.is_some()),
            ("/otlp", self.otlp.is_some()),
        ];
        if self.mode == Mode::Pass {
            let fields =
                others.into_iter().chain(baggage.into_iter().flat_map(RawBaggage::forwarded));
            for (field, given) in fields {
                if given {
                    return refused(field, "no such field, as mode `pass` changes nothing");
                }
            }
        }
        if self.mode != Mode::Sanitise && self.parent_id.is_some() {
            return refused("/parentId", "no such field unless the mode is `sanitise`");
        }
        if self.mode != Mode::Originate {
            let expected = "no such field unless the mode is `originate`";
            if self.sampled.is_some() {
                return refused("/sampled", expected);
            }
            if self.random_sampling_percentage.is_some() {
                return refused("/randomSamplingPercentage", expected);
            }
            if self.untrusted == Some(Untrusted::Continue) {
                let expected = "`restart`, as only mode `originate` decides what is recorded";
                return Err(Invalid::at("/untrusted", expected, "`continue`"));
            }
        }
        if self.mode == Mode::Originate && self.random_sampling_percentage.is_none() {
            let expected = "a field `randomSamplingPercentage`, as traces begin here";
            return Err(Invalid::at("", expected, "none"));
        }
        let spans = [("/respond", self.respond.is_some()), ("/otlp", self.otlp.is_some())];
        for (field, given) in spans {
            if self.parent_id == Some(ParentId::Keep) && given {
                let expected = "no such field, as with `keep` this hop has no span to tell";
                return refused(field, expected);
            }
        }
        Ok(())
    }
}

impl Propagator {
    fn format(self) -> Format {
        match self {
            Self::TraceContext => Format::TraceContext,
            Self::B3 => Format::B3,
            Self::B3Multi => Format::B3Multi,
            Self::Jaeger => Format::Jaeger,
        }
    }
}

fn trust(
    trusted: Option<NonEmpty<Object<RawSource>>>,
    untrusted: Option<Untrusted>,
) -> Result<Option<Trust>, Invalid> {
    if trusted.is_none() && untrusted.is_none() {
        return Ok(None);
    }
    let mut sources = Vec::new();
    let raw = trusted.map(NonEmpty::into_vec).unwrap_or_default();
    for (position, Object(raw)) in raw.into_iter().enumerate() {
        if raw.principals.is_none() && raw.remote_ip_blocks.is_none() {
            let expected = "`principals` or `remoteIpBlocks`";
            return Err(Invalid::at(format!("/trusted/{position}"), expected, "neither"));
        }
        sources.push(Source {
            principals: raw.principals.map(|list| {
                list.into_vec().into_iter().map(|Principal(pattern)| pattern).collect()
            }),
            remote_ip_blocks: raw.remote_ip_blocks.map(NonEmpty::into_vec),
        });
    }
    let others = match untrusted {
        None | Some(Untrusted::Restart) => Others::Restart,
        Some(Untrusted::Continue) => Others::Continue,
    };
    Ok(Some(Trust { sources, others }))
}

/// A refusal of a limit below what others count on.
pub(super) fn too_small(pointer: &str, least: u64, given: u64) -> Invalid {
    Invalid::at(pointer, format!("at least {least}"), given.to_string())
}
