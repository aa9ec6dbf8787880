//! The one wrapper future.

use crate::call::{Call, Polled, Settle, signals};
use crate::clock;
use crate::site::Site;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A future whose life from its first poll on is one call.
    ///
    /// The arguments wait in `enter`, a closure, until the first poll; then the closure makes the body's future in the same
    /// place. So they are stored once, nothing is boxed, and fields and labels are read by reference when the call begins.
    #[must_use = "futures do nothing unless polled"]
    pub struct Instrumented<C, F, S, K>
    where
        K: Polled,
    {
        #[pin]
        state: State<C, F>,
        settle: Option<S>,
        call: K,
    }

    impl<C, F, S, K> PinnedDrop for Instrumented<C, F, S, K>
    where
        K: Polled,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.call.is_open() {
                // What the body drops belongs to its span.
                let _entered = Entered::new(this.call);
                let mut state = this.state;
                state.set(State::Done);
            }
        }
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateOwned]
    enum State<C, F> {
        Waiting { enter: C },
        Running { #[pin] future: F },
        Done,
    }
}

/// The future of an `async fn`: `enter` is given the call at the first poll and makes the body's future.
#[inline]
pub fn future<const SIGNALS: u8, C, F, S>(
    site: &'static Site,
    enter: C,
    settle: S,
) -> Instrumented<C, F, S, Call<SIGNALS>>
where
    C: FnOnce(&mut Call<SIGNALS>) -> F,
    F: Future,
    S: FnOnce(&F::Output, &mut Settle<'_>),
{
    Instrumented {
        state: State::Waiting { enter },
        settle: Some(settle),
        call: Call::unpolled(site),
    }
}

/// The future of a function that returns one: fields and labels were taken at the call.
#[inline]
pub fn future_prepared<const SIGNALS: u8, F, S>(
    call: Call<SIGNALS>,
    future: F,
    settle: S,
) -> Instrumented<fn(&mut Call<SIGNALS>) -> F, F, S, Call<SIGNALS>>
where
    F: Future,
    S: FnOnce(&F::Output, &mut Settle<'_>),
{
    Instrumented {
        state: State::Running { future },
        settle: Some(settle),
        call,
    }
}

impl<C, F, S, const SIGNALS: u8> Future for Instrumented<C, F, S, Call<SIGNALS>>
where
    C: FnOnce(&mut Call<SIGNALS>) -> F,
    F: Future,
    S: FnOnce(&F::Output, &mut Settle<'_>),
{
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let StateProj::Waiting { .. } = this.state.as_mut().project() {
            this.call.first_poll();
            if let StateOwned::Waiting { enter } = this.state.as_mut().project_replace(State::Done) {
                let future = enter(this.call);
                this.state.set(State::Running { future });
            }
        } else {
            this.call.poll_prepared();
        }
        let StateProj::Running { future } = this.state.as_mut().project() else {
            panic!("`async fn` resumed after completion");
        };
        if !this.call.on() {
            return future.poll(cx);
        }
        let entered = Entered::new(this.call);
        let polled = if SIGNALS & signals::BUSY != 0 {
            let start = clock::now();
            let polled = future.poll(cx);
            entered.0.add_busy(clock::now().saturating_sub(start));
            polled
        } else {
            future.poll(cx)
        };
        drop(entered);
        if let Poll::Ready(ret) = &polled
            && let Some(settle) = this.settle.take()
        {
            this.call.finish(ret, settle);
        }
        polled
    }
}

/// The call's span is current while this lives, also when a poll unwinds.
struct Entered<'a, K: Polled>(&'a mut K);

impl<'a, K: Polled> Entered<'a, K> {
    #[inline]
    fn new(call: &'a mut K) -> Self {
        call.enter();
        Self(call)
    }
}

impl<K: Polled> Drop for Entered<'_, K> {
    #[inline]
    fn drop(&mut self) {
        self.0.exit();
    }
}
