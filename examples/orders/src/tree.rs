//! A trace as text: names indented under their parents, with the service, the time since the beginning and the duration.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use std::fmt::Write as _;

/// What the tree shows of a span.
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) trace_id: Vec<u8>,
    pub(crate) span_id: Vec<u8>,
    pub(crate) parent_id: Vec<u8>,
    pub(crate) client_over_http: bool,
    name: String,
    start: u64,
    end: u64,
    error: Option<String>,
}

pub(crate) fn spans(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in &request.resource_spans {
        let resource = of_resource.resource.as_ref();
        let service = resource
            .map(|resource| attribute(&resource.attributes, "service.name"))
            .unwrap_or_default();
        for span in of_resource.scope_spans.iter().flat_map(|of_scope| &of_scope.spans) {
            let failed = span.status.as_ref().filter(|status| status.code() == StatusCode::Error);
            spans.push(Span {
                service: service.clone(),
                trace_id: span.trace_id.clone(),
                span_id: span.span_id.clone(),
                parent_id: span.parent_span_id.clone(),
                client_over_http: span.kind() == SpanKind::Client
                    && !attribute(&span.attributes, "http.request.method").is_empty(),
                name: span.name.clone(),
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                error: failed.map(|status| match status.message.as_str() {
                    "" => attribute(&span.attributes, "error.type"),
                    message => message.to_owned(),
                }),
            });
        }
    }
    spans
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

pub(crate) fn text(spans: &[Span]) -> String {
    let mut lines = String::new();
    let known = |id: &[u8]| spans.iter().any(|span| span.span_id == id);
    for root in spans.iter().filter(|span| !known(&span.parent_id)) {
        let _ = write!(lines, "  trace ");
        for byte in &root.trace_id {
            let _ = write!(lines, "{byte:02x}");
        }
        lines.push('\n');
        branch(spans, root, "", "", root.start, &mut lines);
    }
    lines
}

fn branch(spans: &[Span], span: &Span, lead: &str, below: &str, began: u64, lines: &mut String) {
    let name = format!("{lead}{}", span.name);
    let at = millis(span.start.saturating_sub(began));
    let took = millis(span.end.saturating_sub(span.start));
    let error = span
        .error
        .as_ref()
        .map(|error| format!("  error: {error}"))
        .unwrap_or_default();
    let _ = writeln!(lines, "  {name:<44} {:<10} {at:>9}  {took:>9}{error}", span.service);
    let mut children: Vec<_> = spans.iter().filter(|child| child.parent_id == span.span_id).collect();
    children.sort_by_key(|child| child.start);
    for (index, child) in children.iter().enumerate() {
        let last = index + 1 == children.len();
        let (corner, line) = if last { ("└ ", "  ") } else { ("├ ", "│ ") };
        branch(
            spans,
            child,
            &format!("{below}{corner}"),
            &format!("{below}{line}"),
            began,
            lines,
        );
    }
}

fn millis(nanos: u64) -> String {
    format!("{:.2} ms", nanos as f64 / 1e6)
}
