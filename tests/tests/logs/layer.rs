//! `vitalsign::layer()` under a Registry of the program's own: its events reach our logs, with the ids of their trace and through our
//! filter, and the other layers see what they saw before.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::lines::Lines;
use tests::otlp::Receiver;
use tests::wait_for;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use vitalsign::logs::Output;
use vitalsign::traced;

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
