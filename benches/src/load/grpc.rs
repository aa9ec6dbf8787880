//! The collector's connections over gRPC.

use super::collector::{GARBAGE, HUGE, Mood, Shared};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use tokio::runtime::Builder;

type Body = BoxBody<Bytes, Infallible>;

const OK: u16 = 0;
const UNAVAILABLE: u16 = 14;

/// A connection, until it is closed.
pub(super) fn serve(stream: TcpStream, shared: &Arc<Shared>) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let (Ok(closer), Ok(()), Ok(())) = (
        stream.try_clone(),
        stream.set_nodelay(true),
        stream.set_nonblocking(true),
    ) else {
        return;
    };
    let closer = Arc::new(closer);
    let service = service_fn(|request| answer(request, shared.clone(), closer.clone()));
    runtime.block_on(async {
        if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
            // Broken off by either side: that is a mood.
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    });
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    connection: Arc<TcpStream>,
) -> Result<Response<Body>, Infallible> {
    let path = match request.uri().path() {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => "/v1/traces",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => "/v1/logs",
        _ => "/v1/metrics",
    };
    let mut body = request.into_body();
    if shared.mood() == Mood::Reset {
        let _ = body.frame().await;
        let _ = connection.shutdown(Shutdown::Both);
        return std::future::pending().await;
    }
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    // A flag for compression, which is not asked for, and the length.
    let Some((_, message)) = body.split_at_checked(5) else {
        return std::future::pending().await;
    };
    Ok(match shared.mood() {
        Mood::Well => respond(OK, &shared.take(path, message, false)),
        Mood::Partial => respond(OK, &shared.take(path, message, true)),
        Mood::Gone | Mood::Reset => {
            let _ = connection.shutdown(Shutdown::Both);
            std::future::pending().await
        }
        // Of an answer that comes in single bytes nothing is there before its end.
        Mood::Silent | Mood::Drip => std::future::pending().await,
        Mood::Unavailable => respond(UNAVAILABLE, b""),
        Mood::Garbage => respond(OK, GARBAGE),
        Mood::Huge => respond(OK, &vec![0x0a; HUGE]),
    })
}

fn respond(code: u16, message: &[u8]) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    let body = if code == OK {
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.put_slice(message);
        Full::new(framed.freeze())
            .with_trailers(std::future::ready(Some(Ok(trailers))))
            .boxed()
    } else {
        Empty::new()
            .with_trailers(std::future::ready(Some(Ok(trailers))))
            .boxed()
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
