//! The server layer as a middleware of actix-web: the same span, measurements, request id and access line.
//!
//! ```
//! use actix_web::{App, web};
//!
//! let app = App::new()
//!     .wrap(vitalsign::http::actix_layer().exclude("/healthz"))
//!     .route("/orders/{id}", web::get().to(|| async { "…" }));
//! ```
//!
//! Wrap the `App` with it last, so that it stands outside of the others. Routes are the patterns of the resources; what no resource
//! matches has none. An error that another middleware returns is recorded with its status; its response, which actix-web makes later,
//! has neither a size nor the request id.
//!
//! A client that leaves before the head is `cancelled` where actix-web drops its handler: when the connection was reset, or with
//! `HttpServer::h1_allow_half_closed(false)` when it was closed. By default a client may close its side and still read, so that the
//! handler of one that left in good order runs to its end.

use super::body::{Answering, Step};
use super::exchange::{Exchange, Handling};
use super::head::{Head, KeptPath};
use super::measure::First;
use super::request_id::{self, RequestId};
use super::rpc::Rpc;
use super::settings::{self, Settings};
use super::words;
use crate::switch;
use crate::trace::SpanContext;
use crate::trace::carrier::AsParent;
use crate::trace::passing::Through;
use crate::trace::propagate::{Extract, Inject, extract};
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{Error, HttpMessage as _};
use bytes::Bytes;
use pin_project_lite::pin_project;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The middleware with the defaults.
pub fn actix_layer() -> ActixLayer {
    ActixLayer {
        settings: Arc::default(),
    }
}

/// The middleware for actix-web; made by [`actix_layer`].
#[derive(Clone)]
pub struct ActixLayer {
    settings: Arc<Settings>,
}

impl ActixLayer {
    fn settings(&mut self) -> &mut Settings {
        Arc::get_mut(&mut self.settings).expect("an `ActixLayer` is configured before it is cloned")
    }
}

settings::words!(ActixLayer, HeaderName, |layer| layer.settings());

impl std::fmt::Debug for ActixLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActixLayer").finish_non_exhaustive()
    }
}

impl<S, B> Transform<S, ServiceRequest> for ActixLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ActixBody<B>>;
    type Error = Error;
    type Transform = ActixService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(ActixService {
            inner,
            settings: self.settings.clone(),
            first: First::default(),
        }))
    }
}

/// A service in [`ActixLayer`].
pub struct ActixService<S> {
    inner: S,
    settings: Arc<Settings>,
    first: First,
}

impl<S> std::fmt::Debug for ActixService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActixService").finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for ActixService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<ActixBody<B>>;
    type Error = Error;
    type Future = ActixFuture<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        if !switch::on() || self.settings.excludes(request.path()) {
            let through = Through::of(request.headers());
            return ActixFuture {
                handling: Handling::past(through, || self.inner.call(request)),
            };
        }
        let exchange = {
            let pattern = request.match_pattern();
            let route = pattern.as_deref().or_else(|| self.settings.grouped(request.path()));
            Exchange::serve(&request, route, &self.settings, &self.first)
        };
        if let Some(id) = exchange.request_id() {
            put(id, request.headers_mut());
            request.extensions_mut().insert(id.clone());
        }
        ActixFuture {
            handling: Handling::call(Some(exchange), || self.inner.call(request)),
        }
    }
}

fn put(id: &RequestId, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HeaderName::from_static(request_id::NAME), value);
    }
}

pin_project! {
    /// The future of [`ActixService`].
    pub struct ActixFuture<F> {
        #[pin]
        handling: Handling<F>,
    }
}

impl<F, B> Future for ActixFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<ActixBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (result, exchange) = ready!(self.project().handling.poll(cx));
        Poll::Ready(match result {
            Ok(mut response) => {
                let exchange = exchange.map(|mut exchange| {
                    exchange.responded(response.status().as_u16());
                    if let Some(id) = exchange.take_request_id()
                        && !response.headers().contains_key(request_id::NAME)
                    {
                        put(&id, response.headers_mut());
                    }
                    exchange
                });
                Ok(response.map_body(|_, body| ActixBody::new(body, exchange)))
            }
            Err(error) => {
                if let Some(mut exchange) = exchange {
                    exchange.responded(error.as_response_error().status_code().as_u16());
                    exchange.unseen();
                    exchange.completed();
                }
                Err(error)
            }
        })
    }
}

pin_project! {
    /// The body of a response in [`ActixLayer`]: the request's span lives until its last byte.
    pub struct ActixBody<B: MessageBody> {
        #[pin]
        inner: B,
        exchange: Answering,
    }

    impl<B: MessageBody> PinnedDrop for ActixBody<B> {
        fn drop(this: Pin<&mut Self>) {
            this.project().exchange.saw(Step::Dropped(false));
        }
    }
}

impl<B: MessageBody> ActixBody<B> {
    fn new(inner: B, mut exchange: Option<Box<Exchange>>) -> Self {
        if let Some(exchange) = &mut exchange {
            exchange.announced = match inner.size() {
                BodySize::None => Some(0),
                BodySize::Sized(bytes) => Some(bytes),
                BodySize::Stream => None,
            };
        }
        Self {
            exchange: Answering::new(exchange, false),
            inner,
        }
    }
}

impl<B: MessageBody> std::fmt::Debug for ActixBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActixBody").finish_non_exhaustive()
    }
}

impl<B: MessageBody> MessageBody for ActixBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.inner.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.project();
        let polled = {
            let _entered = this.exchange.enter();
            this.inner.poll_next(cx)
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(bytes))) => this.exchange.saw(Step::Data(bytes.len() as u64)),
            Poll::Ready(Some(Err(_))) => this.exchange.saw(Step::Failed),
            Poll::Ready(None) => this.exchange.saw(Step::Complete),
        }
        polled
    }
}

#[expect(clippy::needless_pass_by_value, reason = "names are constants")]
fn first(request: &ServiceRequest, name: http::HeaderName) -> Option<&[u8]> {
    request.headers().get(name.as_str()).map(HeaderValue::as_bytes)
}

impl Head for ServiceRequest {
    fn method(&self) -> &str {
        ServiceRequest::method(self).as_str()
    }

    fn path(&self) -> &str {
        ServiceRequest::path(self)
    }

    fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    fn scheme(&self) -> &'static str {
        if self.app_config().secure() {
            return "https";
        }
        words::scheme(self.uri().scheme_str())
    }

    fn server(&self) -> (Option<&str>, Option<u16>) {
        match self.uri().authority() {
            Some(authority) => (Some(authority.host()), authority.port_u16()),
            None => words::server(first(self, http::header::HOST)),
        }
    }

    fn version(&self) -> Option<&'static str> {
        use actix_web::http::Version;
        words::version(match ServiceRequest::version(self) {
            Version::HTTP_09 => http::Version::HTTP_09,
            Version::HTTP_10 => http::Version::HTTP_10,
            Version::HTTP_2 => http::Version::HTTP_2,
            Version::HTTP_3 => http::Version::HTTP_3,
            _ => http::Version::HTTP_11,
        })
    }

    fn content_length(&self) -> Option<&[u8]> {
        first(self, http::header::CONTENT_LENGTH)
    }

    fn user_agent(&self) -> Option<&[u8]> {
        first(self, http::header::USER_AGENT)
    }

    fn headers(&self, name: &http::HeaderName) -> Vec<&[u8]> {
        let values = ServiceRequest::headers(self).get_all(name.as_str());
        values.map(HeaderValue::as_bytes).collect()
    }

    fn context(&self) -> Option<SpanContext> {
        extract(ServiceRequest::headers(self))
    }

    fn request_id(&self) -> Option<RequestId> {
        let mut values = ServiceRequest::headers(self).get_all(request_id::NAME);
        let value = values.next()?;
        RequestId::sane(value.as_bytes()).filter(|_| values.next().is_none())
    }

    /// gRPC ends with trailers, and actix-web has none.
    fn rpc(&self) -> Option<Box<Rpc>> {
        None
    }

    fn kept_path(&self) -> KeptPath {
        KeptPath::Text(ServiceRequest::path(self).into())
    }
}

/// The headers of actix-web's requests.
impl Extract for HeaderMap {
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
        // A value that is not text counts: it makes what it stands in malformed.
        self.get_all(name)
            .map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or("\u{0}"))
            .collect()
    }

    fn names(&self) -> Vec<&str> {
        self.keys().map(HeaderName::as_str).collect()
    }
}

/// The headers of actix-web's requests.
impl Inject for HeaderMap {
    fn set(&mut self, name: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.insert(name, value);
        }
    }

    fn remove(&mut self, name: &str) {
        self.remove(name);
    }
}

impl AsParent for HeaderMap {
    fn as_parent(&self) -> Option<SpanContext> {
        extract(self)
    }
}
