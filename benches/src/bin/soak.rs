//! Promise: at mixed load, with a collector that comes and goes, memory and threads stay flat and every span and log record is
//! accounted for.
//!
//! `cargo run --release -p benches --bin soak -- --minutes 60 [--rate 2000] [--seed N] [--memory]
//! [--protocol http/protobuf|grpc]`
//!
//! With a spool unless `--memory`. The collector changes its mood every few seconds; threads come and go; somebody scrapes.

use benches::load::collector::{MOODS, Mood, Protocol};
use benches::load::footprint::Footprint;
use benches::load::remote::{Remote, collector_if_asked};
use benches::load::spool::Folder;
use benches::load::{Random, calls, options, verdict};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use vitalsign::{Report, Tally, Vitals};

fn main() {
    collector_if_asked();
    options::of("soak");
    verdict(&soak());
}

/// Two threads at an even rate until then, then two others.
fn work(until: Instant, rate: f64) {
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (start, mut made) = (Instant::now(), 0);
                while Instant::now() < until {
                    while made < (start.elapsed().as_secs_f64() * rate / 2.0) as u64 {
                        calls::mixed();
                        made += 1;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
    });
}

fn scrape(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        std::io::Result::Ok(page.contains("load_mixed_total"))
    };
    ask().unwrap_or(false)
}

fn install(url: &str, protocol: Protocol, folder: &Folder) -> Vitals {
    let mut builder = vitalsign::builder()
        .otlp_endpoint(url)
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.name())
        .variable("OTEL_METRIC_EXPORT_INTERVAL", "1000")
        .variable("OTEL_LOGS_EXPORTER", "otlp")
        .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")
        .variable("OTEL_LOG_LEVEL", "off")
        .log_filter("off,benches=info")
        .admin("127.0.0.1:0");
    if !options::flag("--memory") {
        let dir = folder.path().to_str().expect("a path of letters");
        builder = builder.variable("VITALSIGN_SPOOL_DIR", dir);
    }
    builder.install().expect("installed")
}

fn soak() -> Vec<String> {
    let whole = options::time(Duration::from_mins(1));
    let rate = options::value("--rate").unwrap_or(2000.0);
    let mut random = Random::new(options::seed());
    let protocol = Protocol::asked();
    let (mut collector, folder) = (Remote::start(protocol), Folder::new());
    let vitals = install(&collector.url, protocol, &folder);
    let admin = vitals.admin_addr().expect("an admin server");
    let (start, mut samples, mut wrong) = (Instant::now(), Vec::new(), Vec::new());
    while start.elapsed() < whole {
        let mood = match random.below(2) {
            0 => Mood::Well,
            _ => MOODS[random.below(MOODS.len() as u64) as usize],
        };
        collector.set(mood);
        work(Instant::now() + Duration::from_millis(500 + random.below(2000)), rate);
        if !scrape(admin) {
            wrong.push(format!("no page at {:?}", start.elapsed()));
        }
        samples.push(Footprint::now());
    }
    collector.set(Mood::Well);
    let until = Instant::now() + Duration::from_mins(1);
    let pending = |report: Report| report.traces.pending + report.logs.pending;
    while !vitals.flush(Duration::from_secs(5)) && pending(vitals.report()) > 0 && Instant::now() < until {}
    let (report, count) = (vitals.report(), collector.count());
    println!(
        "{whole:?}, {} moods: spans {}, log records {}, pushes taken {}, spans arrived {} and again {}",
        samples.len(),
        account(calls::spans(), report.traces),
        account(calls::lines(), report.logs),
        count.pushes,
        count.spans,
        count.again
    );
    check(&mut wrong, "spans", calls::spans(), report.traces);
    check(&mut wrong, "log records", calls::lines(), report.logs);
    if count.spans < report.traces.delivered {
        wrong.push("less arrived than was delivered".to_owned());
    }
    flat(&mut wrong, &samples);
    drop(vitals);
    wrong
}

fn account(recorded: u64, tally: Tally) -> String {
    let Tally {
        delivered,
        rejected,
        dropped,
        pending,
        ..
    } = tally;
    format!("{recorded} = delivered {delivered} + rejected {rejected} + dropped {dropped} + pending {pending}")
}

fn check(wrong: &mut Vec<String>, what: &str, recorded: u64, tally: Tally) {
    if recorded != tally.delivered + tally.rejected + tally.dropped + tally.pending {
        wrong.push(format!("{what}: {}", account(recorded, tally)));
    }
}

/// The first fifth warms up; after it the last third needs no more than the first.
fn flat(wrong: &mut Vec<String>, samples: &[Footprint]) {
    let warm = &samples[samples.len() / 5..];
    let third = warm.len().div_ceil(3);
    let (early, late) = (
        Footprint::most(&warm[..third]),
        Footprint::most(&warm[warm.len() - third..]),
    );
    println!(
        "memory {} kB early, {} kB late; threads {} early, {} late",
        early.memory, late.memory, early.threads, late.threads
    );
    if late.outgrows(early) {
        wrong.push("memory grows".to_owned());
    }
    if late.threads > early.threads + 4 {
        wrong.push("threads grow".to_owned());
    }
}
