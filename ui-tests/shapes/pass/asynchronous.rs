//! `async fn`: the same types, borrows, auto traits and drop order.
#![deny(warnings)]
#![forbid(unsafe_code)]
#![warn(rust_2018_idioms, trivial_casts, trivial_numeric_casts, unreachable_pub, unused_lifetimes, unused_qualifications, unused_import_braces, let_underscore_drop, single_use_lifetimes, missing_copy_implementations, variant_size_differences, non_ascii_idents, redundant_lifetimes, unit_bindings)]
#![allow(single_use_lifetimes)]

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use vitalsign::observed;

struct Error;

#[observed]
async fn nothing() {}

#[observed]
async fn reborrows<'a>(mut longest: &'a str, text: &'a str) -> usize {
    let local = text.to_owned();
    if local.len() > longest.len() {
        longest = &local;
    }
    nothing().await;
    longest.len()
}

#[observed]
async fn elided(values: &mut Vec<u8>) -> Result<&mut u8, Error> {
    nothing().await;
    values.last_mut().ok_or(Error)
}

#[observed]
async fn boxes(n: u32) -> Result<Box<dyn Fn(u32) -> u32 + Send>, Error> {
    if n == 0 {
        return Err(Error);
    }
    nothing().await;
    Ok(Box::new(move |m| m + n))
}

#[observed]
async fn unsizes(values: &Vec<u8>) -> Option<&[u8]> {
    Some(values)
}

#[observed]
async fn asks(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    let n: u32 = text.parse()?;
    if n == 7 {
        Err("seven")?;
    }
    Ok(n)
}

#[observed]
async fn hidden(n: u8) -> impl Iterator<Item = u8> {
    (0..n).map(|n| n * 2)
}

#[observed]
async fn hidden_deep(n: u8) -> Result<Option<impl Iterator<Item = u8>>, std::num::ParseIntError> {
    let m: u8 = "3".parse()?;
    Ok(Some(0..n + m))
}

#[observed]
async fn patterns((a, mut b): (u8, u8), [c, ..]: [u8; 3], _: String, &d: &u8) -> u8 {
    b += 1;
    nothing().await;
    a + b + c + d
}

#[observed]
async fn generic<'a, 'b: 'a, T, const N: usize>(values: &'a [T; N], other: &'b T, show: impl Display) -> (&'a T, &'b T, String)
where
    T: PartialOrd + 'a,
{
    nothing().await;
    (&values[0], other, show.to_string())
}

#[observed]
async fn recursive(n: u64) -> u64 {
    if n < 2 {
        n
    } else {
        Box::pin(recursive(n - 1)).await + Box::pin(recursive(n - 2)).await
    }
}

#[observed]
async fn local(rc: Rc<u8>) -> u8 {
    nothing().await;
    *rc
}

#[observed]
#[must_use]
async fn must_use() -> u8 {
    1
}

#[observed]
async fn mutable_everything(mut a: String, mut b: Vec<u8>, c: &mut u8) -> usize {
    a.push('x');
    b.push(1);
    *c += 1;
    nothing().await;
    a.len() + b.len()
}

struct Service {
    name: String,
}

#[allow(clippy::unused_async)]
impl Service {
    #[observed]
    async fn by_reference(&self) -> &str {
        &self.name
    }
    #[observed]
    async fn exclusive(&mut self, more: &str) -> &mut String {
        self.name.push_str(more);
        &mut self.name
    }
    #[observed]
    async fn by_value(self) {}
    #[observed]
    async fn mutable(mut self) -> String {
        self.name.push('!');
        self.name
    }
    #[observed]
    async fn shared(self: Arc<Self>) -> usize {
        nothing().await;
        self.name.len()
    }
    #[observed]
    async fn boxed(self: Box<Self>) -> String {
        self.name
    }
    #[observed]
    async fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

trait Load {
    async fn load(&self, id: u8) -> Option<u8>;
    fn store(&self, id: u8) -> impl Future<Output = bool> + Send;
    #[observed]
    fn both(&self) -> impl Future<Output = u8> + Send
    where
        Self: Sync,
    {
        async { 1 }
    }
}

impl Load for Service {
    #[observed]
    async fn load(&self, id: u8) -> Option<u8> {
        nothing().await;
        Some(id)
    }
    #[observed]
    async fn store(&self, id: u8) -> bool {
        nothing().await;
        id > 0
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

struct Loud(&'static str, Rc<std::cell::RefCell<Vec<&'static str>>>);
impl Drop for Loud {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

macro_rules! drops {
    ($(#[$attr:meta])* $name:ident) => {
        $(#[$attr])*
        #[allow(unused_variables)]
        async fn $name(a: Loud, (b, _): (Loud, Loud), _: Loud, _d: Loud, mut e: Loud) {
            let local = Loud("local", a.1.clone());
            nothing().await;
            e.0 = "e";
        }
    };
}
drops!(bare_drops);
drops!(#[observed] annotated_drops);

#[allow(unused_variables)]
async fn bare_unpolled(a: Loud, b: Loud, (c, d): (Loud, Loud)) {}
#[observed(traced(fields(second = b.0, first = a.0)))]
#[allow(unused_variables)]
async fn annotated_unpolled(a: Loud, b: Loud, (c, d): (Loud, Loud)) {}

#[observed(traced(fields(a, n = c)))]
async fn patterns_in_fields((mut a, b): (u8, Vec<u8>), c: u8) -> u8 {
    a += b.len() as u8;
    nothing().await;
    a += c;
    a
}

#[observed]
async fn even(n: u32) -> bool {
    n == 0 || Box::pin(odd(n - 1)).await
}

#[observed]
async fn odd(n: u32) -> bool {
    n != 0 && Box::pin(even(n - 1)).await
}

struct Ticks(u8);

impl Future for Ticks {
    type Output = u8;

    #[observed]
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<u8> {
        if self.0 == 2 {
            return std::task::Poll::Ready(2);
        }
        self.0 += 1;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}

impl Iterator for Ticks {
    type Item = u8;

    #[observed]
    fn next(&mut self) -> Option<Self::Item> {
        self.0 = self.0.checked_add(1)?;
        Some(self.0)
    }
}

fn args(seen: &Rc<std::cell::RefCell<Vec<&'static str>>>) -> [Loud; 6] {
    ["a", "b", "b2", "c", "d", "x"].map(|name| Loud(name, Rc::clone(seen)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(is_send(reborrows("a", "bc")).await, 2);
    assert!(is_send(elided(&mut vec![1])).await.is_ok());
    assert_eq!(is_send(boxes(1)).await.ok().unwrap()(2), 3);
    assert_eq!(unsizes(&vec![1]).await.unwrap().len(), 1);
    assert!(asks("x").await.is_err() && asks("7").await.is_err() && asks("8").await.is_ok());
    assert_eq!(hidden(2).await.sum::<u8>(), 2);
    assert_eq!(hidden_deep(2).await.unwrap().unwrap().count(), 5);
    assert_eq!(is_send(patterns((1, 2), [3, 0, 0], String::new(), &4)).await, 11);
    assert_eq!(generic(&[1, 2], &3, 'x').await, (&1, &3, "x".to_owned()));
    assert_eq!(recursive(6).await, 8);
    assert_eq!(local(Rc::new(1)).await, 1);
    assert_eq!(must_use().await, 1);
    assert_eq!(mutable_everything("a".into(), vec![], &mut 1).await, 3);
    let mut service = Service::new("x").await;
    assert_eq!(service.by_reference().await, "x");
    assert_eq!(service.exclusive("y").await, "xy");
    assert_eq!(is_send(service.load(1)).await, Some(1));
    assert!(is_send(service.store(1)).await);
    assert_eq!(is_send(service.both()).await, 1);
    assert_eq!(Service::new("x").await.mutable().await, "x!");
    assert_eq!(Arc::new(Service::new("x").await).shared().await, 1);
    assert_eq!(Box::new(Service::new("x").await).boxed().await, "x");
    service.by_value().await;

    let (bare, annotated) = (Rc::default(), Rc::default());
    let [a, b, b2, c, d, e] = args(&bare);
    bare_drops(a, (b, b2), c, d, e).await;
    let [a, b, b2, c, d, e] = args(&annotated);
    annotated_drops(a, (b, b2), c, d, e).await;
    assert_eq!(bare, annotated);

    let (bare, annotated) = (Rc::default(), Rc::default());
    let [a, b, c, d, ..] = args(&bare);
    drop(bare_unpolled(a, b, (c, d)));
    let [a, b, c, d, ..] = args(&annotated);
    drop(annotated_unpolled(a, b, (c, d)));
    bare.borrow_mut().truncate(4);
    annotated.borrow_mut().truncate(4);
    assert_eq!(bare, annotated);

    assert_eq!(is_send(patterns_in_fields((1, vec![1]), 1)).await, 3);
    assert_eq!(is_send(recursive(3)).await, 2);
    assert!(is_send(even(4)).await);
    assert_eq!(Ticks(0).await, 2);
    assert_eq!(Ticks(0).next(), Some(1));
}
