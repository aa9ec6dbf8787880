//! Spans: ids and context, the store of live spans, the subscriber that fills it.

pub(crate) mod active;
pub(crate) mod baggage;
mod batch;
pub(crate) mod body;
pub(crate) mod carrier;
pub(crate) mod chosen;
#[cfg_attr(
    not(feature = "tower"),
    allow(dead_code, reason = "what is common is said by layers")
)]
pub(crate) mod common;
pub(crate) mod context;
pub(crate) mod direct;
#[doc(hidden)]
pub mod discard;
mod draft;
mod drain;
mod environment;
mod errors;
pub(crate) mod event;
pub(crate) mod filter;
pub(crate) mod finished;
pub(crate) mod hand;
mod ids;
#[cfg(feature = "logs")]
pub(crate) mod layer;
mod live;
pub(crate) mod local;
mod long;
mod modes;
pub(crate) mod open;
#[cfg(feature = "otel")]
pub mod otel;
#[cfg(not(feature = "otel"))]
#[path = "no_otel.rs"]
pub(crate) mod otel;
pub(crate) mod panics;
pub(crate) mod passed;
pub(crate) mod passing;
pub(crate) mod pipeline;
#[cfg(feature = "logs")]
mod places;
pub(crate) mod probability;
pub mod propagate;
mod ring;
pub(crate) mod sampler;
mod slab;
pub(crate) mod span_ext;
mod stack;
pub(crate) mod store;
pub(crate) mod subscriber;
mod sync;
pub(crate) mod tail;
pub(crate) mod timing;
pub mod tree;
pub(crate) mod visit;

pub use baggage::{Baggage, WithBaggage};
pub use carrier::AsParent;
pub use context::{SpanContext, SpanId, TraceFlags, TraceId};
pub use environment::Environment;
pub use hand::{AttributeValue, Current, InContext};
pub use pipeline::TraceStats;

pub(crate) use drain::limited;
pub(crate) use pipeline::{
    EncodedSpans, Exceptions, InstallError, Limits, Pipeline, SpanSink, TraceSetup, install, stats,
};
pub use propagate::{extract, inject};
pub use span_ext::{SpanExt, Status};
pub(crate) use store::current;

use std::sync::atomic::{AtomicU64, Ordering};

/// A number no one else in the process gets.
fn sequence() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(all(test, feature = "otlp"))]
mod tests;

/// Random bits, for ids of other kinds.
pub(crate) fn random_u128() -> u128 {
    let [high, low] =
        local::with(|local| local.rng.trace_words()).unwrap_or_else(|| ids::Rng::unseeded().trace_words());
    u128::from(high) << 64 | u128::from(low)
}

#[cfg(test)]
mod ring_tests;
#[cfg(test)]
mod slab_tests;
