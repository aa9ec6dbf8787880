//! Health checks as functions, blocks and structs.
#![deny(warnings)]
#![forbid(unsafe_code)]

use vitalsign::{HealthCheck, HealthStatus, health_check, timed};

#[health_check]
async fn plain() {}

#[health_check(readiness, startup, name = "orders-db", timeout = "2s", interval = "10s", failures = 3, successes = 2)]
async fn database() -> Result<(), std::io::Error> {
    Ok(())
}

#[health_check(liveness, cache = "500ms", critical = false, blocking, crate = ::vitalsign)]
fn disk() -> bool {
    true
}

#[health_check]
#[timed]
fn boxed_error() -> Result<HealthStatus, Box<dyn std::error::Error + Send + Sync>> {
    Ok(HealthStatus::degraded("slow"))
}

#[health_check]
fn future() -> impl Future<Output = Result<bool, String>> + Send {
    async { Ok(true) }
}

struct Pool<'a, T>(&'a str, T);

impl<T: Send + Sync> HealthCheck for Pool<'_, T> {
    async fn check(&self) -> HealthStatus {
        HealthStatus::down(self.0.to_owned())
    }
}

struct Mailer;

async fn ping(_: &Mailer) -> Result<(), String> {
    Err("nobody".into())
}

fn look(_: &Mailer) -> bool {
    true
}

#[derive(HealthCheck)]
struct Backends<'a, T, P: HealthCheck> {
    #[health(readiness, startup, timeout = "2s", interval = "10s", failures = 3, successes = 2)]
    pool: Pool<'a, T>,
    #[health(liveness, name = "mail", critical = false, check = ping, cache = "1s")]
    mailer: Mailer,
    #[health(check = look, blocking)]
    other: Mailer,
    #[health]
    generic: P,
    #[health(skip)]
    config: T,
}

#[derive(HealthCheck)]
struct Nested(#[health] Box<Backends<'static, u8, Store>>, #[health(name = "second")] Option<Store>);

#[derive(HealthCheck)]
#[health(crate = ::vitalsign)]
struct Renamed {
    #[health]
    store: Store,
}

struct Store;

#[health_check(startup, timeout = "3s")]
impl Store {
    #[check(readiness, name = "reach", timeout = "2s", interval = "10s", failures = 3, successes = 2)]
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }

    #[deprecated]
    #[check(liveness, startup, critical = false, cache = "1s", blocking)]
    fn has_space(&self) -> bool {
        self.helper() > 0
    }

    /// What is not compiled is not checked.
    #[cfg(any())]
    #[check]
    async fn gone(&self) -> bool {
        false
    }

    fn helper(&self) -> u8 {
        1
    }
}

/// The probes may ask what nobody else should.
#[health_check]
#[deprecated]
fn outdated() -> bool {
    true
}

#[derive(HealthCheck)]
struct Borrowed<'a, T>(#[health] &'a T);

mod shadowed {
    #![allow(non_camel_case_types, dead_code)]
    struct usize;

    #[derive(vitalsign::HealthCheck)]
    pub struct Outer(#[health] pub super::Store);
}

struct Bare;

#[health_check]
impl Bare {
    #[cfg(any())]
    #[check]
    async fn gone(&self) -> bool {
        false
    }
}

fn checked<T: HealthCheck>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    plain().await;
    assert!(database().await.is_ok() && disk() && boxed_error().is_ok() && future().await.is_ok());
    let backends = Backends { pool: Pool("x", 1), mailer: Mailer, other: Mailer, generic: Store, config: 1 };
    let _ = backends.config;
    let status = checked(Nested(Box::new(backends), None)).check().await;
    assert!(status.message().is_some());
    assert_eq!(Borrowed(&Store).check().await, HealthStatus::up());
    assert_eq!(shadowed::Outer(Store).check().await, HealthStatus::up());
    assert_eq!(Bare.check().await, HealthStatus::up());
    assert_eq!(Renamed { store: Store }.check().await, HealthStatus::up());
}
