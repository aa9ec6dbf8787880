//! What a log line costs: a disabled one, and a JSON line beside tracing-subscriber's formatter.
//!
//! The loops of one round are timed for the caller; between rounds the writer catches up, so that nothing is lost, and what it takes
//! for that is in the processor time of all threads.

use benches::cpu;
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

/// Nanoseconds a line.
struct Cost {
    /// On the caller's thread.
    caller: f64,
    /// Processor time of all threads.
    all: f64,
}

/// The lower quartile of the rounds, for a busy machine only adds.
fn measure(f: fn(u32), between: impl Fn()) -> Cost {
    let (mut caller, mut all): (Vec<f64>, Vec<f64>) = (0..ROUNDS)
        .map(|_| {
            let (cpu, start) = (cpu::of_process(), Instant::now());
            for n in 0..LINES {
                f(black_box(n));
            }
            let caller = start.elapsed();
            between();
            (a_line(caller), a_line(cpu::of_process().saturating_sub(cpu)))
        })
        .unzip();
    caller.sort_by(f64::total_cmp);
    all.sort_by(f64::total_cmp);
    Cost {
        caller: caller[ROUNDS / 4],
        all: all[ROUNDS / 4],
    }
}

fn a_line(round: Duration) -> f64 {
    round.as_nanos() as f64 / f64::from(LINES)
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
    println!("                                caller   all threads");
    println!("tracing-subscriber JSON line  {:8.1} {:8.1} ns", peer.caller, peer.all);
    println!(
        "vitalsign JSON line           {:8.1} {:8.1} ns   {:.2} of it on the caller (bar 0.33)",
        ours.caller,
        ours.all,
        ours.caller / peer.caller
    );
    println!(
        "a disabled line               {:8.1}          ns   over an empty loop (bar 1)",
        off.caller - bare.caller
    );
    Ok(())
}
