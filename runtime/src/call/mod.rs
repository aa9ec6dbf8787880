//! One call: what is kept between its beginning and its end, and the guard that settles every signal alike.
//!
//! A call ends in exactly one of four ways: it is settled by the returned value, or dropped unsettled, which is a panic when
//! this thread unwinds and a cancellation when it does not. Span, counter and histogram all hear the same outcome and the
//! same two clock readings.
//!
//! [`Call`] is that of a plain function, [`Brief`] that of one which says nothing of it; [`Task`] that of a future, which is polled
//! here and there. `SIGNALS` says as a constant which signals the function has.

mod amount;
mod brief;
mod end;
mod operation;
mod settle;
mod task;
#[cfg(test)]
mod tests;

pub use amount::{IntoAmount, apply, judge, run};
pub use brief::Brief;
pub(crate) use settle::SpanOf;
pub use settle::{Ended, Settle};
pub use task::Task;

use crate::jobs::Delivery;
use crate::metrics::Amount;
use crate::metrics::label::Labels;
use crate::operation::{Kept, Said};
use crate::outcome::CallOutcome;
use crate::site::Site;
use crate::trace::SpanContext;
use crate::trace::active::{Parent, SpanOptions};
use crate::trace::carrier::AsParent;
use crate::trace::direct;
use crate::{clock, switch};
use end::Parts;
use std::mem::ManuallyDrop;
use tracing_core::field::Value;

/// The bits of `SIGNALS`.
pub mod signals {
    /// `#[counted]`.
    pub const COUNT: u8 = 1;
    /// `#[timed]`.
    pub const TIME: u8 = 2;
    /// `#[traced]`.
    pub const SPAN: u8 = 4;
    /// `in_flight`.
    pub const IN_FLIGHT: u8 = 8;
    /// `busy`.
    pub const BUSY: u8 = 16;
    /// Of a plain function: something is said of its call before the body. Without it there is nothing to drop but the call.
    pub const SAID: u8 = 32;
    /// `db(…)` or `job`; of a plain function never without [`SAID`].
    pub const OPERATION: u8 = 64;
    /// Any of them.
    pub(crate) const ANY: u8 = u8::MAX;
}
use signals::{COUNT, IN_FLIGHT, OPERATION, SAID, SPAN, TIME};

/// Whether anything records a call. One that has a span and nothing else is none where the span is off; `has_context`: it hands on the
/// context that it names also where nothing records.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a load or two, and constants: before init() the whole cost of a call"
)]
fn is_recorded<const SIGNALS: u8>(site: &'static Site, has_context: bool) -> bool {
    if has_context {
        switch::on_or_passing() && (!is_only_span_off::<SIGNALS>(site) || switch::passing())
    } else {
        switch::on() && !is_only_span_off::<SIGNALS>(site)
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "a load at most")]
fn is_only_span_off<const SIGNALS: u8>(site: &'static Site) -> bool {
    SIGNALS & !SAID == SPAN && site.slots.span.is_off()
}

/// The state of one call of an annotated plain function.
///
/// Every part goes by value to what is compiled once in this crate: nothing takes the address of the call, so what a function
/// does not use is no code, and the rest stays in registers. That is also why nothing here is dropped as a field.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a register at most, and most are constants"
)]
pub struct Call<const SIGNALS: u8> {
    site: &'static Site,
    /// Something records this call, and it has not ended.
    on: bool,
    no_span: bool,
    /// [`Call::enter`] was reached, or the span opened for its fields.
    open: bool,
    /// `root` or `parent`, or by a job's message.
    parent_said: bool,
    /// Ticks at the beginning, where a histogram wants them.
    start: u64,
    /// The token of its span.
    span: u64,
    /// What was said of the span before it opened; rare, so it stands elsewhere.
    options: Option<ManuallyDrop<Box<SpanOptions>>>,
    count_labels: Labels,
    time_labels: Labels,
    amount: Amount,
    /// Of an operation.
    kept: Kept,
}

impl<const SIGNALS: u8> Call<SIGNALS> {
    /// To begin where it lies.
    #[inline]
    pub const fn idle(site: &'static Site) -> Self {
        Self {
            site,
            on: false,
            no_span: false,
            open: false,
            parent_said: false,
            start: 0,
            span: 0,
            options: None,
            count_labels: Labels::NONE,
            time_labels: Labels::NONE,
            amount: Amount::Whole(1),
            kept: 0,
        }
    }

    /// Begun elsewhere, and nothing said of it.
    #[inline]
    fn under_way(site: &'static Site, start: u64, span: u64) -> Self {
        let mut call = Self::idle(site);
        (call.on, call.open) = (true, true);
        (call.start, call.span) = (start, span);
        call
    }

    /// Of a function returning a future: fields and labels are taken now, clock and parent at the first poll.
    #[inline]
    pub fn prepare(site: &'static Site) -> Task<SIGNALS> {
        Task::prepare(site)
    }

    /// The call begins here; [`Call::enter`] follows what is said of its span.
    #[inline]
    pub fn begin(&mut self) {
        if is_recorded::<SIGNALS>(self.site, SIGNALS & (SPAN | SAID) == SPAN | SAID) {
            self.begun();
        }
    }

    #[inline]
    fn begun(&mut self) {
        self.on = true;
        // A span alone reads the clock itself, once it is known to be recorded.
        if SIGNALS & (TIME | OPERATION) != 0 {
            self.start = clock::now();
        }
    }

    /// The call of a function of whose span nothing is said begins, and its span is current.
    #[inline]
    pub fn entered(&mut self) {
        if is_recorded::<SIGNALS>(self.site, false) {
            self.begun();
            self.enter();
        }
    }

    /// Something records this call.
    #[inline]
    pub fn on(&self) -> bool {
        self.on
    }

    /// `when = …`: no span where false.
    #[inline]
    pub fn when(&mut self, condition: bool) {
        self.no_span = !condition;
    }

    /// `root`: the span starts a new trace.
    #[inline]
    pub fn root(&mut self) {
        self.parent_said = true;
        self.options().parent = Parent::Root;
    }

    /// `parent = …`.
    #[inline]
    pub fn parent(&mut self, parent: &(impl AsParent + ?Sized)) {
        self.parent_said = true;
        self.options().parent = parent.as_parent().map_or(Parent::Root, Parent::Of);
    }

    /// `link = …`: one link or several.
    #[inline]
    pub fn link(&mut self, links: impl FnOnce(&mut dyn FnMut(SpanContext))) {
        let options = self.options();
        links(&mut |link| options.links.push(link));
    }

    /// `db(query = …)`.
    pub fn statement(&mut self, statement: &(impl AsRef<str> + ?Sized)) {
        let said = Said::statement(self.site.def.operation(), statement.as_ref());
        self.options().operation = said;
    }

    /// The message of a job: `read` asks whatever may be one.
    pub fn message(&mut self, read: impl FnOnce(&mut Delivery)) {
        self.options().operation = Some(Said::message(read));
    }

    #[inline]
    fn options(&mut self) -> &mut SpanOptions {
        const { assert!(SIGNALS & SAID != 0) };
        self.options.get_or_insert_with(ManuallyDrop::default)
    }

    /// Opens the span; true when the values of its fields are wanted.
    #[inline]
    pub fn open(&mut self) -> bool {
        self.enter();
        direct::is_recorded(self.span)
    }

    /// The values of the site's fields, by position.
    #[inline]
    pub fn fields(&mut self, values: &[&dyn Value]) {
        direct::fields(self.span, self.site, values);
    }

    /// The counter's labels taken from the arguments.
    #[inline]
    pub fn count_labels(&mut self, labels: Labels) {
        const { assert!(SIGNALS & SAID != 0) };
        self.count_labels = labels;
    }

    /// The histogram's labels taken from the arguments.
    #[inline]
    pub fn time_labels(&mut self, labels: Labels) {
        const { assert!(SIGNALS & SAID != 0) };
        self.time_labels = labels;
    }

    /// `by = …`: how far the counter moves.
    #[inline]
    pub fn by(&mut self, amount: impl IntoAmount) {
        const { assert!(SIGNALS & SAID != 0) };
        self.amount = amount.into_amount();
    }

    /// The body follows: the span is current on this thread until the end or the drop.
    #[inline]
    pub fn enter(&mut self) {
        if SIGNALS & (SPAN | IN_FLIGHT) == 0 || !self.on || self.open {
            return;
        }
        self.open = true;
        if SIGNALS & OPERATION != 0 {
            let options = self.options.take().map(ManuallyDrop::into_inner);
            (self.kept, self.span, self.parent_said) = operation::open(self.site, self.start, options, self.no_span);
        } else if SIGNALS & SPAN != 0 && !self.no_span {
            self.span = match self.options.take() {
                None => direct::open(self.site, self.start),
                Some(options) => {
                    let options = ManuallyDrop::into_inner(options);
                    direct::open_with(self.site, self.start, &options)
                }
            };
        }
        if SIGNALS & IN_FLIGHT != 0 {
            end::in_flight(self.site, self.count_labels, 1);
        }
    }

    /// The call about to end by a returned value; `None` while nothing records.
    #[inline]
    pub fn settling(&mut self) -> Option<Settle<'static>> {
        if !self.on {
            return None;
        }
        let span = if SIGNALS & SPAN != 0 {
            SpanOf::Call(self.span)
        } else {
            SpanOf::None
        };
        Some(Settle::of(self.site, span))
    }

    /// Ends by what the returned value came to.
    #[inline]
    pub fn end(&mut self, ended: &Ended) {
        if !self.on {
            return;
        }
        self.on = false;
        if SIGNALS & SAID != 0 {
            let (site, outcome) = (self.site, ended.outcome());
            match self.amount {
                Amount::Whole(amount) if SIGNALS == COUNT | SAID && ended.is_plain() => {
                    end::counted_with(site, self.count_labels, amount, outcome);
                }
                Amount::Whole(_) if SIGNALS == TIME | SAID && ended.is_plain() => {
                    end::timed_with(site, self.time_labels, self.start, outcome);
                }
                Amount::Whole(amount) if SIGNALS == COUNT | TIME | SAID && ended.is_plain() => {
                    let labels = [self.count_labels, self.time_labels];
                    end::both_with(site, labels, self.start, amount, outcome);
                }
                _ => end::whole(self.parts(), ended),
            }
        } else if !ended.is_plain() {
            end::labelled(SIGNALS, self.site, self.start, self.span, ended);
        } else {
            end::bare::<SIGNALS>(self.site, self.start, self.span, ended.outcome());
        }
    }

    /// Settles by the returned value.
    #[inline]
    pub fn finish<R: ?Sized>(&mut self, ret: &R, settle: impl FnOnce(&R, &mut Settle<'_>)) {
        if let Some(mut s) = self.settling() {
            settle(ret, &mut s);
            let ended = s.ended();
            self.end(&ended);
        }
    }

    /// What the function returned is a future: what was begun waits for its first poll.
    pub(crate) fn defer(&mut self) -> Task<SIGNALS> {
        if !self.on {
            return Task::unpolled(self.site);
        }
        self.on = false;
        Task::deferred(self.parts())
    }

    #[inline]
    fn parts(&mut self) -> Parts {
        Parts {
            signals: SIGNALS,
            site: self.site,
            start: self.start,
            span: self.span,
            options: self.options.take().map(ManuallyDrop::into_inner),
            count_labels: self.count_labels,
            time_labels: self.time_labels,
            amount: self.amount,
            open: self.open,
            no_span: self.no_span,
            parent_said: self.parent_said,
            kept: self.kept,
        }
    }
}

impl<const SIGNALS: u8> Drop for Call<SIGNALS> {
    /// A plain function that did not return has unwound.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "not inlined, it would take the call's address")]
    fn drop(&mut self) {
        if self.on {
            if SIGNALS & SAID == 0 {
                end::unwound(SIGNALS, self.site, self.start, self.span);
            } else if SIGNALS == COUNT | SAID {
                let (Labels { index, dims }, (bits, real)) = (self.count_labels, self.amount.parts());
                end::unwound_counted(self.site, dims, index, bits, real);
            } else if SIGNALS == TIME | SAID {
                let Labels { index, dims } = self.time_labels;
                end::unwound_timed(self.site, self.start, dims, index);
            } else {
                end::unwound_whole(self.parts());
            }
        }
    }
}
