//! Which copy of the cells a thread writes to.
//!
//! A thread that records takes a stripe for itself, so that counting is an addition and no more: no other thread writes
//! there. It gives the stripe back when it ends; what it counted stays, and the next thread goes on from it. There are four
//! stripes to a core. Threads beyond that, and threads that are ending, share one more stripe and add atomically. So threads
//! may come and go by the thousand without a cell more.

use super::handover::Free;
use crate::here::{NO_STRIPE, here};
use std::cell::Cell;
use std::sync::{Mutex, OnceLock};

/// The stripe that is nobody's own.
pub(crate) const SHARED: usize = 0;

thread_local! {
    static HOLD: Cell<Option<Hold>> = const { Cell::new(None) };
}

static COUNT: OnceLock<usize> = OnceLock::new();
static FREE: Free = Free(Mutex::new(None));

/// How many stripes every table can have, the shared one included.
pub(crate) fn count() -> usize {
    *COUNT.get_or_init(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        1 + (cores * 4).clamp(8, 512)
    })
}

/// This thread's stripe, below [`count`]: its own, or [`SHARED`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "one load in every record")]
pub(crate) fn mine() -> usize {
    let mine = here(|here| here.stripe.get());
    if mine == NO_STRIPE { take() } else { mine }
}

fn set(stripe: usize) {
    here(|here| here.stripe.set(stripe));
}

#[cold]
fn take() -> usize {
    let Some(mine) = FREE.take(count) else {
        set(SHARED);
        return SHARED;
    };
    set(mine);
    if HOLD.try_with(|hold| hold.set(Some(Hold(mine)))).is_err() {
        // A thread that is ending has no thread-locals left to give the stripe back from.
        set(SHARED);
        FREE.give(mine);
        return SHARED;
    }
    mine
}

/// Gives the stripe back. What other thread-locals still record while they are dropped goes to the shared stripe.
struct Hold(usize);

impl Drop for Hold {
    fn drop(&mut self) {
        set(SHARED);
        FREE.give(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier};

    #[test]
    fn no_two_threads_own_one_stripe() {
        let threads = count() + 10;
        let together = Arc::new(Barrier::new(threads));
        let stripes: Vec<usize> = (0..threads)
            .map(|_| {
                let together = Arc::clone(&together);
                std::thread::spawn(move || {
                    let stripe = mine();
                    together.wait();
                    assert_eq!(stripe, mine());
                    stripe
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let mut own: Vec<_> = stripes.iter().filter(|&&stripe| stripe != SHARED).collect();
        let owners = own.len();
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), owners);
        assert!(stripes.contains(&SHARED));
        assert!(stripes.iter().all(|&stripe| stripe < count()));
    }
}
