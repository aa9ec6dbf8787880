//! OTLP over gRPC: unary calls whose messages are bytes already.

use super::connect::{Blame, Connector, Version, chain, connector, refusal};
use super::http::innermost;
use super::{MAX_REQUEST, MAX_RESPONSE, USER_AGENT, wire};
use crate::config::env::Otlp;
use crate::config::url::Url;
use crate::export::background::OursExecutor;
use crate::export::diag::tame;
use crate::export::retry;
use crate::export::transport::{Accepted, BoxFuture, Kind, Retry, SendError, Signal, Transport};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use std::error::Error;
use std::time::Duration;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::{Code, Request, Status};

/// One signal's way over gRPC.
pub(crate) struct Grpc {
    client: tonic::client::Grpc<Client<Connector, Body>>,
    url: Url,
    blame: Blame,
    named: String,
    metadata: MetadataMap,
    timeout: Duration,
}

impl Grpc {
    pub(crate) fn new(otlp: &Otlp) -> Result<Self, String> {
        let blame = Blame::of(otlp);
        let client = Client::builder(OursExecutor)
            .http2_only(true)
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(300))
            .http2_keep_alive_interval(Duration::from_secs(60))
            .http2_keep_alive_timeout(Duration::from_secs(20))
            .build(connector(otlp, Version::Http2)?);
        let origin = otlp.url.whole().parse();
        let origin = origin.map_err(|error| format!("{}={}: {error}", blame.endpoint, otlp.url))?;
        let mut client = tonic::client::Grpc::with_origin(client, origin)
            .max_decoding_message_size(MAX_RESPONSE)
            .accept_compressed(CompressionEncoding::Gzip);
        if otlp.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let mut metadata = MetadataMap::new();
        metadata.insert("user-agent", MetadataValue::from_static(USER_AGENT));
        for (name, value) in &otlp.headers {
            // The configuration took only what a header may hold; what gRPC keeps for itself is left out.
            let name = MetadataKey::<Ascii>::from_bytes(name.as_bytes());
            let value = MetadataValue::try_from(value.0.as_str());
            if let (Ok(name), Ok(mut value)) = (name, value) {
                value.set_sensitive(true);
                metadata.insert(name, value);
            }
        }
        let named = match otlp.url_from {
            Some(variable) => format!("{} ({variable})", otlp.url),
            None => otlp.url.to_string(),
        };
        Ok(Self {
            client,
            url: otlp.url.clone(),
            blame,
            named,
            metadata,
            timeout: otlp.timeout,
        })
    }

    async fn call(&self, signal: Signal, body: Bytes) -> Result<Accepted, SendError> {
        let size = body.len();
        if size > MAX_REQUEST {
            return Err(SendError::too_large(format!(
                "a request of {size} bytes is more than {MAX_REQUEST}"
            )));
        }
        let mut client = self.client.clone();
        let mut request = Request::new(body);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        let path = PathAndQuery::from_static(match signal {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        });
        let exchange = async {
            // A pooled client is always ready; this is the contract of the trait.
            client.ready().await.map_err(|error| self.lost(&error))?;
            client
                .unary(request, path, Raw)
                .await
                .map_err(|status| self.failed(&status))
        };
        let answered = tokio::time::timeout(self.timeout, exchange).await;
        let answer = answered.unwrap_or_else(|_| Err(SendError::late(&self.named, self.timeout)))?;
        wire::response(answer.get_ref())
            .map_err(|_| SendError::no_answer(format!("{} answered with something that is not OTLP", self.named)))
    }

    fn failed(&self, status: &Status) -> SendError {
        if let Some(source) = status.source() {
            return self.lost(source);
        }
        let message = tame(status.message());
        // Made here, by the limit on what is read; as a code of the receiver it would be retried.
        let too_large = match status.code() {
            Code::OutOfRange => "Error, decoded message length too large",
            Code::ResourceExhausted => "Error decompressing: size limit",
            _ => "\n",
        };
        if status.message().starts_with(too_large) {
            return SendError::too_large(format!("{} answered with more than {MAX_RESPONSE} bytes", self.named));
        }
        let delay = wire::status(status.details()).ok().and_then(|(_, delay)| delay);
        let hint = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => " (credentials go into OTEL_EXPORTER_OTLP_HEADERS)",
            _ => "",
        };
        SendError {
            retry: retry::grpc_code(status.code() as i32, delay),
            kind: Kind::Grpc(status.code() as i32),
            message: format!("{} answered {:?}: {message}{hint}", self.named, status.code()),
        }
    }

    /// No answer came.
    fn lost(&self, error: &(dyn Error + 'static)) -> SendError {
        if let Some(refusal) = refusal(error, &self.blame) {
            return SendError {
                retry: Retry::Backoff,
                kind: Kind::Tls,
                message: refusal,
            };
        }
        let connect = chain(error)
            .filter_map(|error| error.downcast_ref::<hyper_util::client::legacy::Error>())
            .any(hyper_util::client::legacy::Error::is_connect);
        let (kind, verb, hint) = if connect {
            (Kind::Unreachable, "can not be reached", String::new())
        } else {
            (Kind::Connection, "broke the connection", self.blame.hint())
        };
        let port = if !connect && self.url.port == 4318 {
            "; 4318 is the port for HTTP"
        } else {
            ""
        };
        SendError {
            retry: Retry::Backoff,
            kind,
            message: format!("{} {verb}: {}{port}{hint}", self.named, innermost(error)),
        }
    }
}

impl Transport for Grpc {
    fn send(&self, signal: Signal, body: Bytes, _items: u64) -> BoxFuture<'_, Result<Accepted, SendError>> {
        Box::pin(self.call(signal, body))
    }

    fn target(&self) -> String {
        self.url.to_string()
    }
}

/// Messages that are bytes already.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
