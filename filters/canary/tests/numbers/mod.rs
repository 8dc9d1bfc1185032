//! Numbers that must come out alike on every target.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use canary::bucket::{PartsPerMillion, bucket, murmur3};
use canary::hash::Hash;
use canary::layout::Layout;

/// Seed, input, hash, as listed at stackoverflow.com/a/31929528 (from SMHasher) and in Wikipedia's "MurmurHash".
const MURMUR3: [(u32, &[u8], u32); 18] = [
    (0, b"", 0),
    (1, b"", 0x514e_28b7),
    (0xffff_ffff, b"", 0x81f1_6f39),
    (0, &[0xff; 4], 0x7629_3b50),
    (0, &[0x21, 0x43, 0x65, 0x87], 0xf55b_516b),
    (0x5082_edee, &[0x21, 0x43, 0x65, 0x87], 0x2362_f9de),
    (0, &[0x21, 0x43, 0x65], 0x7e4a_8634),
    (0, &[0x21, 0x43], 0xa0f7_b07a),
    (0, &[0x21], 0x7266_1cf4),
    (0, &[0; 4], 0x2362_f9de),
    (0, &[0; 3], 0x85f0_b427),
    (0, &[0; 2], 0x30f4_c306),
    (0, &[0], 0x514e_28b7),
    (0, b"test", 0xba6b_d213),
    (0x9747_b28c, b"test", 0x704b_81dc),
    (0, b"Hello, world!", 0xc036_3e43),
    (0x9747_b28c, b"Hello, world!", 0x2488_4cba),
    (0x9747_b28c, b"The quick brown fox jumps over the lazy dog", 0x2fa8_26cd),
];

/// The hash is MurmurHash3 x86 32.
pub(crate) fn the_hash_is_murmur3() {
    for (seed, input, hash) in MURMUR3 {
        assert_eq!(murmur3(input.iter().copied(), seed), hash, "{input:x?} seeded {seed:x}");
    }
}

/// Salt, key, bucket: a promise to users, since another number would put them into other versions.
const BUCKETS: [(&str, &[u8], u32); 5] = [
    ("checkout", b"alice", 747_831),
    ("checkout", b"bob", 746_759),
    ("search", b"alice", 364_154),
    ("", b"", 168_554),
    ("checkout", b"\xff\x00", 412_986),
];

/// A user has one bucket, whatever the release.
pub(crate) fn a_user_has_one_bucket() {
    let found = BUCKETS.map(|(salt, key, _)| (salt, key, bucket(salt, key)));
    assert_eq!(found, BUCKETS);
}

/// A single variant is what lies below its weight.
pub(crate) fn a_weight_is_a_threshold() {
    let half = PartsPerMillion::percent("50").unwrap();
    let layout = Layout::new(&[half]).unwrap();
    assert_eq!(
        [0, 499_999, 500_000, 999_999].map(|bucket| layout.variant(bucket).is_some()),
        [true, true, false, false]
    );
}

/// Six variants lie where they always lay.
pub(crate) fn variants_have_fixed_places() {
    let tenth = PartsPerMillion::percent("10").unwrap();
    let layout = Layout::new(&[tenth; 6]).unwrap();
    for (bucket, variant) in [
        (0, Some(0)),
        (99_999, Some(0)),
        (100_000, None),
        (900_000, Some(1)),
        (999_999, Some(1)),
        (333_333, Some(2)),
        (433_332, Some(2)),
        (433_333, None),
        (666_666, Some(3)),
        (566_667, Some(3)),
        (666_667, Some(4)),
        (766_666, Some(4)),
        (333_332, Some(5)),
        (233_333, Some(5)),
        (233_332, None),
    ] {
        assert_eq!(layout.variant(bucket), variant, "{bucket}");
    }
}

/// Platform, salt, key and place, in its own units: (what it computes, how many millionths one of them is).
///
/// GrowthBook: `hash` of its SDKs' `cases.json` (spec 0.8.0). LaunchDarkly: `bucket` tests of its SDKs, with flag `hashKey`
/// and salt `saltyA`, and with seed 61. Optimizely: the bucketer's tests, experiments 1886780721 and 1886780722.
/// Unleash: the tests of `normalizedValue`, without the 1 that it adds. flagd: the edges of its hash in flagd-testbed.
const PLACES: [(Hash, &str, &str, u32, u32); 33] = [
    (Hash::GrowthBookV1, "", "a", 220, 1_000),
    (Hash::GrowthBookV1, "", "b", 77, 1_000),
    (Hash::GrowthBookV1, "b", "a", 946, 1_000),
    (Hash::GrowthBookV1, "ef", "d", 652, 1_000),
    (Hash::GrowthBookV1, "asdf", "8952klfjas09ujk", 549, 1_000),
    (Hash::GrowthBookV1, "", "123", 11, 1_000),
    (Hash::GrowthBookV1, "", "___)((*\":&", 563, 1_000),
    (Hash::GrowthBookV2, "seed", "a", 505, 100),
    (Hash::GrowthBookV2, "seed", "b", 2_696, 100),
    (Hash::GrowthBookV2, "foo", "ab", 2_575, 100),
    (Hash::GrowthBookV2, "foo", "def", 2_019, 100),
    (Hash::GrowthBookV2, "89123klj", "8952klfjas09ujkasdf", 1_240, 100),
    (Hash::GrowthBookV2, "90850943850283058242805", "123", 7_516, 100),
    (Hash::GrowthBookV2, "()**(%$##$%#$#", "___)((*\":&", 128, 100),
    (Hash::LaunchDarkly, "hashKey.saltyA", "userKeyA", 421_575, 1),
    (Hash::LaunchDarkly, "hashKey.saltyA", "userKeyB", 670_848, 1),
    (Hash::LaunchDarkly, "hashKey.saltyA", "userKeyC", 103_431, 1),
    (Hash::LaunchDarkly, "61", "userKeyA", 98_012, 1),
    (Hash::LaunchDarkly, "61", "userKeyB", 144_837, 1),
    (Hash::LaunchDarkly, "61", "userKeyC", 924_264, 1),
    (Hash::Optimizely, "1886780721", "ppid1", 5_254, 100),
    (Hash::Optimizely, "1886780721", "ppid2", 4_299, 100),
    (Hash::Optimizely, "1886780722", "ppid2", 2_434, 100),
    (Hash::Optimizely, "1886780721", "ppid3", 5_439, 100),
    (Hash::Unleash, "gr1", "123", 72, 10_000),
    (Hash::Unleash, "groupX", "999", 24, 10_000),
    (Hash::Flagd, "", "ejOoVL", 0, 1),
    (Hash::Flagd, "", "bY9fO-", 0, 1),
    (Hash::Flagd, "", "SI7p-", 499_999, 1),
    (Hash::Flagd, "", "6LvT0", 500_000, 1),
    (Hash::Flagd, "6Lv", "T0", 500_000, 1),
    (Hash::Flagd, "", "ceQdGm", 999_999, 1),
    // Ours, in UTF-16 as JavaScript has it: `ü` is one unit of 0xfc.
    (Hash::GrowthBookV1, "", "ü", 987, 1_000),
];

/// Each platform's place of a user is the one that its own SDKs compute.
pub(crate) fn a_user_is_where_the_platform_has_it() {
    for (hash, salt, key, place, unit) in PLACES {
        assert_eq!(hash.place(salt, key.as_bytes()), place * unit, "{hash:?} {salt:?} {key:?}");
    }
}

/// Namespace, user, where it lies in thousandths: GrowthBook's `inNamespace` cases have the users 1 to 4 on these sides of
/// four tenths.
pub(crate) fn a_namespace_is_divided_as_growthbook_divides_it() {
    let low = |namespace: &str, user: &str| {
        Hash::GrowthBookV2.namespace_place(namespace, user.as_bytes()) < 400_000
    };
    assert_eq!(["1", "2", "3", "4"].map(|user| low("namespace1", user)), [false; 4]);
    assert_eq!(
        ["1", "2", "3", "4"].map(|user| low("namespace2", user)),
        [false, false, true, true]
    );
}
