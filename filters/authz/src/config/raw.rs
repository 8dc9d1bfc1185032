//! The document's shape.

use filter_core::Rule as RuleName;
use filter_core::config::Object;
use filter_core::matching::{NonEmpty, Operation, StringPattern};
use serde::Deserialize;

use super::issuer::{RawCache, RawIssuer};
use super::text::text;
use crate::policy::Attribute;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) jwt_rules: Option<NonEmpty<Object<RawIssuer>>>,
    pub(super) jwt_cache_config: Option<Object<RawCache>>,
    pub(super) policies: Option<NonEmpty<Object<RawPolicy>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawPolicy {
    pub(super) name: RuleName,
    #[serde(default)]
    pub(super) action: Action,
    pub(super) rules: Option<NonEmpty<Object<RawRule>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Action {
    #[default]
    Allow,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawRule {
    pub(super) from: Option<NonEmpty<Object<RawFrom>>>,
    pub(super) to: Option<NonEmpty<Object<RawTo>>>,
    pub(super) when: Option<NonEmpty<Object<RawCondition>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawFrom {
    pub(super) source: Object<RawSource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) request_principals: Option<NonEmpty<StringPattern>>,
    pub(super) not_request_principals: Option<NonEmpty<StringPattern>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawTo {
    pub(super) operation: Object<Operation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawCondition {
    pub(super) key: Key,
    pub(super) values: Option<NonEmpty<StringPattern>>,
    pub(super) not_values: Option<NonEmpty<StringPattern>>,
}

/// The items of a list that may be left out.
pub(super) fn objects<T>(list: Option<NonEmpty<Object<T>>>) -> impl Iterator<Item = T> {
    list.into_iter().flat_map(NonEmpty::into_vec).map(|object| object.0)
}

text!(
    Key(Attribute),
    Attribute::parse,
    "`request.auth.claims[NAME]`, `request.auth.principal`, `request.auth.audiences` or `request.auth.presenter`"
);
