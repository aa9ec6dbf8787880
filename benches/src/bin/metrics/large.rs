//! A page of 100 000 series, recording beside a scrape, memory of a series, threads by the thousand. Each measurement is a process of its own.

use benches::cpu;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use vitalsign::metrics::Limited;

const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

vitalsign::metrics! {
    /// A hundred thousand of them.
    static SERIES: Counter<u64, (shop: Limited<400>, user: Limited<250>)> = "bench.series";
    /// Histograms.
    static TIMES: Histogram<(shop: Limited<100>, user: Limited<70>)> = "bench.times",
        unit = "s", buckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Labels {
    shop: String,
    user: String,
}

fn labels(n: u32, users: u32) -> Labels {
    Labels {
        shop: format!("shop-{}", n / users),
        user: format!("user-{}", n % users),
    }
}

/// Counters and histograms of a registry that stands for the peer.
#[derive(Default)]
struct Peer {
    registry: Registry,
    counters: Family<Labels, Counter>,
}

impl Peer {
    fn counters(count: u32) -> Self {
        let mut peer = Self::default();
        peer.registry
            .register("bench_series", "A hundred thousand of them", peer.counters.clone());
        for n in 0..count {
            peer.counters.get_or_create(&labels(n, 250)).inc_by(u64::from(n));
        }
        peer
    }

    fn histograms(count: u32) -> Self {
        let mut peer = Self::default();
        let family = Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        peer.registry.register("bench_times", "Histograms", family.clone());
        for n in 0..count {
            family.get_or_create(&labels(n, 70)).observe(f64::from(n % 20));
        }
        peer
    }

    fn page(&self) -> usize {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).expect("a page");
        page.len()
    }
}

/// 100 000 series as counters, or as 5 900 histograms of 17 lines.
const COUNTERS: u32 = 100_000;
const HISTOGRAMS: u32 = 5_900;

fn fill(histograms: bool) {
    vitalsign::__private::discard::install(None);
    if histograms {
        for n in 0..HISTOGRAMS {
            let Labels { shop, user } = labels(n, 70);
            TIMES.with(shop.as_str(), user.as_str()).observe(f64::from(n % 20));
        }
    } else {
        for n in 0..COUNTERS {
            let Labels { shop, user } = labels(n, 250);
            SERIES.with(shop.as_str(), user.as_str()).add(u64::from(n));
        }
    }
}

const TEXT: &str = "text/plain";
const OPEN: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// One measurement, in a process of its own.
pub(crate) fn part(args: &[String]) {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["page", "prometheus-client", what] => {
            let peer = if *what == "histograms" {
                Peer::histograms(HISTOGRAMS)
            } else {
                Peer::counters(COUNTERS)
            };
            rounds(|| peer.page());
        }
        ["page", format, what] => {
            fill(*what == "histograms");
            let format = match *format {
                "text" => TEXT,
                "OpenMetrics" => OPEN,
                _ => PROTOBUF,
            };
            rounds(|| vitalsign::prometheus::page(Some(format), None).body.len());
        }
        ["beside"] => recording_beside(),
        ["memory", who, what] => println!("measured {}", bytes_of(who, what)),
        ["threads"] => short_threads(),
        other => panic!("no part {other:?}"),
    }
}

fn rounds(page: impl Fn() -> usize) {
    let len = page();
    assert!(len > 1_000_000, "{len}");
    print!("measured {len}");
    for _ in 0..7 {
        let before = cpu::of_thread();
        page();
        print!(" {}", cpu::of_thread().saturating_sub(before).as_secs_f64() * 1e3);
    }
    println!();
}

fn child(args: &[&str]) -> Vec<f64> {
    let exe = std::env::current_exe().expect("this program");
    let output = Command::new(exe)
        .arg("--part")
        .args(args)
        .output()
        .expect("it starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("measured "))
        .expect("a measurement");
    line.split(' ')
        .map(|number| number.parse().expect("a number"))
        .collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(values: &mut [f64]) -> String {
    let middle = median(values);
    format!("{middle:.1} [{:.1} to {:.1}]", values[0], values[values.len() - 1])
}

/// The page, beside prometheus-client's of the same series.
pub(crate) fn pages() {
    println!("\nThe page: ms of processor time, median of 21 [lowest to highest], interleaved\n");
    println!("| | 100 000 counters | MB | 5 900 histograms of 17 series | MB |\n|---|---|---|---|---|");
    let who = ["prometheus-client", "OpenMetrics", "text", "protobuf"];
    let mut found: Vec<[(Vec<f64>, f64); 2]> = who.iter().map(|_| Default::default()).collect();
    for _ in 0..3 {
        for (who, found) in who.iter().zip(&mut found) {
            for (what, (times, size)) in ["counters", "histograms"].into_iter().zip(found) {
                let measured = child(&["page", who, what]);
                *size = measured[0];
                times.extend(&measured[1..]);
            }
        }
    }
    for (who, [(counters, size), (histograms, other)]) in who.iter().zip(&mut found) {
        let who = if *who == "prometheus-client" {
            "prometheus-client, OpenMetrics".to_owned()
        } else {
            format!("vitalsign, {who}")
        };
        println!(
            "| {who} | {} | {:.1} | {} | {:.1} |",
            spread(counters),
            *size / 1e6,
            spread(histograms),
            *other / 1e6
        );
    }
}

/// One thread records; another scrapes in every second round.
fn recording_beside() {
    static SCRAPING: AtomicBool = AtomicBool::new(false);
    static DONE: AtomicBool = AtomicBool::new(false);
    const ROUND: Duration = Duration::from_millis(50);
    fill(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !DONE.load(Ordering::Relaxed) {
                if SCRAPING.load(Ordering::Relaxed) {
                    vitalsign::prometheus::page(Some(OPEN), None);
                } else {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        let series = SERIES.with("shop-7", "user-7");
        let round = |scraping: bool| -> f64 {
            SCRAPING.store(scraping, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(60));
            let (start, before, mut calls) = (Instant::now(), cpu::of_thread(), 0_u64);
            while start.elapsed() < ROUND {
                for i in 0..20_000 {
                    crate::consume(recorded(i));
                    series.add(1);
                }
                calls += 20_000;
            }
            cpu::of_thread().saturating_sub(before).as_nanos() as f64 / calls as f64
        };
        round(false);
        print!("measured");
        for _ in 0..15 {
            print!(" {} {}", round(false), round(true));
        }
        println!();
        DONE.store(true, Ordering::Relaxed);
    });
}

#[vitalsign::counted(name = "beside.calls")]
#[vitalsign::timed(name = "beside.times")]
fn recorded(i: u64) -> Result<u64, std::fmt::Error> {
    crate::body(i)
}

/// Recording, alone and beside a scrape that never ends.
pub(crate) fn beside() {
    let (mut alone, mut beside, mut loss) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        for pair in child(&["beside"]).chunks(2) {
            alone.push(pair[0]);
            beside.push(pair[1]);
            loss.push((pair[1] / pair[0] - 1.0) * 100.0);
        }
    }
    println!("\nRecording beside a scrape of 100 000 series: ns of processor time, 45 interleaved rounds\n");
    println!("| alone | beside a scrape | loss, % |\n|---|---|---|");
    println!(
        "| {} | {} | {} |",
        spread(&mut alone),
        spread(&mut beside),
        spread(&mut loss)
    );
}

/// Threads that count and end at once.
const SHORT: u64 = 10_000;
const CALLS: u64 = 10;

/// Prints what memory grew by from the tenth part of them to the last, and how many calls are missing.
fn short_threads() {
    vitalsign::__private::discard::install(None);
    let some = |count: u64| {
        for _ in 0..count / 10 {
            std::thread::scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|| (0..CALLS).for_each(|i| crate::consume(recorded(i))));
                }
            });
        }
    };
    some(SHORT / 10);
    let before = resident();
    some(SHORT - SHORT / 10);
    let grown = resident().saturating_sub(before);
    let counted = vitalsign::__private::discard::total("beside.calls");
    println!("measured {} {}", grown / 1024, (SHORT * CALLS).abs_diff(counted));
}

/// Ten thousand short threads: no count lost, memory flat.
pub(crate) fn threads() {
    let (mut grown, mut lost) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let measured = child(&["threads"]);
        grown.push(measured[0]);
        lost.push(measured[1]);
    }
    println!("\n{SHORT} threads of {CALLS} calls each, ten at a time: median of 5 [lowest to highest]\n");
    println!("| memory after the first tenth, kB more | calls lost |\n|---|---|");
    println!("| {} | {} |", spread(&mut grown), spread(&mut lost));
}

/// What so many series take, each recorded to by two threads.
fn bytes_of(who: &str, what: &str) -> f64 {
    let histograms = what == "histogram";
    let count = if histograms { 7_000 } else { 100_000 };
    if who == "prometheus-client" {
        let before = resident();
        let peer = if histograms {
            Peer::histograms(count)
        } else {
            Peer::counters(count)
        };
        std::hint::black_box(&peer);
        return (resident() - before) as f64 / f64::from(count);
    }
    vitalsign::__private::discard::install(None);
    let before = resident();
    let record = || {
        for n in 0..count {
            if histograms {
                let Labels { shop, user } = labels(n, 70);
                TIMES.with(shop.as_str(), user.as_str()).observe(f64::from(n % 20));
            } else {
                let Labels { shop, user } = labels(n, 250);
                SERIES.with(shop.as_str(), user.as_str()).add(1);
            }
        }
    };
    // Both at a time: a stripe of its own for each.
    let together = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                record();
                together.wait();
            });
        }
    });
    (resident() - before) as f64 / f64::from(count)
}

/// Resident memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a number");
    pages * 4096
}

/// Bytes of a series.
pub(crate) fn memory() {
    println!(
        "\nMemory of a series that two threads record to: bytes, labels included, median of 5 [lowest to highest]\n"
    );
    println!("| | counter | histogram of 14 bounds |\n|---|---|---|");
    for who in ["prometheus-client", "vitalsign"] {
        let bytes = |what| {
            let mut all: Vec<f64> = (0..5).flat_map(|_| child(&["memory", who, what])).collect();
            spread(&mut all)
        };
        println!("| {who} | {} | {} |", bytes("counter"), bytes("histogram"));
    }
}
