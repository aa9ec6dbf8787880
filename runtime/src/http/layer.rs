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
use super::measure::First;
use super::request_id;
use super::settings::{self, Settings};
use super::words;
use crate::switch;
use crate::trace::passing::Through;
use http::header::CONTENT_LENGTH;
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

/// The tower layer for HTTP servers; made by [`layer`].
#[derive(Clone)]
pub struct HttpLayer {
    settings: Arc<Tower>,
}

impl HttpLayer {
    fn settings(&mut self) -> &mut Tower {
        Arc::get_mut(&mut self.settings).expect("an `HttpLayer` is configured before it is cloned")
    }

    /// Names the route of a request where no router does: a template, not the path. Beyond 1000 routes the rest share `other`, and
    /// are counted in `vitalsign_label_overflow_total`. A mapping that panics names none.
    ///
    /// ```
    /// let layer = vitalsign::http::layer().route_with(|parts| {
    ///     let order = parts.uri.path().strip_prefix("/orders/")?;
    ///     (!order.contains('/')).then(|| "/orders/{id}".into())
    /// });
    /// ```
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
    /// What is known of a request's route without asking the mapping.
    fn known_route<'a, B>(&'a self, request: &'a Request<B>) -> Option<&'a str> {
        #[cfg(feature = "axum")]
        if let Some(matched) = request.extensions().get::<axum::extract::MatchedPath>() {
            return Some(matched.as_str());
        }
        self.common.grouped(request.uri().path())
    }

    /// What the mapping says.
    fn mapped_route<B>(&self, of: &RouteOf, request: Request<B>) -> (Request<B>, Option<Cow<'static, str>>) {
        if self.known_route(&request).is_some() {
            return (request, None);
        }
        let (parts, body) = request.into_parts();
        // A mapping that panics names no route.
        let route = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| of(&parts)));
        (Request::from_parts(parts, body), route.ok().flatten())
    }
}

impl<S> Layer<S> for HttpLayer {
    type Service = HttpService<S>;

    fn layer(&self, inner: S) -> HttpService<S> {
        let of = Arc::new(Layered {
            settings: self.settings.clone(),
            first: First::default(),
        });
        HttpService { inner, of }
    }
}

/// A service in [`HttpLayer`].
#[derive(Clone)]
pub struct HttpService<S> {
    inner: S,
    of: Arc<Layered>,
}

/// What its clones share.
struct Layered {
    settings: Arc<Tower>,
    first: First,
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Layered { settings, first } = &*self.of;
        if !switch::on() || settings.common.excludes(request.uri().path()) {
            let through = Through::of(request.headers());
            return ResponseFuture {
                handling: Handling::past(through, || self.inner.call(request)),
            };
        }
        let mut mapped = None;
        // Where it is not needed the request stays where it is: it is large.
        if let Some(of) = &settings.route {
            (request, mapped) = settings.mapped_route(of, request);
        }
        let exchange = {
            let route = settings.known_route(&request).or(mapped.as_deref());
            Exchange::serve(&Seen::of(&request), route, &settings.common, first)
        };
        if let Some(id) = exchange.request_id() {
            request.headers_mut().insert(request_id::HEADER, id.header());
        }
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
        let answered = |mut exchange: Box<Exchange>, response: &mut Response<R>| {
            exchange.responded(response.status().as_u16());
            exchange.look(response.headers());
            // A body that knows its size says itself where it ends; the status of gRPC comes behind it.
            if exchange.rpc.is_none() && response.body().size_hint().exact().is_none() {
                let length = response.headers().get(CONTENT_LENGTH);
                exchange.announced = length.and_then(|length| words::length(length.as_bytes()));
            }
            if let Some(id) = exchange.take_request_id() {
                let headers = response.headers_mut();
                headers.entry(request_id::HEADER).or_insert_with(|| id.into_header());
            }
            Some(exchange)
        };
        Poll::Ready(Traced::response(handled, answered, || "_OTHER".into()))
    }
}
