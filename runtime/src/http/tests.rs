//! The layers around a bare service and around an axum router, seen by a capture.

use super::*;
use crate::metrics::dynamic;
use crate::testing::{Capture, Status, capture};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{ServiceBuilder, ServiceExt, service_fn};

fn app() -> Router {
    Router::new()
        .route("/orders/{id}", get(|| async { "an order" }))
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/inner", get(inner))
        .route("/healthz", get(|| async { "ok" }))
        .layer(layer().exclude("/healthz").request_header(http::header::ACCEPT))
}

async fn inner() -> &'static str {
    tracing::info!("inside");
    tracing::info_span!("child").in_scope(|| tracing::warn!("deeper"));
    "done"
}

async fn ask(app: Router, request: Request<Body>) -> (StatusCode, http::HeaderMap, Bytes) {
    let response = app.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
}

fn get_request(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(Body::empty()).unwrap()
}

fn only(capture: &Capture) -> crate::testing::Span {
    let mut spans = capture.spans();
    assert_eq!(spans.len(), 1, "{}", capture.tree());
    spans.remove(0)
}

#[tokio::test]
async fn a_request_is_one_span_by_the_conventions() {
    let capture = capture();
    let request = Request::builder()
        .uri("/orders/7?page=2&token=abc")
        .header("host", "shop.example:8080")
        .header("user-agent", "curl/8")
        .header("accept", "text/plain")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(Body::empty())
        .unwrap();
    let (status, headers, body) = ask(app(), request).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"an order"[..]));
    let span = only(&capture);
    assert_eq!((span.name.as_str(), span.kind), ("GET /orders/{id}", "server"));
    assert_eq!(span.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(span.parent_id.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!(span.status, Status::Unset);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/orders/{id}"),
        ("url.path", "/orders/7"),
        ("url.query", "page=2&token=REDACTED"),
        ("url.scheme", "http"),
        ("server.address", "shop.example"),
        ("server.port", "8080"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("http.request.header.accept", "[text/plain]"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(span.attribute(key), Some(value), "{key}");
    }
    for key in [
        "http.request.method_original",
        "error.type",
        "code.function.name",
        "otel.name",
    ] {
        assert_eq!(span.attribute(key), None, "{key}");
    }
    let lines = capture.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].message, "GET /orders/7 200");
    assert_eq!(
        (lines[0].level, lines[0].target.as_str()),
        (tracing::Level::INFO, "vitalsign::access")
    );
    assert_eq!(lines[0].span_id, Some(span.span_id));
    assert_eq!(lines[0].field("http.response.body.size"), Some("8"));
    assert_eq!(
        lines[0].field("request_id"),
        Some(headers[&REQUEST_ID].to_str().unwrap())
    );
}

#[tokio::test]
async fn what_happens_inside_hangs_under_it() {
    let capture = capture();
    let mut request = get_request("/inner");
    request
        .headers_mut()
        .insert(REQUEST_ID, HeaderValue::from_static("req-1"));
    let (_, headers, _) = ask(app(), request).await;
    assert_eq!(headers[&REQUEST_ID], "req-1");
    assert_eq!(capture.tree(), "GET /inner\n└ child\n");
    let lines = capture.lines();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert_eq!(line.field("request_id"), Some("req-1"));
        assert_eq!(line.trace_id, Some(capture.span("child").trace_id));
    }
}

#[tokio::test]
async fn statuses_and_unknown_methods() {
    let capture = capture();
    for (method, uri) in [
        ("GET", "/broken"),
        ("GET", "/nowhere"),
        ("BREW", "/orders/1"),
        ("GET", "/empty"),
    ] {
        let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        ask(app(), request).await;
    }
    let spans = capture.spans();
    let seen: Vec<_> = spans
        .iter()
        .map(|span| {
            let attribute = |key| span.attribute(key).unwrap_or("-").to_owned();
            (
                span.name.clone(),
                span.status,
                attribute("http.response.status_code"),
                attribute("error.type"),
            )
        })
        .collect();
    let row =
        |name: &str, status, code: &str, error: &str| (name.to_owned(), status, code.to_owned(), error.to_owned());
    assert_eq!(
        seen,
        [
            row("GET /broken", Status::Error, "500", "500"),
            row("GET", Status::Unset, "404", "-"),
            row("HTTP /orders/{id}", Status::Unset, "405", "-"),
            row("GET /empty", Status::Unset, "204", "-"),
        ]
    );
    assert_eq!(spans[0].message, "");
    assert_eq!(spans[2].attribute("http.request.method"), Some("_OTHER"));
    assert_eq!(spans[2].attribute("http.request.method_original"), Some("BREW"));
    assert_eq!(capture.lines()[0].level, tracing::Level::ERROR);
}

#[tokio::test]
async fn an_excluded_path_leaves_nothing() {
    let capture = capture();
    ask(app(), get_request("/healthz")).await;
    assert_eq!((capture.spans().len(), capture.lines().len()), (0, 0));
}

#[tokio::test]
async fn a_client_that_left() {
    let capture = capture();
    // Before the response.
    let service = ServiceBuilder::new()
        .layer(layer())
        .service(service_fn(|_: Request<()>| {
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>()
        }));
    let future = service.oneshot(Request::new(()));
    assert!(tokio::time::timeout(Duration::from_millis(5), future).await.is_err());
    // In the middle of the body.
    let stream = http_body_util::StreamBody::new(tokio_stream());
    let service = ServiceBuilder::new()
        .layer(layer())
        .service(service_fn(move |_: Request<()>| {
            let stream = stream.clone();
            async move { Ok::<_, Infallible>(Response::new(stream)) }
        }));
    let mut response = service.oneshot(Request::new(())).await.unwrap();
    response.frame().await.unwrap().unwrap();
    drop(response);
    let outcomes: Vec<_> = capture.spans().iter().map(|span| span.outcome().to_owned()).collect();
    assert_eq!(outcomes, ["cancelled", "cancelled"]);
    assert_eq!(capture.lines()[0].message, "GET / -");
    assert_eq!(capture.lines()[1].message, "GET / 200");
    assert_eq!(capture.lines()[1].field("outcome"), Some("cancelled"));
}

/// As the bodies of files and of proxies: how much there is stands in the head alone.
struct Streamed(&'static [&'static str]);

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let Some((first, rest)) = self.0.split_first() else {
            return Poll::Ready(None);
        };
        self.0 = rest;
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(first.as_bytes())))))
    }
}

/// What an HTTP/1.1 server answers to this head.
async fn over_hyper(app: Router, head: &str) -> String {
    let (client, server) = tokio::io::duplex(1 << 16);
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        app.clone().oneshot(request.map(Body::new))
    });
    let connection = hyper::server::conn::http1::Builder::new();
    let served = connection.serve_connection(hyper_util::rt::TokioIo::new(server), service);
    let asked = async {
        let (mut read, mut write) = tokio::io::split(client);
        let request = format!("{head} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
        write.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        read.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (served, answer) = tokio::join!(served, asked);
    served.unwrap();
    answer
}

#[tokio::test]
async fn a_body_is_whole_when_its_announced_length_has_passed() {
    let capture = capture();
    let answer = |length: &'static str, body: &'static [&'static str]| {
        get(async move || {
            let head = Response::builder().header("content-length", length);
            head.body(Body::new(Streamed(body))).unwrap()
        })
    };
    let app = Router::new()
        .route("/file", answer("11", &["hello ", "world"]))
        .route("/nothing", answer("0", &[]))
        .layer(layer());
    for (path, end) in [("/file", "\r\n\r\nhello world"), ("/nothing", "\r\n\r\n")] {
        let text = over_hyper(app.clone(), &format!("GET {path}")).await;
        assert!(text.ends_with(end), "{text}");
    }
    // The client of this one leaves.
    let mut half = app.oneshot(get_request("/file")).await.unwrap();
    half.frame().await.unwrap().unwrap();
    drop(half);
    let lines = capture.lines();
    let ended: Vec<_> = lines
        .iter()
        .map(|line| {
            let of = |name| line.field(name).unwrap_or_default();
            (of("outcome"), of("http.response.body.size"))
        })
        .collect();
    assert_eq!(ended, [("ok", "11"), ("ok", "0"), ("cancelled", "6")]);
}

#[tokio::test]
async fn a_handler_that_is_dropped_logs_with_its_ids() {
    struct RollBack;
    impl Drop for RollBack {
        fn drop(&mut self) {
            tracing::warn!("rolled back");
        }
    }
    let capture = capture();
    let service = ServiceBuilder::new()
        .layer(layer())
        .service(service_fn(|_: Request<()>| async {
            let _roll_back = RollBack;
            std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>().await
        }));
    let future = service.oneshot(Request::new(()));
    assert!(tokio::time::timeout(Duration::from_millis(5), future).await.is_err());
    let line = &capture.lines()[0];
    assert_eq!(line.message, "rolled back");
    assert_eq!(line.trace_id, Some(only(&capture).trace_id));
    assert!(line.field("request_id").is_some());
}

/// A body that never ends.
fn tokio_stream() -> Endless {
    Endless
}

#[derive(Clone)]
struct Endless;

impl futures_core::Stream for Endless {
    type Item = Result<http_body::Frame<Bytes>, Infallible>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"x")))))
    }
}

#[test]
fn a_handler_that_panics() {
    let capture = capture();
    let service = ServiceBuilder::new()
        .layer(layer())
        .service(service_fn(|_: Request<()>| async {
            panic!("in the handler") as Result<Response<Empty<Bytes>>, Infallible>
        }));
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _ = runtime.block_on(service.oneshot(Request::new(())));
    }));
    assert!(unwound.is_err());
    let span = only(&capture);
    assert_eq!((span.outcome(), span.status), ("panic", Status::Error));
    assert_eq!(span.exception(), Some("in the handler"));
}

#[tokio::test]
async fn a_group_is_the_route_where_the_router_names_none() {
    let capture = capture();
    let app = Router::new()
        .route("/static/index", get(|| async { "an index" }))
        .fallback(|| async { "a file" })
        .layer(layer().group("/static/*", "/static/{file}"));
    for path in ["/static/index", "/static/a.css"] {
        ask(app.clone(), get_request(path)).await;
    }
    let names: Vec<_> = capture.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /static/index", "GET /static/{file}"]);
}

#[tokio::test]
async fn a_length_that_can_not_have_come_is_no_size() {
    let capture = capture();
    for length in ["12", "18446744073709551613"] {
        let mut request = get_request("/orders/1");
        let length = HeaderValue::from_static(length);
        request.headers_mut().insert("content-length", length);
        ask(app(), request).await;
    }
    let sizes = capture.samples("http.server.request.body.size");
    let sizes: Vec<_> = sizes.iter().map(|sample| sample.value).collect();
    assert_eq!(sizes, [12.0]);
}

/// Whether a poll unwinds, which is caught as `tower_http::CatchPanic` does: what unwound is dropped later.
fn unwinds(future: &mut (impl Future + Unpin)) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let poll = || Pin::new(future).poll(&mut cx).is_ready();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_err()
}

#[tokio::test]
async fn a_panic_that_is_caught_outside_is_a_panic() {
    let capture = capture();
    let service = ServiceBuilder::new()
        .layer(layer())
        .service(service_fn(|request: Request<()>| async move {
            assert_eq!(request.uri().path(), "/body");
            let body = Streamed(&["x"]).map_frame(|_| -> http_body::Frame<Bytes> { panic!("in the body") });
            Ok::<_, Infallible>(Response::new(body))
        }));
    let call = |path: &str| Box::pin(service.clone().oneshot(Request::get(path).body(()).unwrap()));
    let mut handling = call("/handler");
    assert!(unwinds(&mut handling));
    drop(handling);
    let mut body = Box::pin(call("/body").await.unwrap().into_body());
    assert!(unwinds(&mut body.frame()));
    drop(body);
    let outcomes: Vec<_> = capture.spans().iter().map(|span| span.outcome().to_owned()).collect();
    assert_eq!(outcomes, ["panic", "panic"]);
}

#[tokio::test]
async fn a_scan_of_unknown_paths_is_one_series() {
    let capture = capture();
    let app = app();
    for n in 0..2000 {
        let request = Request::builder()
            .method("TRACE")
            .uri(format!("/scan/{n}"))
            .body(Body::empty())
            .unwrap();
        ask(app.clone(), request).await;
    }
    drop(capture);
    let families = crate::metrics::registry::gather();
    let family = families
        .iter()
        .find(|family| family.name == "http.server.request.duration")
        .unwrap();
    let series = family
        .points
        .iter()
        .filter(|point| {
            point
                .labels
                .iter()
                .any(|label| label == ("http.request.method", "TRACE"))
        })
        .count();
    assert_eq!(series, 1);
    let active = families
        .iter()
        .find(|family| family.name == "http.server.active_requests")
        .unwrap();
    assert!(!active.points.is_empty());
    let _ = dynamic::MAX_SERIES;
}

#[tokio::test]
async fn hostile_request_ids_are_replaced() {
    let _capture = capture();
    for bad in [&b"a b"[..], b"\xff\xfe", &vec![b'x'; 100_000], b"{\"a\":1}"] {
        let mut request = get_request("/orders/1");
        request
            .headers_mut()
            .insert(REQUEST_ID, HeaderValue::from_bytes(bad).unwrap());
        let (_, headers, _) = ask(app(), request).await;
        let id = headers[&REQUEST_ID].to_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    }
}

#[tokio::test]
async fn a_handler_takes_its_requests_id_as_an_argument() {
    let _capture = capture();
    let bare = Router::new().route(
        "/",
        get(|id: RequestId, again: RequestId| async move { if id == again { id.to_string() } else { String::new() } }),
    );
    let (_, headers, body) = ask(bare.clone(), get_request("/")).await;
    assert!(!headers.contains_key(REQUEST_ID) && body.len() == 32, "{body:?}");
    let (_, headers, body) = ask(bare.layer(layer()), get_request("/")).await;
    assert_eq!(headers[&REQUEST_ID].as_bytes(), &body[..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_or_span_carries_anothers_id() {
    let capture = capture();
    let app = Router::new()
        .route(
            "/{n}",
            get(|request: Request<Body>| async move {
                let id = RequestId::in_headers(request.headers()).unwrap().to_string();
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                    tracing::info!(own = %id, "step");
                }
                id
            }),
        )
        .layer(layer().access_line(false));
    let tasks: Vec<_> = (0..300)
        .map(|n| {
            let mut request = get_request(&format!("/{n}"));
            request
                .headers_mut()
                .insert(REQUEST_ID, HeaderValue::from_str(&format!("id-{n}")).unwrap());
            let trace = format!("{:032x}", n + 1);
            let parent = format!("00-{trace}-00f067aa0ba902b7-01");
            request
                .headers_mut()
                .insert("traceparent", HeaderValue::from_str(&parent).unwrap());
            tokio::spawn(capture.follow(ask(app.clone(), request)))
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().2, format!("id-{n}"));
    }
    let lines = capture.lines();
    assert_eq!(lines.len(), 900);
    for line in lines {
        let own = line.field("own").unwrap();
        assert_eq!(line.field("request_id"), Some(own));
        let n: u128 = own.strip_prefix("id-").unwrap().parse().unwrap();
        assert_eq!(line.trace_id, Some(crate::trace::TraceId(n + 1)));
    }
    assert_eq!(capture.spans().len(), 300);
}

#[tokio::test]
async fn what_only_says_that_it_is_grpc_makes_no_route_and_no_error() {
    let capture = capture();
    let refused = || async {
        let head = Response::builder().header("content-type", "application/grpc");
        head.header("grpc-status", "16").body(Body::empty()).unwrap()
    };
    let app = Router::new()
        .route("/orders/{id}", get(|| async { "an order" }))
        .fallback(refused)
        .layer(layer());
    for n in 0..3 {
        for path in [format!("/orders/{n}"), format!("/made.Up{n}/Method")] {
            let mut request = get_request(&path);
            let kind = HeaderValue::from_static("application/grpc+proto");
            request.headers_mut().insert("content-type", kind);
            ask(app.clone(), request).await;
        }
    }
    let mut series: Vec<_> = ["http.server.request.duration", "rpc.server.call.duration"]
        .iter()
        .flat_map(|name| capture.samples(name))
        .map(|sample| {
            let label = |key| sample.label(key).unwrap_or("-").to_owned();
            ["http.route", "rpc.method", "rpc.status_code", "error.type"]
                .map(label)
                .join(" ")
        })
        .collect();
    series.sort();
    series.dedup();
    assert_eq!(series, ["- - - -", "- _OTHER UNAUTHENTICATED -", "/orders/{id} - - -"]);
    let spans = capture.spans();
    for (n, pair) in spans.chunks(2).enumerate() {
        let [plain, refused] = pair else { panic!("{spans:?}") };
        assert_eq!((plain.name.as_str(), plain.status), ("GET /orders/{id}", Status::Unset));
        assert_eq!(refused.name, "grpc");
        for (span, key, value) in [
            (plain, "http.request.method", "GET".to_owned()),
            (plain, "http.route", "/orders/{id}".to_owned()),
            (plain, "http.response.status_code", "200".to_owned()),
            (plain, "url.path", format!("/orders/{n}")),
            (plain, "url.scheme", "http".to_owned()),
            (refused, "rpc.method", "_OTHER".to_owned()),
            (refused, "rpc.method_original", format!("made.Up{n}/Method")),
            (refused, "rpc.status_code", "UNAUTHENTICATED".to_owned()),
        ] {
            assert_eq!(span.attribute(key), Some(&*value), "{key} of {}", span.name);
        }
    }
}

/// The answer to a call of gRPC that is all head, by whoever stands in front of the methods or by one of them.
async fn called(path: &str, status: &'static str) {
    let service = ServiceBuilder::new()
        .layer(layer())
        .service(service_fn(move |_: Request<()>| async move {
            let head = Response::builder().header("content-type", "application/grpc");
            Ok::<_, Infallible>(head.header("grpc-status", status).body(Empty::<Bytes>::new()).unwrap())
        }));
    let request = Request::post(path).header("content-type", "application/grpc");
    service.oneshot(request.body(()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn methods_that_strangers_make_up_leave_places_to_routes_and_to_methods() {
    let capture = capture();
    called("/shop.Orders/New", "5").await;
    for n in 0..1001 {
        called(&format!("/made.Up/M{n}"), "3").await;
    }
    called("/shop.Orders/Place", "0").await;
    ask(app(), get_request("/orders/1")).await;
    let labels = |metric: &str, key: &str| -> Vec<String> {
        let samples = capture.samples(metric);
        samples
            .iter()
            .filter_map(|sample| sample.label(key).map(str::to_owned))
            .collect()
    };
    let methods = labels("rpc.server.call.duration", "rpc.method");
    for method in ["shop.Orders/New", "shop.Orders/Place", "_OTHER"] {
        assert!(methods.iter().any(|known| known == method), "{method}");
    }
    let routes = labels("http.server.request.duration", "http.route");
    assert!(routes.iter().any(|route| route == "/orders/{id}") && !routes.iter().any(|route| route == "other"));
}

#[tokio::test]
async fn a_client_is_given_the_id_of_the_request_it_is_called_in() {
    let _capture = capture();
    let sent = |request: Request<()>| async move {
        let id = request.headers().get(REQUEST_ID).map(|id| id.to_str().unwrap());
        Ok::<_, std::convert::Infallible>(Response::new(id.unwrap_or("none").to_owned()))
    };
    let onward = move |on: bool| async move {
        let client = ServiceBuilder::new()
            .layer(client_layer().request_id(on))
            .service(service_fn(sent));
        let request = Request::get("http://inventory/take").body(()).unwrap();
        let answer = client.oneshot(request).await.unwrap().into_body();
        String::from_utf8(answer.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    let long = "x".repeat(128);
    let app = Router::new()
        .route("/on", get(move || onward(true)))
        .route("/off", get(move || onward(false)))
        .layer(layer());
    for (path, expected) in [("/on", &*long), ("/off", "none")] {
        let mut request = get_request(path);
        request
            .headers_mut()
            .insert(REQUEST_ID, HeaderValue::from_str(&long).unwrap());
        assert_eq!(ask(app.clone(), request).await.2, expected);
    }
    assert_eq!(onward(true).await, "none");
}

#[tokio::test]
async fn a_client_attempt_is_a_span_whose_context_goes_along() {
    let capture = capture();
    let client = || {
        ServiceBuilder::new()
            .layer(client_layer())
            .service(service_fn(|request: Request<()>| async move {
                let parent = request
                    .headers()
                    .get("traceparent")
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                match request.uri().path() {
                    "/missing" => Ok(Response::builder().status(404).body(parent).unwrap()),
                    "/broken" => Err(std::fmt::Error),
                    _ => Ok(Response::new(parent)),
                }
            }))
    };
    let request = |uri: &str| Request::builder().uri(uri).body(()).unwrap();
    let mut again = request("http://user:pw@inventory:8081/take?sig=1&n=2");
    again.extensions_mut().insert(ResendCount(2));
    let parent = client().oneshot(again).await.unwrap().collect().await.unwrap();
    let parent = String::from_utf8(parent.to_bytes().to_vec()).unwrap();
    let spans = capture.spans();
    let span = &spans[0];
    assert_eq!(
        (span.name.as_str(), span.kind, span.status),
        ("GET", "client", Status::Unset)
    );
    assert_eq!(parent, format!("00-{}-{}-03", span.trace_id, span.span_id));
    for (key, value) in [
        ("http.request.method", "GET"),
        (
            "url.full",
            "http://REDACTED:REDACTED@inventory:8081/take?sig=REDACTED&n=2",
        ),
        ("server.address", "inventory"),
        ("server.port", "8081"),
        ("http.request.resend_count", "2"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(span.attribute(key), Some(value), "{key}");
    }
    client().oneshot(request("https://inventory/missing")).await.unwrap();
    client().oneshot(request("https://inventory/broken")).await.unwrap_err();
    let spans = capture.spans();
    assert_eq!(
        (spans[1].status, spans[1].attribute("error.type")),
        (Status::Error, Some("404"))
    );
    assert_eq!(spans[1].attribute("server.port"), Some("443"));
    assert_eq!(spans[1].attribute("http.request.resend_count"), None);
    assert_eq!(
        (spans[2].status, spans[2].attribute("error.type")),
        (Status::Error, Some("core::fmt::Error"))
    );
}
