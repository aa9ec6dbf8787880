//! Bodies of spans that are too long for a ring: they wait here, and their heads go by the ring.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// By span id: rare, so a lock will do.
static LONG: Mutex<Long> = Mutex::new(Long::new());

/// In bytes, over all threads: heads are bounded by their rings, and bodies by this.
const MOST_LONG: usize = 64 << 20;

struct Long {
    bodies: BTreeMap<u64, Box<[u8]>>,
    bytes: usize,
}

impl Long {
    const fn new() -> Self {
        Self {
            bodies: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// False when there is no room. One alone may be larger.
    fn keep(&mut self, span: u64, body: &[u8]) -> bool {
        let room = self.bodies.is_empty() || self.bytes + body.len() <= MOST_LONG;
        if room {
            self.bytes += body.len();
            if let Some(before) = self.bodies.insert(span, body.into()) {
                self.bytes -= before.len();
            }
        }
        room
    }

    fn take(&mut self, span: u64) -> Option<Box<[u8]>> {
        let body = self.bodies.remove(&span)?;
        self.bytes -= body.len();
        Some(body)
    }
}

/// False when it can not be kept: the span is lost.
#[cold]
pub(super) fn keep(span: u64, body: &[u8]) -> bool {
    LONG.lock().unwrap_or_else(PoisonError::into_inner).keep(span, body)
}

#[cold]
pub(super) fn take(span: u64) -> Option<Box<[u8]>> {
    LONG.lock().unwrap_or_else(PoisonError::into_inner).take(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_bodies_are_bounded_together_and_one_alone_is_not() {
        let mut long = Long::new();
        assert!(long.keep(1, &vec![1; MOST_LONG + 1]));
        assert!(!long.keep(2, &[2]));
        assert_eq!(long.take(1).map(|body| body.len()), Some(MOST_LONG + 1));
        assert!(long.keep(2, &vec![2; MOST_LONG - 10]) && long.keep(3, &[3; 10]));
        assert!(!long.keep(4, &[4]));
        assert_eq!(long.take(4), None);
        assert_eq!(long.take(3), Some([3; 10].into()));
        assert!(long.keep(4, &[4]));
        assert_eq!(long.bytes, MOST_LONG - 9);
    }
}
