//! The one wrapper future.
//!
//! Written by hand, with two lines of `unsafe` for the pin: the safe projection macros cost a dozen more functions for every
//! annotated `async fn`, which is a third of what a build spends on it (benches: compile).
#![allow(unsafe_code)]

use crate::call::{Settle, Task, signals};
use crate::clock;
use crate::outcome::CallOutcome;
use crate::site::Site;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future whose life from its first poll on is one call.
///
/// The arguments wait in a closure until the first poll; then the closure makes the body's future in the same place. So they
/// are stored once, nothing is boxed, and fields and labels are read by reference when the call begins.
///
/// # Cancel safety
///
/// Dropped after its first poll and before the end it ends the call as `cancelled`; the body is dropped within its span.
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<C, F, S, const SIGNALS: u8> {
    state: State<C, F>,
    settle: S,
    call: Task<SIGNALS>,
}

enum State<C, F> {
    /// Not polled yet. `C` is never pinned, so it may be moved out.
    Waiting(C),
    /// Pinned with the whole; left only by dropping it in place.
    Running(F),
    Done,
}

/// The future of an `async fn`: `enter` is given the call at the first poll and makes the body's future.
#[inline]
pub fn future<const SIGNALS: u8, C, F, S>(site: &'static Site, enter: C, settle: S) -> Instrumented<C, F, S, SIGNALS>
where
    C: FnOnce(&mut Task<SIGNALS>) -> F,
    F: Future,
    S: Fn(&F::Output, &mut Settle<'_>),
{
    Instrumented {
        state: State::Waiting(enter),
        settle,
        call: Task::unpolled(site),
    }
}

/// The future of a function that returns one: fields and labels were taken at the call.
#[inline]
pub fn future_prepared<const SIGNALS: u8, F, S>(
    call: Task<SIGNALS>,
    future: F,
    settle: S,
) -> Instrumented<fn(&mut Task<SIGNALS>) -> F, F, S, SIGNALS>
where
    F: Future,
    S: Fn(&F::Output, &mut Settle<'_>),
{
    Instrumented {
        state: State::Running(future),
        settle,
        call,
    }
}

impl<C, F, S, const SIGNALS: u8> Future for Instrumented<C, F, S, SIGNALS>
where
    C: FnOnce(&mut Task<SIGNALS>) -> F,
    F: Future,
    S: Fn(&F::Output, &mut Settle<'_>),
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: only `State::Running` holds something pinned. It is not moved below: `poll` leaves it in place, the
        // replacement runs in the state `Waiting` alone, and an assignment to `state` drops what was there in place.
        // `Instrumented` is `Unpin` only where `F` is, by the automatic implementation.
        let this = unsafe { self.get_unchecked_mut() };
        if let State::Waiting(_) = this.state {
            this.call.first_poll();
            if let State::Waiting(enter) = std::mem::replace(&mut this.state, State::Done) {
                this.state = State::Running(enter(&mut this.call));
            }
        } else {
            this.call.poll_prepared();
        }
        let State::Running(future) = &mut this.state else {
            resumed()
        };
        if !this.call.on() {
            // SAFETY: `future` stands inside the pinned `self` and is treated as pinned from here on, as shown above.
            return unsafe { Pin::new_unchecked(future) }.poll(cx);
        }
        this.poll_recorded(cx)
    }
}

impl<C, F, S, const SIGNALS: u8> Instrumented<C, F, S, SIGNALS>
where
    F: Future,
    S: Fn(&F::Output, &mut Settle<'_>),
{
    /// A poll of a call that something records. Apart, so that one which nothing records is a few instructions in its caller.
    ///
    /// `self` is pinned: [`Future::poll`] alone calls this.
    #[inline(never)]
    fn poll_recorded(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self;
        let State::Running(future) = &mut this.state else {
            resumed()
        };
        // SAFETY: as in `poll`, which is the only caller and has `self` pinned.
        let future = unsafe { Pin::new_unchecked(future) };
        let entered = Entered::new(&mut this.call);
        let polled = if SIGNALS & signals::BUSY == 0 {
            future.poll(cx)
        } else {
            let start = clock::now();
            let polled = future.poll(cx);
            entered.0.add_busy(clock::now().saturating_sub(start));
            polled
        };
        // Within: what says how it ended is the user's, and may panic too.
        let ended = match &polled {
            Poll::Ready(ret) => entered.0.settling().map(|mut s| {
                (this.settle)(ret, &mut s);
                s.ended()
            }),
            Poll::Pending => None,
        };
        entered.leave();
        if let Some(ended) = &ended {
            this.call.end(ended);
        }
        polled
    }
}

impl<C, F, S, const SIGNALS: u8> Drop for Instrumented<C, F, S, SIGNALS> {
    #[inline]
    fn drop(&mut self) {
        if self.call.is_open() {
            self.drop_open();
        }
    }
}

impl<C, F, S, const SIGNALS: u8> Instrumented<C, F, S, SIGNALS> {
    /// What the body drops belongs to its span. One that is open without a body has none because what `enter` says of it panicked.
    #[inline(never)]
    fn drop_open(&mut self) {
        let outcome = match self.state {
            State::Done => CallOutcome::Panic,
            State::Waiting(_) | State::Running(_) => CallOutcome::Cancelled,
        };
        let entered = Entered::new(&mut self.call);
        self.state = State::Done;
        entered.leave();
        self.call.abandon(outcome);
    }
}

/// Polls a future whose holder takes it away only when it is dropped itself: so what the future drops is dropped where its polls
/// run, and no `unsafe` is needed for that.
pub(crate) fn poll_held<F: Future>(held: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<F::Output> {
    match held.as_pin_mut() {
        Some(future) => future.poll(cx),
        None => Poll::Pending,
    }
}

#[cold]
fn resumed() -> ! {
    panic!("`async fn` resumed after completion")
}

/// The call's span is current until [`Entered::leave`]. Dropped without it, the body has unwound: the call ends as a panic here
/// and now, since a runtime may catch it and drop the future long after.
struct Entered<'a, const SIGNALS: u8>(&'a mut Task<SIGNALS>);

impl<'a, const SIGNALS: u8> Entered<'a, SIGNALS> {
    #[inline]
    fn new(call: &'a mut Task<SIGNALS>) -> Self {
        call.enter();
        Self(call)
    }

    #[inline]
    fn leave(self) {
        self.0.exit();
        std::mem::forget(self);
    }
}

impl<const SIGNALS: u8> Drop for Entered<'_, SIGNALS> {
    #[cold]
    fn drop(&mut self) {
        self.0.abandon(CallOutcome::Panic);
    }
}
