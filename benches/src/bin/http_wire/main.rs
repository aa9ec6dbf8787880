//! Promise: over the wire, at half the rate that the bare server can take, the layer moves the 99th percentile by at most 10 %.
//!
//! `cargo run --release -p benches --features servers --bin http_wire` (eight minutes with the peers, on a quiet machine of two
//! cores or more); `--quick` for a look, `--rate N` for a rate of one's own; with the feature `http-peers` the peers' layers stand beside. All servers
//! are processes of their own on one core, the load comes from another core, on a schedule that no slow answer delays: a latency
//! counts from when its request was due. What the bare server can take is the highest such rate at which no requests pile up. The
//! layered server exports as a user's would, its background threads on the same core as its requests; the collector answers at once, on
//! the core of the load. The unsampled one is the same, its sampler always off. The spinning server is the bare one, whose handler
//! burns what a request costs the layered server more on all its threads: what its percentiles show is the price of that time, whoever
//! takes it. The bare server is there twice: what the second differs by from the first is what these figures are not to be trusted by.
//!
//! Nine runs, each of many short slices between which the servers alternate. A run's percentile is the median of those of its windows of
//! 25 ms, and the medians of the runs are compared: so a stall of some milliseconds from outside, of which a virtual machine has
//! several a second, spoils the windows that it falls into, whosever those are, and not the run. What a server does to itself it
//! does in every window: a batch of spans is encoded every 5 ms and sent every 8 to 20. What was slow of all, those stalls
//! included, stands beside.

mod collector;
mod cores;
mod load;
mod server;

use benches::load::options;
use cores::Cores;
use load::{Latencies, Load};
use server::Server;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of a run of one server.
const LEAST_REQUESTS: f64 = 20_000.0;
/// Over which a percentile is taken, unless fewer requests than these come in it.
const WINDOW: Duration = Duration::from_millis(25);
const WINDOW_REQUESTS: f64 = 500.0;
/// Between two slices.
const PAUSE: Duration = Duration::from_millis(30);

struct Plan {
    runs: usize,
    /// Of a run, for each server.
    slices: usize,
    slice: Duration,
    warm_up: Duration,
    search: Duration,
}

impl Plan {
    fn of_arguments() -> Self {
        if options::flag("--quick") {
            Self {
                runs: 3,
                slices: 3,
                slice: Duration::from_millis(100),
                warm_up: Duration::from_millis(30),
                search: Duration::from_millis(200),
            }
        } else {
            Self {
                runs: 9,
                slices: 40,
                slice: Duration::from_millis(100),
                warm_up: Duration::from_millis(50),
                search: Duration::from_secs(1),
            }
        }
    }
}

/// One kind of server and what was measured of it.
struct Row {
    name: &'static str,
    server: Server,
    window: Duration,
    /// Their slices.
    runs: Vec<Vec<Latencies>>,
    /// Requests of the slices, and nanoseconds that the server's threads ran meanwhile, to the kernel's last tick in each.
    requests: u64,
    ran: BTreeMap<String, u64>,
}

impl Row {
    fn new(name: &'static str, server: Server) -> Self {
        Self {
            name,
            server,
            window: WINDOW,
            runs: Vec::new(),
            requests: 0,
            ran: BTreeMap::new(),
        }
    }

    fn slice(&mut self, load: &mut Load, rate: f64, length: Duration) -> std::io::Result<Latencies> {
        let (before, sent) = (self.server.ran(), self.server.sent);
        let latencies = load.run(&mut self.server, rate, length)?;
        for (thread, ran) in self.server.ran() {
            let since = ran - before.get(&thread).unwrap_or(&0);
            *self.ran.entry(thread).or_default() += since;
        }
        self.requests += self.server.sent - sent;
        Ok(latencies)
    }

    /// Microseconds of processor time a request.
    fn cost(&self) -> f64 {
        self.micros(self.ran.values().sum())
    }

    fn micros(&self, ran: u64) -> f64 {
        ran as f64 / 1000.0 / self.requests.max(1) as f64
    }

    /// Of each run the median of its windows.
    fn percentiles(&self, percent: f64) -> Vec<f64> {
        let of_run = |slices: &Vec<Latencies>| {
            let windows = slices.iter().flat_map(|slice| slice.windows(self.window, percent));
            Spread::new(windows.collect()).median
        };
        self.runs.iter().map(of_run).collect()
    }

    fn spread(&self, percent: f64) -> Spread {
        Spread::new(self.percentiles(percent))
    }

    /// Of each run all requests as one.
    fn whole(&self, percent: f64) -> Spread {
        let of_run = |slices: &Vec<Latencies>| Latencies::joined(slices).percentile(percent);
        Spread::new(self.runs.iter().map(of_run).collect())
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
    let mut rows = vec![
        Row::new("bare", Server::start("bare", None, &cores, &mut load)?),
        Row::new("again", Server::start("bare", None, &cores, &mut load)?),
        Row::new("layered", Server::start("layered", None, &cores, &mut load)?),
        Row::new("unsampled", Server::start("unsampled", None, &cores, &mut load)?),
    ];

    let rate = match options::value("--rate") {
        Some(rate) => rate,
        None => capacity(&mut load, &mut rows[0].server, &plan)? / 2.0,
    };
    let slices = plan
        .slices
        .max((LEAST_REQUESTS / rate / plan.slice.as_secs_f64()).ceil() as usize);
    println!(
        "{} runs of {slices} slices of {:?} at {rate:.0} requests a second",
        plan.runs, plan.slice
    );

    // What the layer costs a request, to be spun away.
    for row in &mut rows {
        load.run(&mut row.server, rate, plan.warm_up)?;
        row.slice(&mut load, rate, plan.search * 2)?;
    }
    let more = ((row(&rows, "layered").cost() - row(&rows, "bare").cost()) * 1000.0).max(1.0) as u64;
    let spinning = Server::start("spinning", Some(more), &cores, &mut load)?;
    rows.push(Row::new("spinning", spinning));
    #[cfg(feature = "http-peers")]
    rows.push(Row::new("peers", Server::start("peers", None, &cores, &mut load)?));

    for row in &mut rows {
        row.window = WINDOW.max(Duration::from_secs_f64(WINDOW_REQUESTS / rate));
    }
    for _ in 0..plan.runs {
        for row in &mut rows {
            row.runs.push(Vec::new());
        }
        for number in 0..slices {
            // Which is first alternates too.
            rows.rotate_left(1);
            if number % 2 == 1 {
                rows.reverse();
            }
            for row in &mut rows {
                // What the last server has left to do in the background is not this one's.
                std::thread::sleep(PAUSE);
                load.run(&mut row.server, rate, plan.warm_up)?;
                let latencies = row.slice(&mut load, rate, plan.slice)?;
                row.runs.last_mut().expect("a run").push(latencies);
            }
        }
    }
    rows.sort_by_key(|row| {
        ["bare", "again", "layered", "unsampled", "spinning", "peers"]
            .iter()
            .position(|name| *name == row.name)
    });
    let ratio = report(&rows);
    for row in rows {
        let sent = row.server.sent;
        let said = row.server.end(&mut load)?;
        if row.name == "layered" {
            println!(
                "the layered server answered {sent} requests; {said}; the collector took {}",
                load.collector
            );
        }
    }
    if ratio > 1.1 {
        println!("above the bar");
    }
    Ok(())
}

fn row<'a>(rows: &'a [Row], name: &str) -> &'a Row {
    rows.iter().find(|row| row.name == name).expect("started")
}

/// The highest rate at which the bare server keeps up.
fn capacity(load: &mut Load, bare: &mut Server, plan: &Plan) -> std::io::Result<f64> {
    let flat_out = Load::flat_out(bare, plan.search)?;
    println!("one answer after the other: {flat_out:.0} a second");
    let (mut stable, mut unstable) = (flat_out / 10.0, flat_out * 1.5);
    while unstable > stable * 1.03 {
        let rate = (stable * unstable).sqrt();
        // A neighbour on the machine may spoil a try; no try makes a server faster than it is.
        let holds = (0..3).try_fold(false, |held, _| -> std::io::Result<bool> {
            Ok(held || load.run(bare, rate, plan.search)?.is_stable(rate))
        })?;
        if holds {
            stable = rate;
        } else {
            unstable = rate;
        }
    }
    println!("the bare server keeps up with {stable:.0} requests a second");
    Ok(stable)
}

/// Prints them, and gives layered over bare.
fn report(rows: &[Row]) -> f64 {
    let bare = row(rows, "bare");
    println!(
        "{:10}{:>26}{:>28}{:>8}{:>26}{:>30}{:>10}",
        "µs", "p50, median [lowest", "p99, median [lowest", "over", "run by run", "p99 of all, with what", "CPU"
    );
    println!(
        "{:10}{:>26}{:>28}{:>8}{:>26}{:>30}{:>10}",
        "", "to highest] of runs", "to highest] of runs", "bare's", "", "came from outside", "a request"
    );
    let ratio = |row: &Row| row.spread(99.0).median / bare.spread(99.0).median;
    for row in rows {
        let pairs = row.percentiles(99.0).into_iter().zip(bare.percentiles(99.0));
        let pairs = Spread::new(pairs.map(|(row, bare)| row / bare).collect());
        println!(
            "{:10}{:>26}{:>28}{:>8.3}{:>26}{:>30}{:>10.2}",
            row.name,
            row.spread(50.0).to_string(),
            row.spread(99.0).to_string(),
            ratio(row),
            format!("{:.3} [{:.3} to {:.3}]", pairs.median, pairs.lowest, pairs.highest),
            row.whole(99.0).to_string(),
            row.cost()
        );
    }
    let layered = row(rows, "layered");
    let threads = layered.ran.iter().filter(|(_, ran)| layered.micros(**ran) >= 0.01);
    let threads: Vec<_> = threads
        .map(|(thread, ran)| format!("{thread} {:.2}", layered.micros(*ran)))
        .collect();
    println!("CPU a request of the layered server: {}", threads.join(", "));
    println!("p99, layered / bare  {:.3}   (bar 1.10)", ratio(layered));
    println!(
        "p99, layered / spinning  {:.3}",
        ratio(layered) / ratio(row(rows, "spinning"))
    );
    ratio(layered)
}

struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Spread {
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
