//! Health: checks by attribute, derive or hand, and the probes that ask them.
//!
//! A check is a function that says whether something works. Which probe asks it is the one decision that matters:
//!
//! | probe | asks | an orchestrator that hears no | belongs there |
//! |---|---|---|---|
//! | `/livez` | liveness | restarts the process | what a restart heals: a worker that hangs, a poisoned lock. Nothing outside the process |
//! | `/readyz` | readiness, the default | sends no requests | what requests cannot do without: the database |
//! | `/startupz` | startup | waits with the other two | migrations, a cache that has to be warm |
//! | `/healthz` | all | | for people |
//!
//! ```
//! use vitalsign::{HealthCheck, health_check};
//! # struct Mailer; struct Pool;
//! # impl HealthCheck for Pool { async fn check(&self) -> vitalsign::HealthStatus { vitalsign::HealthStatus::up() } }
//!
//! /// Registered where it stands.
//! #[health_check(liveness, blocking)]
//! fn lock_is_sound() -> bool {
//!     true
//! }
//!
//! /// Each marked field is a check: `backends.db` and `backends.mailer` once it is registered as `backends`.
//! #[derive(HealthCheck)]
//! struct Backends {
//!     #[health(readiness, timeout = "2s")]
//!     db: Pool,
//!     #[health(readiness, critical = false, check = ping)]
//!     mailer: Mailer,
//! }
//!
//! async fn ping(mailer: &Mailer) -> Result<(), std::io::Error> {
//! #   let _ = mailer;
//!     Ok(())
//! }
//! # fn main() -> Result<(), vitalsign::health::RegisterError> {
//! # let backends = Backends { db: Pool, mailer: Mailer };
//! vitalsign::health::engine().register("backends", backends)?.keep();
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A probe answers within 900 ms, whatever its checks do. A check that still runs then shows its last answer if that is younger than
//!   its time-out, else it is down, "still running". It runs on alone, never twice at once.
//! - Checks run at the same time, on threads of ours, in the context of the Tokio runtime that was current when they were registered.
//!   One that blocks its thread, panics or asks its own probe costs itself: the thread is counted (`health.threads.stuck`) and replaced.
//! - An answer is kept for the `cache` time, 1 s by default; callers that come while a check runs wait for the same run. A check that
//!   takes longer than a probe waits wants an `interval` instead.
//! - Messages and details are for callers that are trusted: passwords in addresses are masked, texts cut to 1 KiB.
//! - A log line and a span tell each transition; nothing tells a quiet probe.

#[cfg(feature = "_http")]
mod answer;
pub(crate) mod check;
pub mod checks;
mod engine;
mod entry;
mod exec;
#[cfg(feature = "tonic-health")]
pub mod grpc;
#[cfg(feature = "_http")]
pub mod http;
mod json;
mod link;
mod options;
mod parts;
mod report;
mod selection;
pub(crate) mod signals;
mod state;
mod status;
mod text;

pub use check::{BoxFuture, CheckFn, DynHealthCheck, HealthCheck, check_fn};
pub use engine::{Engine, RegisterError, Registration, engine};
pub use options::{CheckOptions, Probe, Probes};
pub use report::{CheckReport, Report};
pub(crate) use signals::families;
pub use state::{Phase, is_draining, phase};
pub use status::{CheckResult, Detail, Health, HealthStatus};

/// What generated code names, as `__private::health`.
///
/// A free function becomes itself and
/// ```text
/// #[__p::linkme::distributed_slice(__p::health::CHECKS)] #[linkme(crate = __p::linkme)]
/// static __VITALSIGN_CHECK: __p::health::CheckDef = __p::health::CheckDef::new(
///     "db", module_path!(), file!(), line!(), __p::health::CheckOptions::new().readiness().timeout(Duration::from_nanos(..)),
///     || __p::health::boxed(async { let ret = db().await; { use __p::health::returned::*; (&&&&Returned(&ret)).health_status() } }));
/// ```
/// and a struct with marked fields, or an `impl` block with marked methods,
/// ```text
/// impl HealthCheck for Backends {
///     // Bounds of a generic one: `P: Send + Sync` for each type parameter, `FieldType: HealthCheck` for each marked field that names
///     // one. Not `Self: Send + Sync`: with a lifetime parameter rustc then no longer proves the futures `Send`.
///     async fn check(&self) -> HealthStatus { __p::health::check_all(self).await }
///     fn parts(&self, parts: &mut __p::health::Parts<'_>) {
///         parts.field("db", OPTIONS, &self.db);
///         parts.function("mailer", OPTIONS);
///     }
///     async fn check_part(&self, part: usize) -> HealthStatus {
///         let mut at = __p::health::Cursor::new(part);
///         if let Some(part) = at.within(&self.db) { return HealthCheck::check_part(&self.db, part).await; }
///         if at.here() { let ret = ping(&self.mailer).await; return { use returned::*; (&&&&Returned(&ret)).health_status() }; }
///         HealthStatus::up()
///     }
/// }
/// ```
#[doc(hidden)]
pub mod private {
    pub use super::check::{BoxFuture, CHECKS, CheckDef, HealthCheck, boxed};
    pub use super::options::CheckOptions;
    pub use super::parts::{Cursor, Parts, check_all};
    pub use super::status::HealthStatus;

    /// Imported by glob where a returned value is asked.
    pub mod returned {
        pub use crate::health::status::{
            Returned, ReturnedDeref, ReturnedDisplay, ReturnedOpaque, ReturnedPlain, ReturnedStd,
        };
    }
}
