//! What counts as a token, by example.

use filter_core::HeaderMap;

use super::*;

fn found(place: &Place, lines: &[(&str, &str)]) -> Result<Option<String>, Reason> {
    let map = HeaderMap::from_pairs(lines.iter().copied());
    let token = place.token(Headers::new(&map, &[]))?;
    Ok(token.map(|token| String::from_utf8(token.into_owned()).unwrap()))
}

#[track_caller]
fn check(values: &[&str], expected: Result<Option<&str>, Reason>) {
    let lines: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
    let expected = expected.map(|token| token.map(str::to_owned));
    assert_eq!(found(&Place::usual()[0], &lines), expected, "{values:?}");
}

#[test]
fn the_scheme_is_read_in_any_case() {
    for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", " Bearer a.b.c "] {
        check(&[value], Ok(Some("a.b.c")));
    }
}

#[test]
fn another_scheme_is_no_token() {
    check(&[], Ok(None));
    for value in ["", "Basic YTpi", "BearerX a", "Bearer-2 a", "Foo Bearer a.b.c", "DPoP a.b.c"] {
        check(&[value], Ok(None));
    }
    check(&["Digest username=\"a\", realm=\"b\""], Ok(None));
}

#[test]
fn no_credential_hides_behind_another() {
    for values in [
        &["Bearer a", "Bearer a"][..],
        &["Bearer a", "Basic b"],
        &["Basic b", "Bearer a"],
        &["Basic b,Bearer a"],
        &["Basic b ,  bearer\ta"],
        &["Bearer a,Basic b"],
        &["Bearer a, Bearer a"],
        &["Bearer a,"],
    ] {
        check(values, Err(Reason::TokenRepeated));
    }
}

#[test]
fn a_scheme_without_a_token_is_malformed() {
    for value in ["Bearer", "Bearer ", "Bearer\ta.b.c", "Bearer:a", "Bearer=a", "Bearer \ta"] {
        check(&[value], Err(Reason::TokenMalformed));
    }
}

#[test]
fn a_prefix_is_a_scheme_or_a_text_or_nothing() {
    let header = |prefix: &str| Place::Header(HeaderName::literal("x-jwt"), Prefix::parse(prefix));
    for (prefix, value, token) in [
        ("", "a.b.c", Ok(Some("a.b.c"))),
        ("", "  a.b.c ", Ok(Some("a.b.c"))),
        ("", "", Ok(None)),
        ("", "a,b", Err(Reason::TokenRepeated)),
        ("Token ", "token a", Ok(Some("a"))),
        ("Token ", "Tokena", Ok(None)),
        ("jwt=", "JWT=a", Ok(Some("a"))),
        ("jwt=", "jwt= a", Ok(Some("a"))),
        ("jwt=", "a", Ok(None)),
        ("jwt=", "jwt=", Err(Reason::TokenMalformed)),
        ("jwt=", "x, jwt=a", Err(Reason::TokenRepeated)),
        ("Bearer", "Bearer a", Ok(Some("a"))),
        (" ", " a", Ok(None)),
    ] {
        let expected = token.map(|token| token.map(str::to_owned));
        assert_eq!(found(&header(prefix), &[("x-jwt", value)]), expected, "{prefix:?} {value:?}");
    }
    let twice = [("x-jwt", "a"), ("X-JWT", "a")];
    assert_eq!(found(&header(""), &twice), Err(Reason::TokenRepeated));
}

#[test]
fn a_cookie_may_be_quoted_but_not_repeated() {
    let cookie = Place::Cookie("jwt".to_owned());
    for (lines, token) in [
        (&[("cookie", "a=1; jwt=x.y.z; b=2")][..], Ok(Some("x.y.z"))),
        (&[("cookie", "a=1"), ("cookie", "jwt=\"x.y.z\"")], Ok(Some("x.y.z"))),
        (&[("cookie", "jwt="), ("cookie", "JWT=1")], Ok(None)),
        (&[("cookie", "jwt=a; jwt=a")], Err(Reason::TokenRepeated)),
        (&[("cookie", "jwt=a"), ("cookie", "jwt=b")], Err(Reason::TokenRepeated)),
    ] {
        let expected = token.map(|token| token.map(str::to_owned));
        assert_eq!(found(&cookie, lines), expected, "{lines:?}");
    }
}

fn emptied(places: &[Place], map: &HeaderMap) -> Vec<Edit> {
    let mut emptied = Emptied::after(Vec::new());
    places.iter().for_each(|place| emptied.add(place));
    emptied.edits(Headers::new(map, &[]))
}

#[test]
fn places_are_emptied_and_their_neighbours_stay() {
    let lines = [
        (":path", "/a?t=1&b=2"),
        ("authorization", "Bearer a"),
        ("cookie", "x=1; jwt=a;y=2"),
        ("cookie", "z=3"),
    ];
    let map = HeaderMap::from_pairs(lines);
    let mut places = Place::usual();
    places.extend([Place::Param("t".to_owned()), Place::Cookie("jwt".to_owned())]);
    assert_eq!(
        emptied(&places, &map),
        [
            Edit::Remove(HeaderName::literal("authorization")),
            Edit::Set(HeaderName::literal(":path"), b"/a?b=2".to_vec()),
            Edit::Set(HeaderName::literal("cookie"), b"x=1; y=2; z=3".to_vec()),
        ]
    );
    let map = HeaderMap::from_pairs([("cookie", "jwt=a")]);
    assert_eq!(emptied(&places[3..], &map), [Edit::Remove(HeaderName::literal("cookie"))]);
}
