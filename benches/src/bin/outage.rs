//! Promise: while the collector is away nothing is lost with a spool, without one the count of the lost is exact; callers notice
//! nothing, memory stays flat, and what waits is sent within one back-off of the collector's return.
//!
//! `cargo run --release -p benches --bin outage -- --minutes 5 [--rate 10000] [--spool | --memory] [--protocol http/protobuf|grpc]
//! [--how gone|silent|unavailable|reset|drip|garbage|huge] [--loose]`
//!
//! The collector is well, then away for that long, then well again. With a spool and without one, one after the other, unless one is
//! asked for; `--minutes 5 --spool` takes six minutes. The callers' time is compared between the outage and the healthy phases
//! around it, the latter begun when all that waited is sent. `--loose` leaves that out of the verdict: for machines that do other
//! things meanwhile.

use benches::cpu;
use benches::load::collector::{Mood, Protocol};
use benches::load::footprint::Footprint;
use benches::load::remote::{Count, Remote, collector_if_asked};
use benches::load::spool::Folder;
use benches::load::windows::Windows;
use benches::load::{calls, options, verdict};
use std::process::Command;
use std::time::{Duration, Instant};
use vitalsign::{Tally, Vitals};

/// The longest back-off, and what an attempt under way and a busy machine add.
const RECOVERY: Duration = Duration::from_secs(5 + 3);

fn main() {
    collector_if_asked();
    options::of("outage");
    if options::flag("--spool") || options::flag("--memory") {
        verdict(&Outage::of_arguments().run());
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

/// Calls at an even rate. Who is kept waiting by a busy machine goes on from there: a burst is no outage.
struct Load {
    rate: f64,
    /// Until when calls have been made.
    at: Instant,
    made: u64,
}

impl Load {
    /// Processor time for each call of the phase, of all threads.
    fn run(&mut self, time: Duration, windows: &mut Windows) -> Duration {
        let (until, made, before) = (Instant::now() + time, self.made, cpu::of_process());
        while Instant::now() < until {
            self.catch_up(windows);
        }
        windows.cut();
        cpu::of_process().saturating_sub(before) / u32::try_from((self.made - made).max(1)).unwrap_or(u32::MAX)
    }

    fn catch_up(&mut self, windows: &mut Windows) {
        const MOST: Duration = Duration::from_millis(20);
        let now = Instant::now();
        self.at = self.at.max(now.checked_sub(MOST).unwrap_or(now));
        let due = ((now - self.at).as_secs_f64() * self.rate) as u64;
        for _ in 0..due {
            windows.time(calls::plain);
        }
        self.made += due;
        self.at += Duration::from_secs_f64(due as f64 / self.rate);
        std::thread::sleep(Duration::from_millis(1));
    }

    /// Goes on until it is so; how long that took. `None` after `most`.
    fn until(&mut self, most: Duration, mut so: impl FnMut() -> bool) -> Option<Duration> {
        const LOOK: Duration = Duration::from_millis(50);
        let start = Instant::now();
        while start.elapsed() < most {
            self.run(LOOK, &mut Windows::default());
            if so() {
                return Some(start.elapsed());
            }
        }
        None
    }
}

struct Outage {
    spool: bool,
    how: Mood,
    away: Duration,
    rate: f64,
    protocol: Protocol,
}

/// What is compared at the end.
struct Outcome {
    recorded: u64,
    tally: Tally,
    count: Count,
    healthy: Windows,
    outage: Windows,
    memory: [Footprint; 2],
    /// Spans lost before the return.
    lost_before: u64,
    /// From the return to the first span, and until nothing waited.
    back: Option<Duration>,
    empty: Option<Duration>,
}

impl Outage {
    fn of_arguments() -> Self {
        let how: String = options::value("--how").unwrap_or_else(|| "gone".to_owned());
        Self {
            spool: options::flag("--spool"),
            how: Mood::named(&how).expect("gone, silent, unavailable, reset, drip, garbage or huge"),
            away: options::time(Duration::from_mins(5)),
            rate: options::value("--rate").unwrap_or(10_000.0),
            protocol: Protocol::asked(),
        }
    }

    fn install(&self, url: &str, folder: &Folder) -> Vitals {
        let mut builder = vitalsign::builder()
            .otlp_endpoint(url)
            .variable("OTEL_EXPORTER_OTLP_PROTOCOL", self.protocol.name())
            .admin("off")
            .variable("OTEL_LOG_LEVEL", "off")
            .log_filter("off");
        if self.spool {
            let dir = folder.path().to_str().expect("a path of letters");
            builder = builder
                .variable("VITALSIGN_SPOOL_DIR", dir)
                .variable("VITALSIGN_SPOOL_MAX_BYTES", (8_u64 << 30).to_string());
        }
        builder.install().expect("installed")
    }

    fn run(&self) -> Vec<String> {
        let around = (self.away / 15).clamp(Duration::from_secs(5), Duration::from_secs(20));
        let (mut collector, folder) = (Remote::start(self.protocol), Folder::new());
        let vitals = self.install(&collector.url, &folder);
        let mut load = Load {
            rate: self.rate,
            at: Instant::now(),
            made: 0,
        };
        let (mut healthy, mut outage) = (Windows::default(), Windows::default());
        // The first second pays for what is made once.
        load.run(Duration::from_secs(1), &mut Windows::default());
        let cpu_healthy = load.run(around, &mut healthy);
        let first = healthy.latency();
        let memory = Footprint::now();
        let arrived = collector.set(self.how).spans;
        let cpu_away = load.run(self.away, &mut outage);
        let memory = [memory, Footprint::now()];
        let lost_before = vitals.report().traces.dropped;
        collector.set(Mood::Well);
        let back = load.until(RECOVERY * 3, || collector.count().spans > arrived);
        let waits = || vitals.report().traces.pending > (self.rate as u64).max(2048);
        let empty = load.until(self.away + Duration::from_mins(1), || !waits());
        load.run(around, &mut healthy);
        let until = Instant::now() + Duration::from_mins(1);
        while !vitals.flush(Duration::from_secs(5)) && Instant::now() < until {}
        let outcome = Outcome {
            recorded: calls::spans(),
            tally: vitals.report().traces,
            count: collector.count(),
            healthy,
            outage,
            memory,
            lost_before,
            back,
            empty: empty.zip(back).map(|(empty, back)| empty + back),
        };
        println!(
            "{} over {}, {:?} for {:?}: processor time for a call {cpu_healthy:?} healthy, {cpu_away:?} away; p99 of the first healthy phase {}",
            if self.spool { "spool" } else { "memory" },
            self.protocol.name(),
            self.how,
            self.away,
            first.p99,
        );
        outcome.print();
        let wrong = self.judge(&outcome, &folder);
        drop(vitals);
        wrong
    }

    fn judge(&self, outcome: &Outcome, folder: &Folder) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut must = |holds: bool, why: &str| {
            if !holds {
                wrong.push(why.to_owned());
            }
        };
        let Outcome { tally, count, .. } = outcome;
        let lost = tally.dropped + tally.rejected;
        must(
            outcome.recorded == tally.delivered + lost + tally.pending,
            "not every span is accounted for",
        );
        must(count.spans == tally.delivered, "delivered is not what arrived");
        must(count.again == 0 || self.how != Mood::Gone, "sent twice");
        must(
            outcome.recorded - count.spans == lost,
            "the count of the lost is not exact",
        );
        let [before, after] = outcome.memory;
        must(!after.outgrows(before), "memory grows");
        let soon = if options::flag("--loose") {
            RECOVERY * 2
        } else {
            RECOVERY
        };
        must(
            outcome.back.is_some_and(|back| back <= soon),
            "no recovery within a back-off",
        );
        must(outcome.empty.is_some(), "what waited is not sent");
        if self.how.loses() {
            must(lost > 0, "what may not be sent again is lost");
        } else if self.spool {
            must(lost == 0, "with a spool nothing is to be lost");
            must(folder.path().exists(), "the spool was used");
        } else {
            must(outcome.lost_before > 0, "the outage was long enough to lose something");
        }
        if !options::flag("--loose") {
            let limit = outcome.healthy.latency().p99 / 10 * 11;
            must(
                outcome.outage.latency().p99 <= limit,
                "callers notice: p99 more than 10 % above healthy",
            );
        }
        wrong
    }
}

impl Outcome {
    fn print(&self) {
        let Tally {
            delivered,
            rejected,
            dropped,
            pending,
            ..
        } = self.tally;
        let (healthy, away) = (self.healthy.latency(), self.outage.latency());
        println!(
            "recorded {} = delivered {delivered} + rejected {rejected} + dropped {dropped} + pending {pending}; arrived {}, again {}",
            self.recorded, self.count.spans, self.count.again,
        );
        println!(
            "first span {:.1?} after the return, nothing waits {:.1?} after it; memory {} kB healthy, {} kB away",
            self.back.unwrap_or_default(),
            self.empty.unwrap_or_default(),
            self.memory[0].memory,
            self.memory[1].memory,
        );
        println!(
            "a call, ns, p50/p99 [middle half of the seconds' p99]: healthy {healthy}, away {away}: {:+.1} %",
            (f64::from(away.p99) / f64::from(healthy.p99.max(1)) - 1.0) * 100.0
        );
    }
}
