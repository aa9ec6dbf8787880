//! The call of a future: begun by its first poll, entered and left with every one.

use super::end::{Measured, Parts, busy, in_flight};
use super::settle::{Ended, Settle, SpanOf};
use super::signals::{IN_FLIGHT, OPERATION, SPAN, TIME};
use super::{IntoAmount, is_recorded, operation};
use crate::jobs::Delivery;
use crate::metrics::Amount;
use crate::metrics::label::Labels;
use crate::operation::{Kept, Said};
use crate::outcome::CallOutcome;
use crate::site::Site;
use crate::trace::SpanContext;
use crate::trace::active::{ActiveSpan, Parent, SpanOptions};
use crate::trace::body::Scalar;
use crate::trace::carrier::AsParent;
use crate::trace::direct;
use crate::{clock, switch};
use std::mem::ManuallyDrop;
use std::panic::{RefUnwindSafe, UnwindSafe};
use tracing_core::field::Value;

/// The state of one call of an annotated function that returns a future.
pub struct Task<const SIGNALS: u8> {
    site: &'static Site,
    /// `None` while nothing records: then every step is a branch not taken.
    ///
    /// Never dropped as a field, which would put its drop glue into every function: ending it empties it, and [`Drop`] sees to
    /// one that has not ended.
    live: Option<ManuallyDrop<Live>>,
}

// What it holds is ours, and stays whole through a panic: the future around it is as safe to unwind through as its body.
impl<const SIGNALS: u8> UnwindSafe for Task<SIGNALS> {}
impl<const SIGNALS: u8> RefUnwindSafe for Task<SIGNALS> {}

/// A call that something records.
struct Live {
    /// Ticks at the beginning.
    start: u64,
    /// Ticks spent being polled, where `busy` asks.
    busy: u64,
    span: ActiveSpan,
    /// What was said of the span before it opened; rare, so it stands elsewhere.
    options: Option<Box<SpanOptions>>,
    count_labels: Labels,
    time_labels: Labels,
    amount: Amount,
    stage: Stage,
    no_span: bool,
    entered: bool,
    /// Of an operation; it fits into the room that is left.
    kept: Kept,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Fields and labels are taken; clock and parent not read yet.
    Prepared,
    /// Begun; the span not opened yet, so more can be said of it.
    Begun,
    /// Begun, the span open if there is one.
    Open,
    /// A plain function has returned a future: its span stands open, and without a poll there was no call. `anew`: its parent is
    /// what is current then.
    Deferred { anew: bool },
    /// Settled.
    Done,
}

impl<const SIGNALS: u8> Task<SIGNALS> {
    /// Of an `async fn`: nothing happens before its first poll.
    #[inline]
    pub(crate) const fn unpolled(site: &'static Site) -> Self {
        Self { site, live: None }
    }

    #[inline]
    fn live(site: &'static Site, live: Live) -> Self {
        Self {
            site,
            live: Some(ManuallyDrop::new(live)),
        }
    }

    /// Of a function returning a future: fields and labels are taken now, clock and parent at the first poll.
    #[inline]
    pub(super) fn prepare(site: &'static Site) -> Self {
        if is_recorded::<SIGNALS>(site, SIGNALS & SPAN != 0) {
            Self::live(site, Live::new(Stage::Prepared, 0))
        } else {
            Self::unpolled(site)
        }
    }

    /// Of a plain function that turned out to return a future: what it began waits for the first poll.
    pub(super) fn deferred(call: Parts) -> Self {
        let mut live = Live::new(Stage::Prepared, call.start);
        live.no_span = call.no_span;
        if call.open {
            if SIGNALS & IN_FLIGHT != 0 {
                in_flight(call.site, call.count_labels, -1);
            }
            if SIGNALS & OPERATION != 0 {
                call.site.def.operation().inspect(|operation| operation.under_way(-1));
            }
            // What was said of the parent went to the span when it opened.
            live.stage = Stage::Deferred {
                anew: !call.parent_said,
            };
            if SIGNALS & SPAN != 0 {
                live.span = direct::detach(call.span);
            }
        }
        live.options = call.options;
        live.kept = call.kept;
        live.count_labels = call.count_labels;
        live.time_labels = call.time_labels;
        live.amount = call.amount;
        Self::live(call.site, live)
    }

    /// One clock reading, where a histogram wants it. A span alone reads the clock itself, once it is known to be recorded.
    #[inline]
    fn now() -> u64 {
        if SIGNALS & (TIME | OPERATION) != 0 {
            clock::now()
        } else {
            0
        }
    }

    /// The first poll of an `async fn`'s future.
    #[inline]
    pub(crate) fn first_poll(&mut self) {
        if is_recorded::<SIGNALS>(self.site, SIGNALS & SPAN != 0) {
            self.begin();
        }
    }

    #[inline(never)]
    fn begin(&mut self) {
        self.live = Some(ManuallyDrop::new(Live::new(Stage::Begun, Self::now())));
    }

    /// Any poll of a future whose call was [prepared](super::Call::prepare): the first begins it.
    #[inline]
    pub(crate) fn poll_prepared(&mut self) {
        if self.live.is_some() {
            self.first_poll_prepared();
        }
    }

    #[inline(never)]
    fn first_poll_prepared(&mut self) {
        let Some(live) = &mut self.live else { return };
        match live.stage {
            Stage::Prepared => {
                live.start = Self::now();
                live.stage = Stage::Begun;
            }
            Stage::Deferred { anew } => {
                let start = clock::now();
                live.start = start;
                live.stage = Stage::Open;
                if SIGNALS & SPAN != 0 && !live.no_span {
                    live.span.begins(self.site, start, anew);
                }
                if SIGNALS & IN_FLIGHT != 0 {
                    in_flight(self.site, live.count_labels, 1);
                }
                if SIGNALS & OPERATION != 0 {
                    self.site.def.operation().inspect(|operation| operation.under_way(1));
                }
            }
            Stage::Begun | Stage::Open | Stage::Done => {}
        }
    }

    /// Something records this call.
    #[inline]
    pub fn on(&self) -> bool {
        self.live.is_some()
    }

    /// `when = …`: no span where false.
    #[inline]
    pub fn when(&mut self, condition: bool) {
        if let Some(live) = &mut self.live {
            live.no_span = !condition;
        }
    }

    /// `root`: the span starts a new trace.
    pub fn root(&mut self) {
        if let Some(live) = &mut self.live {
            live.options().parent = Parent::Root;
        }
    }

    /// `parent = …`.
    pub fn parent(&mut self, parent: &(impl AsParent + ?Sized)) {
        if let Some(live) = &mut self.live {
            live.options().parent = parent.as_parent().map_or(Parent::Root, Parent::Of);
        }
    }

    /// `link = …`: one link or several.
    pub fn link(&mut self, links: impl FnOnce(&mut dyn FnMut(SpanContext))) {
        if let Some(live) = &mut self.live {
            links(&mut |link| live.options().links.push(link));
        }
    }

    /// `db(query = …)`.
    pub fn statement(&mut self, statement: &(impl AsRef<str> + ?Sized)) {
        if let Some(live) = &mut self.live {
            live.options().operation = Said::statement(self.site.def.operation(), statement.as_ref());
        }
    }

    /// The message of a job: `read` asks whatever may be one.
    pub fn message(&mut self, read: impl FnOnce(&mut Delivery)) {
        if let Some(live) = &mut self.live {
            live.options().operation = Some(Said::message(read));
        }
    }

    /// Opens the span; true when the values of its fields are wanted.
    #[inline]
    pub fn open(&mut self) -> bool {
        let Some(live) = &mut self.live else { return false };
        if SIGNALS & SPAN == 0 || live.no_span {
            return false;
        }
        if live.stage == Stage::Prepared {
            return true;
        }
        live.open_apart(SIGNALS, self.site);
        live.span.recording()
    }

    /// The values of the site's fields, by position.
    pub fn fields(&mut self, values: &[&dyn Value]) {
        if let Some(live) = &mut self.live {
            if live.stage == Stage::Prepared {
                live.options().hold(self.site, values);
            } else {
                live.span.fields(self.site, values);
            }
        }
    }

    /// The counter's labels taken from the arguments.
    #[inline]
    pub fn count_labels(&mut self, labels: Labels) {
        if let Some(live) = &mut self.live {
            live.count_labels = labels;
        }
    }

    /// The histogram's labels taken from the arguments.
    #[inline]
    pub fn time_labels(&mut self, labels: Labels) {
        if let Some(live) = &mut self.live {
            live.time_labels = labels;
        }
    }

    /// `by = …`: how far the counter moves.
    #[inline]
    pub fn by(&mut self, amount: impl IntoAmount) {
        if let Some(live) = &mut self.live {
            live.amount = amount.into_amount();
        }
    }

    /// A poll follows: the span is current on this thread until [`Task::exit`].
    #[inline]
    pub(crate) fn enter(&mut self) {
        if SIGNALS & (SPAN | IN_FLIGHT) != 0
            && let Some(live) = &mut self.live
        {
            live.enter_apart(SIGNALS, self.site);
        }
    }

    /// Ends what [`Task::enter`] began.
    #[inline]
    pub(crate) fn exit(&mut self) {
        if SIGNALS & SPAN != 0
            && let Some(live) = &mut self.live
        {
            live.exit();
        }
    }

    /// Begun and not settled.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.is_open())
    }

    /// Ends a call that will not be settled.
    #[inline]
    pub(crate) fn abandon(&mut self, outcome: CallOutcome) {
        if let Some(live) = &mut self.live
            && live.is_open()
        {
            live.end(SIGNALS, self.site, &Ended::by(outcome));
        }
    }

    /// Ticks of one poll, where `busy` asks.
    #[inline]
    pub(crate) fn add_busy(&mut self, ticks: u64) {
        if let Some(live) = &mut self.live {
            live.busy += ticks;
        }
    }

    /// What came of a stream: its items, and the seconds to the first of them.
    pub(crate) fn streamed(&mut self, items: u64, first: Option<f64>) {
        if SIGNALS & SPAN != 0
            && let Some(live) = &self.live
            && live.span.recording()
        {
            live.span.add("stream.items", Scalar::I64(items as i64));
            if let Some(first) = first {
                live.span.add("stream.time_to_first_item", Scalar::F64(first));
            }
        }
    }

    /// The call about to end by what its future came to; `None` while nothing records, and where an earlier poll unwound.
    #[inline]
    pub(crate) fn settling(&mut self) -> Option<Settle<'_>> {
        let live = self.live.as_ref().filter(|live| live.is_open())?;
        let span = if SIGNALS & SPAN != 0 {
            SpanOf::Task(&live.span)
        } else {
            SpanOf::None
        };
        Some(Settle::of(self.site, span))
    }

    /// Ends by what the future came to.
    #[inline]
    pub(crate) fn end(&mut self, ended: &Ended) {
        if let Some(live) = &mut self.live {
            live.end(SIGNALS, self.site, ended);
            self.live = None; // emptied
        }
    }
}

impl<const SIGNALS: u8> Drop for Task<SIGNALS> {
    #[inline]
    fn drop(&mut self) {
        if let Some(live) = &mut self.live {
            live.drop_apart(SIGNALS, self.site);
        }
    }
}

impl Live {
    #[inline]
    fn new(stage: Stage, start: u64) -> Self {
        Self {
            start,
            busy: 0,
            span: ActiveSpan::default(),
            options: None,
            count_labels: Labels::NONE,
            time_labels: Labels::NONE,
            amount: Amount::Whole(1),
            stage,
            no_span: false,
            entered: false,
            kept: 0,
        }
    }

    #[inline(never)]
    fn open_apart(&mut self, signals: u8, site: &'static Site) {
        self.open(signals, site);
    }

    #[inline(never)]
    fn enter_apart(&mut self, signals: u8, site: &'static Site) {
        self.open(signals, site);
        if signals & SPAN != 0 {
            self.span.enter(site);
            self.entered = true;
        }
    }

    /// Ends a call that was not settled, and drops what it owns. An unwinding poll was ended there and then.
    #[cold]
    #[inline(never)]
    fn drop_apart(&mut self, signals: u8, site: &'static Site) {
        if self.is_open() {
            self.end(signals, site, &Ended::by(CallOutcome::Cancelled));
        }
        if matches!(self.stage, Stage::Deferred { .. }) {
            self.span.discard();
        }
        self.span = ActiveSpan::default();
        self.options = None;
    }

    fn options(&mut self) -> &mut SpanOptions {
        self.options.get_or_insert_default()
    }

    #[inline]
    fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Begun | Stage::Open)
    }

    #[inline]
    fn open(&mut self, signals: u8, site: &'static Site) {
        if self.stage == Stage::Begun {
            self.stage = Stage::Open;
            if signals & OPERATION != 0 {
                self.open_operation(site);
            } else if signals & SPAN != 0 && !self.no_span {
                self.span.open(site, self.start, self.options.take().as_deref());
            }
            if signals & IN_FLIGHT != 0 {
                in_flight(site, self.count_labels, 1);
            }
        }
    }

    fn open_operation(&mut self, site: &'static Site) {
        let Some(operation) = site.def.operation() else { return };
        let (kept, said) = operation.begin(self.options.as_deref_mut());
        self.kept = kept;
        if !self.no_span {
            self.span.open(site, self.start, self.options.take().as_deref());
            operation.describe(SpanOf::Task(&self.span), said.as_ref());
            if operation::is_described(site) {
                self.span.fields(site, &[]);
            }
        }
    }

    #[inline]
    fn exit(&mut self) {
        if self.entered {
            self.entered = false;
            self.span.exit();
        }
    }

    /// The one end of every call of a future; compiled once.
    #[inline(never)]
    fn end(&mut self, signals: u8, site: &'static Site, ended: &Ended) {
        self.exit();
        if switch::passing() {
            self.span.close(0, ended.outcome);
            self.options = None;
            self.stage = Stage::Done;
            return;
        }
        let end = if signals & (TIME | OPERATION) != 0 || self.span.recording() {
            clock::now()
        } else {
            0
        };
        let measured = Measured {
            site,
            count_labels: &self.count_labels,
            time_labels: &self.time_labels,
            amount: self.amount,
            ticks: if busy(signals) {
                self.busy
            } else {
                end.saturating_sub(self.start)
            },
            end,
        };
        let ids = || self.span.exemplar();
        let may_be = self.span.recording() || direct::may_be_example(0);
        measured.settle(signals, ended, may_be.then_some(&ids));
        if signals & IN_FLIGHT != 0 && self.stage == Stage::Open {
            in_flight(site, self.count_labels, -1);
        }
        if signals & OPERATION != 0 && self.stage == Stage::Open {
            operation::end(site, self.kept, ended, (self.start, end), self.span.exemplar());
        }
        if signals & SPAN != 0 {
            self.span.close(end, ended.outcome);
            self.options = None;
        }
        self.stage = Stage::Done;
    }
}
