//! OTLP: what each signal looks like on the wire.

pub(crate) mod traces;
