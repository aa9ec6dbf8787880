//! A server as users write them, for the test of its end: a handler that takes its time, and the shutdown of the README.

use axum::extract::Path;
use axum::routing::get;
use std::time::Duration;

#[vitalsign::traced]
async fn work(n: u64) {
    tokio::time::sleep(Duration::from_millis(20 + n % 7 * 30)).await;
    tracing::info!(n, "worked");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vitals = vitalsign::builder().drain_delay(Duration::from_millis(300)).install()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?);
    let app = axum::Router::new()
        .route(
            "/work/{n}",
            get(|Path(n): Path<u64>| async move {
                work(n).await;
                format!("done {n}")
            }),
        )
        .layer(vitalsign::http::layer());
    axum::serve(listener, app)
        .with_graceful_shutdown(vitals.shutdown_signal())
        .await?;
    vitals.shutdown().await?;
    Ok(())
}
