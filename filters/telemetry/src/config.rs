//! From the document to routes and what becomes of traces, or a refusal.

mod baggage;
mod otlp;
mod trace;

use std::collections::BTreeMap;

use filter_core::config::{Object, parse};
use filter_core::matching::{NonEmpty, PathTemplate};
use filter_core::metrics::LabelValue;
use filter_core::{Invalid, Metrics};
use serde::Deserialize;

use crate::method::{Method, Methods};
use crate::route::{Route, Routes};
use crate::trace::Tracing;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a JSON object")]
struct Raw {
    routes: Option<NonEmpty<Object<RawRoute>>>,
    trace_context: Option<Object<trace::RawTraceContext>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRoute {
    path: String,
    methods: Option<NonEmpty<Method>>,
}

/// The routes that the document lists, and what it says of traces. Nothing at all is how Istio sends `{}`.
pub(crate) fn read(
    document: &[u8],
    metrics: &mut Metrics,
) -> Result<(Routes, Option<Tracing>), Invalid> {
    let raw: Raw = parse(if document.is_empty() { b"{}" } else { document })?;
    let tracing = raw.trace_context.map(|Object(raw)| raw.compile(metrics)).transpose();
    let tracing = tracing.map_err(|invalid| invalid.under("/traceContext"))?;
    Ok((routes(raw.routes)?, tracing))
}

fn routes(raw: Option<NonEmpty<Object<RawRoute>>>) -> Result<Routes, Invalid> {
    let raw = raw.map(NonEmpty::into_vec).unwrap_or_default();
    let mut routes = Vec::with_capacity(raw.len());
    for (position, Object(raw)) in raw.into_iter().enumerate() {
        routes.push(route(raw).map_err(|invalid| invalid.under(&format!("/routes/{position}")))?);
    }
    let paths: BTreeMap<usize, String> =
        routes.iter().map(|route| route.template.as_str().to_owned()).enumerate().collect();
    Routes::compile(routes).map_err(|clash| {
        let path = |position| paths.get(&position).map_or("", String::as_str);
        Invalid::at(
            format!("/routes/{}/path", clash.second),
            format!(
                "a path, or methods, that tell it from `{}` at /routes/{}",
                path(clash.first),
                clash.first
            ),
            format!("`{}`", path(clash.second)),
        )
    })
}

fn route(raw: RawRoute) -> Result<Route, Invalid> {
    let refused = |expected: &str| Invalid::at("/path", expected, format!("string {:?}", raw.path));
    let template = PathTemplate::parse(&raw.path).ok_or_else(|| {
        refused(
            "a canonical path like `/a/b`, `/a/{id}` or `/a/{**}`, each variable a whole segment",
        )
    })?;
    let label = LabelValue::parse(&raw.path).ok_or_else(|| {
        refused("a path that can be a label: at most 128 bytes, no control characters, `;` or `=`")
    })?;
    let methods =
        raw.methods.map_or(Methods::ALL, |methods| methods.into_vec().into_iter().collect());
    Ok(Route { template, label, methods })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(document: &[u8]) -> Result<Routes, Invalid> {
        read(document, &mut Metrics::default()).map(|(routes, _)| routes)
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
            refused(
                &format!(r#"{{"routes":[{{"path":{path:?}}}]}}"#),
                "/routes/0/path",
                "canonical",
            );
        }
        for path in
            ["/", "/{**}", "/{**}/", "/a/", "/{id}", "/a/{b}/c/{**}/d.html", "/caf%C3%A9", "/é"]
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
        let apart = r#"{"routes":[{"path":"/a/{x}","methods":["GET"]},{"path":"/a/{y}","methods":["PUT"]}]}"#;
        assert_eq!(routes(apart.as_bytes()).unwrap().ranked().len(), 2);
    }
}
