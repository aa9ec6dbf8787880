//! One call: what is kept between its beginning and its end, and the guard that settles every signal alike.
//!
//! A [`Call`] is made before the body and ends in exactly one of four ways: it is settled by the returned value, or dropped
//! unsettled, which is a panic when this thread unwinds and a cancellation when it does not. Span, counter and histogram all
//! hear the same outcome and the same two clock readings.
//!
//! `SIGNALS` says as a constant which signals the function has. Every method asks it before anything else, so a function
//! that only counts keeps its call in registers: nothing takes the address of what it does not use.

use crate::metrics::label::{ErrorIndex, Labels};
use crate::metrics::{Amount, CallLabels, CallRef};
use crate::outcome::CallOutcome;
use crate::probe::{self, ErrorValue};
use crate::site::Site;
use crate::trace::SpanContext;
use crate::trace::active::{ActiveSpan, Parent, SpanOptions};
use crate::trace::body::Scalar;
use crate::trace::carrier::AsParent;
use crate::trace::event::CallEnd;
use crate::{clock, switch};
use std::borrow::Cow;
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
}
use signals::{BUSY, COUNT, IN_FLIGHT, SPAN, TIME};

/// The state of one call of an annotated function.
pub struct Call<const SIGNALS: u8> {
    site: &'static Site,
    /// `None` while nothing records: then every step is a branch not taken.
    ///
    /// Never dropped as a field, which would put its drop glue into every function: ending it empties it, and [`Drop`] sees to
    /// one that has not ended.
    live: Option<ManuallyDrop<Live>>,
}

#[inline]
#[expect(clippy::unnecessary_wraps, reason = "it makes the value of a field")]
fn kept(live: Live) -> Option<ManuallyDrop<Live>> {
    Some(ManuallyDrop::new(live))
}

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
    asynchronous: bool,
    entered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Fields and labels are taken; clock and parent not read yet.
    Prepared,
    /// Begun; the span not opened yet, so more can be said of it.
    Begun,
    /// Begun, the span open if there is one.
    Open,
    /// A plain function has returned a future: its span stands open, and without a poll there was no call.
    Deferred,
    /// Settled.
    Done,
}

impl<const SIGNALS: u8> Call<SIGNALS> {
    /// Of an `async fn`: nothing happens before its first poll.
    #[inline]
    pub(crate) const fn unpolled(site: &'static Site) -> Self {
        Self { site, live: None }
    }

    /// Of a function returning a future: fields and labels are taken now, clock and parent at the first poll.
    #[inline]
    pub fn prepare(site: &'static Site) -> Self {
        let live = if switch::on() {
            kept(Live::new(Stage::Prepared, 0, true))
        } else {
            None
        };
        Self { site, live }
    }

    /// Of a plain function, to begin where it lies.
    #[inline]
    pub const fn idle(site: &'static Site) -> Self {
        Self { site, live: None }
    }

    /// Of a plain function: the call begins here; [`Call::enter`] follows what is said of its span.
    #[inline]
    pub fn begin(&mut self) {
        if switch::on() {
            self.live = kept(Live::new(Stage::Begun, Self::now(), false));
        }
    }

    /// Of a plain function of whose span nothing is said: the call begins and its span is current.
    #[inline]
    pub fn entered(&mut self) {
        if SIGNALS & (SPAN | IN_FLIGHT) == 0 {
            self.begin();
        } else if switch::on() {
            self.entered_apart();
        }
    }

    #[inline(never)]
    fn entered_apart(&mut self) {
        let live = self
            .live
            .insert(ManuallyDrop::new(Live::new(Stage::Begun, Self::now(), false)));
        live.enter_here::<SIGNALS>(self.site);
    }

    /// The first poll of an `async fn`'s future.
    #[inline]
    pub(crate) fn first_poll(&mut self) {
        if switch::on() {
            self.live = kept(Live::new(Stage::Begun, Self::now(), true));
        }
    }

    /// Any poll of a future whose call was [prepared](Call::prepare): the first begins it.
    #[inline]
    pub(crate) fn poll_prepared(&mut self) {
        let Some(live) = &mut self.live else { return };
        match live.stage {
            Stage::Prepared => {
                live.start = Self::now();
                live.stage = Stage::Begun;
            }
            Stage::Deferred => {
                live.start = Self::now();
                live.stage = Stage::Open;
                if SIGNALS & SPAN != 0 {
                    live.span.begins(clock::now());
                }
                if SIGNALS & IN_FLIGHT != 0 {
                    self.site.slots.counter.in_flight(self.site, live.count_labels, 1);
                }
            }
            Stage::Begun | Stage::Open | Stage::Done => {}
        }
    }

    /// What a plain function returned is a future: what was begun waits for its first poll.
    pub(crate) fn defer(&mut self) {
        let Some(live) = &mut self.live else { return };
        live.exit();
        live.asynchronous = true;
        live.stage = match live.stage {
            Stage::Begun => Stage::Prepared,
            Stage::Open => {
                if SIGNALS & IN_FLIGHT != 0 {
                    self.site.slots.counter.in_flight(self.site, live.count_labels, -1);
                }
                Stage::Deferred
            }
            other => other,
        };
    }

    /// One clock reading, where a histogram wants it. A span alone reads the clock itself, once it is known to be recorded.
    #[inline]
    fn now() -> u64 {
        if SIGNALS & TIME != 0 { clock::now() } else { 0 }
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
        live.open::<SIGNALS>(self.site, false);
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

    /// The body follows: the span is current on this thread until the end or the drop.
    #[inline]
    pub fn enter(&mut self) {
        if SIGNALS & (SPAN | IN_FLIGHT) != 0
            && let Some(live) = &mut self.live
        {
            live.enter_apart::<SIGNALS>(self.site);
        }
    }

    /// Ends what [`Call::enter`] began.
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
            live.end::<SIGNALS>(self.site, &Ended::by(outcome));
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

    /// The call about to end by a returned value; `None` while nothing records.
    #[inline]
    pub fn settling(&mut self) -> Option<Settle<'_>> {
        let live = self.live.as_ref()?;
        Some(Settle {
            span: if SIGNALS & SPAN != 0 {
                Some((self.site, &live.span))
            } else {
                None
            },
            decided: None,
            ended: Ended::by(CallOutcome::Ok),
        })
    }

    /// Ends by what the returned value came to.
    #[inline]
    pub fn end(&mut self, ended: &Ended) {
        if let Some(live) = &mut self.live {
            live.end::<SIGNALS>(self.site, ended);
            self.live = None; // emptied
        }
    }

    /// Settles by the returned value.
    #[inline]
    pub fn finish<R>(&mut self, ret: &R, settle: impl FnOnce(&R, &mut Settle<'_>)) {
        if let Some(mut s) = self.settling() {
            settle(ret, &mut s);
            let ended = s.ended();
            self.end(&ended);
        }
    }
}

impl<const SIGNALS: u8> Drop for Call<SIGNALS> {
    #[inline]
    fn drop(&mut self) {
        if let Some(live) = &mut self.live {
            live.drop_apart::<SIGNALS>(self.site);
        }
    }
}

impl Live {
    #[inline]
    fn new(stage: Stage, start: u64, asynchronous: bool) -> Self {
        Self {
            start,
            busy: 0,
            span: ActiveSpan::default(),
            options: None,
            count_labels: Labels::default(),
            time_labels: Labels::default(),
            amount: Amount::Whole(1),
            stage,
            no_span: false,
            asynchronous,
            entered: false,
        }
    }

    #[inline(never)]
    fn enter_apart<const SIGNALS: u8>(&mut self, site: &'static Site) {
        self.enter_here::<SIGNALS>(site);
    }

    #[inline]
    fn enter_here<const SIGNALS: u8>(&mut self, site: &'static Site) {
        let opens = self.stage == Stage::Begun;
        self.open::<SIGNALS>(site, true);
        if SIGNALS & SPAN != 0 {
            if !opens {
                self.span.enter(site);
            }
            self.entered = true;
        }
    }

    /// Ends a call that was not settled, and drops what it owns.
    #[cold]
    #[inline(never)]
    fn drop_apart<const SIGNALS: u8>(&mut self, site: &'static Site) {
        if self.is_open() {
            // A plain function that did not return has unwound. A future's unwinding poll was ended there and then.
            let outcome = if self.asynchronous {
                CallOutcome::Cancelled
            } else {
                CallOutcome::Panic
            };
            self.end::<SIGNALS>(site, &Ended::by(outcome));
        }
        if self.stage == Stage::Deferred {
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
    fn open<const SIGNALS: u8>(&mut self, site: &'static Site, enter: bool) {
        if self.stage == Stage::Begun {
            self.stage = Stage::Open;
            if SIGNALS & SPAN != 0 && !self.no_span {
                self.span.begin(site, self.start, self.options.take(), enter);
            }
            if SIGNALS & IN_FLIGHT != 0 {
                site.slots.counter.in_flight(site, self.count_labels, 1);
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

    /// The one end of every call. What only counts ends in place; the rest is compiled once, not in every function.
    #[inline]
    fn end<const SIGNALS: u8>(&mut self, site: &'static Site, ended: &Ended) {
        if SIGNALS == COUNT {
            self.end_here::<SIGNALS>(site, ended);
        } else {
            self.end_apart::<SIGNALS>(site, ended);
        }
    }

    #[inline(never)]
    fn end_apart<const SIGNALS: u8>(&mut self, site: &'static Site, ended: &Ended) {
        self.end_here::<SIGNALS>(site, ended);
    }

    #[inline]
    fn end_here<const SIGNALS: u8>(&mut self, site: &'static Site, ended: &Ended) {
        if SIGNALS & SPAN != 0 {
            self.exit();
        }
        let (outcome, error) = (ended.outcome, ended.error.as_ref());
        let end = if SIGNALS & TIME != 0 || (SIGNALS & SPAN != 0 && self.span.recording()) {
            clock::now()
        } else {
            0
        };
        if SIGNALS & (COUNT | TIME) != 0 && switch::capturing() {
            self.captured(site, ended, end);
        }
        if SIGNALS & COUNT != 0 {
            let labels = CallRef {
                entry: &self.count_labels,
                returned: &ended.count,
                error,
                outcome,
            };
            site.slots
                .counter
                .add(site, labels, ended.amount.unwrap_or(self.amount));
        }
        if SIGNALS & IN_FLIGHT != 0 && self.stage == Stage::Open {
            site.slots.counter.in_flight(site, self.count_labels, -1);
        }
        if SIGNALS & TIME != 0 {
            let ticks = if SIGNALS & BUSY != 0 {
                self.busy
            } else {
                end.saturating_sub(self.start)
            };
            let labels = CallRef {
                entry: &self.time_labels,
                returned: &ended.time,
                error,
                outcome,
            };
            let span = if SIGNALS & SPAN != 0 { Some(&self.span) } else { None };
            site.slots.timer.observe(site, labels, ticks, end, span);
        }
        if SIGNALS & SPAN != 0 {
            self.span.close(end, outcome);
            self.options = None;
        }
        self.stage = Stage::Done;
    }

    /// Tells what the metrics get to the test that captures this thread, if one does.
    #[cold]
    #[inline(never)]
    fn captured(&self, site: &'static Site, ended: &Ended, end: u64) {
        let Ended { outcome, error, .. } = *ended;
        if site.def.counter.is_some() {
            let labels = CallLabels {
                entry: self.count_labels,
                returned: ended.count,
                error,
                outcome,
            };
            let amount = ended.amount.unwrap_or(self.amount);
            crate::testing::call_ended(site, &CallEnd::Counted { labels, amount });
        }
        if let Some(timer) = &site.def.timer {
            let labels = CallLabels {
                entry: self.time_labels,
                returned: ended.time,
                error,
                outcome,
            };
            let ticks = if timer.busy {
                self.busy
            } else {
                end.saturating_sub(self.start)
            };
            crate::testing::call_ended(site, &CallEnd::Timed { labels, ticks });
        }
    }
}

/// What a call came to.
pub struct Ended {
    outcome: CallOutcome,
    error: Option<ErrorIndex>,
    count: Labels,
    time: Labels,
    amount: Option<Amount>,
}

impl Ended {
    #[inline]
    pub(crate) fn is_error(&self) -> bool {
        self.outcome == CallOutcome::Error
    }

    #[inline]
    pub(crate) fn by(outcome: CallOutcome) -> Self {
        Self {
            outcome,
            error: None,
            count: Labels::default(),
            time: Labels::default(),
            amount: None,
        }
    }
}

/// A call about to be settled by its returned value.
///
/// It holds the span alone of all the call's state, so that asking a value what it means costs a counter nothing.
pub struct Settle<'a> {
    span: Option<(&'static Site, &'a ActiveSpan)>,
    decided: Option<bool>,
    ended: Ended,
}

impl Settle<'_> {
    /// `ok_if` and `error_if`: whatever the type says, this holds.
    #[inline]
    pub fn decide(&mut self, ok: bool) {
        self.decided = Some(ok);
    }

    /// Attributes given to the span are kept.
    #[inline]
    pub fn recording(&self) -> bool {
        self.span.is_some_and(|(_, span)| span.recording())
    }

    /// The returned value, for the span.
    pub fn ret(&mut self, value: &dyn Value) {
        if let Some((_, span)) = self.span {
            span.returned(value);
        }
    }

    /// The counter's labels taken from the returned value.
    #[inline]
    pub fn count_labels(&mut self, labels: Labels) {
        self.ended.count = labels;
    }

    /// The histogram's labels taken from the returned value.
    #[inline]
    pub fn time_labels(&mut self, labels: Labels) {
        self.ended.time = labels;
    }

    /// `by = |ret| …`.
    #[inline]
    pub fn by(&mut self, amount: impl IntoAmount) {
        self.ended.amount = Some(amount.into_amount());
    }

    /// The error's label; a variant may say that it is no failure.
    #[inline]
    pub(crate) fn error_label(&mut self, index: ErrorIndex, failure: bool) {
        self.ended.error = Some(index);
        if !failure && self.decided.is_none() {
            self.decided = Some(true);
        }
    }

    /// The returned value is an error, unless it was decided otherwise; the span to show it on, where there is one.
    #[inline]
    pub(crate) fn fail(&mut self) -> Option<(&'static Site, &'_ ActiveSpan)> {
        if self.decided == Some(true) {
            return None;
        }
        self.ended.outcome = CallOutcome::Error;
        self.span
    }

    /// What it came to, for [`Call::end`].
    #[inline]
    pub fn ended(mut self) -> Ended {
        if self.decided == Some(false)
            && self.ended.outcome == CallOutcome::Ok
            && let Some((site, span)) = self.fail()
        {
            probe::show(site, span, Cow::Borrowed("_OTHER"), ErrorValue::Opaque("error_if"));
        }
        self.ended
    }
}

/// What `by` accepts: unsigned and signed integers and floats. Negative and non-finite amounts are dropped and counted.
pub trait IntoAmount {
    /// The amount.
    fn into_amount(self) -> Amount;
}

macro_rules! amounts {
    ($($type:ty => |$v:ident| $amount:expr;)*) => {$(
        impl IntoAmount for $type {
            #[inline]
            fn into_amount(self) -> Amount {
                let $v = self;
                $amount
            }
        }
    )*};
}
amounts! {
    u8 => |v| Amount::Whole(v.into());
    u16 => |v| Amount::Whole(v.into());
    u32 => |v| Amount::Whole(v.into());
    u64 => |v| Amount::Whole(v);
    usize => |v| Amount::Whole(v as u64);
    i8 => |v| Amount::Real(v.into());
    i16 => |v| Amount::Real(v.into());
    i32 => |v| if v >= 0 { Amount::Whole(v as u64) } else { Amount::Real(v.into()) };
    i64 => |v| if v >= 0 { Amount::Whole(v as u64) } else { Amount::Real(v as f64) };
    isize => |v| if v >= 0 { Amount::Whole(v as u64) } else { Amount::Real(v as f64) };
    f32 => |v| Amount::Real(v.into());
    f64 => |v| Amount::Real(v);
}

impl<T: IntoAmount + Copy> IntoAmount for &T {
    #[inline]
    fn into_amount(self) -> Amount {
        (*self).into_amount()
    }
}

/// Runs a body in a closure of its own, so that `?` and `return` end there. The bound fixes the closure's kind, which is what
/// lets a body return a re-borrow of a captured `&mut`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the closure is the function's own body")]
pub fn run<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Applies an option's closure or path to the returned value.
#[inline]
pub fn apply<'r, R: ?Sized, T>(ret: &'r R, f: impl FnOnce(&'r R) -> T) -> T {
    f(ret)
}

/// `ok_if` and `error_if`.
#[inline]
pub fn judge<R: ?Sized>(ret: &R, f: impl FnOnce(&R) -> bool) -> bool {
    f(ret)
}

#[cfg(test)]
#[allow(
    clippy::needless_borrow,
    clippy::empty_loop,
    clippy::unused_async,
    reason = "written as the macros write"
)]
mod tests {
    //! The expansion of an annotated function, written by hand: what the macros may rely on.
    use crate::__private as p;
    use std::future::Future;

    fn plain(n: u32) -> Result<u32, std::num::ParseIntError> {
        let mut call = {
            #[linkme::distributed_slice(p::SITES)]
            #[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
            static SITE: p::Site = p::Site {
                def: p::Def {
                    function: "plain",
                    module: module_path!(),
                    file: file!(),
                    line: line!(),
                    asynchronous: false,
                    fallible: true,
                    span: Some(p::SpanDef {
                        name: "plain",
                        ..p::SpanDef::DEFAULT
                    }),
                    counter: Some(p::CounterDef::DEFAULT),
                    timer: Some(p::TimerDef::DEFAULT),
                },
                slots: p::Slots::new(),
            };
            p::Call::<7>::idle(&SITE)
        };
        call.entered();
        let ret = p::run(move || -> Result<u32, std::num::ParseIntError> {
            let n = n;
            Ok("7".parse::<u32>()? + n)
        });
        if let Some(mut s) = call.settling() {
            {
                use p::probe::*;
                (&&&&&&&&p::Probe(&ret)).vitalsign_settle(&mut s);
            }
            let ended = s.ended();
            call.end(&ended);
        }
        ret
    }

    const BARE: p::Def = p::Def {
        function: "bare",
        module: module_path!(),
        file: file!(),
        line: line!(),
        asynchronous: true,
        fallible: true,
        span: None,
        counter: None,
        timer: None,
    };

    fn asynchronous(n: &u32) -> impl Future<Output = Result<Box<dyn Fn() -> u32 + '_>, String>> {
        static SITE: p::Site = p::Site {
            def: p::Def {
                span: Some(p::SpanDef {
                    name: "asynchronous",
                    fields: &["n"],
                    ..p::SpanDef::DEFAULT
                }),
                ..BARE
            },
            slots: p::Slots::new(),
        };
        p::future::<4, _, _, _>(
            &SITE,
            move |call| {
                if call.on() && call.open() {
                    call.fields(&[&n as &dyn p::Value]);
                }
                async move {
                    #[allow(unreachable_code, unused_variables, clippy::diverging_sub_expression)]
                    if false {
                        let ret: Result<Box<dyn Fn() -> u32 + '_>, String> = loop {};
                        return ret;
                    }
                    let n = n;
                    std::future::ready(()).await;
                    Ok(Box::new(move || *n))
                }
            },
            |ret, s| {
                use p::probe::*;
                (&&&&&&&&p::Probe(ret)).vitalsign_settle(s);
            },
        )
    }

    #[tokio::test]
    async fn expansions_compile_and_run() {
        assert_eq!(plain(1), Ok(8));
        let n = 5;
        assert_eq!(asynchronous(&n).await.unwrap()(), 5);
        assert!(
            crate::site::SITES
                .iter()
                .any(|site| site.def.function == "plain" && site.metadata().name() == "plain")
        );
    }

    #[test]
    fn a_future_grows_by_little() {
        async fn bare() {}
        fn wrapped() -> impl Future<Output = ()> {
            static SITE: p::Site = p::Site {
                def: BARE,
                slots: p::Slots::new(),
            };
            p::future::<7, _, _, _>(&SITE, |_| async {}, |(): &(), _| ())
        }
        assert!(
            size_of_val(&wrapped()) - size_of_val(&bare()) <= 160,
            "{}",
            size_of_val(&wrapped())
        );
    }
}
