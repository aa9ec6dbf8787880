//! Shapes that seldom stand together: what compiles bare compiles annotated.
#![deny(warnings)]
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::fmt::Debug;
use std::future::Future;
use std::ops::{ControlFlow, Deref};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use vitalsign::{counted, observed, timed, traced};

#[derive(Debug)]
struct Error;

/// Methods of everything, named as ours are.
#[allow(dead_code)]
trait Everything {
    fn settle(&self) -> u8 {
        1
    }
    fn kind(&self) -> u8 {
        1
    }
    fn value(&self) -> u8 {
        1
    }
    fn ok_value(&self) {}
    fn finish(&self) {}
    fn begin(&self) {}
    fn enter(&self) {}
    fn entered(&self) {}
    fn settling(&self) {}
    fn ended(&self) {}
    fn end(&self) {}
    fn on(&self) {}
    fn open(&self) {}
    fn fields(&self) {}
    fn by(&self) {}
    fn decide(&self) {}
    fn recording(&self) {}
    fn ret(&self) {}
    fn when(&self) {}
    fn root(&self) {}
    fn parent(&self) {}
    fn link(&self) {}
    fn count_labels(&self) {}
    fn time_labels(&self) {}
}
impl<T: ?Sized> Everything for T {}

#[observed(
    ok_if = |ret| ret.is_ok(),
    traced(args, ret, root, when = a > 0),
    counted(by = |ret| u64::from(ret.is_ok()), labels(big = a > 1), in_flight),
    timed(labels(ok = |ret| ret.is_ok()), busy)
)]
fn blanket(a: u8, b: &str) -> Result<u8, Error> {
    Ok(a.settle() + b.kind() + b.value())
}

#[observed(traced(args, ret, root))]
async fn blanket_later(a: u8, b: &str) -> Result<u8, Error> {
    Ok(a.settle() + b.kind() + b.value())
}

#[observed(traced(args))]
fn conditional(#[cfg(any())] missing: Missing, #[cfg(all())] a: u8, #[cfg(any())] gone: Missing, #[cfg(not(any()))] b: u8) -> u8 {
    a + b
}

#[observed(traced(args))]
async fn conditional_later(#[cfg(any())] mut missing: Missing, #[cfg(all())] a: String, #[cfg(any())] (c, d): Missing) -> usize {
    a.len()
}

#[observed]
fn closure() -> impl Fn(u8) -> Box<dyn Fn(u8) -> u8> {
    |n| Box::new(move |m| n + m)
}

#[observed]
fn closure_over_any_lifetime() -> impl for<'a> Fn(&'a str) -> &'a str {
    |text| text
}

#[observed]
fn closure_elided(n: usize) -> impl Fn(&str) -> usize + Send {
    move |text| text.len() + n
}

#[observed]
async fn closure_later(n: usize) -> impl Fn(&str) -> usize + Send {
    let more = std::future::ready(1).await;
    move |text| text.len() + n + more
}

#[must_use]
#[observed]
async fn closure_kept() -> impl for<'a> Fn(&'a str) -> &'a str {
    |text| text
}

#[observed]
async fn closure_later_generic<'a, T: Clone + 'a, const N: usize>(values: &'a [T; N]) -> impl FnMut(usize) -> Option<&'a T> + 'a {
    move |n| values.get(n)
}

#[observed(traced(args))]
fn closure_generic<'a, T: Debug + 'a, const N: usize>(values: &'a [T; N]) -> impl FnMut(usize) -> Option<&'a T> + 'a
where
    T: Clone,
{
    move |n| values.get(n)
}

#[observed]
async fn closure_later_borrows(text: &str) -> impl Fn(&str) -> bool + '_ {
    move |other| other == text
}

#[observed]
fn closures() -> (impl Fn(&str) -> &str, (u8, impl FnMut(&str) -> usize + Send)) {
    (|text| text, (1, |text| text.len()))
}

#[observed]
#[track_caller]
fn closure_in_place() -> impl Fn(&str) -> &str {
    |text| text
}

#[observed]
#[track_caller]
fn closure_in_a_block(n: u8) -> impl Fn(&str) -> &str {
    if n > 0 {
        return |text| text;
    }
    unreachable!()
}

struct Text<'a, T>(&'a str, T);

impl<'a, T: Clone + PartialEq> Text<'a, T> {
    #[observed]
    fn borrows(&self) -> impl Fn(&str) -> bool + '_ {
        move |other| other.len() == self.0.len()
    }
    #[observed]
    fn borrows_precisely(&self) -> impl Fn(&str) -> bool + use<'_, 'a, T> {
        move |other| other.len() == self.0.len()
    }
    #[observed]
    fn of_the_block(&self) -> impl Fn(&str) -> &'a str + Clone + Send + 'a {
        let text = self.0;
        move |other| text.get(other.len()..).unwrap_or(text)
    }
    #[observed]
    fn of_itself(&self) -> impl Fn(&Self) -> bool {
        |other| other.0.is_empty()
    }
    #[observed]
    async fn of_a_parameter(&self) -> impl Fn(&[T], &T) -> bool {
        |items, item| items.contains(item)
    }
}

#[observed]
impl<Key: Clone> Wrapped<Key> {
    fn of_a_key(&self) -> impl Fn(&Key) -> Key {
        |key| key.clone()
    }
    #[track_caller]
    fn of_a_key_in_place<F: Fn(&Key)>(&self, told: F) -> impl FnOnce(&Key) -> Key {
        move |key| {
            told(key);
            key.clone()
        }
    }
}

#[observed(traced(err(debug)))]
impl Wrapped<Vec<u8>> {
    fn no_result(&self) -> usize {
        self.0.len()
    }
    fn result(&self) -> Result<&u8, Error> {
        self.0.first().ok_or(Error)
    }
    async fn later(&self) -> Option<u8> {
        self.0.first().copied()
    }
    fn iterates(&self) -> impl Iterator<Item = &u8> {
        self.0.iter()
    }
}

struct Wrapped<T>(T);

impl<T> Deref for Wrapped<T> {
    type Target = T;
    #[observed]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[observed(traced(args), error_if = |ret: &Vec<u8>| ret.len() > limit, counted(by = |ret| ret.len() as u64 * factor))]
async fn judged(limit: usize, factor: u64, other: String) -> Vec<u8> {
    drop(other);
    vec![0; limit + factor as usize]
}

#[observed(ok_if = |ret: &usize| *ret <= text.len())]
async fn judged_by_reference(text: &str) -> usize {
    std::future::ready(()).await;
    text.len()
}

#[observed(ok_if = |ret: &Vec<String>| ret.iter().all(|name| !name.is_empty()))]
fn judged_by_its_own_name(name: String) -> Vec<String> {
    vec![name]
}

#[observed(error_if = |ret: &u8| *ret > limit)]
fn judged_boxed<'a>(limit: u8) -> Pin<Box<dyn Future<Output = u8> + Send + 'a>> {
    Box::pin(async move { limit })
}

type Alias<'a> = Pin<Box<dyn Future<Output = u8> + Send + 'a>>;

#[observed(error_if = |ret: &u8| *ret > limit)]
fn judged_by_alias<'a>(limit: u8) -> Alias<'a> {
    judged_boxed(limit)
}

struct Bounded {
    most: usize,
}

impl Bounded {
    #[observed(error_if = |ret: &usize| *ret > self.most)]
    async fn judged(&self, n: usize) -> usize {
        n + self.most
    }
    #[observed]
    fn arc(self: &Arc<Self>) -> Arc<Self> {
        Arc::clone(self)
    }
    #[observed]
    fn rc(self: Rc<Self>) -> usize {
        self.most
    }
    #[observed]
    fn pinned(self: Pin<&mut Self>) -> &mut usize {
        &mut self.get_mut().most
    }
    #[observed]
    fn pinned_box(mut self: Pin<Box<Self>>) -> usize {
        self.as_mut().most += 1;
        self.most
    }
    #[observed(traced(args))]
    fn r#type(&self, r#in: u8) -> u8 {
        r#in
    }
}

#[observed]
fn guard(shared: &Mutex<u8>) -> Option<MutexGuard<'_, u8>> {
    let guard = shared.lock().ok()?;
    if *guard == 0 {
        return None;
    }
    Some(guard)
}

#[observed]
fn tail_temporary(shared: &Mutex<Vec<u8>>) -> usize {
    shared.lock().unwrap().len()
}

#[observed]
fn flow(n: u8) -> ControlFlow<u8, u16> {
    if n == 0 {
        ControlFlow::Break(1)?;
    }
    ControlFlow::Continue(2)
}

#[observed(traced(args))]
fn at((all @ (a, _), n @ 0..): ((u8, u8), u8), [first, .., last]: [u8; 3]) -> u8
where
{
    all.0 + a + n + first + last
}

#[observed]
fn many_names<R, F, S, P, T: Copy, const SIGNALS: u8>(r: R, f: F, s: S, p: P, t: T) -> (R, F, S, P, T) {
    (r, f, s, p, t)
}

#[observed(traced(args))]
fn our_names(call: u8, ret: u8, s: u8, kind: u8, future: u8, ended: u8) -> u8 {
    call + ret + s + kind + future + ended
}

mod shadowed {
    #![allow(dead_code)]
    mod core {}
    mod std {}
    pub(super) struct Call;
    struct Option;
    struct Result;
    enum Some {}
    pub(super) struct Ok;
    trait Drop {}
    trait Future {}
    #[::vitalsign::observed]
    pub(super) fn plain(call: Call) -> ::core::result::Result<Call, Ok> {
        ::core::result::Result::Ok(call)
    }
    #[::vitalsign::observed]
    pub(super) async fn later(call: &Call) -> ::core::option::Option<&Call> {
        ::core::option::Option::Some(call)
    }
}

trait Service<Request> {
    type Response;
    type Future: Future<Output = Self::Response>;
    type Lent<'a>
    where
        Self: 'a;
    fn call(&mut self, request: Request) -> Self::Future;
    fn lend<'a>(&'a self, text: &'a str) -> Self::Lent<'a>;
    #[observed]
    fn owned(self) -> Self
    where
        Self: Sized,
    {
        self
    }
}

impl Service<u8> for Bounded {
    type Response = Result<u8, Error>;
    type Future = Pin<Box<dyn Future<Output = Self::Response> + Send>>;
    type Lent<'a> = (&'a usize, &'a str);
    #[observed]
    fn call(&mut self, request: u8) -> Self::Future {
        let most = self.most;
        Box::pin(async move {
            if usize::from(request) > most {
                return Err(Error);
            }
            Ok(request)
        })
    }
    #[observed]
    fn lend<'a>(&'a self, text: &'a str) -> Self::Lent<'a> {
        (&self.most, text)
    }
}

impl<S: Service<u8>> Service<u8> for Wrapped<S> {
    type Response = S::Response;
    type Future = S::Future;
    type Lent<'a>
        = S::Lent<'a>
    where
        S: 'a;
    #[observed]
    fn call(&mut self, request: u8) -> Self::Future {
        self.0.call(request)
    }
    #[observed]
    fn lend<'a>(&'a self, text: &'a str) -> Self::Lent<'a> {
        self.0.lend(text)
    }
}

#[observed]
async fn async_closures(values: Vec<u8>) -> usize {
    let count = async |more: usize| values.len() + more;
    apply(count).await
}

#[observed]
async fn apply(f: impl AsyncFn(usize) -> usize) -> usize {
    f(1).await
}

macro_rules! made {
    ($vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        #[observed(traced(args, ret))]
        $vis fn $name($($arg: $ty),*) -> $ret $body
    };
    (async $name:ident, $x:ident, $pat:pat) => {
        #[observed(traced(args, ret))]
        async fn $name($x: u8, $pat: (u8, u8)) -> u8 {
            let y = $x;
            let x = 2;
            x + y
        }
    };
    (item $item:item) => {
        #[observed]
        $item
    };
    ($name:ident, $self:ident, $body:expr) => {
        impl $name {
            #[observed]
            fn made(&$self) -> usize {
                $body
            }
        }
    };
}
made!(pub(crate) fn made_plain(a: u8, b: &str) -> usize {
    if a == 0 {
        return 0;
    }
    b.len()
});
made!(async made_later, x, (_, _));
made!(item mod made_module {
    pub(super) mod deep {
        pub(in super::super) async fn later() -> u8 {
            1
        }
    }
});
made!(Bounded, self, self.most);

#[cfg_attr(all(), traced(args), counted, timed)]
fn by_condition(n: u8) -> u8 {
    n
}

#[observed]
fn linked(next: &mut Option<Box<Node>>) -> &mut Option<Box<Node>> {
    let mut at = next;
    while let Some(node) = at {
        at = &mut node.next;
    }
    at
}

struct Node {
    next: Option<Box<Node>>,
}

struct Ready(RefCell<u8>);

impl Future for Ready {
    type Output = u8;
    #[observed]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        cx.waker().wake_by_ref();
        Poll::Ready(*self.0.borrow())
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

// The runtime's attribute on either side.
#[tokio::main(flavor = "current_thread")]
#[observed]
async fn main() -> Result<(), Error> {
    above();
    assert!(blanket(1, "x").is_ok() && is_send(blanket_later(1, "x")).await.is_ok());
    assert_eq!(conditional(1, 2), 3);
    assert_eq!(is_send(conditional_later(String::new())).await, 0);
    assert_eq!(closure()(1)(2), 3);
    assert_eq!(closure_over_any_lifetime()("x"), "x");
    assert_eq!(closure_elided(0)("x"), 1);
    assert_eq!((closure_later(1).await)("x"), 3);
    assert_eq!((closure_kept().await)("x"), "x");
    assert_eq!((closure_later_generic(&[1, 2]).await)(1), Some(&2));
    assert_eq!(closure_generic(&[1, 2])(1), Some(&2));
    assert!((closure_later_borrows("x").await)("x"));
    let (same, (_, mut len)) = closures();
    assert_eq!(len(same("x")), 1);
    assert_eq!(closure_in_place()(closure_in_a_block(1)("x")), "x");
    let text = Text("xy", 1_u8);
    assert!(text.borrows()("ab") && text.borrows_precisely()("ab"));
    assert_eq!(text.of_the_block()("a"), "y");
    assert!(!text.of_itself()(&text) && (text.of_a_parameter().await)(&[1], &1));
    assert_eq!(Wrapped(1).of_a_key()(&2) + Wrapped(1).of_a_key_in_place(|_| ())(&2), 4);
    let wrapped = Wrapped(vec![1_u8]);
    assert_eq!(wrapped.no_result() + wrapped.len() + wrapped.iterates().count(), 3);
    assert!(wrapped.result().is_ok() && is_send(wrapped.later()).await.is_some());
    assert_eq!(is_send(judged(1, 2, String::new())).await.len(), 3);
    assert_eq!(judged_by_reference("xy").await, 2);
    assert_eq!(judged_by_its_own_name(String::new()), [""]);
    assert_eq!(judged_boxed(1).await + is_send(judged_by_alias(1)).await, 2);
    let mut bounded = Bounded { most: 1 };
    assert_eq!(is_send(bounded.judged(1)).await, 2);
    assert_eq!(bounded.r#type(1), 1);
    assert_eq!(bounded.made(), 1);
    assert_eq!(bounded.lend("x"), (&1, "x"));
    assert!(bounded.call(2).await.is_err());
    *Pin::new(&mut bounded).pinned() += 1;
    let mut wrapped = Wrapped(bounded.owned());
    assert!(wrapped.call(2).await.is_ok());
    assert_eq!(*wrapped.lend("x").0, 2);
    assert_eq!(Arc::new(wrapped.0).arc().most + Rc::new(Bounded { most: 1 }).rc(), 3);
    assert_eq!(Box::pin(Bounded { most: 1 }).pinned_box(), 2);
    assert!(guard(&Mutex::new(0)).is_none());
    assert_eq!(tail_temporary(&Mutex::new(vec![])), 0);
    assert_eq!(flow(0), ControlFlow::Break(1));
    assert_eq!(at(((1, 2), 3), [4, 5, 6]), 15);
    assert_eq!(many_names::<_, _, _, _, _, 1>(1, 2, 3, 4, 5), (1, 2, 3, 4, 5));
    assert_eq!(our_names(1, 2, 3, 4, 5, 6), 21);
    assert!(shadowed::plain(shadowed::Call).is_ok());
    assert!(shadowed::later(&shadowed::Call).await.is_some());
    assert_eq!(async_closures(vec![1]).await, 2);
    assert_eq!(made_plain(1, "x") + usize::from(made_later(1, (2, 3)).await), 4);
    assert_eq!(made_module::deep::later().await + by_condition(1), 2);
    assert!(linked(&mut Some(Box::new(Node { next: None }))).is_none());
    assert_eq!(Ready(RefCell::new(1)).await, 1);
    assert_eq!(unwinds(absent(1)).await + 1.asynchronous().await, 2);
    assert!(mutable_in_a_label(Queue(true)) && boxed_impl().await.is_err());
    Ok(())
}

/// A job and a field of arguments that are not there.
#[observed(job = "absent", traced(fields(missing, d, a)))]
async fn absent(#[cfg(any())] missing: Missing, a: u8, #[cfg(any())] (c, d): Missing) -> u8 {
    a
}

#[derive(Clone, Copy)]
struct Queue(bool);

impl Queue {
    fn flag(&mut self) -> bool {
        self.0
    }
}

#[counted(labels(flag = queue.flag()))]
fn mutable_in_a_label(mut queue: Queue) -> bool {
    queue.flag()
}

#[traced]
fn boxed_impl() -> Pin<Box<impl Future<Output = Result<u8, Error>>>> {
    Box::pin(async {
        Err(Error)?;
        Ok(1)
    })
}

pub trait Asynchronous {
    #[expect(async_fn_in_trait)]
    #[observed]
    async fn asynchronous(&self) -> u8 {
        1
    }
}
impl Asynchronous for u8 {}

fn unwinds<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>(value: T) -> T {
    value
}

#[observed]
#[tokio::main(flavor = "current_thread")]
async fn below() -> u8 {
    1
}

fn above() {
    std::thread::spawn(|| assert_eq!(below(), 1)).join().unwrap();
}
