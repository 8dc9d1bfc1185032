//! A bad configuration is refused with its place, and never replaces a good one.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use integration::discovered::Discovered;
use integration::refusal::{Refused, refusals};
use integration::{Bootstrap, Plugin, Request, Upstream, plugin, poll, validate};
use serde_json::{Value, json};

fn judge(filter: &str, configuration: Value) -> (bool, Vec<Refused>) {
    let mut bootstrap = Bootstrap::shipped("chain").unwrap();
    let plugin = Plugin { configuration, ..Plugin::shipped(filter, &Value::Null) };
    let demo = bootstrap.demo().unwrap().with_plugins(&[plugin]).unwrap();
    bootstrap.set_listeners(vec![demo]).unwrap();
    let validation = validate(&bootstrap).unwrap();
    (validation.accepted, refusals(&validation.log))
}

#[track_caller]
fn refused(filter: &str, document: &str, pointer: &str, found: &str) {
    let (accepted, lines) = judge(filter, plugin::text(document));
    let one =
        matches!(lines.as_slice(), [line] if line.pointer == pointer && line.found.contains(found));
    assert!(!accepted && one, "{document:?}: accepted: {accepted}, {lines:?}");
}

#[test]
fn what_is_no_document_is_refused_whole() {
    for filter in ["authz", "ratelimit", "canary", "suite"] {
        refused(filter, "", "", "empty");
        refused(filter, "{", "", "EOF");
        refused(filter, "\0\0\0\0", "", "");
    }
}

#[test]
fn what_is_no_text_is_refused_whole() {
    // 0xff 0xfe, as Envoy's bytes.
    let bytes = json!({"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "//4="});
    let (accepted, lines) = judge("authz", bytes);
    assert!(!accepted && lines.len() == 1, "{lines:?}");
}

#[test]
fn an_unknown_field_is_refused_where_it_stands() {
    let document = json!({"policies": [{"name": "a", "rules": [{}], "acton": "DENY"}]});
    refused("authz", &document.to_string(), "/policies/0/acton", "`acton`");
}

/// Istio passes numbers through float64.
#[test]
fn a_whole_number_may_be_written_as_a_float() {
    let limit = |max: &str| {
        format!(
            r#"{{"rules": [{{"name": "a", "tokenBucket": {{"maxTokens": {max}, "fillInterval": "1s"}}}}]}}"#
        )
    };
    for max in ["100.0", "1e2"] {
        let (accepted, lines) = judge("ratelimit", plugin::text(&limit(max)));
        assert!(accepted, "{max}: {lines:?}");
    }
    for max in ["1.5", "0", "-1", "1e300"] {
        refused("ratelimit", &limit(max), "/rules/0/tokenBucket/maxTokens", "");
    }
}

/// Allows all but one path.
fn all_but(path: &str) -> Value {
    plugin::text(
        &json!({"policies": [
            {"name": "closed", "action": "DENY", "rules": [{"to": [{"operation": {"paths": [path]}}]}]},
            {"name": "open", "rules": [{}]},
        ]})
        .to_string(),
    )
}

#[test]
fn a_running_envoy_keeps_its_last_good_configuration() {
    let upstream = Upstream::start("v1").unwrap();
    let authz = |configuration| Plugin { configuration, ..Plugin::shipped("authz", &Value::Null) };
    let mut envoy = Discovered::start(&authz(all_but("/first")), upstream.address()).unwrap();
    let statuses = |envoy: &mut Discovered| {
        ["/first", "/second"].map(|path| envoy.send(&Request::get(path)).unwrap().status)
    };
    assert_eq!(statuses(&mut envoy), [403, 200]);

    let float = json!({"policies": 1.5}).to_string();
    let wide = json!({"policies": [{"name": "wide", "rules": [{}], "unknown": true}]}).to_string();
    for document in ["", "{\"policies\": [", "\0\0\0", &float, &wide] {
        let verdict = envoy.push(&authz(plugin::text(document))).unwrap();
        assert!(!verdict.accepted, "{document:?}");
        assert_eq!(refusals(&verdict.log).len(), 1, "{document:?}: {}", verdict.log);
        for _ in 0..10 {
            assert_eq!(statuses(&mut envoy), [403, 200], "after {document:?}");
        }
    }

    assert!(envoy.push(&authz(all_but("/second"))).unwrap().accepted);
    // Accepted is what the main thread says; the workers follow.
    let next = poll::until(poll::DEADLINE, "the workers", || {
        (statuses(&mut envoy) == [200, 403]).then_some(())
    });
    assert_eq!(next, Ok(()));
}
