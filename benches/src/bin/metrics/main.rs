//! Promises of the metrics: what a counter and a histogram cost a call, alone and with a second thread on the same call site,
//! beside the peers; the page of 100 000 series; recording beside a scrape; memory of a series; short threads.
//!
//! `cargo run --release -p benches --features peers --bin metrics` prints a table of each. With words only the calls whose names
//! have one of them; `-- page`, `-- beside`, `-- memory`, `-- threads` for one of the other parts. The method for calls is in `measure`; every
//! adapter asserts that it recorded what it was given.

#[path = "../calls/metrics.rs"]
mod families;
mod large;
#[path = "../calls/ours.rs"]
#[allow(dead_code, reason = "spans are measured by `calls`")]
mod ours;
mod peers;
mod plain;

use benches::measure::Case;

pub(crate) use benches::wrapped::{body, consume, ready};

#[global_allocator]
static ALLOCATOR: benches::allocations::Counting = benches::allocations::Counting;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, rest @ ..] = args.as_slice()
        && flag == "--part"
    {
        return large::part(rest);
    }
    let part = |name| args.is_empty() || args.iter().any(|arg| arg == name);
    if !matches!(
        args.first().map(String::as_str),
        Some("page" | "beside" | "memory" | "threads")
    ) {
        let mut cases: Vec<Case> = plain::CASES.to_vec();
        cases.extend(families::CASES);
        cases.extend(peers::CASES);
        benches::measure::main("Counters and timers", &cases);
    }
    if part("page") {
        large::pages();
    }
    if part("beside") {
        large::beside();
    }
    if part("memory") {
        large::memory();
    }
    if part("threads") {
        large::threads();
    }
}
