//! Records through the whole pipeline, read back by a JSON parser that is not ours.

use super::*;
use crate::trace::{SpanId, TraceFlags, TraceId};
use serde_json::{Value as Json, json};
use std::future::Future as _;
use std::io::{self, Write};
use std::time::Duration;
use tracing_core::span;

/// An output that keeps what it is given, and misbehaves when told to.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<KeptState>>);

#[derive(Default)]
struct KeptState {
    bytes: Vec<u8>,
    /// Take that many bytes and fail afterwards.
    fail_after: Option<usize>,
    /// Bytes given at once.
    most: usize,
    slow: Option<Duration>,
    /// Takes nothing meanwhile.
    stuck: bool,
    /// The next one panics.
    flush_panics: bool,
}

impl Kept {
    fn state(&self) -> std::sync::MutexGuard<'_, KeptState> {
        self.0.lock().unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.state().bytes.clone()).unwrap()
    }

    fn lines(&self) -> Vec<Json> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Write for Kept {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        while self.state().stuck {
            std::thread::sleep(Duration::from_millis(1));
        }
        let slow = self.state().slow;
        if let Some(slow) = slow {
            std::thread::sleep(slow);
        }
        let mut state = self.state();
        state.most = state.most.max(buf.len());
        let mut n = buf.len();
        if let Some(left) = &mut state.fail_after {
            if *left == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            n = n.min(*left);
            *left -= n;
        }
        state.bytes.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Not with the lock held, which it would poison.
        let panics = std::mem::take(&mut self.state().flush_panics);
        assert!(!panics, "flush");
        Ok(())
    }
}

/// Hands events to a sink with a fixed span.
struct Forward(Arc<dyn EventSink>);

fn ctx() -> SpanContext {
    SpanContext {
        trace_id: TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        span_id: SpanId(0x00f0_67aa_0ba9_02b7),
        flags: TraceFlags(1),
        is_remote: false,
        ..SpanContext::default()
    }
}

impl tracing_core::Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        self.0.event(event, Some(&ctx()));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Rig {
    handle: Handle,
    kept: Kept,
}

impl Rig {
    fn new(change: impl FnOnce(&mut LogSetup)) -> Self {
        let kept = Kept::default();
        let mut setup = LogSetup {
            filter: "trace".to_owned(),
            output: Output::Writer(Box::new(kept.clone())),
            global: false,
            ..LogSetup::default()
        };
        change(&mut setup);
        let (handle, warnings) = install(setup).unwrap();
        assert_eq!(warnings, []);
        Self { handle, kept }
    }

    fn json() -> Self {
        Self::new(|_| ())
    }

    fn run(&self, f: impl FnOnce()) -> &Self {
        tracing::subscriber::with_default(Forward(self.handle.sink()), f);
        self.flush();
        self
    }

    fn flush(&self) {
        assert!(self.handle.flush(Instant::now() + Duration::from_secs(10)));
    }

    fn one(&self, f: impl FnOnce()) -> Json {
        self.run(f);
        let mut lines = self.kept.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

#[derive(Debug)]
struct Declined(io::Error);
impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("card \"declined\"\n")
    }
}
impl std::error::Error for Declined {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_line_is_one_object_with_native_types_and_the_trace() {
    let error = Declined(io::Error::other("no funds"));
    let line = Rig::json().one(|| {
        tracing::info!(
            target: "shop",
            { order.id = 7_u64,
            total = 9.5,
            gift = true,
            delta = -3,
            big = u128::MAX,
            nan = f64::NAN,
            name = "Zoë \u{1}\"\\",
            list = ?[1, 2],
            level = "mine",
            fields.level = "its",
            error = &error as &(dyn std::error::Error + 'static) },
            "placed {}",
            7
        );
    });
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(
        timestamp.len() == 27 && timestamp.starts_with("20") && timestamp.ends_with('Z'),
        "{timestamp}"
    );
    let mut expected = json!({
        "level": "INFO", "message": "placed 7", "target": "shop",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "trace_flags": "01",
        "order.id": 7, "total": 9.5, "gift": true, "delta": -3, "big": "340282366920938463463374607431768211455",
        "nan": "NaN", "name": "Zoë \u{1}\"\\", "list": "[1, 2]", "fields.level": "mine",
        "fields.fields.level": "its",
        "error": {"message": "card \"declined\"\n", "sources": ["no funds"]},
    });
    expected["timestamp"] = line["timestamp"].clone();
    assert_eq!(line, expected);
}

#[test]
fn pretty_lines_cannot_be_forged() {
    let rig = Rig::new(|setup| setup.format = Format::Pretty);
    let error = Declined(io::Error::other("no\nfunds"));
    rig.run(|| {
        tracing::warn!(
            target: "shop",
            user = "a\n2026 ERROR b",
            n = 1,
            error = &error as &(dyn std::error::Error + 'static),
            "x\x1b[31m"
        );
    });
    let text = rig.kept.text();
    let (_, rest) = text.split_once(' ').unwrap();
    assert_eq!(
        rest,
        " WARN shop: x\\u{1b}[31m user=\"a\\n2026 ERROR b\" n=1 error=\"card \\\"declined\\\"\\n\" \
         trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7\n    caused by: no\\nfunds\n"
    );
}

#[test]
fn pretty_lines_neither_break_nor_turn() {
    let rig = Rig::new(|setup| setup.format = Format::Pretty);
    rig.run(|| tracing::info!(target: "shop", user = "a\u{202e}b", "one\u{2028}two\u{2069}"));
    let text = rig.kept.text();
    assert!(
        text.contains(r#" shop: one\u{2028}two\u{2069} user="a\u{202e}b" "#),
        "{text:?}"
    );
}

#[test]
fn scopes_nest_and_the_inner_name_wins() {
    let rig = Rig::json();
    rig.run(|| {
        let user = "ada";
        crate::scope! { %user, order.id = 1, "quoted key" = ?Some(1), none = None::<u8> }.run(|| {
            crate::scope! { order.id = 2 }.run(|| tracing::info!(user = "bob", "inner"));
            tracing::info!("outer");
        });
        tracing::info!("outside");
    });
    let lines = rig.kept.lines();
    assert_eq!(lines[0]["user"], "bob");
    assert_eq!(lines[0]["order.id"], 2);
    assert_eq!(lines[0]["quoted key"], "Some(1)");
    assert_eq!(lines[1]["user"], "ada");
    assert_eq!(lines[1]["order.id"], 1);
    assert_eq!(lines[1].get("none"), None);
    assert_eq!(lines[2].get("user"), None);
}

#[test]
fn a_name_that_a_scope_says_twice_stands_once() {
    let rig = Rig::json();
    rig.run(|| {
        crate::scope! { a = 0, b = 0 }.run(|| {
            crate::scope! { a = 1, c = 1, a = 2, c = 2 }.run(|| tracing::info!(c = 3, "inner"));
        });
    });
    let text = rig.kept.text();
    for pair in [r#""a":2"#, r#""b":0"#, r#""c":3"#] {
        let key = &pair[..4];
        assert_eq!(
            (text.matches(key).count(), text.matches(pair).count()),
            (1, 1),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_follows_its_task_and_no_other() {
    let rig = Rig::json();
    let logs = rig.handle.logs.clone();
    let tasks: Vec<_> = (0..200_u64)
        .map(|id| {
            let logs = logs.clone();
            tokio::spawn(crate::scope! { task = id }.follow(async move {
                for _ in 0..5 {
                    logs.record(Level::INFO, "t", None, |fields| fields.u64(Key::Name("own"), id));
                    tokio::task::yield_now().await;
                }
                tokio::spawn(Scope::current().unwrap().follow(async move {
                    logs.record(Level::INFO, "t", None, |fields| fields.u64(Key::Name("own"), id));
                }))
                .await
                .unwrap();
            }))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    rig.flush();
    let lines = rig.kept.lines();
    assert_eq!(lines.len(), 1200);
    assert!(lines.iter().all(|line| line["task"] == line["own"]));
    assert!(Scope::current().is_none());
}

#[test]
fn a_scope_holds_for_what_its_future_drops() {
    struct RollBack(Arc<Logs>);
    impl Drop for RollBack {
        fn drop(&mut self) {
            self.0.record(Level::INFO, "t", None, |_| ());
        }
    }
    let rig = Rig::json();
    let held = RollBack(rig.handle.logs.clone());
    let mut future = Box::pin(crate::scope! { task = 1 }.follow(async move {
        let _held = held;
        std::future::pending::<()>().await;
    }));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut cx).is_pending());
    drop(future);
    rig.flush();
    assert_eq!(rig.kept.lines()[0]["task"], 1);
}

#[test]
fn secrets_are_not_written() {
    #[derive(Debug)]
    #[expect(dead_code)]
    struct Login {
        user: &'static str,
        password: &'static str,
    }
    let login = Login {
        user: "ada",
        password: "hunter2",
    };
    let rig = Rig::new(|setup| {
        setup.redact = vec!["iban".to_owned()];
        setup.redact_with = Some(Arc::new(|_, text| text.contains('@').then(|| "<mail>".to_owned())));
    });
    let line = rig.one(|| {
        crate::scope! { session.token = "hunter2" }.run(|| {
            tracing::info!(
                ?login,
                db.password = "hunter2",
                iban = 12,
                mail = "a@b",
                "url ?token=hunter2&a=1"
            );
        });
    });
    assert!(!line.to_string().contains("hunter2"), "{line}");
    assert_eq!(line["login"], "Login { user: \"ada\", password: [redacted] }");
    assert_eq!(line["message"], "url ?token=[redacted]&a=1");
    assert_eq!(line["iban"], "[redacted]");
    assert_eq!(line["mail"], "<mail>");
}

#[test]
fn a_value_that_panics_or_logs_leaves_the_line_whole() {
    struct Logging<'a>(&'a super::Logs);
    impl std::fmt::Debug for Logging<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.record(Level::ERROR, "t", None, |_| ());
            f.write_str("logged")
        }
    }
    struct Panics;
    impl std::fmt::Display for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text")
        }
    }
    let rig = Rig::json();
    rig.run(|| tracing::info!(a = ?Logging(&rig.handle.logs), b = %Panics, c = 1, "line"));
    let lines = rig.kept.lines();
    let line = lines.iter().find(|line| line["message"] == "line").unwrap();
    assert_eq!(line["a"], "logged");
    assert_eq!(line["b"], "<its formatter panicked>");
    assert_eq!(line["c"], 1);
    assert_eq!(rig.handle.stats().lost, [(Level::ERROR, "nested", 1)]);
}

/// The panic hook is the process's, so that panics of other tests make lines here, too.
#[test]
fn a_panic_while_a_line_is_made_does_not_feed_itself() {
    let rig = Rig::new(|setup| {
        setup.redact_with = Some(Arc::new(|key, _| {
            assert_ne!(key, "message");
            None
        }));
    });
    panic::install(rig.handle.logs.clone());
    rig.handle.logs.record(Level::INFO, "t", None, |fields| {
        fields.str(Key::Name("message"), "one");
    });
    // Each such line would be a few microseconds behind the one before.
    std::thread::sleep(Duration::from_millis(200));
    rig.flush();
    let lines = rig.kept.lines();
    let own = lines.iter().filter(|line| line["thread.name"] == "vitalsign-logs");
    assert!(own.count() <= 1, "{} lines", lines.len());
    let line = lines.iter().find(|line| line["target"] == "t").unwrap();
    assert_eq!(line["message"], "[redacted]");
}

#[test]
fn a_formatter_that_panics_loses_no_line() {
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("in Debug")
        }
    }
    let rig = Rig::json();
    panic::install(rig.handle.logs.clone());
    rig.run(|| tracing::info!(a = ?Panics));
    let lines = rig.kept.lines();
    let line = lines.iter().find(|line| line["target"] != "panic").unwrap();
    assert_eq!(line["a"], "<its formatter panicked>");
    assert_eq!(rig.handle.stats().lost, [], "the line says it, and no other is missing");
}

#[test]
fn the_filter_changes_while_running() {
    let rig = Rig::new(|setup| setup.filter = "warn".to_owned());
    let log = || {
        for word in ["one", "two"] {
            tracing::debug!(target: "noisy", word);
            if word == "one" {
                rig.handle.set_filter("noisy=debug").unwrap();
            }
        }
    };
    let line = rig.one(log);
    assert_eq!(line["word"], "two");
    assert!(rig.handle.set_filter("noisy=loud").is_err());
    assert_eq!(rig.handle.filter(), "noisy=debug");
}

/// Where another took the `log` crate first, its records are made as that one said.
#[test]
fn the_filter_leaves_the_level_of_another_logger() {
    let rig = Rig::json();
    let before = log::max_level();
    log::set_max_level(log::LevelFilter::Debug);
    rig.handle.set_filter("error").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    log::set_max_level(before);
}

#[test]
fn a_slow_output_loses_the_unimportant_and_says_so() {
    let rig = Rig::new(|setup| setup.max_records = 100);
    rig.kept.state().slow = Some(Duration::from_millis(100));
    let logs = &rig.handle.logs;
    logs.record(Level::ERROR, "t", None, |_| ());
    std::thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    for _ in 0..500 {
        logs.record(Level::DEBUG, "t", None, |_| ());
    }
    for _ in 0..40 {
        logs.record(Level::ERROR, "t", None, |_| ());
    }
    assert!(started.elapsed() < Duration::from_millis(100));
    rig.flush();
    logs.record(Level::INFO, "t", None, |fields| {
        fields.str(Key::Name("message"), "later");
    });
    rig.flush();
    let lines = rig.kept.lines();
    let count = |level: &str| lines.iter().filter(|line| line["level"] == level).count() as u64;
    assert_eq!(count("ERROR"), 41);
    let stats = rig.handle.stats();
    assert_eq!(stats.lost, [(Level::DEBUG, "queue_full", 500 - count("DEBUG"))]);
    let notice = lines.iter().find(|line| line["target"] == "vitalsign::logs").unwrap();
    assert_eq!(notice["lost.debug"], 500 - count("DEBUG"));
    assert_eq!(stats.written, lines.len() as u64 - 1);
}

#[test]
fn an_output_that_fails_in_the_middle_of_a_line() {
    let rig = Rig::json();
    let log = |n: u64| {
        rig.handle
            .logs
            .record(Level::INFO, "t", None, |fields| fields.u64(Key::Name("n"), n));
        rig.flush();
    };
    log(1);
    rig.kept.state().fail_after = Some(30);
    log(2);
    log(3);
    rig.kept.state().fail_after = None;
    log(4);
    let text = rig.kept.text();
    let whole: Vec<Json> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let numbers: Vec<_> = whole.iter().filter_map(|line| line["n"].as_u64()).collect();
    assert_eq!(numbers, [1, 4], "{text}");
    assert_eq!(
        text.lines().count(),
        4,
        "two whole lines, a broken one, a notice: {text}"
    );
    assert_eq!(rig.handle.stats().lost, [(Level::INFO, "write", 2)]);
}

#[test]
fn an_output_whose_flush_panics_is_written_to_again() {
    let rig = Rig::json();
    rig.kept.state().flush_panics = true;
    for n in 0..3 {
        rig.run(|| tracing::info!(n, "line"));
    }
    assert_eq!(rig.kept.lines().len(), 3);
    let stats = rig.handle.stats();
    assert_eq!((stats.written, stats.lost), (3, Vec::new()));
}

#[test]
fn lines_that_share_a_large_scope_are_written_piece_by_piece() {
    let rig = Rig::json();
    // Behind the first line the others gather.
    rig.kept.state().slow = Some(Duration::from_millis(100));
    let text = "x".repeat(16_000);
    crate::scope! { a = text.as_str(), b = text.as_str(), c = text.as_str() }.run(|| {
        for _ in 0..100 {
            rig.handle.logs.record(Level::ERROR, "t", None, |_| ());
        }
    });
    rig.kept.state().slow = None;
    rig.flush();
    assert_eq!(rig.kept.lines().len(), 100);
    let most = rig.kept.state().most;
    assert!(most < 1_200_000, "{most} bytes at once");
}

#[test]
fn a_loss_is_told_of_until_the_notice_gets_through() {
    let rig = Rig::json();
    rig.kept.state().fail_after = Some(0);
    rig.handle.logs.record(Level::INFO, "t", None, |_| ());
    rig.flush();
    // Now the notice is refused as well.
    rig.handle.logs.record(Level::INFO, "t", None, |_| ());
    rig.flush();
    rig.kept.state().fail_after = None;
    // So much that it leaves in pieces, the notice in the last.
    let text = "x".repeat(16_000);
    crate::scope! { a = text.as_str(), b = text.as_str(), c = text.as_str() }.run(|| {
        for _ in 0..60 {
            rig.handle.logs.record(Level::ERROR, "t", None, |_| ());
        }
    });
    rig.flush();
    let lines = rig.kept.lines();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["target"] == "vitalsign::logs")
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["message"], "2 log lines lost");
}

#[test]
fn scopes_that_nest_without_end_stay_small() {
    let rig = Rig::json();
    let mut scope = crate::scope! { first = 1, n = 0 };
    for n in 1..100_000 {
        scope = scope.run(|| crate::scope! { n });
        assert!(scope.holds() < 10_000, "{n}: {}", scope.holds());
    }
    scope.run(|| rig.handle.logs.record(Level::INFO, "t", None, |_| ()));
    rig.flush();
    let line = rig.kept.lines().remove(0);
    assert_eq!((&line["first"], &line["n"]), (&json!(1), &json!(99_999)));
}

#[cfg(feature = "tower")]
#[test]
fn a_request_is_known_from_any_depth() {
    let of = || Scope::with_request_id(|id| Some(id.to_owned()));
    let mut scope = crate::scope! { before = 1 }.run(|| Scope::of_request(Scope::current(), "abc"));
    for n in 0..1000 {
        scope = scope.run(|| crate::scope! { n });
        assert_eq!(scope.run(of).as_deref(), Some("abc"));
    }
}

/// Counts records, their bytes, and those it is told are lost.
#[derive(Default)]
struct Sink {
    seen: Mutex<(u64, usize)>,
    lost: Mutex<u64>,
    slow: Option<Duration>,
}

impl Sink {
    fn otlp(self: Arc<Self>) -> OtlpLogs {
        OtlpLogs {
            sink: self,
            encode: |_, _, out| out.push(1),
            limits: LogLimits::default(),
            max_batch: 64,
            delay: Duration::from_secs(60),
        }
    }
}

impl LogSink for Sink {
    fn batch(&self, records: crate::export::otlp::framed::Framed, count: u64) {
        if let Some(slow) = self.slow {
            std::thread::sleep(slow);
        }
        let mut seen = self.seen.lock().unwrap();
        seen.0 += count;
        seen.1 += records.len();
    }

    fn lost(&self, count: u64) {
        *self.lost.lock().unwrap() += count;
    }
}

#[test]
fn records_on_their_way_to_otlp_are_accounted_for() {
    struct Logging<'a>(&'a super::Logs);
    impl std::fmt::Debug for Logging<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.record(Level::ERROR, "t", None, |_| ());
            f.write_str("logged")
        }
    }
    let sink = Arc::new(Sink {
        slow: Some(Duration::from_millis(50)),
        ..Sink::default()
    });
    let rig = Rig::new(|setup| {
        setup.format = Format::Off;
        setup.otlp = Some(sink.clone().otlp());
        setup.max_records = 100;
    });
    for _ in 0..1000 {
        rig.handle.logs.record(Level::INFO, "t", None, |_| ());
    }
    let account = || {
        let (lost, waiting) = rig.handle.unexported();
        let told = *sink.lost.lock().unwrap();
        (told + lost, waiting, sink.seen.lock().unwrap().0)
    };
    let (lost, waiting, _) = account();
    assert!(lost > 700 && waiting > 0, "{lost} lost, {waiting} waiting");
    rig.flush();
    let (lost, waiting, handed) = account();
    assert_eq!((lost + handed, waiting), (1000, 0));
    assert_eq!(rig.handle.unexported(), (0, 0), "told of in time");
    rig.run(|| tracing::info!(a = ?Logging(&rig.handle.logs)));
    assert_eq!(rig.handle.unexported(), (1, 0), "the one within is lost");
}

#[test]
fn what_is_logged_after_the_export_is_for_lines_only() {
    let sink = Arc::new(Sink::default());
    let rig = Rig::new(|setup| setup.otlp = Some(sink.clone().otlp()));
    let log = |records| {
        for _ in 0..records {
            rig.handle.logs.record(Level::INFO, "t", None, |_| ());
        }
    };
    log(3);
    rig.handle.end_export();
    log(2);
    assert_eq!(rig.handle.unexported().0, 0);
    rig.flush();
    log(1);
    rig.handle.logs.queue.lose(Loss::QueueFull, Level::INFO);
    rig.flush();
    assert_eq!((sink.seen.lock().unwrap().0, *sink.lost.lock().unwrap()), (3, 0));
    assert_eq!(rig.handle.unexported(), (0, 0));
    let records = rig.kept.lines().iter().filter(|line| line["target"] == "t").count();
    assert_eq!(records, 6);
}

#[test]
fn a_longer_queue_for_otlp_takes_more_records() {
    let lost = |records| {
        let sink = Arc::new(Sink {
            slow: Some(Duration::from_millis(300)),
            ..Sink::default()
        });
        let rig = Rig::new(|setup| {
            setup.format = Format::Off;
            setup.otlp = Some(sink.otlp());
            setup.make_room(records);
        });
        let logs = &rig.handle.logs;
        for _ in 0..64 {
            logs.record(Level::INFO, "t", None, |_| ());
        }
        // Handed over, which takes its time.
        std::thread::sleep(Duration::from_millis(30));
        for _ in 0..20_000 {
            logs.record(Level::INFO, "t", None, |_| ());
        }
        logs.stats().lost.iter().map(|(_, _, count)| count).sum::<u64>()
    };
    assert!(lost(2048) > 1000, "as many as without");
    assert_eq!(lost(40_000), 0);
    // What nobody has memory for is a number like others.
    assert_eq!(lost(usize::MAX), 0);
}

#[test]
fn no_line_is_lost_or_doubled_when_both_outputs_are_on() {
    let sink = Arc::new(Sink::default());
    let rig = Rig::new(|setup| setup.otlp = Some(sink.clone().otlp()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    rig.handle.logs.record(Level::INFO, "t", None, |_| ());
                }
            });
        }
    });
    rig.flush();
    assert_eq!(rig.kept.lines().len(), 4000);
    assert_eq!(*sink.seen.lock().unwrap(), (4000, 4000));
    assert!(rig.handle.shutdown(Instant::now() + Duration::from_secs(5)));
    rig.handle.logs.record(Level::INFO, "t", None, |_| ());
    assert_eq!(rig.handle.stats().lost, [(Level::INFO, "queue_full", 1)]);
}

#[test]
fn an_output_that_is_stuck_holds_up_lines_only() {
    let sink = Arc::new(Sink::default());
    let rig = Rig::new(|setup| {
        setup.otlp = Some(sink.clone().otlp());
        setup.max_records = 100;
    });
    let logs = &rig.handle.logs;
    let soon = || Instant::now() + Duration::from_secs(10);
    rig.kept.state().stuck = true;
    logs.record(Level::INFO, "t", None, |_| ());
    assert!(rig.handle.hand_over(soon()));
    // The writer has this one in its hands.
    std::thread::sleep(Duration::from_millis(50));
    for n in 1..=300 {
        logs.record(Level::INFO, "t", None, |_| ());
        assert!(n % 50 != 0 || rig.handle.hand_over(soon()), "the exporter has them");
    }
    assert_eq!(sink.seen.lock().unwrap().0, 301);
    assert_eq!(rig.handle.unexported(), (0, 0));
    assert_eq!(*sink.lost.lock().unwrap(), 0, "lines are lost, records are not");
    assert_eq!(rig.handle.stats().lost, [(Level::INFO, "queue_full", 230)]);
    let began = Instant::now();
    assert!(!rig.handle.shutdown(began + Duration::from_millis(200)));
    assert!(began.elapsed() < Duration::from_secs(5));
    let lost = [(Level::INFO, "queue_full", 230), (Level::INFO, "write", 71)];
    assert_eq!(rig.handle.stats().lost, lost, "also the one in the writer's hands");
    rig.kept.state().stuck = false;
    rig.flush();
    assert_eq!(
        (rig.handle.stats().written, rig.handle.stats().lost),
        (0, lost.to_vec()),
        "nothing counts twice"
    );
}

#[test]
fn records_of_the_log_crate() {
    use log::Log as _;
    let rig = Rig::new(|setup| setup.filter = "warn".to_owned());
    let bridge = bridge::Bridge(rig.handle.logs.clone());
    for level in [log::Level::Warn, log::Level::Info] {
        let pairs: &[(&str, log::kv::Value<'_>)] = &[("n", 5.into()), ("s", "text".into()), ("ok", true.into())];
        bridge.log(
            &log::Record::builder()
                .level(level)
                .target("old::crate")
                .args(format_args!("said {}", 1))
                .key_values(&pairs)
                .build(),
        );
    }
    let line = rig.one(|| ());
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], "old::crate");
    assert_eq!(line["message"], "said 1");
    assert_eq!(
        (&line["n"], &line["s"], &line["ok"]),
        (&json!(5), &json!("text"), &json!(true))
    );
}

#[test]
fn baggage_is_shown_by_allow_list_and_a_field_of_its_name_wins() {
    crate::trace::baggage::show("shown.tenant,shown.other");
    let rig = Rig::json();
    let logs = &rig.handle.logs;
    crate::trace::Baggage::parse("shown.tenant=acme,hidden=1,shown.other=x").run(|| {
        logs.record(Level::INFO, "t", None, |fields| {
            fields.str(Key::Name("shown.other"), "own");
        });
    });
    rig.flush();
    let line = rig.kept.lines().remove(0);
    assert_eq!(
        (&line["shown.tenant"], &line["shown.other"]),
        (&json!("acme"), &json!("own"))
    );
    assert_eq!((line.get("hidden"), line.get("trace_id")), (None, None));
}
