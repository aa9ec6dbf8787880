//! One call: what is kept between its beginning and its end, and the guard that settles every signal alike.
//!
//! A [`Call`] is made before the body and ends in exactly one of four ways: it is settled by the returned value, or dropped
//! unsettled, which is a panic when this thread unwinds and a cancellation when it does not. Span, counter and histogram all
//! hear the same outcome and the same two clock readings.

use crate::metrics::label::{ErrorIndex, Labels};
use crate::metrics::{Amount, CallLabels};
use crate::outcome::CallOutcome;
use crate::probe::{ErrorRef, ErrorValue};
use crate::site::Site;
use crate::trace::active::{ActiveSpan, Parent, SpanOptions};
use crate::trace::carrier::{AsLinks, AsParent};
use crate::{clock, switch};
use std::borrow::Cow;
use tracing_core::field::Value;

/// The state of one call of an annotated function.
pub struct Call {
    site: &'static Site,
    /// Ticks at the beginning; with `busy`, the ticks spent polling so far.
    start: u64,
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
    /// Nothing records: every step is a branch not taken.
    Off,
    /// Set up; clock and parent not read yet.
    Prepared,
    /// Begun; the span not opened yet, so its options can still be said.
    Begun,
    /// Begun, the span open if there is one.
    Open,
    /// Settled.
    Done,
}

impl Call {
    /// A call that may begin later: of an `async fn`, or of a function returning a future.
    #[inline]
    pub(crate) fn prepare_for_future(site: &'static Site) -> Self {
        Self {
            site,
            start: 0,
            busy: 0,
            span: ActiveSpan::default(),
            options: None,
            count_labels: Labels::default(),
            time_labels: Labels::default(),
            amount: Amount::Whole(1),
            stage: Stage::Off,
            no_span: false,
            asynchronous: true,
            entered: false,
        }
    }

    /// For a function returning a future: fields and labels are taken now, clock and parent at the first poll.
    #[inline]
    pub fn prepare(site: &'static Site) -> Self {
        let mut call = Self::prepare_for_future(site);
        if switch::on() {
            call.stage = Stage::Prepared;
        }
        call
    }

    /// For a plain function without fields, labels or other words on its span: the call begins and its span is current.
    #[inline]
    pub fn entered(site: &'static Site) -> Self {
        let mut call = Self::begin(site);
        call.enter();
        call
    }

    /// For a plain function: the call begins here; [`Call::enter`] follows what is said of its span.
    #[inline]
    pub fn begin(site: &'static Site) -> Self {
        let mut call = Self::prepare_for_future(site);
        call.asynchronous = false;
        call.start();
        call
    }

    /// Begins: reads the clock if any signal wants it.
    #[inline]
    pub(crate) fn start(&mut self) {
        if self.stage == Stage::Prepared || switch::on() {
            let def = &self.site.def;
            if def.span.is_some() || def.timer.is_some() {
                self.start = clock::now();
            }
            self.stage = Stage::Begun;
        }
    }

    /// Something records this call.
    #[inline]
    pub fn on(&self) -> bool {
        self.stage != Stage::Off
    }

    /// `when = …`: no span where false.
    #[inline]
    pub fn when(&mut self, condition: bool) {
        self.no_span = !condition;
    }

    /// `root`: the span starts a new trace.
    pub fn root(&mut self) {
        self.options().parent = Parent::Root;
    }

    /// `parent = …`.
    pub fn parent(&mut self, parent: &(impl AsParent + ?Sized)) {
        self.options().parent = parent.as_parent().map_or(Parent::Root, Parent::Of);
    }

    /// `link = …`: one link or several.
    pub fn link(&mut self, links: impl AsLinks) {
        links.each_link(&mut |link| self.options().links.push(link));
    }

    fn options(&mut self) -> &mut SpanOptions {
        self.options.get_or_insert_default()
    }

    /// Opens the span; true when the values of its fields are wanted.
    #[inline]
    pub fn open(&mut self) -> bool {
        if self.stage == Stage::Prepared {
            return self.site.def.span.is_some() && !self.no_span;
        }
        self.opened();
        self.span.recording()
    }

    #[inline]
    fn opened(&mut self) {
        if self.stage == Stage::Begun {
            self.stage = Stage::Open;
            let def = &self.site.def;
            if def.span.is_some() && !self.no_span {
                self.span = ActiveSpan::open(self.site, self.start, self.options.take());
            }
            if let Some(counter) = &def.counter
                && counter.in_flight
            {
                self.site.state.counter.in_flight(self.site, self.count_labels, 1);
            }
        }
    }

    /// The values of the site's fields, by position.
    pub fn fields(&mut self, values: &[&dyn Value]) {
        if self.stage == Stage::Prepared {
            let site = self.site;
            self.options().hold(site, values);
        } else {
            self.span.fields(self.site, values);
        }
    }

    /// The counter's labels taken from the arguments.
    #[inline]
    pub fn count_labels(&mut self, labels: Labels) {
        self.count_labels = labels;
    }

    /// The histogram's labels taken from the arguments.
    #[inline]
    pub fn time_labels(&mut self, labels: Labels) {
        self.time_labels = labels;
    }

    /// `by = …`: how far the counter moves.
    #[inline]
    pub fn by(&mut self, amount: impl IntoAmount) {
        self.amount = amount.into_amount();
    }

    /// The body follows: the span is current on this thread until [`Call::exit`], the end, or the drop.
    #[inline]
    pub fn enter(&mut self) {
        if self.stage != Stage::Off {
            self.opened();
            self.span.enter();
            self.entered = true;
        }
    }

    /// Ends what [`Call::enter`] began.
    #[inline]
    pub(crate) fn exit(&mut self) {
        if self.entered {
            self.entered = false;
            self.span.exit();
        }
    }

    /// Set up by [`Call::prepare`] and not begun.
    #[inline]
    pub(crate) fn is_prepared(&self) -> bool {
        self.stage == Stage::Prepared
    }

    /// Begun and not settled.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Begun | Stage::Open)
    }

    #[inline]
    pub(crate) fn wants_busy(&self) -> bool {
        self.site.def.timer.as_ref().is_some_and(|timer| timer.busy)
    }

    #[inline]
    pub(crate) fn add_busy(&mut self, ticks: u64) {
        self.busy += ticks;
    }

    /// Settles by the returned value.
    #[inline]
    pub fn finish<R>(mut self, ret: &R, settle: impl FnOnce(&R, &mut Settle<'_>)) {
        self.settle(ret, settle);
    }

    #[inline]
    pub(crate) fn settle<R>(&mut self, ret: &R, settle: impl FnOnce(&R, &mut Settle<'_>)) {
        if self.stage == Stage::Off {
            return;
        }
        let mut s = Settle {
            call: self,
            decided: None,
            outcome: CallOutcome::Ok,
            error: None,
            count_returned: Labels::default(),
            time_returned: Labels::default(),
        };
        settle(ret, &mut s);
        s.end();
    }

    /// The one end of every call.
    fn end(&mut self, outcome: CallOutcome, error: Option<ErrorIndex>, count: Labels, time: Labels) {
        self.exit();
        self.stage = Stage::Done;
        let site = self.site;
        let def = &site.def;
        let end = if def.span.is_some() || def.timer.is_some() {
            clock::now()
        } else {
            0
        };
        if let Some(counter) = &def.counter {
            let labels = CallLabels {
                entry: self.count_labels,
                returned: count,
                error,
                outcome,
            };
            site.state.counter.add(site, labels, self.amount);
            if counter.in_flight {
                site.state.counter.in_flight(site, self.count_labels, -1);
            }
        }
        if let Some(timer) = &def.timer {
            let ticks = if timer.busy {
                self.busy
            } else {
                end.saturating_sub(self.start)
            };
            let labels = CallLabels {
                entry: self.time_labels,
                returned: time,
                error,
                outcome,
            };
            let exemplar = if timer.exemplars { Some(&self.span) } else { None };
            site.state.timer.observe(site, labels, ticks, exemplar);
        }
        if def.span.is_some() {
            self.span.close(end, outcome);
        }
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if self.is_open() {
            abandoned(self);
        }
    }
}

#[cold]
fn abandoned(call: &mut Call) {
    call.opened();
    let outcome = if !call.asynchronous || std::thread::panicking() {
        CallOutcome::Panic
    } else {
        CallOutcome::Cancelled
    };
    call.end(outcome, None, Labels::default(), Labels::default());
}

/// A call about to be settled by its returned value.
pub struct Settle<'a> {
    call: &'a mut Call,
    decided: Option<bool>,
    outcome: CallOutcome,
    error: Option<ErrorIndex>,
    count_returned: Labels,
    time_returned: Labels,
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
        self.call.span.recording()
    }

    /// The returned value, for the span.
    pub fn ret(&mut self, value: &dyn Value) {
        self.call.span.returned(value);
    }

    /// The counter's labels taken from the returned value.
    #[inline]
    pub fn count_labels(&mut self, labels: Labels) {
        self.count_returned = labels;
    }

    /// The histogram's labels taken from the returned value.
    #[inline]
    pub fn time_labels(&mut self, labels: Labels) {
        self.time_returned = labels;
    }

    /// `by = |ret| …`.
    #[inline]
    pub fn by(&mut self, amount: impl IntoAmount) {
        self.call.amount = amount.into_amount();
    }

    /// The error's label; a variant may say that it is no failure.
    #[inline]
    pub(crate) fn error_label(&mut self, index: ErrorIndex, failure: bool) {
        self.error = Some(index);
        if !failure && self.decided.is_none() {
            self.decided = Some(true);
        }
    }

    /// The returned value is an error.
    pub(crate) fn error(&mut self, error: &ErrorRef<'_>) {
        if self.decided == Some(true) {
            return;
        }
        self.outcome = CallOutcome::Error;
        self.call.span.error(self.call.site, error);
    }

    #[inline]
    fn end(mut self) {
        if self.decided == Some(false) && self.outcome == CallOutcome::Ok {
            self.error(&ErrorRef {
                error_type: Cow::Borrowed("_OTHER"),
                value: ErrorValue::Opaque("error_if"),
            });
        }
        self.call
            .end(self.outcome, self.error, self.count_returned, self.time_returned);
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
pub fn apply<R: ?Sized, T>(ret: &R, f: impl FnOnce(&R) -> T) -> T {
    f(ret)
}

/// `ok_if` and `error_if`.
#[inline]
pub fn judge<R: ?Sized>(ret: &R, f: impl FnOnce(&R) -> bool) -> bool {
    f(ret)
}

#[cfg(test)]
mod tests {
    //! The expansion of an annotated function, written by hand: what the macros may rely on.
    use crate::__private as p;
    use std::future::Future;

    fn plain(n: u32) -> Result<u32, std::num::ParseIntError> {
        let call = {
            #[linkme::distributed_slice(p::SITES)]
            #[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
            static SITE: p::Site = p::Site::new(
                p::Def::new("plain", module_path!(), file!(), line!())
                    .fallible()
                    .traced(p::SpanDef::new("plain"))
                    .counted(p::CounterDef::new())
                    .timed(p::TimerDef::new()),
                &STATE,
            );
            static STATE: p::SiteState = p::SiteState::new(&SITE);
            p::Call::entered(&SITE)
        };
        let ret = p::run(move || -> Result<u32, std::num::ParseIntError> {
            let n = n;
            Ok("7".parse::<u32>()? + n)
        });
        call.finish(&ret, |ret, s| {
            use p::probe::*;
            (&&&&&&&&Probe(ret)).settle(s);
        });
        ret
    }

    fn asynchronous(n: &u32) -> impl Future<Output = Result<Box<dyn Fn() -> u32 + '_>, String>> {
        static SITE: p::Site = p::Site::new(
            p::Def::new("asynchronous", module_path!(), file!(), line!())
                .asynchronous()
                .traced(p::SpanDef::new("asynchronous").fields(&["n"])),
            &STATE,
        );
        static STATE: p::SiteState = p::SiteState::new(&SITE);
        p::future(
            &SITE,
            move |call| {
                if call.on() && call.open() {
                    call.fields(&[&n as &dyn p::Value]);
                }
                async move {
                    if false {
                        #[expect(unreachable_code, clippy::diverging_sub_expression)]
                        let ret: Result<Box<dyn Fn() -> u32 + '_>, String> = loop {};
                        #[expect(unreachable_code)]
                        return ret;
                    }
                    let n = n;
                    std::future::ready(()).await;
                    Ok(Box::new(move || *n))
                }
            },
            |ret, s| {
                use p::probe::*;
                (&&&&&&&&Probe(ret)).settle(s);
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
                .any(|site| site.def.function == "plain" && site.state.meta.name() == "plain")
        );
    }

    #[test]
    fn a_future_grows_by_little() {
        async fn bare() {}
        fn wrapped() -> impl Future<Output = ()> {
            static SITE: p::Site = p::Site::new(p::Def::new("wrapped", module_path!(), file!(), line!()), &STATE);
            static STATE: p::SiteState = p::SiteState::new(&SITE);
            p::future(&SITE, |_| async {}, |(): &(), _| ())
        }
        assert!(
            size_of_val(&wrapped()) - size_of_val(&bare()) <= 160,
            "{}",
            size_of_val(&wrapped())
        );
    }
}
