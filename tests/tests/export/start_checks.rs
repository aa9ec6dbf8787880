//! What cannot work is said at the start, once, with its variable and what to write instead.

use std::process::Command;
use std::time::Duration;
use tests::otlp::Receiver;
use tests::process::Process;

fn program(variables: &[(&str, &str)]) -> Command {
    let mut command = tests::process::command(env!("CARGO_BIN_EXE_export_program"));
    command
        .env("VITALSIGN_ADMIN", "off")
        .env("VITALSIGN_LOG_FORMAT", "json")
        .envs(variables.iter().copied());
    command
}

/// Standard output and error of the program under these variables.
fn run(variables: &[(&str, &str)]) -> String {
    let output = program(variables).arg("3").output().expect("it runs");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The messages of warnings and errors.
fn said(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["level"] == "WARN" || line["level"] == "ERROR")
        .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn what_is_not_supported_is_said_once_each() {
    let output = run(&[
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_CONFIG_FILE", "/etc/otel.yaml"),
        ("OTEL_ENTITIES", "service{service.name=a}"),
        ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://zipkin:9411/api/v2/spans"),
        ("OTEL_PROPAGATORS", "tracecontext,xray,ottrace"),
    ]);
    let said = said(&output);
    for word in [
        "OTEL_CONFIG_FILE",
        "OTEL_ENTITIES",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "xray",
        "ottrace",
    ] {
        let of_it: Vec<_> = said.iter().filter(|message| message.contains(word)).collect();
        assert_eq!(of_it.len(), 1, "{word}: {output}");
        assert!(of_it[0].contains("not supported"), "{word}: {}", of_it[0]);
    }
    let exporter = run(&[("OTEL_TRACES_EXPORTER", "zipkin")]);
    let of_zipkin: Vec<_> = exporter.lines().filter(|line| line.contains("zipkin")).collect();
    assert_eq!(of_zipkin.len(), 1, "{exporter}");
    assert!(
        of_zipkin[0].contains("OTEL_TRACES_EXPORTER") && of_zipkin[0].contains("not supported"),
        "{exporter}"
    );
}

#[test]
fn a_collector_that_refuses() {
    let endpoint = format!("http://127.0.0.1:{}", tests::free_port());
    let output = run(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint)]);
    let said = said(&output);
    assert_eq!(said.len(), 1, "{output}");
    for part in ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint, "refused"] {
        assert!(said[0].contains(part), "{part}: {}", said[0]);
    }
}

#[test]
fn a_port_for_grpc_spoken_to_in_http() {
    let receiver = Receiver::start();
    let output = run(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &receiver.grpc()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ]);
    let said = said(&output);
    // The check at the start; and the sender, once where it reads frames of HTTP/2 before it asked and once where after.
    assert!(said.len() <= 3, "{output}");
    for part in [
        "gRPC",
        "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ] {
        assert!(said.iter().any(|message| message.contains(part)), "{part}: {output}");
    }
}

/// Before anything is sent.
#[test]
fn a_port_for_grpc_is_seen_at_the_start() {
    let receiver = Receiver::start();
    let mut command = program(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.grpc()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ]);
    let process = Process::start(command.args(["0", "wait"]));
    let warning = process.line("a warning", Duration::from_secs(20), |line| {
        line.contains("\"WARN\"").then(|| line.to_owned())
    });
    assert!(warning.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), "{warning}");
}

#[test]
fn a_port_for_http_spoken_to_in_grpc() {
    let receiver = Receiver::start();
    let output = run(&[
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &receiver.http()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    let said = said(&output);
    assert!(!said.is_empty(), "{output}");
    assert!(
        said.iter()
            .any(|message| message.contains("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")),
        "{output}"
    );
}

#[test]
fn a_start_that_failed_can_be_tried_again() {
    tests::own_process!();
    let failed = vitalsign::builder().admin("off").include_health_check("nope").install();
    let error = failed.expect_err("there is no such check").to_string();
    assert!(error.contains("nope"), "{error}");
    let vitals = vitalsign::builder()
        .admin("127.0.0.1:0")
        .install()
        .expect("the second is right");
    assert!(vitals.admin_addr().is_some());
}
