//! Stands in for a tracing backend: takes OTLP over HTTP/protobuf from both processes, joins the spans of an order, prints the
//! tree of some of them and shows any that it has at `/traces/ID`. What it takes, it also forwards, if an endpoint is set.

use crate::spans::{self, Received};
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vitalsign::trace::TraceId;
use vitalsign::trace::tree::{Node, Tree};

/// Traces kept at a time; what is not complete by then is forgotten.
const KEPT: usize = 200;
/// At most one tree in this time.
const PAUSE: Duration = Duration::from_secs(8);

/// How long spans may be on their way: as long as a batch of them waits for company, and some.
const UNDER_WAY: Duration = Duration::from_secs(8);

pub(crate) struct Receiver {
    address: String,
    traces: Arc<Mutex<Traces>>,
}

impl Receiver {
    /// For `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    pub(crate) fn traces_endpoint(&self) -> String {
        format!("{}/v1/traces", self.address)
    }

    /// `/traces/ID`: the tree of a trace, once it is whole or nothing more can come.
    pub(crate) fn routes(&self) -> Router {
        let traces = self.traces.clone();
        let show = move |Path(id): Path<String>| async move {
            let id = u128::from_str_radix(&id, 16).map_or(TraceId(0), TraceId);
            let since = Instant::now();
            loop {
                let (nodes, whole) = locked(&traces).look(id);
                if whole || since.elapsed() > UNDER_WAY {
                    return if nodes.is_empty() {
                        Err((StatusCode::NOT_FOUND, "no such trace, or none any more\n"))
                    } else {
                        Ok(Tree::of(&nodes).to_string())
                    };
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        Router::new().route("/traces/{id}", get(show))
    }
}

fn locked(traces: &Mutex<Traces>) -> MutexGuard<'_, Traces> {
    traces.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts it on a free port.
pub(crate) async fn start(print: bool) -> std::io::Result<Receiver> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let traces = Arc::new(Mutex::new(Traces::default()));
    let kept = traces.clone();
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
            let complete = locked(&traces).take(&request);
            if let (true, Some(spans)) = (print, complete) {
                println!("\n{}", Tree::of(&spans));
            }
            StatusCode::OK
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(Receiver { address, traces: kept })
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
    printed: Option<(Instant, TraceId)>,
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
        if self.printed.is_some_and(|(at, _)| at.elapsed() < PAUSE) {
            return None;
        }
        let printed = self.printed.map(|(_, id)| id);
        let (id, nodes) = touched.into_iter().rev().find_map(|id| {
            let (nodes, whole) = self.look(id);
            (whole && printed != Some(id)).then_some((id, nodes))
        })?;
        self.printed = Some((Instant::now(), id));
        Some(nodes)
    }

    /// What there is of a trace, and whether that is all.
    fn look(&self, id: TraceId) -> (Vec<Node>, bool) {
        let spans = self.by_id.get(&id).map_or(&[][..], Vec::as_slice);
        (
            spans.iter().map(|span| span.node.clone()).collect(),
            is_whole_order(spans),
        )
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
