//! gRPC: every code, with and without `RetryInfo`.

use super::*;
use crate::export::otlp::wire::{self, varint};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Answer {
    Ok(i64),
    /// A code, and the delay of a `RetryInfo`.
    Code(u16, Option<Duration>),
    /// A message of this size, and whether it is packed.
    Huge(usize, bool),
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Answer>>,
    calls: Mutex<Vec<Call>>,
}

struct Call {
    at: Instant,
    path: String,
    headers: HeaderMap,
    spans: usize,
}

struct Server {
    address: SocketAddr,
    state: Arc<State>,
    _background: Background,
}

impl Server {
    fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            ..State::default()
        });
        let background = Background::start().unwrap();
        let shared = state.clone();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        background.spawn_ours(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(request, state.clone()));
                    let connection = http2::Builder::new(TokioExecutor::new());
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self {
            address,
            state,
            _background: background,
        }
    }

    fn exporter(&self, vars: &[(&str, &str)]) -> Exporter {
        let mut all = vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        all.extend(vars);
        exporter(&format!("http://{}", self.address), &all)
    }
}

async fn answer(
    request: http::Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let mut body = body.collect().await?.to_bytes();
    let zipped = body.get_u8() == 1;
    let length = body.get_u32() as usize;
    assert_eq!(length, body.len());
    let mut plain = Vec::new();
    if zipped {
        GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    } else {
        plain.extend(&body);
    }
    let request = ExportTraceServiceRequest::decode(&plain[..]).unwrap();
    let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
    let call = Call {
        at: Instant::now(),
        path: head.uri.path().to_owned(),
        headers: head.headers,
        spans: scopes.map(|s| s.spans.len()).sum(),
    };
    state.calls.lock().unwrap().push(call);
    let answer = state.script.lock().unwrap().pop_front().unwrap_or(Answer::Ok(0));
    let mut trailers = HeaderMap::new();
    let code = match answer {
        Answer::Code(code, _) => code,
        _ => 0,
    };
    trailers.insert("grpc-status", HeaderValue::from(code));
    trailers.insert("grpc-message", HeaderValue::from_static("because"));
    if let Answer::Code(code, Some(delay)) = answer {
        trailers.insert("grpc-status-details-bin", details(code, delay));
    }
    let message = match answer {
        Answer::Ok(rejected) => ExportTraceServiceResponse {
            partial_success: (rejected > 0).then(|| ExportTracePartialSuccess {
                rejected_spans: rejected,
                error_message: "no".into(),
            }),
        }
        .encode_to_vec(),
        Answer::Huge(size, _) => vec![0; size],
        Answer::Code(..) => Vec::new(),
    };
    let mut framed = BytesMut::new();
    let packed = matches!(answer, Answer::Huge(_, true));
    if code == 0 {
        let message = if packed { gzip(&message) } else { message };
        framed.put_u8(u8::from(packed));
        framed.put_u32(message.len() as u32);
        framed.put_slice(&message);
    }
    let body = Full::new(framed.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed());
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    if packed {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert("grpc-encoding", gzip);
    }
    Ok(response)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A `google.rpc.Status` with a `RetryInfo`, in base64.
fn details(code: u16, delay: Duration) -> HeaderValue {
    let mut duration = BytesMut::new();
    duration.put_u8(0x08);
    varint(&mut duration, delay.as_secs());
    duration.put_u8(0x10);
    varint(&mut duration, u64::from(delay.subsec_nanos()));
    let mut info = BytesMut::new();
    wire::field(&mut info, 1, &duration);
    let mut any = BytesMut::new();
    wire::field(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    wire::field(&mut any, 2, &info);
    let mut status = BytesMut::new();
    status.put_u8(0x08);
    varint(&mut status, u64::from(code));
    wire::field(&mut status, 3, &any);
    let text = crate::export::otlp::json::base64_of(&status);
    HeaderValue::from_str(text.trim_end_matches('=')).unwrap()
}

#[test]
fn each_code_is_retried_or_not() {
    let mut runs = Vec::new();
    for code in 1..=16_u16 {
        for delay in [None, Some(Duration::from_millis(1200))] {
            runs.push(std::thread::spawn(move || {
                let server = Server::start([Answer::Code(code, delay)]);
                let exporter = server.exporter(&[]);
                record(&exporter, 0, 2);
                let report = exporter.flush(LONG).traces;
                let calls = server.state.calls.lock().unwrap();
                let retryable = matches!(code, 1 | 4 | 10 | 11 | 14 | 15) || (code == 8 && delay.is_some());
                if retryable {
                    assert_eq!((calls.len(), report), (2, tally(2, 0, 0, 0)), "{code} {delay:?}");
                    let waited = calls[1].at - calls[0].at;
                    assert!(waited >= delay.unwrap_or_default(), "{code} {waited:?}");
                } else {
                    assert_eq!((calls.len(), report), (1, tally(0, 2, 0, 0)), "{code} {delay:?}");
                }
            }));
        }
    }
    for run in runs {
        run.join().unwrap();
    }
}

#[test]
fn a_call_is_what_the_specification_says() {
    let server = Server::start([Answer::Ok(1)]);
    let exporter = server.exporter(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ]);
    record(&exporter, 0, 3);
    assert_eq!(exporter.flush(LONG).traces, tally(2, 1, 0, 0));
    let calls = server.state.calls.lock().unwrap();
    assert_eq!(
        calls[0].path,
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    assert_eq!(calls[0].headers["authorization"], "Bearer x");
    assert_eq!(calls[0].headers["grpc-encoding"], "gzip");
    assert_eq!(calls[0].headers["content-type"], "application/grpc");
    assert!(
        calls[0].headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("OTel-OTLP-Exporter-Rust")
    );
    assert!(calls[0].headers.contains_key("grpc-timeout"));
    assert_eq!(calls[0].spans, 3);
}

#[test]
fn an_answer_too_large_is_not_asked_for_again() {
    for packed in [false, true] {
        let server = Server::start([Answer::Huge(64 << 20, packed)]);
        let exporter = server.exporter(&[]);
        record(&exporter, 0, 2);
        assert_eq!(exporter.flush(LONG).traces, tally(0, 0, 2, 0), "{packed}");
        assert_eq!(server.state.calls.lock().unwrap().len(), 1);
    }
}

#[test]
fn nobody_there_and_back() {
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let exporter = exporter(&format!("http://{address}"), &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    record(&exporter, 0, 1);
    let start = Instant::now();
    assert_eq!(exporter.flush(LONG).traces, tally(0, 0, 0, 1));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "a flush does not wait for nobody"
    );
}
