//! Where a site keeps its cells.

use super::bucket::{self, Layout};
use super::dropped;
use super::label::{Dims, ErrorIndex, Labels};
use super::table::{Plan, Tables};
use crate::outcome::CallOutcome;
use crate::site::{CounterDef, LabelDef, Site, TimerDef};
use crate::trace::{SpanId, TraceId, direct};

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
pub(crate) struct CallLabels {
    pub(crate) entry: Labels,
    pub(crate) returned: Labels,
    pub(crate) error: Option<ErrorIndex>,
    pub(crate) outcome: CallOutcome,
}

/// The same where it stands: copied, it would be read in other pieces than it was written in, which processors are slow at.
#[derive(Clone, Copy)]
pub(crate) struct CallRef<'a> {
    pub(crate) entry: &'a Labels,
    pub(crate) returned: &'a Labels,
    pub(crate) error: Option<&'a ErrorIndex>,
    pub(crate) outcome: CallOutcome,
}

/// The counter of a site.
pub struct CounterSlot {
    pub(crate) whole: Tables,
    /// Made only where an amount is no whole number.
    pub(crate) real: Tables,
    /// Two cells to a series: begun and ended. Both only rise, so what was ever used stays visible at 0.
    pub(crate) flight: Tables,
}

/// The cells of a gauge of calls under way.
pub(crate) const BEGUN: usize = 0;
pub(crate) const ENDED: usize = 1;

impl CounterSlot {
    pub(crate) const fn new() -> Self {
        Self {
            whole: Tables::new(),
            real: Tables::new(),
            flight: Tables::new(),
        }
    }

    /// One call without labels.
    #[inline]
    pub(crate) fn count(&'static self, site: &'static Site, outcome: CallOutcome) {
        let cells = self.whole.plain(|| plan(site, 4, 1));
        if let Some(mine) = cells.of_outcome(outcome) {
            mine.add(0, 1);
        }
    }

    /// One call with labels of its arguments.
    #[inline]
    pub(crate) fn count_with(&'static self, site: &'static Site, entry: Labels, outcome: CallOutcome, amount: u64) {
        let cells = self.whole.cells(entry.dims, Dims::NONE, || plan(site, 4, 1));
        if let Some(mine) = cells.of_entry(entry.index, outcome) {
            mine.add(0, amount);
        }
    }

    #[inline]
    pub(crate) fn add(&'static self, site: &'static Site, call: CallRef<'_>, amount: Amount) {
        match amount {
            Amount::Whole(amount) => {
                self.add_whole(site, call.entry, call.returned, call.error, call.outcome, amount);
            }
            Amount::Real(amount) => self.add_real(site, call, amount),
        }
    }

    /// Compiled once: one call of it stands in a function that counts, its arguments in registers.
    #[inline(never)]
    fn add_whole(
        &'static self,
        site: &'static Site,
        entry: &Labels,
        returned: &Labels,
        error: Option<&ErrorIndex>,
        outcome: CallOutcome,
        amount: u64,
    ) {
        let call = CallRef {
            entry,
            returned,
            error,
            outcome,
        };
        let cells = self.whole.cells(entry.dims, returned.dims, || plan(site, 4, 1));
        if let Some(own) = cells.of(call) {
            own.cells.add(0, amount);
        }
    }

    #[cold]
    fn add_real(&'static self, site: &'static Site, call: CallRef<'_>, amount: f64) {
        if !amount.is_finite() {
            return dropped::count(dropped::Reason::NotFinite);
        }
        if amount < 0.0 {
            return dropped::count(dropped::Reason::Negative);
        }
        let cells = self
            .real
            .cells(call.entry.dims, call.returned.dims, || plan(site, 4, 1));
        if let Some(own) = cells.of(call) {
            own.cells.add_f64(0, amount);
        }
    }

    /// `+1` when a call begins, `-1` when it ends.
    #[inline]
    pub(crate) fn in_flight(&'static self, site: &'static Site, entry: Labels, delta: i64) {
        let cells = self.flight.cells(entry.dims, Dims::NONE, || plan(site, 1, 2));
        if let Some(series) = cells.plain(entry.index) {
            let cell = if delta > 0 { BEGUN } else { ENDED };
            series.add(cell, 1);
        }
    }
}

fn plan(site: &'static Site, outcomes: usize, width: usize) -> Plan {
    Plan {
        labels: site
            .def
            .counter
            .as_ref()
            .map_or(&[] as &[LabelDef], CounterDef::labels_of),
        outcomes,
        width,
        layout: None,
    }
}

/// The histogram of a site.
pub struct TimerSlot {
    pub(crate) tables: Tables,
}

impl TimerSlot {
    pub(crate) const fn new() -> Self {
        Self { tables: Tables::new() }
    }

    /// One call without labels, and the token of its span. `end` is the clock's reading at its end.
    #[inline]
    pub(crate) fn observe_plain(
        &'static self,
        site: &'static Site,
        outcome: CallOutcome,
        ticks: u64,
        end: u64,
        span: u64,
    ) {
        let cells = self.tables.plain(|| timer_plan(site));
        let (Some(layout), Some(mine)) = (cells.plan.layout, cells.of_outcome(outcome)) else {
            return;
        };
        let bucket = layout.bucket(ticks);
        mine.add(bucket::FIRST_BUCKET + bucket, 1);
        mine.add(bucket::SUM, ticks);
        if site.def.timer.as_ref().is_some_and(|timer| timer.exemplars) && direct::may_be_example(span) {
            cells
                .exemplars
                .offer(outcome as usize, layout.slot(bucket), ticks, end, || {
                    direct::exemplar(span)
                });
        }
    }

    /// `end` is the clock's reading at the end of the call.
    #[inline]
    pub(crate) fn observe(
        &'static self,
        site: &'static Site,
        call: CallRef<'_>,
        ticks: u64,
        end: u64,
        exemplar: impl FnOnce() -> Option<(TraceId, SpanId)>,
    ) {
        let cells = self
            .tables
            .cells(call.entry.dims, call.returned.dims, || timer_plan(site));
        let (Some(layout), Some(found)) = (cells.plan.layout, cells.of(call)) else {
            return;
        };
        let bucket = layout.bucket(ticks);
        found.cells.add(bucket::FIRST_BUCKET + bucket, 1);
        found.cells.add(bucket::SUM, ticks);
        if site.def.timer.as_ref().is_some_and(|timer| timer.exemplars) {
            found
                .exemplars
                .offer(found.unit, layout.slot(bucket), ticks, end, exemplar);
        }
    }
}

fn timer_plan(site: &'static Site) -> Plan {
    let layout = Layout::of(
        site.def
            .timer
            .as_ref()
            .map_or(crate::site::Buckets::Default, |timer| timer.buckets),
    );
    Plan {
        labels: site.def.timer.as_ref().map_or(&[] as &[LabelDef], TimerDef::labels_of),
        outcomes: 4,
        width: layout.width,
        layout: Some(layout),
    }
}

impl CounterDef {
    fn labels_of(&self) -> &'static [LabelDef] {
        self.labels
    }
}

impl TimerDef {
    fn labels_of(&self) -> &'static [LabelDef] {
        self.labels
    }
}
