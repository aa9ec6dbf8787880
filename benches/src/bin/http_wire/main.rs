//! Promise: over the wire, at half the rate that the bare server can take, the layer moves the 99th percentile by at most 10 %.
//!
//! `cargo run --release -p benches --features servers --bin http_wire` (two minutes, on a quiet machine of two cores or more);
//! `--quick` for a look. Both servers are processes of their own on one core, the load comes from another core, on a schedule
//! that no slow answer delays: a latency counts from when its request was due. What the bare server can take is the highest such
//! rate at which its 99th percentile stays within twice that at a light one. The layered server exports as a user's would, its background threads
//! on the same core as its requests; the collector answers at once, on the core of the load. Rounds of both alternate, and the
//! medians of 9 are compared.

mod collector;
mod cores;
mod load;
mod server;

use benches::load::options;
use cores::Cores;
use load::{Latencies, Load};
use server::Server;
use std::time::Duration;

/// Of a round, after its warm-up.
const LEAST_REQUESTS: f64 = 20_000.0;
/// Latency is stable while the 99th percentile is within so many times that of a light load.
const STABLE: f64 = 2.0;

struct Plan {
    rounds: usize,
    round: Duration,
    warm_up: Duration,
    search: Duration,
}

impl Plan {
    fn of_arguments() -> Self {
        if options::flag("--quick") {
            Self {
                rounds: 3,
                round: Duration::from_millis(300),
                warm_up: Duration::from_millis(100),
                search: Duration::from_millis(200),
            }
        } else {
            Self {
                rounds: 9,
                round: Duration::from_secs(4),
                warm_up: Duration::from_millis(500),
                search: Duration::from_secs(1),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if server::served_if_asked()? {
        return Ok(());
    }
    let plan = Plan::of_arguments();
    let cores = Cores::share()?;
    println!("{cores}");
    let mut load = Load::new()?;
    let mut bare = Server::start("bare", &cores, &mut load)?;
    let mut layered = Server::start("layered", &cores, &mut load)?;

    let capacity = capacity(&mut load, &mut bare, &plan)?;
    let rate = capacity / 2.0;
    let round = plan.round.max(if plan.rounds == 9 {
        Duration::from_secs_f64(LEAST_REQUESTS / rate)
    } else {
        Duration::ZERO
    });
    println!(
        "the bare server is stable up to {capacity:.0} requests a second; rounds of {:.1} s at {rate:.0}",
        round.as_secs_f64()
    );

    let (mut without, mut with) = (Vec::new(), Vec::new());
    for number in 0..plan.rounds {
        // Which is first alternates too.
        for turn in 0..2 {
            let plain = (number + turn) % 2 == 0;
            let server = if plain { &mut bare } else { &mut layered };
            load.run(server, rate, plan.warm_up)?;
            let latencies = load.run(server, rate, round)?;
            if plain { &mut without } else { &mut with }.push(latencies);
        }
    }
    let ratio = report(&without, &with);
    let sent = layered.sent;
    let said = layered.end(&mut load)?;
    println!(
        "the layered server answered {sent} requests; {said}; the collector took {}",
        load.collector
    );
    if ratio > 1.1 {
        println!("above the bar");
    }
    Ok(())
}

/// The highest rate at which the latency of the bare server is stable.
fn capacity(load: &mut Load, bare: &mut Server, plan: &Plan) -> std::io::Result<f64> {
    let flat_out = load.flat_out(bare, plan.search)?;
    let light = load.run(bare, flat_out / 10.0, plan.search)?.percentile(99.0);
    println!("one answer after the other: {flat_out:.0} a second; p99 at a tenth of it {light:.1} µs");
    let (mut stable, mut unstable) = (flat_out / 10.0, flat_out * 1.5);
    while unstable > stable * 1.03 {
        let rate = (stable * unstable).sqrt();
        // A neighbour on the machine may spoil a try; no try makes a server faster than it is.
        let holds = (0..3).try_fold(false, |held, _| -> std::io::Result<bool> {
            Ok(held || load.run(bare, rate, plan.search)?.is_stable(light * STABLE))
        })?;
        if holds {
            stable = rate;
        } else {
            unstable = rate;
        }
    }
    Ok(stable)
}

/// Prints them, and gives layered over bare.
fn report(without: &[Latencies], with: &[Latencies]) -> f64 {
    println!("{:10}{:>28}{:>28}", "µs", "p50, median [lowest", "p99, median [lowest");
    println!(
        "{:10}{:>28}{:>28}",
        "", "to highest] of rounds", "to highest] of rounds"
    );
    for (name, rounds) in [("bare", without), ("layered", with)] {
        let (half, most) = (Spread::of(rounds, 50.0), Spread::of(rounds, 99.0));
        println!("{name:10}{:>28}{:>28}", half.to_string(), most.to_string());
    }
    let pairs = Spread::new(
        with.iter()
            .zip(without)
            .map(|(with, without)| with.percentile(99.0) / without.percentile(99.0))
            .collect(),
    );
    let ratio = |percent| Spread::of(with, percent).median / Spread::of(without, percent).median;
    println!("p50, layered / bare  {:.3}", ratio(50.0));
    println!(
        "p99, layered / bare  {:.3}   (bar 1.10); round by round {:.3} [{:.3} to {:.3}]",
        ratio(99.0),
        pairs.median,
        pairs.lowest,
        pairs.highest
    );
    ratio(99.0)
}

struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Spread {
    fn of(rounds: &[Latencies], percent: f64) -> Self {
        Self::new(rounds.iter().map(|round| round.percentile(percent)).collect())
    }

    fn new(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self {
            lowest: all[0],
            median: all[all.len() / 2],
            highest: all[all.len() - 1],
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} [{:.1} to {:.1}]", self.median, self.lowest, self.highest)
    }
}
