//! Requests that go out: a client span for each attempt, the context in its headers, and `http.client.request.duration`.
//!
//! [`client_layer`] is for any tower service that takes `http::Request`s; with the feature `reqwest`, [`ReqwestTracing`] is a
//! middleware for `reqwest_middleware`. Put either inside of what retries, so that each attempt is a span.

use super::server::{BYTES, ErrorType, SECONDS};
use super::words;
use crate::metrics::dynamic::{Histogram, Meta};
use crate::metrics::label::Limit;
use crate::metrics::registry::{self, LabelSet};
use crate::outcome::CallOutcome;
use crate::probe::type_path;
use crate::site::{Def, Site, Slots, SpanDef, SpanKind};
use crate::trace::active::ActiveSpan;
use crate::trace::body::Scalar;
use crate::{clock, switch, trace};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;
use tracing_core::field::Value;

static SITE: Site = Site {
    def: Def {
        // No function of the user's.
        function: "",
        module: "vitalsign::http",
        file: "",
        line: 0,
        asynchronous: true,
        fallible: true,
        span: Some(SpanDef {
            name: "HTTP",
            kind: SpanKind::Client,
            fields: &[
                "otel.name",
                "otel.kind",
                "http.request.method",
                "http.request.method_original",
                "url.full",
                "server.address",
                "server.port",
                "http.request.resend_count",
                "network.protocol.version",
                "http.response.status_code",
                "error.type",
            ],
            ..SpanDef::DEFAULT
        }),
        counter: None,
        timer: None,
    },
    slots: Slots::new(),
};

/// Servers with series of their own; the rest share `other`.
static SERVERS: Limit = Limit::new(200);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    method: &'static str,
    /// An index into [`SERVERS`].
    server: u16,
    port: u16,
    scheme: &'static str,
    status: u16,
    error: Option<Cow<'static, str>>,
    version: Option<&'static str>,
}

fn labels(key: &Key) -> LabelSet {
    let mut labels: LabelSet = Vec::with_capacity(7);
    if let Some(error) = &key.error {
        labels.push(("error.type".into(), error.clone()));
    }
    labels.push(("http.request.method".into(), key.method.into()));
    if key.status != 0 {
        labels.push(("http.response.status_code".into(), key.status.to_string().into()));
    }
    if let Some(version) = key.version {
        labels.push(("network.protocol.version".into(), version.into()));
    }
    labels.push((
        "server.address".into(),
        SERVERS.value(key.server.into()).unwrap_or("other").into(),
    ));
    labels.push(("server.port".into(), key.port.to_string().into()));
    labels.push(("url.scheme".into(), key.scheme.into()));
    labels
}

struct Families {
    duration: Arc<Histogram<Key>>,
    request_size: Arc<Histogram<Key>>,
}

fn families() -> &'static Families {
    static FAMILIES: OnceLock<Families> = OnceLock::new();
    FAMILIES.get_or_init(|| {
        let families = Families {
            duration: Arc::new(Histogram::new(
                Meta {
                    name: "http.client.request.duration",
                    help: "Duration of HTTP client requests.",
                    unit: "s",
                    labels,
                },
                &SECONDS,
            )),
            request_size: Arc::new(Histogram::new(
                Meta {
                    name: "http.client.request.body.size",
                    help: "Size of HTTP client request bodies.",
                    unit: "By",
                    labels,
                },
                &BYTES,
            )),
        };
        registry::register(families.duration.clone());
        registry::register(families.request_size.clone());
        families
    })
}

/// How often this request was sent before: an extension of the request, set by whoever retries; the span's
/// `http.request.resend_count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResendCount(pub u32);

/// One attempt, from its head to the head of its response.
struct Attempt {
    span: ActiveSpan,
    start: u64,
    key: Key,
    size: Option<u64>,
    open: bool,
}

impl Attempt {
    /// Opens the span and writes its context into the headers.
    fn begin(method: &Method, uri: &Uri, headers: &mut HeaderMap, resends: u32) -> Self {
        let start = clock::now();
        let known = words::method(method);
        let scheme = words::scheme(uri);
        let (address, port) = words::server(uri, headers);
        let address = address.unwrap_or_default();
        let port = port.unwrap_or_else(|| words::default_port(scheme));
        let mut span = ActiveSpan::default();
        span.open(&SITE, start, None);
        if span.recording() {
            let original = (known == words::OTHER).then_some(method.as_str());
            span.fields(
                &SITE,
                &[
                    &words::name_of(known) as &dyn Value,
                    &"client",
                    &known,
                    &original,
                    &words::full(uri).as_str(),
                    &address,
                    &port,
                    &(resends > 0).then_some(resends),
                ],
            );
        }
        let key = Key {
            method: known,
            server: SERVERS.index(address) as u16,
            port,
            scheme,
            status: 0,
            error: None,
            version: None,
        };
        if let Some(context) = span.context().or_else(trace::current) {
            trace::inject(&context, headers);
        }
        Self {
            span,
            start,
            key,
            size: content_length(headers),
            open: true,
        }
    }

    fn responded(mut self, status: StatusCode, version: Version) {
        self.key.status = status.as_u16();
        self.key.version = words::version(version);
        // On a client a 4xx is an error too (C3).
        if status.is_client_error() || status.is_server_error() {
            self.key.error = ErrorType::Status.text(self.key.status);
            self.end(CallOutcome::Error);
        } else {
            self.end(CallOutcome::Ok);
        }
    }

    fn failed(mut self, error: Cow<'static, str>) {
        self.key.error = Some(error);
        self.end(CallOutcome::Error);
    }

    fn end(&mut self, outcome: CallOutcome) {
        self.open = false;
        let end = clock::now();
        if self.span.recording() {
            if self.key.status != 0 {
                self.span
                    .add("http.response.status_code", Scalar::I64(self.key.status.into()));
            }
            if let Some(version) = self.key.version {
                self.span.add("network.protocol.version", Scalar::Text(version));
            }
            if let Some(error) = &self.key.error {
                self.span.add("error.type", Scalar::Text(error));
            }
        }
        let exemplar = self.span.exemplar();
        let seconds = clock::nanos_between(self.start, end) as f64 / 1e9;
        families().duration.record(&self.key, seconds, exemplar);
        if let Some(size) = self.size {
            families().request_size.record(&self.key, size as f64, exemplar);
        }
        self.span.close(end, outcome);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.open {
            self.end(if std::thread::panicking() {
                CallOutcome::Panic
            } else {
                CallOutcome::Cancelled
            });
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A layer for tower clients that take `http::Request`s.
///
/// # Examples
///
/// ```
/// use tower::{ServiceBuilder, service_fn};
///
/// # async fn send(_: http::Request<String>) -> Result<http::Response<String>, std::convert::Infallible> { todo!() }
/// let client = ServiceBuilder::new()
///     .layer(vitalsign::http::client_layer())
///     .service(service_fn(send));
/// ```
pub fn client_layer() -> ClientLayer {
    ClientLayer(())
}

/// The tower layer for HTTP clients; made by [`client_layer`].
#[derive(Clone, Copy, Debug)]
pub struct ClientLayer(());

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner }
    }
}

/// A client in [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let attempt = switch::on().then(|| {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let resends = request.extensions().get::<ResendCount>().map_or(0, |count| count.0);
            Attempt::begin(&method, &uri, request.headers_mut(), resends)
        });
        ClientFuture {
            inner: self.inner.call(request),
            attempt,
        }
    }
}

pin_project! {
    /// The future of [`ClientService`].
    pub struct ClientFuture<F> {
        #[pin]
        inner: F,
        attempt: Option<Attempt>,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = {
            let _entered = this.attempt.as_ref().map(Entered::new);
            this.inner.poll(cx)
        };
        let result = ready!(polled);
        if let Some(attempt) = this.attempt.take() {
            match &result {
                Ok(response) => attempt.responded(response.status(), response.version()),
                Err(_) => attempt.failed(type_path::<E>()),
            }
        }
        Poll::Ready(result)
    }
}

struct Entered<'a>(&'a ActiveSpan);

impl<'a> Entered<'a> {
    fn new(attempt: &'a Attempt) -> Self {
        attempt.span.enter(&SITE);
        Self(&attempt.span)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.exit();
    }
}

#[cfg(feature = "reqwest")]
pub use of_reqwest::ReqwestTracing;

#[cfg(feature = "reqwest")]
mod of_reqwest {
    use super::{Attempt, Entered, switch};
    use http::{Extensions, Uri};
    use reqwest::{Request, Response};
    use reqwest_middleware::{Error, Middleware, Next, Result};
    use std::borrow::Cow;
    use std::future::{Future, poll_fn};
    use std::pin::pin;

    /// Sent so often before, kept by the middleware from attempt to attempt.
    #[derive(Clone, Copy)]
    struct Sent(u32);

    /// A middleware for `reqwest_middleware`: a client span for each attempt, its context in the headers.
    ///
    /// Added after a middleware that retries it sees every attempt, and counts them as `http.request.resend_count`.
    ///
    /// # Examples
    ///
    /// ```
    /// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
    ///     .with(vitalsign::http::ReqwestTracing::new())
    ///     .build();
    /// ```
    #[derive(Clone, Copy, Debug, Default)]
    pub struct ReqwestTracing(());

    impl ReqwestTracing {
        /// The middleware.
        pub fn new() -> Self {
            Self(())
        }
    }

    #[async_trait::async_trait]
    impl Middleware for ReqwestTracing {
        async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
            if !switch::on() {
                return next.run(request, extensions).await;
            }
            let resends = extensions.get::<Sent>().map_or(0, |sent| sent.0);
            extensions.insert(Sent(resends + 1));
            let uri: Uri = request.url().as_str().parse().unwrap_or_default();
            let method = request.method().clone();
            let attempt = Attempt::begin(&method, &uri, request.headers_mut(), resends);
            let mut sent = pin!(next.run(request, extensions));
            let result = poll_fn(|cx| {
                let _entered = Entered::new(&attempt);
                sent.as_mut().poll(cx)
            })
            .await;
            match &result {
                Ok(response) => attempt.responded(response.status(), response.version()),
                Err(error) => attempt.failed(kind(error)),
            }
            result
        }
    }

    /// `error.type`, of low cardinality.
    fn kind(error: &Error) -> Cow<'static, str> {
        let Error::Reqwest(error) = error else {
            return "middleware".into();
        };
        if error.is_timeout() {
            "timeout"
        } else if error.is_connect() {
            "connect"
        } else if error.is_redirect() {
            "redirect"
        } else if error.is_body() || error.is_decode() {
            "body"
        } else {
            "_OTHER"
        }
        .into()
    }
}
