//! What [`ring`](super::ring) and [`slab`](super::slab) agree by between threads. `runtime/tests/loom_spans.rs` has loom's in its place.

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
pub(super) use std::thread::yield_now;

/// Slots in the first chunk of a slab; each further one has twice as many.
pub(super) const FIRST_CHUNK: u32 = 1024;
/// Buckets of [`places`](super::places).
#[cfg(feature = "logs")]
pub(super) const PLACES: usize = 4096;
/// Slots in a thread's table of spans that are passed over.
pub(super) const PASSED_SLOTS: usize = 128;

/// Says which cells a thread reads and writes and until when, to a checker that looks whether two do so at once. Here nobody looks.
pub(super) struct Track;

/// Ends when it is dropped.
pub(super) struct Touched;

impl Track {
    #[inline]
    pub(super) fn new(_cells: usize) -> Self {
        Self
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "the checker's has something in it")]
    pub(super) fn writes(&self, _cells: std::ops::RangeInclusive<usize>) -> Touched {
        Touched
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "the checker's has something in it")]
    pub(super) fn reads(&self, _cells: std::ops::RangeInclusive<usize>) -> Touched {
        Touched
    }
}

impl Drop for Touched {
    #[inline]
    fn drop(&mut self) {}
}
