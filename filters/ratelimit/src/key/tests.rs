//! Which requests share a bucket.

use std::time::Duration;

use filter_core::fixture::FixtureExchange;
use filter_core::view::Value;
use filter_core::{HeaderMap, Phase, View};

use super::*;

fn client(trusted_hops: Option<usize>) -> Client {
    Client { trusted_hops, prefixes: Prefixes::default() }
}

fn part(name: &str) -> Part {
    match name.split_once(':') {
        None if name == "address" => Part::Client(client(None)),
        None if name == "path" => Part::Path,
        Some(("hops", hops)) => Part::Client(client(hops.parse().ok())),
        Some(("cookie", name)) => Part::Cookie(name.to_owned()),
        Some(("query", name)) => Part::Query(name.to_owned()),
        Some(("template", text)) => Part::Variables(PathTemplate::parse(text).unwrap()),
        _ => Part::Header(HeaderName::parse(name).unwrap()),
    }
}

fn subject(parts: &str, missing: MissingKey, headers: &[(&str, &str)], address: &str) -> Subject {
    let key = Key { parts: Some(parts.split(' ').map(part).collect()), missing };
    let exchange = FixtureExchange {
        request: HeaderMap::from_pairs(headers.iter().copied()),
        attributes: [(Attribute::SourceAddress, Value::Text(address.into()))].into(),
        ..FixtureExchange::default()
    };
    let view = View::new(&exchange, Phase::Request, &[]);
    key.subject(&Facts::new(&view), &Seed::new([7; 16], Duration::ZERO))
}

/// The hash of the key, or nothing if the request lacks it.
fn hash(parts: &str, headers: &[(&str, &str)], address: &str) -> Option<(u64, u64)> {
    match subject(parts, MissingKey::Skip, headers, address) {
        Subject::Bucket(hasher) => Some(hasher.finish()),
        Subject::Skip | Subject::Deny => None,
    }
}

fn path(parts: &str, path: &str) -> Option<(u64, u64)> {
    hash(parts, &[(":path", path)], "")
}

#[test]
fn what_is_sent_apart_is_kept_apart() {
    let many: [&[(&str, &str)]; 7] = [
        &[("a", "1")],
        &[("a", "1"), ("a", "1")],
        &[("a", "1,1")],
        &[("a", "1"), ("b", "2")],
        &[("a", "12")],
        &[("a", "1"), ("a", "2")],
        &[("a", ""), ("a", "1")],
    ];
    let mut hashes: Vec<_> = many.iter().map(|headers| hash("a", headers, "").unwrap()).collect();
    assert_eq!(hashes[0], hashes[3], "what is no part does not matter");
    hashes.remove(3);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 6);
    let two = |a, b| hash("a b", &[("a", a), ("b", b)], "").unwrap();
    assert_ne!(two("1", "23"), two("12", "3"));
    let across = hash("a b", &[("a", "1"), ("a", "2"), ("b", "3")], "").unwrap();
    assert_ne!(across, hash("a b", &[("a", "1"), ("b", "2"), ("b", "3")], "").unwrap());
}

#[test]
fn a_part_that_says_nothing_is_missing() {
    assert_eq!(hash("a", &[], ""), None);
    assert_eq!(hash("a", &[("a", "")], ""), None);
    assert_eq!(hash("a b", &[("a", "1")], ""), None);
    assert_eq!(hash("address", &[], ""), None);
    assert_eq!(hash("cookie:c", &[("cookie", "d=1; c=")], ""), None);
    assert_eq!(path("query:q", "/a?q="), None);
    assert_eq!(path("template:/t/{id}", "/u/7"), None);
    assert_eq!(hash("hops:2", &[("x-forwarded-for", "1.1.1.1")], ""), None);
}

#[test]
fn a_client_is_its_address_whatever_its_port() {
    let same = |one: &str, other: &str| hash("address", &[], one) == hash("address", &[], other);
    assert!(same("10.0.0.1:5", "10.0.0.1:77"));
    assert!(same("10.0.0.1:5", "[::ffff:10.0.0.1]:5"));
    assert!(!same("10.0.0.1:5", "10.0.0.2:5"));
    assert!(same("[2001:db8::1]:5", "[2001:db8::ffff:1]:6"), "a customer has a /64");
    assert!(!same("[2001:db8::1]:5", "[2001:db8:0:1::1]:5"));
    assert!(hash("address", &[], "/run/a.sock").is_some());
}

#[test]
fn a_client_cannot_write_itself_into_the_trusted_hops() {
    let of = |lines: &[&str]| {
        let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        hash("hops:2", &headers, "")
    };
    let honest = of(&["1.1.1.1, 9.9.9.9"]);
    assert!(honest.is_some());
    assert_eq!(of(&["6.6.6.6,1.1.1.1,9.9.9.9"]), honest);
    assert_eq!(of(&["6.6.6.6", "1.1.1.1", "9.9.9.9:80"]), honest);
    assert_eq!(of(&["1.1.1.1", "garbage", "9.9.9.9"]), None);
}

#[test]
fn the_variables_of_a_path_are_the_key() {
    let of = |text| path("template:/t/{tenant}/{**}", text);
    assert!(of("/t/acme/a").is_some());
    assert_eq!(of("/t/acme/a"), of("/t/%61cme/b/c?x=1"));
    assert_ne!(of("/t/acme/a"), of("/t/other/a"));
    let ends = |text| path("template:/{**}/v/{version}", text);
    assert_eq!(ends("/a/b/v/7"), ends("/a/v/7"));
    assert_ne!(ends("/a/v/7"), ends("/a/v/8"));
}

#[test]
fn a_key_that_is_unclear_is_never_skipped() {
    for (parts, headers) in [
        ("path", [(":path", "/a;b")]),
        ("template:/t/{id}", [(":path", "/t%2f7")]),
        ("cookie:c", [("cookie", "c=1; c=2")]),
    ] {
        let of = |missing| subject(parts, missing, &headers, "");
        assert!(matches!(of(MissingKey::Skip), Subject::Bucket(_)), "{parts}");
        assert!(matches!(of(MissingKey::Deny), Subject::Deny), "{parts}");
        let shared = hash(parts, &headers, "");
        assert_eq!(shared, hash(parts, &[headers[0], ("x", "1")], ""));
    }
}

#[test]
fn a_parameter_and_a_cookie_are_keys() {
    assert_eq!(path("query:q", "/a?q=a%20b"), path("query:q", "/b?x=1&q=a+b"));
    assert_ne!(path("query:q", "/a?q=1"), path("query:q", "/a?q=1&q=1"));
    let cookie = |line| hash("cookie:c", &[("cookie", line)], "");
    assert_eq!(cookie("c=1"), cookie("d=2; c=1"));
    assert_ne!(cookie("c=1"), cookie("c=2"));
}
