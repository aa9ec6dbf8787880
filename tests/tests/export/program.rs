//! What leaves a whole program, by environment variables alone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};
use tests::http;
use tests::otlp::Receiver;
use tests::process::Process;

const LIMIT: Duration = Duration::from_secs(30);

/// A command that hears nothing but what these tests say to it.
pub(crate) fn command(program: &str) -> Command {
    let mut command = tests::process::command(program);
    command
        .env("VITALSIGN_ADMIN", "127.0.0.1:0")
        .env("VITALSIGN_LOG_FORMAT", "json")
        .env("OTEL_SERVICE_NAME", "program");
    command
}

fn program(calls: u32, variables: &[(&str, &str)]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_export_program"));
    command.arg(calls.to_string()).envs(variables.iter().copied());
    command
}

/// Standard output and error of a program that ended.
fn run(calls: u32, variables: &[(&str, &str)]) -> String {
    let output = program(calls, variables).output().expect("it runs");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn lines<'a>(output: &'a str, part: &str) -> Vec<&'a str> {
    output.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn the_three_signals_over_both_protocols() {
    for protocol in ["http/protobuf", "grpc"] {
        let receiver = Receiver::start();
        let endpoint = if protocol == "grpc" {
            receiver.grpc()
        } else {
            receiver.http()
        };
        let output = run(
            25,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_LOGS_EXPORTER", "otlp,console"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ],
        );
        assert_eq!(receiver.spans().len(), 25, "{protocol}: {output}");
        let arrived = receiver.received();
        let records = arrived
            .logs
            .iter()
            .flat_map(|r| &r.resource_logs)
            .flat_map(|r| &r.scope_logs);
        let ours = records
            .flat_map(|s| &s.log_records)
            .filter(|r| format!("{:?}", r.body).contains("ten more"));
        assert_eq!(ours.count(), 3, "{protocol}: {output}");
        assert_eq!(lines(&output, "ten more").len(), 3, "both outputs: {output}");
        let metrics = arrived
            .metrics
            .iter()
            .flat_map(|r| &r.resource_metrics)
            .flat_map(|r| &r.scope_metrics);
        let names: Vec<_> = metrics.flat_map(|s| &s.metrics).map(|m| m.name.as_str()).collect();
        assert!(names.contains(&"program.work"), "{protocol}: {names:?}");
        assert!(
            names.contains(&"otel.sdk.exporter.span.exported"),
            "{protocol}: {names:?}"
        );
    }
}

#[test]
fn without_a_collector_there_is_one_line_and_no_wait() {
    // Nobody listens on the default port of a test machine; if somebody does, there is nothing to see here.
    if std::net::TcpStream::connect("127.0.0.1:4318").is_ok() {
        return;
    }
    let start = Instant::now();
    let output = run(5, &[]);
    assert!(start.elapsed() < Duration::from_secs(4), "{output}");
    let said = lines(&output, "no collector at");
    assert_eq!(said.len(), 1, "{output}");
    assert!(said[0].contains("\"INFO\"") || said[0].contains("INFO"), "{output}");
    assert!(
        lines(&output, "WARN").is_empty() && lines(&output, "ERROR").is_empty(),
        "{output}"
    );
}

#[test]
fn without_the_collector_that_was_named_there_is_one_warning() {
    let endpoint = format!("http://127.0.0.1:{}", tests::free_port());
    let output = run(5, &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint)]);
    let said = lines(&output, "WARN");
    assert_eq!(said.len(), 1, "{output}");
    assert!(said[0].contains("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), "{output}");
}

/// A collector that answers one request, late; says when it did.
fn slow_collector() -> (String, std::thread::JoinHandle<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let answered = std::thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut head = [0; 1024];
            if stream
                .read(&mut head)
                .is_ok_and(|read| read > 4 && head.starts_with(b"POST"))
            {
                std::thread::sleep(Duration::from_secs(1));
                let answered = Instant::now();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                return answered;
            }
        }
    });
    (url, answered)
}

#[test]
fn who_ends_beside_a_signal_waits_for_what_the_signal_began() {
    let (collector, answered) = slow_collector();
    let mut command = program(5, &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector)]);
    let output = command.arg("signal").output().expect("it runs");
    let ended = Instant::now();
    assert!(answered.join().expect("an answer") < ended, "{output:?}");
}

#[test]
fn a_timeout_may_be_as_long_as_it_likes() {
    let receiver = Receiver::start();
    let mut command = program(5, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http())]);
    let output = command.arg("patient").output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(receiver.spans().len(), 6, "{output:?}");
}

#[test]
fn disabled_nothing_leaves_and_health_stays() {
    let receiver = Receiver::start();
    let mut command = program(
        5,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http()),
            ("OTEL_SDK_DISABLED", "true"),
        ],
    );
    let process = Process::start(command.arg("wait"));
    let admin = process.line("address", LIMIT, |line| line.strip_prefix("admin ").map(str::to_owned));
    let probe = tests::wait_for("a probe", LIMIT, || http::get(&format!("http://{admin}/livez")).ok());
    assert_eq!(probe.status, 200);
    drop(process);
    let arrived = receiver.received();
    assert!(arrived.requests.is_empty(), "{:?}", arrived.requests);
}

#[test]
fn consoles_and_several_exporters_at_once() {
    let receiver = Receiver::start();
    let output = run(
        3,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.http()),
            ("OTEL_TRACES_EXPORTER", "console,otlp"),
            ("OTEL_METRICS_EXPORTER", "console"),
            ("OTEL_LOGS_EXPORTER", "otlp/stdout"),
        ],
    );
    assert_eq!(receiver.spans().len(), 3, "{output}");
    assert!(receiver.received().metrics.is_empty());
    let spans = lines(&output, "\"resourceSpans\"");
    assert_eq!(
        spans
            .iter()
            .map(|line| line.matches("\"spanId\"").count())
            .sum::<usize>(),
        3,
        "{output}"
    );
    let metrics = lines(&output, "\"resourceMetrics\"");
    let logs = lines(&output, "\"resourceLogs\"");
    assert!(!logs.is_empty() && receiver.received().logs.is_empty(), "{output}");
    for line in spans.iter().chain(&metrics).chain(&logs) {
        serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    }
    assert!(metrics.iter().any(|line| line.contains("program.work")), "{output}");
    let none = run(
        3,
        &[("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")],
    );
    assert!(
        lines(&none, "resourceSpans").is_empty() && lines(&none, "WARN").is_empty(),
        "{none}"
    );
}

#[test]
fn what_is_wrong_is_said_once_and_the_service_runs_on() {
    let receiver = Receiver::start();
    let output = run(
        2,
        &[
            (
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                &format!("{}/v1/traces", receiver.http()),
            ),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "no pairs, hunter2"),
            ("OTEL_CONFIG_FILE", "/etc/otel.yaml"),
            ("VITALSIGN_SPOOL_DIR", "/dev/null"),
        ],
    );
    for variable in [
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_CONFIG_FILE",
        "VITALSIGN_SPOOL_DIR",
    ] {
        assert_eq!(lines(&output, variable).len(), 1, "{variable}: {output}");
    }
    assert!(!output.contains("hunter2"), "{output}");
    assert_eq!(receiver.spans().len(), 2, "{output}");
}

/// Whoever asks is answered with this; ends with the process.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                loop {
                    let (mut line, mut length) = (String::new(), 0);
                    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                        let value = line.to_ascii_lowercase();
                        if let Some(value) = value.strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap_or(0);
                        }
                        line.clear();
                    }
                    let mut body = vec![0; length];
                    if length == 0
                        || reader.read_exact(&mut body).is_err()
                        || (&stream).write_all(answer.as_bytes()).is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    format!("http://{address}/v1/traces")
}

#[test]
fn a_cause_is_told_in_one_line_however_often_it_strikes() {
    let partial = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 61\r\n\r\n\
                   {\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"old\"}}";
    for (answer, said, expected) in [
        (
            "HTTP/1.1 400 X\r\ncontent-length: 0\r\n\r\n",
            "answered 400",
            "rejected: 30",
        ),
        (
            "HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "rejected: 30",
        ),
        (
            "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n",
            "answered 503",
            "pending: 30",
        ),
        (partial, "rejected 1 of 1 spans: old", "rejected: 30"),
    ] {
        let output = run(
            30,
            &[
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &answering(answer)),
                ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"),
            ],
        );
        assert_eq!(lines(&output, "WARN").len(), 1, "{output}");
        assert!(lines(&output, "WARN")[0].contains(said), "{said}: {output}");
        assert!(lines(&output, "Report")[0].contains(expected), "{expected}: {output}");
    }
}

#[test]
fn an_admin_port_that_is_taken_is_an_error_that_names_the_variable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(1, &[("VITALSIGN_ADMIN", &address)]);
    assert!(
        output.contains(&format!("refused: VITALSIGN_ADMIN: {address} is taken")),
        "{output}"
    );
}

#[test]
fn a_panic_in_main_flushes() {
    let receiver = Receiver::start();
    let mut command = program(
        7,
        &[(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            &format!("{}/v1/traces", receiver.http()),
        )],
    );
    let status = command.arg("panic").output().expect("it runs").status;
    assert!(!status.success());
    assert_eq!(receiver.spans().len(), 7);
}
