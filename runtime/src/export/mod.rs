//! From plain snapshots to bytes that leave the process.

#[cfg(feature = "otlp")]
mod account;
#[cfg(feature = "_tokio")]
pub(crate) mod background;
#[cfg(feature = "otlp")]
mod backlog;
#[cfg(feature = "record")]
pub(crate) mod diag;
#[cfg(feature = "otlp")]
mod durations;
#[cfg(feature = "otlp")]
mod endpoint;
#[cfg(feature = "otlp")]
pub(crate) mod exporter;
#[cfg(feature = "record")]
pub(crate) mod labels;
#[cfg(feature = "record")]
pub(crate) mod otlp;
#[cfg(feature = "otlp")]
mod outlet;
#[cfg(feature = "page")]
pub(crate) mod page;
#[cfg(feature = "otlp")]
mod pipeline;
#[cfg(feature = "otlp")]
mod push;
#[cfg(feature = "otlp")]
pub(crate) mod queue;
#[cfg(feature = "otlp")]
pub(crate) mod retry;
#[cfg(feature = "record")]
pub(crate) mod snapshot;
#[cfg(feature = "otel-sdk")]
pub(crate) mod span_exporter;
#[cfg(feature = "spool")]
pub(crate) mod spool;
#[cfg(all(feature = "otlp", not(feature = "spool")))]
#[path = "no_spool.rs"]
pub(crate) mod spool;
#[cfg(feature = "otlp")]
mod stage;
#[cfg(feature = "record")]
pub(crate) mod stats;
#[cfg(all(test, feature = "otlp"))]
mod tests;
#[cfg(feature = "otlp")]
pub(crate) mod transport;

#[cfg(feature = "otlp")]
pub use account::{Report, Tally};

/// The metrics of the program, and those about ourselves.
#[cfg(feature = "record")]
pub(crate) fn families() -> Vec<snapshot::Family> {
    crate::metrics::registry::gather()
}
