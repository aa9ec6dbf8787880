//! What users get wrong costs them a line that says so, and the call goes on.

use std::fmt;
use std::net::TcpListener;
use std::process::Output;
use tests::process::build;
use vitalsign::{observed, traced};

/// The README's program under these variables.
fn minimal(variables: &[(&str, &str)]) -> Output {
    let mut command = tests::process::command(build("minimal"));
    command
        .env("VITALSIGN_LOG_FORMAT", "json")
        .envs(variables.iter().copied());
    command.output().expect("it starts")
}

#[test]
fn a_wrong_variable_is_one_warning_and_the_program_runs() {
    let wrong = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "using 2048"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "using"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "using parentbased_always_on"),
        ("OTEL_SDK_DISABLED", "perhaps", "using false"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "using"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "collector:4318",
            "it reads http://HOST:PORT",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "gopher://collector",
            "neither http:// nor https://",
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "http://collector:70000",
            "beyond 65535",
        ),
        ("OTEL_PROPAGATORS", "pigeon", "pigeon"),
        ("VITALSIGN_LOG_FORMAT", "xml", "using"),
        ("VITALSIGN_TAIL", "sometimes", "keeping all traces"),
        ("RUST_LOG", "inof,info", "was `info` meant?"),
    ];
    let mut variables: Vec<_> = wrong.iter().map(|(name, value, _)| (*name, *value)).collect();
    variables.push(("VITALSIGN_ADMIN", "127.0.0.1:0"));
    variables.push(("VITALSIGN_TRACEFILTER", "debug"));
    let output = minimal(&variables);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("grinding").count(), 2, "{text}");
    assert!(
        text.contains("VITALSIGN_TRACEFILTER is no variable that is understood; did you mean VITALSIGN_TRACE_FILTER?"),
        "{text}"
    );
    for (name, value, used) in wrong {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(name)).collect();
        assert!(
            matches!(&*lines, [line] if line.contains(value) && line.contains(used)),
            "{name}: {lines:#?}\n{text}"
        );
    }
}

#[test]
fn of_a_filter_of_spans_holds_what_can_be_understood() {
    let output = minimal(&[
        ("VITALSIGN_TRACE_FILTER", "minimal=debug,app=loud"),
        ("VITALSIGN_ADMIN", "off"),
    ]);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let told = "VITALSIGN_TRACE_FILTER: `app=loud` is no directive of the form `level` or `target=level`; `minimal=debug` holds";
    assert_eq!(text.matches(told).count(), 1, "{text}");
}

#[test]
fn a_taken_port_that_was_asked_for_is_an_error_that_names_its_variable() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let output = minimal(&[("VITALSIGN_ADMIN", &address)]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let said = format!("Error: VITALSIGN_ADMIN: {address} is taken by another; ");
    assert!(text.contains(&said), "{text}");
}

#[test]
fn a_taken_default_port_moves_and_says_so() {
    // Where another program has it, that will do as well; only it may let go of it.
    let held = TcpListener::bind("127.0.0.1:9464");
    let output = minimal(&[]);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    if held.is_ok() {
        assert!(text.contains("127.0.0.1:9464"), "{text}");
    }
}

#[test]
fn a_second_init_is_an_error_and_changes_nothing() {
    let live = tests::live::live();
    let second = vitalsign::init().expect_err("there is one");
    assert!(matches!(second, vitalsign::InitError::Twice), "{second}");
    assert!(second.to_string().contains("already"), "{second}");
    after_the_second();
    live.receiver.trace("after_the_second", 1);
}

#[traced]
fn after_the_second() {}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("as asked")
    }
}

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("as asked")
    }
}

impl std::error::Error for Panics {}

struct Logs;

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("from within a field");
        f.write_str(inner())
    }
}

#[observed]
fn inner() -> &'static str {
    "shown"
}

#[observed(traced(fields(before = 1, ?panics, %logs, after = 2), ret(debug)))]
fn formats(panics: &Panics, logs: &Logs) -> Result<Panics, Panics> {
    let _ = (panics, logs);
    Ok(Panics)
}

#[observed(traced(fields(%panics)))]
async fn formats_later(panics: Panics) -> Result<(), Panics> {
    Err(panics)
}

#[test]
fn a_field_that_panics_or_logs_costs_itself_only() {
    let live = tests::live::live();
    assert!(formats(&Panics, &Logs).is_ok());
    let span = live.receiver.trace("formats", 1).span("formats").clone();
    assert_eq!((span.attribute("before"), span.attribute("after")), ("1", "2"));
    assert_eq!(span.attribute("logs"), "shown");
    assert_eq!(span.attribute("panics"), "<panicked while formatting>");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    assert!(runtime.block_on(formats_later(Panics)).is_err());
    let span = live.receiver.trace("formats_later", 1).span("formats_later").clone();
    assert_eq!(span.attribute("panics"), "<panicked while formatting>");
}
