//! Metrics from an attribute to a page: one process with its admin server, read by parsers and a Prometheus that share no code
//! with us.

#![forbid(unsafe_code)]

use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tests::page::{self, Page};
use tests::{http, server};
use vitalsign::metrics::Limited;
use vitalsign::{ErrorLabel, LabelValue, Vitals, counted, observed, timed};

#[derive(Clone, Copy, LabelValue)]
enum Channel {
    Web,
    Shop,
}

#[derive(Debug, ErrorLabel)]
enum OrderError {
    Rejected,
    #[label(outcome = "ok")]
    Repeated,
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for OrderError {}

/// Orders placed, by channel.
#[counted(name = "orders.placed", labels(channel = channel, shop = limit(shop, 2)), in_flight)]
#[timed]
fn place(channel: Channel, shop: &str, ok: Result<(), OrderError>) -> Result<(), OrderError> {
    ok
}

/// Payments.
#[counted(name = "orders.paid")]
fn pay(ok: Result<(), OrderError>) -> Result<(), OrderError> {
    ok
}

#[counted(name = "rows.read", unit = "{row}", by = rows, labels(channel: Channel = channel), outcome = off)]
fn read(channel: Channel, rows: u32) {}

#[counted]
async fn never_called() {}

/// Checking out.
#[observed(name = "checkout")]
fn checkout() {
    std::thread::sleep(Duration::from_millis(2));
}

#[timed(name = "native.latency", native)]
fn native(n: u64) {
    std::thread::sleep(Duration::from_micros(n));
}

vitalsign::metrics! {
    /// Value of placed orders.
    static ORDER_VALUE: Counter<f64, (channel: Channel, shop: Limited<5>)> = "orders.value", unit = "EUR";
    /// Orders seen.
    static SEEN: Counter<u64, (user: Limited<500>, channel: Channel)> = "orders.seen";
    /// Sizes of uploads.
    static UPLOADS: Histogram = "uploads.size", unit = "By", buckets = [10.0, 100.0];
    /// Waiting times.
    static WAITING: Summary = "waiting", unit = "s";
    /// What is deployed.
    static DEPLOYMENT: Info = "deployment";
}

fn vitals() -> (&'static Vitals, String) {
    static VITALS: OnceLock<Vitals> = OnceLock::new();
    let vitals = VITALS.get_or_init(|| {
        let mut registry = prometheus_client::registry::Registry::default();
        let hits: prometheus_client::metrics::counter::Counter =
            prometheus_client::metrics::counter::Counter::default();
        registry.register("foreign_hits", "Hits of another library", hits.clone());
        hits.inc_by(7);
        vitalsign::prometheus::add_registry(Arc::new(registry));
        vitalsign::builder()
            .admin("127.0.0.1:0")
            .service_name("metrics-test")
            .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
            .install()
            .unwrap()
    });
    let url = format!("http://{}/metrics", vitals.admin_addr().unwrap());
    (vitals, url)
}

/// The tests share one process and its counters.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn scrape() -> Page {
    page::get(&vitals().1)
}

#[test]
fn calls_show_on_the_page() {
    tests::own_process!();
    let _one = ONE_AT_A_TIME.lock();
    let before = scrape();
    // Known before the first call.
    let never = [("function", "never_called"), ("module", "metrics::page")];
    for outcome in ["ok", "panic", "cancelled"] {
        let labels = [never[0], never[1], ("outcome", outcome)];
        assert_eq!(
            before.value("function_calls_total", &labels),
            Some(0.0),
            "{}",
            before.text
        );
    }
    // An error that has a name stands there by its name, and one that is no failure does not.
    let paid: Vec<&str> = before
        .text
        .lines()
        .filter(|line| line.starts_with("orders_paid_total"))
        .collect();
    assert_eq!(
        paid,
        [
            "orders_paid_total{outcome=\"ok\"} 0",
            "orders_paid_total{outcome=\"error\",error_type=\"Rejected\"} 0",
            "orders_paid_total{outcome=\"panic\"} 0",
        ]
    );
    assert_eq!(before.value("rows_read_total", &[("channel", "shop")]), Some(0.0));
    assert_eq!(before.value("uploads_size_bytes_count", &[]), Some(0.0));

    place(Channel::Web, "berlin", Ok(())).unwrap();
    place(Channel::Web, "paris", Ok(())).unwrap();
    place(Channel::Shop, "rome", Ok(())).unwrap();
    place(Channel::Shop, "oslo", Err(OrderError::Rejected)).unwrap_err();
    place(Channel::Shop, "rome", Err(OrderError::Repeated)).unwrap_err();
    pay(Err(OrderError::Rejected)).unwrap_err();
    pay(Err(OrderError::Repeated)).unwrap_err();
    read(Channel::Shop, 12);
    read(Channel::Shop, 30);
    ORDER_VALUE.with(Channel::Web, "say \"hi\"\\\n").add(2.5);
    ORDER_VALUE.with(Channel::Web, "x").add(f64::NAN);
    UPLOADS.observe(50.0);
    WAITING.observe(1.0);
    DEPLOYMENT.set([("color", "green")]);

    let page = scrape();
    let placed = |channel, shop, outcome| {
        let labels = [("channel", channel), ("shop", shop), ("outcome", outcome)];
        page.value("orders_placed_total", &labels)
    };
    assert_eq!(placed("web", "berlin", "ok"), Some(1.0), "{}", page.text);
    assert_eq!(placed("web", "paris", "ok"), Some(1.0));
    assert_eq!(placed("shop", "other", "ok"), Some(2.0));
    assert_eq!(placed("shop", "other", "error"), Some(1.0));
    let rejected = [("channel", "shop"), ("error_type", "Rejected")];
    assert_eq!(page.sum("orders_placed_total", &rejected), 1.0, "{}", page.text);
    assert_eq!(
        page.sum("orders_paid_total", &[("error_type", "Rejected")]),
        1.0,
        "{}",
        page.text
    );
    assert_eq!(
        page.sum("orders_paid_total", &[("outcome", "ok")]),
        1.0,
        "{}",
        page.text
    );
    assert_eq!(page.sum("vitalsign_label_overflow_total", &[("label", "shop")]), 3.0);
    assert_eq!(page.value("rows_read_total", &[("channel", "shop")]), Some(42.0));
    assert_eq!(page.sum("orders_placed_in_flight", &[]), 0.0);
    assert_eq!(
        page.value(
            "function_duration_seconds_count",
            &[("function", "place"), ("outcome", "ok")]
        ),
        Some(4.0)
    );
    assert_eq!(
        page.sum("orders_value_EUR_total", &[("channel", "web")]),
        2.5,
        "{}",
        page.text
    );
    assert!(page.text.contains(r#"shop="say \"hi\"\\\n""#), "{}", page.text);
    assert!(page.sum("vitalsign_metrics_dropped_total", &[("reason", "not_finite")]) >= 1.0);
    assert_eq!(page.value("uploads_size_bytes_bucket", &[("le", "100")]), Some(1.0));
    assert_eq!(page.value("foreign_hits_total", &[]), Some(7.0));
    assert_eq!(page.value("deployment_info", &[("color", "green")]), Some(1.0));
    assert_eq!(
        page.value("target_info", &[("service_name", "metrics-test")]),
        Some(1.0)
    );
    assert!(page.value("process_resident_memory_bytes", &[]).unwrap() > 1e6);
    assert!(
        page.text
            .contains("# HELP orders_placed_total Orders placed, by channel."),
        "{}",
        page.text
    );
}

#[test]
fn the_same_numbers_in_each_format() {
    tests::own_process!();
    let _one = ONE_AT_A_TIME.lock();
    let (_, url) = vitals();
    checkout();
    // Of a table that is large enough for its series to have no texts of their own.
    for user in 0..40 {
        let channel = if user % 3 == 0 { Channel::Web } else { Channel::Shop };
        SEEN.with(&format!("\"user\" {user}\\"), channel).add(user);
    }
    let get = |accept: &str| http::get_with(&url, &[("Accept", accept)]).unwrap();
    let open = get("application/openmetrics-text;version=1.0.0");
    assert!(
        open.header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    let open = open.text();
    assert!(open.ends_with("# EOF\n"));
    let text = get("text/plain").text();
    // Samples that stand still between two scrapes, without their examples.
    let samples = |page: &str| -> Vec<String> {
        let mut samples: Vec<_> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter(|line| {
                ["orders", "checkout", "function", "rows"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .map(|line| line.split(" # ").next().unwrap().to_owned())
            .collect();
        samples.sort();
        samples
    };
    assert_eq!(samples(&open), samples(&text));
    assert!(samples(&text).len() > 30);
    let example = open
        .lines()
        .find(|line| line.starts_with("checkout_duration_seconds_bucket") && line.contains(" # {"));
    let example = example.unwrap_or_else(|| panic!("no example in {open}"));
    assert!(
        example.contains("trace_id=\"") && example.contains("span_id=\""),
        "{example}"
    );
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let protobuf = get(protobuf);
    assert_eq!(protobuf.status, 200);
    assert!(protobuf.header("content-type").unwrap().contains("MetricFamily"));
    let messages = page::from_protobuf(&protobuf.body);
    let mut told: Vec<String> = Vec::new();
    for sample in samples(&text) {
        let (series, value) = sample.rsplit_once(' ').unwrap();
        let found: Vec<_> = messages.iter().filter(|(name, _)| name == series).collect();
        assert_eq!(found.len(), 1, "{series}");
        assert_eq!(
            found[0].1.to_bits(),
            value.parse::<f64>().unwrap().to_bits(),
            "{sample}"
        );
        told.push(series.to_owned());
    }
    let untold = |(name, _): &&(String, f64)| name.starts_with("orders_") && !told.contains(name);
    assert_eq!(messages.iter().find(untold), None);
    assert_eq!(
        told.iter()
            .filter(|series| series.starts_with("orders_seen_total"))
            .count(),
        40
    );
}

#[test]
fn hostile_headers_are_answered() {
    tests::own_process!();
    let (_, url) = vitals();
    for accept in ["a/b;q=nan,,,;;;", "*/*;q=0", "\u{ff}\u{fe}", &"x/y;q=1,".repeat(900)] {
        let response = http::get_with(&url, &[("Accept", accept)]);
        if let Ok(response) = response {
            assert!(
                [200, 400, 431].contains(&response.status),
                "{} for {accept:.40}",
                response.status
            );
        }
    }
    assert_eq!(http::get(&url).unwrap().status, 200);
}

#[test]
fn promtool_finds_nothing() {
    tests::own_process!();
    let _one = ONE_AT_A_TIME.lock();
    let Some(promtool) = server::find("promtool") else {
        return;
    };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), scrape().text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said: Vec<_> = String::from_utf8_lossy(&said)
        .lines()
        // A unit of the user's own, and not of Prometheus' list.
        .filter(|line| !line.contains("EUR"))
        .map(str::to_owned)
        .collect();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn prometheus_scrapes_it() {
    tests::own_process!();
    let Some(prometheus) = server::find("prometheus") else {
        return;
    };
    let (_, url) = vitals();
    let folder = server::Folder::new();
    let target = url.trim_start_matches("http://").trim_end_matches("/metrics");
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: us\n  static_configs:\n  - targets: ['{target}']\n"
    );
    std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut child = Command::new(prometheus)
        .arg(format!(
            "--config.file={}",
            folder.path().join("prometheus.yml").display()
        ))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--enable-feature=exemplar-storage,native-histograms")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ask = |path: &str| -> serde_json::Value {
        http::get(&format!("http://127.0.0.1:{port}/api/v1/{path}"))
            .ok()
            .and_then(|response| serde_json::from_str(&response.text()).ok())
            .unwrap_or_default()
    };
    let until = Instant::now() + Duration::from_secs(40);
    let mut seen = (None, None, None);
    while Instant::now() < until && (seen.0.is_none() || seen.1.is_none() || seen.2.is_none()) {
        checkout();
        native(300);
        std::thread::sleep(Duration::from_millis(300));
        let value = &ask("query?query=checkout_calls_total%7Boutcome%3D%22ok%22%7D")["data"]["result"][0]["value"][1];
        seen.0 = value
            .as_str()
            .and_then(|value| value.parse::<f64>().ok())
            .filter(|n| *n > 0.0);
        let native = &ask("query?query=histogram_count(native_latency_seconds%7Boutcome%3D%22ok%22%7D)")["data"]["result"]
            [0]["value"][1];
        seen.1 = native
            .as_str()
            .and_then(|value| value.parse::<f64>().ok())
            .filter(|n| *n > 0.0);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let exemplars = ask(&format!(
            "query_exemplars?query=checkout_duration_seconds_bucket&start={}&end={}",
            now - 300,
            now + 10
        ));
        let trace = &exemplars["data"][0]["exemplars"][0]["labels"]["trace_id"];
        seen.2 = trace.as_str().map(str::to_owned);
    }
    let targets = ask("targets")["data"]["activeTargets"][0]["lastError"].clone();
    let _ = child.kill();
    let _ = child.wait();
    assert!(seen.0.is_some(), "no counter; last error {targets}");
    assert!(seen.1.is_some(), "no native histogram; last error {targets}");
    assert_eq!(
        seen.2.map(|trace| trace.len()),
        Some(32),
        "no example; last error {targets}"
    );
}
