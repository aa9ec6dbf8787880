//! Stands in for a tracing backend: takes OTLP over HTTP/protobuf from both processes, joins the spans of an order and prints
//! the tree of some of them. What it takes, it also forwards, if an endpoint is set.

use crate::tree::{self, Span};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Traces kept at a time; what is not complete by then is forgotten.
const KEPT: usize = 200;
/// At most one tree in this time.
const PAUSE: Duration = Duration::from_secs(8);

pub(crate) struct Receiver {
    address: String,
}

impl Receiver {
    /// For OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
    pub(crate) fn traces_endpoint(&self) -> String {
        format!("{}/v1/traces", self.address)
    }
}

/// Starts it on a free port.
pub(crate) async fn start(print: bool) -> std::io::Result<Receiver> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let traces = Arc::new(Mutex::new(Traces::default()));
    let forward = forward_to().map(|url| (reqwest::Client::new(), url));
    let router = Router::new().route(
        "/v1/traces",
        post(move |body: Bytes| async move {
            if let Some((client, url)) = forward {
                let request = client
                    .post(url)
                    .header("content-type", "application/x-protobuf")
                    .body(body.clone());
                tokio::spawn(request.send());
            }
            let Ok(request) = ExportTraceServiceRequest::decode(body) else {
                return StatusCode::BAD_REQUEST;
            };
            let complete = traces.lock().unwrap_or_else(PoisonError::into_inner).take(&request);
            if let (true, Some(spans)) = (print, complete) {
                println!("\n{}", tree::text(&spans));
            }
            StatusCode::OK
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(Receiver { address })
}

/// The user's own collector, by the variables that say where it is.
fn forward_to() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/v1/traces", base.trim_end_matches('/'))))
}

#[derive(Default)]
struct Traces {
    by_id: HashMap<Vec<u8>, Vec<Span>>,
    order: std::collections::VecDeque<Vec<u8>>,
    printed: Option<Instant>,
}

impl Traces {
    /// Keeps the spans; gives back a trace that is complete now, if it is time to print one.
    fn take(&mut self, request: &ExportTraceServiceRequest) -> Option<Vec<Span>> {
        let mut touched = Vec::new();
        for span in tree::spans(request) {
            let id = span.trace_id.clone();
            if !self.by_id.contains_key(&id) {
                self.order.push_back(id.clone());
            }
            self.by_id.entry(id.clone()).or_default().push(span);
            touched.push(id);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
        if self.printed.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        let id = touched
            .into_iter()
            .rev()
            .find(|id| self.by_id.get(id).is_some_and(|spans| is_whole_order(spans)))?;
        self.printed = Some(Instant::now());
        self.by_id.remove(&id)
    }
}

/// Nothing is missing: the root is there, every parent is known, and both services have reported.
fn is_whole_order(spans: &[Span]) -> bool {
    let known = |id: &[u8]| spans.iter().any(|span| span.span_id == id);
    let services = spans.iter().any(|span| span.service != spans[0].service);
    services
        && spans.iter().any(|span| span.parent_id.is_empty())
        && spans
            .iter()
            .all(|span| span.parent_id.is_empty() || known(&span.parent_id))
        && spans
            .iter()
            .filter(|span| span.client_over_http)
            .all(|client| spans.iter().any(|s| s.parent_id == client.span_id))
}
