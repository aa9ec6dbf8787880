//! The one load that every annotated function makes first: is anything recording at all?

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};

/// Between `init()` and shutdown.
const INSTALLED: u8 = 1;
/// Some test captures.
const CAPTURING: u8 = 2;
/// `OTEL_SDK_DISABLED`: nothing records, and the contexts that come in go on.
const PASSING: u8 = 4;

/// Contexts of the `opentelemetry` API are looked at: a call without a span may stand in one of its.
#[cfg(feature = "otel")]
const OTEL: u8 = 8;
#[cfg(not(feature = "otel"))]
const OTEL: u8 = 0;

static STATE: AtomicU8 = AtomicU8::new(0);

/// True while anyone wants to know: after `init()`, or in a capture. Relaxed on purpose: a call that races with either may be
/// counted or not.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "this load is the whole cost of an annotated function before init()"
)]
pub(crate) fn on() -> bool {
    STATE.load(Ordering::Relaxed) & (INSTALLED | CAPTURING) != 0
}

/// The same for a call that names a context: it has that to hand on also where nothing records.
#[inline(always)]
#[expect(clippy::inline_always, reason = "as above")]
pub(crate) fn on_or_passing() -> bool {
    STATE.load(Ordering::Relaxed) & (INSTALLED | CAPTURING | PASSING) != 0
}

/// Nothing records, and calls hand on the context that they name.
#[inline]
pub(crate) fn passing() -> bool {
    STATE.load(Ordering::Relaxed) & !OTEL == PASSING
}

/// True while some test captures: then each call is told to whoever captures it.
#[inline]
pub(crate) fn capturing() -> bool {
    STATE.load(Ordering::Relaxed) & CAPTURING != 0
}

/// True where a call may have to be told to more than its cells; what begins it is wrapped in `metrics::told_to_more`.
#[inline]
pub(crate) fn is_unusual() -> bool {
    STATE.load(Ordering::Relaxed) & (CAPTURING | OTEL) != 0
}

/// Contexts of the `opentelemetry` API are looked at from here on.
#[cfg(feature = "otel")]
pub(crate) fn look_at_otel() {
    STATE.fetch_or(OTEL, Ordering::SeqCst);
}

pub(crate) fn set(on: bool) {
    if on {
        STATE.fetch_or(INSTALLED, Ordering::SeqCst);
    } else {
        STATE.fetch_and(!(INSTALLED | PASSING), Ordering::SeqCst);
    }
}

/// Contexts that come in go on from here on.
pub(crate) fn pass_on() {
    STATE.fetch_or(PASSING, Ordering::SeqCst);
}

static CAPTURES: Mutex<usize> = Mutex::new(0);

pub(crate) fn capture_begins() {
    let mut captures = CAPTURES.lock().unwrap_or_else(PoisonError::into_inner);
    *captures += 1;
    STATE.fetch_or(CAPTURING, Ordering::SeqCst);
}

pub(crate) fn capture_ends() {
    let mut captures = CAPTURES.lock().unwrap_or_else(PoisonError::into_inner);
    *captures -= 1;
    if *captures == 0 {
        STATE.fetch_and(!CAPTURING, Ordering::SeqCst);
    }
}
