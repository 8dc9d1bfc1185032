//! The shape of one rule.

use filter_core::config::{Object, Span, Whole};
use filter_core::headers::OwnedHeader;
use filter_core::matching::NonEmpty;
use serde::Deserialize;

use super::super::text::{CookieName, HeaderPrefix, Name, ReadHeader, text};
use crate::token::{Algorithm, ClaimPath};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawIssuer {
    pub(super) issuer: Name,
    pub(super) audiences: Option<NonEmpty<Name>>,
    pub(super) jwks: Option<String>,
    pub(super) jwks_uri: Option<String>,
    pub(super) jwks_cluster: Option<Name>,
    pub(super) timeout: Option<Span>,
    pub(super) cache_duration: Option<Span>,
    pub(super) max_stale: Option<Span>,
    pub(super) from_headers: Option<NonEmpty<Object<RawHeader>>>,
    pub(super) from_params: Option<NonEmpty<Name>>,
    pub(super) from_cookies: Option<NonEmpty<CookieName>>,
    pub(super) output_payload_to_header: Option<OwnedHeader>,
    pub(super) output_claim_to_headers: Option<NonEmpty<Object<RawClaimHeader>>>,
    #[serde(default)]
    pub(super) forward_original_token: bool,
    pub(super) space_delimited_claims: Option<NonEmpty<Name>>,
    pub(super) algorithms: Option<NonEmpty<AlgorithmName>>,
    pub(super) clock_skew: Option<Span>,
    pub(super) max_lifetime: Option<Span>,
    #[serde(default)]
    pub(super) require_certificate_binding: bool,
    pub(super) dpop: Option<Object<RawDpop>>,
    pub(super) revoked: Option<NonEmpty<Object<RawRevocation>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawHeader {
    pub(super) name: ReadHeader,
    pub(super) prefix: Option<HeaderPrefix>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawClaimHeader {
    pub(super) header: OwnedHeader,
    pub(super) claim: DottedClaim,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawDpop {
    #[serde(default)]
    pub(super) required: bool,
    pub(super) max_age: Option<Span>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawRevocation {
    pub(super) jti: Option<Name>,
    pub(super) sub: Option<Name>,
    pub(super) issued_before: Option<Whole>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::config) struct RawCache {
    pub(super) jwt_cache_size: Option<Whole>,
    pub(super) jwt_max_token_size: Option<Whole>,
}

text!(DottedClaim(ClaimPath), ClaimPath::dotted, "a claim, nested ones as `outer.inner`");
text!(
    AlgorithmName(Algorithm),
    Algorithm::named,
    "an algorithm that signs, like `RS256`, `ES256` or `EdDSA`"
);
