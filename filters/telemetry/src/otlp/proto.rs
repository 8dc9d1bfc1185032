//! The part of OTLP that is spoken here, as `opentelemetry/proto` numbers its fields. The tests read it with the official
//! definitions.

pub(super) mod metrics;
pub(super) mod spans;

use std::time::Duration;

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// The answer, to spans and to metrics alike.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
}

impl Resource {
    fn of(attributes: &[(String, String)]) -> Self {
        Self { attributes: attributes.iter().map(|(key, value)| text(key, value)).collect() }
    }
}

impl Scope {
    fn own() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { name: "outrigger.telemetry".to_owned(), version }
    }
}

/// How much of what was sent the collector says that it has no use for. An answer that is none says nothing.
pub(super) fn rejected(body: &[u8]) -> u64 {
    let partial = Response::decode(body).ok().and_then(|response| response.partial_success);
    partial.and_then(|partial| u64::try_from(partial.rejected).ok()).unwrap_or_default()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::Text(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::Number(value))
}

fn flag(key: &str) -> KeyValue {
    attribute(key, Value::Flag(true))
}

/// A time since the epoch.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
