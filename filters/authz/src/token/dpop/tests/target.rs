//! Which URIs are one.

use filter_core::Headers;

use super::*;

#[test]
fn a_uri_is_the_one_that_is_asked_for_however_it_is_spelt() {
    let map = |scheme: &'static str, authority: &'static str, path: &'static str| {
        request(&[(":scheme", scheme), (":authority", authority), (":path", path)])
    };
    let is = |uri: &str, map: &HeaderMap| super::super::target::is(uri, Headers::new(map, &[]));
    let https = map("https", "a.example", "/orders?page=2");
    for uri in [
        "https://a.example/orders",
        "HTTPS://A.Example:443/orders",
        "https://a.example./orders",
        "https://a.example/x/../orders",
        "https://a.example/%6Frders",
        "https://a.example/orders?other=1#part",
    ] {
        assert!(is(uri, &https), "{uri}");
    }
    for uri in [
        "http://a.example/orders",
        "https://a.example:8443/orders",
        "https://a.example/orders/",
        "https://a.example/Orders",
        "https://b@a.example/orders",
        "https://a.example",
        "//a.example/orders",
        "/orders",
        "",
    ] {
        assert!(!is(uri, &https), "{uri}");
    }
    assert!(is("https://a.example", &map("https", "a.example:443", "/")));
    assert!(is("http://a.example:80/", &map("http", "a.example", "/")));
    assert!(is("https://a.example/", &map("http", "a.example", "/")));
    assert!(!is("http://a.example:443/", &map("http", "a.example", "/")));
    // Of paths that servers read differently, only the same bytes are.
    assert!(is("https://a.example/a%2Fb", &map("https", "a.example", "/a%2Fb")));
    assert!(!is("https://a.example/a%2fb", &map("https", "a.example", "/a%2Fb")));
}
