//! What the collector was told, read with OpenTelemetry's own definitions.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use proof::Fault;
use prost::Message as _;
use serde_json::Value;

/// A span, and who told of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    /// `service.name`.
    pub(crate) service: String,
    /// The identity of the proxy that sent it, by its certificate.
    pub(crate) sender: String,
    pub(crate) trace: String,
    pub(crate) span: String,
    /// Empty where the trace begins.
    pub(crate) parent: String,
    pub(crate) name: String,
}

/// All spans in the log of an application with RECORD.
pub(crate) fn read(log: &str) -> Result<Vec<Told>, Fault> {
    let mut all = Vec::new();
    for line in log.lines() {
        let delivery: Value =
            serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        let text = |path| delivery.pointer(path).and_then(Value::as_str).unwrap_or_default();
        if text("/headers/content-type") != "application/x-protobuf" {
            return Err(format!("not protobuf: {line}"));
        }
        let certificate = text("/headers/x-forwarded-client-cert");
        let sender = certificate.split("URI=").nth(1).unwrap_or_default();
        let body = bytes(text("/body"))?;
        let request = ExportTraceServiceRequest::decode(body.as_slice())
            .map_err(|error| error.to_string())?;
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|one| one.key == "service.name");
            let service = match service.and_then(|one| one.value?.value) {
                Some(Any::StringValue(name)) => name,
                other => return Err(format!("a service called {other:?}")),
            };
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            all.extend(spans.map(|span| told(&service, sender, &span)));
        }
    }
    Ok(all)
}

fn told(service: &str, sender: &str, span: &Span) -> Told {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Told {
        service: service.to_owned(),
        sender: sender.to_owned(),
        trace: hex(&span.trace_id),
        span: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
    }
}

fn bytes(digits: &str) -> Result<Vec<u8>, Fault> {
    let pair = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = (0..digits.len()).step_by(2).map(pair).collect::<Option<_>>();
    bytes.ok_or_else(|| format!("not hexadecimal: {digits}"))
}
