//! What is believed of tokens, by law.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filter_core::fixture::{MovableClock, World};
use proptest::prelude::*;
use serde_json::json;

use super::tests::{every, identify_bytes, mint};
use super::*;

const NAMES: [&str; 13] = [
    "rs256", "rs384", "rs512", "ps256", "ps384", "ps512", "es256", "es384", "es512", "eddsa",
    "hs256", "hs384", "hs512",
];

/// A good token of every algorithm.
static GOOD: LazyLock<[String; 13]> =
    LazyLock::new(|| NAMES.map(|key| mint(json!({ "key": key, "claims": { "sub": "a" } }))));

/// The issuer who believes every algorithm, whose keys take a while to read, where the headers of good tokens are known.
fn knowing_headers() -> Issuers {
    let every = every(0);
    for token in GOOD.iter() {
        assert!(identify_bytes(&every, token.as_bytes(), &World::default().ports()).is_ok());
    }
    every
}

/// Whether it is refused.
fn refused(token: &[u8]) -> bool {
    thread_local!(static EVERY: Issuers = knowing_headers());
    EVERY.with(|every| identify_bytes(every, token, &World::default().ports()).is_err())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic_or_are_believed(value in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(refused(&value));
    }

    #[test]
    fn nothing_token_like_is_believed(
        alg in "(RS|PS|ES|HS)(256|384|512)|EdDSA|none",
        kid in "(rs|ps|es|hs)(256|384|512)|eddsa|x",
        payload in prop::collection::vec(any::<u8>(), 0..60),
        length in prop::sample::select(vec![0_usize, 32, 48, 64, 96, 132, 256]),
        signature in prop::collection::vec(any::<u8>(), 256),
    ) {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
        let token = format!("{}.{}.{}", text(header.as_bytes()), text(&payload), text(&signature[..length]));
        prop_assert!(refused(token.as_bytes()));
    }

    #[test]
    fn a_good_token_with_one_byte_changed_is_refused(
        which in 0_usize..13,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut token = GOOD[which].clone().into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(refused(&token));
    }

    #[test]
    fn a_good_token_with_one_bit_of_its_parts_flipped_is_refused(
        which in 0_usize..13,
        part in 0_usize..3,
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut parts: Vec<Vec<u8>> =
            GOOD[which].split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let at = at.index(parts[part].len());
        parts[part][at] ^= 1 << bit;
        let token = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".");
        prop_assert!(refused(token.as_bytes()));
    }

    #[test]
    fn no_signature_passes_for_another_algorithms(which in 0_usize..13, other in 0_usize..13) {
        prop_assume!(which != other);
        let (_, rest) = GOOD[which].split_once('.').unwrap();
        let (header, _) = GOOD[other].split_once('.').unwrap();
        let token = format!("{header}.{rest}");
        prop_assert!(refused(token.as_bytes()));
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_memory_of_tokens_changes_no_verdict(
        entries in 1_usize..4,
        asks in prop::collection::vec((6_usize..13, 0_u64..5000, 0_usize..4), 1..20),
    ) {
        let (remembering, forgetful) = (every(entries), every(0));
        let world = World::default();
        for (which, at, spoil) in asks {
            world.clock.0.set(Duration::from_secs(at));
            let mut token = GOOD[which].clone();
            match spoil {
                0 => token = token.replacen('.', "..", 1),
                1 => { let last = token.pop().unwrap(); token.push(if last == 'A' { 'E' } else { 'A' }); }
                _ => {}
            }
            let told = |issuers: &Issuers| {
                identify_bytes(issuers, token.as_bytes(), &world.ports())
                    .map(|identity| identity.map(|identity| identity.proof))
            };
            prop_assert_eq!(told(&remembering), told(&forgetful));
        }
    }
}

#[test]
fn every_algorithm_is_believed_and_expires() {
    let world = World::default();
    for token in GOOD.iter() {
        let issuers = every(100);
        for (at, verdict) in
            [(0, None), (3659, None), (3660, Some(Reason::TokenExpired)), (0, None)]
        {
            world.clock.0.set(Duration::from_secs(at));
            let told = identify_bytes(&issuers, token.as_bytes(), &world.ports());
            assert_eq!(told.err(), verdict, "{token} at {at} after {}", MovableClock::EPOCH);
        }
    }
}
