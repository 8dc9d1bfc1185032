//! Who is asked about a signature, and how often.

use std::cell::Cell;

use filter_core::ports::{PublicKey, Signatures};

use super::*;

/// A proxy that answers always alike, and counts what it is asked.
#[derive(Default)]
struct Scripted {
    answer: Option<bool>,
    asked: Cell<usize>,
    der: Cell<bool>,
    hash: Cell<&'static str>,
}

impl Signatures for Scripted {
    fn verify(&self, key: &PublicKey<'_>, _: &[u8], signature: &[u8]) -> Option<bool> {
        self.asked.set(self.asked.get() + 1);
        self.hash.set(key.hash);
        self.der.set(signature.first() == Some(&0x30));
        self.answer
    }
}

fn with_host(issuers: &Issuers, answer: Option<bool>, token: &str) -> (bool, usize, bool) {
    let host = Scripted { answer, ..Scripted::default() };
    let world = World::default();
    let ports = Ports { signatures: &host, ..world.ports() };
    let identity = identify_bytes(issuers, token.as_bytes(), &ports);
    (identity.is_ok(), host.asked.get(), host.der.get())
}

#[test]
fn the_hosts_word_holds_and_its_silence_is_made_up_for() {
    let issuers = corpus();
    let good = mint(json!({ "key": "es256" }));
    let forged = mint(json!({ "key": "es256", "forged": true }));
    assert_eq!(with_host(&issuers, None, &good), (true, 1, true));
    assert_eq!(with_host(&issuers, None, &forged), (false, 1, true));
    assert_eq!(with_host(&issuers, Some(true), &good), (true, 1, true));
    assert_eq!(with_host(&issuers, Some(false), &good), (false, 1, true));
    let good = mint(json!({ "key": "rs256" }));
    assert_eq!(with_host(&issuers, Some(true), &good), (true, 1, false));
}

#[test]
fn the_host_is_asked_about_what_it_knows_with_the_hash_of_the_algorithm() {
    let issuers = every(0);
    for (key, hash) in [
        ("rs256", "sha256"),
        ("rs384", "sha384"),
        ("rs512", "sha512"),
        ("es256", "sha256"),
        ("es384", "sha384"),
        ("es512", "sha512"),
        ("ps256", ""),
        ("eddsa", ""),
        ("hs512", ""),
    ] {
        let host = Scripted { answer: Some(true), ..Scripted::default() };
        let world = World::default();
        let ports = Ports { signatures: &host, ..world.ports() };
        let token = mint(json!({ "key": key }));
        assert!(identify_bytes(&issuers, token.as_bytes(), &ports).is_ok(), "{key}");
        assert_eq!((host.asked.get(), host.hash.get()), (hash.len().min(1), hash), "{key}");
        // Where the host is not asked, what it would say does not count.
        let (_, signature) = token.rsplit_once('.').unwrap();
        let other = mint(json!({ "key": key, "claims": { "sub": "other" } }));
        let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
        let believed = identify_bytes(&issuers, forged.as_bytes(), &ports).is_ok();
        assert_eq!(believed, !hash.is_empty(), "{key}");
    }
}

#[test]
fn a_token_is_computed_once_and_found_by_every_byte() {
    let issuers = every(10);
    let host = Scripted { answer: Some(true), ..Scripted::default() };
    let world = World::default();
    let ports = Ports { signatures: &host, ..world.ports() };
    let token = mint(json!({ "key": "es256", "claims": { "sub": "a" } }));
    for _ in 0..3 {
        let identity = identify_bytes(&issuers, token.as_bytes(), &ports).unwrap().unwrap();
        assert_eq!(identity.proof.claims.subject(), Some("a"));
        assert_eq!(host.asked.get(), 1);
    }
    // The same signature under another payload, by a host that takes everything.
    let (_, signature) = token.rsplit_once('.').unwrap();
    let other = mint(json!({ "key": "es256", "claims": { "sub": "b" } }));
    let (message, _) = other.rsplit_once('.').unwrap();
    let crossed = format!("{message}.{signature}");
    let identity = identify_bytes(&issuers, crossed.as_bytes(), &ports).unwrap().unwrap();
    assert_eq!((identity.proof.claims.subject(), host.asked.get()), (Some("b"), 2));
}

#[test]
fn what_was_refused_is_not_remembered() {
    let issuers = every(10);
    let host = Scripted { answer: Some(false), ..Scripted::default() };
    let world = World::default();
    let ports = Ports { signatures: &host, ..world.ports() };
    let token = mint(json!({ "key": "es256" }));
    for time in 1..4 {
        assert!(identify_bytes(&issuers, token.as_bytes(), &ports).is_err());
        assert_eq!(host.asked.get(), time);
    }
}

#[test]
fn a_signature_of_another_length_is_not_even_computed() {
    let issuers = corpus();
    for key in ["rs256", "es256"] {
        let good = mint(json!({ "key": key }));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let signature = compact::decoded(signature.as_bytes()).unwrap();
        let longer = [&[0], signature.as_slice()].concat();
        for signature in [&[][..], &signature[1..], &longer] {
            let text = URL_SAFE_NO_PAD.encode(signature);
            let token = format!("{message}.{text}");
            assert_eq!(with_host(&issuers, Some(true), &token), (false, 0, false));
        }
    }
    // r and s of an ECDSA signature are not zero.
    let good = mint(json!({ "key": "es256" }));
    let (message, _) = good.rsplit_once('.').unwrap();
    let token = format!("{message}.{}", "A".repeat(86));
    assert_eq!(with_host(&issuers, Some(true), &token), (false, 0, false));
}

#[test]
fn a_token_without_a_kid_is_tried_on_a_bounded_number_of_keys() {
    let keys: Vec<Value> = (0_u8..20)
        .map(|low| {
            let mut modulus = vec![0xff; 256];
            modulus[0] = 0xff - low;
            let n = URL_SAFE_NO_PAD.encode(modulus);
            json!({ "kty": "RSA", "kid": low.to_string(), "n": n, "e": "AQAB" })
        })
        .collect();
    let issuers = issuers(&[(ISSUER, &[], &json!({ "keys": keys }).to_string())]);
    let token = mint(json!({ "key": "rs256", "header": { "kid": null } }));
    assert_eq!(with_host(&issuers, Some(false), &token), (false, ring::MAX_TRIES, false));
    let token = mint(json!({ "key": "rs256", "header": { "kid": "19" } }));
    assert_eq!(with_host(&issuers, Some(false), &token), (false, 1, false));
}
