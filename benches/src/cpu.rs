//! Processor time, to the nanosecond: the files below `/proc` count in ticks of the kernel's timer, some milliseconds each.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The time that this thread has run until now.
#[must_use]
pub fn of_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// The time that all threads of this process have run until now, those that ended included.
#[must_use]
pub fn of_process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap_or_default()
}
