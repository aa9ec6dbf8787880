//! What a check consists of: the parts of a derived one, their names, and the way to the one that is asked.

use super::check::HealthCheck;
use super::options::CheckOptions;
use super::status::{Health, HealthStatus};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

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
    use super::super::check::{CheckDef, DynHealthCheck, check_fn};
    use super::super::options::Probe;
    use super::super::private as p;
    use super::*;
    use crate as vitalsign;
    use std::sync::Arc;
    use std::time::Duration;

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
