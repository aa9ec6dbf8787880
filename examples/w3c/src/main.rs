//! The service that the test harness of W3C Trace Context asks: it is sent a list of calls, and makes each. What it puts into their
//! headers, from the headers it got, is what the harness looks at.
//!
//! ```console
//! $ cargo run -p w3c -- 127.0.0.1:5000 &
//! $ git clone https://github.com/w3c/trace-context && cd trace-context/test && pip install aiohttp
//! $ SPEC_LEVEL=2 python test.py http://127.0.0.1:5000/test
//! ```

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

/// One call to make.
#[derive(Deserialize)]
struct Call {
    url: String,
    /// The body of its request: for a service like this one, the calls to make in turn.
    arguments: Value,
}

async fn make(State(client): State<ClientWithMiddleware>, Json(calls): Json<Vec<Call>>) -> &'static str {
    for Call { url, arguments } in calls {
        let request = client
            .post(&url)
            .header("content-type", "application/json")
            .body(arguments.to_string());
        if let Err(error) = request.send().await {
            tracing::warn!(%url, error = &error as &(dyn std::error::Error + 'static), "not called");
        }
    }
    "made"
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vitals = vitalsign::init()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".to_owned());
    let client = ClientBuilder::new(reqwest::Client::builder().no_proxy().build()?)
        .with(vitalsign::http::ReqwestTracing::new())
        .build();
    let app = Router::new()
        .route("/test", post(make))
        .layer(vitalsign::http::layer())
        .with_state(client);
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/test", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(vitals.shutdown_signal())
        .await?;
    vitals.shutdown().await?;
    Ok(())
}
