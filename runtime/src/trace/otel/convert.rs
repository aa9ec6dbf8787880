//! Our ids and those of the `opentelemetry` crate.

use crate::trace::baggage::Baggage;
use crate::trace::carrier::AsParent;
use crate::trace::context::{SpanContext, SpanId, TraceFlags, TraceId};
use opentelemetry::Context;
use opentelemetry::baggage::{self as api_baggage, BaggageExt as _, KeyValueMetadata};
use opentelemetry::trace::{self as api, TraceContextExt as _, TraceState};

impl From<&api::SpanContext> for SpanContext {
    fn from(context: &api::SpanContext) -> Self {
        let state = context.trace_state().header();
        Self {
            trace_id: TraceId(u128::from_be_bytes(context.trace_id().to_bytes())),
            span_id: SpanId(u64::from_be_bytes(context.span_id().to_bytes())),
            flags: TraceFlags(context.trace_flags().to_u8()).of_w3c(),
            is_remote: context.is_remote(),
            trace_state: (!state.is_empty()).then(|| state.into()),
            baggage: Baggage::default(),
        }
    }
}

pub(super) fn has_baggage(cx: &Context) -> bool {
    !cx.baggage().is_empty()
}

/// The context's baggage over ours.
pub(super) fn baggage(cx: &Context, ours: Baggage) -> Baggage {
    cx.baggage().iter().fold(ours, |all, (key, (value, metadata))| {
        all.with_metadata(key.as_str(), value.as_str(), metadata.as_str())
    })
}

/// A context with this baggage over its own.
pub(super) fn with_baggage(cx: &Context, baggage: &Baggage) -> Context {
    let pair = |(key, value): (&str, &str)| {
        let metadata = baggage.metadata(key).unwrap_or_default();
        KeyValueMetadata::new(key.to_owned(), value.to_owned(), metadata)
    };
    cx.with_baggage(baggage.iter().map(pair).collect::<api_baggage::Baggage>())
}

impl From<&SpanContext> for api::SpanContext {
    fn from(context: &SpanContext) -> Self {
        let state = context.trace_state.as_deref().unwrap_or_default();
        Self::new(
            api::TraceId::from_bytes(context.trace_id.0.to_be_bytes()),
            api::SpanId::from_bytes(context.span_id.0.to_be_bytes()),
            api::TraceFlags::new(context.flags.of_w3c().0),
            context.is_remote,
            if state.is_empty() {
                TraceState::NONE
            } else {
                state.parse().unwrap_or(TraceState::NONE)
            },
        )
    }
}

impl AsParent for api::SpanContext {
    fn as_parent(&self) -> Option<SpanContext> {
        self.is_valid().then(|| self.into())
    }
}

impl AsParent for Context {
    fn as_parent(&self) -> Option<SpanContext> {
        let context = SpanContext {
            baggage: baggage(self, Baggage::default()),
            ..SpanContext::from(self.span().span_context())
        };
        (context.is_valid() || !context.baggage.is_empty()).then_some(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_of_w3c_cross_over() {
        let theirs = api::SpanContext::new(
            api::TraceId::from(1),
            api::SpanId::from(2),
            api::TraceFlags::new(0xff),
            true,
            TraceState::NONE,
        );
        let ours = SpanContext::from(&theirs);
        assert_eq!(ours.flags, TraceFlags::SAMPLED.with(TraceFlags::RANDOM));
        let debug = SpanContext {
            flags: TraceFlags::SAMPLED.with(TraceFlags::DEBUG),
            ..ours
        };
        assert_eq!(api::SpanContext::from(&debug).trace_flags(), api::TraceFlags::SAMPLED);
    }
}
