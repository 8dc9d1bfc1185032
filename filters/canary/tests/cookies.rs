//! The cookies that clients are given: when, and what may be done with them. Their values hang on time and chance, so no
//! case file has them.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;

use std::time::Duration;

use asked::{Asked, Peer, refusal};
use filter_core::fixture::MovableClock;

const KEYS: &str =
    r#""signingKeys":[{"id":"k","secret":"YW4gZXhhbXBsZSBvZiBhIHNlY3JldCBvZiAzMiBieXQ="}]"#;

fn document(shared: &str, fields: &str) -> String {
    format!(
        r#"{{{shared}{}"rollouts":[{{"name":"checkout","header":"x-checkout","salt":"checkout",{fields}}}]}}"#,
        if shared.is_empty() { "" } else { "," }
    )
}

fn ask(document: &str, lines: &[(&str, &str)]) -> Asked {
    Asked::of(document, "/", Peer::None, lines)
}

/// What stands before the first semicolon.
fn pair(line: &str) -> &str {
    line.split(';').next().unwrap()
}

const QUARTER: &str = r#""key":[{"header":"x-user"}],"variants":[{"name":"v2","weight":25}]"#;

#[test]
fn whoever_gets_a_variant_keeps_it_when_the_weight_shrinks() {
    let sticky = |weight: u32, fields: &str| {
        let fields = format!(
            r#""stickyCookie":{{"name":"had","ttl":"24h"}},{fields}"key":[{{"header":"x-user"}}],"variants":[{{"name":"v2","weight":{weight}}}]"#
        );
        document(KEYS, &fields)
    };
    let first = ask(&sticky(25, ""), &[("x-user", "2")]);
    let [line] = &first.cookies()[..] else { panic!("{:?}", first.cookies()) };
    assert!(line.ends_with("; Max-Age=86400; Path=/; SameSite=Lax; HttpOnly; Secure"), "{line}");
    let cookie = pair(line);
    let later = ask(&sticky(0, ""), &[("x-user", "2"), ("cookie", cookie)]);
    assert_eq!((later.evidence[0].as_str(), later.cookies()), ("sticky:checkout=v2", vec![]));
    for (lines, fields) in [
        (&[("x-user", "alice"), ("cookie", cookie)][..], ""),
        (&[("cookie", cookie)], ""),
        (&[("x-user", "2"), ("cookie", cookie)], r#""bucketVersion":1,"#),
        (&[("x-user", "2"), ("cookie", cookie)], r#""killSwitch":true,"#),
    ] {
        let other = ask(&sticky(0, fields), lines);
        assert_eq!(other.upstream("x-checkout"), [""; 0], "{lines:?} {fields}");
    }
    // Whoever is in no variant is in one as soon as it grows.
    assert_eq!(ask(&sticky(25, ""), &[("x-user", "alice")]).cookies(), [""; 0]);
    let shadow = ask(&sticky(25, r#""mode":"shadow","#), &[("x-user", "2")]);
    assert_eq!(shadow.cookies(), [""; 0]);
}

#[test]
fn an_unknown_user_is_given_an_id_and_known_by_it() {
    for keys in ["", KEYS] {
        let shared = format!(
            r#"{keys}{}"anonymousCookie":{{"name":"__Host-aid","ttl":"8760h"}}"#,
            if keys.is_empty() { "" } else { "," }
        );
        let fields = r#""bucketHeader":{"name":"x-bucket","buckets":1000000},"stable":"v1",
            "key":[{"header":"x-user"},{"anonymousCookie":{}}],"variants":[{"name":"v2","weight":1}]"#;
        let document = document(&shared, fields);
        let first = ask(&document, &[]);
        let [line] = &first.cookies()[..] else { panic!("{:?}", first.cookies()) };
        assert!(line.starts_with("__Host-aid="), "{line}");
        assert!(line.ends_with("; Max-Age=31536000; Path=/; SameSite=Lax; HttpOnly; Secure"));
        // The id of sixteen bytes of seven.
        assert_eq!(first.upstream("x-bucket"), ["734302"]);
        let again = ask(&document, &[("cookie", pair(line))]);
        assert_eq!(again.upstream("x-bucket"), ["734302"]);
        assert_eq!(again.cookies(), [""; 0]);
        assert_eq!(ask(&document, &[("x-user", "ann")]).cookies(), [""; 0]);
        // What is not ours is replaced.
        let forged = ask(&document, &[("cookie", "__Host-aid=ann")]);
        assert_eq!(
            (forged.upstream("x-bucket"), forged.cookies()),
            (first.upstream("x-bucket"), first.cookies())
        );
    }
}

#[test]
fn whoever_signs_in_keeps_what_they_had_by_their_anonymous_id() {
    let shared = format!(r#"{KEYS},"anonymousCookie":{{"name":"aid"}}"#);
    let sticky = |weight: u32| {
        let fields = format!(
            r#""stickyCookie":{{"name":"had"}},"key":[{{"header":"x-user"}},{{"anonymousCookie":{{}}}}],"variants":[{{"name":"v2","weight":{weight}}}]"#
        );
        document(&shared, &fields)
    };
    let cookies = ask(&sticky(100), &[]).cookies();
    let [had, id] = &cookies[..] else { panic!("{cookies:?}") };
    let both = format!("{}; {}", pair(had), pair(id));
    let known = ask(&sticky(0), &[("x-user", "alice"), ("cookie", &both)]);
    assert_eq!(known.evidence, ["sticky:checkout=v2"]);
    let given = known.cookies();
    let later = ask(&sticky(0), &[("x-user", "alice"), ("cookie", pair(&given[0]))]);
    assert_eq!(later.evidence, ["sticky:checkout=v2"], "the cookie is for the new key now");
    let without = ask(&sticky(0), &[("x-user", "alice"), ("cookie", pair(had))]);
    assert_eq!(
        without.evidence,
        ["stable:checkout=stable"],
        "who does not show the id does not have it"
    );
}

#[test]
fn in_shadow_nobody_is_given_an_id() {
    let fields =
        r#""mode":"shadow","key":[{"anonymousCookie":{}}],"variants":[{"name":"v2","weight":1}]"#;
    let asked = ask(&document(r#""anonymousCookie":{"name":"aid"}"#, fields), &[]);
    assert_eq!((asked.evidence[0].as_str(), asked.cookies()), ("shadow:checkout=stable", vec![]));
}

#[test]
fn a_token_that_came_by_a_link_is_kept_in_a_cookie_for_as_long_as_it_is_good() {
    let fields = format!(
        r#""overrides":[{{"token":{{"query":"preview","cookie":"preview"}},"remember":{{"ttl":"1h"}}}}],{QUARTER}"#
    );
    let document = document(KEYS, &fields);
    let token = |seconds: u64| {
        let expires = Duration::from_secs(MovableClock::EPOCH + 1000 + seconds);
        canary::preview_token(document.as_bytes(), "checkout", "v2", expires, None).unwrap()
    };
    for (seconds, max_age) in [(60, 60), (86_400, 3600)] {
        let token = token(seconds);
        let path = format!("/?preview={token}");
        let asked = Asked::of(&document, &path, Peer::None, &[]);
        assert_eq!(
            (asked.evidence[0].as_str(), asked.upstream(":path")),
            ("override:checkout=v2", vec!["/".to_owned()])
        );
        let expected =
            format!("preview={token}; Max-Age={max_age}; Path=/; SameSite=Lax; HttpOnly; Secure");
        assert_eq!(asked.cookies(), [expected.as_str()]);
        let later = ask(&document, &[("cookie", pair(&expected))]);
        assert_eq!((later.evidence[0].as_str(), later.cookies()), ("override:checkout=v2", vec![]));
        assert_eq!(later.upstream("cookie"), [""; 0]);
    }
    let expired = Asked::of(&document, &format!("/?preview={}", token(0)), Peer::None, &[]);
    assert_eq!(
        (expired.evidence[0].as_str(), expired.cookies()),
        ("missing_key:checkout=stable", vec![])
    );
}

#[test]
fn a_token_is_made_for_what_takes_one() {
    let fields = format!(r#""overrides":[{{"token":{{"header":"x-preview"}}}}],{QUARTER}"#);
    let make = |document: &str, rollout, version| {
        let at = Duration::from_secs(1);
        canary::preview_token(document.as_bytes(), rollout, version, at, Some(b"ann"))
    };
    let document_with = document(KEYS, &fields);
    assert!(make(&document_with, "checkout", "v2").unwrap().starts_with("checkout:v2:1:YW5u:k:"));
    assert!(make(&document_with, "checkout", "stable").is_ok());
    for (document, rollout, version, pointer) in [
        (document_with.as_str(), "cart", "v2", "/rollouts"),
        (&document_with, "checkout", "v9", "/rollouts/0/variants"),
        (&document(KEYS, QUARTER), "checkout", "v2", "/rollouts/0/overrides"),
        ("{", "checkout", "v2", ""),
    ] {
        assert_eq!(make(document, rollout, version).unwrap_err().pointer, pointer);
    }
}

#[test]
fn a_cookie_that_no_browser_would_take_is_refused() {
    for (cookie, pointer) in [
        (r#"{"name":"a b"}"#, "/anonymousCookie/name"),
        (r#"{"name":"a","ttl":"0s"}"#, "/anonymousCookie/ttl"),
        (r#"{"name":"a","ttl":"9601h"}"#, "/anonymousCookie/ttl"),
        (r#"{"name":"a","path":"b"}"#, "/anonymousCookie/path"),
        (r#"{"name":"a","path":"/;x"}"#, "/anonymousCookie/path"),
        (r#"{"name":"a","domain":"b;c"}"#, "/anonymousCookie/domain"),
        (r#"{"name":"a","sameSite":"lax"}"#, "/anonymousCookie/sameSite"),
        (r#"{"name":"a","sameSite":"None","secure":false}"#, "/anonymousCookie/secure"),
        (r#"{"name":"__Secure-a","secure":false}"#, "/anonymousCookie/secure"),
        (r#"{"name":"__Host-a","domain":"b.example"}"#, "/anonymousCookie/name"),
        (r#"{"name":"__Host-a","path":"/b"}"#, "/anonymousCookie/name"),
    ] {
        let document = document(&format!(r#""anonymousCookie":{cookie}"#), QUARTER);
        assert_eq!(refusal(&document).pointer, pointer, "{cookie}");
    }
}
