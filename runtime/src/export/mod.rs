//! From plain snapshots to bytes that leave the process.

#[cfg(feature = "record")]
pub(crate) mod otlp;
#[cfg(feature = "page")]
pub(crate) mod page;
pub(crate) mod snapshot;
