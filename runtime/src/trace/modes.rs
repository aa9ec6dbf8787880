//! What few programs ask of their spans, in one word: the usual way through the hot path asks once whether there is any of it.

use std::sync::atomic::{AtomicU8, Ordering};

static MODES: AtomicU8 = AtomicU8::new(0);

/// Contexts of the `opentelemetry` API are looked at.
#[cfg(feature = "otel")]
pub(crate) const OTEL_USED: u8 = 1;
/// Our spans are attached as such contexts.
#[cfg(feature = "otel")]
pub(crate) const OTEL_ATTACHING: u8 = 2;
/// Someone wants to know of every span while it is open.
pub(crate) const WATCHED: u8 = 4;

/// Some mode is set.
#[inline]
pub(crate) fn any() -> bool {
    MODES.load(Ordering::Relaxed) != 0
}

#[inline]
pub(crate) fn has(mode: u8) -> bool {
    MODES.load(Ordering::Relaxed) & mode != 0
}

/// From here on. A mode that was set stays.
pub(crate) fn set(modes: u8) {
    if MODES.load(Ordering::Relaxed) & modes != modes {
        MODES.fetch_or(modes, Ordering::Relaxed);
    }
}
