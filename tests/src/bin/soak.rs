//! Mixed load against a collector that comes and goes: memory and threads stay flat, and every span is accounted for.
//!
//! `cargo run --release -p tests --bin soak -- --minutes 60 [--outage SECONDS] [--rate SPANS_PER_SECOND]`
//! With `--outage` the collector is away once, that long, instead of flapping. `VITALSIGN_SPOOL_DIR` is obeyed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What stands between a collector that answers well and nobody.
struct Collector {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Collector {
    fn start(address: SocketAddr, bytes: &Arc<AtomicU64>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, bytes) = (Arc::clone(&stop), Arc::clone(bytes));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (stopping, bytes) = (Arc::clone(&stopping), Arc::clone(&bytes));
                std::thread::spawn(move || stream.map(|stream| serve(&stream, &stopping, &bytes)));
            }
        });
        Ok(Self { address, stop })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: &TcpStream, stop: &AtomicBool, bytes: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        if stop.load(Ordering::SeqCst) {
            // It went away with the request in its hands.
            return None;
        }
        bytes.fetch_add(length, Ordering::Relaxed);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

#[vitalsign::traced(fields(n = n))]
#[vitalsign::counted(name = "soak.work")]
#[vitalsign::timed]
fn work(n: u64) -> Result<u64, std::num::TryFromIntError> {
    inner(n);
    if n.is_multiple_of(97) {
        tracing::info!(n, "one of many");
    }
    u8::try_from(n % 300).map(u64::from)
}

#[vitalsign::traced]
fn inner(n: u64) -> u64 {
    n ^ 1
}

/// Resident kilobytes and threads.
fn footprint() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    (field("VmRSS:"), field("Threads:"))
}

fn option(name: &str) -> Option<f64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)?.parse().ok()
}

fn main() {
    let whole =
        Duration::from_secs_f64(option("--minutes").map_or_else(|| option("--seconds").unwrap_or(60.0), |m| m * 60.0));
    let outage = option("--outage").map(Duration::from_secs_f64);
    let rate = option("--rate").unwrap_or(10_000.0);
    let bytes = Arc::new(AtomicU64::new(0));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut collector = Some(Collector::start(any, &bytes).expect("a port"));
    let address = collector.as_ref().expect("it runs").address;
    let vitals = vitalsign::builder()
        .otlp_endpoint(format!("http://{address}"))
        .variable("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .variable("OTEL_LOGS_EXPORTER", "otlp")
        .variable("VITALSIGN_ADMIN", "127.0.0.1:0")
        .shutdown_timeout(Duration::from_secs(30))
        .install()
        .expect("installed");
    let start = Instant::now();
    let (mut calls, mut slowest, mut early, mut most) = (0_u64, Vec::new(), (0, 0), (0, 0));
    let mut next_look = whole.mul_f64(0.2);
    while start.elapsed() < whole {
        let elapsed = start.elapsed();
        // Two spans a call.
        let due = (elapsed.as_secs_f64() * rate / 2.0) as u64;
        while calls < due {
            let begun = Instant::now();
            let _ = work(calls);
            slowest.push(u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
            calls += 1;
        }
        if slowest.len() > 1_000_000 {
            slowest.drain(..500_000);
        }
        let away = match outage {
            Some(outage) => elapsed > whole.mul_f64(0.25) && elapsed < whole.mul_f64(0.25) + outage,
            None => elapsed.as_secs() % 8 >= 5,
        };
        if away {
            collector = None;
        } else if collector.is_none() {
            collector = Collector::start(address, &bytes).ok();
        }
        if elapsed > next_look {
            if early == (0, 0) {
                early = footprint();
            }
            let now = footprint();
            most = (most.0.max(now.0), most.1.max(now.1));
            next_look = elapsed + whole.mul_f64(0.05);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if collector.is_none() {
        collector = Collector::start(address, &bytes).ok();
    }
    vitals.flush(Duration::from_secs(60));
    let traces = vitals.report().traces;
    drop(collector);
    slowest.sort_unstable();
    let p99 = slowest.get(slowest.len() * 99 / 100).copied().unwrap_or(0);
    let recorded = calls * 2;
    let accounted = traces.delivered + traces.rejected + traces.dropped + traces.pending;
    println!(
        "recorded {recorded} = delivered {} + rejected {} + dropped {} + pending {}; memory {} kB early, {} kB at most; threads {} early, {} at most; \
         p99 of a call {p99} ns; {} bytes received",
        traces.delivered,
        traces.rejected,
        traces.dropped,
        traces.pending,
        early.0,
        most.0,
        early.1,
        most.1,
        bytes.load(Ordering::Relaxed)
    );
    let mut wrong = Vec::new();
    if recorded != accounted {
        wrong.push(format!("{recorded} recorded, {accounted} accounted for"));
    }
    if std::env::var_os("VITALSIGN_SPOOL_DIR").is_some() && traces.delivered != recorded {
        wrong.push("with a spool nothing is to be lost".to_owned());
    }
    if most.0 > early.0 * 3 / 2 + 16_384 {
        wrong.push("memory grows".to_owned());
    }
    if most.1 > early.1 + 8 {
        wrong.push("threads grow".to_owned());
    }
    if !wrong.is_empty() {
        eprintln!("{}", wrong.join("; "));
        std::process::exit(1);
    }
}
