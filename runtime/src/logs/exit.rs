//! The last lines of a program that leaves by `std::process::exit`, which drops nothing, or that keeps its `Vitals` in a static.
#![allow(unsafe_code)]

use super::GLOBAL;
use std::ffi::c_int;
use std::panic::catch_unwind;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An output that is stuck holds nobody up for longer.
const MOST: Duration = Duration::from_millis(500);

/// The process that the writer's thread belongs to: a fork has none.
static PROCESS: OnceLock<u32> = OnceLock::new();

#[cfg(not(miri))]
unsafe extern "C" {
    // SAFETY: of the C standard's library, which std links. It keeps the pointer to a function that lives as long as the program
    // and takes nothing; any thread may call it at any time.
    safe fn atexit(run: extern "C" fn()) -> c_int;
}

/// Stands in for what the interpreter does not know.
#[cfg(miri)]
fn atexit(_: extern "C" fn()) -> c_int {
    0
}

/// From here on an exit waits for the lines that were logged before it. Where the system has no room for that, it does not.
pub(super) fn install() {
    if PROCESS.set(std::process::id()).is_ok() {
        let _ = atexit(flush);
    }
}

extern "C" fn flush() {
    // Thread-locals of this thread may be gone: a flush asks for none.
    let _ = catch_unwind(|| {
        if PROCESS.get() == Some(&std::process::id())
            && let Some(logs) = GLOBAL.get()
        {
            logs.flush(Instant::now() + MOST);
        }
    });
}
