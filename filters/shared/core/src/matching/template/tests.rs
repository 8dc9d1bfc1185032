//! What templates match, and what is none.

use super::*;

#[test]
fn segments_match_as_in_istio() {
    // Istio, pilot/pkg/security/authz TestAuthz_PathTemplating.
    for (template, path, matches) in [
        ("/allow/admin/{**}", "/allow/admin/", true),
        ("/allow/admin/{**}", "/allow/admin", false),
        ("/allow/admin/{**}", "/allow/admin/a/b", true),
        ("/foo/{*}/bar/{**}", "/foo/buzz/bar/bat.txt", true),
        ("/foo/{*}/bar/{**}", "/foo//bar/bat.txt", false),
        ("/foo/{*}/bar/{**}", "/foo/a/b/bar/x", false),
        ("/store/{**}/cart", "/store//cart", true),
        ("/store/{**}/cart", "/store/a/b/cart", true),
        ("/store/{**}/cart", "/store/cart", false),
        ("/users/{id}", "/users/42", true),
        ("/users/{id}", "/users/", false),
        ("/users/{id}", "/users/42/", false),
        ("/users/{id}/", "/users/42/", true),
        ("/", "/", true),
        ("/{**}", "/", true),
        ("/{*}", "/", false),
        ("/odata/{*}", "/odata/Products(1)%20x\u{ff}", true),
    ] {
        assert_eq!(
            PathTemplate::parse(template).unwrap().matches(path.as_bytes()),
            matches,
            "{template} on {path}"
        );
    }
}

#[test]
fn a_variable_gives_its_segment() {
    let template = PathTemplate::parse("/t/{tenant}/{**}/v/{version}/end").unwrap();
    let path = b"/t/acme/a/b/v/7/end";
    assert!(template.matches(path));
    assert_eq!(template.segment("tenant", path), Some(&b"acme"[..]));
    assert_eq!(template.segment("version", path), Some(&b"7"[..]));
    assert_eq!(template.segment("other", path), None);
    assert!(template.names_once("tenant") && !template.names_once("other"));
    assert!(!PathTemplate::parse("/{a}/{a}").unwrap().names_once("a"));
}

#[test]
fn envoys_variables_stand_for_fewer_bytes() {
    let template = PathTemplate::parse("/odata/{*}/{**}/{id}").unwrap();
    for (path, envoy) in [
        ("/odata/Products(1)/x/y", true),
        ("/odata/a%20b//y", true),
        ("/odata/\u{ff}/x/y", false),
        ("/odata/a/\u{ff}/y", false),
        ("/odata/a/x/\u{ff}", false),
        ("/odata/a/x|/y", false),
    ] {
        assert!(template.matches(path.as_bytes()), "{path}");
        assert_eq!(template.matches_as_in_envoy(path.as_bytes()), envoy, "{path}");
    }
}

#[test]
fn a_variable_may_be_a_part_of_a_segment_where_that_is_wanted() {
    for (template, path, matches) in [
        ("/files/{name}.json", "/files/a.json", true),
        ("/files/{name}.json", "/files/a.b.json", true),
        ("/files/{name}.json", "/files/.json", false),
        ("/files/{name}.json", "/files/a/.json", false),
        ("/v1/{id}:cancel", "/v1/7:cancel", true),
        ("/v1/{id}:cancel", "/v1/7:cancelled", false),
        ("/v1/{id}:cancel", "/v1/7%3Acancel", false),
        ("/aa{x}aa", "/aaaa", false),
        ("/aa{x}aa", "/aaaaa", true),
        ("/{**}/r-{*}/x", "/a/b/r-1/x", true),
        ("/{**}/r-{*}/x", "/a/b/r-/x", false),
        ("/{id}/b", "/a/b", true),
    ] {
        let parsed = PathTemplate::parse_with_parts(template).unwrap();
        assert_eq!(parsed.matches(path.as_bytes()), matches, "{template} on {path}");
    }
    for text in
        ["/{a}{b}", "/{a}-{b}", "/{a", "/a}", "/x{}", "/x{**}", "/x{a b}", "/%4{x}", "/x{a}*"]
    {
        assert_eq!(PathTemplate::parse_with_parts(text), None, "{text}");
    }
    let part = PathTemplate::parse_with_parts("/a{id}/{id}").unwrap();
    assert_eq!(part.segment("id", b"/a1/2"), Some(&b"2"[..]));
}

#[test]
fn half_segments_and_doubled_rests_are_refused() {
    for text in [
        "",
        "a",
        "/a{id}",
        "/{id}b",
        "/{",
        "/{}",
        "/{a b}",
        "/{**}/{**}",
        "/a*",
        "/a//b",
        "//",
        "/{**}//a",
        "/a//{**}",
    ] {
        assert_eq!(PathTemplate::parse(text), None, "{text}");
    }
}
