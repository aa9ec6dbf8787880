//! What the receiver keeps of the spans it is sent.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use vitalsign::trace::tree::Node;
use vitalsign::trace::{SpanId, TraceId};

/// A span as the tree shows it, and whether it waits for another process.
pub(crate) struct Received {
    pub(crate) node: Node,
    pub(crate) calls_out: bool,
}

/// The spans of a request; those without valid ids are left out.
pub(crate) fn received(request: &ExportTraceServiceRequest) -> Vec<Received> {
    let mut spans = Vec::new();
    for of_resource in &request.resource_spans {
        let resource = of_resource.resource.as_ref();
        let service = resource
            .map(|resource| attribute(&resource.attributes, "service.name"))
            .unwrap_or_default();
        let all = of_resource.scope_spans.iter().flat_map(|of_scope| &of_scope.spans);
        spans.extend(all.filter_map(|span| one(span, &service)));
    }
    spans
}

fn one(span: &Span, service: &str) -> Option<Received> {
    let failed = span.status.as_ref().filter(|status| status.code() == StatusCode::Error);
    let node = Node {
        trace_id: TraceId(u128::from_be_bytes(span.trace_id.as_slice().try_into().ok()?)),
        span_id: SpanId(u64::from_be_bytes(span.span_id.as_slice().try_into().ok()?)),
        parent: span
            .parent_span_id
            .as_slice()
            .try_into()
            .ok()
            .map(|id| SpanId(u64::from_be_bytes(id))),
        name: span.name.clone(),
        service: service.to_owned(),
        start_unix_nanos: span.start_time_unix_nano,
        end_unix_nanos: span.end_time_unix_nano,
        error: failed.map(|status| match status.message.as_str() {
            "" => attribute(&span.attributes, "error.type"),
            message => message.to_owned(),
        }),
    };
    let over_http = !attribute(&span.attributes, "http.request.method").is_empty();
    Some(Received {
        node,
        calls_out: over_http && span.kind() == SpanKind::Client,
    })
}

fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes
        .iter()
        .find(|pair| pair.key == key)
        .and_then(|pair| pair.value.as_ref());
    match found.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}
