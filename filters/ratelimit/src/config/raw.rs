//! The document's shape.

use filter_core::config::{Object, Span, Whole};
use filter_core::headers::OwnedHeader;
use filter_core::matching::part::RawClaim;
use filter_core::matching::{NonEmpty, Operation, RawCondition};
use filter_core::{HeaderName, Rule};
use serde::Deserialize;

use super::status::StatusPattern;
use crate::key::MissingKey;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object with `rules`")]
pub(super) struct Raw {
    pub(super) rules: NonEmpty<Object<RawRule>>,
    pub(super) replicas: Option<Whole>,
    #[serde(default)]
    pub(super) limit_headers: LimitHeaders,
    pub(super) rule_header: Option<OwnedHeader>,
    pub(super) reply: Option<Object<RawReply>>,
}

/// Which fields tell clients how much is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LimitHeaders {
    /// None.
    #[default]
    None,
    /// `RateLimit-Policy` and `RateLimit`.
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    XRateLimit,
    /// All of them.
    Both,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) name: Rule,
    pub(super) r#match: Option<Operation>,
    pub(super) when: Option<NonEmpty<Object<RawCondition>>>,
    pub(super) exempt: Option<NonEmpty<Object<RawCondition>>>,
    pub(super) key: Option<NonEmpty<Object<RawPart>>>,
    pub(super) missing_key: Option<MissingKey>,
    pub(super) token_bucket: Option<Object<RawBucket>>,
    pub(super) limits: Option<NonEmpty<String>>,
    pub(super) concurrency: Option<Object<RawConcurrency>>,
    pub(super) overrides: Option<NonEmpty<Object<RawOverride>>>,
    pub(super) limit_from: Option<Object<RawLimitFrom>>,
    pub(super) cost: Option<Object<RawCost>>,
    pub(super) settle: Option<Object<RawSettle>>,
    pub(super) penalty: Option<Span>,
    #[serde(default)]
    pub(super) mode: Mode,
    pub(super) enforced_percent: Option<Whole>,
    #[serde(default)]
    pub(super) contended: Contended,
    pub(super) reply: Option<Object<RawReply>>,
}

/// Whether a rule may refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Mode {
    #[default]
    Enforce,
    Shadow,
}

/// What becomes of a request whose bucket others keep changing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Contended {
    /// It is refused.
    #[default]
    Deny,
    /// It goes through, and is not counted.
    Allow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawPart {
    pub(super) header: Option<HeaderName>,
    pub(super) client_address: Option<Object<RawClientAddress>>,
    pub(super) cookie: Option<String>,
    pub(super) query: Option<String>,
    pub(super) path: Option<Object<Nothing>>,
    pub(super) path_template: Option<String>,
    pub(super) method: Option<Object<Nothing>>,
    pub(super) route: Option<Object<Nothing>>,
    pub(super) principal: Option<Object<Nothing>>,
    pub(super) claim: Option<Object<RawClaim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawClientAddress {
    pub(super) trusted_hops: Option<Whole>,
    pub(super) ipv4_prefix: Option<Whole>,
    pub(super) ipv6_prefix: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawBucket {
    pub(super) max_tokens: Whole,
    pub(super) tokens_per_fill: Option<Whole>,
    pub(super) fill_interval: Span,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawConcurrency {
    pub(super) max_requests: Whole,
    pub(super) lease_duration: Option<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawOverride {
    pub(super) key: NonEmpty<String>,
    pub(super) token_bucket: Option<Object<RawBucket>>,
    pub(super) limits: Option<NonEmpty<String>>,
    pub(super) concurrency: Option<Object<RawConcurrency>>,
    #[serde(default)]
    pub(super) unlimited: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawLimitFrom {
    pub(super) header: Option<HeaderName>,
    pub(super) claim: Option<Object<RawClaim>>,
    pub(super) max: Whole,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawCost {
    pub(super) tokens: Option<Whole>,
    pub(super) header: Option<HeaderName>,
    pub(super) max: Option<Whole>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawSettle {
    pub(super) count_only: Option<NonEmpty<StatusPattern>>,
    pub(super) refund: Option<NonEmpty<StatusPattern>>,
    pub(super) cost_header: Option<HeaderName>,
    pub(super) max_cost: Option<Whole>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawReply {
    pub(super) status: Option<Whole>,
    pub(super) headers: Option<NonEmpty<Object<RawHeader>>>,
    pub(super) body: Option<String>,
    pub(super) content_type: Option<String>,
    #[serde(default)]
    pub(super) problem: bool,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHeader {
    pub(super) name: OwnedHeader,
    pub(super) value: String,
}
