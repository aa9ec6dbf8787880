//! OTLP: one file a signal for what is sent.

#[cfg(feature = "logs")]
pub(crate) mod logs;
