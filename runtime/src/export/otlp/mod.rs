//! OTLP: one file a signal for what is sent.

#[cfg(all(feature = "otlp", feature = "logs"))]
pub(crate) mod logs;
pub(crate) mod traces;
