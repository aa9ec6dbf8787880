//! How a call ends: compiled once, for all functions.

use super::operation;
use super::settle::Ended;
use super::signals::{BUSY, COUNT, IN_FLIGHT, OPERATION, SPAN, TIME};
use crate::metrics::label::Labels;
use crate::metrics::{Amount, CallLabels, CallRef};
use crate::operation::Kept;
use crate::outcome::CallOutcome;
use crate::site::Site;
use crate::trace::active::SpanOptions;
use crate::trace::direct;
use crate::trace::event::CallEnd;
use crate::{clock, switch};

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

/// The end of a call that only counts, without labels.
#[inline(never)]
pub(super) fn counted(site: &'static Site, outcome: CallOutcome) {
    if switch::capturing() {
        return whole(Parts::plain(COUNT, site, 0, 0), &Ended::by(outcome));
    }
    site.slots.counter.count(site, outcome);
}

/// The end of a call that only counts whole numbers, by labels of its arguments.
#[inline(never)]
pub(super) fn counted_with(site: &'static Site, labels: Labels, amount: u64, outcome: CallOutcome) {
    if switch::capturing() {
        let call = Parts {
            count_labels: labels,
            amount: Amount::Whole(amount),
            ..Parts::plain(COUNT, site, 0, 0)
        };
        return whole(call, &Ended::by(outcome));
    }
    site.slots.counter.count_with(site, labels, outcome, amount);
}

/// The end of a call without labels.
#[inline(never)]
pub(super) fn plain(signals: u8, site: &'static Site, start: u64, span: u64, outcome: CallOutcome) {
    let timed = signals & TIME != 0;
    let end = if timed { clock::now() } else { 0 };
    if switch::capturing() {
        return whole(Parts::plain(signals, site, start, span), &Ended::by(outcome));
    }
    if timed {
        site.slots
            .timer
            .observe_plain(site, outcome, end.saturating_sub(start), end, span);
    }
    if signals & COUNT != 0 && !(timed && site.counts_by_timer()) {
        site.slots.counter.count(site, outcome);
    }
    if signals & IN_FLIGHT != 0 {
        in_flight(site, Labels::NONE, -1);
    }
    if signals & SPAN != 0 {
        direct::close(span, end, outcome);
    }
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

/// The end of any call that unwinds.
#[cold]
#[inline(never)]
pub(super) fn unwound_whole(call: Parts) {
    whole(call, &Ended::by(CallOutcome::Panic));
}

/// A call more under way, or one less.
#[inline(never)]
pub(super) fn in_flight(site: &'static Site, labels: Labels, delta: i64) {
    site.slots.counter.in_flight(site, labels, delta);
}

/// The end of any call of a plain function.
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "dropped here, not in every function")]
pub(super) fn whole(call: Parts, ended: &Ended) {
    let Parts { signals, site, .. } = call;
    let end = if signals & (TIME | OPERATION) != 0 {
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
    measured.settle(signals, ended, || direct::exemplar(call.span));
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
    /// The clock's reading at its end.
    pub(super) end: u64,
}

impl Measured<'_> {
    /// Counter and histogram; `exemplar` gives the ids of the call's span where it is sampled.
    #[inline]
    pub(super) fn settle(
        &self,
        signals: u8,
        ended: &Ended,
        exemplar: impl FnOnce() -> Option<(crate::trace::TraceId, crate::trace::SpanId)>,
    ) {
        let site = self.site;
        let (outcome, error) = (ended.outcome, ended.error.as_ref());
        if signals & (COUNT | TIME) != 0 && switch::capturing() {
            self.captured(ended);
        }
        if signals & COUNT != 0 && !(signals & TIME != 0 && site.counts_by_timer()) {
            let labels = CallRef {
                entry: self.count_labels,
                returned: &ended.count,
                error,
                outcome,
            };
            site.slots
                .counter
                .add(site, labels, ended.amount.unwrap_or(self.amount));
        }
        if signals & TIME != 0 {
            let labels = CallRef {
                entry: self.time_labels,
                returned: &ended.time,
                error,
                outcome,
            };
            site.slots.timer.observe(site, labels, self.ticks, self.end, exemplar);
        }
    }

    /// Tells what the metrics get to the test that captures this thread, if one does.
    #[cold]
    #[inline(never)]
    fn captured(&self, ended: &Ended) {
        let Ended { outcome, error, .. } = *ended;
        if self.site.def.counter.is_some() {
            let labels = CallLabels {
                entry: *self.count_labels,
                returned: ended.count,
                error,
                outcome,
            };
            let amount = ended.amount.unwrap_or(self.amount);
            crate::testing::call_ended(self.site, &CallEnd::Counted { labels, amount });
        }
        if self.site.def.timer.is_some() {
            let labels = CallLabels {
                entry: *self.time_labels,
                returned: ended.time,
                error,
                outcome,
            };
            let ticks = self.ticks;
            crate::testing::call_ended(self.site, &CallEnd::Timed { labels, ticks });
        }
    }
}

/// Whether a histogram takes the time spent being polled.
pub(super) const fn busy(signals: u8) -> bool {
    signals & BUSY != 0
}
