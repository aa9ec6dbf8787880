//! Which copy of the cells a thread writes to.
//!
//! There are as many stripes as the machine has cores, rounded up to a power of two. A thread takes the stripe that the
//! fewest threads hold and gives it back when it ends; what it counted stays in the stripe. So threads may come and go by
//! the thousand without a cell more.

use std::cell::Cell;
use std::sync::{Mutex, OnceLock, PoisonError};

const NONE: usize = usize::MAX;

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(NONE) };
    static HOLD: Cell<Option<Hold>> = const { Cell::new(None) };
}

static COUNT: OnceLock<usize> = OnceLock::new();
static HOLDERS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// How many stripes every table has.
pub(crate) fn count() -> usize {
    *COUNT.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cores.next_power_of_two().min(256)
    })
}

/// This thread's stripe, below [`count`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "one load in every record")]
pub(crate) fn mine() -> usize {
    let mine = MINE.get();
    if mine == NONE { take() } else { mine }
}

#[cold]
fn take() -> usize {
    let mine = {
        let mut holders = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.is_empty() {
            holders.resize(count(), 0);
        }
        let least = (0..holders.len()).min_by_key(|&stripe| holders[stripe]).unwrap_or(0);
        holders[least] += 1;
        least
    };
    MINE.set(mine);
    // A thread that is ending, its thread-locals gone: it keeps the number for its last records and holds nothing.
    if HOLD.try_with(|hold| hold.set(Some(Hold(mine)))).is_err() {
        drop(Hold(mine));
    }
    mine
}

/// Given back on drop; the thread's number stays valid for what other thread-locals still record while they are dropped.
struct Hold(usize);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holders = HOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        holders[self.0] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_back_at_the_end_of_the_thread() {
        let held = || HOLDERS.lock().unwrap().iter().sum::<usize>();
        mine();
        for _ in 0..100 {
            std::thread::spawn(|| assert!(mine() < count())).join().unwrap();
        }
        // Other tests' threads hold some; a hundred would show.
        assert!(held() < 100, "{}", held());
    }
}
