//! The one load that every annotated function makes first: is anything recording at all?

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};

/// Between `init()` and shutdown.
const INSTALLED: u8 = 1;
/// Some test captures.
const CAPTURING: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(0);

/// True while anyone wants to know: after `init()`, or in a capture. Relaxed on purpose: a call that races with either may be
/// counted or not.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "this load is the whole cost of an annotated function before init()"
)]
pub(crate) fn on() -> bool {
    STATE.load(Ordering::Relaxed) != 0
}

/// True while some test captures: then each call is told to whoever captures it.
#[inline]
pub(crate) fn capturing() -> bool {
    STATE.load(Ordering::Relaxed) & CAPTURING != 0
}

pub(crate) fn set(on: bool) {
    if on {
        STATE.fetch_or(INSTALLED, Ordering::SeqCst);
    } else {
        STATE.fetch_and(!INSTALLED, Ordering::SeqCst);
    }
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
