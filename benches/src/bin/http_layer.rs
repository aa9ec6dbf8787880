//! Promise: what the server layer adds to a request, called in process as a tower service around an axum router of one route,
//! access line off: at most 1.5 µs where the caller's trace is not sampled; where it is, at most a third of what
//! axum-tracing-opentelemetry and axum-prometheus add together in the same run.
//!
//! `cargo run --release -p benches --features http-peers --bin http_layer` (a minute). The method is in `measure`; take the bare
//! row from the others.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum_prometheus::PrometheusMetricLayer;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use benches::http_peers::{self, otel, recorder};
use benches::measure::{Case, case};
use http::Request;
use std::cell::RefCell;
use std::hint::black_box;
use tower::Service as _;
use vitalsign::__private::discard;

#[global_allocator]
static ALLOCATOR: benches::allocations::Counting = benches::allocations::Counting;

fn main() {
    let cases: &[Case] = &[
        case("bare axum", bare),
        case("vitalsign, not sampled", ours_not_sampled)
            .setup(install)
            .check(counted),
        case("vitalsign, recorded", ours).setup(install).check(recorded),
        case("axum-prometheus", prometheus)
            .setup(recorder)
            .check(counted_by_prometheus),
        case("axum-tracing-opentelemetry, not sampled", otel_not_sampled).setup(otel),
        case("axum-tracing-opentelemetry, recorded", otel_recorded)
            .setup(otel)
            .check(exported),
        case("both peers, recorded", both)
            .setup(both_set_up)
            .check(counted_by_both),
    ];
    benches::measure::main("What a layer costs a request", cases);
}

fn router() -> Router {
    Router::new().route("/orders/{id}", get(|| async { "an order" }))
}

fn request(sampled: bool) -> Request<Body> {
    Request::builder()
        .uri("/orders/7")
        .header("host", "shop.example")
        .header("user-agent", "curl/8.5.0")
        .header("accept", "*/*")
        .header(
            "traceparent",
            if sampled {
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            } else {
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
            },
        )
        .body(Body::empty())
        .expect("a request")
}

/// A router for each thread, as a server has one for each connection; its services are made once, as `axum::serve` has it.
fn drive(n: u64, sampled: bool, make: fn() -> Router) {
    thread_local! {
        static DRIVER: RefCell<Option<(tokio::runtime::Runtime, Router)>> = const { RefCell::new(None) };
    }
    DRIVER.with_borrow_mut(|driver| {
        let (runtime, router) = driver.get_or_insert_with(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            (runtime, make().with_state(()))
        });
        runtime.block_on(async {
            for _ in 0..n {
                let response = router.call(request(sampled)).await.expect("infallible");
                assert!(response.status().is_success());
                black_box(axum::body::to_bytes(response.into_body(), 100).await.expect("a body"));
            }
        });
    });
}

fn bare(n: u64) {
    drive(n, true, router);
}

fn install() {
    discard::install(None);
}

fn layered() -> Router {
    router().layer(vitalsign::http::layer().access_line(false))
}

fn ours(n: u64) {
    drive(n, true, layered);
}

fn ours_not_sampled(n: u64) {
    drive(n, false, layered);
}

fn counted(n: u64) {
    assert_eq!(discard::total("http.server.request.duration"), n, "requests lost");
}

fn recorded(n: u64) {
    counted(n);
    let (encoded, dropped) = discard::spans();
    assert_eq!(encoded + dropped, n, "spans lost");
    if dropped * 100 > n {
        println!("\nnote {}% of the spans dropped", dropped * 100 / n);
    }
}

fn otel_layered() -> Router {
    router().layer(OtelAxumLayer::default())
}

fn otel_recorded(n: u64) {
    drive(n, true, otel_layered);
}

fn otel_not_sampled(n: u64) {
    drive(n, false, otel_layered);
}

fn exported(n: u64) {
    assert_eq!(http_peers::exported(), n, "spans lost");
}

fn prometheus(n: u64) {
    drive(n, true, || router().layer(PrometheusMetricLayer::new()));
}

fn counted_by_prometheus(n: u64) {
    assert_eq!(http_peers::counted(), n, "requests lost");
}

fn both_set_up() {
    recorder();
    otel();
}

fn both(n: u64) {
    drive(n, true, || otel_layered().layer(PrometheusMetricLayer::new()));
}

fn counted_by_both(n: u64) {
    counted_by_prometheus(n);
    exported(n);
}
