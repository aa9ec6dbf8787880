//! Counts the allocations of one thread. A program that measures installs it as its allocator.
#![allow(
    unsafe_code,
    reason = "an allocator is an unsafe trait; it hands every call on to the system's, unchanged"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// The system's allocator, with a count of the calls on a thread that asked for one. Who does not ask pays one relaxed load.
#[derive(Debug)]
pub struct Counting;

static COUNTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    // No destructor and no lazy initialisation: it can be touched from within an allocation at any time of a thread's life.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every method passes its arguments on to `System` unchanged and returns what it returned; what stands before that does
// not allocate, does not panic, and touches a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn count() {
    if COUNTED.load(Ordering::Relaxed) {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    }
}

/// How often this thread asks for memory, growth of what it has included, while `work` runs. Always 0 where [`Counting`] is not
/// the program's allocator.
pub fn during(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    COUNTED.store(true, Ordering::Relaxed);
    work();
    COUNTED.store(false, Ordering::Relaxed);
    COUNT.get() - before
}

#[cfg(test)]
mod tests {
    #[global_allocator]
    static ALLOCATOR: super::Counting = super::Counting;

    #[test]
    fn counts_what_this_thread_asks_for_and_nothing_else() {
        let mut kept = Vec::new();
        let count = super::during(|| {
            kept.push(Box::new(1));
            let elsewhere = std::thread::scope(|scope| scope.spawn(|| vec![0_u8; 100].len()).join());
            assert_eq!(elsewhere.ok(), Some(100));
        });
        assert!(count >= 2, "a vector and a box, at least: {count}");
        assert_eq!(super::during(|| kept.clear()), 0);
    }
}
