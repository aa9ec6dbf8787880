//! From plain snapshots to bytes that leave the process.

#[cfg(feature = "record")]
pub(crate) mod otlp;
pub(crate) mod snapshot;
