//! Stripes of cells under every interleaving that loom can find: threads that take a stripe, count, give it back and end, more
//! threads than stripes, and a scrape in the middle. Switches from a thread that could go on are bounded to two a run;
//! `LOOM_MAX_PREEMPTIONS=100` walks everything, in some minutes.

#![cfg(feature = "record")]

#[path = "../src/metrics/handover.rs"]
mod handover;

/// What the module is made of here.
mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::PoisonError;
}

use handover::{Free, add};
use loom::sync::Arc;
use loom::thread;
use sync::{AtomicU64, Mutex, Ordering};

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(run);
}

/// The shared stripe and one that a thread may own.
const STRIPES: usize = 2;
const SHARED: usize = 0;

struct Cells {
    free: Free,
    stripes: [AtomicU64; STRIPES],
}

impl Cells {
    fn new() -> Self {
        Self {
            free: Free(Mutex::new(None)),
            stripes: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    /// The life of a thread: what it records while its thread-locals are dropped goes to the shared stripe.
    fn thread(&self, late: bool) {
        let mine = self.free.take(|| STRIPES);
        for _ in 0..2 {
            add(&self.stripes[mine.unwrap_or(SHARED)], mine.is_none(), 1);
        }
        if let Some(mine) = mine {
            self.free.give(mine);
        }
        if late {
            add(&self.stripes[SHARED], true, 1);
        }
    }

    fn sum(&self) -> u64 {
        self.stripes.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }
}

#[test]
fn no_count_is_lost_as_stripes_change_hands() {
    model(|| {
        let cells = Arc::new(Cells::new());
        let others: Vec<_> = [false, true]
            .into_iter()
            .map(|late| {
                let cells = Arc::clone(&cells);
                thread::spawn(move || cells.thread(late))
            })
            .collect();
        let before = cells.sum();
        let after = cells.sum();
        assert!(before <= after && after <= 5, "{before} {after}");
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(cells.sum(), 5);
        // The next thread goes on from what the others counted.
        cells.thread(false);
        assert_eq!(cells.sum(), 7);
    });
}

#[test]
fn no_two_threads_own_one_stripe() {
    model(|| {
        let free = Arc::new(Free(Mutex::new(None)));
        let owned = Arc::new(AtomicU64::new(0));
        let own = |free: &Free, owned: &AtomicU64| {
            if let Some(stripe) = free.take(|| 3) {
                let bit = 1 << stripe;
                assert_eq!(owned.fetch_or(bit, Ordering::Relaxed) & bit, 0);
                owned.fetch_and(!bit, Ordering::Relaxed);
                free.give(stripe);
            }
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (free, owned) = (Arc::clone(&free), Arc::clone(&owned));
                thread::spawn(move || own(&free, &owned))
            })
            .collect();
        own(&free, &owned);
        for other in others {
            other.join().unwrap();
        }
        // All are free again, and none twice.
        assert_eq!(
            (free.take(|| 3), free.take(|| 3), free.take(|| 3)),
            (Some(1), Some(2), None)
        );
    });
}
