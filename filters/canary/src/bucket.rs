//! Where a key lies among a million: a hash, scaled to the range, with no state and no floats.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A share of the keys, in parts per million: a percentage with four decimals, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartsPerMillion(u32);

impl PartsPerMillion {
    /// All keys.
    pub const ALL: Self = Self(1_000_000);

    /// A share of so many parts, at most all.
    #[must_use]
    pub const fn new(parts: u32) -> Option<Self> {
        if parts <= Self::ALL.0 { Some(Self(parts)) } else { None }
    }

    /// The percentage that decimal `text` writes: digits, and perhaps a point and at most four more.
    #[must_use]
    pub fn percent(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 4 {
            return None;
        }
        let fraction: u32 = format!("{fraction:0<4}").parse().ok()?;
        let parts = whole.parse::<u32>().ok()?.checked_mul(10_000)?.checked_add(fraction)?;
        Self::new(parts)
    }

    /// The number of parts.
    #[must_use]
    pub const fn parts(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for PartsPerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Percent;

        impl Visitor<'_> for Percent {
            type Value = PartsPerMillion;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage from 0 to 100 with at most four decimals")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
                PartsPerMillion::percent(&number.to_string())
                    .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Self::Value, E> {
                // The shortest decimal that means this float is the one that was written.
                PartsPerMillion::percent(&number.to_string())
                    .ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
            }
        }

        deserializer.deserialize_f64(Percent)
    }
}

/// Where a key lies, from 0 to 999 999: the hash of `SALT:KEY`, scaled to the range as flagd scales it. A share of the
/// keys is those below a threshold, so a share that grows keeps the keys that it had.
#[must_use]
pub fn bucket(salt: &str, key: &[u8]) -> u32 {
    Murmur::salted(salt).bucket(key)
}

/// A hash scaled to the range, by integers alone: monotone, so that a threshold is one in both.
pub(crate) fn scaled(hash: u32) -> u32 {
    let scaled = (u64::from(hash) * u64::from(PartsPerMillion::ALL.0)) >> 32;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

/// MurmurHash3, the 32-bit variant for x86 (Austin Appleby, public domain).
#[must_use]
pub fn murmur3(bytes: impl IntoIterator<Item = u8>, seed: u32) -> u32 {
    let bytes: Vec<u8> = bytes.into_iter().collect();
    Murmur::seeded(seed).then(&bytes).end()
}

/// The same, of the bytes that came so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Murmur {
    hash: u32,
    length: u32,
    /// The bytes that do not make up a block yet.
    block: u32,
    filled: u32,
}

impl Murmur {
    pub(crate) fn seeded(seed: u32) -> Self {
        Self { hash: seed, length: 0, block: 0, filled: 0 }
    }

    /// What [`bucket`] hashes before a key, which a rollout knows beforehand.
    pub(crate) fn salted(salt: &str) -> Self {
        Self::seeded(0).then(salt.as_bytes()).then(b":")
    }

    /// With more bytes. There is one copy of the loop, as every request comes by.
    #[inline(never)]
    #[must_use]
    pub(crate) fn then(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.block |= u32::from(*byte) << (8 * self.filled);
            self.length = self.length.wrapping_add(1);
            self.filled += 1;
            if self.filled == 4 {
                let hash = (self.hash ^ mixed(self.block)).rotate_left(13);
                self.hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
                (self.block, self.filled) = (0, 0);
            }
        }
        self
    }

    /// The bucket of the key that comes next.
    pub(crate) fn bucket(self, key: &[u8]) -> u32 {
        scaled(self.then(key).end())
    }

    pub(crate) fn end(self) -> u32 {
        let mut hash = self.hash;
        if self.filled > 0 {
            hash ^= mixed(self.block);
        }
        hash ^= self.length;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

fn mixed(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    #[derive(Deserialize)]
    struct Document {
        weight: PartsPerMillion,
    }

    fn read(text: &str) -> Option<PartsPerMillion> {
        let document = format!("{{\"weight\":{text}}}");
        filter_core::config::parse::<Document>(document.as_bytes()).ok().map(|read| read.weight)
    }

    proptest! {
        #[test]
        fn the_hash_is_murmur3(bytes: Vec<u8>, more: Vec<u8>, seed: u32) {
            let whole = [&*bytes, &*more].concat();
            let other = ::murmur3::murmur3_32(&mut Cursor::new(&whole), seed).unwrap();
            prop_assert_eq!(Murmur::seeded(seed).then(&bytes).then(&more).end(), other);
            prop_assert_eq!(murmur3(whole, seed), other);
        }

        #[test]
        fn a_percentage_is_read_exactly(parts in 0_u32..=1_000_000) {
            let text = format!("{}.{:04}", parts / 10_000, parts % 10_000);
            let (share, read) = (PartsPerMillion(parts), read(&text).unwrap());
            prop_assert_eq!(share, read);
            prop_assert_eq!(PartsPerMillion::percent(&text), Some(share));
        }

        #[test]
        fn a_bucket_is_one_of_a_million(salt in ".{0,9}", key: Vec<u8>) {
            prop_assert!(bucket(&salt, &key) < 1_000_000);
        }
    }

    #[test]
    fn keys_are_spread_evenly() {
        let mut tenths = [0_u32; 10];
        for user in 0..100_000 {
            let tenth = bucket("checkout", format!("user-{user}").as_bytes()) / 100_000;
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        // Four standard deviations of a fair draw.
        assert!(tenths.iter().all(|count| count.abs_diff(10_000) < 380), "{tenths:?}");
    }

    #[test]
    fn what_is_no_percentage_is_refused() {
        for text in ["-1", "100.0001", "101", "5.00001", "1e300", "1e-9", "\"5\"", "null", "true"] {
            assert!(read(text).is_none(), "{text}");
        }
        for (text, parts) in
            [("5", 50_000), ("5.0", 50_000), ("0.0001", 1), ("1e-4", 1), ("1e2", 1_000_000)]
        {
            assert_eq!(read(text).unwrap().0, parts, "{text}");
        }
        for text in ["", ".", "1.", ".5", "+1", "-0", "1 ", "1.00000", "1e2", "99999999999"] {
            assert_eq!(PartsPerMillion::percent(text), None, "{text:?}");
        }
    }
}
