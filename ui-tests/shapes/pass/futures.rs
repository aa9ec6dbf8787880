//! Functions that return futures.
#![deny(warnings)]
#![forbid(unsafe_code)]

use std::pin::Pin;
use vitalsign::observed;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type LocalBoxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

#[observed]
fn literal(n: &u8) -> Boxed<'_, Result<u8, std::num::ParseIntError>> {
    let m = *n;
    Box::pin(async move {
        let n: u8 = "1".parse()?;
        Ok(n + m)
    })
}

#[observed]
fn spelled<'a>(n: &'a u8) -> Pin<Box<dyn Future<Output = u8> + Send + 'a>> {
    std::boxed::Box::pin(async move { *n })
}

#[observed]
fn unboxed(n: &u8) -> impl Future<Output = Result<u8, String>> + Send {
    async move { Ok(*n) }
}

#[observed]
fn captures_nothing() -> impl Future<Output = u8> + Send + 'static {
    async { 1 }
}

#[observed]
fn precise<'a, T: Clone>(_n: &'a u8, value: T) -> impl Future<Output = T> + use<T> {
    async move { value.clone() }
}

#[observed]
fn by_other_means(n: u8) -> impl Future<Output = u8> {
    std::future::ready(n)
}

#[observed]
fn of_another_path(n: u8) -> impl Send + ::core::future::Future<Output = u8> {
    std::future::ready(n)
}

/// Futures that are not what is returned.
#[observed]
fn closure_to_a_future() -> impl Fn(u8) -> Boxed<'static, u8> {
    |n| Box::pin(async move { n })
}

#[observed]
fn closure_to_a_spelled_future() -> impl Fn(u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
    |n| Box::pin(async move { n })
}

#[observed]
fn many(n: u8) -> impl Iterator<Item = impl Future<Output = u8>> {
    (0..n).map(|n| async move { n })
}

trait Service {
    type Future: Future<Output = u8>;
    fn call(&self) -> Self::Future;
}

struct Ready;

impl Service for Ready {
    type Future = std::future::Ready<u8>;
    fn call(&self) -> Self::Future {
        std::future::ready(1)
    }
}

#[observed]
fn service() -> impl Service<Future = std::future::Ready<u8>> {
    Ready
}

#[observed]
fn early(n: u8) -> Boxed<'static, u8> {
    if n == 0 {
        return Box::pin(std::future::ready(7));
    }
    Box::pin(async move { n })
}

#[observed]
fn returns_the_tail(n: u8) -> Boxed<'static, u8> {
    return Box::pin(async move { n });
}

#[observed]
fn delegates(n: u8) -> Boxed<'static, u8> {
    early(n)
}

#[observed]
fn local(n: std::rc::Rc<u8>) -> LocalBoxed<'static, u8> {
    Box::pin(async move { *n })
}

#[observed]
fn delegates_locally(n: std::rc::Rc<u8>) -> LocalBoxed<'static, u8> {
    local(n)
}

struct Slot(Option<Boxed<'static, u8>>);

impl Slot {
    #[observed]
    fn stores(&mut self, n: u8) {
        self.0 = Some(Box::pin(async move { n }));
    }
    #[observed]
    fn takes(&mut self) -> Option<Boxed<'static, u8>> {
        self.0.take()
    }
}

#[observed]
fn generic<T>(value: T) -> T {
    value
}

macro_rules! ensure {
    ($condition:expr) => {
        if !$condition {
            return Box::pin(async { Err("early".to_owned()) });
        }
    };
}

#[observed]
fn early_in_a_macro(n: u8) -> Boxed<'static, Result<u8, String>> {
    ensure!(n > 0);
    Box::pin(async move { Ok(n) })
}

/// A closure that returns a future is no future.
#[observed]
fn closure() -> fn(u8) -> Boxed<'static, u8> {
    |n| Box::pin(async move { n })
}

type Made = fn(u8) -> Boxed<'static, u8>;

#[observed]
fn closure_by_another_name() -> Made {
    |n| std::boxed::Box::pin(async move { n })
}

type SyncBoxed<T> = Pin<Box<dyn Future<Output = T> + Send + Sync>>;

#[observed]
fn shared(n: u8) -> SyncBoxed<Result<u8, String>> {
    let failed: Result<u8, String> = Err(n.to_string());
    Box::pin(std::future::ready(failed))
}

#[observed]
fn shared_literally(n: u8) -> SyncBoxed<Result<u8, String>> {
    Box::pin(async move { Err(n.to_string()) })
}

trait Handler {
    type Result;
    fn handle(&self, n: u8) -> Self::Result;
    fn handle_literally(&self, n: u8) -> Self::Result;
    fn delegate(&self, n: u8) -> <Self as Handler>::Result;
}

struct Actor;

impl Handler for Actor {
    type Result = Boxed<'static, Result<u8, String>>;
    #[observed]
    fn handle(&self, n: u8) -> Self::Result {
        let failed: Result<u8, String> = Err(n.to_string());
        Box::pin(std::future::ready(failed))
    }
    #[observed]
    fn handle_literally(&self, n: u8) -> Self::Result {
        Box::pin(async move { Err(n.to_string()) })
    }
    #[observed]
    fn delegate(&self, n: u8) -> <Self as Handler>::Result {
        self.handle(n)
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(is_send(literal(&1)).await, Ok(2));
    assert_eq!(is_send(spelled(&1)).await, 1);
    assert_eq!(is_send(unboxed(&1)).await, Ok(1));
    assert_eq!(is_send(captures_nothing()).await, 1);
    let outlives = precise(&3, String::from("x"));
    assert_eq!(outlives.await, "x");
    assert_eq!(is_send(by_other_means(1)).await, 1);
    assert_eq!(is_send(of_another_path(1)).await, 1);
    assert_eq!(closure_to_a_future()(1).await + closure_to_a_spelled_future()(1).await, 2);
    assert_eq!(many(2).count(), 2);
    assert_eq!(service().call().await, 1);
    assert_eq!(is_send(early(0)).await + early(1).await, 8);
    assert_eq!(returns_the_tail(1).await, 1);
    assert_eq!(is_send(delegates(1)).await, 1);
    assert_eq!(local(1.into()).await + delegates_locally(1.into()).await, 2);
    let mut slot = Slot(None);
    slot.stores(1);
    assert_eq!(slot.takes().unwrap().await, 1);
    assert_eq!(generic(captures_nothing()).await, 1);
    let capture = vitalsign::testing::capture();
    for call in [Actor.handle(1), Actor.handle_literally(1), Actor.delegate(1)] {
        assert_eq!(call.await, Err("1".to_owned()));
    }
    assert_eq!(early_in_a_macro(0).await, Err("early".to_owned()));
    assert_eq!(closure()(1).await + closure_by_another_name()(2).await, 3);
    assert!(shared(1).await.is_err() && shared_literally(1).await.is_err());
    // As futures they end: in an error.
    let errors = capture.spans().iter().filter(|span| format!("{span:?}").contains("Error")).count();
    assert_eq!(errors, 7);
}
