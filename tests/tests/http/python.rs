//! A neighbour under the OpenTelemetry SDK for Python, called by us and calling us: one trace.

use axum::Router;
use axum::routing::get;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tests::live::live;
use vitalsign::http::{ReqwestTracing, layer};

/// What the neighbour needs, from `PyPI`.
const PACKAGES: [&str; 2] = ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"];

/// A Python that has them: `python-otel`, as `.ci/run` makes it, else one of our own in the target folder.
fn python() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-otel/bin/python");
    let known = std::env::split_paths(&path).map(|place| place.join("python-otel"));
    if let Some(found) = known.chain([ours.clone()]).find(|program| has_packages(program)) {
        return Some(found);
    }
    let folder = ours.parent()?.parent()?;
    let made = run(Command::new("python3").args(["-m", "venv"]).arg(folder))
        && run(Command::new(&ours)
            .args(["-m", "pip", "install", "--quiet", "--timeout", "20"])
            .args(PACKAGES));
    if made && has_packages(&ours) {
        return Some(ours);
    }
    let required = std::env::var("VITALSIGN_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
    assert!(
        !required,
        "no Python with {PACKAGES:?}, and VITALSIGN_REQUIRE_SERVERS=1"
    );
    eprintln!("skipped: no Python with {PACKAGES:?}, and none could be made");
    None
}

fn has_packages(python: &Path) -> bool {
    run(Command::new(python).args([
        "-c",
        "import opentelemetry.sdk.trace, opentelemetry.exporter.otlp.proto.http.trace_exporter",
    ]))
}

fn run(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Ends when its input is closed.
struct Neighbour(Child);

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn start(python: &Path, collector: &str) -> (Neighbour, String) {
    use std::io::BufRead as _;
    let script = tests::process::workspace().join("tests/python/neighbour.py");
    let mut command = tests::process::command(python);
    let mut child = command
        .arg(script)
        .arg(collector)
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the neighbour starts");
    let stdout = child.stdout.take().expect("its output");
    let mut line = String::new();
    std::io::BufReader::new(stdout)
        .read_line(&mut line)
        .expect("its first line");
    let port = line.trim().strip_prefix("listening ").expect("its port");
    let url = format!("http://127.0.0.1:{port}");
    (Neighbour(child), url)
}

#[vitalsign::traced(name = "ask_neighbour")]
async fn ask(url: String) -> String {
    let client =
        reqwest_middleware::ClientBuilder::new(reqwest::Client::builder().no_proxy().build().expect("a client"))
            .with(ReqwestTracing::new())
            .build();
    let answer = client.get(url).timeout(Duration::from_secs(20)).send().await;
    answer.expect("an answer").text().await.expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_through_both() {
    tests::own_process!();
    let Some(python) = python() else { return };
    let live = live();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ours = listener.local_addr().expect("an address");
    let router = Router::new()
        .route("/items/{id}", get(|| async { "teapot" }))
        .layer(layer());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (neighbour, url) = start(&python, &live.receiver.http());
    assert_eq!(ask(format!("{url}/relay?url=http://{ours}/items/7")).await, "teapot");
    drop(neighbour);
    let outline = tokio::task::spawn_blocking(|| live.outline("ask_neighbour", 5)).await;
    assert_eq!(
        outline.expect("the trace"),
        "\
ask_neighbour
  GET
    neighbour: GET /relay
      GET
        tests: GET /items/{id}
"
    );
}
