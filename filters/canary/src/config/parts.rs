//! The parts of a key.

use filter_core::config::{Object, Whole};
use filter_core::matching::condition::{PAYLOAD, claim_of, is_claim};
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
#[serde(deny_unknown_fields)]
struct RawClaim {
    name: String,
    payload: Option<String>,
}

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
        parts.extend(self.claim.map(|Object(claim)| claim.compile()));
        parts.extend(self.header.map(|header| Ok(Part::Header(header))));
        parts.extend(self.cookie.map(|name| cookie::name("/cookie", name).map(Part::Cookie)));
        parts.extend(self.principal.map(|_| Ok(Part::Attribute(Attribute::PeerUri))));
        parts.extend(self.anonymous_cookie.map(|_| Ok(Part::AnonymousCookie)));
        parts.extend(self.client_address.map(|Object(address)| {
            address.compile().map_err(|invalid| invalid.under("/clientAddress"))
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

impl RawClaim {
    fn compile(self) -> Result<Part, Invalid> {
        let payload = self.payload.unwrap_or_else(|| PAYLOAD.to_owned());
        for (pointer, name) in [("/claim/name", &self.name), ("/claim/payload", &payload)] {
            if !is_claim(name) {
                let expected = "1 to 128 visible characters but quotes, brackets and backslashes";
                return Err(Invalid::at(pointer, expected, format!("string {name:?}")));
            }
        }
        Ok(Part::Attribute(claim_of(&payload, &self.name)))
    }
}

impl RawClientAddress {
    fn compile(self) -> Result<Part, Invalid> {
        let within = |pointer: &str, bits: Option<Whole>, usual: u64, most: u64| {
            let bits = bits.unwrap_or(Whole(usual)).0;
            u32::try_from(bits).ok().filter(|_| (1..=most).contains(&bits)).ok_or_else(|| {
                let expected = format!("a whole number from 1 to {most}");
                Invalid::at(pointer, expected, bits.to_string())
            })
        };
        Ok(Part::ClientAddress {
            ipv4_prefix: within("/ipv4Prefix", self.ipv4_prefix, 32, 32)?,
            // Who has one address of IPv6 has 2⁶⁴.
            ipv6_prefix: within("/ipv6Prefix", self.ipv6_prefix, 64, 128)?,
        })
    }
}
