//! Work in background that leaves its core to who waits for it.
//!
//! Who runs goes on for as long as a slice, some milliseconds (Linux: `base_slice_ns`), whoever wakes up on the same core
//! meanwhile. So a request that comes while a batch is encoded or sent waits for the whole of it: a tenth of a millisecond,
//! some hundred times a second, which is a service's 99th percentile. Work that is long is therefore done in pieces of some
//! ten microseconds, and after each the core is given away.
//!
//! Who gives its core away stands behind all others for about a slice. Where these have more to do than there is time, that
//! would be less than a fair share, and what is collected would be lost just when it is wanted. So who was kept waiting for
//! long takes no notice of the others for a while, and then asks again.

use std::thread;
use std::time::{Duration, Instant};

/// A turn of the others that is longer: there is more to do than time.
const LONG: Duration = Duration::from_millis(2);
/// How long no turn is given then.
const FAIR: Duration = Duration::from_millis(20);

/// Of one thread, or of one task.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    fair_until: Option<Instant>,
}

impl Turns {
    /// Lets others run that wait for this core.
    pub(crate) fn give(&mut self) {
        let now = Instant::now();
        if self.are_given(now) {
            thread::yield_now();
            self.took(now, Instant::now());
        }
    }

    fn are_given(&self, now: Instant) -> bool {
        self.fair_until.is_none_or(|until| now >= until)
    }

    fn took(&mut self, from: Instant, to: Instant) {
        let long = to.duration_since(from) > LONG;
        self.fair_until = long.then(|| to + FAIR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_kept_waiting_gives_no_turn_for_a_while() {
        let mut turns = Turns::default();
        let start = Instant::now();
        turns.took(start, start + LONG);
        assert!(turns.are_given(start + LONG));
        let back = start + LONG * 2;
        turns.took(start, back);
        assert!(!turns.are_given(back) && !turns.are_given(back + FAIR / 2));
        assert!(turns.are_given(back + FAIR));
        turns.took(back + FAIR, back + FAIR);
        assert!(turns.are_given(back + FAIR));
    }
}
