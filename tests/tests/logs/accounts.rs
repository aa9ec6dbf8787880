//! What becomes of log records on their way to a collector is in the report, wherever they are lost.

use std::sync::mpsc;
use std::time::Duration;
use tests::otlp::Receiver;
use vitalsign::logs::Output;

fn builder(receiver: &Receiver) -> vitalsign::Builder {
    vitalsign::builder()
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .variable("OTEL_TRACES_EXPORTER", "none")
        .variable("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
        .admin("off")
}

/// So many records from four threads, faster than anybody encodes them.
fn burst(records: u64) {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..records / 4).for_each(|n| tracing::info!(n, "of many")));
        }
    });
}

/// Everything recorded, and the few lines of the library's own.
fn assert_accounted(logs: vitalsign::Tally, records: u64) {
    let all = logs.delivered + logs.rejected + logs.dropped + logs.pending;
    assert!((records..records + 20).contains(&all), "{all} of {records}: {logs:?}");
}

#[test]
fn what_finds_no_room_is_dropped() {
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = builder(&receiver)
        .variable("OTEL_LOGS_EXPORTER", "otlp")
        .install()
        .expect("installed");
    burst(400_000);
    vitals.flush(Duration::from_secs(20));
    let logs = vitals.report().logs;
    assert_accounted(logs, 400_000);
    assert!(logs.dropped > 0 && logs.pending == 0, "{logs:?}");
}

#[test]
fn what_was_given_room_is_delivered() {
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = builder(&receiver)
        .variable("OTEL_LOGS_EXPORTER", "otlp")
        .variable("OTEL_BLRP_MAX_QUEUE_SIZE", "500000")
        .install()
        .expect("installed");
    burst(200_000);
    vitals.flush(Duration::from_secs(60));
    let logs = vitals.report().logs;
    assert_accounted(logs, 200_000);
    assert_eq!((logs.dropped, logs.pending), (0, 0), "{logs:?}");
}

/// Takes nothing until it is let go.
struct Stuck(mpsc::Receiver<()>);

impl std::io::Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_is_stuck_leaves_time_for_the_collector() {
    tests::own_process!();
    let receiver = Receiver::start();
    let (let_go, held) = mpsc::channel();
    let vitals = builder(&receiver)
        .variable("OTEL_LOGS_EXPORTER", "otlp,console")
        .variable("VITALSIGN_LOG_FORMAT", "json")
        .log_output(Output::Writer(Box::new(Stuck(held))))
        .shutdown_timeout(Duration::from_secs(2))
        .install()
        .expect("installed");
    burst(4000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let error = runtime.block_on(vitals.shutdown()).expect_err("lines wait");
    let report = error.report();
    assert!(report.logs.pending > 0, "{report:?}");
    assert_eq!((report.metrics.pending, report.metrics.dropped), (0, 0), "{report:?}");
    assert!(report.metrics.delivered > 0, "{report:?}");
    drop(let_go);
}
