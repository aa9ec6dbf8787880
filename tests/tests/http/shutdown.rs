//! SIGTERM under load: what is under way ends, and of every request that was answered all spans and lines arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::http;
use tests::otlp::Receiver;
use tests::process::Process;

const LIMIT: Duration = Duration::from_secs(20);
/// `drain_delay` and `shutdown_timeout` of the program, and the requests under way.
const DEADLINE: Duration = Duration::from_secs(12);

#[test]
fn answered_requests_are_not_lost() {
    let receiver = Receiver::start();
    let mut command = tests::process::command(env!("CARGO_BIN_EXE_serve_program"));
    command
        .env("VITALSIGN_ADMIN", "off")
        .env("VITALSIGN_LOG_FORMAT", "json")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .env("OTEL_METRICS_EXPORTER", "none")
        .env("OTEL_LOGS_EXPORTER", "otlp,console");
    let mut process = Process::start(&mut command);
    let address = process.line("address", LIMIT, |line| {
        line.strip_prefix("listening ").map(str::to_owned)
    });

    let answered = Mutex::new(BTreeSet::new());
    let (next, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    let (status, took) = std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    let trace = format!("{:032x}", u128::from(n) << 64 | 0xbeef);
                    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
                    let url = format!("http://{address}/work/{n}");
                    match http::get_with(&url, &[("traceparent", &parent)]) {
                        Ok(answer) => {
                            assert_eq!((answer.status, answer.text()), (200, format!("done {n}")));
                            answered.lock().expect("no panic").insert(trace);
                        }
                        // Refused: it listens no more.
                        Err(_) => std::thread::sleep(Duration::from_millis(10)),
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_secs(1));
        let asked = Instant::now();
        let status = process.terminate(LIMIT);
        let took = asked.elapsed();
        stop.store(true, Ordering::SeqCst);
        (status, took)
    });
    assert!(status.success(), "{status}: {}", process.lines().join("\n"));
    assert!(took < DEADLINE, "{took:?}");

    let answered = answered.into_inner().expect("no panic");
    assert!(answered.len() > 50, "{}", answered.len());
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for span in receiver.spans() {
        names.entry(span.trace_id).or_default().push(span.name);
    }
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    for line in process.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else {
            continue;
        };
        // Who had begun was waited for.
        assert_ne!(line["outcome"], "cancelled", "{line}");
        if let Some(trace) = line["trace_id"].as_str() {
            *written.entry(trace.to_owned()).or_default() += 1;
        }
    }
    let mut exported: BTreeMap<String, usize> = BTreeMap::new();
    for record in receiver
        .received()
        .logs
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|logs| &logs.scope_logs)
        .flat_map(|logs| &logs.log_records)
    {
        *exported.entry(tests::span::hex(&record.trace_id)).or_default() += 1;
    }
    for trace in &answered {
        let mut spans = names.remove(trace).unwrap_or_default();
        spans.sort();
        assert_eq!(spans, ["GET /work/{n}", "work"], "{trace}");
        // What the handler said, and the access line; once each.
        assert_eq!(written.get(trace), Some(&2), "lines of {trace}");
        assert_eq!(exported.get(trace), Some(&2), "records of {trace}");
    }
}
