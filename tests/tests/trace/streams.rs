//! `#[traced(stream)]`: the span lives as long as the stream.

use futures_util::stream::{self, BoxStream, Stream, StreamExt as _, TryStreamExt as _};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use vitalsign::testing::{Span, capture};
use vitalsign::{counted, observed, timed, traced};

/// How the span ended, and how many items it counted.
fn ended(span: &Span) -> (&str, &str) {
    (span.outcome(), span.attribute("stream.items").unwrap_or("-"))
}

#[traced(stream, fields(n))]
fn numbers(n: u8) -> impl Stream<Item = u8> {
    stream::iter(0..n).then(|item| async move {
        tokio::task::yield_now().await;
        leaf();
        item
    })
}

#[traced]
fn leaf() {}

#[traced]
async fn caller(stream: impl Stream<Item = u8>) {
    assert_eq!(stream.collect::<Vec<_>>().await, [0, 1, 2]);
}

#[tokio::test]
async fn a_stream_lives_from_its_first_poll_to_its_end() {
    let capture = capture();
    let stream = numbers(3);
    assert_eq!(capture.spans().len(), 0, "nothing began");
    caller(stream).await;
    assert_eq!(capture.tree(), "caller\n└ numbers\n  ├ leaf\n  ├ leaf\n  └ leaf\n");
    let span = capture.span("numbers");
    assert_eq!(ended(&span), ("ok", "3"));
    assert_eq!(span.attribute("n"), Some("3"));
    let first = span.attribute("stream.time_to_first_item").expect("in seconds");
    let first: f64 = first.parse().expect("a number");
    assert!(first > 0.0, "{first}");
}

#[tokio::test]
async fn a_stream_without_items_has_no_first_one() {
    let capture = capture();
    assert_eq!(numbers(0).count().await, 0);
    let span = capture.span("numbers");
    assert_eq!(ended(&span), ("ok", "0"));
    assert_eq!(span.attribute("stream.time_to_first_item"), None);
}

#[tokio::test]
async fn a_stream_dropped_early_is_cancelled_and_one_never_polled_is_no_call() {
    let capture = capture();
    drop(numbers(3));
    assert_eq!(capture.spans().len(), 0);
    let mut stream = Box::pin(numbers(3));
    stream.next().await;
    drop(stream);
    assert_eq!(ended(&capture.span("numbers")), ("cancelled", "1"));
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Broken(u8);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {} is broken", self.0)
    }
}

impl std::error::Error for Broken {}

#[observed(name = "rows.fetch", traced(stream), counted(in_flight), timed(busy))]
fn rows() -> Pin<Box<dyn Stream<Item = Result<u8, Broken>> + Send>> {
    Box::pin(stream::iter([Ok(1), Err(Broken(2)), Ok(3), Err(Broken(4))]))
}

#[tokio::test]
async fn an_error_among_the_items_is_told_once_whatever_follows() {
    let capture = capture();
    assert_eq!(rows().try_collect::<Vec<_>>().await, Err(Broken(2)));
    assert_eq!(rows().count().await, 4);
    let spans = capture.spans();
    let outcomes: Vec<_> = spans.iter().map(ended).collect();
    assert_eq!(
        outcomes,
        [("error", "2"), ("error", "4")],
        "dropped behind it, and read on"
    );
    for span in &spans {
        assert_eq!(span.exception(), Some("row 2 is broken"));
        assert_eq!(span.events.iter().filter(|(name, _)| name == "exception").count(), 1);
    }
    assert_eq!(capture.count("rows.fetch.calls", &[("outcome", "error")]), 2.0);
    assert_eq!(capture.samples("rows.fetch.duration").len(), 2);
}

#[traced(stream)]
fn panics() -> BoxStream<'static, u8> {
    Box::pin(stream::iter([1, 2]).map(|item| if item == 2 { panic!("at two") } else { item }))
}

#[tokio::test]
async fn a_panic_ends_it_there_and_then() {
    let capture = capture();
    let mut stream = panics();
    assert_eq!(stream.next().await, Some(1));
    let caught = AssertUnwindSafe(async { stream.next().await });
    let caught = futures_util::FutureExt::catch_unwind(caught).await;
    assert!(caught.is_err());
    assert_eq!(
        ended(&capture.span("panics")),
        ("panic", "1"),
        "before the stream is dropped"
    );
    drop(stream);
    assert_eq!(capture.spans().len(), 1);
}

#[traced(stream, error_if = |item| *item > 1)]
#[counted(name = "items.read")]
#[timed(name = "items.time")]
fn judged<'a>(items: &'a [u8], read: &'a str) -> impl Stream<Item = u8> + 'a {
    stream::iter(items.iter().copied()).inspect(move |_| assert!(!read.is_empty()))
}

#[tokio::test]
async fn items_are_judged_and_metrics_hear_the_same() {
    let capture = capture();
    judged(&[1, 1], "x").count().await;
    judged(&[1, 2], "x").count().await;
    assert_eq!(capture.count("items.read", &[("outcome", "ok")]), 1.0);
    assert_eq!(capture.count("items.read", &[("outcome", "error")]), 1.0);
    assert_eq!(capture.samples("items.time").len(), 2);
}

#[traced(stream)]
fn inferred() -> impl Stream<Item = Result<u8, String>> {
    stream::iter([1, 2].map(Ok))
}

#[tokio::test]
async fn moving_between_threads_leaves_no_span_behind() {
    let capture = capture();
    let task = capture.follow(async {
        let mut stream = Box::pin(inferred());
        stream.next().await;
        tokio::spawn(async move { stream.count().await })
            .await
            .expect("the task")
    });
    assert_eq!(task.await, 1);
    assert!(vitalsign::current().context().is_none());
    assert_eq!(ended(&capture.span("inferred")), ("ok", "2"));
    let stream = inferred();
    assert_eq!(stream.size_hint(), (2, Some(2)));
}
