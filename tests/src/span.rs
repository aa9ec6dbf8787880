//! Received spans, in a form to assert on.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as proto;
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
pub use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Attribute values as text: `7`, `true`, `[1, 2]`.
pub type Attributes = BTreeMap<String, String>;

/// One span.
#[derive(Clone, Debug)]
pub struct Span {
    /// `service.name` of the resource.
    pub service: String,
    /// All of the resource.
    pub resource: Attributes,
    /// The instrumentation scope's name.
    pub scope: String,
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits; empty for a root.
    pub parent_id: String,
    /// The low byte is the W3C flags.
    pub flags: u32,
    /// The name.
    pub name: String,
    /// `Internal`, `Server`, …
    pub kind: proto::span::SpanKind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// Attributes.
    pub attributes: Attributes,
    /// Events: name and attributes.
    pub events: Vec<(String, Attributes)>,
    /// Trace id and span id of the linked.
    pub links: Vec<(String, String)>,
    /// `Unset`, `Ok`, `Error`.
    pub status: proto::status::StatusCode,
    /// The status's text.
    pub message: String,
}

impl Span {
    /// Every span of a request.
    pub fn all(request: &ExportTraceServiceRequest) -> Vec<Self> {
        let mut spans = Vec::new();
        for of_resource in &request.resource_spans {
            let resource = of_resource
                .resource
                .as_ref()
                .map(|r| attributes(&r.attributes))
                .unwrap_or_default();
            for of_scope in &of_resource.scope_spans {
                let scope = of_scope
                    .scope
                    .as_ref()
                    .map(|scope| scope.name.clone())
                    .unwrap_or_default();
                spans.extend(
                    of_scope
                        .spans
                        .iter()
                        .map(|span| Self::from_proto(span, &resource, &scope)),
                );
            }
        }
        spans
    }

    fn from_proto(span: &proto::Span, resource: &Attributes, scope: &str) -> Self {
        let status = span.status.clone().unwrap_or_default();
        Self {
            service: resource.get("service.name").cloned().unwrap_or_default(),
            resource: resource.clone(),
            scope: scope.to_owned(),
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_id: hex(&span.parent_span_id),
            flags: span.flags,
            name: span.name.clone(),
            kind: span.kind(),
            start: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: attributes(&span.attributes),
            events: span
                .events
                .iter()
                .map(|event| (event.name.clone(), attributes(&event.attributes)))
                .collect(),
            links: span
                .links
                .iter()
                .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
                .collect(),
            status: status.code(),
            message: status.message,
        }
    }

    /// An attribute's value, empty where it is not set.
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// The spans of one trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// In the order received.
    pub spans: Vec<Span>,
}

impl Trace {
    /// The only span of that name.
    ///
    /// # Panics
    /// When there is none or more than one.
    #[track_caller]
    pub fn span(&self, name: &str) -> &Span {
        let found: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        assert!(
            found.len() == 1,
            "{} spans named {name:?} in\n{}",
            found.len(),
            self.outline()
        );
        found[0]
    }

    /// Names indented under their parents, siblings by start: what a test compares. A second service's spans say whose they are.
    ///
    /// ```text
    /// place_order
    ///   reserve
    ///     inventory: take
    /// ```
    pub fn outline(&self) -> String {
        let mut lines = String::new();
        let known = |id: &str| self.spans.iter().any(|span| span.span_id == id);
        let mut roots: Vec<_> = self.spans.iter().filter(|span| !known(&span.parent_id)).collect();
        roots.sort_by_key(|span| span.start);
        for root in roots {
            self.outline_of(root, 0, &root.service, &mut lines);
        }
        lines
    }

    fn outline_of(&self, span: &Span, depth: usize, service: &str, lines: &mut String) {
        let whose = if span.service == service {
            String::new()
        } else {
            format!("{}: ", span.service)
        };
        let _ = writeln!(lines, "{:indent$}{whose}{}", "", span.name, indent = depth * 2);
        let mut children: Vec<_> = self
            .spans
            .iter()
            .filter(|child| child.parent_id == span.span_id)
            .collect();
        children.sort_by_key(|child| child.start);
        for child in children {
            self.outline_of(child, depth + 1, &span.service, lines);
        }
    }
}

/// Attributes as text.
pub fn attributes(list: &[KeyValue]) -> Attributes {
    list.iter()
        .map(|pair| (pair.key.clone(), pair.value.as_ref().map(text).unwrap_or_default()))
        .collect()
}

/// A value as text.
pub fn text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::BytesValue(bytes)) => hex(bytes),
        Some(Value::ArrayValue(array)) => {
            let values: Vec<_> = array.values.iter().map(text).collect();
            format!("[{}]", values.join(", "))
        }
        Some(other) => format!("{other:?}"),
    }
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
