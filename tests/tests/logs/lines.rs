//! Lines of a real program on its standard output, and the same records at an OTLP receiver.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use tests::otlp::Receiver;

fn program() -> Command {
    let mut command = tests::process::command(env!("CARGO_BIN_EXE_logs_program"));
    command.env("VITALSIGN_ADMIN", "off").env("RUST_BACKTRACE", "0");
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn find<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    let found: Vec<_> = lines.iter().filter(|line| line["message"] == message).collect();
    assert!(
        found.len() <= 2 && !found.is_empty(),
        "{} lines `{message}`",
        found.len()
    );
    found[found.len() - 1]
}

#[test]
fn json_lines_carry_types_errors_scopes_and_the_trace() {
    let lines = parsed(&run(program().env("OTEL_TRACES_EXPORTER", "none")));
    let placing = find(&lines, "placing");
    assert_eq!(placing["level"], "INFO");
    assert_eq!(placing["target"], "logs_program");
    assert_eq!((&placing["order.id"], &placing["gift"]), (&json!(0), &json!(true)));
    assert_eq!(placing["tenant"], "acme");
    assert_eq!(placing["password"], "[redacted]");
    for (key, length) in [("trace_id", 32), ("span_id", 16), ("trace_flags", 2)] {
        let id = placing[key].as_str().unwrap();
        let lowercase_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        assert!(id.len() == length && id.bytes().all(lowercase_hex), "{key}: {id}");
    }
    let from_log = find(&lines, "from the log crate");
    assert_eq!(from_log["level"], "WARN");
    assert_eq!(from_log["span_id"], placing["span_id"]);
    let declined = find(&lines, "card declined");
    assert_eq!(declined["level"], "ERROR");
    assert_eq!(
        declined["error"],
        json!({"message": "card declined", "sources": ["no funds"]})
    );
    assert_eq!(declined["trace_id"], placing["trace_id"]);
    assert_eq!(declined["tenant"], "acme");
    assert!(lines.iter().all(|line| line["message"] != "not seen"));
    let seen = find(&lines, "seen");
    assert_eq!(seen["text"], "a\"b\\c\n\u{1}\u{2028}");
    assert_eq!(seen.get("trace_id"), None);
    let panic = find(&lines, "it broke");
    assert_eq!((&panic["level"], &panic["target"]), (&json!("ERROR"), &json!("panic")));
    assert!(panic["panic.location"].as_str().unwrap().contains("logs_program.rs"));
    assert!(panic["trace_id"].is_string());
}

#[test]
fn a_panic_shows_the_frames_that_std_shows() {
    let of = |wanted| {
        let text = run(program()
            .env("OTEL_TRACES_EXPORTER", "none")
            .env("RUST_BACKTRACE", wanted));
        find(&parsed(&text), "it broke")["exception.stacktrace"].clone()
    };
    let short = of("1");
    let frames: Vec<_> = short
        .as_str()
        .expect("a text")
        .lines()
        .filter(|line| line.contains(": "))
        .collect();
    assert!(frames[0].contains("rust_begin_unwind"), "{frames:#?}");
    assert!(
        frames.iter().any(|frame| frame.contains("logs_program::")),
        "{frames:#?}"
    );
    assert!(
        !frames
            .iter()
            .any(|frame| frame.contains("spawn_unchecked") || frame.contains("vitalsign::logs"))
    );
    let full = of("full");
    let full = full.as_str().expect("a text");
    assert!(
        full.contains("vitalsign::logs") && full.contains("spawn_unchecked"),
        "{full}"
    );
    assert_eq!(of("0"), Value::Null);
}

#[test]
fn pretty_and_off() {
    let pretty = run(program()
        .env("VITALSIGN_LOG_FORMAT", "pretty")
        .env("OTEL_TRACES_EXPORTER", "none"));
    assert!(
        pretty.contains(" INFO logs_program: placing order.id=7 gift=true password=[redacted] tenant=acme"),
        "{pretty}"
    );
    assert!(pretty.contains("caused by: no funds"), "{pretty}");
    assert!(!pretty.contains('\x1b'), "{pretty}");
    let off = run(program()
        .env("VITALSIGN_LOG_FORMAT", "off")
        .env("OTEL_TRACES_EXPORTER", "none"));
    assert_eq!(off, "");
    let filtered = parsed(&run(program()
        .env("RUST_LOG", "error")
        .env("OTEL_TRACES_EXPORTER", "none")));
    assert!(filtered.iter().all(|line| line["message"] != "placing"));
    assert_eq!(find(&filtered, "card declined")["level"], "ERROR");
}

#[test]
fn the_same_records_reach_a_receiver() {
    let receiver = Receiver::start();
    let text = run(program()
        .env("OTEL_LOGS_EXPORTER", "otlp,console")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http()));
    let lines = parsed(&text);
    let received = receiver.received();
    let records: Vec<_> = received
        .logs
        .iter()
        .flat_map(|request| &request.resource_logs)
        .flat_map(|logs| &logs.scope_logs)
        .flat_map(|logs| &logs.log_records)
        .collect();
    let key = |message: &str, span: &str| format!("{message} {span}");
    let written: BTreeSet<String> = lines
        .iter()
        .map(|line| {
            key(
                line["message"].as_str().unwrap_or(""),
                line["span_id"].as_str().unwrap_or(""),
            )
        })
        .collect();
    let received: BTreeSet<String> = records
        .iter()
        .map(|record| {
            let body = record.body.as_ref().map(tests::span::text).unwrap_or_default();
            key(&body, &tests::span::hex(&record.span_id))
        })
        .collect();
    let moments: BTreeSet<_> = records
        .iter()
        .map(|record| (record.time_unix_nano, record.body.as_ref().map(tests::span::text)))
        .collect();
    assert_eq!(moments.len(), records.len(), "no record twice");
    let missing: Vec<_> = written.difference(&received).collect();
    // What is said after the exporter has gone can only be a line.
    assert!(missing.len() <= 1, "{missing:?}");
    let of_orders = records.iter().filter(|record| !record.trace_id.is_empty()).count();
    assert!(of_orders >= 6, "{of_orders}");
}

#[test]
fn what_was_said_before_an_exit_is_written() {
    for (way, code) in [("exit", 3), ("keep", 0), ("after", 0)] {
        let output = program().env("VITALSIGN_LOG_FORMAT", "json").arg(way).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{way}: {text}");
        assert_eq!(find(&parsed(&text), "last words")["level"], "ERROR", "{way}: {text}");
    }
}

/// What is said of ourselves goes to standard error there.
#[test]
fn without_lines_a_standard_error_that_nobody_reads_harms_nobody() {
    let mut child = program()
        .env("VITALSIGN_LOG_FORMAT", "off")
        .env("OTEL_LOG_LEVEL", "debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}
