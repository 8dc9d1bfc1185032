//! Spans, as `opentelemetry/proto/trace/v1` numbers their fields.

use prost::Message;

use super::{KeyValue, Resource, Scope, nanos, number, text};
use crate::otlp::spans::Span;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

/// `SPAN_KIND_SERVER`.
const SERVER: i32 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;
/// That it is known whether the parent is in another process, and that it is.
const REMOTE_PARENT: u32 = 0x300;

/// The body of a request that exports these spans.
pub(in crate::otlp) fn request(resource: &[(String, String)], spans: Vec<Span>) -> Vec<u8> {
    let spans = spans.into_iter().map(wire).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(Scope::own()), spans }];
    let resource = Some(Resource::of(resource));
    Request { resource_spans: vec![ResourceSpans { resource, scope_spans }] }.encode_to_vec()
}

/// By OpenTelemetry's conventions for HTTP spans of servers.
fn wire(span: Span) -> WireSpan {
    let method = if span.method == "_OTHER" { "HTTP" } else { span.method };
    let name = match &span.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let failed = span.code.filter(|code| *code >= 500);
    let mut attributes = vec![text("http.request.method", span.method)];
    attributes.extend(span.route.map(|route| text("http.route", &route)));
    attributes.extend(span.code.map(|code| number("http.response.status_code", code)));
    attributes.extend(failed.map(|code| text("error.type", &code.to_string())));
    WireSpan {
        trace_id: span.place.trace.bytes().to_vec(),
        span_id: span.place.span.bytes().to_vec(),
        parent_span_id: span.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        name,
        kind: SERVER,
        start_time_unix_nano: nanos(span.begun),
        end_time_unix_nano: nanos(span.ended.max(span.begun)),
        attributes,
        status: failed.map(|_| Status { code: ERROR }),
        flags: u32::from(span.place.flags())
            | if span.parent.is_some() { REMOTE_PARENT } else { 0 },
    }
}
