//! Routes of gRPC services: by name, or as a set of descriptors has them.

use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use filter_core::Invalid;
use filter_core::config::Span;
use filter_core::matching::NonEmpty;
use serde::Deserialize;

use super::routes::{Placed, route};
use crate::descriptor::{self, Service};
use crate::method::{Method, Methods};
use crate::route::Route;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RawService {
    service: Option<String>,
    methods: Option<NonEmpty<String>>,
    /// These two as Envoy's `GrpcJsonTranscoder` calls them, in either spelling of protobuf's JSON.
    #[serde(alias = "proto_descriptor_bin")]
    proto_descriptor_bin: Option<String>,
    services: Option<NonEmpty<String>>,
    latency_threshold: Option<Span>,
}

/// The source of services by name: the second, after what is listed.
const BY_NAME: usize = 1;

impl RawService {
    /// The routes of what stands at `position`. Each set of descriptors is a source of its own.
    pub(super) fn compile(self, position: usize) -> Result<Vec<Placed>, Invalid> {
        let Self { service, methods, proto_descriptor_bin, services, latency_threshold } = self;
        let placed = match (service, proto_descriptor_bin) {
            (Some(service), None) if services.is_none() => by_name(&service, methods)?,
            (None, Some(encoded)) if methods.is_none() => {
                let source = BY_NAME.saturating_add(1).saturating_add(position);
                described(&encoded, services.as_ref(), source)?
            }
            (Some(_), None) => {
                return Err(Invalid::at("/services", "`protoDescriptorBin` with it", "`service`"));
            }
            (None, Some(_)) => {
                return Err(Invalid::at("/methods", "`service` with it", "`protoDescriptorBin`"));
            }
            (found, _) => {
                let found = if found.is_some() { "both" } else { "neither" };
                return Err(Invalid::at("", "either `service` or `protoDescriptorBin`", found));
            }
        };
        let threshold = latency_threshold.map(|span| span.0);
        let with = |(pointer, route)| (pointer, Route { threshold, ..route });
        Ok(placed.into_iter().map(with).collect())
    }
}

fn is_full_name(text: &str) -> bool {
    text.split('.').all(is_word)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn by_name(service: &str, methods: Option<NonEmpty<String>>) -> Result<Vec<Placed>, Invalid> {
    if !is_full_name(service) {
        let expected = "a service's full name like `shop.v1.Catalogue`";
        return Err(Invalid::at("/service", expected, format!("`{service}`")));
    }
    let Some(methods) = methods else {
        let path = format!("/{service}/{{method}}");
        let route = route(&path, post(), BY_NAME).map_err(|invalid| invalid.under("/service"))?;
        return Ok(vec![("/service".to_owned(), route)]);
    };
    let each = methods.iter().enumerate().map(|(position, method)| {
        let pointer = format!("/methods/{position}");
        if !is_word(method) {
            let expected = "a method's name like `List`";
            return Err(Invalid::at(pointer, expected, format!("`{method}`")));
        }
        let route = method_route(service, method, BY_NAME);
        let route = route.map_err(|invalid| invalid.under(&pointer))?;
        Ok((pointer, route))
    });
    each.collect()
}

/// The routes of every method that is described, or of those of some services.
fn described(
    encoded: &str,
    chosen: Option<&NonEmpty<String>>,
    source: usize,
) -> Result<Vec<Placed>, Invalid> {
    const POINTER: &str = "/protoDescriptorBin";
    let refused = |found: &str| {
        let expected =
            "a FileDescriptorSet of gRPC services (`protoc --descriptor_set_out`), in base64";
        Invalid::at(POINTER, expected, found)
    };
    let set = decoded(encoded).ok_or_else(|| refused("what is no base64"))?;
    let all = descriptor::services(&set).ok_or_else(|| refused("what is no such set"))?;
    for (position, name) in chosen.iter().flat_map(|chosen| chosen.iter()).enumerate() {
        if !all.iter().any(|service| service.name == *name) {
            let names: Vec<&str> = all.iter().map(|service| service.name.as_str()).collect();
            let expected = format!("one of the set's services: `{}`", names.join("`, `"));
            return Err(Invalid::at(
                format!("/services/{position}"),
                expected,
                format!("`{name}`"),
            ));
        }
    }
    let wanted = |service: &&Service| {
        chosen.is_none_or(|chosen| chosen.iter().any(|name| *name == service.name))
    };
    let mut placed = Vec::new();
    for Service { name, methods } in all.iter().filter(wanted) {
        for method in methods {
            if !is_full_name(name) || !is_word(method) {
                return Err(refused(&format!("a method `{name}/{method}`")));
            }
            let route = method_route(name, method, source);
            placed.push((POINTER.to_owned(), route.map_err(|invalid| invalid.under(POINTER))?));
        }
    }
    if placed.is_empty() {
        return Err(refused("one without methods"));
    }
    Ok(placed)
}

fn method_route(service: &str, method: &str, source: usize) -> Result<Route, Invalid> {
    let name = format!("{service}/{method}");
    let route = route(&format!("/{name}"), post(), source)?;
    Ok(Route { operation: Some(name), ..route })
}

fn post() -> Methods {
    Methods::only(Method::of(b"POST"))
}

/// Bytes as protobuf's JSON writes them: in either alphabet, padded or not.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let read = |alphabet: &Alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok();
    read(&STANDARD).or_else(|| read(&URL_SAFE))
}
