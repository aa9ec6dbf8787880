//! `init()`: from the environment to a running process, and back.
//!
//! | step | may fail with |
//! |---|---|
//! | read the variables, the builder's words over them | [`InitError::Configuration`] |
//! | compare the families that the annotated functions declare | [`InitError::Families`] |
//! | bind the admin server | [`InitError::Admin`] |
//! | build the exporters | [`InitError::Export`] |
//! | begin the first round of health checks | [`InitError::Health`] |
//! | install the subscriber | [`InitError::Subscriber`] |
//!
//! What cannot work as it was asked for is an error here, before anything of the process has changed. What can go on is one
//! warning that names the variable, the value and what is used instead. After that nothing here fails into a caller.

#[cfg(panic = "abort")]
mod abort;
mod builder;
mod completion;
mod error;
mod install;
mod line;
#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "otel-sdk")]
mod otel_sdk;
#[cfg(feature = "_tokio")]
mod signal;
mod vitals;

pub use builder::{Builder, builder, init};
pub use error::InitError;
#[cfg(feature = "otlp")]
pub use vitals::ShutdownError;
pub use vitals::Vitals;
