//! Which way a configuration asks for.

use super::http;
use crate::config::env::{Otlp, Protocol};
use crate::export::transport::Transport;
use std::sync::Arc;

/// The transport that a configuration asks for. An error names the variable to blame.
pub(crate) fn transport(otlp: &Otlp) -> Result<Arc<dyn Transport>, String> {
    match otlp.protocol {
        Protocol::HttpProtobuf | Protocol::HttpJson => Ok(Arc::new(http::Http::new(otlp)?)),
        #[cfg(feature = "grpc")]
        Protocol::Grpc => Ok(Arc::new(super::grpc::Grpc::new(otlp)?)),
        #[cfg(not(feature = "grpc"))]
        Protocol::Grpc => Err("OTLP over gRPC is not compiled in".to_owned()),
    }
}

/// What requests call themselves.
pub(crate) const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Rust-vitalsign/", env!("CARGO_PKG_VERSION"));

/// Larger requests are not sent (OTLP specification, "size limits").
pub(crate) const MAX_REQUEST: usize = 64 << 20;
/// Larger answers are not read.
pub(crate) const MAX_RESPONSE: usize = 4 << 20;
