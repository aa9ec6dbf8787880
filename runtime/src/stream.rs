//! The wrapper of a function that returns a stream: `#[traced(stream)]`.
//!
//! The life of the stream from its first poll on is one call. It ends as `ok` when the stream says that it is over, as `error` when
//! an item was one (an `Err`, or what `error_if` says), whether the stream went on behind it or was dropped, as `panic` when a
//! poll unwinds, and as `cancelled` when it is dropped before its end.
#![allow(unsafe_code)]

use crate::call::{Ended, Settle, Task, signals};
use crate::clock;
use crate::outcome::CallOutcome;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A stream whose life from its first poll on is one call.
///
/// # Cancel safety
///
/// Dropped after its first poll and before its end it ends the call as `cancelled`; the stream is dropped within its span.
#[must_use = "streams do nothing unless polled"]
pub struct InstrumentedStream<S, F, const SIGNALS: u8> {
    /// Pinned with the whole; left only by dropping it in place. None after that.
    stream: Option<S>,
    settle: F,
    call: Task<SIGNALS>,
    seen: Seen,
}

impl<S, F, const SIGNALS: u8> Drop for InstrumentedStream<S, F, SIGNALS> {
    fn drop(&mut self) {
        if self.call.is_open() {
            // What the stream drops belongs to its span. The assignment drops it in place.
            let entered = Entered::new(&mut self.call, &mut self.seen);
            self.stream = None;
            entered.leave();
            self.seen.end(&mut self.call, CallOutcome::Cancelled);
        }
    }
}

/// What came of the stream so far.
#[derive(Default)]
struct Seen {
    items: u64,
    /// Ticks of the first poll; nanoseconds from there to the first item.
    began: u64,
    first: u64,
    /// The first item that was an error. What follows is not asked any more: an error is told once.
    failed: Option<Ended>,
}

impl Seen {
    /// Ends the call, by the error that was seen, or else as said.
    fn end<const SIGNALS: u8>(&mut self, call: &mut Task<SIGNALS>, otherwise: CallOutcome) {
        let ended = match self.failed.take() {
            Some(failed) if otherwise != CallOutcome::Panic => failed,
            _ => Ended::by(otherwise),
        };
        let first = (self.items > 0).then_some(self.first as f64 / 1e9);
        call.streamed(self.items, first);
        call.end(&ended);
    }
}

/// Says what a stream's items are, before anything asks them what they mean.
#[inline]
pub fn stream_of<T, S: Stream<Item = T>>(_: &S) {}

/// The stream of a function that returns one: fields and labels were taken at the call.
#[inline]
pub fn stream<const SIGNALS: u8, S, F>(call: Task<SIGNALS>, stream: S, settle: F) -> InstrumentedStream<S, F, SIGNALS>
where
    S: Stream,
    F: Fn(&S::Item, &mut Settle<'_>),
{
    InstrumentedStream {
        stream: Some(stream),
        settle,
        call,
        seen: Seen::default(),
    }
}

/// The same for a function whose type is a boxed stream: its box is boxed once more.
#[inline]
pub fn stream_boxed<const SIGNALS: u8, S, F>(
    call: Task<SIGNALS>,
    inner: S,
    settle: F,
) -> Pin<Box<InstrumentedStream<S, F, SIGNALS>>>
where
    S: Stream,
    F: Fn(&S::Item, &mut Settle<'_>),
{
    Box::pin(stream(call, inner, settle))
}

impl<S, F, const SIGNALS: u8> Stream for InstrumentedStream<S, F, SIGNALS>
where
    S: Stream,
    F: Fn(&S::Item, &mut Settle<'_>),
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        // SAFETY: only `stream` holds something pinned. It is not moved below: it is polled in place, and `drop` alone assigns to it,
        // which drops it in place. `InstrumentedStream` is `Unpin` only where `S` is, by the automatic implementation.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(stream) = &mut this.stream else {
            return Poll::Ready(None);
        };
        // SAFETY: `stream` stands inside the pinned `self` and is treated as pinned, as shown above.
        let stream = unsafe { Pin::new_unchecked(stream) };
        this.call.poll_prepared();
        if !this.call.on() {
            return stream.poll_next(cx);
        }
        let mut entered = Entered::new(&mut this.call, &mut this.seen);
        let start = if SIGNALS & signals::BUSY != 0 || entered.seen.began == 0 {
            clock::now()
        } else {
            0
        };
        if entered.seen.began == 0 {
            entered.seen.began = start;
        }
        let polled = stream.poll_next(cx);
        if SIGNALS & signals::BUSY != 0 {
            entered.call.add_busy(clock::now().saturating_sub(start));
        }
        if let Poll::Ready(Some(item)) = &polled {
            let Entered { call, seen } = &mut entered;
            seen.items += 1;
            if seen.items == 1 {
                seen.first = clock::nanos_between(seen.began, clock::now());
            }
            // Within: what says whether an item is an error is the user's, and may panic too.
            if seen.failed.is_none()
                && let Some(mut s) = call.settling()
            {
                (this.settle)(item, &mut s);
                let ended = s.ended();
                seen.failed = ended.is_error().then_some(ended);
            }
        }
        entered.leave();
        if let Poll::Ready(None) = &polled {
            this.seen.end(&mut this.call, CallOutcome::Ok);
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

/// The call's span is current until [`Entered::leave`]. Dropped without it, a poll has unwound: the call ends as a panic here and now.
struct Entered<'a, const SIGNALS: u8> {
    call: &'a mut Task<SIGNALS>,
    seen: &'a mut Seen,
}

impl<'a, const SIGNALS: u8> Entered<'a, SIGNALS> {
    fn new(call: &'a mut Task<SIGNALS>, seen: &'a mut Seen) -> Self {
        call.enter();
        Self { call, seen }
    }

    fn leave(self) {
        self.call.exit();
        std::mem::forget(self);
    }
}

impl<const SIGNALS: u8> Drop for Entered<'_, SIGNALS> {
    #[cold]
    fn drop(&mut self) {
        self.seen.end(self.call, CallOutcome::Panic);
    }
}
