//! The life of the process as its probes tell it: starting, ready, draining.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Where a process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Not all of the first checks have answered: live, not started, not ready.
    Starting,
    /// As ready as its checks.
    Ready,
    /// Taken out by hand: live, started, not ready.
    Withdrawn,
    /// On its way out: live, started, not ready.
    Draining,
}

impl Phase {
    /// `starting`, `ready`, `withdrawn` or `draining`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Withdrawn => "withdrawn",
            Self::Draining => "draining",
        }
    }
}

/// The switches behind [`Phase`].
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    /// Only ever grows: [`STARTING`], [`STARTED`], [`DRAINING`].
    stage: AtomicU8,
    /// Starting lasts until somebody says that it is over.
    held: AtomicBool,
    withdrawn: AtomicBool,
}

const STARTING: u8 = 0;
const STARTED: u8 = 1;
const DRAINING: u8 = 2;

impl Lifecycle {
    pub(crate) fn phase(&self) -> Phase {
        match self.stage.load(Ordering::Acquire) {
            DRAINING => Phase::Draining,
            _ if self.withdrawn.load(Ordering::Acquire) => Phase::Withdrawn,
            STARTED => Phase::Ready,
            _ => Phase::Starting,
        }
    }

    /// The first round is not over, or is not to count yet.
    pub(crate) fn is_starting(&self) -> bool {
        self.stage.load(Ordering::Acquire) == STARTING
    }

    /// Over, unless held.
    pub(crate) fn started(&self) -> bool {
        !self.held.load(Ordering::Acquire) && self.stage.fetch_max(STARTED, Ordering::AcqRel) == STARTING
    }

    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        if ready {
            self.held.store(false, Ordering::Release);
        }
        self.withdrawn
            .store(!ready && !self.held.load(Ordering::Acquire), Ordering::Release);
    }

    pub(crate) fn drain(&self) {
        self.stage.fetch_max(DRAINING, Ordering::AcqRel);
    }
}

/// Where this process is in its life.
pub fn phase() -> Phase {
    super::engine().phase()
}

/// Whether the process is on its way out: long-lived connections should be told to go elsewhere.
pub fn is_draining() -> bool {
    phase() == Phase::Draining
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life() {
        let life = Lifecycle::default();
        life.hold();
        assert!(!life.started());
        assert_eq!(life.phase(), Phase::Starting);
        life.set_ready(false);
        assert_eq!(life.phase(), Phase::Starting);
        life.set_ready(true);
        assert!(life.started());
        assert!(!life.started());
        assert_eq!(life.phase(), Phase::Ready);
        life.set_ready(false);
        assert_eq!(life.phase(), Phase::Withdrawn);
        life.set_ready(true);
        assert_eq!(life.phase(), Phase::Ready);
        life.drain();
        life.set_ready(true);
        assert_eq!(life.phase(), Phase::Draining);
    }
}
