//! From plain snapshots to bytes that leave the process.

#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod snapshot;
