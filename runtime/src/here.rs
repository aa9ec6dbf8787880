//! What every call asks of its thread, side by side: finding a thread-local takes as long as reading it.

use std::cell::Cell;

/// Of this thread.
pub(crate) struct Here {
    /// Which copy of the cells it writes to, see `metrics::stripe`.
    pub(crate) stripe: Cell<usize>,
    /// How many sampled spans stand on its stack, see `trace::stack`.
    pub(crate) sampled: Cell<u32>,
}

/// Not asked yet.
pub(crate) const NO_STRIPE: usize = usize::MAX;

thread_local! {
    static HERE: Here = const {
        Here {
            stripe: Cell::new(NO_STRIPE),
            sampled: Cell::new(0),
        }
    };
}

/// This thread's; there is nothing to drop, so they are there until its end.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a load, in every record")]
pub(crate) fn here<R>(f: impl FnOnce(&Here) -> R) -> R {
    HERE.with(f)
}
