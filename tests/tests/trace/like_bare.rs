//! An annotated function does what the bare one does: the same values dropped in the same order, the same borrows, the same
//! auto traits. Each item below stands twice, bare and annotated.

#![allow(
    unused_assignments,
    reason = "what is assigned is dropped, and that is what is watched"
)]

use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll, Waker};
use vitalsign::observed;

thread_local!(static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

/// Notes when it is dropped.
struct Noted(&'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}

fn dropped() -> Vec<&'static str> {
    DROPPED.with_borrow_mut(std::mem::take)
}

struct Pair {
    left: Noted,
    #[expect(dead_code, reason = "held to be dropped")]
    right: Noted,
}

fn pair(left: &'static str, right: &'static str) -> Pair {
    Pair {
        left: Noted(left),
        right: Noted(right),
    }
}

/// The item bare in one module, annotated in another.
macro_rules! twice {
    ($bare:ident $annotated:ident $($item:tt)*) => {
        #[allow(dead_code, unused_variables, clippy::pedantic)]
        mod $bare {
            use super::*;
            $($item)*
        }
        #[allow(dead_code, unused_variables, clippy::pedantic)]
        mod $annotated {
            use super::*;
            #[observed]
            $($item)*
        }
    };
}

twice! { sync_bare sync_annotated
    pub(super) fn function(first: Noted, _: Noted, Pair { left, .. }: Pair, _unused: Noted, mut last: Noted, panics: bool) -> u32 {
        let local = Noted("local");
        last = Noted("assigned");
        assert!(!panics, "as asked");
        1
    }
}

twice! { async_bare async_annotated
    pub(super) async fn function(first: Noted, _: Noted, Pair { left, .. }: Pair, _unused: Noted, mut last: Noted, panics: bool) -> u32 {
        let local = Noted("local");
        last = Noted("assigned");
        Yield(false).await;
        assert!(!panics, "as asked");
        1
    }
}

twice! { moving_bare moving_annotated
    pub(super) fn function(first: Noted, second: Noted, panics: bool) -> Noted {
        drop(second);
        if panics {
            panic!("as asked");
        }
        first
    }
}

struct Yield(bool);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// What `call` drops, whether it returns or unwinds.
fn drops_of(call: impl FnOnce()) -> Vec<&'static str> {
    let _ = dropped();
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
    dropped()
}

/// Polls at most `polls` times, then drops.
fn poll<F: Future>(future: F, polls: usize) {
    let mut future = std::pin::pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if future.as_mut().poll(&mut cx).is_ready() {
            return;
        }
    }
}

fn compare(what: &str, bare: impl Fn(), annotated: impl Fn()) {
    let expected = drops_of(bare);
    assert!(!expected.is_empty());
    assert_eq!(drops_of(&annotated), expected, "{what}");
}

macro_rules! call {
    ($module:ident, $panics:expr) => {
        $module::function(
            Noted("first"),
            Noted("wild"),
            pair("left", "right"),
            Noted("unused"),
            Noted("last"),
            $panics,
        )
    };
}

fn compare_all() {
    for panics in [false, true] {
        compare(
            "sync",
            || _ = call!(sync_bare, panics),
            || _ = call!(sync_annotated, panics),
        );
        compare(
            "moving",
            || drop(moving_bare::function(Noted("first"), Noted("second"), panics)),
            || drop(moving_annotated::function(Noted("first"), Noted("second"), panics)),
        );
        for polls in 0..3 {
            compare(
                &format!("async, {polls} polls, panics: {panics}"),
                || poll(call!(async_bare, panics), polls),
                || poll(call!(async_annotated, panics), polls),
            );
        }
    }
}

#[test]
fn drops_in_the_same_order() {
    compare_all();
    tests::live::live();
    compare_all();
}

#[observed]
fn reborrows(list: &mut Vec<u32>) -> Result<&u32, String> {
    list.push(1);
    list.last().ok_or_else(String::new)
}

#[observed]
async fn assigns_a_local<'a>(mut text: &'a str, other: String) -> usize {
    text = other.as_str();
    Yield(false).await;
    text.len()
}

#[observed]
fn coerces(number: u32) -> Result<Box<dyn Fn(u32) -> u32>, String> {
    Ok(Box::new(move |more| number + more))
}

#[observed]
async fn coerces_later(number: u32) -> Result<Box<dyn Fn(u32) -> u32 + Send>, String> {
    Ok(Box::new(move |more| number + more))
}

#[observed]
fn nested_impl(list: &[u32]) -> Result<Option<impl Iterator<Item = u32> + '_>, String> {
    Ok(Some(list.iter().copied()))
}

#[observed]
fn never() -> ! {
    panic!("never returns")
}

#[observed]
async fn never_later() -> ! {
    panic!("never returns")
}

#[observed]
#[track_caller]
fn located() -> u32 {
    std::panic::Location::caller().line()
}

/// A body that leaves early where a closure would lose the caller: a method with `self`, `Self` and a pattern.
macro_rules! located {
    ($shelf:ident $($attr:tt)*) => {
        struct $shelf {
            items: Vec<u32>,
        }

        impl $shelf {
            $($attr)*
            #[track_caller]
            fn early(&self, n: Option<usize>) -> Result<&'static Location<'static>, &'static Location<'static>> {
                let Some(n) = n else {
                    return Err(Location::caller());
                };
                let item = self.items.get(n).ok_or(Location::caller())?;
                if *item == 0 {
                    return Ok(Location::caller());
                }
                Err(Location::caller())
            }

            $($attr)*
            #[track_caller]
            fn owned(mut self, (n, item): (usize, u32)) -> Option<&'static Location<'static>> {
                *self.items.get_mut(n)? = item;
                Self::first(&self)
            }

            $($attr)*
            #[track_caller]
            fn first(&self) -> Option<&'static Location<'static>> {
                self.items.first()?;
                Some(Location::caller())
            }

            $($attr)*
            #[track_caller]
            fn indexes(&self, n: usize) -> Option<u32> {
                self.items.first()?;
                Some(self.items[n])
            }
        }
    };
}
located!(Bare);
located!(Annotated #[observed]);

/// Where the body was told it was called from, and where a panic in it was said to be.
macro_rules! locations {
    ($shelf:ident) => {{
        let shelf = $shelf { items: vec![0, 1] };
        let panicked = std::sync::Arc::new(std::sync::Mutex::new(None));
        let seen = panicked.clone();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| *seen.lock().unwrap() = info.location().map(place)));
        let caught = std::panic::catch_unwind(|| $shelf { items: vec![0] }.indexes(7));
        std::panic::set_hook(hook);
        assert!(caught.is_err());
        let panicked = *panicked.lock().unwrap();
        [
            shelf.early(None),
            shelf.early(Some(9)),
            shelf.early(Some(0)),
            shelf.early(Some(1)),
        ]
        .map(|found| found.map_or_else(place, place))
        .into_iter()
        .chain(shelf.owned((0, 1)).map(place))
        .chain(panicked)
        .collect::<Vec<_>>()
    }};
}

fn place(location: &Location<'_>) -> (u32, u32) {
    (location.line(), location.column())
}

#[test]
fn the_caller_is_the_one_the_bare_function_sees() {
    // All on one line, from the name on: only the name's length differs.
    let bare = || (line!(), locations!(Bare));
    let annotated = || (line!(), locations!(Annotated));
    let relative =
        |(line, places): (u32, Vec<(u32, u32)>)| places.into_iter().map(move |(at, _)| at.abs_diff(line)).collect();
    let (bare, annotated): (Vec<u32>, Vec<u32>) = (relative(bare()), relative(annotated()));
    assert_eq!(annotated, bare);
    assert_eq!(bare.len(), 6);
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn borrows_and_types_are_those_of_the_bare_function() {
    let mut list = vec![];
    assert_eq!(reborrows(&mut list), Ok(&1));
    assert_eq!(coerces(1).map(|f| f(2)), Ok(3));
    assert_eq!(nested_impl(&[1, 2]).ok().flatten().map(Iterator::count), Some(2));
    assert!(std::panic::catch_unwind(|| never()).is_err());
    assert!(std::panic::catch_unwind(|| poll(never_later(), 1)).is_err());
    poll(is_send(assigns_a_local("a", String::from("b"))), 2);
    poll(is_send(coerces_later(1)), 1);
    let here = line!();
    assert_eq!(located(), here + 1);
}
