//! Promise: who is killed at any moment loses nothing that stood on disk, tears no batch, and sends one twice only when killed
//! between sending and deleting it.
//!
//! `cargo run --release -p benches --bin kills -- --times 200 [--seed N]`
//!
//! Programs with a spool are started, meet a collector in one mood or another, and are killed (SIGKILL) at random moments. After
//! each the files are read by a reader of our own; a last program sends what is left.

use benches::load::collector::{Collector, MOODS, Mood, Protocol};
use benches::load::spool::Folder;
use benches::load::{Random, calls, options, verdict};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Numbers of one life begin at a multiple of this.
const LIFE: u64 = 1 << 32;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("live") => live(true),
        Some("drain") => live(false),
        _ => {
            options::of("kills");
            verdict(&kill());
        }
    }
}

/// A program that is killed, or the last one, which only sends what is left.
fn live(records: bool) {
    let life: u64 = options::value("--life").unwrap_or(0);
    calls::begin_at(life * LIFE);
    let vitals = vitalsign::builder()
        .otlp_endpoint(options::value::<String>("--url").expect("--url"))
        .variable("VITALSIGN_SPOOL_DIR", options::value::<String>("--dir").expect("--dir"))
        .variable("OTEL_BSP_SCHEDULE_DELAY", "10")
        .variable("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32")
        .admin("off")
        .variable("OTEL_LOG_LEVEL", "off")
        .log_filter("off")
        .install()
        .expect("installed");
    if records {
        loop {
            for _ in 0..4 {
                calls::plain();
            }
            sleep(Duration::from_micros(200));
        }
    }
    // Until it is told to end.
    let _ = std::io::stdin().read_line(&mut String::new());
    drop(vitals);
}

fn start(role: &str, life: u64, collector: &Collector, folder: &Folder) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([role, "--life", &life.to_string()])
        .args(["--url", &format!("http://{}", collector.address)])
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn kill() -> Vec<String> {
    let times: u64 = options::value("--times").unwrap_or(200);
    let mut random = Random::new(options::seed());
    let (mut collector, folder) = (Collector::start(Protocol::Http), Folder::new());
    let (mut must, mut wrong) = (Vec::new(), Vec::new());
    for life in 1..=times {
        // Two lives of three find nobody, or nobody who takes anything.
        let mood = MOODS[random.below(5) as usize];
        collector.set(if life.is_multiple_of(3) { Mood::Well } else { mood });
        let mut child = start("live", life, &collector, &folder);
        sleep(Duration::from_millis(60 + random.below(200)));
        if random.below(2) == 0 {
            collector.set(if life.is_multiple_of(2) { Mood::Well } else { Mood::Gone });
        }
        sleep(Duration::from_millis(random.below(150)));
        child.kill().expect("it can be killed");
        child.wait().expect("it is dead");
        match folder.numbers() {
            Ok(numbers) => must.extend(numbers),
            Err(torn) => wrong.push(format!("life {life}: {torn}")),
        }
    }
    collector.set(Mood::Well);
    let mut last = start("drain", times + 1, &collector, &folder);
    let until = Instant::now() + Duration::from_mins(1);
    while folder.has_batches() && Instant::now() < until {
        sleep(Duration::from_millis(50));
    }
    drop(last.stdin.take());
    let _ = last.wait();
    must.sort_unstable();
    must.dedup();
    let heard = collector.heard();
    let missing = must.iter().filter(|number| !heard.spans.has(**number)).count();
    println!(
        "{times} kills: {} spans arrived, {} stood on disk at a kill, {missing} of those are lost; {} batches were sent twice",
        heard.spans.different(),
        must.len(),
        heard.batches_again
    );
    if must.len() < times as usize {
        wrong.push("hardly anything stood on disk".to_owned());
    }
    if missing > 0 {
        wrong.push("what stood on disk is to arrive".to_owned());
    }
    if heard.batches_again > times {
        wrong.push("no more than the one under way may be sent twice".to_owned());
    }
    let left = folder.left();
    if !left.is_empty() {
        wrong.push(format!(
            "something is left behind: {} files, {}",
            left.len(),
            left[0].display()
        ));
    }
    wrong
}
