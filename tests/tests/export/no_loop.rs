//! What our own exporting and serving says and does makes no telemetry, or it would feed itself: with everything on that can be on,
//! the number of spans and records settles.

use std::process::Command;
use std::time::Duration;
use tests::otlp::Receiver;
use tests::process::Process;
use tests::wait_for;

fn settles(protocol: &str, endpoint: impl FnOnce(&Receiver) -> String) {
    let receiver = Receiver::start();
    let program = Process::start(
        Command::new(env!("CARGO_BIN_EXE_export_program"))
            .args(["1", "wait"])
            .env("RUST_LOG", "trace")
            .env("VITALSIGN_TRACE_FILTER", "trace")
            .env("VITALSIGN_SPAN_EVENTS", "on")
            .env("VITALSIGN_ADMIN", "127.0.0.1:0")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint(&receiver))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_LOGS_EXPORTER", "otlp,console")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "100")
            .env("OTEL_BSP_SCHEDULE_DELAY", "20")
            .env("OTEL_BLRP_SCHEDULE_DELAY", "20"),
    );
    let page = wait_for("the admin server", Duration::from_secs(20), || {
        let lines = program.lines();
        let line = lines.iter().find_map(|line| line.strip_prefix("admin "))?;
        Some(format!("http://{line}/metrics"))
    });
    wait_for("the span", Duration::from_secs(20), || {
        receiver.spans().iter().any(|span| span.name == "work").then_some(())
    });
    // Metrics leave all the time: so many rounds of exporting and scraping, none of which may leave a trace.
    let rounds = |more: usize| {
        let until = receiver.received().metrics.len() + more;
        wait_for("metrics", Duration::from_secs(20), || {
            assert_eq!(tests::http::get(&page).expect("a page").status, 200);
            (receiver.received().metrics.len() >= until).then_some(())
        });
    };
    rounds(3);
    let records = || receiver.received().logs.len();
    // On a machine that builds beside, a request may time out once, which is said; what feeds itself never settles.
    let settled = (0..5).any(|_| {
        let before = records();
        rounds(10);
        records() == before
    });
    assert!(settled, "{:#?}", receiver.received().logs.last());
    let spans = receiver.spans();
    assert_eq!(spans.len(), 1, "{spans:#?}");
}

#[test]
fn over_http() {
    settles("http/protobuf", Receiver::http);
}

#[test]
fn over_grpc() {
    settles("grpc", Receiver::grpc);
}
