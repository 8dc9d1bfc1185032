//! Which keys are taken, by example and by law.

use proptest::prelude::*;
use serde_json::json as value;

use super::*;

fn corpus() -> Vec<Map<String, Value>> {
    let set = json::object(cases::JWKS.as_bytes()).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key.as_object().unwrap().clone()).collect()
}

/// The corpus's key of this type, with members set, or removed by null.
fn key(kty: &str, changes: Value) -> Value {
    let mut key = corpus().into_iter().find(|key| key["kty"] == kty).unwrap();
    for (name, value) in changes.as_object().unwrap().clone() {
        if value.is_null() {
            key.remove(&name);
        } else {
            key.insert(name, value);
        }
    }
    Value::Object(key)
}

fn set(keys: Vec<Value>) -> Result<usize, InvalidKeySet> {
    parse(&serde_json::json!({ "keys": keys, "other": 1 }).to_string()).map(|keys| keys.len())
}

#[test]
fn the_keys_of_the_corpus_are_usable() {
    let keys = parse(cases::JWKS).unwrap();
    let names: Vec<_> = keys.iter().map(|key| key.kid.as_deref().unwrap()).collect();
    assert_eq!(names, ["rs256", "es256"]);
}

#[test]
fn keys_for_other_ends_are_left_out() {
    for other in [
        value!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        value!({ "kty": "OKP", "crv": "Ed448", "alg": "EdDSA", "x": "AA" }),
        value!({ "kty": "oct", "k": "AA", "use": "enc" }),
        value!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }),
        value!({ "kty": "EC", "crv": "secp256k1", "alg": "ES256K", "x": "AA", "y": "AA" }),
        key("RSA", value!({ "alg": "RSA-OAEP", "use": "enc" })),
        key("RSA", value!({ "use": "enc" })),
        key("RSA", value!({ "key_ops": ["encrypt"] })),
        key("RSA", value!({ "key_ops": [] })),
        key("EC", value!({ "use": "enc", "alg": null })),
    ] {
        assert_eq!(set(vec![other.clone(), key("EC", value!({}))]), Ok(1), "{other}");
        let alone = set(vec![other]).unwrap_err();
        assert_eq!(alone.found, "none among 1");
    }
}

#[test]
fn what_a_key_need_not_say_it_need_not_say() {
    for key in [
        key("RSA", value!({ "alg": null, "use": null, "kid": null })),
        key("EC", value!({ "alg": null, "use": null, "kid": null })),
        key("EC", value!({ "key_ops": ["verify"], "x5c": ["AA"], "x5t": "A", "other": {} })),
    ] {
        assert_eq!(set(vec![key.clone()]), Ok(1), "{key}");
    }
}

#[test]
fn a_wrong_key_refuses_the_set() {
    for (wrong, found) in [
        (value!({ "n": "AA" }), "none in key 1"),
        (value!({ "kty": "rsa" }), "\"rsa\" in key 1"),
        (value!({ "kty": 1 }), "another value of `kty` in key 1"),
        (value!([]), "something else in key 1"),
        (key("RSA", value!({ "alg": "ES256" })), "`alg` \"ES256\" in key 1"),
        (key("EC", value!({ "alg": "RS256" })), "`alg` \"RS256\" in key 1"),
        (key("EC", value!({ "alg": "ES384" })), "`crv` \"P-256\" in key 1"),
        (key("EC", value!({ "alg": "HS256", "k": "AA" })), "`alg` \"HS256\" in key 1"),
        (value!({ "kty": "OKP", "crv": "P-256", "x": "AA" }), "`crv` \"P-256\" in key 1"),
        (
            value!({ "kty": "OKP", "crv": "X25519", "alg": "EdDSA", "x": "AA" }),
            "`crv` \"X25519\" in key 1",
        ),
        (value!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }), "something else in key 1"),
        (value!({ "kty": "oct", "k": "AA" }), "1 bytes in key 1"),
        (value!({ "kty": "oct", "k": "A=" }), "another value of `k` in key 1"),
        (value!({ "kty": "oct" }), "another value of `k` in key 1"),
        (key("RSA", value!({ "d": "AQAB" })), "a private one (`d`) in key 1"),
        (key("RSA", value!({ "n": null })), "another value of `n` in key 1"),
        (key("RSA", value!({ "n": "AQAB" })), "17 bits in key 1"),
        (key("RSA", value!({ "n": "A+A=" })), "another value of `n` in key 1"),
        (key("RSA", value!({ "e": "AQ" })), "other numbers in key 1"),
        (key("RSA", value!({ "e": "AQAA" })), "other numbers in key 1"),
        (key("RSA", value!({ "key_ops": "verify" })), "another value in key 1"),
        (key("RSA", value!({ "key_ops": ["verify", "verify"] })), "another value in key 1"),
        (key("RSA", value!({ "use": 1 })), "another value of `use` in key 1"),
        (key("EC", value!({ "crv": "P-384", "alg": null })), "something else in key 1"),
        (key("EC", value!({ "crv": "p256" })), "`crv` \"p256\" in key 1"),
        (key("EC", value!({ "crv": null })), "`crv` \"\" in key 1"),
        (key("EC", value!({ "y": "AAAA" })), "something else in key 1"),
        (key("EC", value!({})), "`kid` \"es256\" for a second time in key 1"),
    ] {
        let error = set(vec![key("EC", value!({})), wrong.clone()]).unwrap_err();
        assert_eq!(error.found, found, "{wrong}");
    }
}

#[test]
fn a_kid_may_be_shared_by_keys_of_different_algorithms() {
    let keys = vec![key("EC", value!({ "kid": "a" })), key("RSA", value!({ "kid": "a" }))];
    assert_eq!(set(keys), Ok(2));
}

#[test]
fn a_key_is_for_what_fits_it_and_its_alg_narrows_it() {
    let fitting = |key: Value| {
        let named = parse(&value!({ "keys": [key] }).to_string()).unwrap().remove(0);
        let fits = |(_, algorithm): &&(_, Algorithm)| named.key.verifies(*algorithm);
        Algorithm::ALL.iter().filter(fits).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
    };
    let rsa = key("RSA", value!({ "alg": null }));
    assert_eq!(fitting(rsa), "RS256 RS384 RS512 PS256 PS384 PS512");
    assert_eq!(fitting(key("RSA", value!({ "alg": "PS384" }))), "PS384");
    assert_eq!(fitting(key("EC", value!({ "alg": null }))), "ES256");
    let secret =
        |bytes: usize| value!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(vec![7; bytes]) });
    assert_eq!(fitting(secret(32)), "HS256");
    assert_eq!(fitting(secret(64)), "HS256 HS384 HS512");
    let every = json::object(cases::EVERY_JWKS.as_bytes()).unwrap();
    for key in every["keys"].as_array().unwrap() {
        assert_eq!(fitting(key.clone()), key["alg"].as_str().unwrap());
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in r#"\{"keys":\[(\{("(kty|crv|alg|use|kid|n|e|x|y|k|d)":("(RSA|EC|OKP|oct|P-256|P-521|Ed25519|RS256|HS512|sig|[A-Za-z0-9_-]{0,90})"|1|null|\[\]),?){0,6}\},?){0,3}\]\}"#) {
        if let Ok(keys) = parse(&text) {
            prop_assert!(!keys.is_empty());
        }
    }

    #[test]
    fn a_key_with_one_member_spoilt_is_refused_or_harmless(
        which in 0_usize..13,
        member in "(kty|alg|use|crv|n|e|x|y|k|key_ops|d)",
        spoilt in prop_oneof![
            Just(Value::Null), Just(value!(1)), Just(value!([])), Just(value!("")),
            "[A-Za-z0-9_-]{1,20}".prop_map(Value::from),
        ],
    ) {
        let every = json::object(cases::EVERY_JWKS.as_bytes()).unwrap();
        let mut key = every["keys"][which].clone();
        let good = key.clone();
        key[&member] = spoilt;
        let read = |key: &Value| parse(&value!({ "keys": [key] }).to_string());
        let good = read(&good).unwrap().remove(0);
        if let Ok(keys) = read(&key) {
            // What is left is the key as it was, or another number to compare with; never another algorithm.
            let same = |(_, algorithm): &(_, Algorithm)| {
                !keys[0].key.verifies(*algorithm) || good.key.overlaps(&keys[0].key)
            };
            prop_assert!(Algorithm::ALL.iter().all(same), "{member}");
        }
    }
}

#[test]
fn what_is_no_key_set_is_refused() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, r#"{"keys":[]}"#] {
        assert!(parse(text).is_err(), "{text}");
    }
}
