//! Requests that go out: a client span for each attempt, the context and the request's id in its headers, and
//! `http.client.request.duration`.
//!
//! [`client_layer`] is for any tower service that takes `http::Request`s; with the feature `reqwest`, [`ReqwestTracing`] is a
//! middleware for `reqwest_middleware`. Put either inside of what retries, so that each attempt is a span.

use super::body::Traced;
use super::exchange::{Exchange, Handling, site};
use super::head;
use super::measure::{ErrorType, Key, SERVERS, Side};
use super::request_id::RequestId;
use super::rpc::{self, Rpc};
use super::words;
use crate::probe::type_path;
use crate::site::{Site, SpanKind};
use crate::trace::passing;
use crate::{switch, trace};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tower_layer::Layer;
use tower_service::Service;

static HTTP: Site = site(
    "HTTP",
    SpanKind::Client,
    &[
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
);

static RPC: Site = site("RPC", SpanKind::Client, rpc::FIELDS);

/// Servers with their ports that have series of their own. Where addresses come from strangers, ports do, too.
struct Known<const N: usize> {
    places: [AtomicU32; N],
    /// How often there was no room.
    overflow: AtomicU64,
}

static KNOWN: Known<256> = Known::new();

/// How many requests share a series because their server and port have none.
pub(super) fn overflow() -> u64 {
    KNOWN.overflow.load(Ordering::Relaxed)
}

impl<const N: usize> Known<N> {
    const fn new() -> Self {
        Self {
            places: [const { AtomicU32::new(0) }; N],
            overflow: AtomicU64::new(0),
        }
    }

    /// The server among [`SERVERS`] and the port, or `other` and 0 where there is no room.
    fn bounded(&self, server: u16, port: u16) -> (u16, u16) {
        // 0 is a free place.
        let pair = u32::from(server) << 16 | u32::from(port) | 1 << 31;
        for place in &self.places {
            let mut there = place.load(Ordering::Relaxed);
            if there == 0 {
                let claimed = place.compare_exchange(0, pair, Ordering::Relaxed, Ordering::Relaxed);
                there = claimed.map_or_else(|other| other, |_| pair);
            }
            if there == pair {
                return (server, port);
            }
        }
        self.overflow.fetch_add(1, Ordering::Relaxed);
        (u16::MAX, 0)
    }
}

/// How often this request was sent before: an extension of the request, set by whoever retries; the span's
/// `http.request.resend_count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResendCount(pub u32);

impl Exchange {
    /// A request goes out: opens the span and writes its context into the headers, and the id of the request on whose behalf
    /// it goes if that is wanted.
    fn send(method: &Method, uri: &Uri, headers: &mut HeaderMap, resends: u32, request_id: bool) -> Box<Self> {
        let content_type = headers.get(header::CONTENT_TYPE);
        let rpc = content_type.and_then(|content_type| Rpc::of(content_type, uri.path()));
        let scheme = words::scheme(uri.scheme_str());
        let (address, port) = head::server(uri, || headers.get(header::HOST));
        let address = address.unwrap_or_default();
        let port = port.unwrap_or_else(|| words::default_port(scheme));
        let (place, measured_port) = KNOWN.bounded(SERVERS.index(address) as u16, port);
        let key = Key {
            method: words::method(method.as_str()),
            scheme,
            place: Some(place),
            port: measured_port,
            status: 0,
            error: ErrorType::None,
            version: None,
        };
        let of = if rpc.is_some() { &RPC } else { &HTTP };
        let mut exchange = Self::begin(Side::Client, of, key, rpc, None);
        if exchange.span.recording() {
            exchange.describe_request(method, uri, (address, port), resends);
        }
        exchange.sized(headers.get(header::CONTENT_LENGTH).map(http::HeaderValue::as_bytes));
        if let Some(context) = exchange.span.context().or_else(trace::current) {
            let baggage = trace::otel::joined(context.baggage.clone());
            trace::inject(&trace::SpanContext { baggage, ..context }, headers);
        }
        if request_id {
            RequestId::pass_on(headers);
        }
        exchange
    }

    fn describe_request(&mut self, method: &Method, uri: &Uri, (address, port): (&str, u16), resends: u32) {
        if let Some(rpc) = &self.rpc {
            self.span.plain_fields(
                &RPC,
                &[
                    Some((&*rpc.method).into()),
                    Some("client".into()),
                    Some(rpc::SYSTEM.into()),
                    Some((&*rpc.method).into()),
                    Some(address.into()),
                    Some(port.into()),
                ],
            );
            return;
        }
        let original = (self.key.method == words::OTHER).then_some(method.as_str());
        self.span.plain_fields(
            &HTTP,
            &[
                Some(words::name_of(self.key.method).into()),
                Some("client".into()),
                Some(self.key.method.into()),
                original.map(Into::into),
                Some(words::full(uri).as_str().into()),
                Some(address.into()),
                Some(port.into()),
                (resends > 0).then(|| resends.into()),
            ],
        );
    }

    /// The head of the response is there, which ends a request of HTTP. The status of a call of gRPC comes last.
    fn answered(mut self: Box<Self>, status: StatusCode, version: Version, headers: &HeaderMap) -> Option<Box<Self>> {
        self.responded(status.as_u16());
        self.key.version = words::version(version);
        self.look(headers);
        if self.rpc.is_some() {
            return Some(self);
        }
        self.completed();
        None
    }
}

/// A layer for tower clients that take `http::Request`s.
///
/// # Examples
///
/// ```
/// use tower::{ServiceBuilder, service_fn};
///
/// # async fn send(asked: http::Request<String>) -> Result<http::Response<String>, std::convert::Infallible> {
/// #     assert_eq!(asked.uri().path(), "/orders");
/// #     Ok(http::Response::new(String::from("none")))
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use tower::ServiceExt;
///
/// let client = ServiceBuilder::new()
///     .layer(vitalsign::http::client_layer())
///     .service(service_fn(send));
/// let answer = client.oneshot(http::Request::get("http://shop/orders").body(String::new()).unwrap()).await?;
/// assert_eq!(answer.status(), 200);
/// # Ok::<_, std::convert::Infallible>(()) }).unwrap();
/// ```
pub fn client_layer() -> ClientLayer {
    ClientLayer { request_id: true }
}

/// The tower layer for HTTP clients; made by [`client_layer`].
#[derive(Clone, Copy, Debug)]
pub struct ClientLayer {
    request_id: bool,
}

impl ClientLayer {
    /// Whether the [id](super::RequestId) of the request that is being handled goes on as `X-Request-ID` where the request that goes
    /// out has none. On. It is known by the scope of log lines, so the feature `logs` is wanted.
    #[must_use]
    pub fn request_id(self, on: bool) -> Self {
        Self { request_id: on }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService {
            inner,
            request_id: self.request_id,
        }
    }
}

/// A client in [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    request_id: bool,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: http_body::Body,
{
    type Response = Response<Traced<R>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let exchange = switch::on().then(|| {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let resends = request.extensions().get::<ResendCount>().map_or(0, |count| count.0);
            Exchange::send(&method, &uri, request.headers_mut(), resends, self.request_id)
        });
        if exchange.is_none() {
            passing::inject(request.headers_mut());
        }
        ClientFuture {
            handling: Handling::call(exchange, || self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The future of [`ClientService`].
    pub struct ClientFuture<F> {
        #[pin]
        handling: Handling<F>,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: http_body::Body,
{
    type Output = Result<Response<Traced<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handled = ready!(self.project().handling.poll(cx));
        let answered = |exchange: Box<Exchange>, response: &mut Response<R>| {
            exchange.answered(response.status(), response.version(), response.headers())
        };
        Poll::Ready(Traced::response(handled, answered, type_path::<E>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_scan_of_ports_has_a_few_series() {
        let known = Known::<8>::new();
        assert_eq!(known.bounded(0, 443), (0, 443));
        let seen: BTreeSet<_> = (0..10)
            .flat_map(|server| (0..=u16::MAX).map(move |port| (server, port)))
            .map(|(server, port)| known.bounded(server, port))
            .collect();
        assert_eq!(seen.len(), 9);
        assert!(seen.contains(&(u16::MAX, 0)));
        assert_eq!(known.bounded(0, 443), (0, 443));
        // All but the eight that there was room for, of which port 443 of server 0 came first.
        let scanned = 10 * (u64::from(u16::MAX) + 1);
        assert_eq!(known.overflow.into_inner(), scanned - 8);
        assert_eq!(SERVERS.value(u16::MAX.into()), None);
    }
}

#[cfg(feature = "reqwest")]
pub use of_reqwest::ReqwestTracing;

#[cfg(feature = "reqwest")]
mod of_reqwest {
    use super::{Exchange, Handling, Traced, passing, switch};
    use http::{Extensions, Uri};
    use reqwest::{Body, Request, Response, ResponseBuilderExt as _, Url};
    use reqwest_middleware::{Error, Middleware, Next, Result};
    use std::borrow::Cow;

    /// Sent so often before, kept by the middleware from attempt to attempt.
    #[derive(Clone, Copy)]
    struct Sent(u32);

    /// A middleware for `reqwest_middleware`: a client span for each attempt, its context and the request's id in the headers.
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
    #[derive(Clone, Copy, Debug)]
    pub struct ReqwestTracing {
        request_id: bool,
    }

    impl Default for ReqwestTracing {
        fn default() -> Self {
            Self { request_id: true }
        }
    }

    impl ReqwestTracing {
        /// The middleware.
        pub fn new() -> Self {
            Self::default()
        }

        /// Whether the [id](crate::http::RequestId) of the request that is being handled goes on as `X-Request-ID` where the request
        /// that goes out has none. On. It is known by the scope of log lines, so the feature `logs` is wanted.
        #[must_use]
        pub fn request_id(self, on: bool) -> Self {
            Self { request_id: on }
        }
    }

    #[async_trait::async_trait]
    impl Middleware for ReqwestTracing {
        async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
            if !switch::on() {
                passing::inject(request.headers_mut());
                return next.run(request, extensions).await;
            }
            let resends = extensions.get::<Sent>().map_or(0, |sent| sent.0);
            extensions.insert(Sent(resends + 1));
            let uri = target(request.url());
            let method = request.method().clone();
            let exchange = Exchange::send(&method, &uri, request.headers_mut(), resends, self.request_id);
            let sent = Handling::call(Some(exchange), || next.run(request, extensions));
            let (result, exchange) = sent.await;
            let Some(exchange) = exchange else { return result };
            match result {
                Ok(response) => {
                    let open = exchange.answered(response.status(), response.version(), response.headers());
                    Ok(match open {
                        Some(exchange) => until_trailers(response, exchange),
                        None => response,
                    })
                }
                Err(error) => {
                    exchange.failed(kind(&error));
                    Err(error)
                }
            }
        }
    }

    /// Where a request goes. Of a URL that is too long to be sent, whose request fails for that, the server is told all the same.
    fn target(url: &Url) -> Uri {
        url.as_str().parse().unwrap_or_else(|_| {
            let authority = match (url.host_str().unwrap_or_default(), url.port()) {
                (host, Some(port)) => format!("{host}:{port}"),
                (host, None) => host.to_owned(),
            };
            let server = Uri::builder().scheme(url.scheme()).authority(authority);
            server.path_and_query("/").build().unwrap_or_default()
        })
    }

    /// The same response, its body watched for the status of gRPC.
    fn until_trailers(response: Response, exchange: Box<Exchange>) -> Response {
        let url = response.url().clone();
        let (mut head, body) = http::Response::from(response).into_parts();
        // On the way there the response loses its URL, which has no other way back in.
        if let Ok(url) = http::Response::builder().url(url).body(()) {
            head.extensions.extend(url.into_parts().0.extensions);
        }
        let body = Body::wrap(Traced::new(body, Some(exchange)));
        http::Response::from_parts(head, body).into()
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

    #[cfg(test)]
    mod tests {
        use super::target;

        #[test]
        fn the_server_is_known_of_any_url() {
            for (url, uri) in [
                ("https://h:1/a?b=c".to_owned(), "https://h:1/a?b=c"),
                (
                    format!("http://u:p@[::1]:8080/{}", "a".repeat(70_000)),
                    "http://[::1]:8080/",
                ),
                (
                    format!("https://shop.example/?{}", "a".repeat(70_000)),
                    "https://shop.example/",
                ),
                (format!("data:{}", "a".repeat(70_000)), "/"),
            ] {
                assert_eq!(target(&url.parse().expect("a URL")).to_string(), uri);
            }
        }
    }
}
