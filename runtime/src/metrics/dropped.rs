//! What was given to a metric and not taken, by reason: nothing is lost silently.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a measurement was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// NaN or an infinity.
    NotFinite,
    /// A counter moves up only.
    Negative,
    /// The cap on series is reached.
    SeriesLimit,
}

impl Reason {
    pub(crate) const ALL: [Self; 3] = [Self::NotFinite, Self::Negative, Self::SeriesLimit];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotFinite => "not_finite",
            Self::Negative => "negative",
            Self::SeriesLimit => "series_limit",
        }
    }
}

static COUNTS: [AtomicU64; Reason::ALL.len()] = [const { AtomicU64::new(0) }; Reason::ALL.len()];

#[cold]
pub(crate) fn count(reason: Reason) {
    COUNTS[reason as usize].fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn so_far(reason: Reason) -> u64 {
    COUNTS[reason as usize].load(Ordering::Relaxed)
}
