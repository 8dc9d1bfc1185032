//! Labels besides route, method and outcome: which there are, where their values are from, and which they can be.

use filter_core::config::{Object, Whole};
use filter_core::matching::NonEmpty;
use filter_core::matching::part::RawClaim;
use filter_core::metrics::LabelValue;
use filter_core::{HeaderName, Invalid};
use serde::Deserialize;

use super::baggage::Key;
use super::room;
use crate::end::{Detail, Shown};
use crate::label::{Bound, Label};
use crate::learned::Table;
use crate::source::Source;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawLabels {
    #[serde(default)]
    status_class: bool,
    status_codes: Option<NonEmpty<Whole>>,
    #[serde(default)]
    error_type: bool,
    #[serde(default)]
    protocol: bool,
    tenant: Option<Object<RawTenant>>,
    caller_workload: Option<Object<RawBound>>,
    canary_variant: Option<Object<RawVariant>>,
    upstream_revision: Option<Object<RawBound>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawTenant {
    header: Option<HeaderName>,
    claim: Option<Object<RawClaim>>,
    #[serde(default)]
    principal: bool,
    baggage: Option<Key>,
    allowed: Option<NonEmpty<String>>,
    groups: Option<Whole>,
    max: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawVariant {
    header: Option<HeaderName>,
    rollout: Option<String>,
    allowed: Option<NonEmpty<String>>,
    max: Option<Whole>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawBound {
    allowed: Option<NonEmpty<String>>,
    groups: Option<Whole>,
    max: Option<Whole>,
}

/// A label whose values come with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Protocol,
    Tenant,
    CallerWorkload,
    CanaryVariant,
    UpstreamRevision,
}

impl Named {
    /// Its name in metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Protocol => "network_protocol_version",
            Self::Tenant => "tenant",
            Self::CallerWorkload => "caller_workload",
            Self::CanaryVariant => "canary_version",
            Self::UpstreamRevision => "upstream_revision",
        }
    }

    /// Its name in filter state.
    fn state(self) -> &'static str {
        match self {
            Self::Protocol => "request_protocol",
            Self::Tenant => "request_tenant",
            Self::CallerWorkload => "request_caller_workload",
            Self::CanaryVariant => "request_canary_version",
            Self::UpstreamRevision => "request_upstream_revision",
        }
    }
}

/// The most groups that values are hashed into.
const MAX_GROUPS: u64 = 256;

impl RawLabels {
    /// The labels, and what is shown of ends.
    pub(super) fn compile(self) -> Result<(Vec<Label>, Detail), Invalid> {
        let mut labels = Vec::new();
        if self.protocol {
            let versions = ["1.0", "1.1", "2", "3"].iter().filter_map(|v| LabelValue::parse(v));
            let bound = Bound::allowed(versions.collect());
            labels.push(Label::new(
                (Named::Protocol.label(), Named::Protocol.state()),
                Source::Protocol,
                bound,
            ));
        }
        let tenant = self.tenant.map(|Object(raw)| {
            let bound = RawBound { allowed: raw.allowed, groups: raw.groups, max: raw.max };
            let source = tenant(raw.header, raw.claim, raw.principal, raw.baggage);
            ("/tenant", Named::Tenant, source, bound)
        });
        let caller = self.caller_workload.map(|Object(bound)| {
            ("/callerWorkload", Named::CallerWorkload, Ok(Source::Workload), bound)
        });
        let variant = self.canary_variant.map(|Object(raw)| {
            let source = match (raw.header, raw.rollout) {
                (Some(header), None) => Ok(Source::Header(header)),
                (None, Some(rollout)) => Ok(Source::Rollout(rollout)),
                (Some(_), Some(_)) => Err(Invalid::at("", "`header` or `rollout`", "both")),
                (None, None) => Err(Invalid::at("", "`header` or `rollout`", "none")),
            };
            let bound = RawBound { allowed: raw.allowed, groups: None, max: raw.max };
            ("/canaryVariant", Named::CanaryVariant, source, bound)
        });
        let revision = self.upstream_revision.map(|Object(bound)| {
            ("/upstreamRevision", Named::UpstreamRevision, Ok(Source::Revision), bound)
        });
        for (pointer, named, source, bound) in
            [tenant, caller, variant, revision].into_iter().flatten()
        {
            let label = source.and_then(|source| {
                let bound = bound.compile(named, &source)?;
                Ok(Label::new((named.label(), named.state()), source, bound))
            });
            labels.push(label.map_err(|invalid| invalid.under(pointer))?);
        }
        let codes = self.status_codes.map(codes).transpose()?;
        let shown = |wanted: bool| wanted.then_some(Shown);
        let (class, error) = (shown(self.status_class), shown(self.error_type));
        Ok((labels, Detail { class, codes, error, expected: None }))
    }
}

fn codes(codes: NonEmpty<Whole>) -> Result<Vec<u16>, Invalid> {
    let mut known = Vec::new();
    for (position, code) in codes.iter().enumerate() {
        let code = u16::try_from(code.0).ok().filter(|code| (100..600).contains(code));
        let code = code.filter(|code| !known.contains(code)).ok_or_else(|| {
            let pointer = format!("/statusCodes/{position}");
            let found = codes.iter().nth(position).map(|code| code.0.to_string());
            Invalid::at(pointer, "a status from 100 to 599, once", found.unwrap_or_default())
        })?;
        known.push(code);
    }
    Ok(known)
}

fn tenant(
    header: Option<HeaderName>,
    claim: Option<Object<RawClaim>>,
    principal: bool,
    baggage: Option<Key>,
) -> Result<Source, Invalid> {
    let expected = "one of `header`, `claim`, `principal` and `baggage`";
    match (header, claim, principal, baggage) {
        (Some(header), None, false, None) => Ok(Source::Header(header)),
        (None, Some(Object(claim)), false, None) => {
            claim.compile().map(Source::Claim).map_err(|invalid| invalid.under("/claim"))
        }
        (None, None, true, None) => Ok(Source::Principal),
        (None, None, false, Some(Key(key))) => Ok(Source::Baggage(key.into_bytes().into())),
        (None, None, false, None) => Err(Invalid::at("", expected, "none")),
        _ => Err(Invalid::at("", expected, "more than one")),
    }
}

impl RawBound {
    fn compile(self, named: Named, source: &Source) -> Result<Bound, Invalid> {
        match (self.allowed, self.groups, self.max) {
            (Some(allowed), None, None) => {
                let mut values: Vec<LabelValue> = Vec::new();
                for (position, text) in allowed.iter().enumerate() {
                    let reserved = matches!(text.as_str(), "_other" | "unknown");
                    let value = LabelValue::parse(text).filter(|_| !reserved);
                    let value = value.filter(|value| !values.contains(value)).ok_or_else(|| {
                        let expected = "a value of 1 to 128 bytes, once, without control \
                                        characters, `;` or `=`, other than `_other` and `unknown`";
                        Invalid::at(format!("/allowed/{position}"), expected, format!("{text:?}"))
                    })?;
                    values.push(value);
                }
                Ok(Bound::allowed(values))
            }
            (None, Some(groups), None) if (2..=MAX_GROUPS).contains(&groups.0) => {
                Ok(Bound::Groups(groups.0))
            }
            (None, Some(groups), None) => {
                let expected = format!("a number from 2 to {MAX_GROUPS}");
                Err(Invalid::at("/groups", expected, groups.0.to_string()))
            }
            (None, None, Some(max)) => {
                let room = room(max).map_err(|invalid| invalid.under("/max"))?;
                Ok(Bound::Learned(Table::new(named.label(), room, &source.describe())))
            }
            (None, None, None) => {
                Err(Invalid::at("", "a bound: `allowed`, `groups` or `max`", "none"))
            }
            _ => Err(Invalid::at("", "one bound: `allowed`, `groups` or `max`", "more than one")),
        }
    }
}
