//! Our encoded spans as `SpanData`.

use crate::config::{AttrValue, Resource};
use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1 as proto;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use prost::Message as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The spans of `scope_spans` fields of a `ResourceSpans`.
pub(super) fn spans(scope_spans: &[u8]) -> Vec<SpanData> {
    let all = proto::ResourceSpans::decode(scope_spans)
        .unwrap_or_default()
        .scope_spans;
    all.into_iter()
        .flat_map(|of_scope| {
            let scope = scope(of_scope.scope.unwrap_or_default(), of_scope.schema_url);
            of_scope.spans.into_iter().map(move |one| span(one, scope.clone()))
        })
        .collect()
}

pub(super) fn resource(resource: &Resource) -> opentelemetry_sdk::Resource {
    let attributes = resource
        .attributes()
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), of_resource(value)));
    opentelemetry_sdk::Resource::builder_empty()
        .with_schema_url(attributes, resource.schema_url().unwrap_or_default().to_owned())
        .build()
}

fn scope(scope: common::InstrumentationScope, schema_url: String) -> InstrumentationScope {
    let mut built = InstrumentationScope::builder(scope.name).with_attributes(attributes(scope.attributes));
    if !scope.version.is_empty() {
        built = built.with_version(scope.version);
    }
    if !schema_url.is_empty() {
        built = built.with_schema_url(schema_url);
    }
    built.build()
}

const IS_REMOTE: u32 = 0x200;

fn span(span: proto::Span, instrumentation_scope: InstrumentationScope) -> SpanData {
    let mut events = SpanEvents::default();
    events.dropped_count = span.dropped_events_count;
    events.events = span
        .events
        .into_iter()
        .map(|event| {
            let attributes = attributes(event.attributes);
            Event::new(
                event.name,
                time(event.time_unix_nano),
                attributes,
                event.dropped_attributes_count,
            )
        })
        .collect();
    let mut links = SpanLinks::default();
    links.dropped_count = span.dropped_links_count;
    links.links = span
        .links
        .into_iter()
        .map(|link| {
            let context = context(&link.trace_id, &link.span_id, link.flags, &link.trace_state);
            Link::new(context, attributes(link.attributes), link.dropped_attributes_count)
        })
        .collect();
    SpanData {
        // A span is never remote to its own process; the bit in its flags speaks of its parent.
        span_context: context(&span.trace_id, &span.span_id, span.flags & 0xff, &span.trace_state),
        parent_span_id: span_id(&span.parent_span_id),
        parent_span_is_remote: span.flags & IS_REMOTE != 0,
        span_kind: match proto::span::SpanKind::try_from(span.kind) {
            Ok(proto::span::SpanKind::Server) => SpanKind::Server,
            Ok(proto::span::SpanKind::Client) => SpanKind::Client,
            Ok(proto::span::SpanKind::Producer) => SpanKind::Producer,
            Ok(proto::span::SpanKind::Consumer) => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        name: span.name.into(),
        start_time: time(span.start_time_unix_nano),
        end_time: time(span.end_time_unix_nano),
        attributes: attributes(span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events,
        links,
        status: match span.status {
            Some(status) if status.code == proto::status::StatusCode::Error as i32 => Status::error(status.message),
            Some(status) if status.code == proto::status::StatusCode::Ok as i32 => Status::Ok,
            _ => Status::Unset,
        },
        instrumentation_scope,
    }
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn span_id(id: &[u8]) -> SpanId {
    id.try_into().map_or(SpanId::INVALID, SpanId::from_bytes)
}

fn context(trace: &[u8], span: &[u8], flags: u32, state: &str) -> SpanContext {
    SpanContext::new(
        trace.try_into().map_or(TraceId::INVALID, TraceId::from_bytes),
        span_id(span),
        TraceFlags::new(flags as u8),
        flags & IS_REMOTE != 0,
        if state.is_empty() {
            TraceState::NONE
        } else {
            state.parse().unwrap_or(TraceState::NONE)
        },
    )
}

fn attributes(attributes: Vec<common::KeyValue>) -> Vec<KeyValue> {
    attributes
        .into_iter()
        .map(|pair| {
            let value = pair.value.and_then(|value| value.value);
            KeyValue::new(pair.key, value.map_or(Value::from(""), of_span))
        })
        .collect()
}

/// `Value` has no bytes; they become text.
fn of_span(value: Any) -> Value {
    match value {
        Any::StringValue(text) => text.into(),
        Any::BoolValue(value) => value.into(),
        Any::IntValue(value) => value.into(),
        Any::DoubleValue(value) => value.into(),
        Any::BytesValue(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        Any::ArrayValue(array) => Value::Array(of_array(array)),
        other => format!("{other:?}").into(),
    }
}

/// An encoded `ArrayValue`.
pub(crate) fn array(encoded: &[u8]) -> Array {
    of_array(common::ArrayValue::decode(encoded).unwrap_or_default())
}

/// Arrays of the API are of one kind.
fn of_array(array: common::ArrayValue) -> Array {
    let values: Vec<_> = array.values.into_iter().filter_map(|value| value.value).collect();
    macro_rules! all {
        ($kind:path, $array:path) => {
            $array(
                values
                    .into_iter()
                    .filter_map(|value| {
                        if let $kind(value) = value {
                            Some(value.into())
                        } else {
                            None
                        }
                    })
                    .collect(),
            )
        };
    }
    match values.first() {
        Some(Any::BoolValue(_)) => all!(Any::BoolValue, Array::Bool),
        Some(Any::IntValue(_)) => all!(Any::IntValue, Array::I64),
        Some(Any::DoubleValue(_)) => all!(Any::DoubleValue, Array::F64),
        _ => all!(Any::StringValue, Array::String),
    }
}

fn of_resource(value: &AttrValue) -> Value {
    match value {
        AttrValue::Str(text) => text.clone().into(),
        AttrValue::Bool(value) => (*value).into(),
        AttrValue::I64(value) => (*value).into(),
        AttrValue::F64(value) => (*value).into(),
        AttrValue::StrArray(texts) => {
            let texts = texts.iter().map(|text| StringValue::from(text.clone()));
            Value::Array(Array::String(texts.collect()))
        }
    }
}
