//! A program as users write them, for the tests of what leaves it: calls as often as it is told, ends as it is told, and says what
//! became of everything.
//!
//! `export_program CALLS [panic|wait|relay|signal|patient]`; `relay` says what calls under a parent from elsewhere write into headers,
//! `signal` sends itself SIGTERM and ends beside it, `patient` has no limit to what it waits for

use std::collections::HashMap;
use std::time::Duration;

/// Work.
#[vitalsign::traced]
#[vitalsign::counted(name = "program.work")]
#[vitalsign::timed]
fn work(n: u64) -> u64 {
    if n.is_multiple_of(10) {
        tracing::info!(n, "ten more");
    }
    n + 1
}

/// The headers of a call made here.
fn headers() -> String {
    let mut headers = HashMap::new();
    vitalsign::current().inject(&mut headers);
    let mut lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    lines.sort();
    lines.join(" ")
}

#[vitalsign::observed(name = "relayed", counted(in_flight), traced(parent = from))]
fn relayed(from: &HashMap<String, String>) -> String {
    nested()
}

#[vitalsign::observed]
fn nested() -> String {
    std::thread::scope(|_| vitalsign::thread::spawn(headers).join()).unwrap_or_default()
}

#[vitalsign::observed(name = "relayed.later", traced(parent = from))]
async fn relayed_later(from: &HashMap<String, String>) -> Result<String, std::fmt::Error> {
    tokio::task::yield_now().await;
    let found = vitalsign::spawn(async { headers() }).await.unwrap_or_default();
    println!("later {found}");
    Err(std::fmt::Error)
}

fn relay() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let trace = pair("traceparent", "00-12345678901234567890123456789012-1234567890123456-01");
    let from = HashMap::from([trace, pair("tracestate", "a=1"), pair("baggage", "tenant=acme")]);
    println!("relayed {}", relayed(&from));
    println!("alone {}", relayed(&HashMap::from([pair("baggage", "tenant=acme")])));
    println!("nothing {}", relayed(&HashMap::new()));
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
        let _ = runtime.block_on(relayed_later(&from));
    }
    println!("after {}", headers());
}

/// SIGTERM to this process, and time for it to arrive.
fn terminate() {
    let pid = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-TERM", &pid]).status();
    std::thread::sleep(Duration::from_millis(300));
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let calls: u64 = arguments.next().and_then(|calls| calls.parse().ok()).unwrap_or(10);
    let end = arguments.next();
    let end = end.as_deref();
    let timeout = if end == Some("patient") {
        Duration::MAX
    } else {
        Duration::from_secs(5)
    };
    let builder = vitalsign::builder()
        .shutdown_timeout(timeout)
        .drain_delay(Duration::ZERO);
    let vitals = match builder.handle_signals(end == Some("signal")).install() {
        Ok(vitals) => vitals,
        Err(error) => {
            println!("refused: {error}");
            std::process::exit(3);
        }
    };
    if let Some(address) = vitals.admin_addr() {
        println!("admin {address}");
    }
    for n in 0..calls {
        work(n);
    }
    match end {
        Some("panic") => panic!("on purpose"),
        Some("relay") => relay(),
        Some("signal") => terminate(),
        Some("patient") => {
            println!("flushed {}", vitals.flush(Duration::MAX));
            work(calls);
        }
        Some("wait") => std::thread::sleep(Duration::from_secs(3600)),
        _ => {
            vitals.flush(Duration::from_secs(5));
            println!("{:?}", vitals.report());
        }
    }
}
