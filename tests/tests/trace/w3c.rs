//! What a service passes on, seen from outside: `examples/w3c` is asked to call us, and we look at the headers it sends. The cases are
//! those of W3C Trace Context and Baggage.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tests::process::{Process, build};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "00-12345678901234567890123456789012-1234567890123456-01";

/// The running service, and where it calls us.
struct Service {
    url: String,
    _process: Process,
}

/// One for the tests that run beside each other; it ends with the last of them, as a static would not.
fn service() -> Arc<Service> {
    static RUNNING: Mutex<Weak<Service>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().expect("started");
    let start = || {
        let mut command = std::process::Command::new(build("w3c"));
        command
            .arg("127.0.0.1:0")
            .env("VITALSIGN_ADMIN", "off")
            .env("OTEL_TRACES_EXPORTER", "none");
        let process = Process::start(&mut command);
        let url = process.line("address", Duration::from_secs(30), |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        Arc::new(Service { url, _process: process })
    };
    let service = running.upgrade().unwrap_or_else(start);
    *running = Arc::downgrade(&service);
    service
}

/// The headers of the calls that the service makes when it is asked with these; values may be no text.
async fn calls(headers: &[(&str, &[u8])], count: usize) -> Vec<HeaderMap> {
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
    let service = tokio::task::spawn_blocking(service).await.expect("a service");
    let calls: Vec<_> = (0..count).map(|_| json!({"url": here, "arguments": []})).collect();
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
