//! Spans while they are open and what they were busy with, and the limits of one span: as the variables say, read through an
//! independent decoder.

use std::sync::LazyLock;
use std::time::Duration;
use tests::lines::Lines;
use tests::otlp::Receiver;
use tests::wait_for;
use vitalsign::logs::Output;
use vitalsign::traced;

const LIMIT: Duration = Duration::from_secs(30);

struct Live {
    receiver: Receiver,
    vitals: vitalsign::Vitals,
    log: Lines,
}

fn live() -> &'static Live {
    static LIVE: LazyLock<Live> = LazyLock::new(|| {
        let (receiver, log) = (Receiver::start(), Lines::default());
        let vitals = vitalsign::builder()
            .otlp_endpoint(receiver.http())
            .variable("OTEL_METRICS_EXPORTER", "prometheus")
            .variable("VITALSIGN_ADMIN", "127.0.0.1:0")
            .variable("VITALSIGN_SPAN_TIMINGS", "on")
            .variable("VITALSIGN_LONG_SPANS", "300")
            .variable("OTEL_SPAN_EVENT_COUNT_LIMIT", "2")
            .variable("OTEL_SPAN_LINK_COUNT_LIMIT", "1")
            .variable("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5")
            .variable("OTEL_BSP_SCHEDULE_DELAY", "50")
            .variable("OTEL_BSP_MAX_QUEUE_SIZE", "200000")
            .log_output(Output::Writer(Box::new(log.clone())))
            .install()
            .expect("vitalsign is installed");
        Live { receiver, vitals, log }
    });
    &LIVE
}

impl Live {
    fn log(&self) -> String {
        self.log.text()
    }
}

#[traced]
fn works() {
    std::thread::sleep(Duration::from_millis(20));
}

#[traced]
async fn waits() {
    tokio::time::sleep(Duration::from_millis(20)).await;
    works();
}

#[tracing::instrument]
async fn instrumented() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test]
async fn busy_and_idle_are_the_whole_life() {
    tests::own_process!();
    let live = live();
    waits().await;
    instrumented().await;
    live.vitals.flush(LIMIT);
    for (name, busy_at_least, idle_at_least) in [("works", 20, 0), ("waits", 20, 20), ("instrumented", 0, 20)] {
        let trace = live.receiver.trace(name, 1);
        let span = trace.span(name);
        let nanos = |key| span.attribute(key).parse::<u64>().expect("a number");
        let (busy, idle) = (nanos("busy_ns"), nanos("idle_ns"));
        let life = span.end - span.start;
        assert!((busy + idle).abs_diff(life) < 1000, "{name}: {busy} + {idle}, {life}");
        // A sleep is never shorter, but the two clocks are not one.
        assert!(
            busy > 0 && busy >= busy_at_least * 990_000 && idle >= idle_at_least * 990_000,
            "{name}: {busy} {idle}"
        );
    }
}

#[test]
fn what_one_span_may_hold() {
    tests::own_process!();
    let live = live();
    tracing::info_span!("crowded", text = "ännchen").in_scope(|| {
        let current = vitalsign::current();
        let context = current.context().expect("a span");
        for n in 0..7 {
            current.event("event", [("n", n.into())]);
            current.link(&context);
        }
    });
    live.vitals.flush(LIMIT);
    let span = wait_for("the span", LIMIT, || {
        let received = live.receiver.received();
        let spans = received.traces.iter().flat_map(|request| &request.resource_spans);
        let mut spans = spans.flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans);
        spans.find(|span| span.name == "crowded").cloned()
    });
    assert_eq!((span.events.len(), span.dropped_events_count), (2, 5));
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 6));
    let attributes = tests::span::attributes(&span.attributes);
    assert_eq!(attributes["text"], "ännch");
}

#[test]
fn spans_are_told_of_while_they_are_open_and_many_do_no_harm() {
    tests::own_process!();
    let live = live();
    let long = tracing::info_span!("forgotten");
    let id = vitalsign::SpanExt::context(&long).expect("ours").span_id.to_string();
    wait_for("the line", LIMIT, || live.log().contains(&id).then_some(()));
    let open = vitalsign::diagnostics();
    assert!(
        open.open >= 1 && open.oldest_open >= Duration::from_millis(300) && open.told_long >= 1,
        "{open:?}"
    );
    let spans: Vec<_> = (0..100_000).map(|n| tracing::info_span!("left open", n)).collect();
    let diagnostics = vitalsign::diagnostics();
    assert!(diagnostics.open >= 100_001, "{diagnostics:?}");
    let page = tests::page::get(&format!(
        "http://{}/metrics",
        live.vitals.admin_addr().expect("a server")
    ));
    assert!(page.sum("otel_sdk_span_live", &[]) >= 100_001.0);
    assert!(page.sum("vitalsign_span_long_total", &[]) >= 1.0);
    assert!(page.value("vitalsign_span_oldest_age_seconds", &[]).is_some());
    // Others begin and end beside them.
    works();
    // A second look has nothing to add about the first span.
    wait_for("the many", LIMIT, || {
        live.log().contains("more spans have been open").then_some(())
    });
    let lines: Vec<_> = live
        .log()
        .lines()
        .filter(|line| line.contains(&id))
        .map(str::to_owned)
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("forgotten") && lines[0].contains("trace/open.rs"),
        "{}",
        lines[0]
    );
    drop((long, spans));
    let after = vitalsign::diagnostics();
    assert!(after.open < 100, "{after:?}");
    assert!(after.slots >= 100_000);
}

#[test]
fn a_burst_that_is_too_much_is_told() {
    tests::own_process!();
    let live = live();
    // They end faster than they are encoded, on most machines at the first go.
    wait_for("a loss", LIMIT, || {
        let open: Vec<_> = (0..100_000).map(|n| tracing::info_span!("burst", n)).collect();
        drop(open);
        (vitalsign::diagnostics().dropped_ring > 0).then_some(())
    });
    wait_for("the line", LIMIT, || {
        live.log()
            .contains("spans end faster than they are encoded")
            .then_some(())
    });
}
