//! Routes: those that are listed, those of OpenAPI documents, those of gRPC services.

use filter_core::Invalid;
use filter_core::config::{Object, Span, Whole};
use filter_core::matching::{NonEmpty, PathTemplate};
use filter_core::metrics::LabelValue;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::grpc::RawService;
use crate::method::{Method, Methods};
use crate::openapi;
use crate::route::{Route, Routes};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawRoute {
    path: String,
    methods: Option<NonEmpty<Method>>,
    operation: Option<String>,
    expected_codes: Option<NonEmpty<Whole>>,
    latency_threshold: Option<Span>,
}

/// An OpenAPI document: as it is, or as text in JSON.
pub(super) type RawDocument = Box<RawValue>;

/// A route, and where it stands.
pub(super) type Placed = (String, Route);

/// All routes together. Of those that would take the same requests one that is listed comes first, then one of a service
/// by its name, of descriptors in order, of documents in order.
pub(super) fn compile(
    listed: Vec<Object<RawRoute>>,
    documents: Vec<RawDocument>,
    services: Vec<Object<RawService>>,
) -> Result<Routes, Invalid> {
    let mut placed: Vec<Placed> = Vec::with_capacity(listed.len());
    for (position, Object(raw)) in listed.into_iter().enumerate() {
        let pointer = format!("/routes/{position}");
        let route = raw.compile().map_err(|invalid| invalid.under(&pointer))?;
        placed.push((format!("{pointer}/path"), route));
    }
    // Those of the list, those of services by name, and one for each set of descriptors.
    let sources = services.len().saturating_add(2);
    for (position, Object(raw)) in services.into_iter().enumerate() {
        let pointer = format!("/grpc/{position}");
        let routes = raw.compile(position).map_err(|invalid| invalid.under(&pointer))?;
        placed.extend(routes.into_iter().map(|(at, route)| (format!("{pointer}{at}"), route)));
    }
    for (position, document) in documents.iter().enumerate() {
        let pointer = format!("/openapi/{position}");
        let source = position.saturating_add(sources);
        let routes =
            document_routes(document, source).map_err(|invalid| invalid.under(&pointer))?;
        placed.extend(routes.into_iter().map(|(at, route)| (format!("{pointer}{at}"), route)));
    }
    let (pointers, routes): (Vec<String>, Vec<Route>) = placed.into_iter().unzip();
    let paths: Vec<String> =
        routes.iter().map(|route| route.template.as_str().to_owned()).collect();
    Routes::compile(routes).map_err(|clash| {
        let of = |all: &[String], position| all.get(position).cloned().unwrap_or_default();
        let first = of(&pointers, clash.first);
        let first = first.strip_suffix("/path").unwrap_or(&first);
        Invalid::at(
            of(&pointers, clash.second),
            format!(
                "a path, or methods, that tell it from `{}` at {first}",
                of(&paths, clash.first)
            ),
            format!("`{}`", of(&paths, clash.second)),
        )
    })
}

impl RawRoute {
    fn compile(self) -> Result<Route, Invalid> {
        let methods =
            self.methods.map_or(Methods::ALL, |methods| methods.into_vec().into_iter().collect());
        let route = route(&self.path, methods, 0).map_err(|invalid| invalid.under("/path"))?;
        let operation = self.operation.map(operation).transpose();
        let mut expected = Vec::new();
        for (position, code) in self.expected_codes.iter().flat_map(NonEmpty::iter).enumerate() {
            let known = u16::try_from(code.0).ok().filter(|code| (400..600).contains(code));
            expected.push(known.ok_or_else(|| {
                let pointer = format!("/expectedCodes/{position}");
                Invalid::at(pointer, "a status from 400 to 599", code.0.to_string())
            })?);
        }
        Ok(Route {
            operation: operation.map_err(|invalid| invalid.under("/operation"))?,
            expected,
            threshold: self.latency_threshold.map(|span| span.0),
            ..route
        })
    }
}

fn document_routes(document: &RawValue, source: usize) -> Result<Vec<Placed>, Invalid> {
    let text = document.get();
    let unquoted: Option<String> = serde_json::from_str(text).ok();
    let operations = openapi::operations(unquoted.as_deref().unwrap_or(text).as_bytes())?;
    let mut routes = Vec::with_capacity(operations.len());
    for each in operations {
        let methods = Methods::only(each.method);
        let route = route(&each.path, methods, source);
        let route = route.map_err(|invalid| invalid.under(&each.pointer))?;
        let operation = each.id.map(operation).transpose();
        let operation = operation.map_err(|invalid| invalid.under(&each.pointer))?;
        routes.push((each.pointer, Route { operation, ..route }));
    }
    Ok(routes)
}

pub(super) fn route(path: &str, methods: Methods, source: usize) -> Result<Route, Invalid> {
    let refused = |expected: &str| Invalid::at("", expected, format!("string {path:?}"));
    let template = PathTemplate::parse_with_parts(path).ok_or_else(|| {
        refused(
            "a canonical path like `/a/b`, `/a/{id}`, `/a/{id}.json` or `/a/{**}`, of one variable a segment at most",
        )
    })?;
    let label = LabelValue::parse(path).ok_or_else(|| {
        refused("a path that can be a label: at most 128 bytes, no control characters, `;` or `=`")
    })?;
    let (operation, expected, threshold) = (None, Vec::new(), None);
    Ok(Route { template, label, methods, operation, expected, threshold, source })
}

/// A name that may stand in logs and in labels of others.
fn operation(name: String) -> Result<String, Invalid> {
    if LabelValue::parse(&name).is_none() {
        let expected = "a name of 1 to 128 bytes, without control characters, `;` or `=`";
        return Err(Invalid::at("", expected, format!("string {name:?}")));
    }
    Ok(name)
}
