//! OTLP over HTTP/1.1: a POST per batch.

use super::connect::{Blame, Connector, Version, chain, connector, refusal};
use super::{MAX_REQUEST, MAX_RESPONSE, USER_AGENT, wire};
use crate::config::env::{Otlp, Protocol};
use crate::config::url::Url;
use crate::export::background::OursExecutor;
use crate::export::diag::tame;
use crate::export::retry;
use crate::export::transport::{Accepted, BoxFuture, Kind, Retry, SendError, Signal, Transport};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use std::error::Error;
use std::time::{Duration, SystemTime};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// One signal's way over HTTP.
pub(crate) struct Http {
    client: Client<Connector, Full<Bytes>>,
    url: Url,
    uri: Uri,
    url_from: Option<&'static str>,
    blame: Blame,
    headers: HeaderMap,
    gzip: bool,
    timeout: Duration,
}

impl Http {
    pub(crate) fn new(otlp: &Otlp) -> Result<Self, String> {
        let client = Client::builder(OursExecutor)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector(otlp, Version::Http1)?);
        let blame = Blame::of(otlp);
        let blamed = blame.endpoint;
        let uri = otlp.url.whole().parse();
        let uri = uri.map_err(|error| format!("{blamed}={}: {error}", otlp.url))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &otlp.headers {
            // The configuration took only what a header may hold; what still fails is left out.
            let name = HeaderName::try_from(name.as_str());
            let value = HeaderValue::try_from(value.0.as_str());
            if let (Ok(name), Ok(mut value)) = (name, value) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers
            .entry(http::header::USER_AGENT)
            .or_insert(HeaderValue::from_static(USER_AGENT));
        let content = match otlp.protocol {
            Protocol::HttpJson => JSON,
            _ => PROTOBUF,
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        if otlp.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self {
            client,
            url: otlp.url.clone(),
            uri,
            url_from: otlp.url_from,
            blame,
            headers,
            gzip: otlp.gzip,
            timeout: otlp.timeout,
        })
    }

    async fn post(&self, body: Bytes) -> Result<Accepted, SendError> {
        let body = self.packed(body)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| self.lost(&error))?;
            self.answer(response).await
        };
        let answered = tokio::time::timeout(self.timeout, exchange).await;
        answered.unwrap_or_else(|_| Err(SendError::late(&self.named(), self.timeout)))
    }

    fn packed(&self, body: Bytes) -> Result<Bytes, SendError> {
        let size = body.len();
        let body = if self.gzip && size <= MAX_REQUEST {
            gzip(&body)
        } else {
            body
        };
        if size.max(body.len()) > MAX_REQUEST {
            return Err(SendError::too_large(format!(
                "a request of {size} bytes is more than {MAX_REQUEST}"
            )));
        }
        Ok(body)
    }

    /// No answer came.
    fn lost(&self, error: &hyper_util::client::legacy::Error) -> SendError {
        if let Some(refusal) = refusal(error, &self.blame) {
            return SendError {
                retry: Retry::Backoff,
                kind: Kind::Tls,
                message: refusal,
            };
        }
        let cause = innermost(error);
        let hyper = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
        if hyper.is_some_and(hyper::Error::is_parse) {
            let port = if self.url.port == 4317 {
                "4317 is the port for gRPC"
            } else {
                "if that is gRPC"
            };
            return SendError::no_answer(format!(
                "{} answered with something that is not HTTP/1.1 ({cause}); {port}, OTEL_EXPORTER_OTLP_PROTOCOL=grpc speaks it",
                self.named()
            ));
        }
        let (kind, verb, hint) = if error.is_connect() {
            (Kind::Unreachable, "can not be reached", String::new())
        } else {
            (Kind::Connection, "broke the connection", self.blame.hint())
        };
        SendError {
            retry: Retry::Backoff,
            kind,
            message: format!("{} {verb}: {cause}{hint}", self.named()),
        }
    }

    fn named(&self) -> String {
        match self.url_from {
            Some(variable) => format!("{} ({variable})", self.url),
            None => self.url.to_string(),
        }
    }

    async fn answer(&self, response: Response<Incoming>) -> Result<Accepted, SendError> {
        let (parts, body) = response.into_parts();
        let success = parts.status.is_success();
        // An error's retryability stands in its head; its body only explains.
        let limit = if success { MAX_RESPONSE } else { 64 << 10 };
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) if !success => Bytes::new(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(SendError::too_large(format!(
                    "{} answered with more than {MAX_RESPONSE} bytes",
                    self.named()
                )));
            }
            // It took the request and lost its own answer: the specification has the client send again.
            Err(error) => {
                return Err(SendError {
                    retry: Retry::Backoff,
                    kind: Kind::Connection,
                    message: format!("{} broke off its answer: {error}", self.named()),
                });
            }
        };
        if success {
            return self.accepted(parts.status, &parts.headers, &body);
        }
        let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Err(SendError {
            retry: retry::http_status(parts.status.as_u16(), retry_after, SystemTime::now()),
            kind: Kind::Http(parts.status.as_u16()),
            message: format!(
                "{} answered {}{}",
                self.named(),
                parts.status,
                explained(parts.status, &body)
            ),
        })
    }

    fn accepted(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Accepted, SendError> {
        if body.is_empty() {
            return Ok(Accepted::default());
        }
        let media_type = media_type(headers);
        let media_type = media_type.as_deref().unwrap_or(PROTOBUF);
        let read = if media_type == JSON {
            super::json::response(body)
        } else {
            wire::response(body).ok()
        };
        match (read, media_type) {
            (Some(accepted), _) => Ok(accepted),
            // A web page is what a wrong address answers.
            (None, JSON | PROTOBUF | "text/html") => Err(SendError::no_answer(format!(
                "{} answered {status} with something that is not OTLP",
                self.named()
            ))),
            // Its status says that it took the request, and gateways say no more than that.
            (None, other) => Ok(Accepted {
                rejected: 0,
                message: format!("{} ({other} is not OTLP)", String::from_utf8_lossy(body)),
            }),
        }
    }
}

impl Transport for Http {
    fn send(&self, signal: Signal, body: Bytes, _items: u64) -> BoxFuture<'_, Result<Accepted, SendError>> {
        let json = self.headers.get(CONTENT_TYPE).is_some_and(|value| value == JSON);
        Box::pin(async move {
            let body = if json {
                super::json::request(signal, &body)?
            } else {
                body
            };
            self.post(body).await
        })
    }

    fn target(&self) -> String {
        self.url.to_string()
    }
}

/// In lower case, without parameters.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (media_type, _parameters) = text.split_once(';').unwrap_or((text, ""));
    Some(media_type.trim().to_ascii_lowercase())
}

fn gzip(body: &[u8]) -> Bytes {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

/// What the server said to its status: a `google.rpc.Status` by the specification, often plain text.
fn explained(status: StatusCode, body: &[u8]) -> String {
    let message = match wire::status(body) {
        Ok((message, _)) if !message.is_empty() => message,
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let message = message.trim();
    let hint = match status.as_u16() {
        401 | 403 => " (credentials go into OTEL_EXPORTER_OTLP_HEADERS)",
        404 => {
            " (a path such as v1/traces is appended to OTEL_EXPORTER_OTLP_ENDPOINT, not to the variables of one signal)"
        }
        _ => "",
    };
    if message.is_empty() || message.contains('\u{fffd}') {
        hint.to_owned()
    } else {
        format!(": {}{hint}", tame(message))
    }
}

/// The cause at the bottom: the layers above say the same in vaguer words.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error)
        .last()
        .map(|error| tame(&error.to_string()))
        .unwrap_or_default()
}
