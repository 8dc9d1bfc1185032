//! The document's shape.

use filter_core::Rule as RuleName;
use filter_core::config::Object;
use filter_core::headers::OwnedHeader;
use filter_core::matching::{NonEmpty, Operation, StringPattern};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::policy::Attribute;
use crate::token::ClaimPath;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) jwt_rules: Option<NonEmpty<Object<RawIssuer>>>,
    pub(super) policies: Option<NonEmpty<Object<RawPolicy>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub(super) issuer: Name,
    pub(super) audiences: Option<NonEmpty<Name>>,
    pub(super) jwks: String,
    pub(super) output_claim_to_headers: Option<NonEmpty<Object<RawClaimHeader>>>,
    #[serde(default)]
    pub(super) forward_original_token: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawClaimHeader {
    pub(super) header: OwnedHeader,
    pub(super) claim: DottedClaim,
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

/// Declares a string that must say something: what it is read as, how, and what is expected.
macro_rules! text {
    ($name:ident($inner:ty), $parse:expr, $expected:expr) => {
        #[derive(Debug)]
        pub(super) struct $name(pub(super) $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$inner> = $parse;
                parse(&text)
                    .map(Self)
                    .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &$expected))
            }
        }
    };
}

text!(
    Name(String),
    |text| (!text.is_empty()).then(|| text.to_owned()),
    "a string that is not empty"
);
text!(DottedClaim(ClaimPath), ClaimPath::dotted, "a claim, nested ones as `outer.inner`");
text!(
    Key(Attribute),
    Attribute::parse,
    "`request.auth.claims[NAME]`, `request.auth.principal`, `request.auth.audiences` or `request.auth.presenter`"
);
