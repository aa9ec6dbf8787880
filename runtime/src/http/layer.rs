//! The server layer: one span, one set of measurements and one access line for each request.
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # fn app() -> axum::Router {
//! use axum::{Router, routing::get};
//!
//! Router::new()
//!     .route("/orders/{id}", get(|| async { "…" }))
//!     .layer(vitalsign::http::layer())
//! # }
//! ```
//!
//! Under axum put it on the `Router` (`Router::layer`), where the route is known. The span begins when the layer is called and ends
//! when the last byte of the body is handed over or the body is dropped. A client that left before is `cancelled`.

use super::body::Traced;
use super::exchange::Exchange;
use super::request_id;
use crate::switch;
use crate::trace::passing::Through;
use http::request::Parts;
use http::{HeaderName, Request, Response};
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

/// A layer with the defaults.
pub fn layer() -> HttpLayer {
    HttpLayer {
        settings: Arc::new(Tower {
            common: Settings::default(),
            route: None,
        }),
    }
}

type RouteOf = Box<dyn Fn(&Parts) -> Option<Cow<'static, str>> + Send + Sync>;

/// What a tower service is observed by.
struct Tower {
    common: Settings,
    route: Option<RouteOf>,
}

/// What the layers of all frameworks can be told.
pub(super) struct Settings {
    pub(super) access_line: bool,
    pub(super) request_id: bool,
    excluded: Vec<Pattern>,
    groups: Vec<(Pattern, Cow<'static, str>)>,
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_line: true,
            request_id: true,
            excluded: Vec::new(),
            groups: Vec::new(),
            headers: Vec::new(),
        }
    }
}

impl Settings {
    pub(super) fn exclude(&mut self, path: String) {
        self.excluded.push(Pattern(path));
    }

    pub(super) fn group(&mut self, paths: String, route: Cow<'static, str>) {
        self.groups.push((Pattern(paths), route));
    }

    /// Never a header whose name is secret.
    pub(super) fn request_header(&mut self, name: HeaderName) {
        if !crate::secret::is_secret(name.as_str()) {
            let attribute = format!("http.request.header.{}", name.as_str());
            self.headers.push((name, attribute));
        }
    }

    pub(super) fn excludes(&self, path: &str) -> bool {
        self.excluded.iter().any(|pattern| pattern.matches(path))
    }

    /// The route that a path is grouped under.
    pub(super) fn grouped(&self, path: &str) -> Option<&str> {
        let found = self.groups.iter().find(|(pattern, _)| pattern.matches(path));
        found.map(|(_, route)| &**route)
    }
}

/// A path, or all paths that begin so where it ends with `*`.
struct Pattern(String);

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == self.0,
        }
    }
}

/// The tower layer for HTTP servers; made by [`layer`].
#[derive(Clone)]
pub struct HttpLayer {
    settings: Arc<Tower>,
}

/// Configured before it is cloned or made into a service; later it panics.
impl HttpLayer {
    fn settings(&mut self) -> &mut Tower {
        Arc::get_mut(&mut self.settings).expect("an `HttpLayer` is configured before it is cloned")
    }

    /// No span, no measurement and no line for this path, or for all that begin so: `"/healthz"`, `"/static/*"`.
    #[must_use]
    pub fn exclude(mut self, path: impl Into<String>) -> Self {
        self.settings().common.exclude(path.into());
        self
    }

    /// One route for all paths that begin so, where no router says it: `group("/static/*", "/static/{file}")`.
    #[must_use]
    pub fn group(mut self, paths: impl Into<String>, route: impl Into<Cow<'static, str>>) -> Self {
        self.settings().common.group(paths.into(), route.into());
        self
    }

    /// Names the route of a request where no router does. It must be of low cardinality: beyond 1000 routes the rest share
    /// `other`.
    #[must_use]
    pub fn route_with(mut self, route: impl Fn(&Parts) -> Option<Cow<'static, str>> + Send + Sync + 'static) -> Self {
        self.settings().route = Some(Box::new(route));
        self
    }

    /// Whether each request gets a line at level info (error for 5xx and panics), target `vitalsign::access`. On.
    #[must_use]
    pub fn access_line(mut self, on: bool) -> Self {
        self.settings().common.access_line = on;
        self
    }

    /// Whether `X-Request-ID` is honoured or minted, echoed, and a field of every line. On.
    #[must_use]
    pub fn request_id(mut self, on: bool) -> Self {
        self.settings().common.request_id = on;
        self
    }

    /// Records a request header as `http.request.header.NAME`. None is recorded unasked, and never one whose name is secret.
    #[must_use]
    pub fn request_header(mut self, name: HeaderName) -> Self {
        self.settings().common.request_header(name);
        self
    }
}

impl std::fmt::Debug for HttpLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpLayer").finish_non_exhaustive()
    }
}

impl Tower {
    fn route<'a>(&'a self, parts: &'a Parts) -> Option<Cow<'a, str>> {
        if let Some(route) = self.common.grouped(parts.uri.path()) {
            return Some(route.into());
        }
        #[cfg(feature = "axum")]
        if let Some(matched) = parts.extensions.get::<axum::extract::MatchedPath>() {
            return Some(matched.as_str().into());
        }
        let of = self.route.as_ref()?;
        // A mapping that panics names no route.
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| of(parts)))
            .ok()
            .flatten()
    }
}

impl<S> Layer<S> for HttpLayer {
    type Service = HttpService<S>;

    fn layer(&self, inner: S) -> HttpService<S> {
        HttpService {
            inner,
            settings: self.settings.clone(),
        }
    }
}

/// A service in [`HttpLayer`].
#[derive(Clone)]
pub struct HttpService<S> {
    inner: S,
    settings: Arc<Tower>,
}

impl<S: std::fmt::Debug> std::fmt::Debug for HttpService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for HttpService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body,
{
    type Response = Response<Traced<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !switch::on() || self.settings.common.excludes(request.uri().path()) {
            let through = Through::of(request.headers());
            let inner = {
                let _entered = through.as_ref().map(Through::enter);
                self.inner.call(request)
            };
            return ResponseFuture {
                inner,
                exchange: None,
                through,
            };
        }
        let (mut parts, body) = request.into_parts();
        let exchange = {
            let route = self.settings.route(&parts);
            Exchange::serve(&parts, route.as_deref(), &self.settings.common)
        };
        if let Some(id) = exchange.request_id() {
            parts.headers.insert(request_id::HEADER, id.header());
            parts.extensions.insert(id.clone());
        }
        let request = Request::from_parts(parts, body);
        let inner = {
            let _entered = exchange.enter();
            self.inner.call(request)
        };
        ResponseFuture {
            inner,
            exchange: Some(exchange),
            through: None,
        }
    }
}

pin_project! {
    /// The future of [`HttpService`].
    pub struct ResponseFuture<F> {
        // Dropped before the exchange, so that what it holds ends within the request's span.
        #[pin]
        inner: F,
        exchange: Option<Box<Exchange>>,
        // Where no span is made.
        through: Option<Through>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body,
{
    type Output = Result<Response<Traced<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = {
            let _entered = this.exchange.as_ref().map(|it| it.enter());
            let _through = this.through.as_ref().map(Through::enter);
            this.inner.poll(cx)
        };
        let result = ready!(polled);
        let exchange = this.exchange.take();
        Poll::Ready(match result {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                let exchange = exchange.map(|mut exchange| {
                    exchange.responded(parts.status.as_u16());
                    exchange.look(&parts.headers);
                    if let Some(id) = exchange.request_id() {
                        parts.headers.entry(request_id::HEADER).or_insert_with(|| id.header());
                    }
                    exchange
                });
                Ok(Response::from_parts(parts, Traced::new(body, exchange)))
            }
            Err(error) => {
                if let Some(exchange) = exchange {
                    exchange.failed("_OTHER");
                }
                Err(error)
            }
        })
    }
}
