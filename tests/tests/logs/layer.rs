//! `vitalsign::layer()` under a Registry of the program's own: its events reach our logs, with the ids of their trace and through our
//! filter, and the other layers see what they saw before.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::lines::Lines;
use tests::otlp::Receiver;
use tests::span::StatusCode;
use tests::wait_for;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use vitalsign::logs::Output;
use vitalsign::trace::{AsParent as _, Status};
use vitalsign::{SpanExt as _, traced};

/// Another layer, which wants everything.
#[derive(Clone, Default)]
struct Other(Arc<Mutex<Vec<&'static str>>>);

impl<S: Subscriber> tracing_subscriber::Layer<S> for Other {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == module_path!() {
            self.0.lock().expect("no panic").push(event.metadata().level().as_str());
        }
    }
}

#[traced]
fn outer() {
    tracing::info!("in outer");
    tracing::info_span!("of tracing").in_scope(|| {
        tracing::warn!(n = 7, "in the inner span");
        tracing::debug!("not for the logs");
    });
}

#[test]
fn events_reach_the_logs() {
    tests::own_process!();
    let (receiver, lines, other) = (Receiver::start(), Lines::default(), Other::default());
    tracing_subscriber::registry()
        .with(vitalsign::layer())
        .with(other.clone())
        .init();
    tracing::info!("before init()");
    let vitals = vitalsign::builder()
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .variable("OTEL_LOGS_EXPORTER", "console,otlp")
        .variable("OTEL_METRICS_EXPORTER", "none")
        .variable("VITALSIGN_LOG_FORMAT", "json")
        .log_filter("info")
        .admin("off")
        .log_output(Output::Writer(Box::new(lines.clone())))
        .install()
        .expect("vitalsign is installed");
    outer();
    assert!(vitals.flush(Duration::from_secs(10)));
    let trace = receiver.trace("outer", 2);
    let text = lines.text();
    for (message, span) in [("in outer", "outer"), ("in the inner span", "of tracing")] {
        let line = text.lines().find(|line| line.contains(message)).expect("the line");
        let id = &trace.spans.iter().find(|of| of.name == span).expect("the span").span_id;
        assert!(line.contains(&format!("\"span_id\":\"{id}\"")), "{line}");
    }
    assert!(
        !text.contains("not for the logs") && !text.contains("before init()"),
        "{text}"
    );
    assert_eq!(*other.0.lock().expect("no panic"), ["INFO", "INFO", "WARN", "DEBUG"]);
    wait_for("the record over OTLP", Duration::from_secs(20), || {
        let received = receiver.received();
        let mut records = received
            .logs
            .iter()
            .flat_map(|request| &request.resource_logs)
            .flat_map(|resource| &resource.scope_logs)
            .flat_map(|scope| &scope.log_records);
        records
            .find(|record| record.span_id.len() == 8 && record.severity_text == "WARN")
            .map(|_| ())
    });
    // The filter changes while it runs, here as well.
    vitals.logs().expect("logs").set_filter("debug").expect("a filter");
    outer();
    assert!(vitals.flush(Duration::from_secs(10)));
    let text = lines.text();
    assert!(text.contains("not for the logs"), "{text}");
}

/// What `OpenTelemetry` knows of a span and `tracing` does not, of spans that the layer records.
#[test]
fn spans_of_the_layer_have_their_other_side() {
    tests::own_process!();
    let receiver = Receiver::start();
    // The layer of a subscriber that is not the process's is none of ours, whatever ids its spans have.
    let (elsewhere, unknown) = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let span = tracing::info_span!("elsewhere");
        (span.context(), tracing::info_span!("unknown"))
    });
    assert!(elsewhere.is_none());
    tracing_subscriber::registry().with(vitalsign::layer()).init();
    let vitals = vitalsign::builder()
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .variable("OTEL_METRICS_EXPORTER", "none")
        .variable("VITALSIGN_LOG_FORMAT", "off")
        .admin("off")
        .install()
        .expect("vitalsign is installed");
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = vec![("traceparent".to_owned(), traceparent.to_owned())];
    let span = tracing::info_span!("job");
    span.set_parent(&headers);
    span.add_link(&headers);
    span.set_attribute("n", 7);
    span.set_status(Status::Error("no".to_owned()));
    unknown.set_attribute("n", 8);
    assert!(unknown.context().is_none());
    let context = span.context().expect("ours");
    assert_eq!(span.as_parent(), Some(context.clone()));
    span.in_scope(outer);
    drop(span);
    assert!(vitals.flush(Duration::from_secs(10)));
    let trace = receiver.trace("job", 3);
    let job = trace.span("job");
    assert_eq!(job.span_id, context.span_id.to_string());
    assert_eq!((&*job.parent_id, job.flags), ("b7ad6b7169203331", 0x301));
    assert_eq!((job.links.len(), job.attribute("n")), (1, "7"));
    assert_eq!((job.status, &*job.message), (StatusCode::Error, "no"));
    assert_eq!(trace.span("outer").parent_id, job.span_id);
}
