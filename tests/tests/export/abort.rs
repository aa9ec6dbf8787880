//! A program built with `panic = "abort"`: nothing unwinds and no guard is dropped, so what was recorded leaves in the hook.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};
use tests::otlp::Receiver;

fn run(program: &Path, endpoint: &str) -> Output {
    let mut command = tests::process::command(program);
    command
        .arg("panic")
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
        .output()
        .expect("it runs")
}

#[test]
fn the_hook_flushes_and_does_not_wait_for_the_dead() {
    // Without debug information: the crates are built once more for this.
    let program = tests::process::build_with(
        "tests-abort",
        &[
            "--config",
            "profile.dev.panic='abort'",
            "--config",
            "profile.dev.debug=false",
        ],
    );
    let receiver = Receiver::start();
    let output = run(&program, &format!("{}/v1/traces", receiver.http()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("on purpose"), "the hook before ours has spoken: {said}");
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(output.status.signal(), Some(6), "it aborted: {said}");
    }
    assert_eq!(receiver.spans().len(), 7, "{said}");
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let start = Instant::now();
    run(
        &program,
        &format!("http://{}", silent.local_addr().expect("an address")),
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "one second, and what a busy machine adds"
    );
}
