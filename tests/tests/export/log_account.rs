//! What became of log records that came faster than they could be encoded, or while lines could not be written: the report, the
//! metrics and the receiver agree.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::otlp::Receiver;

const RECORDS: u64 = 200_000;

/// Four threads log at once, then the process ends; what the receiver has, and what the end said.
fn flood(queue: &str) -> (u64, Result<vitalsign::Report, vitalsign::Report>, tests::page::Page) {
    let receiver = Receiver::start();
    let vitals = vitalsign::builder()
        .admin("127.0.0.1:0")
        .drain_delay(Duration::ZERO)
        .shutdown_timeout(Duration::from_secs(120))
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .variable("OTEL_TRACES_EXPORTER", "none")
        .variable("OTEL_METRICS_EXPORTER", "prometheus")
        .variable("OTEL_LOGS_EXPORTER", "otlp")
        .variable("OTEL_BLRP_MAX_QUEUE_SIZE", queue)
        .install()
        .expect("it starts");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..RECORDS / 4 {
                    tracing::info!(n, "flood");
                }
            });
        }
    });
    assert!(vitals.flush(Duration::from_secs(120)));
    let page = tests::page::get(&format!("http://{}/metrics", vitals.admin_addr().expect("an address")));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ended = runtime.block_on(vitals.shutdown()).map_err(|error| error.report());
    (flooded(&receiver) as u64, ended, page)
}

/// How many records of the flood have arrived.
fn flooded(receiver: &Receiver) -> usize {
    let received = receiver.received();
    let requests = received.logs.iter().flat_map(|request| &request.resource_logs);
    let records = requests
        .flat_map(|resource| &resource.scope_logs)
        .map(|scope| &scope.log_records);
    let arrived = records.map(|records| {
        records
            .iter()
            .filter(|record| format!("{:?}", record.body).contains("flood"))
            .count()
    });
    arrived.sum()
}

#[test]
fn what_there_is_no_room_for_is_in_the_report() {
    tests::own_process!();
    let (arrived, ended, page) = flood("2048");
    let report = ended.expect_err("not everything arrived").logs;
    assert!(arrived < RECORDS, "{report:?}");
    assert_eq!((report.pending, report.rejected), (0, 0), "{report:?}");
    // Besides what was logged there are a few lines of our own.
    let own = (report.delivered + report.dropped).checked_sub(RECORDS);
    assert!(own.is_some_and(|own| own < 20), "{report:?}");
    assert!(report.delivered - arrived < 20, "{arrived} of {report:?}");
    let full = page.sum(
        "otel_sdk_processor_log_processed_total",
        &[("error_type", "queue_full")],
    );
    assert_eq!(full, report.dropped as f64, "{report:?}");
}

#[test]
fn a_longer_queue_takes_them_all() {
    tests::own_process!();
    let (arrived, ended, page) = flood("1000000");
    let lost = page.sum("vitalsign_logs_lost_total", &[]);
    assert_eq!((arrived, lost), (RECORDS, 0.0), "{ended:?}");
    assert_eq!(ended.expect("everything arrived").logs.dropped, 0);
}

/// An output that takes nothing, as a pipe that nobody reads.
struct Stuck;

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        loop {
            std::thread::park();
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_is_stuck_holds_up_neither_records_nor_the_end() {
    const TIMEOUT: Duration = Duration::from_secs(10);
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = vitalsign::builder()
        .admin("off")
        .drain_delay(Duration::ZERO)
        .shutdown_timeout(TIMEOUT)
        .log_output(vitalsign::logs::Output::Writer(Box::new(Stuck)))
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .variable("OTEL_METRICS_EXPORTER", "otlp")
        .variable("OTEL_LOGS_EXPORTER", "otlp,console")
        .install()
        .expect("it starts");
    for n in 0..100 {
        tracing::info!(n, "flood");
    }
    tests::wait_for("the records", Duration::from_secs(20), || {
        (flooded(&receiver) == 100).then_some(())
    });
    tracing::info!("flood, the last");
    let metrics = receiver.received().metrics.len();
    let began = Instant::now();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ended = runtime.block_on(vitals.shutdown());
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
    ended.expect("everything that is sent has arrived");
    assert_eq!(flooded(&receiver), 101);
    assert!(receiver.received().metrics.len() > metrics, "the last push");
}

#[test]
fn lines_during_the_end_are_no_loss() {
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = vitalsign::builder()
        .admin("off")
        .drain_delay(Duration::ZERO)
        .log_output(vitalsign::logs::Output::Writer(
            Box::new(tests::lines::Lines::default()),
        ))
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .variable("OTEL_METRICS_EXPORTER", "none")
        .variable("OTEL_LOGS_EXPORTER", "otlp,console")
        .install()
        .expect("it starts");
    tracing::info!("flood, the first");
    let stop = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                tracing::info!("still here");
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let ended = runtime.block_on(vitals.shutdown());
        stop.store(true, Ordering::Relaxed);
        ended
    });
    let report = ended.expect("what was logged before has arrived");
    assert!(report.logs.delivered > 1, "{report:?}");
    assert_eq!(flooded(&receiver), 1);
}
