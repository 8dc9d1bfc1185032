//! Routes out of an OpenAPI 3 document: one for each operation, below the path of each server.

use std::collections::BTreeMap;

use filter_core::Invalid;
use filter_core::config::step;
use serde::Deserialize;

use crate::method::Method;

/// An operation of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The whole path, as a template.
    pub(crate) path: String,
    /// The method.
    pub(crate) method: Method,
    /// Its `operationId`, if it has one.
    pub(crate) id: Option<String>,
    /// Where it stands, as a JSON Pointer.
    pub(crate) pointer: String,
}

/// What is read of a document. Whatever else is in it says nothing about routes.
#[derive(Deserialize)]
#[serde(expecting = "an OpenAPI document")]
struct Raw {
    openapi: String,
    #[serde(default)]
    servers: Vec<RawServer>,
    #[serde(default)]
    paths: BTreeMap<String, RawItem>,
}

#[derive(Deserialize)]
struct RawServer {
    url: String,
    #[serde(default)]
    variables: BTreeMap<String, RawVariable>,
}

#[derive(Deserialize)]
struct RawVariable {
    default: String,
}

#[derive(Deserialize)]
struct RawItem {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    servers: Option<Vec<RawServer>>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOperation {
    operation_id: Option<String>,
    servers: Option<Vec<RawServer>>,
}

/// The operations of a document in JSON.
///
/// # Errors
/// When it is no OpenAPI 3 document, or a path cannot be told from it alone.
pub(crate) fn operations(document: &[u8]) -> Result<Vec<Operation>, Invalid> {
    let raw: Raw = filter_core::config::parse_foreign(document)?;
    if !raw.openapi.starts_with("3.") {
        return Err(Invalid::at("/openapi", "a version 3", format!("`{}`", raw.openapi)));
    }
    let mut operations = Vec::new();
    for (path, item) in raw.paths {
        // Extensions may stand among the paths.
        if path.starts_with("x-") {
            continue;
        }
        let pointer = format!("/paths{}", step(&path));
        if let Some(reference) = item.reference {
            let pointer = format!("{pointer}/$ref");
            return Err(Invalid::at(pointer, "the path itself", format!("`{reference}`")));
        }
        let servers = item.servers.as_ref().unwrap_or(&raw.servers);
        for (word, value) in item.others {
            let Some(method) = Method::of_word(&word) else { continue };
            let pointer = format!("{pointer}/{word}");
            let operation: RawOperation = serde_json::from_value(value)
                .map_err(|error| Invalid::at(&pointer, "an operation", error.to_string()))?;
            let bases = bases(operation.servers.as_ref().unwrap_or(servers))
                .map_err(|url| Invalid::at(&pointer, "servers with URLs", format!("`{url}`")))?;
            operations.extend(bases.into_iter().map(|base| Operation {
                path: format!("{base}{path}"),
                method,
                id: operation.operation_id.clone(),
                pointer: pointer.clone(),
            }));
        }
    }
    Ok(operations)
}

/// The paths of these servers, each once; one that is empty where there are none (OpenAPI 3.1 §4.8.1).
fn bases(servers: &[RawServer]) -> Result<Vec<String>, String> {
    let mut bases = Vec::new();
    for server in servers {
        let mut url = server.url.clone();
        for (name, variable) in &server.variables {
            url = url.replace(&format!("{{{name}}}"), &variable.default);
        }
        let base = base(&url).ok_or(url.clone())?;
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    if bases.is_empty() {
        bases.push(String::new());
    }
    Ok(bases)
}

/// The path of a URL, absolute or from the root, without its last slash.
fn base(url: &str) -> Option<String> {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let path = match url.split_once("://") {
        Some((_, rest)) => {
            rest.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}"))
        }
        None if url.is_empty() || url.starts_with('/') => url.to_owned(),
        None => return None,
    };
    Some(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
