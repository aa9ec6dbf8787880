//! How a call ends: compiled once, for all functions.

use super::operation;
use super::settle::Ended;
use super::signals::{BUSY, COUNT, IN_FLIGHT, OPERATION, SPAN, TIME};
use crate::metrics::label::{Dims, Labels};
use crate::metrics::slot;
use crate::metrics::{Amount, CallLabels, CallRef, Ids};
use crate::operation::Kept;
use crate::outcome::CallOutcome;
use crate::site::Site;
use crate::trace::active::SpanOptions;
use crate::trace::direct;
use crate::trace::event::CallEnd;
use crate::{clock, switch};
use std::sync::atomic::Ordering;

/// All of a call of a plain function.
pub(crate) struct Parts {
    pub(super) signals: u8,
    pub(super) site: &'static Site,
    pub(super) start: u64,
    pub(super) span: u64,
    pub(super) options: Option<Box<SpanOptions>>,
    pub(super) count_labels: Labels,
    pub(super) time_labels: Labels,
    pub(super) amount: Amount,
    pub(super) open: bool,
    pub(super) no_span: bool,
    pub(super) parent_said: bool,
    pub(super) kept: Kept,
}

/// The end of a call without labels, by the shortest way that its signals have.
#[inline]
pub(super) fn bare<const SIGNALS: u8>(site: &'static Site, start: u64, span: u64, outcome: CallOutcome) {
    if SIGNALS == COUNT {
        counted(site, outcome);
    } else if SIGNALS == TIME {
        timed(site, start, outcome);
    } else if SIGNALS == SPAN {
        direct::close(span, 0, outcome);
    } else {
        plain(SIGNALS, site, start, span, outcome);
    }
}

/// The end of a call that only counts, without labels.
#[inline(never)]
pub(super) fn counted(site: &'static Site, outcome: CallOutcome) {
    counted_unit(site, slot::unit(0, outcome), 1, Dims::NONE);
}

/// The end of a call that only counts whole numbers, by labels of its arguments.
#[inline(always)]
#[expect(clippy::inline_always, reason = "an addition, that its outcome makes a constant of")]
pub(super) fn counted_with(site: &'static Site, labels: Labels, amount: u64, outcome: CallOutcome) {
    let unit = slot::unit(labels.index, outcome);
    // Nearly always, and known while compiling unless `by` says otherwise.
    if amount == 1 {
        labelled_one(site, unit, labels.dims);
    } else {
        labelled_unit(site, unit, amount, labels.dims);
    }
}

#[inline(never)]
fn labelled_one(site: &'static Site, unit: usize, dims: &'static Dims) {
    counted_unit(site, unit, 1, dims);
}

#[inline(never)]
fn labelled_unit(site: &'static Site, unit: usize, amount: u64, dims: &'static Dims) {
    counted_unit(site, unit, amount, dims);
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "in three functions that are not")]
fn counted_unit(site: &'static Site, unit: usize, amount: u64, dims: &'static Dims) {
    // What the thread's own things are found by is told apart from what they are found with: whatever is not needed after it, needs no
    // register kept over it.
    let Some(straight) = site.slots.counter.straight(dims) else {
        return counted_apart(site, unit, amount, dims);
    };
    match straight.count(unit, amount) {
        Some((_, false)) => {}
        Some((counted, true)) => slot::alone_example(site, unit, amount, counted.load(Ordering::Relaxed)),
        None => counted_apart(site, unit, amount, straight.entry()),
    }
}

/// The same where it may be told to more than its cells, or has no short way. It is told just what they are told, in the same registers: with
/// more, they would keep a frame for it that most calls have no use for.
#[cold]
#[inline(never)]
fn counted_apart(site: &'static Site, unit: usize, amount: u64, dims: &'static Dims) {
    let (index, outcome) = slot::parts_of(unit);
    let labels = Labels { index, dims };
    if switch::capturing() {
        return whole_with(COUNT, site, 0, [labels, Labels::NONE], Amount::Whole(amount), outcome);
    }
    site.slots.counter.count(site, labels, outcome, amount, (0, 0));
    site.slots.counter.open();
}

/// The end of a call that is only timed, without labels.
#[inline(never)]
pub(super) fn timed(site: &'static Site, start: u64, outcome: CallOutcome) {
    let end = clock::now();
    if switch::capturing() {
        return whole(Parts::plain(TIME, site, start, 0), &Ended::by(outcome));
    }
    let ticks = end.saturating_sub(start);
    site.slots.timer.time(site, Labels::NONE, outcome, ticks, end, 0);
}

/// The end of a call that is only timed, by labels of its arguments.
#[inline(never)]
pub(super) fn timed_with(site: &'static Site, labels: Labels, start: u64, outcome: CallOutcome) {
    let end = clock::now();
    if switch::capturing() {
        let none = Labels::NONE;
        return whole_with(TIME, site, start, [none, labels], Amount::Whole(1), outcome);
    }
    let ticks = end.saturating_sub(start);
    site.slots.timer.time(site, labels, outcome, ticks, end, 0);
}

/// The end of a call that is counted in whole numbers and timed, by labels of its arguments.
#[inline(never)]
pub(super) fn both_with(
    site: &'static Site,
    [count, time]: [Labels; 2],
    start: u64,
    amount: u64,
    outcome: CallOutcome,
) {
    let end = clock::now();
    if switch::capturing() {
        return whole_with(COUNT | TIME, site, start, [count, time], Amount::Whole(amount), outcome);
    }
    let ticks = end.saturating_sub(start);
    site.slots.timer.time(site, time, outcome, ticks, end, 0);
    site.slots.counter.count(site, count, outcome, amount, (end, 0));
}

/// The end of a call without labels.
#[inline(never)]
pub(super) fn plain(signals: u8, site: &'static Site, start: u64, span: u64, outcome: CallOutcome) {
    let timed = signals & TIME != 0;
    // The end of a recorded span is read off the clock anyway.
    let end = if timed || direct::is_recorded(span) {
        clock::now()
    } else {
        0
    };
    if switch::capturing() {
        return whole(Parts::plain(signals, site, start, span), &Ended::by(outcome));
    }
    if timed {
        let ticks = end.saturating_sub(start);
        site.slots.timer.time(site, Labels::NONE, outcome, ticks, end, span);
    }
    if signals & COUNT != 0 {
        site.slots.counter.count(site, Labels::NONE, outcome, 1, (end, span));
    }
    if signals & IN_FLIGHT != 0 {
        in_flight(site, Labels::NONE, -1);
    }
    if signals & SPAN != 0 {
        direct::close(span, end, outcome);
    }
}

/// The end of a call with labels that is told to a test, or unwinds.
#[cold]
#[inline(never)]
fn whole_with(
    signals: u8,
    site: &'static Site,
    start: u64,
    [count_labels, time_labels]: [Labels; 2],
    amount: Amount,
    outcome: CallOutcome,
) {
    let call = Parts {
        count_labels,
        time_labels,
        amount,
        ..Parts::plain(signals, site, start, 0)
    };
    whole(call, &Ended::by(outcome));
}

/// The end of a call without labels of its arguments.
#[inline(never)]
pub(super) fn labelled(signals: u8, site: &'static Site, start: u64, span: u64, ended: &Ended) {
    whole(Parts::plain(signals, site, start, span), ended);
}

/// The end of a call without labels that unwinds.
#[cold]
#[inline(never)]
pub(super) fn unwound(signals: u8, site: &'static Site, start: u64, span: u64) {
    plain(signals, site, start, span, CallOutcome::Panic);
}

/// The end of a call that only counts, by labels, and unwinds. What it is told fits into registers: with more, a function's landing
/// pad takes the address of the call, which then has to stand in memory.
#[cold]
#[inline(never)]
pub(super) fn unwound_counted(site: &'static Site, dims: &'static Dims, index: u32, bits: u64, real: bool) {
    let labels = [Labels { index, dims }, Labels::NONE];
    let amount = Amount::of_parts((bits, real));
    whole_with(COUNT, site, 0, labels, amount, CallOutcome::Panic);
}

/// The end of a call that is only timed, by labels, and unwinds.
#[cold]
#[inline(never)]
pub(super) fn unwound_timed(site: &'static Site, start: u64, dims: &'static Dims, index: u32) {
    let labels = [Labels::NONE, Labels { index, dims }];
    whole_with(TIME, site, start, labels, Amount::Whole(1), CallOutcome::Panic);
}

/// The end of any call that unwinds.
#[cold]
#[inline(never)]
pub(super) fn unwound_whole(call: Parts) {
    whole(call, &Ended::by(CallOutcome::Panic));
}

/// A call more under way, or one less.
#[inline(never)]
pub(super) fn in_flight(site: &'static Site, labels: Labels, delta: i64) {
    if !switch::passing() {
        site.slots.counter.in_flight(site, labels, delta);
    }
}

/// The end of any call of a plain function.
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "dropped here, not in every function")]
pub(super) fn whole(call: Parts, ended: &Ended) {
    let Parts { signals, site, .. } = call;
    if switch::passing() {
        return direct::close(call.span, 0, ended.outcome);
    }
    let end = if signals & (TIME | OPERATION) != 0 || direct::is_recorded(call.span) {
        clock::now()
    } else {
        0
    };
    let ticks = end.saturating_sub(call.start);
    let measured = Measured {
        site,
        count_labels: &call.count_labels,
        time_labels: &call.time_labels,
        amount: call.amount,
        ticks,
        end,
    };
    let ids = || direct::exemplar(call.span);
    measured.settle(signals, ended, direct::may_be_example(call.span).then_some(&ids));
    if signals & IN_FLIGHT != 0 && call.open {
        in_flight(site, call.count_labels, -1);
    }
    if signals & OPERATION != 0 && call.open {
        operation::end(site, call.kept, ended, (call.start, end), direct::exemplar(call.span));
    }
    if signals & SPAN != 0 {
        direct::close(call.span, end, ended.outcome);
    }
}

impl Parts {
    fn plain(signals: u8, site: &'static Site, start: u64, span: u64) -> Self {
        Self {
            signals,
            site,
            start,
            span,
            options: None,
            count_labels: Labels::NONE,
            time_labels: Labels::NONE,
            amount: Amount::Whole(1),
            open: true,
            no_span: false,
            parent_said: false,
            kept: 0,
        }
    }
}

/// What the metrics are told of a call.
pub(super) struct Measured<'a> {
    pub(super) site: &'static Site,
    pub(super) count_labels: &'a Labels,
    pub(super) time_labels: &'a Labels,
    pub(super) amount: Amount,
    /// How long it took.
    pub(super) ticks: u64,
    /// The clock's reading at its end, 0 where nobody has read it.
    pub(super) end: u64,
}

impl Measured<'_> {
    /// Counter and histogram; `ids` are those of the call's span where it is sampled.
    #[inline]
    pub(super) fn settle(&self, signals: u8, ended: &Ended, ids: Option<Ids<'_>>) {
        let site = self.site;
        let (outcome, error) = (ended.outcome, ended.error.as_ref());
        if signals & (COUNT | TIME) != 0 && switch::capturing() {
            self.captured(ended);
        }
        if signals & COUNT != 0 {
            let labels = CallRef {
                entry: self.count_labels,
                returned: &ended.count,
                error,
                outcome,
            };
            let amount = ended.amount.unwrap_or(self.amount);
            site.slots.counter.add(site, labels, amount, self.end, ids);
        }
        if signals & TIME != 0 {
            let labels = CallRef {
                entry: self.time_labels,
                returned: &ended.time,
                error,
                outcome,
            };
            site.slots.timer.observe(site, labels, self.ticks, self.end, ids);
        }
    }

    /// Tells what the metrics get to the test that captures this thread, if one does.
    #[cold]
    #[inline(never)]
    fn captured(&self, ended: &Ended) {
        let Ended { outcome, error, .. } = *ended;
        let labels = |entry: &Labels, returned| CallLabels {
            entry: *entry,
            returned,
            error,
            outcome,
        };
        if self.site.def.counter.is_some() {
            let labels = labels(self.count_labels, ended.count);
            let amount = ended.amount.unwrap_or(self.amount);
            crate::testing::call_ended(self.site, &CallEnd::Counted { labels, amount });
        }
        if self.site.def.timer.is_some() {
            let labels = labels(self.time_labels, ended.time);
            let ticks = self.ticks;
            crate::testing::call_ended(self.site, &CallEnd::Timed { labels, ticks });
        }
    }
}

/// Whether a histogram takes the time spent being polled.
pub(super) const fn busy(signals: u8) -> bool {
    signals & BUSY != 0
}
