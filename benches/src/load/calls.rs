//! Calls whose spans carry a number each: from 0 up, none left out.

use std::num::TryFromIntError;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);
static LINES: AtomicU64 = AtomicU64::new(0);

/// Begins somewhere else than at 0: before any call.
pub fn begin_at(number: u64) {
    NEXT.store(number, Ordering::Relaxed);
}

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Spans recorded so far.
pub fn spans() -> u64 {
    NEXT.load(Ordering::Relaxed)
}

/// Log records made so far.
pub fn lines() -> u64 {
    LINES.load(Ordering::Relaxed)
}

/// One span, counted and timed.
pub fn plain() {
    numbered(next());
}

/// Of everything a little: a child, a log line, an error; how many spans it was.
pub fn mixed() {
    let n = next();
    let _ = parent(n);
}

#[vitalsign::traced(fields(n = n))]
#[vitalsign::counted(name = "load.calls")]
#[vitalsign::timed]
fn numbered(n: u64) -> u64 {
    n + 1
}

#[vitalsign::traced(fields(n = n), err(off))]
#[vitalsign::counted(name = "load.mixed")]
#[vitalsign::timed]
fn parent(n: u64) -> Result<u8, TryFromIntError> {
    if n.is_multiple_of(3) {
        child(next(), "a value of some length, as they are");
    }
    if n.is_multiple_of(50) {
        tracing::info!(n, "one of many");
        LINES.fetch_add(1, Ordering::Relaxed);
    }
    u8::try_from(n % 300)
}

#[vitalsign::traced(fields(n = n, text = text))]
fn child(n: u64, text: &str) -> u64 {
    n + text.len() as u64
}
