//! Addresses, and the blocks that they lie in.

use std::net::IpAddr;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpBlock {
    first: u128,
    /// How many bits of the address are fixed.
    fixed: u32,
    v4: bool,
}

impl IpBlock {
    /// The block that `text` writes (RFC 4632 §3.1, RFC 4291 §2.3). Bits behind the prefix are ignored, as Envoy does.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let fixed = match length {
            None => width,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().ok().filter(|length| *length <= width)?
            }
            Some(_) => return None,
        };
        Some(Self { first: high_bits(address), fixed, v4: address.is_ipv4() })
    }

    /// Whether an address lies in the block. An IPv4 address that is written as one of IPv6 (RFC 4291 §2.5.5.2) is the
    /// IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mask = u128::MAX.checked_shr(self.fixed).map_or(u128::MAX, |rest| !rest);
        address.is_ipv4() == self.v4 && (high_bits(address) ^ self.first) & mask == 0
    }
}

/// The address in the uppermost bits, so that a prefix is one whatever the family.
fn high_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl<'de> Deserialize<'de> for IpBlock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::invalid_value(Unexpected::Str(&text), &"an IP address or a CIDR block")
        })
    }
}

/// The address in `IP:PORT`, as Envoy writes those of connections; `None` for what is no IP address, such as a pipe.
#[must_use]
pub fn address_of(endpoint: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(endpoint).ok()?;
    let plain = || text.parse::<IpAddr>().ok();
    text.parse::<std::net::SocketAddr>().map(|socket| socket.ip()).ok().or_else(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_what_shares_its_prefix() {
        for (block, address, holds) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.1.2.3", "::ffff:10.1.2.3", true),
            ("10.1.2.2/31", "10.1.2.3", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1/128", "::1", true),
        ] {
            let parsed = IpBlock::parse(block).unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), holds, "{address} in {block}");
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in
            ["", "10", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "a", "1.2.3.4/8/8"]
        {
            assert_eq!(IpBlock::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_endpoint_has_an_address_unless_it_is_a_pipe() {
        assert_eq!(address_of(b"1.2.3.4:5"), "1.2.3.4".parse().ok());
        assert_eq!(address_of(b"[::1]:5"), "::1".parse().ok());
        assert_eq!(address_of(b"::1"), "::1".parse().ok());
        for pipe in [&b""[..], b"/run/socket", b"\xff", b"envoy://listener/"] {
            assert_eq!(address_of(pipe), None);
        }
    }
}
