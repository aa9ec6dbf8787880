//! What a service passes on, seen from outside: `examples/w3c` is asked to call us, and we look at the headers it sends. The cases are
//! those of W3C Trace Context and Baggage; then come other headers, telemetry that is off, and tail sampling in one service of two.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;
use tests::otlp::Receiver;
use tests::process::{Process, build};
use tests::span::SpanKind;

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "00-12345678901234567890123456789012-1234567890123456-01";

/// The running service, and where it calls us.
struct Service {
    url: String,
    process: Process,
}

/// One for the tests that run beside each other; it ends with the last of them, as a static would not.
fn service() -> Arc<Service> {
    static RUNNING: Mutex<Weak<Service>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().expect("started");
    let start = || Arc::new(start(&[("VITALSIGN_ADMIN", "off"), ("OTEL_TRACES_EXPORTER", "none")]));
    let service = running.upgrade().unwrap_or_else(start);
    *running = Arc::downgrade(&service);
    service
}

/// A service under these variables.
fn start(variables: &[(&str, &str)]) -> Service {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| build("w3c"));
    let mut command = std::process::Command::new(&*PROGRAM);
    command.arg("127.0.0.1:0").envs(variables.iter().copied());
    let process = Process::start(&mut command);
    let url = process.line("address", Duration::from_secs(30), |line| {
        line.strip_prefix("listening on ").map(str::to_owned)
    });
    Service { url, process }
}

/// The headers of the calls that the service makes when it is asked with these; values may be no text.
async fn calls(headers: &[(&str, &[u8])], count: usize) -> Vec<HeaderMap> {
    let service = tokio::task::spawn_blocking(service).await.expect("a service");
    calls_of(&service, None, headers, count).await
}

/// The same of any service, which may have to ask another one to make them.
async fn calls_of(
    service: &Service,
    through: Option<&Service>,
    headers: &[(&str, &[u8])],
    count: usize,
) -> Vec<HeaderMap> {
    let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let router = Router::new().route(
        "/",
        post(move |headers: HeaderMap, _: String| {
            kept.lock().expect("whole").push(headers);
            async {}
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let here = format!("http://{}/", listener.local_addr().expect("its address"));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut calls: Vec<_> = (0..count).map(|_| json!({"url": here, "arguments": []})).collect();
    if let Some(through) = through {
        calls = vec![json!({"url": through.url, "arguments": calls})];
    }
    let mut request = client
        .post(&service.url)
        .header("content-type", "application/json")
        .body(Value::from(calls).to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let status = request.send().await.expect("an answer").status();
    assert_eq!(status, 200);
    server.abort();
    let seen = seen.lock().expect("whole").clone();
    assert_eq!(seen.len(), count);
    seen
}

async fn call(headers: &[(&str, &str)]) -> HeaderMap {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    calls(&headers, 1).await.remove(0)
}

/// Trace, span and flags of the one `traceparent`.
fn parent(headers: &HeaderMap) -> (String, String, String) {
    let values: Vec<_> = headers.get_all("traceparent").iter().collect();
    assert_eq!(values.len(), 1);
    let parts: Vec<_> = values[0]
        .to_str()
        .expect("text")
        .split('-')
        .map(str::to_owned)
        .collect();
    let lengths: Vec<_> = parts.iter().map(String::len).collect();
    assert_eq!((&*parts[0], &*lengths), ("00", &[2, 32, 16, 2][..]));
    (parts[1].clone(), parts[2].clone(), parts[3].clone())
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    assert!(headers.get_all(name).iter().count() <= 1);
    headers.get(name).map(|value| value.to_str().expect("text"))
}

#[tokio::test]
async fn a_trace_goes_on_under_new_spans() {
    let seen = calls(
        &[("traceparent", PARENT.as_bytes()), ("tracestate", b"foo=1 , bar=2")],
        3,
    )
    .await;
    let mut spans: Vec<_> = seen.iter().map(|headers| parent(headers).1).collect();
    spans.sort();
    spans.dedup();
    assert_eq!(spans.len(), 3, "a span for each call");
    for headers in &seen {
        let (trace, span, flags) = parent(headers);
        assert_eq!(
            (&*trace, &*flags),
            (TRACE, "00"),
            "nobody exports, so nothing is sampled"
        );
        assert_ne!(span, "1234567890123456");
        assert_eq!(one(headers, "tracestate"), Some("foo=1,bar=2"));
    }
}

#[tokio::test]
async fn what_is_no_parent_begins_a_trace() {
    let upper = PARENT.replace("00-1234", "00-ABCD");
    for bad in [
        "",
        "00",
        "ff-12345678901234567890123456789012-1234567890123456-01",
        "00-00000000000000000000000000000000-1234567890123456-01",
        "00-12345678901234567890123456789012-0000000000000000-01",
        "00-12345678901234567890123456789012-1234567890123456-01-what",
        "00-12345678901234567890123456789012-1234567890123456-.1",
        &upper,
    ] {
        let headers = call(&[("traceparent", bad), ("tracestate", "foo=1")]).await;
        assert_ne!(parent(&headers).0, TRACE, "{bad}");
        assert_eq!(one(&headers, "tracestate"), None, "{bad}");
    }
    let twice = [("traceparent", PARENT), ("traceparent", PARENT)];
    assert_ne!(parent(&call(&twice).await).0, TRACE);
    let headers = calls(&[("traceparent", b"\xff\xfe")], 1).await;
    parent(&headers[0]);
}

#[tokio::test]
async fn a_bad_state_leaves_the_trace() {
    let many: Vec<_> = (0..33).map(|n| format!("k{n}=v")).collect();
    for bad in [
        "foo =1",
        "FOO=1",
        "foo=1=2",
        "@foo=1,bar=2",
        "foo=,bar=3",
        &many.join(","),
    ] {
        let headers = call(&[("traceparent", PARENT), ("tracestate", bad)]).await;
        assert_eq!(parent(&headers).0, TRACE, "{bad}");
        assert_eq!(one(&headers, "tracestate"), None, "{bad}");
    }
    let headers = calls(&[("traceparent", PARENT.as_bytes()), ("tracestate", b"foo=\xff")], 1).await;
    assert_eq!(one(&headers[0], "tracestate"), None);
}

#[tokio::test]
async fn later_versions_and_the_random_flag() {
    let later = "cc-12345678901234567890123456789012-1234567890123456-03-what-the-future-will-be-like";
    let (trace, _, flags) = parent(&call(&[("traceparent", later)]).await);
    assert_eq!((&*trace, &*flags), (TRACE, "02"), "random is passed on");
    let (_, _, flags) = parent(&call(&[]).await);
    assert_eq!(flags, "02", "our own ids are random");
}

#[tokio::test]
async fn baggage_goes_on_whole_and_bombs_do_not() {
    let headers = [
        ("baggage", "user=Zo%C3%AB, tenant = acme ;ttl=1;local"),
        ("baggage", "bad member,eq=a=b"),
        ("traceparent", PARENT),
    ];
    let headers = call(&headers).await;
    assert_eq!(
        one(&headers, "baggage"),
        Some("user=Zo%C3%AB,tenant=acme;ttl=1;local,eq=a=b")
    );
    assert_eq!(parent(&headers).0, TRACE);
    assert_eq!(one(&call(&[("baggage", "alone=1")]).await, "baggage"), Some("alone=1"));
    let many: Vec<_> = (0..100).map(|n| format!("n{n}=v")).collect();
    let bomb = format!("{},{}", vec!["k=v"; 5000].join(","), many.join(","));
    let headers = call(&[("baggage", &bomb), ("traceparent", PARENT)]).await;
    let kept = one(&headers, "baggage").expect("what fits");
    assert_eq!((kept.split(',').count(), parent(&headers).0.as_str()), (64, TRACE));
    let headers = calls(&[("baggage", b"a=\xff\xfe"), ("baggage", b"b=%FF")], 1).await;
    assert_eq!(one(&headers[0], "baggage"), Some("b=%EF%BF%BD"), "no text is U+FFFD");
    assert_eq!(one(&call(&[]).await, "baggage"), None);
}

#[tokio::test]
async fn without_telemetry_what_came_in_goes_on_unchanged() {
    let service = tokio::task::spawn_blocking(|| {
        start(&[
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_PROPAGATORS", "tracecontext,baggage,b3"),
            ("VITALSIGN_ADMIN", "off"),
        ])
    })
    .await
    .expect("a service");
    let headers: [(&str, &[u8]); 3] = [
        ("traceparent", PARENT.as_bytes()),
        ("tracestate", b"foo=1,bar=2"),
        ("baggage", b"tenant=acme;ttl=1"),
    ];
    for headers in calls_of(&service, None, &headers, 2).await {
        assert_eq!(one(&headers, "traceparent"), Some(PARENT), "no span of its own");
        assert_eq!(one(&headers, "tracestate"), Some("foo=1,bar=2"));
        assert_eq!(one(&headers, "baggage"), Some("tenant=acme;ttl=1"));
        let b3 = "12345678901234567890123456789012-1234567890123456-1";
        assert_eq!(one(&headers, "b3"), Some(b3), "by all propagators");
    }
    let alone = calls_of(&service, None, &[("baggage", b"alone=1")], 1).await.remove(0);
    assert_eq!(one(&alone, "baggage"), Some("alone=1"));
    assert_eq!(
        (one(&alone, "traceparent"), one(&alone, "b3")),
        (None, None),
        "nothing is made up"
    );
    let none = calls_of(&service, None, &[], 1).await.remove(0);
    assert_eq!((one(&none, "traceparent"), one(&none, "baggage")), (None, None));
}

/// The same of annotated functions: what `parent = …` names is what they hand on, and nothing is counted.
#[test]
fn without_telemetry_calls_hand_on_their_parent() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_export_program"))
        .args(["0", "relay"])
        .env("OTEL_SDK_DISABLED", "true")
        .env("VITALSIGN_ADMIN", "off")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let said = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)).map(str::trim);
    let whole = format!("baggage=tenant=acme traceparent={PARENT} tracestate=a=1");
    assert_eq!(said("relayed "), Some(&*whole), "{text}");
    assert_eq!(said("later "), Some(&*whole), "{text}");
    assert_eq!(said("alone "), Some("baggage=tenant=acme"), "{text}");
    assert_eq!(said("nothing "), Some(""), "{text}");
    assert_eq!(said("after "), Some(""), "{text}");
}

#[tokio::test]
async fn jaeger_s_headers_go_on() {
    let service = tokio::task::spawn_blocking(|| {
        start(&[
            ("OTEL_PROPAGATORS", "jaeger"),
            ("VITALSIGN_ADMIN", "off"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ])
    })
    .await
    .expect("a service");
    let headers: [(&str, &[u8]); 3] = [
        ("uber-trace-id", b"abc:d:0:1"),
        ("uberctx-tenant", b"Zo%C3%AB"),
        ("traceparent", PARENT.as_bytes()),
    ];
    let headers = calls_of(&service, None, &headers, 1).await.remove(0);
    let id = one(&headers, "uber-trace-id").expect("it");
    let parts: Vec<_> = id.split(':').collect();
    assert_eq!((parts[0], parts[2]), ("00000000000000000000000000000abc", "0"));
    assert_ne!(parts[1], "000000000000000d", "a span of its own");
    assert_eq!(one(&headers, "uberctx-tenant"), Some("Zo%C3%AB"));
    assert_eq!(one(&headers, "traceparent"), None, "nobody asked for it");
}

/// The first service asks the second, which asks us. Spans of services by their traces.
async fn two_services(first_tail: Option<&str>, second_tail: Option<&str>) -> (Vec<tests::span::Span>, HeaderMap, f64) {
    let receiver = Receiver::start();
    let endpoint = receiver.http();
    let of = |name: &'static str, tail: Option<&str>| {
        let mut variables = vec![
            ("OTEL_SERVICE_NAME", name),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("VITALSIGN_ADMIN", "127.0.0.1:0"),
            ("VITALSIGN_LOG_FORMAT", "json"),
        ];
        variables.extend(tail.map(|rules| ("VITALSIGN_TAIL", rules)));
        tokio::task::block_in_place(|| start(&variables))
    };
    let (first, second) = (of("first", first_tail), of("second", second_tail));
    let headers = calls_of(&first, Some(&second), &[], 1).await.remove(0);
    let discards = if first_tail.is_some() { &first } else { &second };
    let page = discards.process.line("an address", Duration::from_secs(30), |line| {
        let (before, _) = line.split_once("/metrics")?;
        Some(format!("{}/metrics", &before[before.rfind("http://")?..]))
    });
    let (spans, discarded) = tokio::task::block_in_place(|| {
        let spans = tests::wait_for("the spans of the other", Duration::from_secs(30), || {
            let spans = receiver.spans();
            (spans.len() >= 2).then_some(spans)
        });
        let discarded = tests::wait_for("the discards", Duration::from_secs(30), || {
            let discarded = tests::page::get(&page).sum("vitalsign_span_discarded_total", &[]);
            (discarded >= 2.0).then_some(discarded)
        });
        (spans, discarded)
    });
    (spans, headers, discarded)
}

/// A server span and a client span.
const OF_ONE: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_discards_its_part_does_not_change_what_it_calls() {
    let (spans, headers, discarded) = two_services(Some("errors,ratio=0"), None).await;
    assert_eq!((spans.len(), discarded), (OF_ONE, 2.0), "{spans:#?}");
    assert!(spans.iter().all(|span| span.service == "second"));
    let (trace, span, flags) = parent(&headers);
    assert_eq!(flags, "03", "it was sampled when the request left");
    let server = spans.iter().find(|span| span.kind == SpanKind::Server).expect("it");
    assert_eq!((&server.trace_id, server.flags & 0x301), (&trace, 0x301));
    assert!(
        !server.parent_id.is_empty(),
        "its parent is the span that was discarded"
    );
    assert!(spans.iter().any(|client| client.span_id == span));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_keeps_the_trace_misses_the_part_that_was_discarded() {
    let (spans, headers, discarded) = two_services(None, Some("errors,slow=1000s")).await;
    assert_eq!((spans.len(), discarded), (OF_ONE, 2.0), "{spans:#?}");
    assert!(spans.iter().all(|span| span.service == "first"));
    let (trace, span, flags) = parent(&headers);
    assert!(spans.iter().all(|of| of.trace_id == trace && of.span_id != span));
    assert_eq!(flags, "03", "what is called is told to record");
}
