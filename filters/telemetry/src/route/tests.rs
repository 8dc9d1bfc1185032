//! The trie against the plain reading of the rules.

use proptest::prelude::*;

use super::*;

fn route(text: &str, methods: Methods) -> Route {
    Route {
        template: PathTemplate::parse_with_parts(text).unwrap(),
        label: LabelValue::parse(text).unwrap(),
        methods,
        operation: None,
        expected: Vec::new(),
        threshold: None,
        source: 0,
    }
}

fn compile(texts: &[&str]) -> Routes {
    Routes::compile(texts.iter().map(|text| route(text, Methods::ALL)).collect()).unwrap()
}

fn found<'a>(routes: &'a Routes, path: &str) -> Option<&'a str> {
    let rank = routes.find(path.as_bytes(), Method::of(b"GET"))?;
    routes.ranked().get(rank).map(|route| route.template.as_str())
}

#[test]
fn the_more_particular_route_wins() {
    for (routes, path, best) in [
        (&["/a/{x}", "/a/b"][..], "/a/b", "/a/b"),
        (&["/{x}/{y}", "/{x}/b"], "/a/b", "/{x}/b"),
        (&["/{x}/b", "/aa/{y}"], "/aa/b", "/aa/{y}"),
        (&["/{x}/b", "/a/{y}"], "/a/b", "/a/{y}"),
        (&["/{**}", "/{x}/{y}"], "/a/b", "/{x}/{y}"),
        (&["/a/b/{**}", "/{x}/{y}/{z}"], "/a/b/c", "/{x}/{y}/{z}"),
        (&["/{**}", "/a/{**}", "/{**}/c"], "/a/b/c", "/a/{**}"),
        (&["/{**}", "/a/{**}", "/{**}/cc"], "/a/b/cc", "/{**}/cc"),
        (&["/{**}", "/{x}/"], "/a/", "/{x}/"),
        (&["/a/{x}", "/a/{x}.json", "/a/b.json"], "/a/b.json", "/a/b.json"),
        (&["/a/{x}", "/a/{x}.json", "/a/b.json"], "/a/c.json", "/a/{x}.json"),
        (&["/a/{x}", "/a/{x}.json", "/a/b.json"], "/a/.json", "/a/{x}"),
        (&["/{x}:stop", "/{x}p", "/r{x}:stop"], "/r1:stop", "/r{x}:stop"),
        (&["/{x}op", "/r{x}p"], "/r1:stop", "/r{x}p"),
        (&["/{x}op/b{y}", "/{x}p/b{y}x"], "/r1:stop/b1x", "/{x}op/b{y}"),
        (&["/{x}/b", "/a{y}/{z}"], "/ac/b", "/{x}/b"),
        (&["/a{x}/{y}", "/{x}/a{y}b"], "/ac/acb", "/{x}/a{y}b"),
    ] {
        for order in [routes.to_vec(), routes.iter().rev().copied().collect()] {
            assert_eq!(found(&compile(&order), path), Some(best), "{routes:?} on {path}");
        }
    }
}

#[test]
fn paths_are_grouped_as_by_skywalking() {
    // Apache SkyWalking, EndpointGroupingRuleReader4OpenapiTest and PatternTreeTest.
    let routes = compile(&[
        "/products",
        "/products/{id}",
        "/products/{id}/relatedProducts",
        "/products/{id}/reorder/extra",
        "/customers/{id}",
    ]);
    for (path, expected) in [
        ("/products", Some("/products")),
        ("/products/123", Some("/products/{id}")),
        ("/products/1/relatedProducts", Some("/products/{id}/relatedProducts")),
        ("/products/123/reorder", None),
        ("/products/123/abc/ef", None),
        ("/products/", None),
        ("/products/123/", None),
        ("/customers/1/123", None),
        ("/abc", None),
    ] {
        assert_eq!(found(&routes, path), expected, "{path}");
    }
}

#[test]
fn methods_tell_routes_apart_before_precedence_does() {
    let only = |name: &[u8]| [Method::of(name)].into_iter().collect();
    let routes = vec![
        route("/a/b", only(b"PUT")),
        route("/a/{x}", only(b"GET")),
        route("/a/{y}", only(b"POST")),
        route("/{**}", Methods::ALL),
    ];
    let routes = Routes::compile(routes).unwrap();
    for (method, expected) in
        [("PUT", "/a/b"), ("GET", "/a/{x}"), ("POST", "/a/{y}"), ("PURGE", "/{**}")]
    {
        let rank = routes.find(b"/a/b", Method::of(method.as_bytes())).unwrap();
        assert_eq!(routes.ranked()[rank].template.as_str(), expected, "{method}");
    }
}

#[test]
fn a_clash_names_both_by_their_place_in_the_document() {
    let routes = ["/a", "/{x}/b", "/c/{**}", "/{y}/b"];
    let routes = routes.iter().map(|text| route(text, Methods::ALL)).collect();
    assert_eq!(Routes::compile(routes).unwrap_err(), Clash { first: 1, second: 3 });
}

/// How good a segment is: its kind, how many of its bytes are literal, and how many of those come first.
type Segmented = (u8, Reverse<usize>, Reverse<usize>);

/// The rule as documented, over the template's text.
fn reference(text: &str) -> (bool, usize, Reverse<usize>, Vec<Segmented>) {
    let parts: Vec<&str> = text.split('/').skip(1).collect();
    let rest = parts.contains(&"{**}");
    let variables = parts.iter().filter(|part| part.contains('{')).count() - usize::from(rest);
    let literal = |part: &str| match (part.find('{'), part.find('}')) {
        (Some(begin), Some(end)) => (begin, part.len() - (end - begin + 1)),
        _ => (part.len(), part.len()),
    };
    let bytes = parts.iter().map(|part| literal(part).1).sum();
    let left = parts.iter().map(|part| match (*part, literal(part)) {
        ("{**}", _) => (3, Reverse(0), Reverse(0)),
        (_, (_, 0)) if part.contains('{') => (2, Reverse(0), Reverse(0)),
        (_, (before, all)) if part.contains('{') => (1, Reverse(all), Reverse(before)),
        _ => (0, Reverse(0), Reverse(0)),
    });
    (rest, variables, Reverse(bytes), left.collect())
}

fn templates() -> impl Strategy<Value = Vec<(String, u8)>> {
    let part = prop::sample::select(vec![
        "a", "b", "bb", "{x}", "{y}", "{**}", "a{x}", "{x}b", "{y}b", "{x}bb", "a{x}b", "b{x}b",
    ]);
    let text = (prop::collection::vec(part, 0..5), any::<bool>()).prop_map(|(parts, folder)| {
        let end = if folder || parts.is_empty() { "/" } else { "" };
        format!("{}{end}", parts.iter().map(|part| format!("/{part}")).collect::<String>())
    });
    prop::collection::vec((text, 1_u8..4), 0..12)
}

proptest! {
    #[test]
    fn the_trie_finds_what_the_rules_say(
        templates in templates(),
        paths in prop::collection::vec("(/(a|b|bb|c|ab|acb|abb|bcbb)){0,6}/?", 1..12),
    ) {
        // Those that parse, and take no request away from one before them.
        let mut routes: Vec<Route> = Vec::new();
        for (text, methods) in &templates {
            let methods = [(1, "GET"), (2, "PUT")].into_iter().filter(|(bit, _)| methods & bit != 0);
            let methods = methods.map(|(_, name)| Method::of(name.as_bytes())).collect();
            if PathTemplate::parse_with_parts(text).is_some() {
                routes.push(route(text, methods));
                if Routes::compile(routes.clone()).is_err() {
                    routes.pop();
                }
            }
        }
        let compiled = Routes::compile(routes.clone()).unwrap();
        for path in paths.iter().filter(|path| path.starts_with('/')) {
            for method in ["GET", "PUT", "PURGE"].map(|name| Method::of(name.as_bytes())) {
                let matching = routes.iter().filter(|route| {
                    route.methods.contains(method) && route.template.matches(path.as_bytes())
                });
                let best = matching.map(|route| route.template.as_str()).min_by_key(|text| reference(text));
                let found = compiled.find(path.as_bytes(), method);
                prop_assert_eq!(
                    found.map(|rank| compiled.ranked()[rank].template.as_str()), best, "{}", path
                );
            }
        }
    }

    #[test]
    fn only_two_routes_for_one_request_clash(templates in templates(), path in "(/(a|b|bb|c|ab|acb|abb|bcbb)){1,6}/?") {
        let routes: Vec<Route> = templates
            .iter()
            .filter(|(text, _)| PathTemplate::parse_with_parts(text).is_some())
            .map(|(text, _)| route(text, Methods::ALL))
            .collect();
        if Routes::compile(routes.clone()).is_ok() {
            let matching = routes.iter().filter(|route| route.template.matches(path.as_bytes()));
            let mut ranks: Vec<_> = matching.map(|route| reference(route.template.as_str())).collect();
            let count = ranks.len();
            ranks.sort();
            ranks.dedup();
            prop_assert_eq!(ranks.len(), count, "no two are equally good");
        }
    }
}

/// As many routes as that, of seven shapes.
fn many(count: usize) -> Routes {
    let of = |number: usize| match number % 7 {
        0 => format!("/r{number}"),
        1 => format!("/r{number}/{{id}}"),
        2 => format!("/r{number}/{{id}}/items"),
        3 => format!("/shop/r{number}/{{id}}"),
        4 => format!("/shop/{{id}}/r{number}"),
        5 => format!("/files/{{name}}.r{number:04}"),
        _ => format!("/v1/r{number}/{{id}}:do"),
    };
    let texts: Vec<String> = (0..count).map(of).collect();
    compile(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn each_of_few_siblings_or_many_is_found() {
    for count in [1, FEW, FEW + 1, 100] {
        let texts: Vec<String> = (0..count).map(|number| format!("/a/r{number}/b")).collect();
        let routes = compile(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for text in &texts {
            assert_eq!(found(&routes, text), Some(text.as_str()), "{count}");
        }
        assert_eq!(found(&routes, &format!("/a/r{count}/b")), None);
    }
}

#[test]
fn a_thousand_routes_take_as_many_steps_as_ten() {
    let (ten, thousand) = (many(10), many(1000));
    let get = Method::of(b"GET");
    for path in [
        "/r7",
        "/r8/42",
        "/r9/42/items",
        "/shop/r3/42",
        "/shop/42/r4",
        "/files/a.r0005",
        "/files/a.b",
        "/v1/r6/42:do",
        "/v1/r6/42:undo",
        "/nowhere",
        "/shop/nowhere/at/all",
        "/",
    ] {
        let [few, many] =
            [&ten, &thousand].map(|routes| routes.look_up(path.as_bytes(), get).steps);
        // The order in which routes rank may cut a search short or not: one step.
        assert!(many.abs_diff(few) <= 1, "{path}: {few}, {many}");
        assert!(many <= 6, "{path}: {many}");
    }
}

#[test]
fn of_two_sources_the_first_takes_what_both_would() {
    let listed = route("/a/{x}", [Method::of(b"GET")].into_iter().collect());
    let document = Route { source: 1, ..route("/a/{y}", Methods::ALL) };
    let routes = Routes::compile(vec![document.clone(), listed.clone()]).unwrap();
    let found = |method: &[u8]| {
        let rank = routes.find(b"/a/b", Method::of(method)).unwrap();
        routes.ranked().get(rank).unwrap().template.as_str()
    };
    assert_eq!((found(b"GET"), found(b"PUT")), ("/a/{x}", "/a/{y}"));
    let shadowed = Routes::compile(vec![listed.clone(), Route { source: 1, ..listed }]).unwrap();
    assert_eq!(shadowed.ranked().len(), 1);
}
