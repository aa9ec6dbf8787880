//! `VITALSIGN_SPAN_TIMINGS=on`: how long a span was entered, and how long it was not, as `busy_ns` and `idle_ns`.
//!
//! Off, which it is unless asked for, it is one relaxed load where a span is entered or left.

use super::body::Scalar;
use super::live::Live;
use super::slab::Handle;
use super::store::SLAB;
use crate::clock;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

static ON: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The spans entered on this thread and since when, the last of them the innermost.
    static ENTERED: RefCell<Vec<(Handle, u64)>> = const { RefCell::new(Vec::new()) };
}

/// `VITALSIGN_SPAN_TIMINGS`.
pub(crate) fn set(on: bool) {
    ON.store(on, Ordering::Relaxed);
    if on {
        super::open::watch();
    }
}

/// A span was entered on this thread.
#[inline]
pub(super) fn entered(handle: Handle) {
    if ON.load(Ordering::Relaxed) {
        begin(handle);
    }
}

#[cold]
fn begin(handle: Handle) {
    let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((handle, clock::now())));
}

/// It was left: the time since is its own.
#[inline]
pub(super) fn left(handle: Handle) {
    if ON.load(Ordering::Relaxed) {
        end(handle);
    }
}

#[cold]
fn end(handle: Handle) {
    let since = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        let at = entered.iter().rposition(|(known, _)| *known == handle)?;
        Some(entered.remove(at).1)
    });
    if let Ok(Some(since)) = since {
        let ticks = clock::now().saturating_sub(since);
        SLAB.with(handle, |live| live.busy += ticks);
    }
}

/// A span ends: what it was said to have been busy.
#[inline]
pub(super) fn tell(live: &mut Live) {
    if ON.load(Ordering::Relaxed) {
        attributes(live);
    }
}

#[cold]
fn attributes(live: &mut Live) {
    let life = clock::nanos_between(live.fixed.start, live.fixed.end);
    // Entered on two threads at once it was busy for no longer than it lived.
    let busy = clock::nanos_between(0, live.busy).min(life);
    live.set("busy_ns", Scalar::I64(busy as i64));
    live.set("idle_ns", Scalar::I64((life - busy) as i64));
}
