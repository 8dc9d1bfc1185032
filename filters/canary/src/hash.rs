//! Where a key lies among all keys, as the experiment platforms reckon it: so a proxy and an application that asks its
//! platform's SDK agree about a user.

use serde::Deserialize;
use sha1::{Digest as _, Sha1};

use crate::bucket::{Murmur, PartsPerMillion, bucket, scaled};

/// The seed of Unleash's variants, other than that of its strategies.
const UNLEASH_VARIANTS: u32 = 86_028_157;

/// A way from a salt and a key to a place. What the salt is called there is said of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hash {
    /// Ours: [`bucket`].
    #[default]
    Native,
    /// flagd's `fractional`, version 2: the salt is the flag's key, and the key the targeting key.
    Flagd,
    /// GrowthBook's `hashVersion` 1: the salt is the experiment's `seed`.
    #[serde(rename = "growthbook-v1")]
    GrowthBookV1,
    /// GrowthBook's `hashVersion` 2.
    #[serde(rename = "growthbook-v2")]
    GrowthBookV2,
    /// LaunchDarkly's rollouts: the salt is `KEY.SALT` of the flag, or an experiment's `seed`.
    #[serde(rename = "launchdarkly")]
    LaunchDarkly,
    /// Optimizely's buckets: the salt is the experiment's id.
    Optimizely,
    /// Unleash's `gradualRollout`, in whole percents: the salt is the `groupId`.
    Unleash,
    /// Unleash's variants, in tenths of a percent: the salt is the `groupId`.
    UnleashVariants,
}

impl Hash {
    /// Where the key lies, from 0 to 999 999. A platform that knows fewer places uses the first of each of its own.
    #[must_use]
    pub fn place(self, salt: &str, key: &[u8]) -> u32 {
        match self {
            Self::Native => bucket(salt, key),
            Self::Flagd => scaled(murmur3([salt.as_bytes(), key], 0)),
            Self::GrowthBookV1 => fnv(&[key, salt.as_bytes()].concat()) % 1_000 * 1_000,
            Self::GrowthBookV2 => {
                let first = fnv(&[salt.as_bytes(), key].concat());
                fnv(first.to_string().as_bytes()) % 10_000 * 100
            }
            Self::LaunchDarkly => sixty_bits(&[salt.as_bytes(), b".", key].concat()),
            Self::Optimizely => {
                let hash = murmur3([key, salt.as_bytes()], 1);
                scaled(hash) / 100 * 100
            }
            Self::Unleash => murmur3([salt.as_bytes(), b":", key], 0) % 100 * 10_000,
            Self::UnleashVariants => {
                murmur3([salt.as_bytes(), b":", key], UNLEASH_VARIANTS) % 1_000 * 1_000
            }
        }
    }

    /// Where the key lies in a namespace, which experiments share that exclude each other. GrowthBook's is its own,
    /// whatever the version; the others have none, so theirs is ours.
    #[must_use]
    pub fn namespace_place(self, namespace: &str, key: &[u8]) -> u32 {
        match self {
            Self::GrowthBookV1 | Self::GrowthBookV2 => {
                Self::GrowthBookV1.place(&format!("__{namespace}"), key)
            }
            _ => bucket(&format!("namespace:{namespace}"), key),
        }
    }
}

fn murmur3<const N: usize>(parts: [&[u8]; N], seed: u32) -> u32 {
    parts.iter().fold(Murmur::seeded(seed), |murmur, part| murmur.then(part)).end()
}

/// FNV-1a, 32 bits, over the UTF-16 code units of a text, as GrowthBook's first SDK reads it; over the bytes of what is no
/// text.
fn fnv(bytes: &[u8]) -> u32 {
    let step = |hash: u32, unit: u32| (hash ^ unit).wrapping_mul(0x0100_0193);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.encode_utf16().map(u32::from).fold(0x811c_9dc5, step),
        Err(_) => bytes.iter().copied().map(u32::from).fold(0x811c_9dc5, step),
    }
}

/// The first sixty bits of SHA-1, as a share of the largest such number.
fn sixty_bits(bytes: &[u8]) -> u32 {
    const MOST: u128 = 0x0fff_ffff_ffff_ffff;
    let digest = Sha1::digest(bytes);
    let first = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes)) >> 4;
    let all = u128::from(PartsPerMillion::ALL.parts());
    let place = (u128::from(first) * all).checked_div(MOST).unwrap_or_default();
    // The largest of all is in the last place, not beyond it.
    u32::try_from(place.min(all.saturating_sub(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Hash; 8] = [
        Hash::Native,
        Hash::Flagd,
        Hash::GrowthBookV1,
        Hash::GrowthBookV2,
        Hash::LaunchDarkly,
        Hash::Optimizely,
        Hash::Unleash,
        Hash::UnleashVariants,
    ];

    proptest! {
        #[test]
        fn a_place_is_one_of_a_million(salt in ".{0,9}", key: Vec<u8>) {
            for hash in ALL {
                prop_assert!(hash.place(&salt, &key) < 1_000_000, "{hash:?}");
                prop_assert!(hash.namespace_place(&salt, &key) < 1_000_000, "{hash:?}");
            }
        }
    }

    #[test]
    fn users_are_spread_evenly_by_all_of_them() {
        for hash in ALL {
            let mut tenths = [0_u32; 10];
            for user in 0..20_000 {
                let tenth = hash.place("checkout", format!("user-{user}").as_bytes()) / 100_000;
                tenths[usize::try_from(tenth).unwrap()] += 1;
            }
            // Five standard deviations of a fair draw.
            assert!(tenths.iter().all(|count| count.abs_diff(2_000) < 213), "{hash:?} {tenths:?}");
        }
    }

    #[test]
    fn they_are_called_by_their_names() {
        for (name, hash) in [
            ("native", Hash::Native),
            ("flagd", Hash::Flagd),
            ("growthbook-v1", Hash::GrowthBookV1),
            ("growthbook-v2", Hash::GrowthBookV2),
            ("launchdarkly", Hash::LaunchDarkly),
            ("optimizely", Hash::Optimizely),
            ("unleash", Hash::Unleash),
            ("unleash-variants", Hash::UnleashVariants),
        ] {
            let document = format!("{{\"hash\":\"{name}\"}}");
            #[derive(Deserialize)]
            struct Document {
                hash: Hash,
            }
            let read: Document = filter_core::config::parse(document.as_bytes()).unwrap();
            assert_eq!(read.hash, hash);
        }
    }
}
