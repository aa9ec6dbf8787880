//! Health from an attribute to a probe: one process with its admin server, asked over HTTP.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tests::http::{self, Response};
use vitalsign::health::{CheckOptions, check_fn};
use vitalsign::{HealthCheck, HealthStatus, Vitals, health_check};

static DB_IS_UP: AtomicBool = AtomicBool::new(true);
static CACHED_RUNS: AtomicUsize = AtomicUsize::new(0);

#[health_check(cache = "20ms")]
async fn db() -> Result<(), String> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    if DB_IS_UP.load(Ordering::SeqCst) {
        Ok(())
    } else {
        Err("no answer from postgres://app:hunter2@db/orders".to_owned())
    }
}

#[health_check(liveness, startup, name = "threads", blocking)]
fn enough_threads() -> bool {
    std::thread::sleep(Duration::from_millis(1));
    true
}

#[health_check(readiness, cache = "1s")]
async fn counted() {
    std::future::ready(()).await;
    CACHED_RUNS.fetch_add(1, Ordering::SeqCst);
}

struct Pool;

impl HealthCheck for Pool {
    async fn check(&self) -> HealthStatus {
        HealthStatus::up().with("connections", 3)
    }
}

struct Mailer {
    host: &'static str,
}

async fn ping(mailer: &Mailer) -> Result<(), std::io::Error> {
    std::future::ready(()).await;
    Err(std::io::Error::other(format!("{} does not answer", mailer.host)))
}

#[derive(HealthCheck)]
struct Backends<P> {
    #[health(readiness, timeout = "2s")]
    primary: P,
    #[health(liveness)]
    replica: Option<std::sync::Arc<P>>,
    #[health(readiness, critical = false, check = ping)]
    mailer: Mailer,
    #[health(skip)]
    #[allow(dead_code)]
    config: String,
    #[health]
    more: More,
}

struct More {
    well: bool,
}

#[health_check(critical = false)]
impl More {
    #[check(startup)]
    async fn migrated(&self) -> bool {
        std::future::ready(self.well).await
    }
    #[check]
    fn quick(&self) -> bool {
        self.well
    }
}

fn vitals() -> (&'static Vitals, String) {
    static VITALS: OnceLock<Vitals> = OnceLock::new();
    let vitals = VITALS.get_or_init(|| {
        let vitals = vitalsign::builder()
            .admin("127.0.0.1:0")
            .variable("OTEL_TRACES_EXPORTER", "none")
            .include_health_check("dependency.wanted")
            .install()
            .unwrap();
        // The linker drops a library of which nothing is used.
        assert!(tests_dependency::wanted());
        let backends = Backends {
            primary: Pool,
            replica: Some(std::sync::Arc::new(Pool)),
            mailer: Mailer { host: "mail.internal" },
            config: String::new(),
            more: More { well: true },
        };
        vitals.register_health("backends", backends).unwrap();
        // The first round of checks has to end before the process counts as started.
        let base = format!("http://{}", vitals.admin_addr().unwrap());
        let end = Instant::now() + Duration::from_secs(10);
        while get(&base, "/readyz").status != 200 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        vitals
    });
    let base = format!("http://{}", vitals.admin_addr().unwrap());
    (vitals, base)
}

fn get(base: &str, path: &str) -> Response {
    http::get(&format!("{base}{path}")).unwrap()
}

#[test]
fn attributes_and_derives_stand_in_the_probes() {
    tests::own_process!();
    let (_, base) = vitals();
    let ready = get(&base, "/readyz?verbose");
    let names = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("[+]") || line.starts_with("[-]"));
        let mut names: Vec<_> = lines
            .map(|line| line[3..].split(' ').next().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(ready.status, 200, "{}", ready.text());
    let wanted = [
        "backends.mailer",
        "backends.more.quick",
        "backends.primary",
        "counted",
        "db",
        "dependency.wanted",
    ];
    assert_eq!(names(&ready.text()), wanted);
    assert!(
        ready
            .text()
            .contains("[+]backends.mailer ok: degraded: mail.internal does not answer"),
        "{}",
        ready.text()
    );
    let live = get(&base, "/livez?verbose");
    assert_eq!(names(&live.text()), ["backends.replica", "threads"]);
    let startup = get(&base, "/startupz?verbose");
    assert_eq!(names(&startup.text()), ["backends.more.migrated", "threads"]);
    let all = get(&base, "/healthz?verbose");
    assert!(
        all.text().contains("[ ]dependency.unwanted not asked"),
        "{}",
        all.text()
    );
    assert_eq!(get(&base, "/readyz/backends").status, 200);
    assert_eq!(get(&base, "/readyz/backends.primary").text(), "ok");
    assert_eq!(get(&base, "/readyz/dependency.unwanted").status, 404);
}

#[test]
fn a_dependency_that_is_down() {
    tests::own_process!();
    let (_, base) = vitals();
    DB_IS_UP.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(30));
    let ready = get(&base, "/readyz");
    let (text, live, one) = (
        ready.text(),
        get(&base, "/livez").status,
        get(&base, "/readyz/db").status,
    );
    DB_IS_UP.store(true, Ordering::SeqCst);
    assert_eq!((ready.status, live, one), (503, 200, 503));
    // The caller is on loopback, so it reads the reason; the password it does not.
    assert!(
        text.contains("[-]db failed: no answer from postgres://***@db/orders"),
        "{text}"
    );
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    assert_eq!(ready.header("x-content-type-options"), Some("nosniff"));
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(get(&base, "/readyz").status, 200);
    let page = get(&base, "/metrics").text();
    for series in [
        r#"health_check_status{check="db",probe="readiness"} 1"#,
        r#"health_check_status{check="backends.mailer",probe="readiness"} 0.5"#,
        r#"health_check_transitions_total{check="db",to="down"} 1"#,
        r#"health_check_duration_seconds_count{check="db"}"#,
        "health_ready 1",
    ] {
        assert!(page.contains(series), "{series} in\n{page}");
    }
}

#[test]
fn hostile_requests_are_refused_and_survived() {
    tests::own_process!();
    let (_, base) = vitals();
    let long = "x".repeat(5_000);
    for path in [
        format!("/readyz?{long}"),
        "/readyz?exclude=%zz".into(),
        format!("/readyz?{}", "a&".repeat(500)),
        format!("/readyz/{long}"),
        "/readyz/%ff".into(),
    ] {
        let status = get(&base, &path).status;
        assert!((400..500).contains(&status), "{status} for {path:.40}");
    }
    // So many that the server gives up on it: an answer of 4xx, or a closed connection.
    let many: Vec<_> = (0..2_000).map(|n| (format!("x-{n}"), long.clone())).collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    if let Ok(response) = http::get_with(&format!("{base}/readyz"), &many) {
        assert!((400..500).contains(&response.status), "{}", response.status);
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(
            http::request(method, &format!("{base}/readyz"), &[], &[])
                .unwrap()
                .status,
            405
        );
    }
    assert_eq!(
        http::request("HEAD", &format!("{base}/readyz"), &[], &[]).unwrap().body,
        b""
    );
    assert_eq!(get(&base, "/livez").status, 200);
}

/// One that asks the very probe it is part of, over HTTP.
#[test]
fn a_check_that_calls_its_own_probe_costs_itself() {
    tests::own_process!();
    let (_, base) = vitals();
    let url = format!("{base}/readyz");
    let recursive = check_fn(move || {
        let url = url.clone();
        async move { http::get(&url).is_ok_and(|response| response.status == 200) }
    });
    let options = CheckOptions::new().blocking().cache(Duration::from_millis(1));
    let held = vitalsign::health::engine()
        .register_with("recursive", options, recursive)
        .unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        let ready = get(&base, "/readyz?verbose");
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
        assert_eq!(ready.status, 503);
        assert!(
            ready.text().contains("[+]db ok") && ready.text().contains("[-]recursive failed"),
            "{}",
            ready.text()
        );
        assert_eq!(get(&base, "/livez").status, 200);
    }
    drop(held);
    assert_eq!(get(&base, "/readyz").status, 200);
}

/// Ten thousand a second is the bench's; here as many as the machine does, for a second and a half.
#[test]
fn a_cached_check_runs_at_most_once_per_cache_time() {
    tests::own_process!();
    let (_, base) = vitals();
    let before = CACHED_RUNS.load(Ordering::SeqCst);
    let start = Instant::now();
    let probes: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut probes = 0;
                    while start.elapsed() < Duration::from_millis(1500) {
                        let answer = get(&base, "/readyz?verbose");
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        probes += 1;
                    }
                    probes
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    let runs = CACHED_RUNS.load(Ordering::SeqCst) - before;
    assert!(
        runs <= 1 + start.elapsed().as_secs() as usize,
        "{runs} runs for {probes} probes"
    );
    assert!(runs >= 1 && probes > 100, "{runs} runs for {probes} probes");
}
