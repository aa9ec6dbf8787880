//! Promise: ten thousand probes a second over 16 connections, and each cached check runs at most once per cache time.
//!
//! `cargo run --release -p benches --bin health_probes [-- --seconds 10] [--rate 10000]`
//!
//! Latencies count from when a request was due, so that a stall is felt by all that it delays. With `--slow` there is also a check
//! that blocks for 20 ms: those who come while it is asked again wait for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vitalsign::{HealthCheck, HealthStatus, health_check};

const CONNECTIONS: u64 = 16;

static FAST: AtomicU64 = AtomicU64::new(0);
static SLOW: AtomicU64 = AtomicU64::new(0);

#[health_check]
async fn fast() {
    std::future::ready(()).await;
    FAST.fetch_add(1, Ordering::Relaxed);
}

struct Slow;

impl HealthCheck for Slow {
    async fn check(&self) -> HealthStatus {
        SLOW.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
        HealthStatus::up()
    }
}

fn argument(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (seconds, rate) = (argument("--seconds", 10), argument("--rate", 10_000));
    let vitals = vitalsign::builder()
        .admin("127.0.0.1:0")
        .variable("OTEL_TRACES_EXPORTER", "none")
        .install()?;
    if std::env::args().any(|argument| argument == "--slow") {
        vitals.register_health("slow", Slow)?;
    }
    let address = vitals.admin_addr().ok_or("no admin server")?;
    let start = Instant::now() + Duration::from_millis(100);
    let (fast, slow) = (FAST.load(Ordering::Relaxed), SLOW.load(Ordering::Relaxed));
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|n| scope.spawn(move || probe(address, start, n, rate, seconds)))
            .collect();
        let joined = callers
            .into_iter()
            .map(|caller| caller.join().map_err(|_| "a caller panicked".into()));
        joined.collect::<Result<Result<Vec<_>, std::io::Error>, Box<dyn std::error::Error>>>()
    })??
    .concat();
    let took = start.elapsed();
    let (fast, slow) = (FAST.load(Ordering::Relaxed) - fast, SLOW.load(Ordering::Relaxed) - slow);
    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize];
    let per_second = latencies.len() as f64 / took.as_secs_f64();
    println!(
        "{} probes in {took:.1?}: {per_second:.0} a second over {CONNECTIONS} connections",
        latencies.len()
    );
    println!(
        "p50 {:.0?}  p90 {:.0?}  p99 {:.0?}  p99.9 {:.0?}",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(0.999)
    );
    println!("runs of a check cached for 1 s: {fast}; of the slow one: {slow}");
    let most = took.as_secs() + 2;
    assert!(
        fast <= most && slow <= most,
        "a cached check ran more than once per cache time"
    );
    Ok(())
}

/// One connection, kept alive, its share of the requests at their times.
fn probe(
    address: SocketAddr,
    start: Instant,
    n: u64,
    rate: u64,
    seconds: u64,
) -> Result<Vec<Duration>, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let mut latencies = Vec::with_capacity((rate * seconds / CONNECTIONS) as usize);
    let mut line = String::new();
    for request in 0..rate * seconds / CONNECTIONS {
        let due = start + Duration::from_secs_f64((request * CONNECTIONS + n) as f64 / rate as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: probe\r\n\r\n")?;
        let mut length = 0;
        let mut ok = false;
        loop {
            line.clear();
            answers.read_line(&mut line)?;
            let text = line.trim_end();
            ok |= text.starts_with("HTTP/1.1 200");
            if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if text.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body)?;
        assert!(ok, "a probe failed: {}", String::from_utf8_lossy(&body));
        latencies.push(due.elapsed());
    }
    Ok(latencies)
}
