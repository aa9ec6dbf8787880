//! Samplers written for `opentelemetry_sdk`: asked for every span, whoever makes it, before any attribute is evaluated.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tests::otlp::Receiver;
use vitalsign::traced;

static EVALUATED: AtomicUsize = AtomicUsize::new(0);

fn evaluated(text: &str) -> &str {
    EVALUATED.fetch_add(1, Ordering::Relaxed);
    text
}

/// By name; children as their parents.
#[derive(Clone, Debug)]
struct ByName;

impl ShouldSample for ByName {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        assert!(attributes.is_empty(), "nothing is evaluated yet");
        assert!(name != "panics", "on purpose");
        tracing::info_span!("of the sampler").in_scope(|| ());
        let parent = parent
            .filter(|cx| cx.has_active_span())
            .map(|cx| cx.span().span_context().clone());
        let kept = parent
            .as_ref()
            .map_or(name.starts_with("kept"), opentelemetry::trace::SpanContext::is_sampled);
        let state = parent.map(|parent| parent.trace_state().clone()).unwrap_or_default();
        SamplingResult {
            decision: if kept {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: vec![
                KeyValue::new("sampler.kind", format!("{kind:?}")),
                KeyValue::new("sampler.links", links.len() as i64),
            ],
            trace_state: state.insert("sampler", name.replace(' ', "-")).expect("a state"),
        }
    }
}

#[traced(name = "kept root", kind = server, fields(which = evaluated("kept root")))]
fn kept_root() {
    child();
    tracing::info_span!("child of tracing", which = evaluated("tracing")).in_scope(|| ());
    global::tracer("test").in_span("child of the api", |_| ());
}

#[traced(name = "child", fields(which = evaluated("child")))]
fn child() {}

#[traced(name = "kept task", link = vitalsign::current(), fields(which = evaluated("task")))]
async fn kept_task() {
    child();
}

#[traced(name = "dropped root", fields(which = evaluated("dropped root")))]
fn dropped_root() {
    child();
    assert!(!vitalsign::current().context().expect("ids").is_sampled());
}

#[traced(name = "panics")]
fn panics() {}

#[tokio::test]
async fn it_decides_before_anything_is_evaluated() {
    let receiver = Receiver::start();
    let vitals = vitalsign::builder()
        .variable(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("{}/v1/traces", receiver.http()),
        )
        .variable("OTEL_LOGS_EXPORTER", "none")
        .variable("OTEL_METRICS_EXPORTER", "none")
        .admin("off")
        .sampler(ByName)
        .install()
        .expect("vitalsign is installed");
    dropped_root();
    tracing::info_span!("dropped of tracing").in_scope(child);
    assert_eq!(EVALUATED.load(Ordering::Relaxed), 0);
    kept_root();
    assert_eq!(EVALUATED.load(Ordering::Relaxed), 3);
    kept_task().await;
    panics();
    tokio::task::spawn_blocking(move || assert!(vitals.flush(Duration::from_secs(10))))
        .await
        .expect("flushed");
    let trace = receiver.trace("kept root", 4);
    assert_eq!(
        trace.outline(),
        "kept root\n  child\n  child of tracing\n  child of the api\n"
    );
    receiver.trace("kept task", 2);
    receiver.trace("panics", 1);
    let spans = receiver.spans();
    assert_eq!(spans.len(), 7, "{spans:#?}");
    let root = spans.iter().find(|span| span.name == "kept root").expect("it");
    assert_eq!(
        (
            root.attributes["sampler.kind"].as_str(),
            root.attributes["which"].as_str()
        ),
        ("Server", "kept root")
    );
    let received = receiver.received();
    let state = |name: &str| {
        let all = received.traces.iter().flat_map(|request| &request.resource_spans);
        let mut all = all
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans);
        all.find(|span| span.name == name)
            .expect("the span")
            .trace_state
            .clone()
    };
    assert_eq!(state("kept root"), "sampler=kept-root");
    assert_eq!(state("child of the api"), "sampler=child-of-the-api");
}
