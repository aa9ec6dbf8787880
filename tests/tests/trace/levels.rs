//! Spans at a level that is off: no span, whatever the shape of the function, and no more than that. Whoever wants them later gets them.

use http::HeaderMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tests::live::{Live, live};
use tests::span::StatusCode;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use vitalsign::{counted, traced};

/// Keeps the names of the spans of this crate that begin.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<&'static str>>>);

impl Names {
    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().expect("no test panics here"))
    }
}

impl Subscriber for Names {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("trace::levels")
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut names = self.0.lock().expect("no test panics here");
        names.push(attributes.metadata().name());
        Id::from_u64(names.len() as u64)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[traced(level = "debug", ret)]
fn plain(n: u32) -> Result<u32, String> {
    if n == 0 { Err("nothing".to_owned()) } else { Ok(n) }
}

#[traced(level = "debug", fields(n), error_if = |_| true)]
fn with_field(n: u32) -> u32 {
    n
}

#[traced(level = "debug")]
#[counted(name = "levels.counted")]
fn also_counted(n: u32) -> Result<u32, String> {
    plain(n)
}

#[traced(level = "debug", fields(n))]
async fn later(n: u32) -> u32 {
    tokio::task::yield_now().await;
    n
}

#[traced(level = "debug")]
fn boxed(n: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { n })
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[traced(level = "debug")]
fn boxed_by_another_name(n: u32) -> Boxed<u32> {
    boxed(n)
}

async fn each() {
    assert_eq!(plain(1), Ok(1));
    assert!(plain(0).is_err() && also_counted(0).is_err());
    assert_eq!(later(3).await, 3);
    assert_eq!(boxed_by_another_name(4).await, 4);
}

#[traced]
async fn around() {
    // The second time it is known that nobody wants them.
    for _ in 0..3 {
        each().await;
        assert_eq!(with_field(2), 2);
        on();
    }
}

#[traced]
fn on() {}

fn counted_so_far(live: &Live) -> Option<f64> {
    live.page().value("levels_counted_total", &[("outcome", "error")])
}

#[tokio::test]
async fn are_none_until_someone_wants_them() {
    tests::own_process!();
    let live = live();
    around().await;
    assert_eq!(live.outline("around", 4), "around\n  on\n  on\n  on\n");
    let trace = live.receiver.trace("around", 4);
    assert_eq!(
        trace.span("around").status,
        StatusCode::Unset,
        "whose error it is, is not here"
    );
    assert_eq!(counted_so_far(live), Some(3.0), "a metric does not depend on the span");

    // Another subscriber, on this thread only, which sees them though they were found off.
    let names = Names::default();
    {
        let _entered = tracing::subscriber::set_default(names.clone());
        each().await;
    }
    let seen = [
        "plain",
        "plain",
        "also_counted",
        "plain",
        "later",
        "boxed_by_another_name",
        "boxed",
    ];
    assert_eq!(names.take(), seen);
    each().await;
    assert_eq!(names.take(), [""; 0]);

    // So does a test's capture, and when it is over they are none again.
    {
        let capture = vitalsign::testing::capture();
        each().await;
        assert_eq!(capture.spans().len(), seen.len());
    }
    around_again().await;
    assert_eq!(live.outline("around_again", 2), "around_again\n  on\n");
}

#[traced]
async fn around_again() {
    each().await;
    on();
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Names {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: tracing_subscriber::layer::Context<'_, S>) {
        if attributes.metadata().target().starts_with("trace::levels") {
            self.0
                .lock()
                .expect("no test panics here")
                .push(attributes.metadata().name());
        }
    }
}

#[tokio::test]
async fn are_there_for_another_layer_of_the_same_registry() {
    use tracing_subscriber::prelude::*;
    tests::own_process!();
    let names = Names::default();
    tracing_subscriber::registry()
        .with(vitalsign::layer())
        .with(names.clone())
        .init();
    let live = live();
    for _ in 0..3 {
        around_again().await;
        let seen = ["around_again", "plain", "plain", "also_counted", "plain", "later"];
        assert_eq!(names.take()[..seen.len()], seen);
    }
    assert_eq!(
        live.outline("around_again", 2),
        "around_again\n  on\n",
        "ours has its own filter"
    );
}

#[traced(level = "debug", parent = headers)]
fn passes_on(headers: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::new();
    vitalsign::current().inject(&mut sent);
    sent
}

#[test]
fn hand_on_contexts_where_telemetry_is_disabled() {
    tests::own_process!();
    let _vitals = vitalsign::builder()
        .variable("OTEL_SDK_DISABLED", "true")
        .variable("VITALSIGN_ADMIN", "off")
        .install()
        .expect("vitalsign is installed");
    let mut headers = HeaderMap::new();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", parent.parse().expect("a header"));
    for _ in 0..3 {
        assert_eq!(passes_on(&headers)["traceparent"], parent);
    }
}
