//! Exporters written for `opentelemetry_sdk`: they get everything a span says, beside our own, and what they do wrong is theirs alone.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData, SpanExporter};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tests::otlp::Receiver;
use vitalsign::traced;

/// Panics while it exports.
#[derive(Debug)]
struct Panics;

impl SpanExporter for Panics {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        panic!("on purpose");
    }
}

/// Says no.
#[derive(Debug)]
struct Fails;

impl SpanExporter for Fails {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("on purpose".to_owned()))
    }
}

/// Never comes back, and makes spans and lines while it goes.
#[derive(Debug)]
struct Blocks(Arc<Mutex<Option<Resource>>>);

impl SpanExporter for Blocks {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        at_work();
        loop {
            std::thread::park();
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        *self.0.lock().expect("no panic") = Some(resource.clone());
    }
}

#[traced]
fn at_work() {
    tracing::info!("exporting");
}

#[traced(kind = client, fields(count = 3, name = "x"))]
fn outer(fail: bool) -> Result<(), std::io::Error> {
    inner();
    if fail {
        Err(std::io::Error::other("it broke"))
    } else {
        Ok(())
    }
}

#[traced]
fn inner() {
    vitalsign::current().event("happened", [("n", 1.into())]);
}

#[test]
fn they_get_what_ours_gets() {
    tests::own_process!();
    let (receiver, memory, resource) = (Receiver::start(), InMemorySpanExporter::default(), Arc::default());
    let vitals = vitalsign::builder()
        .service_name("exported")
        .variable(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("{}/v1/traces", receiver.http()),
        )
        .variable("OTEL_BSP_SCHEDULE_DELAY", "20")
        .variable("OTEL_LOGS_EXPORTER", "none")
        .admin("127.0.0.1:0")
        .span_exporter(Panics)
        .span_exporter(Fails)
        .span_exporter(memory.clone())
        .span_exporter(Blocks(Arc::clone(&resource)))
        .shutdown_timeout(Duration::from_millis(500))
        .install()
        .expect("vitalsign is installed");
    assert!(outer(true).is_err());
    let trace = receiver.trace("outer", 2);
    let spans = tests::wait_for("the spans", Duration::from_secs(20), || {
        let spans = memory.get_finished_spans().expect("spans");
        (spans.len() == 2).then_some(spans)
    });
    let find = |name: &str| spans.iter().find(|span| span.name == name).expect("the span");
    let (one, two) = (find("outer"), find("inner"));
    assert_eq!(two.parent_span_id, one.span_context.span_id());
    let sent = trace.spans.iter().find(|span| span.name == "outer").expect("the span");
    assert_eq!(one.span_context.span_id().to_string(), sent.span_id);
    assert_eq!(one.span_context.trace_id().to_string(), sent.trace_id);
    assert!(one.span_context.is_sampled() && !one.span_context.is_remote() && !one.parent_span_is_remote);
    assert_eq!(
        (&one.span_kind, &one.status),
        (&SpanKind::Client, &Status::error("it broke"))
    );
    assert!(one.attributes.contains(&KeyValue::new("count", 3)));
    assert!(one.attributes.contains(&KeyValue::new("name", "x")));
    assert_eq!(one.instrumentation_scope.name(), module_path!());
    assert!(one.end_time >= two.end_time && two.start_time >= one.start_time);
    assert_eq!(
        (two.events[0].name.as_ref(), &two.events[0].attributes[0]),
        ("happened", &KeyValue::new("n", 1))
    );
    let resource = resource.lock().expect("no panic").clone().expect("a resource");
    assert_eq!(resource.get(&Key::new("service.name")), Some(Value::from("exported")));

    // Those that panic, fail and block cost their own spans; nothing of what they do is recorded.
    for _ in 0..3 {
        let _ = outer(false);
    }
    let page = format!("http://{}/metrics", vitals.admin_addr().expect("an address"));
    tests::wait_for("the losses", Duration::from_secs(20), || {
        let page = tests::page::get(&page);
        let lost = |reason| page.sum("vitalsign_span_exporter_lost_total", &[("reason", reason)]);
        (lost("panicked") >= 2.0 && lost("failed") >= 2.0).then_some(())
    });
    assert!(receiver.spans().iter().all(|span| span.name != "at_work"));
    let began = Instant::now();
    drop(vitals);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "a thread that blocks is not waited for"
    );
    assert!(memory.is_shutdown_called());
}
