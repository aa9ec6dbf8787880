//! The one load that every annotated function makes first: is anything recording at all?

use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);

/// True between `init()` and shutdown. Relaxed on purpose: a call that races with either may be counted or not.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "this load is the whole cost of an annotated function before init()"
)]
pub(crate) fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

pub(crate) fn set(on: bool) {
    ON.store(on, Ordering::SeqCst);
}
