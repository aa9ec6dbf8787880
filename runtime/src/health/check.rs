//! What is checked: the trait, the options of one check, and the definitions that attributes write.

use super::status::{Health, HealthStatus};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

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

/// The probes a check belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Probes(u8);

/// A probe an orchestrator asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Probe {
    /// `/livez`: restart me if this fails. Never depends on anything outside the process.
    Live,
    /// `/readyz`: send me requests.
    Ready,
    /// `/startupz`: I have come up.
    Startup,
    /// `/healthz`: everything.
    All,
}

impl Probe {
    const fn bits(self) -> u8 {
        match self {
            Self::Live => 1,
            Self::Ready => 2,
            Self::Startup => 4,
            Self::All => 7,
        }
    }

    /// `liveness`, `readiness`, `startup` or `all`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "liveness",
            Self::Ready => "readiness",
            Self::Startup => "startup",
            Self::All => "all",
        }
    }
}

impl Probes {
    /// Whether a check of these probes is asked by that one.
    pub const fn has(self, probe: Probe) -> bool {
        self.0 & probe.bits() != 0
    }

    const fn and(self, probe: Probe) -> Self {
        Self(self.0 | probe.bits())
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What was said of one check; what was not said falls to the struct around it, then to the defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    pub(crate) probes: Probes,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cache: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) critical: Option<bool>,
    pub(crate) failures: Option<u32>,
    pub(crate) successes: Option<u32>,
    pub(crate) blocking: Option<bool>,
    pub(crate) tags: &'static [&'static str],
}

impl CheckOptions {
    /// Nothing said: readiness, critical, 5 s time-out, cached for 1 s, down at the first failure, up at the first success.
    pub const fn new() -> Self {
        Self {
            probes: Probes(0),
            timeout: None,
            cache: None,
            interval: None,
            critical: None,
            failures: None,
            successes: None,
            blocking: None,
            tags: &[],
        }
    }

    /// Asked by `/livez`. Only for what a restart of this process would heal.
    #[must_use]
    pub const fn liveness(mut self) -> Self {
        self.probes = self.probes.and(Probe::Live);
        self
    }

    /// Asked by `/readyz`, the default.
    #[must_use]
    pub const fn readiness(mut self) -> Self {
        self.probes = self.probes.and(Probe::Ready);
        self
    }

    /// Asked by `/startupz`.
    #[must_use]
    pub const fn startup(mut self) -> Self {
        self.probes = self.probes.and(Probe::Startup);
        self
    }

    /// Down when it takes longer.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Asked on demand, the answer kept so long.
    #[must_use]
    pub const fn cache(mut self, cache: Duration) -> Self {
        self.cache = Some(cache);
        self.interval = None;
        self
    }

    /// Asked in the background, so often.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self.cache = None;
        self
    }

    /// `false`: a failure only degrades.
    #[must_use]
    pub const fn critical(mut self, critical: bool) -> Self {
        self.critical = Some(critical);
        self
    }

    /// So many failures in a row until it counts as down.
    #[must_use]
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = Some(failures);
        self
    }

    /// So many successes in a row until it counts as up again.
    #[must_use]
    pub const fn successes(mut self, successes: u32) -> Self {
        self.successes = Some(successes);
        self
    }

    /// It blocks its thread: it gets one of its own.
    #[must_use]
    pub const fn blocking(mut self) -> Self {
        self.blocking = Some(true);
        self
    }

    /// Marks to select by: `/readyz?tag=db`.
    #[must_use]
    pub const fn tags(mut self, tags: &'static [&'static str]) -> Self {
        self.tags = tags;
        self
    }

    /// What `self` leaves open is taken from `outer`.
    #[must_use]
    pub(crate) fn or(mut self, outer: &Self) -> Self {
        if self.probes.is_empty() {
            self.probes = outer.probes;
        }
        if self.cache.is_none() && self.interval.is_none() {
            self.cache = outer.cache;
            self.interval = outer.interval;
        }
        self.timeout = self.timeout.or(outer.timeout);
        self.critical = self.critical.or(outer.critical);
        self.failures = self.failures.or(outer.failures);
        self.successes = self.successes.or(outer.successes);
        self.blocking = self.blocking.or(outer.blocking);
        if self.tags.is_empty() {
            self.tags = outer.tags;
        }
        self
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

/// Collects what a [`HealthCheck`] consists of.
#[derive(Debug)]
pub struct Parts<'a> {
    list: &'a mut Vec<Part>,
    prefix: Option<Rc<str>>,
    options: CheckOptions,
}

/// One check of a registered value: its dotted name below the registered one, and its options.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: Option<Rc<str>>,
    pub(crate) options: CheckOptions,
}

impl Parts<'_> {
    /// The parts of one value.
    pub(crate) fn of(check: &(impl HealthCheck + ?Sized), options: &CheckOptions) -> Vec<Part> {
        let mut list = Vec::new();
        check.parts(&mut Parts {
            list: &mut list,
            prefix: None,
            options: *options,
        });
        list
    }

    /// The value itself is one check.
    pub fn leaf(&mut self) {
        self.list.push(Part {
            name: self.prefix.clone(),
            options: self.options,
        });
    }

    #[cfg(feature = "health-checks")]
    /// The value itself is one check, and knows something of its options.
    pub(crate) fn leaf_with(&mut self, options: CheckOptions) {
        self.list.push(Part {
            name: self.prefix.clone(),
            options: options.or(&self.options),
        });
    }

    /// A field that is a check, or several: theirs are named `name.inner`, and what they do not say falls to `options`.
    pub fn field(&mut self, name: &str, options: CheckOptions, check: &(impl HealthCheck + ?Sized)) {
        check.parts(&mut self.below(name, options));
    }

    /// A field, or a method, that a function checks.
    pub fn function(&mut self, name: &str, options: CheckOptions) {
        self.below(name, options).leaf();
    }

    fn below(&mut self, name: &str, options: CheckOptions) -> Parts<'_> {
        let prefix = match &self.prefix {
            Some(prefix) => format!("{prefix}.{name}").into(),
            None => name.into(),
        };
        Parts {
            list: &mut *self.list,
            prefix: Some(prefix),
            options: options.or(&self.options),
        }
    }
}

/// Walks the parts of a derived check to the one that is asked.
#[derive(Debug)]
pub struct Cursor(usize);

impl Cursor {
    /// To part number `part`.
    pub const fn new(part: usize) -> Self {
        Self(part)
    }

    /// The part within this field, if it is there; passes the field otherwise.
    pub fn within(&mut self, check: &(impl HealthCheck + ?Sized)) -> Option<usize> {
        let count = Parts::of(check, &CheckOptions::new()).len();
        if self.0 < count {
            return Some(self.0);
        }
        self.0 -= count;
        None
    }

    /// Whether this single part is the one; passes it otherwise.
    pub fn here(&mut self) -> bool {
        let here = self.0 == 0;
        self.0 = self.0.wrapping_sub(1);
        here
    }
}

/// Asks all parts of a derived check, at the same time, and takes the worst: what its `check` does when called by hand.
/// A failure of a part that is not critical degrades. Time-outs and caches are the engine's.
pub async fn check_all(check: &(impl HealthCheck + ?Sized)) -> HealthStatus {
    let mut runs: Vec<_> = named_parts(check)
        .into_iter()
        .enumerate()
        .map(|(part, (name, critical))| (name, critical, Run::Waiting(Box::pin(check.check_part(part)))))
        .collect();
    std::future::poll_fn(|cx| {
        let mut ready = true;
        for (_, _, run) in &mut runs {
            if let Run::Waiting(future) = run {
                match future.as_mut().poll(cx) {
                    Poll::Ready(status) => *run = Run::Done(status),
                    Poll::Pending => ready = false,
                }
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let mut worst = HealthStatus::up();
    for (name, critical, run) in runs {
        let Run::Done(mut status) = run else { continue };
        if status.health == Health::Down && !critical {
            status.health = Health::Degraded;
        }
        if status.health > worst.health {
            let message = status.message.as_deref().unwrap_or_else(|| status.health.as_str());
            worst = HealthStatus::from(status.health).because(format!("{name}: {message}"));
        }
    }
    worst
}

enum Run<F> {
    Waiting(Pin<Box<F>>),
    Done(HealthStatus),
}

/// Name and criticality, owned and `Send`, so that the future of [`check_all`] is.
fn named_parts(check: &(impl HealthCheck + ?Sized)) -> Vec<(String, bool)> {
    Parts::of(check, &CheckOptions::new())
        .into_iter()
        .map(|part| {
            (
                part.name.as_deref().unwrap_or("").to_owned(),
                part.options.critical != Some(false),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::private as p;
    use super::*;
    use crate as vitalsign;

    struct Pool<'a>(&'a str);
    impl HealthCheck for Pool<'_> {
        async fn check(&self) -> HealthStatus {
            HealthStatus::down(self.0.to_owned())
        }
    }

    #[expect(clippy::ptr_arg, reason = "as a derive gives it: the field")]
    async fn ping(name: &String) -> Result<(), std::io::Error> {
        std::future::ready(()).await;
        if name.is_empty() {
            return Err(std::io::Error::other("nobody"));
        }
        Ok(())
    }

    /// As the derive writes it, in a place where nothing but paths is in scope.
    struct Backends<'a, T, C> {
        db: Arc<T>,
        config: &'a C,
        mailer: String,
    }

    impl<T, C> vitalsign::HealthCheck for Backends<'_, T, C>
    where
        T: Send + Sync,
        C: Send + Sync,
        Arc<T>: vitalsign::HealthCheck,
    {
        async fn check(&self) -> p::HealthStatus {
            p::check_all(self).await
        }
        fn parts(&self, parts: &mut p::Parts<'_>) {
            parts.field("db", p::CheckOptions::new().liveness(), &self.db);
            parts.function("mailer", p::CheckOptions::new().critical(false));
        }
        async fn check_part(&self, part: usize) -> p::HealthStatus {
            let mut at = p::Cursor::new(part);
            if let Some(part) = at.within(&self.db) {
                return p::HealthCheck::check_part(&self.db, part).await;
            }
            if at.here() {
                let ret = ping(&self.mailer).await;
                return {
                    use p::returned::*;
                    (&&&&Returned(&ret)).health_status()
                };
            }
            let _ = &self.config;
            p::HealthStatus::up()
        }
    }

    struct Outer<'a> {
        name: &'a str,
    }
    impl HealthCheck for Outer<'_> {
        async fn check(&self) -> HealthStatus {
            check_all(self).await
        }
        fn parts(&self, parts: &mut Parts<'_>) {
            let inner = Self::inner();
            parts.function("first", CheckOptions::new());
            parts.field("inner", CheckOptions::new().startup().critical(true), &inner);
            parts.field("last", CheckOptions::new(), &Pool(self.name));
        }
        async fn check_part(&self, part: usize) -> HealthStatus {
            let mut at = Cursor::new(part);
            let inner = Self::inner();
            if at.here() {
                return HealthStatus::up();
            }
            if let Some(part) = at.within(&inner) {
                return inner.check_part(part).await;
            }
            let last = Pool("last");
            if let Some(part) = at.within(&last) {
                return last.check_part(part).await;
            }
            HealthStatus::up()
        }
    }
    impl<'a> Outer<'a> {
        fn inner() -> Backends<'a, Pool<'a>, u8> {
            Backends {
                db: Arc::new(Pool("db")),
                config: &7,
                mailer: String::new(),
            }
        }
    }

    #[tokio::test]
    async fn a_nested_derive_flattens_to_dotted_names() {
        let name = "pool".to_owned();
        let outer = Outer { name: &name };
        let parts = Parts::of(&outer, &CheckOptions::new().readiness());
        let shown: Vec<_> = parts
            .iter()
            .map(|part| {
                let o = &part.options;
                (
                    part.name.as_deref().unwrap(),
                    o.probes.has(Probe::Live),
                    o.probes.has(Probe::Startup),
                    o.critical,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("first", false, false, None),
                ("inner.db", true, false, Some(true)),
                ("inner.mailer", false, true, Some(false)),
                ("last", false, false, None),
            ]
        );
        let mut said = Vec::new();
        for part in 0..parts.len() {
            said.push(outer.check_part(part).await.message().map(str::to_owned));
        }
        let said: Vec<_> = said.iter().map(Option::as_deref).collect();
        assert_eq!(said, [None, Some("db"), Some("nobody"), Some("last")]);
        assert_eq!(outer.check().await.message(), Some("inner.db: db"));
    }

    #[tokio::test]
    async fn pointers_and_options_forward() {
        let boxed: Box<dyn DynHealthCheck> = Box::new(Some(Arc::new(Pool("x"))));
        assert_eq!(boxed.check().await.message(), Some("x"));
        assert_eq!(HealthCheck::check_part(&&boxed, 0).await.message(), Some("x"));
        assert_eq!(None::<Pool<'_>>.check().await.health(), Health::Up);
        assert_eq!(check_fn(|| async { false }).check().await.health(), Health::Down);
    }

    static DEF: CheckDef = CheckDef::new(
        "db",
        module_path!(),
        file!(),
        line!(),
        CheckOptions::new().readiness().timeout(Duration::from_secs(2)),
        || {
            p::boxed(async {
                let ret = ping(&String::new()).await;
                {
                    use p::returned::*;
                    (&&&&Returned(&ret)).health_status()
                }
            })
        },
    );

    #[tokio::test]
    async fn a_definition_is_constant_and_runs() {
        assert_eq!((DEF.run)().await.message(), Some("nobody"));
    }
}
