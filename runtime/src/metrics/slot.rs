//! Where a site keeps its cells.

use super::bucket::{self, Layout};
use super::cell::Direct;
use super::dropped;
use super::exemplar::Exemplars;
use super::label::{Dims, ErrorIndex, Labels};
use super::table::{Own, Plan, Short, Tables, Way};
use crate::here::here;
use crate::outcome::CallOutcome;
use crate::site::{CounterDef, LabelDef, Site, TimerDef};
use crate::trace::{SpanId, TraceId, direct};
use std::sync::atomic::Ordering;

/// The amount a counter moves by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A whole number.
    Whole(u64),
    /// Anything else.
    Real(f64),
}

impl Amount {
    /// The bits of the number, and whether it is a float.
    #[inline]
    pub(crate) fn parts(self) -> (u64, bool) {
        match self {
            Self::Whole(amount) => (amount, false),
            Self::Real(amount) => (amount.to_bits(), true),
        }
    }

    pub(crate) fn of_parts((bits, real): (u64, bool)) -> Self {
        if real {
            Self::Real(f64::from_bits(bits))
        } else {
            Self::Whole(bits)
        }
    }
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

/// Asks for the ids of the sampled span that a call belongs to.
pub(crate) type Ids<'a> = &'a dyn Fn() -> Option<(TraceId, SpanId)>;

/// The counter of a site.
pub struct CounterSlot {
    short: Short,
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
            short: Short::new(),
            whole: Tables::new(),
            real: Tables::new(),
            flight: Tables::new(),
        }
    }

    /// A call, with labels of its arguments or none, and the token of its span. `end` is the clock's reading at its end, 0 where
    /// nobody has read it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads and an addition: the whole of a record")]
    pub(crate) fn count(
        &'static self,
        site: &'static Site,
        entry: Labels,
        outcome: CallOutcome,
        amount: u64,
        (end, span): (u64, u64),
    ) {
        let unit = unit(entry.index, outcome);
        match self.way(entry.dims).and_then(|way| way.direct.count(unit, amount)) {
            Some((counted, sampled)) if direct::may_be_example_where(span, sampled) => {
                self.count_example(unit, amount, counted.load(Ordering::Relaxed), (end, span));
            }
            Some(_) => {}
            None => self.count_apart(site, entry, outcome, amount, (end, span)),
        }
    }

    /// The short way to the cells of these label types; `None` where there is none, and a call has to
    /// [go the long one](Self::count_apart).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a comparison, in every record")]
    fn way(&self, dims: &'static Dims) -> Option<&Way> {
        self.short.to(dims)
    }

    /// The same for a call that is only counted and told to nobody else, while there are none but such.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a comparison, in every record")]
    pub(crate) fn straight(&self, dims: &'static Dims) -> Option<&'static Direct> {
        self.short.straight(dims)
    }

    /// Later calls may go [straight](Self::straight), if nobody else is to be told of them.
    pub(crate) fn open(&'static self) {
        self.short.open();
    }

    /// Under a sampled span.
    #[inline(never)]
    fn count_example(&'static self, unit: usize, amount: u64, turn: u64, (end, span): (u64, u64)) {
        if let Some(exemplars) = self.short.exemplars() {
            let ids = || direct::exemplar(span);
            offer(exemplars, unit, amount as f64, (end, turn), &ids);
        }
    }

    /// The first on its thread, one without a stripe of its own, one of many series.
    #[inline(never)]
    pub(crate) fn count_apart(
        &'static self,
        site: &'static Site,
        entry: Labels,
        outcome: CallOutcome,
        amount: u64,
        (end, span): (u64, u64),
    ) {
        told(&entry, outcome, span, |call, ids| {
            self.add(site, call, Amount::Whole(amount), end, ids);
        });
        let cells = self.whole.cells(entry.dims, Dims::NONE, || plan(site, 4, 1));
        self.short.make(entry.dims, cells, true);
    }

    /// `ids` are those of the sampled span it belongs to.
    #[inline(never)]
    pub(crate) fn add(
        &'static self,
        site: &'static Site,
        call: CallRef<'_>,
        amount: Amount,
        end: u64,
        ids: Option<Ids<'_>>,
    ) {
        let (added, turn) = match amount {
            Amount::Whole(amount) => (amount as f64, self.add_whole(site, call, amount)),
            Amount::Real(amount) => (amount, self.add_real(site, call, amount)),
        };
        if let (Some(ids), Some((own, turn))) = (ids, turn) {
            offer(own.exemplars, own.unit, added, (end, turn), ids);
        }
    }

    #[inline]
    fn add_whole(&'static self, site: &'static Site, call: CallRef<'_>, amount: u64) -> Option<(Own, u64)> {
        let cells = self
            .whole
            .cells(call.entry.dims, call.returned.dims, || plan(site, 4, 1));
        let own = cells.of(call)?;
        let turn = own.cells.add(0, amount);
        Some((own, turn))
    }

    #[cold]
    fn add_real(&'static self, site: &'static Site, call: CallRef<'_>, amount: f64) -> Option<(Own, u64)> {
        if !amount.is_finite() {
            dropped::count(dropped::Reason::NotFinite);
            return None;
        }
        if amount < 0.0 {
            dropped::count(dropped::Reason::Negative);
            return None;
        }
        let cells = self
            .real
            .cells(call.entry.dims, call.returned.dims, || plan(site, 4, 1));
        let own = cells.of(call)?;
        own.cells.add_f64(0, amount);
        Some((own, 0))
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
    short: Short,
    pub(crate) tables: Tables,
}

impl TimerSlot {
    pub(crate) const fn new() -> Self {
        Self {
            short: Short::new(),
            tables: Tables::new(),
        }
    }

    /// A call, with labels of its arguments or none, and the token of its span. `end` is the clock's reading at its end.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "a few loads and two additions: the whole of a record"
    )]
    pub(crate) fn time(
        &'static self,
        site: &'static Site,
        entry: Labels,
        outcome: CallOutcome,
        ticks: u64,
        end: u64,
        span: u64,
    ) {
        let (stripe, sampled) = here(|here| (here.stripe.get(), here.sampled.get()));
        let unit = unit(entry.index, outcome);
        if let Some(way) = self.short.to(entry.dims)
            && let Some(cells) = way.direct.own(stripe, unit)
            && let Some(layout) = way.layout
            && let Some(bucket) = layout.near_bucket(ticks)
        {
            cells.add(bucket::FIRST_BUCKET + bucket, 1);
            cells.add(bucket::SUM, ticks);
            if direct::may_be_example_where(span, sampled != 0) {
                timed_example(way, unit, bucket, ticks, end, span);
            }
        } else {
            self.time_apart(site, entry, outcome, ticks, end, span);
        }
    }

    /// The first on its thread, one without a stripe of its own, one of many series.
    #[inline(never)]
    fn time_apart(
        &'static self,
        site: &'static Site,
        entry: Labels,
        outcome: CallOutcome,
        ticks: u64,
        end: u64,
        span: u64,
    ) {
        told(&entry, outcome, span, |call, ids| {
            self.observe(site, call, ticks, end, ids);
        });
        let cells = self.tables.cells(entry.dims, Dims::NONE, || timer_plan(site));
        let exemplars = site.def.timer.as_ref().is_some_and(|timer| timer.exemplars);
        self.short.make(entry.dims, cells, exemplars);
    }

    /// `end` is the clock's reading at the end of the call, `ids` are those of the sampled span it belongs to.
    #[inline(never)]
    pub(crate) fn observe(
        &'static self,
        site: &'static Site,
        call: CallRef<'_>,
        ticks: u64,
        end: u64,
        ids: Option<Ids<'_>>,
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
        if let Some(ids) = ids
            && site.def.timer.as_ref().is_some_and(|timer| timer.exemplars)
        {
            let slot = layout.slot(bucket);
            found.exemplars.offer(found.unit, slot, ticks, end, ids);
        }
    }
}

/// Tells of a call with labels of its arguments or none, and of the span that it may be an example by.
fn told(entry: &Labels, outcome: CallOutcome, span: u64, record: impl FnOnce(CallRef<'_>, Option<Ids<'_>>)) {
    let call = CallRef {
        entry,
        returned: &Labels::NONE,
        error: None,
        outcome,
    };
    let ids = || direct::exemplar(span);
    record(call, direct::may_be_example(span).then_some(&ids));
}

/// The series of an outcome under a set of labels of the arguments.
#[inline(always)]
#[expect(clippy::inline_always, reason = "an addition, in every record")]
pub(crate) fn unit(entry: u32, outcome: CallOutcome) -> usize {
    entry as usize * CallOutcome::ALL.len() + outcome as usize
}

/// What [`unit()`] was made of.
pub(crate) fn parts_of(unit: usize) -> (u32, CallOutcome) {
    let outcomes = CallOutcome::ALL;
    ((unit / outcomes.len()) as u32, outcomes[unit % outcomes.len()])
}

/// A call that was only counted, under a sampled span. Told what its end was told, in the same registers, so that who never has one
/// pays for none.
#[inline(never)]
pub(crate) fn alone_example(site: &'static Site, unit: usize, amount: u64, turn: u64) {
    site.slots.counter.count_example(unit, amount, turn, (0, 0));
}

fn offer(exemplars: &Exemplars, unit: usize, amount: f64, (end, turn): (u64, u64), ids: Ids<'_>) {
    if end == 0 {
        exemplars.offer_in_turn(unit, 0, amount.to_bits(), turn, ids);
    } else {
        exemplars.offer(unit, 0, amount.to_bits(), end, ids);
    }
}

/// A timed call under a sampled span.
#[inline(never)]
fn timed_example(way: &Way, unit: usize, bucket: usize, ticks: u64, end: u64, span: u64) {
    if let (Some(exemplars), Some(layout)) = (way.exemplars(), way.layout) {
        exemplars.offer(unit, layout.slot(bucket), ticks, end, || direct::exemplar(span));
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
