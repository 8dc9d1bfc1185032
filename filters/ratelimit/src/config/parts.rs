//! The parts of a key.

use filter_core::config::{Object, Whole};
use filter_core::matching::PathTemplate;
use filter_core::matching::condition::{PAYLOAD, claim_of, is_claim};
use filter_core::{Attribute, HeaderName, Invalid};

use super::raw::{RawClaim, RawClientAddress, RawPart};
use crate::key::{Client, Part};

impl RawPart {
    /// The part, if exactly one is written.
    pub(super) fn compile(self) -> Result<Part, Invalid> {
        let text = |pointer: &str, text: String| {
            if text.is_empty() {
                return Err(Invalid::at(pointer, "a name", "an empty string"));
            }
            Ok(text)
        };
        let template = |text: String| {
            let parsed = PathTemplate::parse(&text).filter(|_| text.contains('{'));
            parsed.map(Part::Variables).ok_or_else(|| {
                let expected = "a path template with a variable, like `/users/{id}`";
                Invalid::at("/pathTemplate", expected, format!("string {text:?}"))
            })
        };
        let mut parts: Vec<Result<Part, Invalid>> = Vec::new();
        parts.extend(self.header.map(|header| Ok(Part::Header(header))));
        parts.extend(self.client_address.map(|Object(address)| {
            address.compile().map(Part::Client).map_err(|invalid| invalid.under("/clientAddress"))
        }));
        parts.extend(self.cookie.map(|name| text("/cookie", name).map(Part::Cookie)));
        parts.extend(self.query.map(|name| text("/query", name).map(Part::Query)));
        parts.extend(self.path.map(|_| Ok(Part::Path)));
        parts.extend(self.path_template.map(template));
        parts.extend(self.method.map(|_| Ok(Part::Method)));
        parts.extend(self.route.map(|_| Ok(Part::Attribute(Attribute::RouteName))));
        parts.extend(self.principal.map(|_| Ok(Part::Attribute(Attribute::PeerUri))));
        parts.extend(self.claim.map(|Object(claim)| claim.compile()));
        let count = parts.len();
        match parts.pop() {
            Some(part) if count == 1 => part,
            _ => {
                let expected = "one of `header`, `clientAddress`, `cookie`, `query`, `path`, \
                                `pathTemplate`, `method`, `route`, `principal` and `claim`";
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
    fn compile(self) -> Result<Client, Invalid> {
        let within = |pointer: &str, bits: Option<Whole>, usual: u64, most: u64| {
            let bits = bits.unwrap_or(Whole(usual)).0;
            u32::try_from(bits).ok().filter(|_| (1..=most).contains(&bits)).ok_or_else(|| {
                let expected = format!("a whole number from 1 to {most}");
                Invalid::at(pointer, expected, bits.to_string())
            })
        };
        let hops = self.trusted_hops;
        let hops = hops.map(|hops| within("/trustedHops", Some(hops), 1, 100)).transpose()?;
        Ok(Client {
            trusted_hops: hops.and_then(|hops| usize::try_from(hops).ok()),
            ipv4_prefix: within("/ipv4Prefix", self.ipv4_prefix, 32, 32)?,
            // Who has one address of IPv6 has 2⁶⁴.
            ipv6_prefix: within("/ipv6Prefix", self.ipv6_prefix, 64, 128)?,
        })
    }
}

/// The part that one of `header` and `claim` names.
pub(super) fn header_or_claim(
    header: Option<HeaderName>,
    claim: Option<Object<RawClaim>>,
) -> Result<Part, Invalid> {
    match (header, claim) {
        (Some(header), None) => Ok(Part::Header(header)),
        (None, Some(Object(claim))) => claim.compile(),
        (found, _) => {
            let found = if found.is_some() { "both" } else { "neither" };
            Err(Invalid::at("", "either `header` or `claim`", found))
        }
    }
}
