//! A request crosses the shop, the inventory, a database and a real Redis to the worker: one trace, and its ids in the lines of
//! both programs.

use super::ORDER;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tests::otlp::Receiver;
use tests::process::{Process, build};
use tests::server::{self, Folder};
use tests::span::{SpanKind, StatusCode};
use tests::{free_port, http, page, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

struct Redis {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Redis {
    fn start() -> Option<Self> {
        let program = server::find("redis-server")?;
        let (folder, port) = (Folder::new(), free_port());
        let child = Command::new(program)
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
            ])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        wait_for("redis", LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(Self {
            child,
            port,
            _folder: folder,
        })
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn length(&self, list: &str) -> u64 {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut connection = client.get_connection().expect("a connection");
        redis::cmd("LLEN").arg(list).query(&mut connection).expect("a length")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str, receiver: &Receiver, redis: &Redis, admin: &str) -> Command {
    let mut command = Command::new(build(name));
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .env("VITALSIGN_ADMIN", admin)
        .env("VITALSIGN_LOG_FORMAT", "json")
        .env("REDIS_URL", redis.url())
        .env_remove("OTEL_SERVICE_NAME")
        .env_remove("RUST_LOG");
    command
}

/// A word of the line of that program that ends like this, without the ending.
fn address(process: &Process, ending: &str) -> String {
    process.line(ending, LIMIT, |line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("orders")).then_some(())?;
        words.next()?.strip_suffix(ending).map(str::to_owned)
    })
}

/// The shop over that Redis, ready to take orders.
struct Shop {
    process: Process,
    url: String,
}

impl Shop {
    fn start(receiver: &Receiver, redis: &Redis) -> Self {
        let mut orders = program("orders", receiver, redis, "127.0.0.1:0");
        let process = Process::start(orders.args(["--quiet", "--port", "0"]));
        let (url, admin) = (address(&process, "/orders"), address(&process, "/metrics"));
        wait_for("the shop to be ready", LIMIT, || {
            http::get(&format!("{admin}/readyz"))
                .ok()
                .filter(|answer| answer.status == 200)
        });
        Self { process, url }
    }

    fn order(&self, email: &str) {
        let body = format!(r#"{{"item":"cup","quantity":1,"channel":"web","email":"{email}"}}"#);
        let headers = [("Content-Type", "application/json")];
        let url = format!("{}/orders", self.url);
        let placed = http::request("POST", &url, &headers, body.as_bytes()).expect("an answer");
        assert_eq!(placed.status, 201, "{}", placed.text());
    }
}

#[test]
fn one_order_from_the_shop_to_the_worker() {
    let Some(redis) = Redis::start() else { return };
    let receiver = Receiver::start();
    let shop = Shop::start(&receiver, &redis);
    shop.order("nowhere");
    shop.order("ada@example.com");
    assert_eq!(redis.length("confirmations"), 2, "nobody works yet");
    // Long enough to be told from no wait at all.
    std::thread::sleep(Duration::from_millis(100));

    let admin = format!("http://127.0.0.1:{}", free_port());
    let mut worker = Process::start(
        program("worker", &receiver, &redis, admin.trim_start_matches("http://")).env("OTEL_SERVICE_NAME", "worker"),
    );
    wait_for("the undeliverable to be laid aside", LIMIT, || {
        (redis.length("confirmations:dead") == 1).then_some(())
    });
    wait_for("the worker to be ready", LIMIT, || {
        http::get(&format!("{admin}/readyz"))
            .ok()
            .filter(|answer| answer.status == 200)
    });
    wait_for("the queue's depth", LIMIT, || {
        let page = page::get(&format!("{admin}/metrics"));
        let depth = page.value("job_queue_depth", &[("messaging_destination_name", "confirmations")]);
        (depth == Some(0.0)).then_some(())
    });
    metrics(&admin);

    // What it did arrives although it ends.
    assert!(
        worker.terminate(Duration::from_secs(20)).success(),
        "{:#?}",
        worker.lines()
    );
    assert_eq!(redis.length("confirmations:held"), 0);
    traces(&receiver, &shop.process, &worker);
}

/// Killed over a job, which the next worker does: the second attempt, in the same trace. The first left no span, as its worker died.
#[test]
fn a_worker_killed_over_a_job() {
    let Some(redis) = Redis::start() else { return };
    let receiver = Receiver::start();
    let shop = Shop::start(&receiver, &redis);
    shop.order("ada@example.com");
    let worker = |millis: &str| {
        let mut command = program("worker", &receiver, &redis, "127.0.0.1:0");
        command.env("OTEL_SERVICE_NAME", "worker").env("MAIL_MILLIS", millis);
        Process::start(&mut command)
    };
    let held = |jobs| {
        wait_for("the job to be held", LIMIT, || {
            (redis.length("confirmations:held") == jobs).then_some(())
        });
    };
    let first = worker("3600000");
    held(1);
    assert_eq!(redis.length("confirmations"), 0);
    // With SIGKILL.
    drop(first);
    assert_eq!(redis.length("confirmations:held"), 1, "nobody else has it");

    let mut second = worker("1");
    second.line("the customer to be told", LIMIT, |line| {
        line.contains("customer told").then_some(())
    });
    held(0);
    assert!(second.terminate(Duration::from_secs(20)).success());
    assert_eq!(
        (redis.length("confirmations"), redis.length("confirmations:dead")),
        (0, 0)
    );
    let spans = wait_for("its span", LIMIT, || {
        let spans = receiver.spans();
        spans
            .iter()
            .any(|span| span.name == "process confirmations")
            .then_some(spans)
    });
    let attempts: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "process confirmations")
        .collect();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].attribute("job.attempt"), "2");
    assert_eq!(attempts[0].status, StatusCode::Unset);
    let sender = wait_for("the sender's span", LIMIT, || {
        let spans = receiver.spans();
        spans.into_iter().find(|span| span.name == "send confirmations")
    });
    assert_eq!(attempts[0].trace_id, sender.trace_id);
    assert_eq!(attempts[0].parent_id, sender.span_id);
}

fn metrics(admin: &str) {
    let page = page::get(&format!("{admin}/metrics"));
    let attempts = |outcome, retry| {
        let labels = [
            ("job_name", "send_confirmation"),
            ("outcome", outcome),
            ("job_retry", retry),
        ];
        page.value("job_attempts_total", &labels)
    };
    assert_eq!(attempts("ok", "false"), Some(1.0));
    assert_eq!(attempts("error", "false"), Some(1.0));
    assert_eq!(attempts("error", "true"), Some(2.0));
    let mine = [("job_name", "send_confirmation")];
    assert_eq!(page.value("job_wait_duration_seconds_count", &mine), Some(4.0));
    let waited = page.value("job_wait_duration_seconds_sum", &mine).expect("waits");
    assert!(waited >= 0.2, "two of them waited 100 ms at least: {waited}");
    let failed = [
        ("messaging_system", "redis"),
        ("messaging_destination_name", "confirmations"),
        ("error_type", "worker::NoSuchMailbox"),
    ];
    let count = page.value("messaging_process_duration_seconds_count", &failed);
    assert_eq!(count, Some(3.0), "{}", page.text);
}

fn traces(receiver: &Receiver, orders: &Process, worker: &Process) {
    let traces = wait_for("two orders of five and seven spans in the worker's", LIMIT, || {
        let spans = receiver.spans();
        let processed = spans.iter().filter(|span| span.name == "process confirmations").count();
        let inventory = spans.iter().filter(|span| span.name == "walk_to_shelf").count();
        (processed == 4 && inventory == 2).then_some(spans)
    });
    let roots: Vec<_> = traces.iter().filter(|span| span.name == "POST /orders").collect();
    assert_eq!(roots.len(), 2);
    let of = |attempts: usize| {
        let found = roots.iter().find_map(|root| {
            let trace = receiver.trace_of(&root.trace_id);
            let processed = trace.spans.iter().filter(|span| span.name == "process confirmations");
            (processed.count() == attempts).then_some(trace)
        });
        found.unwrap_or_else(|| panic!("no order with {attempts} attempts"))
    };
    let expected = format!("{ORDER}    send confirmations\n      worker: process confirmations\n");
    let (told, untold) = (of(1), of(3));
    assert_eq!(told.outline(), expected);
    let sender = told.span("send confirmations");
    let attempt = told.span("process confirmations");
    assert_eq!((sender.kind, attempt.kind), (SpanKind::Producer, SpanKind::Consumer));
    assert_eq!(attempt.links, [(sender.trace_id.clone(), sender.span_id.clone())]);
    assert_eq!(attempt.attribute("messaging.system"), "redis");
    assert_eq!(attempt.status, StatusCode::Unset);

    let again = "      worker: process confirmations\n";
    assert_eq!(untold.outline(), format!("{expected}{again}{again}"));
    let mut attempts: Vec<_> = untold
        .spans
        .iter()
        .filter(|span| span.name == "process confirmations")
        .collect();
    attempts.sort_by_key(|span| span.start);
    for (span, number) in attempts.iter().zip(["1", "2", "3"]) {
        assert_eq!(span.attribute("job.attempt"), number);
        assert_eq!(span.status, StatusCode::Error);
        assert_eq!(span.attribute("error.type"), "worker::NoSuchMailbox");
    }

    for (process, said, span) in [
        (orders, "order placed", told.span("place_order")),
        (worker, "customer told", attempt),
    ] {
        let line = process.line(said, LIMIT, |line| {
            (line.contains(said) && line.contains(&span.trace_id)).then(|| line.to_owned())
        });
        let line: serde_json::Value = serde_json::from_str(&line).expect("a JSON line");
        assert_eq!(line["trace_id"], span.trace_id);
        assert_eq!(line["span_id"], span.span_id);
    }
}
