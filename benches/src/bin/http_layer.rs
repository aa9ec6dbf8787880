//! What the server layer adds to a request through an axum router, called in process: sampled out and recorded, access line off.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use std::hint::black_box;
use std::time::Instant;
use tower::Service as _;

const REQUESTS: u32 = 500;
const ROUNDS: usize = 101;

fn request(flags: &str) -> Request<Body> {
    Request::builder()
        .uri("/orders/7")
        .header("host", "shop.example")
        .header(
            "traceparent",
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"),
        )
        .body(Body::empty())
        .expect("a request")
}

/// The lower quartile of the rounds, for a busy machine only adds, in nanoseconds a request.
fn measure(runtime: &tokio::runtime::Runtime, router: &Router, flags: &str) -> f64 {
    let mut router = router.clone();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let requests: Vec<_> = (0..REQUESTS).map(|_| request(flags)).collect();
            let start = Instant::now();
            runtime.block_on(async {
                for request in requests {
                    let response = router.call(request).await.expect("infallible");
                    drop(black_box(axum::body::to_bytes(response.into_body(), 100).await));
                }
            });
            start.elapsed().as_nanos() as f64 / f64::from(REQUESTS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 4]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let bare = Router::new().route("/orders/{id}", get(|| async { "an order" }));
    let layered = bare.clone().layer(vitalsign::http::layer().access_line(false));
    let _vitals = vitalsign::builder()
        .variable("OTEL_TRACES_EXPORTER", "otlp")
        .otlp_endpoint("http://127.0.0.1:9")
        .variable("VITALSIGN_LOG_FORMAT", "off")
        .admin("off")
        .shutdown_timeout(std::time::Duration::from_millis(100))
        .install()?;
    let without = measure(&runtime, &bare, "01");
    let sampled_out = measure(&runtime, &layered, "00");
    let recorded = measure(&runtime, &layered, "01");
    println!("bare axum             {without:8.0} ns");
    println!("sampled out     over  {:8.0} ns   (bar 1500)", sampled_out - without);
    println!(
        "recorded        over  {:8.0} ns   (bar: a third of what the peers add, 5800 on their machine)",
        recorded - without
    );
    Ok(())
}
