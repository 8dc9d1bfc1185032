//! Ids of traces and spans: what is one, and how it is written.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The id of a trace: 16 bytes, not all of them zero (W3C Trace Context level 2 §3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId(NonZeroU128);

/// The id of a span: 8 bytes, not all of them zero (§3.2.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanId(NonZeroU64);

impl TraceId {
    /// How many bits at the right are random where the flag says so (§3.2.2.5.2).
    pub(crate) const RANDOM_BITS: u32 = 56;

    /// The id of this number.
    pub(crate) fn new(number: u128) -> Option<Self> {
        NonZeroU128::new(number).map(Self)
    }

    /// The id as bytes.
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0.get().to_be_bytes()
    }

    /// The bits at the right that a sampler may count on.
    pub(crate) fn random_bits(self) -> u64 {
        let [.., a, b, c, d, e, f, g] = self.0.get().to_be_bytes();
        u64::from_be_bytes([0, a, b, c, d, e, f, g])
    }
}

impl SpanId {
    /// The id of this number.
    pub(crate) fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// The id as bytes.
    pub(crate) fn bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The number that lower-case hexadecimal digits write.
pub(crate) fn lower_hex(digits: &[u8]) -> Option<u128> {
    let lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.iter().all(lower).then(|| any_hex(digits)).flatten()
}

/// The number that hexadecimal digits write, 1 to 32 of them, in any case.
pub(crate) fn any_hex(digits: &[u8]) -> Option<u128> {
    if !(1..=32).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_in_full() {
        assert_eq!(TraceId::new(10).unwrap().to_string(), "0000000000000000000000000000000a");
        assert_eq!(SpanId::new(10).unwrap().to_string(), "000000000000000a");
        assert_eq!(TraceId::new(0), None);
        assert_eq!(SpanId::new(0), None);
    }

    #[test]
    fn the_bits_at_the_right_are_seven_bytes() {
        assert_eq!(TraceId::new(u128::MAX).unwrap().random_bits(), (1 << 56) - 1);
        assert_eq!(TraceId::new(1 << 56).unwrap().random_bits(), 0);
    }

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(lower_hex(b"0a"), Some(10));
        for digits in [&b""[..], b"0A", b"+a", b"0x1", b"g", &[b'1'; 33], b"\xff"] {
            assert_eq!(lower_hex(digits), None, "{digits:?}");
        }
        assert_eq!(any_hex(b"0A"), Some(10));
    }
}
