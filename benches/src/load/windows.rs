//! How long calls take, in windows of a second: the median of the windows is what the program did, the rest what the machine
//! had besides.

use std::time::{Duration, Instant};

/// The windows of one phase.
#[derive(Default)]
pub struct Windows {
    current: Vec<u32>,
    since: Option<Instant>,
    medians: Vec<u32>,
    p99s: Vec<u32>,
}

/// Nanoseconds: the median over the windows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// Of a window's median.
    pub p50: u32,
    /// Of a window's 99th percentile.
    pub p99: u32,
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

    fn close(&mut self) {
        self.since = None;
        self.current.sort_unstable();
        let at = |part: usize| self.current[self.current.len() * part / 100];
        let (p50, p99) = (at(50), at(99));
        self.medians.push(p50);
        self.p99s.push(p99);
        self.current.clear();
    }

    /// Over all whole windows.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let middle = |windows: &[u32]| {
            let mut windows = windows.to_vec();
            windows.sort_unstable();
            windows.get(windows.len() / 2).copied().unwrap_or(0)
        };
        Latency {
            p50: middle(&self.medians),
            p99: middle(&self.p99s),
        }
    }
}
