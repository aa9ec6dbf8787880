//! The example service as a user runs it: one order followed through the spans of both processes, the pages, the probes and the
//! logs.

use super::ORDER;
use std::process::Command;
use std::time::Duration;
use tests::otlp::Receiver;
use tests::process::{Process, build};
use tests::span::{SpanKind, StatusCode, Trace};
use tests::{http, page};

const LIMIT: Duration = Duration::from_secs(30);

struct Service {
    process: Process,
    collector: Receiver,
    orders: String,
    orders_admin: String,
    inventory_admin: String,
}

/// Starts it without visitors. Its spans come to a collector of ours because the example forwards them.
fn start() -> Service {
    let collector = Receiver::start();
    let mut command = Command::new(build("orders"));
    command
        .args(["--quiet", "--host", "0.0.0.0", "--port", "0"])
        .env(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("{}/v1/traces", collector.http()),
        )
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .env("VITALSIGN_ADMIN", "127.0.0.1:0")
        .env("VITALSIGN_LOG_FORMAT", "json")
        .env_remove("RUST_LOG");
    let process = Process::start(&mut command);
    let address = |name: &'static str| {
        process.line(name, LIMIT, |line| {
            let mut words = line.split_whitespace();
            let named = words.next() == Some(name.split(' ').next()?) && line.contains(name.split(' ').next_back()?);
            words.find(|word| named && word.starts_with("http://")).map(|url| {
                let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
                format!("http://{host}")
            })
        })
    };
    let orders = address("orders /orders");
    let orders_admin = address("orders /metrics");
    let inventory_admin = address("inventory /metrics");
    Service {
        process,
        collector,
        orders,
        orders_admin,
        inventory_admin,
    }
}

fn order(service: &Service, item: &str, quantity: u32, channel: &str) -> http::Response {
    let body = format!(r#"{{"item":"{item}","quantity":{quantity},"channel":"{channel}","email":"ada@example.com"}}"#);
    let headers = [("Content-Type", "application/json")];
    http::request("POST", &format!("{}/orders", service.orders), &headers, body.as_bytes()).expect("an answer")
}

#[test]
fn one_order_through_every_signal() {
    let mut service = start();
    tests::wait_for("the shop to be ready", LIMIT, || {
        http::get(&format!("{}/readyz", service.orders_admin))
            .ok()
            .filter(|answer| answer.status == 200)
    });
    let placed = order(&service, "teapot", 1, "phone");
    assert_eq!(placed.status, 201, "{}", placed.text());

    let trace = service.collector.trace("POST /orders", 9);
    spans_of_both_processes(&trace);
    pages(&service);
    probes(&service);
    logs(&service, &trace);

    errors(&service);

    let inventory = children_of(service.process.id());
    assert!(service.process.terminate(Duration::from_secs(20)).success());
    tests::wait_for("the inventory to end", LIMIT, || {
        inventory.iter().all(|id| !runs(*id)).then_some(())
    });
}

fn spans_of_both_processes(trace: &Trace) {
    assert_eq!(trace.outline(), format!("{ORDER}    send_confirmation\n"));
    let (client, server) = (trace.span("POST"), trace.span("POST /items/{item}/take"));
    assert_eq!((client.service.as_str(), client.kind), ("orders", SpanKind::Client));
    assert_eq!((server.service.as_str(), server.kind), ("inventory", SpanKind::Server));
    assert!(
        client.start <= server.start && server.end <= client.end,
        "one machine, one clock"
    );
    assert_eq!(trace.span("place_order").attribute("order.channel"), "Phone");
    assert_eq!(
        trace.span("place_order").attribute("code.function.name"),
        "orders::shop::place_order"
    );
    assert!(trace.spans.iter().all(|span| span.status != StatusCode::Error));
}

fn pages(service: &Service) {
    let orders = page::get(&format!("{}/metrics", service.orders_admin));
    let placed = |channel, outcome| orders.sum("orders_placed_total", &[("channel", channel), ("outcome", outcome)]);
    assert_eq!(placed("phone", "ok"), 1.0, "{}", orders.text);
    assert_eq!(placed("web", "ok"), 0.0);
    // Known before the first call.
    let labels = [("channel", "partner"), ("outcome", "cancelled")];
    assert_eq!(
        orders.value("orders_placed_total", &labels),
        Some(0.0),
        "{}",
        orders.text
    );
    let durations = [("function", "place_order"), ("outcome", "ok")];
    assert_eq!(
        orders.sum("function_duration_seconds_count", &durations),
        1.0,
        "{}",
        orders.text
    );

    let inventory = page::get(&format!("{}/metrics", service.inventory_admin));
    let taken = [("item", "teapot"), ("outcome", "ok")];
    assert_eq!(inventory.sum("items_taken_total", &taken), 1.0, "{}", inventory.text);
}

/// The customer's mistake is no failure; a shelf that is empty is one, and says which.
fn errors(service: &Service) {
    assert_eq!(order(service, "unicorn", 1, "web").status, 404);
    // No way to another path of the inventory.
    for item in ["teapot/take?", "../items/teapot", ".."] {
        assert_eq!(order(service, item, 1, "phone").status, 404, "{item}");
    }
    assert_eq!(order(service, "cup", 1000, "partner").status, 409);
    let page = page::get(&format!("{}/metrics", service.orders_admin));
    let placed = |labels| page.sum("orders_placed_total", labels);
    assert_eq!(placed(&[("channel", "web"), ("outcome", "ok")]), 1.0, "{}", page.text);
    assert_eq!(
        placed(&[("channel", "partner"), ("outcome", "error"), ("error_type", "SoldOut")]),
        1.0,
        "{}",
        page.text
    );
    let failed = tests::wait_for("the failed order's span", LIMIT, || {
        service
            .collector
            .spans()
            .into_iter()
            .find(|span| span.name == "place_order" && span.message == "sold out")
    });
    assert_eq!(
        (failed.status, failed.attribute("error.type")),
        (StatusCode::Error, "SoldOut")
    );
}

fn probes(service: &Service) {
    for admin in [&service.orders_admin, &service.inventory_admin] {
        for path in ["livez", "readyz", "startupz", "healthz"] {
            let answer = http::get(&format!("{admin}/{path}")).expect("an answer");
            assert_eq!(answer.status, 200, "{admin}/{path}: {}", answer.text());
        }
    }
    let verbose = http::get(&format!("{}/readyz?verbose", service.orders_admin))
        .expect("an answer")
        .text();
    assert!(
        verbose.contains("shop.store") && verbose.contains("shop.stock"),
        "{verbose}"
    );
}

fn logs(service: &Service, trace: &Trace) {
    let span = trace.span("place_order");
    let line = service.process.line("log line of the order", LIMIT, |line| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        line.contains("order placed").then_some(record)
    });
    let text = line.to_string();
    assert!(text.contains(&span.trace_id) && text.contains(&span.span_id), "{text}");
}

/// A port that was asked for and is taken ends the program, with what asked for it and what to write instead.
#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let orders = |port: &str, admin: &str| {
        let output = Command::new(build("orders"))
            .args(["--quiet", "--port", port])
            .env("VITALSIGN_ADMIN", admin)
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = orders("0", &address.to_string());
    let expected =
        format!("orders: VITALSIGN_ADMIN: {address} is taken by another; set VITALSIGN_ADMIN to a free address");
    assert!(said.contains(&expected), "{said}");
    let said = orders(&address.port().to_string(), "127.0.0.1:0");
    let expected = format!(
        "orders: --port {}: taken; end what listens there, or write `--port 0`",
        address.port()
    );
    assert!(said.contains(&expected), "{said}");
}

fn children_of(id: u32) -> Vec<u32> {
    let file = format!("/proc/{id}/task/{id}/children");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

fn runs(id: u32) -> bool {
    std::path::Path::new(&format!("/proc/{id}")).exists()
}
