//! Routes out of an OpenAPI 3 document: one for each operation, below the path of each server.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use filter_core::Invalid;
use filter_core::config::step;
use filter_core::query::decoded;
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
#[serde(expecting = "a path item")]
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
    let references = References { document, parsed: OnceCell::new() };
    let mut operations = Vec::new();
    for (path, item) in raw.paths {
        // Extensions may stand among the paths.
        if path.starts_with("x-") {
            continue;
        }
        let pointer = format!("/paths{}", step(&path));
        let own: Vec<String> = item.others.keys().cloned().collect();
        let item = references.resolved(item).map_err(|invalid| invalid.under(&pointer))?;
        let servers = item.servers.as_ref().unwrap_or(&raw.servers);
        for (word, value) in item.others {
            let Some(method) = Method::of_word(&word) else { continue };
            let place = if own.contains(&word) { &word } else { "$ref" };
            let pointer = format!("{pointer}/{place}");
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

/// The most references that one path item may lead through.
const MAX_REFERENCES: usize = 8;

/// A document in which references of path items are looked up. It is read as a whole once there is one.
struct References<'d> {
    document: &'d [u8],
    parsed: OnceCell<serde_json::Value>,
}

impl References<'_> {
    /// A path item with what it refers to.
    fn resolved(&self, mut item: RawItem) -> Result<RawItem, Invalid> {
        const EXPECTED: &str = "a path item of this document, like `#/components/pathItems/NAME`";
        let mut steps = 0..MAX_REFERENCES;
        while let Some(reference) = item.reference.take() {
            let refused = |found| Invalid::at("/$ref", EXPECTED, found);
            if steps.next().is_none() {
                return Err(refused(format!("`{reference}`, over {MAX_REFERENCES} others")));
            }
            let missing = || refused(format!("`{reference}`"));
            let value = self.at(&reference).ok_or_else(missing)?;
            let other = RawItem::deserialize(value).map_err(|_| missing())?;
            item.reference = other.reference;
            item.servers = item.servers.or(other.servers);
            for (word, value) in other.others {
                // OpenAPI 3.1 §4.8.9.1 leaves open what a field means that is on both sides.
                if item.others.insert(word.clone(), value).is_some()
                    && Method::of_word(&word).is_some()
                {
                    let found = format!("`{word}`, as in `{reference}`");
                    return Err(Invalid::at("", "each operation once", found));
                }
            }
        }
        Ok(item)
    }

    /// What stands where a reference within the document points to (RFC 6901 §6).
    fn at(&self, reference: &str) -> Option<&serde_json::Value> {
        let pointer = decoded(reference.strip_prefix('#')?.as_bytes());
        let parse = || serde_json::from_slice(self.document).unwrap_or_default();
        self.parsed.get_or_init(parse).pointer(str::from_utf8(&pointer).ok()?)
    }
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
