//! What a log line costs its caller: a disabled one, and a JSON line beside tracing-subscriber's formatter.
//!
//! The loops of one round are timed; between rounds the writer catches up, untimed, so that nothing is lost.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};
use tracing_subscriber::layer::SubscriberExt as _;

const LINES: u32 = 2000;
const ROUNDS: usize = 101;

fn line(n: u32) {
    tracing::info!(
        order.id = n,
        gift = true,
        channel = "web",
        total = 49.99,
        "order placed"
    );
}

fn disabled(n: u32) {
    tracing::debug!(order.id = n, "never seen");
}

/// The lower quartile of the rounds, for a busy machine only adds, in nanoseconds a line.
fn measure(f: fn(u32), between: impl Fn()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for n in 0..LINES {
                f(black_box(n));
            }
            let nanos = start.elapsed().as_nanos() as f64 / f64::from(LINES);
            between();
            nanos
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 4]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let peer = tracing_subscriber::registry().with(tracing_subscriber::fmt::layer().json().with_writer(io::sink));
    let peer = tracing::subscriber::with_default(peer, || measure(line, || ()));

    let vitals = vitalsign::builder()
        .variable("OTEL_TRACES_EXPORTER", "none")
        .variable("VITALSIGN_LOG_FORMAT", "json")
        .admin("off")
        .log_output(vitalsign::logs::Output::Writer(Box::new(io::sink())))
        .install()?;
    let logs = vitals.logs().ok_or("logs are on")?;
    let flush = || assert!(logs.flush(Instant::now() + Duration::from_secs(10)));
    let ours = measure(line, flush);
    let off = measure(disabled, || ());
    let bare = measure(
        |n| {
            black_box(n);
        },
        || (),
    );
    assert!(logs.stats().lost.is_empty(), "{:?}", logs.stats());
    println!("tracing-subscriber JSON line  {peer:8.1} ns");
    println!(
        "vitalsign JSON line           {ours:8.1} ns   {:.2} of it (bar 0.33)",
        ours / peer
    );
    println!(
        "a disabled line               {:8.1} ns   over an empty loop (bar 1)",
        off - bare
    );
    Ok(())
}
