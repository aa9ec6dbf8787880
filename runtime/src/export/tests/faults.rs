use super::receiver::{Answer, Receiver};
use super::*;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_request_is_what_the_specification_says() {
    let receiver = Receiver::start();
    let exporter = exporter(
        &format!("{}/sub", receiver.url()),
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,x-a=b"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ],
    );
    record(&exporter, 0, 3);
    let report = exporter.flush(LONG);
    assert_eq!(report.traces, tally(3, 0, 0, 0));
    let request = &receiver.requests()[0];
    assert_eq!(request.path, "/sub/v1/traces");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("authorization"), Some("Bearer x"));
    assert_eq!(request.header("x-a"), Some("b"));
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("OTel-OTLP-Exporter-Rust")
    );
    assert_eq!(request.spans(), ["0", "1", "2"]);
}

#[test]
fn each_status_is_retried_or_not() {
    let background = Arc::new(Background::start().unwrap());
    let date = |seconds| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
    let mut runs = Vec::new();
    for status in [
        400, 401, 403, 404, 405, 408, 409, 413, 415, 418, 421, 429, 500, 501, 502, 503, 504, 505, 507, 511, 301, 304,
    ] {
        for (retry_after, wait) in [
            (None, Duration::ZERO),
            (Some("1".to_owned()), Duration::from_secs(1)),
            // Dates have whole seconds: what is left of the first is anything.
            (Some(date(2)), Duration::from_millis(900)),
        ] {
            let background = background.clone();
            runs.push(thread::spawn(move || {
                let receiver = Receiver::scripted([Answer::Status(status, retry_after.clone())]);
                let exporter = exporter_on(background, &receiver.url(), &[]);
                record(&exporter, 0, 1);
                let report = exporter.flush(LONG);
                let requests = receiver.requests();
                let context = format!("{status} {retry_after:?} {report:?}");
                if matches!(status, 429 | 502 | 503 | 504) {
                    assert_eq!((requests.len(), report.traces), (2, tally(1, 0, 0, 0)), "{context}");
                    let waited = requests[1].at - requests[0].at;
                    assert!(waited >= wait, "{context} {waited:?}");
                } else {
                    assert_eq!((requests.len(), report.traces), (1, tally(0, 1, 0, 0)), "{context}");
                }
            }));
        }
    }
    for run in runs {
        run.join().unwrap();
    }
}

#[test]
fn what_the_receiver_rejects_is_counted_and_never_sent_again() {
    let receiver = Receiver::scripted([
        Answer::Partial(2, "too old"),
        Answer::Partial(0, "be careful"),
        Answer::Partial(99, ""),
    ]);
    let exporter = exporter(&receiver.url(), &[]);
    record(&exporter, 0, 5);
    assert_eq!(exporter.flush(LONG).traces, tally(3, 2, 0, 0));
    record(&exporter, 5, 1);
    assert_eq!(exporter.flush(LONG).traces, tally(4, 2, 0, 0));
    record(&exporter, 6, 1);
    assert_eq!(
        exporter.flush(LONG).traces,
        tally(4, 3, 0, 0),
        "no more is rejected than was sent"
    );
    assert_eq!(receiver.requests().len(), 3);
}

#[test]
fn broken_connections_are_retried() {
    for answer in [Answer::Close, Answer::Half] {
        let receiver = Receiver::scripted([answer.clone()]);
        let exporter = exporter(&receiver.url(), &[]);
        record(&exporter, 0, 1);
        assert_eq!(exporter.flush(LONG).traces, tally(1, 0, 0, 0), "{answer:?}");
        assert_eq!(receiver.requests().len(), 2);
    }
}

#[test]
fn silence_and_dripping_end_at_the_time_out() {
    for answer in [
        Answer::Hang(Duration::from_secs(3)),
        Answer::Drip(Duration::from_secs(1)),
    ] {
        let receiver = Receiver::scripted([answer.clone()]);
        let exporter = exporter(&receiver.url(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "300")]);
        record(&exporter, 0, 1);
        let start = Instant::now();
        assert_eq!(exporter.flush(LONG).traces, tally(1, 0, 0, 0), "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{answer:?}");
        assert_eq!(receiver.requests().len(), 2);
    }
}

#[test]
fn what_is_no_answer_is_not_sent_again() {
    for answer in [Answer::Garbage, Answer::NotHttp, Answer::Huge(64 << 20)] {
        let receiver = Receiver::scripted([answer.clone()]);
        let exporter = exporter(&receiver.url(), &[]);
        record(&exporter, 0, 2);
        let report = exporter.flush(LONG).traces;
        assert_eq!(report.delivered + report.pending, 0, "{answer:?}");
        assert_eq!(report.rejected + report.dropped, 2, "{answer:?}");
        record(&exporter, 2, 1);
        assert_eq!(exporter.flush(LONG).traces.delivered, 1, "{answer:?}");
        assert_eq!(receiver.requests().len(), 2, "{answer:?}");
    }
}

#[test]
fn a_success_in_other_words_is_one() {
    for (media_type, body, delivered) in [
        ("text/plain", "ok", 2),
        ("text/plain; charset=utf-8", "{}", 2),
        ("Application/JSON; charset=utf-8", r#"{"partialSuccess":{}}"#, 2),
        ("application/json", r#"{"partialSuccess":{"rejectedSpans":"1"}}"#, 1),
        ("application/json", "ok", 0),
        ("text/html; charset=utf-8", "<html>welcome</html>", 0),
    ] {
        let receiver = Receiver::scripted([Answer::Body(media_type, body)]);
        let exporter = exporter(&receiver.url(), &[]);
        record(&exporter, 0, 2);
        let traces = exporter.flush(LONG).traces;
        assert_eq!(traces, tally(delivered, 2 - delivered, 0, 0), "{media_type} {body}");
        assert_eq!(receiver.requests().len(), 1, "{media_type} {body}");
    }
}

#[test]
fn an_outage_loses_exactly_what_the_queue_can_not_hold() {
    // An address that nobody listens on, known to be free again later.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let vars = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "30"),
    ];
    let exporter = exporter(&format!("http://{address}"), &vars);
    for n in 0..50 {
        record(&exporter, n * 7, 7);
    }
    thread::sleep(Duration::from_millis(300));
    assert_eq!(exporter.report().traces, tally(0, 0, 250, 100));
    let receiver = Receiver::at(address);
    let back = Instant::now();
    receiver.wait_for(4);
    assert!(back.elapsed() <= crate::export::retry::LONGEST + Duration::from_secs(1));
    assert_eq!(exporter.flush(LONG).traces, tally(100, 0, 250, 0));
    let mut arrived: Vec<u64> = receiver.spans().iter().map(|name| name.parse().unwrap()).collect();
    arrived.sort_unstable();
    assert_eq!(
        arrived,
        (0..100).collect::<Vec<_>>(),
        "the newest are dropped, the oldest kept"
    );
    assert!(receiver.requests().iter().all(|r| r.spans().len() <= 30));
}

/// Nothing answers the beginning of a connection: the place for those that wait to be accepted is taken.
#[test]
fn a_black_hole_is_given_up_at_the_time_out_and_left_behind_at_once() {
    let background = Arc::new(Background::start().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    background.handle().spawn(async move {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        tell.send((address, listener)).unwrap();
    });
    let (address, listener) = told.recv().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
    }
    let exporter = exporter(&format!("http://{address}"), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "300")]);
    let start = Instant::now();
    for n in 0..1000 {
        record(&exporter, n * 3, 3);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "callers do not wait");
    assert_eq!(exporter.flush(Duration::from_secs(2)).traces, tally(0, 0, 952, 2048));
    drop((listener, waiting));
    let receiver = Receiver::at(address);
    assert_eq!(exporter.flush(LONG).traces, tally(2048, 0, 952, 0));
    assert_eq!(receiver.spans().len(), 2048);
}

/// By default a receiver over gRPC takes 4 MiB, and no request may be larger than 64.
#[test]
fn what_is_too_large_for_one_request_goes_in_several() {
    // A control character takes six bytes in JSON.
    for (protocol, name, most) in [
        ("http/protobuf", "x".repeat(100_000), 4 << 20),
        ("http/json", "\u{1}".repeat(30_000), 24 << 20),
    ] {
        let receiver = Receiver::start();
        let exporter = exporter(&receiver.url(), &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        let (bytes, count) = spans((0..500).map(|n| format!("{n}{name}")));
        exporter.spans(bytes, count);
        assert_eq!(exporter.flush(LONG).traces, tally(500, 0, 0, 0), "{protocol}");
        let requests = receiver.requests();
        assert!(requests.iter().all(|request| request.body.len() < most), "{protocol}");
        if protocol == "http/protobuf" {
            let numbers = receiver
                .spans()
                .into_iter()
                .map(|name| name.trim_end_matches('x').parse().unwrap());
            assert_eq!(numbers.collect::<Vec<u64>>(), (0..500).collect::<Vec<_>>(), "in order");
        }
    }
}

#[test]
fn pushes_of_metrics() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    let receiver = Receiver::start();
    let url = receiver.url();
    let (config, _) = Config::from(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.clone()),
        "OTEL_TRACES_EXPORTER" => Some("none".to_owned()),
        "OTEL_METRIC_EXPORT_INTERVAL" => Some("100".to_owned()),
        _ => None,
    });
    let background = Arc::new(Background::start().unwrap());
    let resource = Resource::new([("service.name", "test")]);
    let exporter = Exporter::start(
        &config,
        &resource,
        background,
        Arc::new(|| vec![counter("orders.placed", 7)]),
    )
    .unwrap();
    receiver.wait_for(2);
    let report = exporter.shutdown(LONG);
    assert!(
        report.metrics.delivered >= 3 && report.metrics.dropped == 0,
        "{report:?}"
    );
    let request = &receiver.requests()[0];
    assert_eq!(request.path, "/v1/metrics");
    let request = ExportMetricsServiceRequest::decode(&request.body[..]).unwrap();
    assert_eq!(
        request.resource_metrics[0].scope_metrics[0].metrics[0].name,
        "orders.placed"
    );
    let count = receiver.requests().len();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.requests().len(), count, "no push after the shutdown");
}

/// An exporter of nothing but metrics.
fn pushing(url: &str, gather: super::super::push::Gather) -> Exporter {
    let (config, _) = Config::from(|name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.to_owned()),
        "OTEL_TRACES_EXPORTER" => Some("none".to_owned()),
        "OTEL_METRIC_EXPORT_INTERVAL" => Some("3600000".to_owned()),
        "OTEL_METRIC_EXPORT_TIMEOUT" => Some("1000".to_owned()),
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" => Some("delta".to_owned()),
        _ => None,
    });
    let background = Arc::new(Background::start().unwrap());
    Exporter::start(&config, &Resource::new([("service.name", "test")]), background, gather).unwrap()
}

#[test]
fn a_callback_that_hangs_keeps_nothing_but_its_push() {
    let receiver = Receiver::start();
    let hangs = Arc::new(AtomicBool::new(true));
    let (began, begins) = mpsc::channel();
    let gather = {
        let (hangs, began) = (hangs.clone(), Mutex::new(began));
        move || {
            let _ = began.lock().unwrap().send(());
            while hangs.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            vec![counter("orders.placed", 7)]
        }
    };
    let exporter = pushing(&receiver.url(), Arc::new(gather));
    thread::scope(|scope| {
        let flush = scope.spawn(|| exporter.flush(LONG));
        begins.recv().unwrap();
        // The thread that exports does not wait for it: what it is given meanwhile gets done.
        let (done, answer) = mpsc::channel();
        let task = async move { done.send(()).unwrap() };
        exporter.background().handle().spawn(task);
        answer.recv_timeout(LONG).unwrap();
        assert_eq!(flush.join().unwrap().metrics.delivered, 0);
    });
    // The one before has not ended: no second one waits beside it.
    assert_eq!(exporter.flush(LONG).metrics.delivered, 0);
    hangs.store(false, Ordering::SeqCst);
    while exporter.flush(LONG).metrics.delivered == 0 {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn whoever_asks_for_no_wait_is_not_flooded() {
    let refusing = || Receiver::scripted(vec![Answer::Status(503, Some("0".to_owned())); 1000]);
    let receiver = refusing();
    let exporter = exporter(&receiver.url(), &[]);
    record(&exporter, 0, 1);
    assert_eq!(exporter.flush(Duration::from_secs(2)).traces, tally(0, 0, 0, 1));
    let requests = receiver.requests().len();
    assert!((2..20).contains(&requests), "{requests} attempts at one span");
    let receiver = refusing();
    let pushing = pushing(&receiver.url(), Arc::new(|| vec![counter("orders.placed", 7)]));
    assert_eq!(pushing.flush(LONG).metrics, tally(0, 0, 1, 0));
    let requests = receiver.requests().len();
    assert!((2..6).contains(&requests), "{requests} attempts within a second");
}

#[test]
fn a_last_push_of_which_nothing_is_known_is_told() {
    const SHORT: Duration = Duration::from_millis(300);
    let silent = Receiver::scripted(vec![Answer::Hang(Duration::from_secs(5)); 9]);
    let exporter = pushing(&silent.url(), Arc::new(|| vec![counter("a", 1), counter("b", 1)]));
    assert_eq!(exporter.flush(SHORT).metrics.pending, 2);
    assert_eq!(exporter.shutdown(SHORT).metrics.pending, 2);
    let receiver = Receiver::start();
    let exporter = pushing(&receiver.url(), Arc::new(|| panic!("in a callback")));
    assert_eq!(exporter.shutdown(LONG).metrics, tally(0, 0, 1, 0));
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let hangs = move || {
        let _ = held.lock().unwrap().recv();
        vec![counter("a", 1)]
    };
    let exporter = pushing(&receiver.url(), Arc::new(hangs));
    assert_eq!(exporter.shutdown(SHORT).metrics, tally(0, 0, 0, 1));
    drop(hold);
}

/// By default a receiver over gRPC takes 4 MiB.
#[test]
fn a_push_larger_than_receivers_take_goes_in_parts() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    const SERIES: u64 = 60_000;
    let gather = || {
        let mut family = counter("orders.placed", 7);
        let point = family.points[0].clone();
        family.points = (0..SERIES)
            .map(|n| Point {
                labels: vec![("user".into(), format!("{n:0>100}").into())].into(),
                ..point.clone()
            })
            .collect();
        vec![family]
    };
    // The second part is refused for good: the others are delivered, and it is told whole with the next.
    let receiver = Receiver::scripted([Answer::Ok, Answer::Status(400, None)]);
    let exporter = pushing(&receiver.url(), Arc::new(gather));
    let report = exporter.flush(LONG).metrics;
    assert!(
        report.rejected > 0 && report.delivered + report.rejected == SERIES,
        "{report:?}"
    );
    let sent = receiver.requests();
    assert!(sent.len() > 2 && sent.iter().all(|request| request.body.len() < 4 << 20));
    exporter.flush(LONG);
    let told: u64 = receiver.requests()[sent.len()..]
        .iter()
        .map(|request| {
            let request = ExportMetricsServiceRequest::decode(&request.body[..]).unwrap();
            let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
            let points = metrics.iter().flat_map(|metric| match &metric.data {
                Some(opentelemetry_proto::tonic::metrics::v1::metric::Data::Sum(sum)) => &sum.data_points[..],
                other => panic!("{other:?}"),
            });
            let seven = Some(opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt(7));
            points.filter(|point| point.value == seven).count() as u64
        })
        .sum();
    assert_eq!(told, report.rejected);
}

#[test]
fn json_over_http() {
    let receiver = Receiver::start();
    let exporter = exporter(&receiver.url(), &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]);
    record(&exporter, 0, 1);
    assert_eq!(exporter.flush(LONG).traces, tally(1, 0, 0, 0));
    let request = &receiver.requests()[0];
    assert_eq!(request.header("content-type"), Some("application/json"));
    let text = String::from_utf8(request.body.clone()).unwrap();
    assert_eq!(
        text,
        format!(
            "{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"service.name\",\"value\":{{\"stringValue\":\"test\"}}}}]}},\
             \"scopeSpans\":[{{\"scope\":{{\"name\":\"vitalsign\",\"version\":\"{}\"}},\"spans\":[{{\"name\":\"0\"}}]}}]}}]}}",
            env!("CARGO_PKG_VERSION")
        )
    );
}
