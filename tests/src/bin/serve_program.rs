//! A server as users write them, for tests of its end and of where its lines go: a handler that takes its time, and the shutdown
//! of the README.

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
    // Standard output may be one that takes nothing.
    eprintln!("listening {}", listener.local_addr()?);
    if let Some(address) = vitals.admin_addr() {
        eprintln!("admin {address}");
    }
    let app = axum::Router::new()
        .route(
            "/work/{n}",
            get(|Path(n): Path<u64>| async move {
                work(n).await;
                format!("done {n}")
            }),
        )
        .route(
            "/loud/{n}",
            get(|Path(n): Path<u64>| async move {
                for _ in 0..n {
                    tracing::debug!(
                        padding = "a line of some length, so that they fill what is between",
                        "loud"
                    );
                    tracing::info!(
                        padding = "a line of some length, so that they fill what is between",
                        "loud"
                    );
                }
                tracing::error!("an error");
                "said"
            }),
        )
        .layer(vitalsign::http::layer());
    axum::serve(listener, app)
        .with_graceful_shutdown(vitals.shutdown_signal())
        .await?;
    vitals.shutdown().await?;
    Ok(())
}
