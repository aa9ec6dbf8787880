//! What health logs: a line in a span of its own per transition, none per quiet probe, and once that a check is slow.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use vitalsign::health::{CheckOptions, Engine, Probe, check_fn};

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

static SPANS: AtomicU64 = AtomicU64::new(0);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "vitalsign::health"
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Text(format!("span {}", attributes.metadata().name()));
        attributes.record(&mut text);
        self.0.lock().unwrap().push(text.0);
        Id::from_u64(SPANS.fetch_add(1, Ordering::SeqCst) + 1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn one_line_and_one_span_per_transition() {
    tests::own_process!();
    let heard = Heard::default();
    tracing::subscriber::set_global_default(heard.clone()).unwrap();
    let take = || std::mem::take(&mut *heard.0.lock().unwrap());
    let engine = Engine::new();
    let up = Arc::new(AtomicBool::new(true));
    let check = {
        let up = up.clone();
        check_fn(move || {
            let up = up.load(Ordering::SeqCst);
            async move {
                if up {
                    Ok(())
                } else {
                    Err("redis://:hunter2@cache refused")
                }
            }
        })
    };
    let options = CheckOptions::new().cache(Duration::ZERO);
    let _cache = engine.register_with("cache", options, check).unwrap();
    drop(engine.probe(Probe::Ready).await);
    // The engine answers before it tells.
    let first = tests::wait_for("the first line", Duration::from_secs(10), || {
        Some(take()).filter(|lines| !lines.is_empty())
    });
    assert_eq!(
        first,
        ["INFO message=health phase phase=\"ready\""],
        "that it is up from the start is no news"
    );
    for _ in 0..10 {
        drop(engine.probe(Probe::Ready).await);
    }
    assert_eq!(take(), Vec::<String>::new(), "a quiet probe is quiet");
    up.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        drop(engine.probe(Probe::Ready).await);
    }
    assert_eq!(
        take(),
        [
            "span health.transition check=\"cache\" from=\"up\" to=\"down\"",
            "ERROR message=health check is down check=\"cache\" from=\"up\" to=\"down\" reason=\"redis://***@cache refused\"",
        ]
    );
    up.store(true, Ordering::SeqCst);
    drop(engine.probe(Probe::Ready).await);
    assert_eq!(
        take(),
        [
            "span health.transition check=\"cache\" from=\"down\" to=\"up\"",
            "INFO message=health check is up check=\"cache\" from=\"down\" to=\"up\"",
        ]
    );
    let slow = check_fn(|| async { tokio::time::sleep(Duration::from_millis(60)).await });
    let options = CheckOptions::new()
        .cache(Duration::ZERO)
        .timeout(Duration::from_millis(100));
    let _slow = engine.register_with("slow", options, slow).unwrap();
    for _ in 0..3 {
        drop(engine.probe(Probe::Ready).await);
    }
    let lines = take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN message=health check is slow"), "{lines:?}");
}
