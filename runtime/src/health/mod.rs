//! Health: checks by attribute, derive or hand, and the probes that ask them.

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
mod link;
mod report;
pub(crate) mod signals;
mod state;
mod status;
mod text;

pub use check::{BoxFuture, CheckFn, CheckOptions, DynHealthCheck, HealthCheck, Probe, Probes, check_fn};
pub use engine::{Engine, RegisterError, Registration, engine};
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
    pub use super::check::{BoxFuture, CHECKS, CheckDef, CheckOptions, Cursor, HealthCheck, Parts, boxed, check_all};
    pub use super::status::HealthStatus;

    /// Imported by glob where a returned value is asked.
    pub mod returned {
        pub use crate::health::status::{
            Returned, ReturnedDeref, ReturnedDisplay, ReturnedOpaque, ReturnedPlain, ReturnedStd,
        };
    }
}
