//! `ShouldSample` of `opentelemetry_sdk` as a sampler of ours.

use super::span::scalar;
use crate::export::span_exporter::array;
use crate::site::SpanKind;
use crate::trace::body::{self, Key, Scalar};
use crate::trace::chosen::{Asked, Choose, Chosen};
use opentelemetry::trace::{self as api, Link, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};

/// A sampler of the program's own, and whether it gets attributes.
pub(crate) struct Adapter<S> {
    pub(crate) sampler: S,
    pub(crate) with_attributes: bool,
}

impl<S: ShouldSample> Choose for Adapter<S> {
    fn name(&self) -> &'static str {
        std::any::type_name::<S>()
    }

    fn wants_attributes(&self) -> bool {
        self.with_attributes
    }

    fn choose(&self, span: &Asked<'_>) -> Chosen {
        let parent = span.parent.map(api::SpanContext::from);
        let state = parent.as_ref().map(|parent| parent.trace_state().header());
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let attributes: Vec<_> = span
            .attributes()
            .map(|(key, value)| KeyValue::new(key.to_owned(), of(value)))
            .collect();
        let links: Vec<_> = span
            .links
            .iter()
            .map(|link| Link::new(link.into(), Vec::new(), 0))
            .collect();
        let kind = match span.kind {
            SpanKind::Internal => api::SpanKind::Internal,
            SpanKind::Server => api::SpanKind::Server,
            SpanKind::Client => api::SpanKind::Client,
            SpanKind::Producer => api::SpanKind::Producer,
            SpanKind::Consumer => api::SpanKind::Consumer,
        };
        let trace = api::TraceId::from_bytes(span.trace.0.to_be_bytes());
        let result = self
            .sampler
            .should_sample(Some(&context), trace, span.name, &kind, &attributes, &links);
        let mut attributes = Vec::new();
        for attribute in &result.attributes {
            scalar(&attribute.value, u32::MAX, |value| {
                body::attribute(&mut attributes, Key::Name(attribute.key.as_str()), value);
            });
        }
        let said = result.trace_state.header();
        Chosen {
            // What is only recorded would leave for nowhere.
            sampled: result.decision == SamplingDecision::RecordAndSample,
            state: (said != state.unwrap_or_default()).then(|| (!said.is_empty()).then(|| said.into())),
            attributes,
        }
    }
}

/// `Value` has no bytes; they become text.
fn of(value: Scalar<'_>) -> Value {
    match value {
        Scalar::Bool(value) => value.into(),
        Scalar::I64(value) => value.into(),
        Scalar::F64(value) => value.into(),
        Scalar::Text(text) => text.to_owned().into(),
        Scalar::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        Scalar::Array(array_value) => Value::Array(array(array_value)),
    }
}
