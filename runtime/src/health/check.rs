//! What is checked: the trait, what implements it, and the definitions that attributes write.

use super::options::CheckOptions;
use super::parts::Parts;
use super::status::HealthStatus;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A boxed future, as engines store them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something whose health can be asked.
///
/// Write [`check`](Self::check) by hand, or derive it for a struct of such things: each field marked `#[health(…)]` then becomes
/// a check of its own, with its own options and a dotted name.
///
/// # Examples
/// ```
/// use vitalsign::{HealthCheck, HealthStatus};
///
/// struct Queue { length: usize }
///
/// impl HealthCheck for Queue {
///     async fn check(&self) -> HealthStatus {
///         if self.length < 1000 {
///             HealthStatus::up()
///         } else {
///             HealthStatus::degraded("the queue is long").with("length", self.length)
///         }
///     }
/// }
/// ```
///
/// # Cancel safety
/// A check that takes longer than its time-out is dropped where it waits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a health check",
    label = "no `HealthCheck` for this type",
    note = "implement `vitalsign::HealthCheck` for it, derive it, or give the field a function: `#[health(check = ping)]`"
)]
pub trait HealthCheck: Send + Sync {
    /// Asks now.
    fn check(&self) -> impl Future<Output = HealthStatus> + Send;

    /// Names the checks this one consists of. One, unless derived.
    #[doc(hidden)]
    fn parts(&self, parts: &mut Parts<'_>) {
        parts.leaf();
    }

    /// Asks one of the checks that [`parts`](Self::parts) names, counted from 0 in that order.
    #[doc(hidden)]
    fn check_part(&self, part: usize) -> impl Future<Output = HealthStatus> + Send {
        let _ = part;
        self.check()
    }
}

/// The dyn-safe twin of [`HealthCheck`], implemented for every one of them; `Box<dyn DynHealthCheck>` is a [`HealthCheck`] again.
pub trait DynHealthCheck: Send + Sync {
    /// [`HealthCheck::check`], boxed.
    fn check_boxed(&self) -> BoxFuture<'_, HealthStatus>;

    /// [`HealthCheck::parts`].
    #[doc(hidden)]
    fn parts_dyn(&self, parts: &mut Parts<'_>);

    /// [`HealthCheck::check_part`], boxed.
    #[doc(hidden)]
    fn check_part_boxed(&self, part: usize) -> BoxFuture<'_, HealthStatus>;
}

impl<T: HealthCheck> DynHealthCheck for T {
    fn check_boxed(&self) -> BoxFuture<'_, HealthStatus> {
        Box::pin(self.check())
    }
    fn parts_dyn(&self, parts: &mut Parts<'_>) {
        self.parts(parts);
    }
    fn check_part_boxed(&self, part: usize) -> BoxFuture<'_, HealthStatus> {
        Box::pin(self.check_part(part))
    }
}

impl HealthCheck for dyn DynHealthCheck + '_ {
    fn check(&self) -> impl Future<Output = HealthStatus> + Send {
        self.check_boxed()
    }
    fn parts(&self, parts: &mut Parts<'_>) {
        self.parts_dyn(parts);
    }
    fn check_part(&self, part: usize) -> impl Future<Output = HealthStatus> + Send {
        self.check_part_boxed(part)
    }
}

macro_rules! forward {
    ($($type:ty),*) => {$(
        impl<T: HealthCheck + ?Sized> HealthCheck for $type {
            fn check(&self) -> impl Future<Output = HealthStatus> + Send {
                (**self).check()
            }
            fn parts(&self, parts: &mut Parts<'_>) {
                (**self).parts(parts);
            }
            fn check_part(&self, part: usize) -> impl Future<Output = HealthStatus> + Send {
                (**self).check_part(part)
            }
        }
    )*};
}
forward!(&T, &mut T, Box<T>, Arc<T>);

/// `None` is up: what a program was not given cannot be down.
impl<T: HealthCheck> HealthCheck for Option<T> {
    async fn check(&self) -> HealthStatus {
        match self {
            Some(check) => check.check().await,
            None => HealthStatus::up().because("not configured"),
        }
    }
    fn parts(&self, parts: &mut Parts<'_>) {
        match self {
            Some(check) => check.parts(parts),
            None => parts.leaf(),
        }
    }
    async fn check_part(&self, part: usize) -> HealthStatus {
        match self {
            Some(check) => check.check_part(part).await,
            None => self.check().await,
        }
    }
}

/// A check made of a closure.
///
/// # Examples
/// ```
/// let check = vitalsign::health::check_fn(|| async { std::fs::metadata("/").map(|_| ()) });
/// # fn is_check(_: impl vitalsign::HealthCheck) {}
/// # is_check(check);
/// ```
pub fn check_fn<F, R>(f: F) -> CheckFn<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output: super::CheckResult> + Send,
{
    CheckFn(f)
}

/// A check made of a closure: see [`check_fn`].
#[derive(Clone, Debug)]
pub struct CheckFn<F>(F);

impl<F, R> HealthCheck for CheckFn<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output: super::CheckResult> + Send,
{
    async fn check(&self) -> HealthStatus {
        let returned = (self.0)().await;
        super::CheckResult::status(&returned)
    }
}

/// The link-time list of every `#[health_check]` function in the program, dependencies included.
#[linkme::distributed_slice]
#[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
pub static CHECKS: [CheckDef];

/// One `#[health_check]` function, written whole by the macro in constant context.
#[derive(Debug)]
pub struct CheckDef {
    pub(crate) name: &'static str,
    pub(crate) module: &'static str,
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    pub(crate) options: CheckOptions,
    pub(crate) run: fn() -> BoxFuture<'static, HealthStatus>,
}

impl CheckDef {
    /// The name, the place (`module_path!()`, `file!()`, `line!()`), the options, and how to run it.
    pub const fn new(
        name: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
        options: CheckOptions,
        run: fn() -> BoxFuture<'static, HealthStatus>,
    ) -> Self {
        Self {
            name,
            module,
            file,
            line,
            options,
            run,
        }
    }
}

/// Boxes the run of a [`CheckDef`].
pub fn boxed(run: impl Future<Output = HealthStatus> + Send + 'static) -> BoxFuture<'static, HealthStatus> {
    Box::pin(run)
}
