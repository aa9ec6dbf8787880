//! What every call asks of its thread, side by side: finding a thread-local takes as long as reading it.

use crate::trace::passed::Kept;
use std::cell::Cell;

/// Of this thread.
pub(crate) struct Here {
    /// Which copy of the cells it writes to, see `metrics::stripe`.
    pub(crate) stripe: Cell<usize>,
    /// How many sampled spans stand on its stack, see `trace::stack`.
    pub(crate) sampled: Cell<u32>,
    /// Why it makes no telemetry now, see `trace::local`; 0 where it does.
    pub(crate) away: Cell<u8>,
    /// Spans of `tracing` that are not recorded.
    pub(crate) passed: Kept,
}

/// Not asked yet.
pub(crate) const NO_STRIPE: usize = usize::MAX;

thread_local! {
    static HERE: Here = const {
        Here {
            stripe: Cell::new(NO_STRIPE),
            sampled: Cell::new(0),
            away: Cell::new(0),
            passed: Kept::new(),
        }
    };
}

/// This thread's; there is nothing to drop, so they are there until its end.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a load, in every record")]
pub(crate) fn here<R>(f: impl FnOnce(&Here) -> R) -> R {
    // `with` is a call that finds the way by a pointer, wherever the closure is more than a load.
    match HERE.try_with(f) {
        Ok(found) => found,
        Err(_) => unreachable!("nothing was dropped"),
    }
}
