//! The parts of a key.

use filter_core::config::{Object, Whole};
use filter_core::matching::part::{Prefixes, RawClaim};
use filter_core::{Attribute, HeaderName, Invalid};
use serde::Deserialize;

use super::cookie;
use crate::key::Part;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawPart {
    claim: Option<Object<RawClaim>>,
    header: Option<HeaderName>,
    cookie: Option<String>,
    principal: Option<Object<Nothing>>,
    anonymous_cookie: Option<Object<Nothing>>,
    client_address: Option<Object<RawClientAddress>>,
    trace_id: Option<Object<Nothing>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawClientAddress {
    ipv4_prefix: Option<Whole>,
    ipv6_prefix: Option<Whole>,
}

impl RawPart {
    /// The part, if exactly one is written.
    pub(super) fn compile(self) -> Result<Part, Invalid> {
        let mut parts: Vec<Result<Part, Invalid>> = Vec::new();
        parts.extend(self.claim.map(|Object(claim)| {
            claim.compile().map(Part::Attribute).map_err(|invalid| invalid.under("/claim"))
        }));
        parts.extend(self.header.map(|header| Ok(Part::Header(header))));
        parts.extend(self.cookie.map(|name| cookie::name("/cookie", name).map(Part::Cookie)));
        parts.extend(self.principal.map(|_| Ok(Part::Attribute(Attribute::PeerUri))));
        parts.extend(self.anonymous_cookie.map(|_| Ok(Part::AnonymousCookie)));
        parts.extend(self.client_address.map(|Object(address)| {
            let prefixes = Prefixes::compile(address.ipv4_prefix, address.ipv6_prefix);
            prefixes.map(Part::ClientAddress).map_err(|invalid| invalid.under("/clientAddress"))
        }));
        parts.extend(self.trace_id.map(|_| Ok(Part::TraceId)));
        let count = parts.len();
        match parts.pop() {
            Some(part) if count == 1 => part,
            _ => {
                let expected = "one of `claim`, `header`, `cookie`, `principal`, \
                                `anonymousCookie`, `clientAddress` and `traceId`";
                Err(Invalid::at("", expected, count.to_string()))
            }
        }
    }
}
