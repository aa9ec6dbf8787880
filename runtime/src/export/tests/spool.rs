//! Batches on disk: through an outage, a shutdown, and kill -9.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::export::spool;
use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LONG: Duration = Duration::from_secs(20);

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        Self(std::env::temp_dir().join(format!("vitalsign-spool-test-{}-{nanos}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The spans in whole batches on disk.
    fn spans(&self) -> Vec<String> {
        let mut spans = Vec::new();
        for folder in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let path = file.path();
                if path.extension().is_some_and(|extension| extension == "batch") {
                    let (_, count, body) = match spool::read(&path) {
                        Ok(read) => read,
                        // Sent meanwhile.
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                        Err(error) => panic!("a torn batch: {error}"),
                    };
                    let names = spans_of(&body);
                    assert_eq!(names.len() as u64, count);
                    spans.extend(names);
                }
            }
        }
        spans
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn spans_of(body: &[u8]) -> Vec<String> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|r| r.scope_spans);
    scopes.flat_map(|s| s.spans).map(|span| span.name).collect()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn an_outage_loses_nothing_and_the_oldest_go_first() {
    let (dir, address) = (Dir::new(), free_address());
    let vars = [
        ("VITALSIGN_SPOOL_DIR", dir.path()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
    ];
    let exporter = exporter(&format!("http://{address}"), &vars);
    for n in 0..100 {
        record(&exporter, n * 10, 10);
        let until = Instant::now() + LONG;
        while exporter.queued() > 50 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let report = exporter.report().traces;
    assert_eq!(
        (report.dropped, report.pending),
        (0, 1000),
        "ten times what the queue holds"
    );
    let receiver = Receiver::at(address);
    let report = exporter.shutdown(LONG).traces;
    assert_eq!(report, tally(1000, 0, 0, 0));
    let arrived: Vec<u64> = receiver.spans().iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(arrived, (0..1000).collect::<Vec<_>>());
    drop(exporter);
}

#[test]
fn what_a_dead_collector_leaves_at_the_shutdown_is_sent_by_the_next_process() {
    for script in [None, Some(vec![Answer::Hang(Duration::from_secs(5)); 9])] {
        let dir = Dir::new();
        let silent = script.map(Receiver::scripted);
        let url = silent
            .as_ref()
            .map_or_else(|| format!("http://{}", free_address()), Receiver::url);
        let vars = [("VITALSIGN_SPOOL_DIR", dir.path())];
        let first = exporter(&url, &vars);
        record(&first, 0, 700);
        let start = Instant::now();
        let report = first.shutdown(Duration::from_secs(3)).traces;
        assert!(start.elapsed() < Duration::from_secs(4));
        assert_eq!(report, tally(0, 0, 0, 700));
        drop(first);
        let until = Instant::now() + LONG;
        while dir.spans().len() < 700 && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let receiver = Receiver::start();
        let second = exporter(&receiver.url(), &vars);
        record(&second, 1000, 1);
        let until = Instant::now() + LONG;
        while receiver.spans().len() < 701 && Instant::now() < until {
            second.flush(Duration::from_secs(1));
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(receiver.spans().len(), 701);
        assert_eq!(
            second.report().traces,
            tally(1, 0, 0, 0),
            "each process has its own account"
        );
    }
}

#[test]
fn a_spool_that_can_not_be_written_to_costs_no_more_than_itself() {
    let dir = Dir::new();
    fs::write(&dir.0, b"a file").unwrap();
    let receiver = Receiver::start();
    let exporter = exporter(&receiver.url(), &[("VITALSIGN_SPOOL_DIR", dir.path())]);
    record(&exporter, 0, 1);
    assert_eq!(exporter.flush(LONG).traces, tally(1, 0, 0, 0));
    drop(exporter);
    fs::remove_file(&dir.0).unwrap();
}

#[test]
fn a_retry_after_holds_for_what_was_spooled() {
    let dir = Dir::new();
    let receiver = Receiver::scripted([Answer::Status(503, Some("1".to_owned()))]);
    let exporter = exporter(&receiver.url(), &[("VITALSIGN_SPOOL_DIR", dir.path())]);
    record(&exporter, 0, 1);
    assert_eq!(exporter.flush(LONG).traces, tally(1, 0, 0, 0));
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1));
}

/// Kills of the quick form; `VITALSIGN_KILLS=200 cargo test --features spool -- kill_9` is the long one.
fn kills() -> u32 {
    std::env::var("VITALSIGN_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20)
}

/// The process that is killed: records without end, at an address where a collector comes and goes.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Ok(url) = std::env::var("VITALSIGN_TEST_URL") else {
        return;
    };
    let (dir, life) = (
        std::env::var("VITALSIGN_TEST_DIR").unwrap(),
        std::env::var("VITALSIGN_TEST_LIFE").unwrap(),
    );
    let vars = [
        ("VITALSIGN_SPOOL_DIR", dir.as_str()),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "20"),
    ];
    let exporter = exporter(&url, &vars);
    for n in 0.. {
        let (bytes, count) = spans((0..20).map(|m| format!("{life}-{}", n * 20 + m)));
        exporter.spans(bytes, count);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn kill_9() {
    let dir = Dir::new();
    let address = free_address();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut pause = |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        thread::sleep(Duration::from_millis(random % most));
    };
    let mut arrived: BTreeMap<String, u32> = BTreeMap::new();
    let mut must: Vec<String> = Vec::new();
    for life in 0..kills() {
        // Away when the process starts in two lives of three; comes in the middle of the other.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "export::tests::spool::child", "--ignored", "--nocapture"])
            .env("VITALSIGN_TEST_URL", format!("http://{address}"))
            .env("VITALSIGN_TEST_DIR", dir.path())
            .env("VITALSIGN_TEST_LIFE", life.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(60));
        pause(200);
        let receiver = (life % 3 == 2).then(|| Receiver::at(address));
        pause(150);
        child.kill().unwrap();
        child.wait().unwrap();
        // What stands on disk now, whole, must arrive.
        must.extend(dir.spans());
        thread::sleep(Duration::from_millis(20));
        count(&mut arrived, receiver.as_ref());
    }
    assert!(must.len() > 100, "the spool was used: {}", must.len());
    let receiver = Receiver::at(address);
    let last = exporter(&format!("http://{address}"), &[("VITALSIGN_SPOOL_DIR", dir.path())]);
    let until = Instant::now() + LONG;
    while !dir.spans().is_empty() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    last.shutdown(LONG);
    drop(last);
    count(&mut arrived, Some(&receiver));
    let missing: Vec<_> = must.iter().filter(|name| !arrived.contains_key(*name)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} are lost: {:?}",
        missing.len(),
        must.len(),
        missing.first()
    );
    let twice = arrived.values().filter(|times| **times > 1).count();
    assert!(
        twice <= 20 * kills() as usize,
        "at most the batch under way is sent twice: {twice}"
    );
    assert!(arrived.values().all(|times| *times <= 3));
    println!(
        "{} lives, {} on disk, {} arrived, {twice} twice",
        kills(),
        must.len(),
        arrived.len()
    );
    assert!(leftovers(&dir.0).is_empty(), "{:?}", leftovers(&dir.0));
}

fn count(arrived: &mut BTreeMap<String, u32>, receiver: Option<&Receiver>) {
    for name in receiver.map(Receiver::spans).unwrap_or_default() {
        *arrived.entry(name).or_default() += 1;
    }
}

fn leftovers(root: &Path) -> Vec<PathBuf> {
    fs::read_dir(root)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}
