//! `otel_context(true)`: who reads the contexts of the `opentelemetry` API finds our spans there. And log lines carry the ids of
//! what is current, whichever side made it.

use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};
use std::time::Duration;
use tests::lines::Lines;
use tests::otlp::Receiver;
use vitalsign::logs::Output;
use vitalsign::traced;

/// What a foreign reader sees now.
fn seen() -> Option<String> {
    let context = Context::current();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.span_id().to_string())
}

fn ours() -> Option<String> {
    vitalsign::current().span_id().map(|id| id.to_string())
}

#[traced]
fn outer() {
    assert!(seen().is_some());
    assert_eq!(seen(), ours());
    inner();
    assert_eq!(seen(), ours());
    tracing::info_span!("of tracing").in_scope(|| {
        assert_eq!(seen(), ours());
        inner();
    });
    global::tracer("test").in_span("of the api", |_| {
        assert_eq!(seen(), ours());
        tracing::info!("inside the api");
        inner();
    });
    tracing::info!("outside the api");
}

#[traced]
fn inner() {
    assert_eq!(seen(), ours());
}

#[traced(name = "with baggage")]
fn with_baggage() {
    vitalsign::current().baggage().with("tenant", "acme").run(|| {
        inner_with_baggage();
    });
}

#[traced(name = "inner with baggage")]
fn inner_with_baggage() {
    use opentelemetry::baggage::BaggageExt as _;
    let context = Context::current();
    let tenant = context.baggage().get("tenant").map(ToString::to_string);
    assert_eq!(tenant.as_deref(), Some("acme"), "the API sees what travels with ours");
}

#[traced]
async fn awaits() {
    for _ in 0..3 {
        assert_eq!(seen(), ours());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    inner();
}

#[test]
fn our_spans_are_attached() {
    tests::own_process!();
    let (receiver, lines) = (Receiver::start(), Lines::default());
    let vitals = vitalsign::builder()
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .variable("OTEL_METRICS_EXPORTER", "none")
        .variable("VITALSIGN_LOG_FORMAT", "json")
        .admin("off")
        .log_output(Output::Writer(Box::new(lines.clone())))
        .otel_context(true)
        .install()
        .expect("vitalsign is installed");
    assert_eq!(seen(), None);
    outer();
    with_baggage();
    assert_eq!(seen(), None, "what was attached is detached");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(awaits())).collect();
        for task in tasks {
            task.await.expect("the task");
        }
    });
    assert!(vitals.flush(Duration::from_secs(10)));
    let trace = receiver.trace("outer", 6);
    assert_eq!(
        trace.outline(),
        "outer\n  inner\n  of tracing\n    inner\n  of the api\n    inner\n"
    );
    let text = lines.text();
    for (message, span) in [("inside the api", "of the api"), ("outside the api", "outer")] {
        let line = text.lines().find(|line| line.contains(message)).expect("the line");
        let id = &trace.spans.iter().find(|of| of.name == span).expect("the span").span_id;
        assert!(line.contains(&format!("\"span_id\":\"{id}\"")), "{line}");
    }
}
