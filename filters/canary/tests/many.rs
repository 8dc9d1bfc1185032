//! Many rollouts: each request is asked about by those that may be about it, and comes out as if all had asked.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod asked;

use asked::{Asked, Peer};

/// A hundred rollouts by host and path, and one about everything.
fn hundred() -> String {
    let mut rollouts: Vec<String> = (0..100)
        .map(|n| {
            let about = match n % 3 {
                0 => format!(r#"{{"paths":["/{n}","/{n}/*"]}}"#),
                1 => format!(r#"{{"hosts":["h{n}.example"]}}"#),
                _ => format!(r#"{{"hosts":["a.example"],"paths":["/{n}/*"],"methods":["GET"]}}"#),
            };
            format!(
                r#"{{"name":"r{n}","match":{about},"header":"x-r{n}","stable":"v1","key":[{{"header":"x-user"}}],"variants":[{{"name":"v2","weight":50}}]}}"#
            )
        })
        .collect();
    rollouts.insert(50, r#"{"name":"all","header":"x-all","stable":"v1","key":[{"header":"x-user"}],"variants":[{"name":"v2","weight":0}]}"#.to_owned());
    format!(r#"{{"rollouts":[{}]}}"#, rollouts.join(","))
}

#[test]
fn a_request_is_decided_by_those_that_are_about_it() {
    for (path, rules) in [
        ("/none", &["all"][..]),
        ("/3", &["r3", "all"]),
        ("/99/a", &["all", "r99"]),
        ("/5/a", &["r5", "all"]),
        ("/5", &["all"]),
        ("/3;a", &["all"]),
    ] {
        let asked = Asked::of(&hundred(), path, Peer::None, &[("x-user", "ann")]);
        let name = |evidence: &'_ String| evidence.split([':', '=']).nth(1).unwrap().to_owned();
        let names: Vec<String> = asked.evidence.iter().map(name).collect();
        assert_eq!(names, rules, "{path}");
    }
}

#[test]
fn the_headers_of_all_are_taken_from_clients() {
    let forged: Vec<String> = (0..100).map(|n| format!("X-R{n}")).collect();
    let lines: Vec<(&str, &str)> = forged.iter().map(|name| (name.as_str(), "v2")).collect();
    for path in ["/none", "/none;a"] {
        let asked = Asked::of(&hundred(), path, Peer::None, &lines);
        let left = forged.iter().filter(|name| !asked.upstream(&name.to_lowercase()).is_empty());
        assert_eq!(left.count(), 0);
        assert_eq!(asked.upstream("x-all"), ["v1"]);
    }
}
