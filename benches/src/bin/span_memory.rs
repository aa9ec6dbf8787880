//! Promise: memory is flat over ten million spans, and open spans are bounded only by what the program holds open.
//!
//! `cargo run --release -p benches --bin span_memory [-- --millions 10] [--rate 200000]`: a minute at that rate; 0 is as fast as two
//! threads go, where what does not fit the rings is dropped and counted.
//!
//! Two threads open and close spans at the rate, in trees of ten, exported over OTLP to a receiver in the same process that throws
//! them away. After each million: the memory in use, the slots of the store, and what became of the spans. At the end 100,000
//! spans are held open at once, closed, and another million follows: the store's slots must be used again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use vitalsign::traced;

const THREADS: u64 = 2;
const TREE: u64 = 10;
const OPEN: usize = 100_000;

fn argument(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[traced(fields(n = n))]
fn leaf(n: u64) -> u64 {
    std::hint::black_box(n)
}

#[traced]
fn tree(n: u64) -> u64 {
    (1..TREE).map(|leaf_of| leaf(n + leaf_of)).sum()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (millions, rate) = (argument("--millions", 10), argument("--rate", 200_000));
    let vitals = vitalsign::builder()
        .admin("off")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver()?)
        .variable("OTEL_METRICS_EXPORTER", "none")
        .install()?;
    println!(
        "{:>12} {:>10} {:>9} {:>12} {:>9}",
        "spans", "kB in use", "slots", "handed over", "dropped"
    );
    let mut first = 0;
    for million in 1..=millions {
        run(1_000_000, rate);
        let kilobytes = show(&format!("{million} million"));
        if million == 1 {
            first = kilobytes;
        }
        if million == millions {
            println!(
                "from the first million to the last: {:+} kB",
                kilobytes as i64 - first as i64
            );
        }
    }
    let open: Vec<_> = (0..OPEN).map(|_| tracing::info_span!("held")).collect();
    show("100,000 open");
    drop(open);
    run(1_000_000, rate);
    show("closed + 1 m");
    drop(vitals);
    Ok(())
}

/// So many spans, at that rate.
fn run(spans: u64, rate: u64) {
    const BURST: u64 = 100;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let start = Instant::now();
                for burst in 0..spans / THREADS / TREE / BURST {
                    if rate > 0 {
                        let due =
                            start + Duration::from_secs_f64((burst * BURST * TREE * THREADS) as f64 / rate as f64);
                        std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    }
                    for n in 0..BURST {
                        std::hint::black_box(tree(thread + n));
                    }
                }
            });
        }
    });
}

/// Prints a line and returns the memory in use, in kB.
fn show(label: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    let spans = vitalsign::diagnostics();
    println!(
        "{label:>12} {kilobytes:>10} {:>9} {:>12} {:>9}",
        spans.slots, spans.delivered, spans.dropped_ring
    );
    kilobytes
}

/// Answers every request with 200 and forgets it.
fn receiver() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let text = line.trim_end().to_ascii_lowercase();
            if let Some(value) = text.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if text.is_empty() {
                break;
            }
        }
        std::io::copy(&mut (&mut requests).take(length), &mut std::io::sink())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")?;
    }
}
