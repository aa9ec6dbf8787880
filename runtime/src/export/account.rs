//! What became of everything: the counts that a [`Report`] shows.

use super::diag::{Level, say_once, tame};
use super::stats;
use super::transport::{Accepted, Kind, SendError, Signal};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of everything recorded, by signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Spans.
    pub traces: Tally,
    /// Metric data points.
    pub metrics: Tally,
    /// Log records that are sent, not the lines made of them.
    pub logs: Tally,
}

/// What became of the items of one signal since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Taken by the receiver.
    pub delivered: u64,
    /// Refused by the receiver: in a partial success, or with an error that no retry may mend.
    pub rejected: u64,
    /// Lost here: the queue was full, the item too large, the process already shutting down.
    pub dropped: u64,
    /// Still waiting.
    pub pending: u64,
    /// For the collector at the default address, where none has ever answered: no one asked for it, so nothing is amiss.
    pub unheard: u64,
}

impl Report {
    /// Whether everything arrived.
    pub fn is_complete(&self) -> bool {
        [self.traces, self.metrics, self.logs]
            .iter()
            .all(|t| t.rejected == 0 && t.dropped == 0 && t.pending == 0)
    }
}

impl Tally {
    /// What is not in the exporter's hands is accounted for, too: lost before, or yet to come.
    pub(crate) fn add_before(&mut self, dropped: u64, pending: u64) {
        if self.unheard > 0 {
            self.unheard += dropped + pending;
        } else {
            self.dropped += dropped;
            self.pending += pending;
        }
    }
}

#[cfg(test)]
impl Tally {
    pub(super) fn of(delivered: u64, rejected: u64, dropped: u64, pending: u64) -> Self {
        Self {
            delivered,
            rejected,
            dropped,
            pending,
            unheard: 0,
        }
    }
}

/// Counts of one signal of this exporter; the process's metrics are in `stats`.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) delivered: AtomicU64,
    rejected: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl Account {
    pub(super) fn tally(&self, pending: u64) -> Tally {
        Tally {
            delivered: self.delivered.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            pending,
            unheard: 0,
        }
    }

    /// The receiver took a request of so many items, or most of them.
    pub(super) fn accepted(&self, target: &str, signal: Signal, accepted: &Accepted, count: u64) {
        let rejected = Self::tell_accepted(target, signal, accepted, count);
        self.delivered.fetch_add(count - rejected, Relaxed);
        self.rejected.fetch_add(rejected, Relaxed);
    }

    /// The same of items that another process recorded: they are in its account, and in our metrics. How many were rejected.
    pub(super) fn tell_accepted(target: &str, signal: Signal, accepted: &Accepted, count: u64) -> u64 {
        let stats = stats::of(signal);
        let rejected = accepted.rejected.min(count);
        stats.exported.add(count - rejected);
        stats.rejected.add(rejected);
        let (items, message) = (signal.items(), tame(&accepted.message));
        if rejected > 0 {
            say_once(
                Level::Warn,
                ("rejected", signal.as_str()),
                format_args!("{target} rejected {rejected} of {count} {items}: {message}"),
            );
        } else if !message.is_empty() {
            say_once(
                Level::Warn,
                ("warned", signal.as_str()),
                format_args!("{target} took {items} and said: {message}"),
            );
        }
        rejected
    }

    /// The request failed in a way that no retry may mend.
    pub(super) fn failed(&self, signal: Signal, error: &SendError, count: u64) {
        let lost = if error.kind == Kind::TooLarge {
            &self.dropped
        } else {
            &self.rejected
        };
        lost.fetch_add(count, Relaxed);
        Self::tell_failed(signal, error, count);
    }

    /// The same of items that another process recorded.
    pub(super) fn tell_failed(signal: Signal, error: &SendError, count: u64) {
        let stats = stats::of(signal);
        if error.kind == Kind::TooLarge {
            stats.too_large.add(count);
        } else {
            stats.failed.add(count);
        }
        say_once(
            Level::Warn,
            (error.kind.as_str(), signal.as_str()),
            format_args!("{count} {} are lost: {error}", signal.items()),
        );
    }
}
