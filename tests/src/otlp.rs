//! A collector for one test: OTLP over HTTP/protobuf and gRPC, on a thread of its own.

use crate::span::{Span, Trace};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tonic::codec::CompressionEncoding;

/// Everything received so far.
#[derive(Default)]
pub struct Received {
    /// Requests with spans.
    pub traces: Vec<ExportTraceServiceRequest>,
    /// Requests with metrics.
    pub metrics: Vec<ExportMetricsServiceRequest>,
    /// Requests with log records.
    pub logs: Vec<ExportLogsServiceRequest>,
    /// Path and headers of each request over HTTP.
    pub requests: Vec<(String, HeaderMap)>,
    /// What could not be decoded.
    pub mistakes: Vec<String>,
    /// Answers to give before the good ones: an HTTP status, and `Retry-After`.
    pub answers: VecDeque<(u16, Option<String>)>,
}

type Shared = Arc<Mutex<Received>>;

/// A receiver; it ends with the value.
pub struct Receiver {
    received: Shared,
    http: u16,
    grpc: u16,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Receiver {
    /// Starts on free ports.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start() -> Self {
        let received = Shared::default();
        let bind = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.set_nonblocking(true).expect("a socket that does not block");
            let port = listener.local_addr().expect("an address").port();
            (listener, port)
        };
        let ((http_listener, http), (grpc_listener, grpc)) = (bind(), bind());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let state = Arc::clone(&received);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                tokio::spawn(serve_http(http_listener, Arc::clone(&state)));
                tokio::spawn(serve_grpc(grpc_listener, state));
                let _ = stopped.await;
            });
        });
        Self {
            received,
            http,
            grpc,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with `http/protobuf`.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with `grpc`.
    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// What was received, to look at or to change.
    pub fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All spans received so far.
    ///
    /// # Panics
    /// When something could not be decoded.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received();
        assert!(received.mistakes.is_empty(), "{:?}", received.mistakes);
        received.traces.iter().flat_map(Span::all).collect()
    }

    /// What has come of the trace of that id.
    pub fn trace_of(&self, id: &str) -> Trace {
        let mut spans = self.spans();
        spans.retain(|span| span.trace_id == id);
        Trace { spans }
    }

    /// The trace in which a span of that name is, once `count` of its spans have come.
    ///
    /// # Panics
    /// When they have not come within 20 seconds.
    #[track_caller]
    pub fn trace(&self, name: &str, count: usize) -> Trace {
        let mut last = Vec::new();
        for _ in 0..1000 {
            last = self.spans();
            for found in last.iter().filter(|span| span.name == name) {
                let spans: Vec<_> = last
                    .iter()
                    .filter(|span| span.trace_id == found.trace_id)
                    .cloned()
                    .collect();
                if spans.len() >= count {
                    return Trace { spans };
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let names: Vec<_> = last.iter().map(|span| span.name.as_str()).collect();
        panic!("no trace of {count} spans with {name:?}; received: {names:?}");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve_http(listener: std::net::TcpListener, state: Shared) {
    use axum::routing::post;
    let at = |path: &'static str, keep: Keep| {
        let state = Arc::clone(&state);
        post(move |headers: HeaderMap, body: Bytes| async move { take(&state, path, headers, &body, keep) })
    };
    let router = axum::Router::new()
        .route(
            "/v1/traces",
            at("/v1/traces", |r, b| Message::decode(b).map(|m| r.traces.push(m))),
        )
        .route(
            "/v1/metrics",
            at("/v1/metrics", |r, b| Message::decode(b).map(|m| r.metrics.push(m))),
        )
        .route(
            "/v1/logs",
            at("/v1/logs", |r, b| Message::decode(b).map(|m| r.logs.push(m))),
        );
    let listener = tokio::net::TcpListener::from_std(listener).expect("inside the runtime");
    let _ = axum::serve(listener, router).await;
}

type Keep = fn(&mut Received, &[u8]) -> Result<(), prost::DecodeError>;

fn take(state: &Shared, path: &str, headers: HeaderMap, body: &[u8], keep: Keep) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut received = state.lock().unwrap_or_else(PoisonError::into_inner);
    let gzip = headers.get("content-encoding").is_some_and(|value| value == "gzip");
    received.requests.push((path.to_owned(), headers));
    let mut answer = HeaderMap::new();
    if let Some((status, retry_after)) = received.answers.pop_front() {
        if let Some(value) = retry_after.and_then(|text| text.parse().ok()) {
            answer.insert("retry-after", value);
        }
        return (
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            answer,
            Vec::new(),
        );
    }
    let mut plain = Vec::new();
    let body = if gzip && flate2::read::GzDecoder::new(body).read_to_end(&mut plain).is_ok() {
        &plain
    } else {
        body
    };
    if let Err(error) = keep(&mut received, body) {
        received.mistakes.push(format!("{path}: {error}"));
        return (StatusCode::BAD_REQUEST, answer, Vec::new());
    }
    answer.insert("content-type", http::HeaderValue::from_static("application/x-protobuf"));
    (StatusCode::OK, answer, Vec::new())
}

#[derive(Clone)]
struct Grpc(Shared);

async fn serve_grpc(listener: std::net::TcpListener, state: Shared) {
    let (gzip, service) = (CompressionEncoding::Gzip, Grpc(state));
    let listener = tokio::net::TcpListener::from_std(listener).expect("inside the runtime");
    let _ = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(service.clone()).accept_compressed(gzip))
        .add_service(MetricsServiceServer::new(service.clone()).accept_compressed(gzip))
        .add_service(LogsServiceServer::new(service).accept_compressed(gzip))
        .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener))
        .await;
}

type Answer<T> = Result<tonic::Response<T>, tonic::Status>;

impl Grpc {
    fn keep<T: Default>(&self, keep: impl FnOnce(&mut Received)) -> Answer<T> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if received.answers.pop_front().is_some() {
            return Err(tonic::Status::unavailable("told to be"));
        }
        keep(&mut received);
        Ok(tonic::Response::new(T::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(&self, request: tonic::Request<ExportTraceServiceRequest>) -> Answer<ExportTraceServiceResponse> {
        self.keep(|received| received.traces.push(request.into_inner()))
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Answer<ExportMetricsServiceResponse> {
        self.keep(|received| received.metrics.push(request.into_inner()))
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(&self, request: tonic::Request<ExportLogsServiceRequest>) -> Answer<ExportLogsServiceResponse> {
        self.keep(|received| received.logs.push(request.into_inner()))
    }
}
