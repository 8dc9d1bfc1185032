//! Parts of requests that several filters make keys of, as configurations write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

use super::condition::{PAYLOAD, claim_of, is_claim};
use crate::config::Whole;
use crate::{Attribute, Invalid};

/// A claim of a token that `jwt_authn` verified: its name, and the `payload_in_metadata` of that filter if it is not
/// `payload`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawClaim {
    name: String,
    payload: Option<String>,
}

impl RawClaim {
    /// The attribute that holds it. It lives as long as the module, so configurations alone may ask for this.
    ///
    /// # Errors
    /// When a name is none that the proxy can be asked about.
    pub fn compile(self) -> Result<Attribute, Invalid> {
        let payload = self.payload.unwrap_or_else(|| PAYLOAD.to_owned());
        for (pointer, name) in [("/name", &self.name), ("/payload", &payload)] {
            if !is_claim(name) {
                let expected = "1 to 128 visible characters but quotes, brackets and backslashes";
                return Err(Invalid::at(pointer, expected, format!("string {name:?}")));
            }
        }
        Ok(claim_of(&payload, &self.name))
    }
}

/// How many bits of a client's address tell clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    ipv4: u32,
    ipv6: u32,
}

impl Default for Prefixes {
    fn default() -> Self {
        // Who has one address of IPv6 has 2⁶⁴.
        Self { ipv4: 32, ipv6: 64 }
    }
}

impl Prefixes {
    /// What `ipv4Prefix` and `ipv6Prefix` say, in bits.
    ///
    /// # Errors
    /// When an address has not so many, or none are left.
    pub fn compile(ipv4: Option<Whole>, ipv6: Option<Whole>) -> Result<Self, Invalid> {
        let within = |pointer: &str, bits: Option<Whole>, usual: u32, most: u32| {
            let Some(Whole(bits)) = bits else { return Ok(usual) };
            u32::try_from(bits).ok().filter(|bits| (1..=most).contains(bits)).ok_or_else(|| {
                let expected = format!("a whole number from 1 to {most}");
                Invalid::at(pointer, expected, bits.to_string())
            })
        };
        let usual = Self::default();
        Ok(Self {
            ipv4: within("/ipv4Prefix", ipv4, usual.ipv4, 32)?,
            ipv6: within("/ipv6Prefix", ipv6, usual.ipv6, 128)?,
        })
    }

    /// The address with zeroes behind its prefix.
    #[must_use]
    pub fn masked(self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.ipv4)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.ipv6)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_where_jwt_authn_leaves_it() {
        let compiled = |json: &str| {
            serde_json::from_str::<RawClaim>(json).unwrap().compile().map_err(|error| error.pointer)
        };
        assert_eq!(compiled(r#"{"name":"sub"}"#), Ok(claim_of("payload", "sub")));
        assert_eq!(compiled(r#"{"name":"sub","payload":"p"}"#), Ok(claim_of("p", "sub")));
        assert_eq!(compiled(r#"{"name":"a'b"}"#), Err("/name".to_owned()));
        assert_eq!(compiled(r#"{"name":"a","payload":""}"#), Err("/payload".to_owned()));
    }

    #[test]
    fn an_address_is_kept_as_far_as_its_prefix_goes() {
        let masked = |ipv4: u64, ipv6: u64, address: &str| {
            let prefixes = Prefixes::compile(Some(Whole(ipv4)), Some(Whole(ipv6))).unwrap();
            prefixes.masked(address.parse().unwrap()).to_string()
        };
        assert_eq!(masked(32, 64, "10.1.2.3"), "10.1.2.3");
        assert_eq!(masked(24, 64, "10.1.2.3"), "10.1.2.0");
        assert_eq!(masked(1, 64, "193.1.2.3"), "128.0.0.0");
        assert_eq!(masked(32, 128, "2001:db8::1:2"), "2001:db8::1:2");
        assert_eq!(masked(32, 48, "2001:db8:1:2::3"), "2001:db8:1::");
        let usual = Prefixes::compile(None, None).unwrap();
        assert_eq!(usual.masked("2001:db8:1:2::3".parse().unwrap()).to_string(), "2001:db8:1:2::");
        for (ipv4, ipv6, pointer) in [
            (0, 64, "/ipv4Prefix"),
            (33, 64, "/ipv4Prefix"),
            (32, 0, "/ipv6Prefix"),
            (32, 129, "/ipv6Prefix"),
        ] {
            let refused = Prefixes::compile(Some(Whole(ipv4)), Some(Whole(ipv6))).unwrap_err();
            assert_eq!(refused.pointer, pointer);
        }
    }
}
