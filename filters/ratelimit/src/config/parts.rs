//! The parts of a key.

use filter_core::config::{Object, Whole};
use filter_core::matching::PathTemplate;
use filter_core::matching::part::{Prefixes, RawClaim};
use filter_core::{Attribute, HeaderName, Invalid};

use super::raw::{RawClientAddress, RawPart};
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
        parts.extend(self.claim.map(|Object(raw)| claim(raw)));
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

impl RawClientAddress {
    fn compile(self) -> Result<Client, Invalid> {
        let hops = |Whole(hops): Whole| {
            usize::try_from(hops).ok().filter(|hops| (1..=100).contains(hops)).ok_or_else(|| {
                Invalid::at("/trustedHops", "a whole number from 1 to 100", hops.to_string())
            })
        };
        Ok(Client {
            trusted_hops: self.trusted_hops.map(hops).transpose()?,
            prefixes: Prefixes::compile(self.ipv4_prefix, self.ipv6_prefix)?,
        })
    }
}

/// A claim as a part, or a refusal of it.
fn claim(raw: RawClaim) -> Result<Part, Invalid> {
    raw.compile().map(Part::Attribute).map_err(|invalid| invalid.under("/claim"))
}

/// The part that one of `header` and `claim` names.
pub(super) fn header_or_claim(
    header: Option<HeaderName>,
    claim: Option<Object<RawClaim>>,
) -> Result<Part, Invalid> {
    match (header, claim) {
        (Some(header), None) => Ok(Part::Header(header)),
        (None, Some(Object(raw))) => self::claim(raw),
        (found, _) => {
            let found = if found.is_some() { "both" } else { "neither" };
            Err(Invalid::at("", "either `header` or `claim`", found))
        }
    }
}
