//! Batches on disk: through an outage, a shutdown, and kill -9.

use super::receiver::{Answer, Receiver};
use super::*;
use crate::export::spool;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
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

    /// Until nobody holds what is left here: a dropped exporter ends in the background.
    fn wait_until_left(&self) {
        use rustix::fs::{FlockOperation, flock};
        let held = |folder: fs::DirEntry| {
            let lock = fs::File::open(folder.path().join("lock"));
            lock.is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
        };
        let until = Instant::now() + LONG;
        while fs::read_dir(&self.0).into_iter().flatten().flatten().any(held) {
            assert!(Instant::now() < until, "still held");
            thread::sleep(Duration::from_millis(5));
        }
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
    let held = || {
        let report = exporter.report().traces;
        (report.dropped, report.pending)
    };
    // On its way between the queue and the disk a batch stands in both for a moment.
    let until = Instant::now() + LONG;
    let mut holds = held();
    while holds != (0, 1000) && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
        holds = held();
    }
    assert_eq!(holds, (0, 1000), "ten times what the queue holds");
    let receiver = Receiver::at(address);
    let report = exporter.shutdown(LONG).traces;
    assert_eq!(report, tally(1000, 0, 0, 0));
    let arrived: Vec<u64> = receiver.spans().iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(arrived, (0..1000).collect::<Vec<_>>());
    drop(exporter);
}

/// All at once, while whoever sends has no time: what the queue can not hold goes to disk.
#[test]
fn a_burst_is_spooled() {
    let (dir, address) = (Dir::new(), free_address());
    let vars = [
        ("VITALSIGN_SPOOL_DIR", dir.path()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "20"),
    ];
    let exporter = exporter(&format!("http://{address}"), &vars);
    for n in 0..500 {
        record(&exporter, n * 20, 20);
    }
    let until = Instant::now() + LONG;
    while exporter.report().traces.pending < 10_000 && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(exporter.report().traces.dropped, 0);
    let receiver = Receiver::at(address);
    assert_eq!(exporter.shutdown(LONG).traces, tally(10_000, 0, 0, 0));
    let mut arrived: Vec<u64> = receiver.spans().iter().map(|name| name.parse().unwrap()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..10_000).collect::<Vec<_>>());
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
        dir.wait_until_left();
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

#[test]
fn a_collector_that_says_nothing_does_not_fill_the_queue() {
    let dir = Dir::new();
    let receiver = Receiver::scripted([Answer::Hang(Duration::from_secs(4))]);
    let vars = [
        ("VITALSIGN_SPOOL_DIR", dir.path()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
    ];
    let exporter = exporter(&receiver.url(), &vars);
    record(&exporter, 0, 10);
    receiver.wait_for(1);
    for n in 1..50 {
        let until = Instant::now() + LONG;
        while exporter.queued() > 60 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        record(&exporter, n * 10, 10);
    }
    assert_eq!(receiver.requests().len(), 1, "all of it came while nobody answered");
    // What is on its way from the queue to the disk stands in both for a moment.
    let until = Instant::now() + LONG;
    while exporter.queued() > 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(exporter.report().traces, tally(0, 0, 0, 500));
    assert_eq!(exporter.shutdown(LONG).traces, tally(500, 0, 0, 0));
}

#[test]
fn who_answers_late_at_the_shutdown_is_not_sent_to_twice() {
    let dir = Dir::new();
    let receiver = Receiver::scripted([Answer::Late(Duration::from_millis(900))]);
    let exporter = exporter(&receiver.url(), &[("VITALSIGN_SPOOL_DIR", dir.path())]);
    record(&exporter, 0, 700);
    receiver.wait_for(1);
    assert_eq!(exporter.shutdown(LONG).traces, tally(700, 0, 0, 0));
    assert_eq!(receiver.spans().len(), 700);
    drop(exporter);
    assert!(dir.spans().is_empty());
}

#[test]
fn what_another_process_left_is_told_where_it_is_refused() {
    let stats = || {
        let stats = crate::export::stats::of(crate::export::transport::Signal::Traces);
        [&stats.failed, &stats.rejected, &stats.exported].map(crate::export::stats::Stat::value)
    };
    // Tests beside this one count there, too, and not by the thousand.
    for (answer, expected) in [
        (Answer::Status(401, None), [true, false, false]),
        (Answer::Partial(5000, "too old"), [false, true, false]),
        (Answer::Ok, [false, false, true]),
    ] {
        let dir = Dir::new();
        let vars = [
            ("VITALSIGN_SPOOL_DIR", dir.path()),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "5000"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5000"),
        ];
        let first = exporter(&format!("http://{}", free_address()), &vars);
        record(&first, 0, 5000);
        assert_eq!(first.shutdown(LONG).traces, tally(0, 0, 0, 5000));
        drop(first);
        dir.wait_until_left();
        let before = stats();
        let receiver = Receiver::scripted([answer.clone()]);
        let second = exporter(&receiver.url(), &vars);
        receiver.wait_for(1);
        let until = Instant::now() + LONG;
        while !dir.spans().is_empty() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(
            second.report().traces,
            tally(0, 0, 0, 0),
            "each process has its own account"
        );
        let after = stats();
        let grown: Vec<_> = before
            .iter()
            .zip(after)
            .map(|(before, after)| after - before >= 5000)
            .collect();
        assert_eq!(grown, expected, "{answer:?}: {before:?} {after:?}");
    }
}

/// An exporter of nothing but metrics, with a spool.
fn pushing(dir: &Dir, address: SocketAddr, value: u64) -> Exporter {
    let path = dir.path().to_owned();
    let (config, _) = Config::from(|name| match name {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" => Some(format!("http://{address}/m")),
        "OTEL_TRACES_EXPORTER" => Some("none".to_owned()),
        "VITALSIGN_SPOOL_DIR" => Some(path.clone()),
        _ => None,
    });
    let gather = move || vec![counter("orders", value)];
    let resource = Resource::new([("service.name", "test")]);
    let background = Arc::new(Background::start().unwrap());
    Exporter::start(&config, &resource, background, Arc::new(gather)).unwrap()
}

#[test]
fn the_last_push_goes_to_disk_where_the_receiver_wants_no_more() {
    let hour = || Some("3600".to_owned());
    for (script, flushed, most) in [
        // What is on disk may be tried once more.
        (vec![Answer::Status(503, None); 99], false, 2),
        (vec![Answer::Status(429, hour()); 99], false, 1),
        // It said so to the push before.
        (vec![Answer::Status(429, hour())], true, 1),
    ] {
        let dir = Dir::new();
        let receiver = Receiver::scripted(script);
        let exporter = pushing(&dir, receiver.address, 41);
        if flushed {
            assert_eq!(exporter.flush(LONG).metrics, tally(0, 0, 1, 0));
        }
        let began = Instant::now();
        let report = exporter.shutdown(LONG).metrics;
        assert_eq!((report.delivered, report.pending), (0, 1), "{report:?}");
        assert!(began.elapsed() < LONG / 2, "it is not waited for");
        let requests = receiver.requests().len();
        assert!((1..=most).contains(&requests), "{requests} attempts");
    }
}

#[test]
fn a_push_under_way_at_the_end_makes_room_for_the_last() {
    let dir = Dir::new();
    let receiver = Receiver::scripted(vec![Answer::Status(503, Some("2".to_owned())); 1]);
    let exporter = pushing(&dir, receiver.address, 41);
    thread::scope(|scope| {
        scope.spawn(|| exporter.flush(LONG));
        receiver.wait_for(1);
        let report = exporter.shutdown(LONG).metrics;
        assert_eq!(
            (report.dropped, report.delivered + report.pending),
            (0, 1),
            "{report:?}"
        );
    });
}

#[test]
fn the_last_push_of_metrics_is_sent_by_the_next_process() {
    let (dir, address) = (Dir::new(), free_address());
    let start = |value: u64| pushing(&dir, address, value);
    let first = start(41);
    assert_eq!(
        first.flush(LONG).metrics,
        tally(0, 0, 1, 0),
        "the next push tells it again"
    );
    assert_eq!(first.shutdown(LONG).metrics, tally(0, 0, 1, 1));
    drop(first);
    dir.wait_until_left();
    let receiver = Receiver::at(address);
    let second = start(0);
    let requests = receiver.wait_for(1);
    assert_eq!(requests[0].path, "/m");
    assert!(requests[0].body.windows(6).any(|bytes| bytes == b"orders"));
    drop(second);
}
