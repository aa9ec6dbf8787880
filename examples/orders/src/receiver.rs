//! Stands in for a tracing backend: takes OTLP over HTTP/protobuf from both processes, joins the spans of an order and prints
//! the tree of some of them. What it takes, it also forwards, if an endpoint is set.

use crate::spans::{self, Received};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use vitalsign::trace::TraceId;
use vitalsign::trace::tree::{Node, Tree};

/// Traces kept at a time; what is not complete by then is forgotten.
const KEPT: usize = 200;
/// At most one tree in this time.
const PAUSE: Duration = Duration::from_secs(8);

pub(crate) struct Receiver {
    address: String,
}

impl Receiver {
    /// For `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
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
        post(move |headers: HeaderMap, body: Bytes| async move {
            if let Some((client, url)) = forward {
                tokio::spawn(client.post(url).headers(passed_on(headers)).body(body.clone()).send());
            }
            let Ok(request) = ExportTraceServiceRequest::decode(body) else {
                return StatusCode::BAD_REQUEST;
            };
            let complete = traces.lock().unwrap_or_else(PoisonError::into_inner).take(&request);
            if let (true, Some(spans)) = (print, complete) {
                println!("\n{}", Tree::of(&spans));
            }
            StatusCode::OK
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(Receiver { address })
}

/// All but what belongs to this connection.
fn passed_on(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
        headers.remove(name);
    }
    headers
}

/// The user's own collector, by the variables that say where it is.
fn forward_to() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| format!("{}/v1/traces", base.trim_end_matches('/'))))
}

#[derive(Default)]
struct Traces {
    by_id: HashMap<TraceId, Vec<Received>>,
    oldest_first: VecDeque<TraceId>,
    printed: Option<Instant>,
}

impl Traces {
    /// Keeps the spans; gives back a trace that is complete now, if it is time to print one.
    fn take(&mut self, request: &ExportTraceServiceRequest) -> Option<Vec<Node>> {
        let mut touched = Vec::new();
        for span in spans::received(request) {
            let id = span.node.trace_id;
            let trace = self.by_id.entry(id).or_default();
            if trace.is_empty() {
                self.oldest_first.push_back(id);
            }
            trace.push(span);
            touched.push(id);
        }
        while self.oldest_first.len() > KEPT {
            if let Some(oldest) = self.oldest_first.pop_front() {
                self.by_id.remove(&oldest);
            }
        }
        if self.printed.is_some_and(|at| at.elapsed() < PAUSE) {
            return None;
        }
        let whole = |id: &TraceId| self.by_id.get(id).is_some_and(|spans| is_whole_order(spans));
        let id = touched.into_iter().rev().find(whole)?;
        self.printed = Some(Instant::now());
        let spans = self.by_id.remove(&id)?;
        Some(spans.into_iter().map(|span| span.node).collect())
    }
}

/// Nothing is missing: there is a root, every parent is known, both services have reported, and who called out was heard.
fn is_whole_order(spans: &[Received]) -> bool {
    let nodes = || spans.iter().map(|span| &span.node);
    let known = |id| nodes().any(|node| node.span_id == id);
    let heard = |id| nodes().any(|node| node.parent == Some(id));
    nodes().any(|node| node.parent.is_none())
        && nodes().any(|node| node.service != spans[0].node.service)
        && nodes().all(|node| node.parent.is_none_or(known))
        && spans
            .iter()
            .filter(|span| span.calls_out)
            .all(|span| heard(span.node.span_id))
}
