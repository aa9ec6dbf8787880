//! `#[observed(job = …)]`: whose message it was, how long it waited, which attempt it is, and how it ended, seen from outside.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};
use tests::live::live;
use tests::span::{Span, SpanKind, StatusCode};
use vitalsign::jobs::{Job, Message, QueueDepth, queue_depth};
use vitalsign::trace::{SpanContext, extract};
use vitalsign::{observed, traced};

#[derive(Debug)]
struct Bounced;

impl std::fmt::Display for Bounced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bounced")
    }
}

impl std::error::Error for Bounced {}

#[traced(kind = producer)]
fn enqueue<T>(payload: T) -> Job<T> {
    Job::new(payload)
}

fn named(name: &str) -> Vec<Span> {
    live().flush();
    let spans = live().receiver.spans();
    spans.into_iter().filter(|span| span.name == name).collect()
}

#[track_caller]
fn one(name: &str) -> Span {
    let found = named(name);
    assert_eq!(found.len(), 1, "{name}");
    found.into_iter().next().expect("counted")
}

#[traced]
fn placing_mail() -> Job<&'static str> {
    enqueue("ada@example.com")
}

#[observed(job = "mail")]
async fn mail(urgent: bool, job: &Job<&str>) -> Result<usize, Bounced> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    if urgent { Ok(job.len()) } else { Err(Bounced) }
}

#[tokio::test]
async fn one_trace_from_the_sender_to_the_third_attempt() {
    live();
    let job = placing_mail();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let id = job.id().to_owned();
    assert!(mail(false, &job).await.is_err());
    let job = job.retry();
    assert!(mail(false, &job).await.is_err());
    let job = job.retry();
    assert_eq!(mail(true, &job).await.ok(), Some(15));

    live().flush();
    let trace = live().receiver.trace("placing_mail", 5);
    assert_eq!(
        trace.outline(),
        "placing_mail\n  enqueue\n    process mail\n    process mail\n    process mail\n"
    );
    let sender = trace.span("enqueue");
    assert_eq!(sender.kind, SpanKind::Producer);
    let mut attempts: Vec<_> = trace.spans.iter().filter(|span| span.name == "process mail").collect();
    attempts.sort_by_key(|span| span.start);
    for (span, attempt) in attempts.iter().zip(["1", "2", "3"]) {
        assert_eq!(span.kind, SpanKind::Consumer);
        assert_eq!(span.links, [(sender.trace_id.clone(), sender.span_id.clone())]);
        assert_eq!(span.attribute("job.attempt"), attempt);
        assert_eq!(span.attribute("job.name"), "mail");
        assert_eq!(span.attribute("messaging.message.id"), id);
        assert_eq!(span.attribute("messaging.system"), "in_process");
        assert_eq!(span.attribute("messaging.operation.name"), "process");
        assert_eq!(span.attribute("messaging.operation.type"), "process");
        assert_eq!(span.attribute("messaging.destination.name"), "mail");
    }
    assert_eq!(attempts[0].status, StatusCode::Error);
    assert_eq!(attempts[0].attribute("error.type"), "work::jobs::Bounced");
    assert_eq!(attempts[2].status, StatusCode::Unset);

    let page = live().page();
    let mine = ("job_name", "mail");
    let attempts = |outcome, retry| {
        let labels = [mine, ("outcome", outcome), ("job_retry", retry)];
        page.value("job_attempts_total", &labels)
    };
    assert_eq!(attempts("error", "false"), Some(1.0));
    assert_eq!(attempts("error", "true"), Some(1.0));
    assert_eq!(attempts("ok", "true"), Some(1.0));
    assert_eq!(attempts("ok", "false"), Some(0.0), "known before it happens");
    assert_eq!(page.value("job_in_flight", &[mine]), Some(0.0));
    assert_eq!(page.value("job_wait_duration_seconds_count", &[mine]), Some(3.0));
    let waited = page.value("job_wait_duration_seconds_sum", &[mine]).expect("waits");
    assert!(waited >= 0.02, "{waited}");
    let queue = ("messaging_destination_name", "mail");
    let failed = [queue, ("error_type", "work::jobs::Bounced")];
    assert_eq!(
        page.value("messaging_process_duration_seconds_count", &failed),
        Some(2.0)
    );
    let ran = page
        .value("messaging_process_duration_seconds_sum", &failed)
        .expect("runs");
    assert!(ran >= 0.01, "{ran}");
    // It is a call like any other.
    let calls = [("function", "mail"), ("outcome", "error")];
    assert_eq!(page.value("function_calls_total", &calls), Some(2.0));
}

#[observed(job = "slow", counted(in_flight))]
async fn slow(job: Job<()>) -> Result<(), Bounced> {
    let () = *job;
    std::future::pending().await
}

#[observed(job = "fatal")]
fn fatal(_job: Job<u8>) {
    panic!("no such mailbox")
}

#[tokio::test]
async fn a_failure_is_also_a_panic_and_a_future_dropped() {
    live();
    let mut running = Box::pin(slow(Job::new(())));
    assert!(futures_util::poll!(&mut running).is_pending());
    let mine = |name| [("job_name", name)];
    assert_eq!(live().page().value("job_in_flight", &mine("slow")), Some(1.0));
    drop(running);
    // Never polled, so never tried.
    drop(slow(Job::new(())));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(|| fatal(Job::new(1)))).is_err());

    let page = live().page();
    assert_eq!(page.value("job_in_flight", &mine("slow")), Some(0.0));
    for (name, outcome) in [("slow", "cancelled"), ("fatal", "panic")] {
        let labels = [("job_name", name), ("outcome", outcome), ("job_retry", "false")];
        assert_eq!(page.value("job_attempts_total", &labels), Some(1.0), "{name}");
        let labels = [("messaging_destination_name", name), ("error_type", outcome)];
        let count = page.value("messaging_process_duration_seconds_count", &labels);
        assert_eq!(count, Some(1.0), "{name}");
        assert_eq!(page.value("job_wait_duration_seconds_count", &mine(name)), Some(1.0));
    }
    assert_eq!(one("process fatal").attribute("error.type"), "panic");
}

#[traced]
async fn batch(jobs: Vec<Job<u8>>) {
    for job in jobs {
        in_batch(job);
    }
}

#[observed(job(name = "count", system = "redis", queue = "numbers"))]
fn in_batch(job: Job<u8>) {
    assert!(*job < 10);
}

#[observed(job = "alone", traced(root))]
fn alone(job: Job<u8>) {
    assert!(*job < 10);
}

#[tokio::test]
async fn under_a_span_of_its_own_or_a_new_trace_it_is_linked_only() {
    live();
    batch(vec![enqueue(1)]).await;
    alone(enqueue(2));
    let (batch, consumer) = (one("batch"), one("process numbers"));
    assert_eq!(consumer.parent_id, batch.span_id);
    assert_eq!(consumer.links.len(), 1);
    assert_ne!(consumer.links[0].0, consumer.trace_id);
    assert_eq!(consumer.attribute("messaging.system"), "redis");
    assert_eq!(consumer.attribute("job.name"), "count");
    let root = one("process alone");
    assert_eq!((root.parent_id.as_str(), root.links.len()), ("", 1));
    assert_ne!(root.links[0].0, root.trace_id);
}

struct Delivery {
    headers: HashMap<String, String>,
    redelivered: u32,
    at: Option<SystemTime>,
}

impl Message for Delivery {
    fn context(&self) -> Option<SpanContext> {
        extract(&self.headers)
    }
    fn attempt(&self) -> Option<u32> {
        Some(self.redelivered)
    }
    fn enqueued(&self) -> Option<SystemTime> {
        self.at
    }
}

#[observed(job = "own_type")]
fn own_type(delivery: &mut Delivery) {
    delivery.redelivered += 1;
}

#[observed(job(name = "bytes", message = *headers))]
fn bytes(headers: &Vec<(String, Vec<u8>)>) -> usize {
    headers.len()
}

#[traced(kind = producer)]
fn send_own(headers: &mut HashMap<String, String>) {
    vitalsign::current().inject(headers);
}

#[traced(kind = producer)]
fn send_bytes(headers: &mut Vec<(String, Vec<u8>)>) {
    vitalsign::current().inject(headers);
}

#[tokio::test]
async fn any_type_can_carry() {
    live();
    let mut headers = HashMap::<String, String>::new();
    send_own(&mut headers);
    // Clocks differ: this one was sent tomorrow.
    let at = SystemTime::now().checked_add(Duration::from_secs(86_400));
    own_type(&mut Delivery {
        headers,
        redelivered: 0,
        at,
    });
    let mut pairs = Vec::new();
    send_bytes(&mut pairs);
    assert_eq!(bytes(&pairs), 1);

    let span = one("process own_type");
    assert_eq!(span.parent_id, one("send_own").span_id);
    assert_eq!(span.attribute("job.attempt"), "1", "there is none before the first");
    assert_eq!(one("process bytes").parent_id, one("send_bytes").span_id);
    let page = live().page();
    let sum = page.value("job_wait_duration_seconds_sum", &[("job_name", "own_type")]);
    assert_eq!(sum, Some(0.0));
}

#[observed(job = "hostile")]
fn hostile(message: &Delivery) -> usize {
    message.headers.len()
}

#[tokio::test]
async fn what_no_one_can_read_is_no_sender() {
    live();
    for text in ["", "00-zz", "\u{0}\n", &"0".repeat(100_000)] {
        hostile(&Delivery {
            headers: HashMap::from([("traceparent".to_owned(), text.to_owned())]),
            redelivered: u32::MAX,
            at: Some(SystemTime::UNIX_EPOCH),
        });
    }
    let spans = named("process hostile");
    assert_eq!(spans.len(), 4);
    for span in spans {
        assert_eq!((span.parent_id.as_str(), span.links.len()), ("", 0));
        assert_eq!(span.attribute("job.attempt"), u32::MAX.to_string());
    }
}

#[tokio::test]
async fn a_queue_says_how_deep_it_is() {
    let set = QueueDepth::new("redis", "set");
    let asked = queue_depth("redis", "asked", || Some(7));
    set.set(3);
    let depth = |queue| {
        live()
            .page()
            .value("job_queue_depth", &[("messaging_destination_name", queue)])
    };
    assert_eq!((depth("set"), depth("asked")), (Some(3.0), Some(7.0)));
    drop((set, asked));
    assert_eq!((depth("set"), depth("asked")), (None, None));
}

#[test]
fn a_job_goes_through_json() {
    let job = Job::new(vec![1, 2]);
    let text = serde_json::to_string(&job).expect("JSON");
    let back: Job<Vec<i32>> = serde_json::from_str(&text).expect("a job");
    assert_eq!(back, job);
    let short: Job<u8> = serde_json::from_str(r#"{"payload": 7}"#).expect("a job of another sender");
    assert_eq!((*short, short.attempt(), short.id()), (7, 1, ""));
    assert_eq!(short.enqueued(), None);
}

#[observed(job(name = "captured", queue = "jobs to capture"))]
fn captured(job: Job<u8>) -> Result<(), String> {
    (*job > 0).then_some(()).ok_or_else(|| "nothing to do".to_owned())
}

#[traced(db(system = "sqlite", operation = "SELECT", collection = "captured"))]
fn select() -> u8 {
    1
}

#[test]
fn captures_and_the_catalogue_have_what_jobs_and_statements_measure() {
    let capture = vitalsign::testing::capture();
    captured(Job::new(1)).expect("done");
    captured(Job::new(0).retry()).expect_err("nothing");
    select();
    let attempts = |labels: &[_]| capture.count("job.attempts", labels);
    assert_eq!(
        attempts(&[("job.name", "captured"), ("outcome", "ok"), ("job.retry", "false")]),
        1.0
    );
    assert_eq!(
        attempts(&[("job.name", "captured"), ("outcome", "error"), ("job.retry", "true")]),
        1.0
    );
    let processed = capture.samples("messaging.process.duration");
    assert_eq!(processed.len(), 2);
    assert!(
        processed
            .iter()
            .all(|sample| sample.label("messaging.destination.name") == Some("jobs to capture"))
    );
    assert_eq!(capture.samples("job.wait.duration").len(), 2);
    let statements = capture.samples("db.client.operation.duration");
    assert_eq!(statements.len(), 1);
    assert_eq!(statements[0].label("db.collection.name"), Some("captured"));

    let catalog = vitalsign::catalog();
    let of = |function: &str| {
        let found = catalog.functions.iter().find(|found| found.function == function);
        &found.expect("an annotated function").metrics
    };
    let names: Vec<_> = of("captured").iter().map(|metric| (metric.name, metric.kind)).collect();
    assert_eq!(
        names,
        [
            ("messaging.process.duration", "histogram"),
            ("job.wait.duration", "histogram"),
            ("job.attempts", "counter"),
            ("job.in_flight", "up-down counter"),
        ]
    );
    let [duration] = &of("select")[..] else {
        panic!("one family: {:?}", of("select"))
    };
    assert_eq!((duration.name, duration.unit), ("db.client.operation.duration", "s"));
    let system = duration.labels.iter().find(|label| label.key == "db.system.name");
    assert_eq!(system.and_then(|label| label.values.clone()), Some(vec!["sqlite"]));
    assert!(catalog.to_json().contains("\"job.attempts\""));
}
