//! A thousand requests under way at once, each with tasks in tasks: no line, no span and no exemplar carries another's id.

use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use axum::{Extension, Router};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tests::live::live_with_lines;
use tokio::sync::Barrier;
use tower::ServiceExt as _;
use vitalsign::http::{RequestId, layer};

const REQUESTS: usize = 1000;

#[vitalsign::traced(fields(own = n))]
#[vitalsign::timed(name = "many.steps")]
async fn step(n: u64, depth: u32) {
    tokio::task::yield_now().await;
    tracing::info!(own = n, depth, "step");
    if depth < 3 {
        vitalsign::spawn(deeper(n, depth)).await.expect("the task");
        vitalsign::spawn_blocking(move || tracing::info!(own = n, depth, "blocking"))
            .await
            .expect("the thread");
    }
    tracing::info!(own = n, depth, "done");
}

fn deeper(n: u64, depth: u32) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(step(n, depth + 1))
}

async fn handle(Path(n): Path<u64>, Extension(barrier): Extension<Arc<Barrier>>, id: RequestId) -> String {
    // All of them are under way now.
    barrier.wait().await;
    step(n, 0).await;
    id.to_string()
}

fn trace_id(n: u64) -> String {
    format!("{:032x}", 0x7000_0000_0000_u64 + n)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_carries_anothers_id() {
    tests::own_process!();
    let live = live_with_lines();
    let app = Router::new()
        .route("/many/{n}", get(handle))
        .layer(layer())
        .layer(Extension(Arc::new(Barrier::new(REQUESTS))));
    let tasks: Vec<_> = (0..REQUESTS as u64)
        .map(|n| {
            let request = http::Request::builder()
                .uri(format!("/many/{n}"))
                .header("traceparent", format!("00-{}-00f067aa0ba902b7-01", trace_id(n)))
                .header("x-request-id", format!("id-{n}"))
                .body(Body::empty())
                .expect("a request");
            let app = app.clone();
            tokio::spawn(async move {
                let response = app.oneshot(request).await.expect("infallible");
                axum::body::to_bytes(response.into_body(), 1000).await.expect("a body")
            })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.expect("the request"), format!("id-{n}"));
    }
    tokio::task::spawn_blocking(move || {
        let lines = live.lines();
        let mut of_each: BTreeMap<u64, usize> = BTreeMap::new();
        for line in &lines {
            let Some(n) = own(line) else { continue };
            assert_eq!(line["request_id"], format!("id-{n}"), "{line}");
            assert_eq!(line["trace_id"], trace_id(n), "{line}");
            *of_each.entry(n).or_default() += 1;
        }
        // 4 steps say 2 lines each, 3 of them one on another thread, and the access line.
        assert_eq!(of_each.len(), REQUESTS);
        assert!(of_each.values().all(|count| *count == 12), "{of_each:?}");

        let spans = tests::wait_for("all spans", Duration::from_secs(30), || {
            live.flush();
            let spans = live.receiver.spans();
            (spans.len() >= REQUESTS * 5).then_some(spans)
        });
        assert_eq!(spans.len(), REQUESTS * 5);
        for span in spans.iter().filter(|span| span.name == "step") {
            let n: u64 = span.attribute("own").parse().expect("a number");
            assert_eq!(span.trace_id, trace_id(n));
        }
        let known: BTreeMap<_, _> = spans
            .iter()
            .map(|span| (span.span_id.as_str(), (span.trace_id.as_str(), span.name.as_str())))
            .collect();
        exemplars(&live.url("/metrics"), &known);
    })
    .await
    .expect("the checks");
}

/// Whose line it is, by what it says itself.
fn own(line: &serde_json::Value) -> Option<u64> {
    line["own"]
        .as_u64()
        .or_else(|| line["url.path"].as_str()?.strip_prefix("/many/")?.parse().ok())
}

/// Each exemplar names a span of the trace it names, and one that its metric measures.
fn exemplars(url: &str, spans: &BTreeMap<&str, (&str, &str)>) {
    let page = tests::http::get_with(url, &[("Accept", "application/openmetrics-text; version=1.0.0")])
        .expect("a page")
        .text();
    let mut seen = BTreeMap::<&str, usize>::new();
    for line in page.lines().filter(|line| line.contains(" # {")) {
        let label = |key: &str| {
            let (_, rest) = line.split_once(&format!("{key}=\""))?;
            rest.split('"').next()
        };
        let (Some(trace), Some(span)) = (label("trace_id"), label("span_id")) else {
            panic!("{line}");
        };
        let name = match line.split(['{', '_']).next() {
            Some("many") => "step",
            Some("http") => "GET /many/{n}",
            _ => continue,
        };
        assert_eq!(spans.get(span), Some(&(trace, name)), "{line}");
        *seen.entry(name).or_default() += 1;
    }
    assert_eq!(seen.len(), 2, "{page}");
}
