//! Numbers that must come out alike on every target.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use canary::bucket::{PartsPerMillion, bucket, murmur3};
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
