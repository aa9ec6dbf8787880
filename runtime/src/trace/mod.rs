//! Spans: ids and context, the store of live spans, the subscriber that fills it.

pub(crate) mod active;
pub(crate) mod carrier;
pub(crate) mod context;
#[expect(dead_code, reason = "asked by the subscriber, implemented by the logs")]
pub(crate) mod event;

pub mod tree;

pub use context::{SpanContext, SpanId, TraceFlags, TraceId};
