//! Where a site keeps its cells.

use super::label::{ErrorIndex, Labels};
use crate::outcome::CallOutcome;
use crate::site::Site;
use crate::trace::active::ActiveSpan;

/// The amount a counter moves by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A whole number.
    Whole(u64),
    /// Anything else.
    Real(f64),
}

/// The labels of one finished call.
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "read by the cells")]
pub(crate) struct CallLabels {
    pub(crate) entry: Labels,
    pub(crate) returned: Labels,
    pub(crate) error: Option<ErrorIndex>,
    pub(crate) outcome: CallOutcome,
}

/// The counter of a site.
pub struct CounterSlot {}

impl CounterSlot {
    pub(crate) const fn new() -> Self {
        Self {}
    }

    pub(crate) fn add(&'static self, _site: &'static Site, _labels: CallLabels, _amount: Amount) {}

    /// `+1` when a call begins, `-1` when it ends.
    pub(crate) fn in_flight(&'static self, _site: &'static Site, _entry: Labels, _delta: i64) {}
}

/// The histogram of a site.
pub struct TimerSlot {}

impl TimerSlot {
    pub(crate) const fn new() -> Self {
        Self {}
    }

    pub(crate) fn observe(
        &'static self,
        _site: &'static Site,
        _labels: CallLabels,
        _ticks: u64,
        _exemplar: Option<&ActiveSpan>,
    ) {
    }
}
