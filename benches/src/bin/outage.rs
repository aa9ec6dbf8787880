//! Promise: while the collector is away nothing is lost with a spool, without one the count of the lost is exact, and callers
//! notice nothing.
//!
//! `cargo run --release -p benches --bin outage -- --minutes 5 [--rate 10000] [--how gone|silent|unavailable|reset]
//! [--spool | --memory] [--loose]`
//!
//! The collector is well, then away for that long, then well again. With and without a spool, one after the other, unless one is
//! asked for. `--loose` leaves the callers' time out of the verdict: for machines that do other things meanwhile.

use benches::load::collector::Mood;
use benches::load::remote::{Remote, collector_if_asked};
use benches::load::spool::Folder;
use benches::load::windows::Windows;
use benches::load::{calls, options, verdict};
use std::process::Command;
use std::time::{Duration, Instant};

fn main() {
    collector_if_asked();
    if options::flag("--spool") || options::flag("--memory") {
        verdict(&one(options::flag("--spool")));
    }
    let program = std::env::current_exe().expect("this program");
    let mut wrong = Vec::new();
    for way in ["--spool", "--memory"] {
        let status = Command::new(&program).args(std::env::args().skip(1)).arg(way).status();
        if !status.is_ok_and(|status| status.success()) {
            wrong.push(format!("{way} failed"));
        }
    }
    verdict(&wrong);
}

/// Calls at an even rate.
struct Load {
    rate: f64,
    start: Instant,
    made: u64,
}

impl Load {
    fn run(&mut self, time: Duration) -> Windows {
        let (mut windows, until) = (Windows::default(), Instant::now() + time);
        while Instant::now() < until {
            let due = (self.start.elapsed().as_secs_f64() * self.rate) as u64;
            while self.made < due {
                windows.time(calls::plain);
                self.made += 1;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        windows
    }
}

fn one(with_spool: bool) -> Vec<String> {
    let away = options::time(Duration::from_mins(5));
    let around = (away / 5).max(Duration::from_secs(5));
    let how: String = options::value("--how").unwrap_or_else(|| "gone".to_owned());
    let how = Mood::named(&how).expect("gone, silent, unavailable or reset");
    let (mut collector, folder) = (Remote::start(), Folder::new());
    let mut builder = vitalsign::builder()
        .otlp_endpoint(&collector.url)
        .admin("off")
        .variable("OTEL_LOG_LEVEL", "off")
        .log_filter("off");
    if with_spool {
        let dir = folder.path().to_str().expect("a path of letters");
        builder = builder
            .variable("VITALSIGN_SPOOL_DIR", dir)
            .variable("VITALSIGN_SPOOL_MAX_BYTES", (8_u64 << 30).to_string());
    }
    let vitals = builder.install().expect("installed");
    let mut load = Load {
        rate: options::value("--rate").unwrap_or(10_000.0),
        start: Instant::now(),
        made: 0,
    };
    // The first second pays for what is made once.
    load.run(Duration::from_secs(1));
    let healthy = load.run(around).latency();
    collector.set(how);
    let outage = load.run(away).latency();
    let lost_before = vitals.report().traces;
    collector.set(Mood::Well);
    let back = Instant::now();
    let recovering = load.run(around).latency();
    let until = Instant::now() + away + Duration::from_mins(1);
    while !vitals.flush(Duration::from_secs(5)) && Instant::now() < until {}
    let drained = back.elapsed();
    let (report, count, recorded) = (vitals.report().traces, collector.count(), calls::spans());
    println!(
        "{}, {how:?} for {away:?}: recorded {recorded} = delivered {} + rejected {} + dropped {} + pending {}; arrived {}, again {}; \
         empty {drained:?} after the return; a call (p50/p99 ns): healthy {}/{}, away {}/{}, recovering {}/{}",
        if with_spool { "spool" } else { "memory" },
        report.delivered,
        report.rejected,
        report.dropped,
        report.pending,
        count.spans,
        count.again,
        healthy.p50,
        healthy.p99,
        outage.p50,
        outage.p99,
        recovering.p50,
        recovering.p99,
    );
    let mut wrong = Vec::new();
    let mut must = |holds: bool, why: &str| {
        if !holds {
            wrong.push(why.to_owned());
        }
    };
    let accounted = report.delivered + report.rejected + report.dropped + report.pending;
    must(recorded == accounted, "not every span is accounted for");
    must(count.spans == report.delivered, "delivered is not what arrived");
    must(count.again == 0 || how != Mood::Gone, "sent twice");
    must(
        recorded - count.spans == report.dropped,
        "the count of the lost is not exact",
    );
    if with_spool {
        must(report.dropped == 0, "with a spool nothing is to be lost");
        must(folder.path().exists(), "the spool was used");
    } else {
        must(lost_before.dropped > 0, "the outage was long enough to lose something");
    }
    if !options::flag("--loose") {
        let limit = healthy.p99.max(recovering.p99) / 10 * 11;
        must(outage.p99 <= limit, "callers notice: p99 more than 10 % above healthy");
    }
    drop(vitals);
    wrong
}
