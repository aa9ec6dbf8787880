//! A log sink that is full, closed or slow: the service goes on, ends as it should, and the loss is counted by level.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::{http, page, wait_for};

const LIMIT: Duration = Duration::from_secs(20);
/// The program's drain delay and time-out together, and some room.
const DEADLINE: Duration = Duration::from_secs(18);

struct Service {
    child: Child,
    url: String,
    admin: String,
}

impl Service {
    /// Its standard output goes there.
    fn start(output: Stdio, level: &str) -> Self {
        let mut command = tests::process::command(env!("CARGO_BIN_EXE_serve_program"));
        let mut child = command
            .env("VITALSIGN_ADMIN", "127.0.0.1:0")
            .env("VITALSIGN_LOG_FORMAT", "json")
            .env("RUST_LOG", level)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its error output")).lines();
        let mut address = |name: &str| {
            let line = lines.next().expect("a line").expect("text");
            let address = line.strip_prefix(name).unwrap_or_else(|| panic!("{name} in {line}"));
            format!("http://{}", address.trim())
        };
        let (url, admin) = (address("listening"), address("admin"));
        Self { child, url, admin }
    }

    fn ask(&self, path: &str) {
        let answer = http::get(&format!("{}{path}", self.url)).expect("an answer");
        assert_eq!(answer.status, 200);
    }

    /// Lines that were lost for that reason, of that level.
    fn lost(&self, reason: &str, level: &str) -> f64 {
        let page = page::get(&format!("{}/metrics", self.admin));
        page.sum("vitalsign_logs_lost_total", &[("reason", reason), ("level", level)])
    }

    /// SIGTERM, and the exit in time.
    fn end(&mut self) {
        let asked = Instant::now();
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(told.expect("kill runs").success());
        let status = wait_for("the end", LIMIT, || self.child.try_wait().ok().flatten());
        assert!(status.success(), "{status}");
        assert!(asked.elapsed() < DEADLINE, "{:?}", asked.elapsed());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn one_that_is_full() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let mut service = Service::start(full.into(), "info");
    for _ in 0..20 {
        service.ask("/loud/5");
    }
    wait_for("the loss", LIMIT, || {
        let lost = |level| service.lost("write", level);
        (lost("info") >= 100.0 && lost("error") >= 20.0).then_some(())
    });
    assert_eq!(service.lost("write", "debug"), 0.0, "never logged, never lost");
    service.ask("/work/1");
    service.end();
}

#[test]
fn one_that_is_closed() {
    let mut service = Service::start(Stdio::piped(), "info");
    drop(service.child.stdout.take());
    for _ in 0..20 {
        service.ask("/loud/5");
    }
    wait_for("the loss", LIMIT, || {
        (service.lost("write", "info") >= 100.0 && service.lost("write", "error") >= 20.0).then_some(())
    });
    service.ask("/work/1");
    service.end();
}

#[test]
fn one_that_nobody_reads() {
    let mut service = Service::start(Stdio::piped(), "debug");
    // More than the pipe and the queue hold.
    for _ in 0..40 {
        service.ask("/loud/1000");
    }
    let (debug, info) = (service.lost("queue_full", "debug"), service.lost("queue_full", "info"));
    assert!(debug > 0.0 && info > 0.0, "{debug} {info}");
    assert!(debug >= info, "the unimportant go first: {debug} {info}");
    assert_eq!(service.lost("queue_full", "error"), 0.0, "errors go last");
    service.ask("/work/1");
    service.end();
}

#[test]
fn one_that_is_read_late_has_whole_lines() {
    let mut service = Service::start(Stdio::piped(), "debug");
    for _ in 0..40 {
        service.ask("/loud/1000");
    }
    let output = service.child.stdout.take().expect("its output");
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        lines
            .map(|line| {
                let line: serde_json::Value =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                line
            })
            .collect::<Vec<_>>()
    });
    service.end();
    let lines = reader.join().expect("whole lines");
    let errors = lines.iter().filter(|line| line["message"] == "an error").count();
    assert_eq!(errors, 40, "no error is lost");
    let told = lines.iter().filter(|line| line["target"] == "vitalsign::logs");
    assert!(told.count() >= 1, "a line says that lines are missing");
}
