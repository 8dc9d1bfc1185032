//! What is refused, and where.

use super::*;
use crate::route::Routes;

fn routes(document: &[u8]) -> Result<Routes, Invalid> {
    parse(document, &mut Metrics::default()).map(|telemetry| telemetry.classifier.routes)
}

#[track_caller]
fn refused(document: &str, pointer: &str, expected: &str) {
    let invalid = routes(document.as_bytes()).unwrap_err();
    assert_eq!(invalid.pointer, pointer, "{invalid}");
    assert!(invalid.expected.contains(expected), "{invalid}");
}

#[test]
fn nothing_at_all_means_no_routes() {
    assert!(routes(b"").unwrap().ranked().is_empty());
    assert!(routes(b"{}").unwrap().ranked().is_empty());
    refused(" ", "", "a JSON document");
}

#[test]
fn a_path_that_no_request_has_is_refused() {
    for path in [
        "",
        "a",
        "/a*",
        "/a//b",
        "/a/../b",
        "/%61/{id}",
        "/a b/{id}",
        "/x/{**}/.",
        "/a%2fb",
        "/{id}?q",
    ] {
        refused(&format!(r#"{{"routes":[{{"path":{path:?}}}]}}"#), "/routes/0/path", "canonical");
    }
    for path in ["/", "/{**}", "/{**}/", "/a/", "/{id}", "/a/{b}/c/{**}/d.html", "/caf%C3%A9", "/é"]
    {
        assert!(
            routes(format!(r#"{{"routes":[{{"path":{path:?}}}]}}"#).as_bytes()).is_ok(),
            "{path}"
        );
    }
}

#[test]
fn a_path_that_cannot_be_a_label_is_refused() {
    let long = "a".repeat(128);
    for path in ["/a=b", &format!("/{long}")] {
        refused(&format!(r#"{{"routes":[{{"path":{path:?}}}]}}"#), "/routes/0/path", "a label");
    }
}

#[test]
fn two_routes_for_the_same_requests_are_refused() {
    refused(
        r#"{"routes":[{"path":"/b"},{"path":"/a/{x}","methods":["GET","PUT"]},{"path":"/a/{y}"}]}"#,
        "/routes/2/path",
        "`/a/{x}` at /routes/1",
    );
    refused(r#"{"routes":[{"path":"/{**}/{a}"},{"path":"/{**}/{b}"}]}"#, "/routes/1/path", "");
    let apart =
        r#"{"routes":[{"path":"/a/{x}","methods":["GET"]},{"path":"/a/{y}","methods":["PUT"]}]}"#;
    assert_eq!(routes(apart.as_bytes()).unwrap().ranked().len(), 2);
}
