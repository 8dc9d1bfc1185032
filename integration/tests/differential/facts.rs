//! That the translation is istiod's: what stands in istio/istio,
//! pilot/pkg/security/authz/builder/testdata/http/allow-full-rule-in.yaml and what allow-full-rule-out.yaml makes of it.

use serde_json::{Value, json};

use crate::native::{AUTHN, permission, principal};

#[test]
fn single_matchers_come_out_as_istiod_makes_them() {
    let present = |name| json!({"header": {"name": name, "present_match": true}});
    let host = |kind: &str, value| json!({"header": {"name": ":authority", "string_match": {kind: value, "ignore_case": true}}});
    for (key, value, expected) in [
        ("hosts", "exact.com", host("exact", "exact.com")),
        ("hosts", "*.suffix.com", host("suffix", ".suffix.com")),
        ("hosts", "prefix.*", host("prefix", "prefix.")),
        ("hosts", "*", present(":authority")),
        ("methods", "*", present(":method")),
        ("paths", "/prefix/*", json!({"url_path": {"path": {"prefix": "/prefix/"}}})),
        ("paths", "*", json!({"url_path": {"path": {"safe_regex": {"regex": ".+"}}}})),
        ("ports", "80", json!({"destination_port": 80})),
    ] {
        assert_eq!(permission(key, value), expected, "{key} {value}");
    }
    let template = permission("paths", "/{**}/path/template");
    assert_eq!(template["uri_template"]["typed_config"]["path_template"], "/**/path/template");

    let peer = |name: Value| json!({"authenticated": {"principal_name": name}});
    let subject = |issuer: Value, subject: Value| {
        let claim = |name: &str, value: Value| {
            let path = json!([{"key": "payload"}, {"key": name}]);
            json!({"metadata": {"filter": AUTHN, "path": path, "value": {"string_match": value}}})
        };
        json!({"and_ids": {"ids": [claim("iss", issuer), claim("sub", subject)]}})
    };
    let regex = |regex: &str| json!({"safe_regex": {"regex": regex}});
    for (key, value, expected) in [
        ("source.principal", "principal", peer(json!({"exact": "spiffe://principal"}))),
        (
            "source.principal",
            "principal-prefix-*",
            peer(json!({"prefix": "spiffe://principal-prefix-"})),
        ),
        ("source.principal", "*-suffix-principal", peer(regex("spiffe://.*-suffix-principal"))),
        ("source.principal", "*", peer(regex(".+"))),
        ("source.namespace", "ns", peer(regex(".*/ns/ns/.*"))),
        ("source.namespace", "ns-prefix-*", peer(regex(".*/ns/ns-prefix-.*/.*"))),
        (
            "source.serviceAccount",
            "my-ns/my-sa",
            peer(regex("spiffe://.+/ns/my-ns/(.+/|)sa/my-sa(/.+)?")),
        ),
        (
            "source.serviceAccount",
            "sa-only",
            peer(regex("spiffe://.+/ns/foo/(.+/|)sa/sa-only(/.+)?")),
        ),
        (
            "source.ip",
            "10.10.10.10",
            json!({"direct_remote_ip": {"address_prefix": "10.10.10.10", "prefix_len": 32}}),
        ),
        (
            "remote.ip",
            "192.168.10.0/24",
            json!({"remote_ip": {"address_prefix": "192.168.10.0", "prefix_len": 24}}),
        ),
        (
            "request.headers[X-header]",
            "header-prefix-*",
            json!({"header": {"name": "X-header", "string_match": {"prefix": "header-prefix-"}}}),
        ),
        ("request.headers[X-header]", "*", present("X-header")),
        ("request.auth.principal", "*", subject(regex(".+"), regex(".+"))),
        (
            "request.auth.principal",
            "https://example.com/*",
            subject(json!({"exact": "https://example.com"}), regex(".+")),
        ),
    ] {
        assert_eq!(principal(key, value, "foo"), expected, "{key} {value}");
    }
}
