//! What has to hold of stripes however threads run: the free ones, and adding to a cell. `runtime/tests/loom_stripes.rs` walks
//! every interleaving of it.

use super::sync::{AtomicU64, Mutex, Ordering, PoisonError};

/// The stripes that have no thread, the lowest last; `None` before the first is asked for.
pub(crate) struct Free(pub(crate) Mutex<Option<Vec<usize>>>);

impl Free {
    /// Takes one of those below `count`, the lowest first, so that what there is gets used again.
    pub(crate) fn take(&self, count: impl FnOnce() -> usize) -> Option<usize> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.get_or_insert_with(|| (1..count()).rev().collect()).pop()
    }

    /// Gives one back. The lock orders what its thread wrote before what the next one reads.
    pub(crate) fn give(&self, stripe: usize) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = free.get_or_insert_default();
        let at = free.partition_point(|&other| other > stripe);
        free.insert(at, stripe);
    }
}

/// Adds to a cell, and tells what was there.
#[inline]
pub(crate) fn add(cell: &AtomicU64, shared: bool, amount: u64) -> u64 {
    if shared {
        cell.fetch_add(amount, Ordering::Relaxed)
    } else {
        let before = cell.load(Ordering::Relaxed);
        add_own(cell, amount);
        before
    }
}

/// Adds to a cell in a stripe of one's own, where nobody else writes: so a load and a store are enough.
///
/// They are one instruction, and the cell's number is in no register after it. From one it would be waited for by whatever is written to
/// a part of that register next, as a caller's comparison is.
#[inline(always)]
#[expect(clippy::inline_always, reason = "an instruction, in every record")]
pub(crate) fn add_own(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}
