//! From plain snapshots to bytes that leave the process.

pub(crate) mod snapshot;
