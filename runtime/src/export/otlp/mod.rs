//! OTLP: requests around encoded items, and the ways they go.

#[cfg(feature = "otlp")]
mod changes;
#[cfg(feature = "otlp")]
pub(crate) mod connect;
pub(crate) mod framed;
#[cfg(feature = "otlp")]
pub(crate) mod greeting;
#[cfg(feature = "grpc")]
pub(crate) mod grpc;
#[cfg(feature = "otlp")]
pub(crate) mod http;
#[cfg(feature = "otlp")]
pub(crate) mod json;
#[cfg(all(feature = "otlp", feature = "logs"))]
pub(crate) mod logs;
#[cfg(feature = "otlp")]
pub(crate) mod paced;
#[cfg(feature = "otlp")]
pub(crate) mod points;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod traces;
#[cfg(feature = "otlp")]
mod way;
#[cfg(feature = "otlp")]
pub(crate) mod wire;

#[cfg(feature = "otlp")]
pub(crate) use way::{MAX_REQUEST, MAX_RESPONSE, USER_AGENT, transport};
