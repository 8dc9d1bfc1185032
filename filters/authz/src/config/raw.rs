//! The document's shape.

use filter_core::config::Object;
use filter_core::headers::OwnedHeader;
use filter_core::matching::NonEmpty;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::policy::raw::RawPolicy;
use crate::answer::RawForm;
use crate::token::ClaimPath;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) jwt_rules: Option<NonEmpty<Object<RawIssuer>>>,
    pub(super) policies: Option<NonEmpty<Object<RawPolicy>>>,
    pub(super) compat: Option<Compat>,
    pub(super) trust_domain: Option<Name>,
    pub(super) trust_domain_aliases: Option<NonEmpty<Name>>,
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

/// Where the address at the other end of the connection is to be had.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum DirectRemoteIp {
    FilterState,
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
