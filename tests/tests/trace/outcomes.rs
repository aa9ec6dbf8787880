//! All outcomes × all shapes of function: each call leaves the right span status, one count and one duration, through decoders
//! that are not ours.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tests::live::Live;
use tests::span::{Span, StatusCode};
// One sibling behind an alias, which the others cannot see.
use vitalsign::counted as tally;
use vitalsign::{counted, observed, timed, traced};

/// How a call is to end.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    Ok,
    EarlyReturn,
    Error,
    Question,
    Panic,
    Cancelled,
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken as asked")
    }
}

impl std::error::Error for Broken {}

/// The body of every function below.
fn come_to(end: End) -> Result<u32, Broken> {
    if end == End::EarlyReturn {
        return Ok(2);
    }
    match end {
        End::Error | End::Question => Err(Broken),
        End::Panic => panic!("panicked as asked"),
        _ => Ok(1),
    }
}

async fn come_to_later(end: End) -> Result<u32, Broken> {
    Yield(false).await;
    if end == End::Cancelled {
        std::future::pending::<()>().await;
    }
    come_to(end)
}

/// Pending once, so that there is a second poll.
struct Yield(bool);

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[traced]
#[counted]
#[timed]
fn plain(end: End) -> Result<u32, Broken> {
    if end == End::EarlyReturn {
        return Ok(7);
    }
    let value = come_to(end)?;
    Ok(value)
}

#[traced]
#[counted]
#[timed]
async fn asynchronous(end: End) -> Result<u32, Broken> {
    if end == End::EarlyReturn {
        return Ok(7);
    }
    let value = come_to_later(end).await?;
    Ok(value)
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[traced]
#[counted]
#[timed]
fn boxed_literal(end: End) -> Pin<Box<dyn Future<Output = Result<u32, Broken>> + Send>> {
    Box::pin(async move { come_to_later(end).await })
}

#[traced]
#[counted]
#[timed]
fn boxed_by_alias(end: End) -> Boxed<'static, Result<u32, Broken>> {
    let future = come_to_later(end);
    Box::pin(future)
}

#[traced]
#[counted]
#[timed]
fn impl_future(end: End) -> impl Future<Output = Result<u32, Broken>> + Send {
    come_to_later(end)
}

#[traced]
#[counted]
#[timed]
fn impl_future_block(end: End) -> impl Future<Output = Result<u32, Broken>> {
    async move { come_to_later(end).await }
}

#[traced]
#[counted]
#[timed]
fn generic<T: Into<End>>(end: T) -> Result<u32, Broken> {
    come_to(end.into())
}

#[traced]
#[counted]
#[timed]
async fn generic_async<T: Into<End> + Send>(end: T) -> Result<u32, Broken> {
    come_to_later(end.into()).await
}

struct Machine;

impl Machine {
    #[traced]
    #[counted]
    #[timed]
    fn method(&self, end: End) -> Result<u32, Broken> {
        come_to(end)
    }

    #[traced]
    #[counted]
    #[timed]
    async fn method_async(&mut self, end: End) -> Result<u32, Broken> {
        come_to_later(end).await
    }
}

struct Annotated;

#[traced]
#[counted]
#[timed]
impl Annotated {
    fn in_block(end: End) -> Result<u32, Broken> {
        come_to(end)
    }

    async fn in_block_async(&self, end: End) -> Result<u32, Broken> {
        come_to_later(end).await
    }
}

#[async_trait::async_trait]
trait Works {
    async fn under_async_trait(&self, end: End) -> Result<u32, Broken>;
    async fn over_async_trait(&self, end: End) -> Result<u32, Broken>;
}

#[async_trait::async_trait]
impl Works for Machine {
    #[traced]
    #[counted]
    #[timed]
    async fn under_async_trait(&self, end: End) -> Result<u32, Broken> {
        come_to_later(end).await
    }

    async fn over_async_trait(&self, _: End) -> Result<u32, Broken> {
        Ok(0)
    }
}

#[traced]
#[counted]
#[timed]
#[async_trait::async_trait]
impl Works for Annotated {
    async fn under_async_trait(&self, _: End) -> Result<u32, Broken> {
        Ok(0)
    }

    async fn over_async_trait(&self, end: End) -> Result<u32, Broken> {
        come_to_later(end).await
    }
}

#[timed]
#[traced]
#[counted]
fn stacked_otherwise(end: End) -> Result<u32, Broken> {
    come_to(end)
}

#[counted]
#[timed]
#[traced]
#[must_use]
async fn stacked_with_others(end: End) -> Result<u32, Broken> {
    come_to_later(end).await
}

#[timed]
#[tally]
#[traced]
fn unfused(end: End) -> Result<u32, Broken> {
    come_to(end)
}

#[tally]
#[traced]
#[timed]
async fn unfused_async(end: End) -> Result<u32, Broken> {
    come_to_later(end).await
}

#[observed]
fn observed_plain(end: End) -> Result<u32, Broken> {
    come_to(end)
}

#[observed]
async fn observed_async(end: End) -> Result<u32, Broken> {
    come_to_later(end).await
}

const SYNC_ENDS: [End; 5] = [End::Ok, End::EarlyReturn, End::Error, End::Question, End::Panic];
const ASYNC_ENDS: [End; 6] = [
    End::Ok,
    End::EarlyReturn,
    End::Error,
    End::Question,
    End::Panic,
    End::Cancelled,
];

/// Calls a plain function once for each end.
fn each(function: impl Fn(End) -> Result<u32, Broken>) {
    for end in SYNC_ENDS {
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| function(end)));
        assert_eq!(result.is_err(), end == End::Panic);
    }
}

/// Polls a future to its end, or twice and drops it.
fn each_later<F: Future<Output = Result<u32, Broken>>>(function: impl Fn(End) -> F) {
    for end in ASYNC_ENDS {
        let mut future = Box::pin(function(end));
        let mut cx = Context::from_waker(Waker::noop());
        let polls = std::panic::catch_unwind(AssertUnwindSafe(|| {
            (0..3).find_map(|_| match future.as_mut().poll(&mut cx) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        }));
        assert_eq!(polls.is_err(), end == End::Panic);
        if let Ok(polled) = polls {
            assert_eq!(polled.is_none(), end == End::Cancelled);
        }
    }
    // Never polled: no call.
    drop(function(End::Ok));
}

fn spans_of(live: &Live, name: &str, count: usize) -> Vec<Span> {
    tests::wait_for(
        &format!("{count} spans {name}"),
        std::time::Duration::from_secs(20),
        || {
            live.flush();
            let spans: Vec<_> = live
                .receiver
                .spans()
                .into_iter()
                .filter(|span| span.name == name)
                .collect();
            (spans.len() >= count).then_some(spans)
        },
    )
}

fn verify(function: &str, asynchronous: bool) {
    let live = tests::live::live();
    let cancelled = usize::from(asynchronous);
    let spans = spans_of(live, function, 5 + cancelled);
    assert_eq!(spans.len(), 5 + cancelled, "{function}");
    let of = |outcome: &str| spans.iter().filter(|span| span.attribute("outcome") == outcome).count();
    let failed: Vec<_> = spans.iter().filter(|span| span.status == StatusCode::Error).collect();
    let _ = of;
    // Two errors and a panic; a cancelled call is no failure of its own.
    let errors = failed
        .iter()
        .filter(|span| span.attribute("error.type").ends_with("Broken"))
        .count();
    assert_eq!(errors, 2, "{function}: {spans:#?}");
    let panics = failed
        .iter()
        .filter(|span| span.message.contains("panicked as asked"))
        .count();
    assert_eq!(panics, 1, "{function}: {spans:#?}");
    assert!(
        spans.iter().all(|span| span.end >= span.start && span.end > 0),
        "{function}"
    );

    let page = live.page();
    for (outcome, count) in [
        ("ok", 2.0),
        ("error", 2.0),
        ("panic", 1.0),
        ("cancelled", cancelled as f64),
    ] {
        let labels = [("function", function), ("outcome", outcome)];
        assert_eq!(
            page.sum("function_calls_total", &labels),
            count,
            "{function} {outcome}\n{}",
            page.text
        );
        assert_eq!(
            page.sum("function_duration_seconds_count", &labels),
            count,
            "{function} {outcome}"
        );
    }
}

macro_rules! tests {
    ($($test:ident: $function:literal $asynchronous:ident $call:expr;)*) => {
        $(#[test]
        fn $test() {
            tests::live::live();
            tests!(@$asynchronous $function $call);
        })*
    };
    (@sync $function:literal $call:expr) => { each($call); verify($function, false); };
    (@later $function:literal $call:expr) => { each_later($call); verify($function, true); };
}

tests! {
    of_plain: "plain" sync plain;
    of_async: "asynchronous" later asynchronous;
    of_boxed_literal: "boxed_literal" later boxed_literal;
    of_boxed_by_alias: "boxed_by_alias" later boxed_by_alias;
    of_impl_future: "impl_future" later impl_future;
    of_impl_future_block: "impl_future_block" later impl_future_block;
    of_generic: "generic" sync generic::<End>;
    of_generic_async: "generic_async" later generic_async::<End>;
    of_method: "method" sync |end| Machine.method(end);
    of_method_async: "method_async" later |end| async move { Machine.method_async(end).await };
    of_block: "Annotated::in_block" sync Annotated::in_block;
    of_block_async: "Annotated::in_block_async" later |end| async move { Annotated.in_block_async(end).await };
    of_async_trait_inside: "under_async_trait" later |end| Machine.under_async_trait(end);
    of_async_trait_outside: "Annotated::over_async_trait" later |end| Annotated.over_async_trait(end);
    of_stacked_otherwise: "stacked_otherwise" sync stacked_otherwise;
    of_stacked_with_others: "stacked_with_others" later stacked_with_others;
    of_unfused: "unfused" sync unfused;
    of_unfused_async: "unfused_async" later unfused_async;
    of_observed: "observed_plain" sync observed_plain;
    of_observed_async: "observed_async" later observed_async;
}

fn size(known: bool) -> u64 {
    assert!(known, "no size");
    1
}

#[traced(fields(size = size(false)))]
#[counted(name = "said.field")]
async fn field_panics() {}

#[counted(name = "said.judge", ok_if = |ret| size(*ret) > 0)]
#[traced]
async fn judge_panics() -> bool {
    false
}

#[traced(stream, error_if = |item| size(*item) > 1)]
#[counted(name = "said.item")]
fn item_panics() -> impl futures_util::Stream<Item = bool> {
    futures_util::stream::iter([false])
}

#[test]
fn a_panic_of_what_is_said_of_a_call_ends_it_as_one() {
    let capture = vitalsign::testing::capture();
    let caught = |future: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
        let mut future = future;
        std::panic::catch_unwind(AssertUnwindSafe(|| {
            let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }))
        .is_err()
    };
    assert!(caught(Box::pin(field_panics())));
    assert!(caught(Box::pin(async { _ = judge_panics().await })));
    assert!(caught(Box::pin(async {
        _ = futures_util::StreamExt::next(&mut item_panics()).await;
    })));
    for (name, metric) in [
        ("field_panics", "said.field"),
        ("judge_panics", "said.judge"),
        ("item_panics", "said.item"),
    ] {
        assert_eq!(capture.span(name).outcome(), "panic", "{name}");
        assert_eq!(capture.count(metric, &[("outcome", "panic")]), 1.0, "{metric}");
        assert_eq!(capture.count(metric, &[]), 1.0, "{metric}");
    }
}

/// A future that may be polled again after a panic.
struct Again(bool);

impl Future for Again {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        assert!(std::mem::replace(&mut self.0, true), "the first time");
        Poll::Ready(())
    }
}

#[traced]
#[counted(name = "again.calls")]
fn again() -> impl Future<Output = ()> {
    Again(false)
}

#[test]
fn a_future_that_goes_on_after_a_panic_is_one_call() {
    let capture = vitalsign::testing::capture();
    let mut future = Box::pin(again());
    let mut poll = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(&mut poll)).is_err());
    assert!(poll().is_ready());
    assert_eq!(capture.count("again.calls", &[("outcome", "panic")]), 1.0);
    assert_eq!(capture.count("again.calls", &[]), 1.0);
    assert_eq!(capture.spans().len(), 1);
}
