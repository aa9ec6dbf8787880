//! What is said of one check: the probes it belongs to, its times and limits.

use std::time::Duration;

/// The probes a check belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Probes(u8);

/// A probe an orchestrator asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Probe {
    /// `/livez`: restart me if this fails. Never depends on anything outside the process.
    Live,
    /// `/readyz`: send me requests.
    Ready,
    /// `/startupz`: I have come up.
    Startup,
    /// `/healthz`: everything.
    All,
}

impl Probe {
    const fn bits(self) -> u8 {
        match self {
            Self::Live => 1,
            Self::Ready => 2,
            Self::Startup => 4,
            Self::All => 7,
        }
    }

    /// `liveness`, `readiness`, `startup` or `all`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "liveness",
            Self::Ready => "readiness",
            Self::Startup => "startup",
            Self::All => "all",
        }
    }
}

impl Probes {
    /// Whether a check of these probes is asked by that one.
    pub const fn has(self, probe: Probe) -> bool {
        self.0 & probe.bits() != 0
    }

    const fn and(self, probe: Probe) -> Self {
        Self(self.0 | probe.bits())
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What was said of one check; what was not said falls to the struct around it, then to the defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    pub(crate) probes: Probes,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cache: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) critical: Option<bool>,
    pub(crate) failures: Option<u32>,
    pub(crate) successes: Option<u32>,
    pub(crate) blocking: Option<bool>,
    pub(crate) tags: &'static [&'static str],
}

impl CheckOptions {
    /// Nothing said: readiness, critical, 5 s time-out, cached for 1 s, down at the first failure, up at the first success.
    pub const fn new() -> Self {
        Self {
            probes: Probes(0),
            timeout: None,
            cache: None,
            interval: None,
            critical: None,
            failures: None,
            successes: None,
            blocking: None,
            tags: &[],
        }
    }

    /// Asked by `/livez`. Only for what a restart of this process would heal.
    #[must_use]
    pub const fn liveness(mut self) -> Self {
        self.probes = self.probes.and(Probe::Live);
        self
    }

    /// Asked by `/readyz`, the default.
    #[must_use]
    pub const fn readiness(mut self) -> Self {
        self.probes = self.probes.and(Probe::Ready);
        self
    }

    /// Asked by `/startupz`.
    #[must_use]
    pub const fn startup(mut self) -> Self {
        self.probes = self.probes.and(Probe::Startup);
        self
    }

    /// Down when it takes longer.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Asked on demand, the answer kept so long.
    #[must_use]
    pub const fn cache(mut self, cache: Duration) -> Self {
        self.cache = Some(cache);
        self.interval = None;
        self
    }

    /// Asked in the background, so often.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self.cache = None;
        self
    }

    /// `false`: a failure only degrades.
    #[must_use]
    pub const fn critical(mut self, critical: bool) -> Self {
        self.critical = Some(critical);
        self
    }

    /// So many failures in a row until it counts as down.
    #[must_use]
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = Some(failures);
        self
    }

    /// So many successes in a row until it counts as up again.
    #[must_use]
    pub const fn successes(mut self, successes: u32) -> Self {
        self.successes = Some(successes);
        self
    }

    /// It blocks its thread: it gets one of its own.
    #[must_use]
    pub const fn blocking(mut self) -> Self {
        self.blocking = Some(true);
        self
    }

    /// Marks to select by: `/readyz?tag=db`.
    #[must_use]
    pub const fn tags(mut self, tags: &'static [&'static str]) -> Self {
        self.tags = tags;
        self
    }

    /// What `self` leaves open is taken from `outer`.
    #[must_use]
    pub(crate) fn or(mut self, outer: &Self) -> Self {
        if self.probes.is_empty() {
            self.probes = outer.probes;
        }
        if self.cache.is_none() && self.interval.is_none() {
            self.cache = outer.cache;
            self.interval = outer.interval;
        }
        self.timeout = self.timeout.or(outer.timeout);
        self.critical = self.critical.or(outer.critical);
        self.failures = self.failures.or(outer.failures);
        self.successes = self.successes.or(outer.successes);
        self.blocking = self.blocking.or(outer.blocking);
        if self.tags.is_empty() {
            self.tags = outer.tags;
        }
        self
    }
}
