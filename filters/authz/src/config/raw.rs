//! The document's shape.

use filter_core::config::Object;
use filter_core::headers::OwnedHeader;
use filter_core::matching::NonEmpty;
use serde::Deserialize;

use super::api_key::RawApiKeys;
use super::issuer::{RawCache, RawIssuer};
use super::policy::raw::RawPolicy;
use super::text::{ExactPrincipal, Name};
use crate::answer::RawForm;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) jwt_rules: Option<NonEmpty<Object<RawIssuer>>>,
    pub(super) jwt_cache_config: Option<Object<RawCache>>,
    pub(super) api_key_auth: Option<Object<RawApiKeys>>,
    pub(super) policies: Option<NonEmpty<Object<RawPolicy>>>,
    pub(super) compat: Option<Compat>,
    pub(super) trust_domain: Option<Name>,
    pub(super) trust_domain_aliases: Option<NonEmpty<Name>>,
    pub(super) xfcc: Option<Object<RawXfcc>>,
    pub(super) direct_remote_ip: Option<DirectRemoteIp>,
    pub(super) deny: Option<Object<RawForm>>,
    pub(super) debug_header: Option<OwnedHeader>,
}

/// Whose reading of policies holds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Compat {
    Istio,
}

/// Which proxies are believed to tell who asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawXfcc {
    pub(super) trusted_principals: NonEmpty<ExactPrincipal>,
}

/// Where the address at the other end of the connection is to be had.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum DirectRemoteIp {
    FilterState,
}

/// The items of a list that may be left out.
pub(super) fn objects<T>(list: Option<NonEmpty<Object<T>>>) -> impl Iterator<Item = T> {
    list.into_iter().flat_map(NonEmpty::into_vec).map(|object| object.0)
}
