//! How long calls take, in windows of a second: the median of the windows is what the program did, the rest what the machine
//! had besides.

use std::fmt;
use std::time::{Duration, Instant};

/// The windows of a phase, or of several.
#[derive(Default)]
pub struct Windows {
    current: Vec<u32>,
    since: Option<Instant>,
    medians: Vec<u32>,
    p99s: Vec<u32>,
}

/// Nanoseconds, over the windows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// The median of the windows' medians.
    pub p50: u32,
    /// The median of the windows' 99th percentiles.
    pub p99: u32,
    /// The middle half of the windows' 99th percentiles lies between these: how steady the machine was.
    pub quartiles: [u32; 2],
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            p50,
            p99,
            quartiles: [low, high],
        } = self;
        write!(f, "{p50}/{p99} [{low} to {high}]")
    }
}

impl Windows {
    /// Runs a call and keeps how long it took.
    pub fn time(&mut self, call: impl FnOnce()) {
        let begun = Instant::now();
        call();
        let took = begun.elapsed().as_nanos();
        self.current.push(u32::try_from(took).unwrap_or(u32::MAX));
        if begun.duration_since(*self.since.get_or_insert(begun)) >= Duration::from_secs(1) {
            self.close();
        }
    }

    /// Forgets a window that is not whole: the phase is over.
    pub fn cut(&mut self) {
        self.since = None;
        self.current.clear();
    }

    fn close(&mut self) {
        self.current.sort_unstable();
        let at = |part: usize| self.current[self.current.len() * part / 100];
        let (p50, p99) = (at(50), at(99));
        self.medians.push(p50);
        self.p99s.push(p99);
        self.cut();
    }

    /// Over all whole windows.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let sorted = |windows: &[u32]| {
            let mut windows = windows.to_vec();
            windows.sort_unstable();
            move |quarters: usize| windows.get(windows.len() * quarters / 4).copied().unwrap_or(0)
        };
        let (medians, p99s) = (sorted(&self.medians), sorted(&self.p99s));
        Latency {
            p50: medians(2),
            p99: p99s(2),
            quartiles: [p99s(1), p99s(3)],
        }
    }
}
