//! Spans with errors, counters, latency histograms, logs with trace ids and health probes, from attributes on your functions.
//!
//! ```no_run
//! use vitalsign::{LabelValue, counted, health_check, timed, traced};
//!
//! #[derive(Clone, Copy, Debug, LabelValue)]
//! enum Size {
//!     Small,
//!     Large,
//! }
//!
//! /// Coffees brewed.
//! #[traced(fields(coffee.size = ?size))]
//! #[counted(name = "coffees.brewed", labels(size = size))]
//! #[timed]
//! fn brew(size: Size, beans: u32) -> Result<u32, String> {
//!     beans.checked_sub(18).ok_or_else(|| String::from("out of beans"))
//! }
//!
//! #[health_check(liveness, readiness)]
//! fn water() -> bool {
//!     true
//! }
//!
//! fn main() -> Result<(), vitalsign::InitError> {
//!     // Kept: dropping it ends all recording.
//!     let _vitals = vitalsign::init()?;
//!     let _ = brew(Size::Small, 40);
//!     Ok(())
//! }
//! ```
#![cfg_attr(
    all(feature = "logs", feature = "health", feature = "admin", feature = "otlp"),
    doc = "",
    doc = include_str!("guide.md")
)]
// A part by itself leaves unused what only another part asks of it; with the default features nothing may be.
#![cfg_attr(
    not(all(feature = "logs", feature = "admin", feature = "otlp")),
    allow(dead_code, unused_imports, unused_mut, unused_variables)
)]
// What stands in for a part that is left out does nothing, and whoever calls it cannot know.
#![cfg_attr(
    not(all(feature = "otlp", feature = "otel")),
    allow(
        clippy::let_unit_value,
        clippy::semicolon_if_nothing_returned,
        clippy::unit_arg,
        clippy::unused_self
    )
)]

// Generated code names this crate by its path; so do the tests and examples inside it.
#[expect(unused_extern_crates, reason = "for generated code inside this crate")]
extern crate self as vitalsign;

#[cfg(feature = "record")]
#[doc(hidden)]
pub mod __private;
/// Without `record` the attributes still check one another.
#[cfg(not(feature = "record"))]
#[doc(hidden)]
pub mod __private {
    pub use vitalsign_macros::carried;
}
#[cfg(feature = "record")]
mod call;
#[cfg(feature = "record")]
mod clock;
#[cfg(feature = "record")]
pub mod config;
#[cfg(feature = "record")]
pub mod db;
mod export;
#[cfg(feature = "record")]
mod fields;
#[cfg(feature = "record")]
mod future;
#[cfg(all(any(fuzzing, test), feature = "spool"))]
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "health")]
pub mod health;
#[cfg(feature = "record")]
mod here;
#[cfg(feature = "record")]
mod hex;
#[cfg(any(feature = "admin", feature = "tower"))]
pub mod http;
#[cfg(not(feature = "record"))]
mod inert;
#[cfg(feature = "record")]
pub mod jobs;
#[cfg(feature = "record")]
mod kept;
#[cfg(feature = "logs")]
pub mod logs;
#[cfg(feature = "record")]
pub mod metrics;
#[cfg(feature = "record")]
mod operation;
mod outcome;
#[cfg(feature = "record")]
mod probe;
#[cfg(feature = "record")]
mod quick;
#[cfg(feature = "record")]
mod residual;
#[cfg(feature = "record")]
mod secret;
#[cfg(feature = "record")]
mod setup;
#[cfg(feature = "record")]
mod site;
#[cfg(feature = "record")]
mod stream;
#[cfg(feature = "record")]
mod switch;
#[cfg(feature = "record")]
pub mod testing;
#[cfg(feature = "record")]
pub mod trace;
#[cfg(feature = "record")]
mod turns;

#[cfg(feature = "page")]
pub use export::page::bridge as prometheus;
#[cfg(feature = "otlp")]
pub use export::{Report, Tally};
#[cfg(feature = "health")]
pub use health::{HealthCheck, HealthStatus};
#[cfg(not(feature = "record"))]
pub use inert::{
    Builder, Current, InitError, Report, ShutdownError, Vitals, builder, current, health, in_context, init, thread,
};
#[cfg(feature = "record")]
pub use metrics::catalog::{self, catalog};
#[cfg(feature = "record")]
pub use metrics::check::Conflict;
#[cfg(feature = "record")]
pub use metrics::label::{ErrorLabel, LabelValue};
pub use outcome::{CallOutcome, Outcome, Verdict};
#[cfg(feature = "otlp")]
pub use setup::ShutdownError;
#[cfg(feature = "record")]
pub use setup::{Builder, InitError, Vitals, builder, init};
#[cfg(feature = "record")]
pub use trace::SpanExt;
#[cfg(feature = "record")]
pub use trace::hand::{current, in_context, thread};
#[cfg(feature = "_tokio")]
pub use trace::hand::{spawn, spawn_blocking};
#[cfg(feature = "logs")]
pub use trace::layer::layer;
#[cfg(feature = "record")]
pub use trace::pipeline::diagnostics;
pub use vitalsign_macros::{ErrorLabel, LabelValue, counted, observed, timed, traced, vitalsign};
#[cfg(any(feature = "health", not(feature = "record")))]
pub use vitalsign_macros::{HealthCheck, check, health_check};
