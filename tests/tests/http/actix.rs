//! The middleware of actix-web over real sockets: spans, lines, the page, the request id, panics and clients that leave.

use actix_web::{App, HttpMessage, HttpRequest, HttpResponse, HttpServer, web};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tests::http;
use tests::live::{Live, live_with_lines};
use tests::span::{Span, SpanKind, StatusCode};
use tokio::io::AsyncWriteExt as _;
use vitalsign::http::{RequestId, actix_layer};

const LIMIT: Duration = Duration::from_secs(20);

async fn order(request: HttpRequest) -> String {
    tracing::info!("inside");
    inner().await;
    let id = request.extensions().get::<RequestId>().map(ToString::to_string);
    id.unwrap_or_default()
}

#[vitalsign::traced]
async fn inner() {
    actix_web::rt::task::yield_now().await;
}

async fn broken() -> HttpResponse {
    HttpResponse::InternalServerError().finish()
}

async fn refused() -> Result<String, actix_web::Error> {
    Err(actix_web::error::ErrorServiceUnavailable("not now"))
}

async fn panics() -> String {
    panic!("in the handler")
}

static ASKED: AtomicU32 = AtomicU32::new(0);

/// Never answers.
async fn silent() -> String {
    ASKED.fetch_add(1, Ordering::SeqCst);
    std::future::pending().await
}

/// Never done.
async fn endless() -> HttpResponse {
    let bytes = || async { Some((Ok::<_, std::io::Error>(web::Bytes::from_static(&[b'x'; 4096])), ())) };
    HttpResponse::Ok().streaming(futures_util::stream::unfold((), move |()| bytes()))
}

/// The server's address; it lives as long as the process.
fn server() -> (&'static Live, String) {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    let live = live_with_lines();
    let address = ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            let server = HttpServer::new(|| {
                App::new()
                    .service(
                        web::scope("/shop")
                            .route("/orders/{id}", web::get().to(order))
                            .route("/broken", web::get().to(broken)),
                    )
                    .route("/refused", web::get().to(refused))
                    .route("/panics", web::get().to(panics))
                    .route("/silent", web::get().to(silent))
                    .route("/endless", web::get().to(endless))
                    .route("/healthz", web::get().to(|| async { "ok" }))
                    .wrap(
                        actix_layer()
                            .exclude("/healthz")
                            .group("/static/*", "/static/{file}")
                            .request_header(actix_web::http::header::ACCEPT),
                    )
            })
            .workers(2)
            .disable_signals()
            .h1_allow_half_closed(false)
            .listen(listener)
            .expect("a server");
            actix_web::rt::System::new().block_on(server.run())
        });
        address
    });
    (live, format!("http://{address}"))
}

/// The span of the request that carried this trace id.
#[track_caller]
fn span_of(live: &Live, trace_id: &str) -> Span {
    tests::wait_for("the request's span", LIMIT, || {
        live.flush();
        let spans = live.receiver.spans();
        spans
            .into_iter()
            .find(|span| span.trace_id == trace_id && span.kind == SpanKind::Server)
    })
}

fn parent(trace_id: &str) -> String {
    format!("00-{trace_id}-00f067aa0ba902b7-01")
}

#[test]
fn a_request_is_one_span_by_the_conventions() {
    tests::own_process!();
    let (live, url) = server();
    let trace = "a0000000000000000000000000000001";
    let answer = http::get_with(
        &format!("{url}/shop/orders/7?page=2&token=hunter2"),
        &[
            ("traceparent", &parent(trace)),
            ("User-Agent", "curl/8"),
            ("Accept", "text/plain"),
            ("X-Request-ID", "req-1"),
        ],
    )
    .expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "req-1"));
    assert_eq!(answer.header("x-request-id"), Some("req-1"));
    let span = span_of(live, trace);
    assert_eq!(
        (span.name.as_str(), span.parent_id.as_str(), span.status),
        ("GET /shop/orders/{id}", "00f067aa0ba902b7", StatusCode::Unset)
    );
    let port = url.rsplit(':').next().unwrap_or_default();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/shop/orders/{id}"),
        ("url.path", "/shop/orders/7"),
        ("url.query", "page=2&token=REDACTED"),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("server.port", port),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("http.response.status_code", "200"),
        ("error.type", ""),
        ("http.request.method_original", ""),
    ] {
        assert_eq!(span.attribute(key), value, "{key}");
    }
    assert!(span.attribute("http.request.header.accept").contains("text/plain"));
    let outline = live.receiver.trace("GET /shop/orders/{id}", 2).outline();
    assert_eq!(outline, "GET /shop/orders/{id}\n  inner\n");
    let of_it: Vec<_> = live
        .lines()
        .into_iter()
        .filter(|line| line["trace_id"] == trace)
        .collect();
    let messages: Vec<_> = of_it
        .iter()
        .map(|line| line["message"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(messages, ["inside", "GET /shop/orders/7 200"]);
    assert!(of_it.iter().all(|line| line["request_id"] == "req-1"));
    assert_eq!(of_it[1]["http.response.body.size"], 5);
}

#[test]
fn statuses_errors_and_what_no_resource_matches() {
    tests::own_process!();
    let (live, url) = server();
    for (n, path, status, name, error) in [
        (1, "/shop/broken", 500, "GET /shop/broken", "500"),
        (2, "/refused", 503, "GET /refused", "503"),
        (3, "/nowhere", 404, "GET", ""),
        (4, "/shop/nowhere", 404, "GET", ""),
        (5, "/static/a.css", 404, "GET /static/{file}", ""),
    ] {
        let trace = format!("b{n:031}");
        let answer = http::get_with(&format!("{url}{path}"), &[("traceparent", &parent(&trace))]).expect("an answer");
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "{path}");
        let span = span_of(live, &trace);
        assert_eq!((span.name.as_str(), span.attribute("error.type")), (name, error));
        let failed = span.status == StatusCode::Error;
        assert_eq!(failed, status >= 500, "{path}");
        assert_eq!(span.attribute("http.response.status_code"), status.to_string());
    }
    let trace = "b9000000000000000000000000000009";
    http::request(
        "BREW",
        &format!("{url}/shop/orders/1"),
        &[("traceparent", &parent(trace))],
        &[],
    )
    .expect("an answer");
    let span = span_of(live, trace);
    assert_eq!(span.attribute("http.request.method"), "_OTHER");
    assert_eq!(span.attribute("http.request.method_original"), "BREW");
    assert_eq!(span.name, "HTTP /shop/orders/{id}");
}

#[test]
fn an_excluded_path_leaves_nothing() {
    tests::own_process!();
    let (live, url) = server();
    let trace = "c0000000000000000000000000000001";
    let answer = http::get_with(&format!("{url}/healthz"), &[("traceparent", &parent(trace))]).expect("an answer");
    assert_eq!((answer.status, answer.header("x-request-id")), (200, None));
    assert!(live.lines().iter().all(|line| line["url.path"] != "/healthz"));
    assert!(live.receiver.spans().iter().all(|span| span.trace_id != trace));
}

#[test]
fn a_handler_that_panics() {
    tests::own_process!();
    let (live, url) = server();
    let trace = "d0000000000000000000000000000001";
    // The connection breaks off without an answer.
    assert!(http::get_with(&format!("{url}/panics"), &[("traceparent", &parent(trace))]).is_err());
    let span = span_of(live, trace);
    assert_eq!(
        (span.status, span.attribute("error.type")),
        (StatusCode::Error, "panic")
    );
    let lines = live.lines();
    let said = lines
        .iter()
        .find(|line| line["trace_id"] == trace && line["target"] == "panic");
    assert_eq!(said.map(|line| line["message"].clone()), Some("in the handler".into()));
}

#[test]
fn a_client_that_left_in_the_middle() {
    tests::own_process!();
    let (live, url) = server();
    let trace = "e0000000000000000000000000000001";
    let host = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).expect("a connection");
    write!(
        stream,
        "GET /endless HTTP/1.1\r\nHost: {host}\r\ntraceparent: {}\r\n\r\n",
        parent(trace)
    )
    .expect("written");
    stream.read_exact(&mut [0; 1000]).expect("some of the body");
    drop(stream);
    let span = span_of(live, trace);
    assert_eq!(span.attribute("outcome"), "cancelled");
    assert_eq!(span.status, StatusCode::Unset);
}

/// Neither who closes the connection nor who resets it has got an answer.
#[test]
fn a_client_that_left_before_the_head() {
    tests::own_process!();
    let (live, url) = server();
    let host = url.trim_start_matches("http://");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for (n, reset) in [(1, false), (2, true)] {
        let trace = format!("f{n:031}");
        runtime.block_on(async {
            let mut stream = tokio::net::TcpStream::connect(host).await.expect("a connection");
            let head = format!(
                "GET /silent HTTP/1.1\r\nHost: {host}\r\ntraceparent: {}\r\n\r\n",
                parent(&trace)
            );
            stream.write_all(head.as_bytes()).await.expect("written");
            tests::wait_for("the handler", LIMIT, || {
                (ASKED.load(Ordering::SeqCst) == n).then_some(())
            });
            if reset {
                stream.set_zero_linger().expect("it resets");
            }
        });
        let span = span_of(live, &trace);
        assert_eq!(span.attribute("outcome"), "cancelled", "reset: {reset}");
        assert_eq!((span.status, span.name.as_str()), (StatusCode::Unset, "GET /silent"));
        assert_eq!(span.attribute("http.response.status_code"), "");
        tests::wait_for("its line", LIMIT, || {
            let lines = live.lines();
            let line = lines
                .iter()
                .find(|line| line["trace_id"] == *trace && line["url.path"] == "/silent")?;
            assert_eq!(line["outcome"], "cancelled");
            Some(())
        });
    }
}

#[test]
fn the_page_has_routes_and_no_paths() {
    tests::own_process!();
    let (live, url) = server();
    for n in 0..300 {
        http::get(&format!("{url}/scan/{n}")).expect("an answer");
    }
    let page = live.page();
    let scanned = page.samples.iter().filter(|sample| {
        sample.name == "http_server_request_duration_seconds_count"
            && sample
                .labels
                .contains(&("http_response_status_code".to_owned(), "404".to_owned()))
            && !sample.labels.iter().any(|(key, _)| key == "http_route")
    });
    assert_eq!(scanned.count(), 1, "{}", page.text);
    assert!(!page.text.contains("/scan/"), "{}", page.text);
}
