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
use super::exchange::{Exchange, Handling};
use super::head::Seen;
use super::request_id;
use super::settings::{self, Settings};
use crate::switch;
use crate::trace::passing::Through;
use http::request::Parts;
use http::{HeaderName, Request, Response, response};
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

/// The tower layer for HTTP servers; made by [`layer`].
#[derive(Clone)]
pub struct HttpLayer {
    settings: Arc<Tower>,
}

impl HttpLayer {
    fn settings(&mut self) -> &mut Tower {
        Arc::get_mut(&mut self.settings).expect("an `HttpLayer` is configured before it is cloned")
    }

    /// Names the route of a request where no router does. It must be of low cardinality: beyond 1000 routes the rest share
    /// `other`.
    #[must_use]
    pub fn route_with(mut self, route: impl Fn(&Parts) -> Option<Cow<'static, str>> + Send + Sync + 'static) -> Self {
        self.settings().route = Some(Box::new(route));
        self
    }
}

settings::words!(HttpLayer, HeaderName, |layer| &mut layer.settings().common);

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
            return ResponseFuture {
                handling: Handling::past(through, || self.inner.call(request)),
            };
        }
        let (mut parts, body) = request.into_parts();
        let exchange = {
            let route = self.settings.route(&parts);
            Exchange::serve(&Seen::of(&parts), route.as_deref(), &self.settings.common)
        };
        if let Some(id) = exchange.request_id() {
            parts.headers.insert(request_id::HEADER, id.header());
            parts.extensions.insert(id.clone());
        }
        let request = Request::from_parts(parts, body);
        ResponseFuture {
            handling: Handling::call(Some(exchange), || self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The future of [`HttpService`].
    pub struct ResponseFuture<F> {
        #[pin]
        handling: Handling<F>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body,
{
    type Output = Result<Response<Traced<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handled = ready!(self.project().handling.poll(cx));
        let answered = |mut exchange: Box<Exchange>, parts: &mut response::Parts| {
            exchange.responded(parts.status.as_u16());
            exchange.look(&parts.headers);
            if let Some(id) = exchange.request_id() {
                parts.headers.entry(request_id::HEADER).or_insert_with(|| id.header());
            }
            Some(exchange)
        };
        Poll::Ready(Traced::response(handled, answered, || "_OTHER".into()))
    }
}
