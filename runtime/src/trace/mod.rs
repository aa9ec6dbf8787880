//! Spans: ids and context, the store of live spans, the subscriber that fills it.

pub(crate) mod active;
pub(crate) mod carrier;
pub(crate) mod context;

pub use context::{SpanContext, SpanId, TraceFlags, TraceId};
