//! What the admin server answers: the metrics page and the probes.

use super::admin::{BoxFuture, Routes};
use crate::config::parse::Secret;
use crate::export::background::as_ours;
use crate::export::page::{self, PageContext};
use crate::export::stats;
use crate::health::http as health;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Scrapes at the same time; one more is answered 503.
const SCRAPES: usize = 4;
/// A scrape that takes longer is answered 503.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets the filter of the logs where it is given one, and says which is in force.
pub(crate) type LogFilter = Box<dyn Fn(Option<&str>) -> Result<String, String> + Send + Sync>;

/// `/metrics`, the probes, and with the token the filter of the logs.
pub(crate) struct AdminRoutes {
    /// `None`: no page, `/metrics` is not found.
    page: Option<Arc<PageContext>>,
    token: Option<Secret>,
    log_filter: Option<LogFilter>,
    scrapes: Arc<Semaphore>,
}

impl AdminRoutes {
    pub(crate) fn new(page: Option<PageContext>, token: Option<Secret>) -> Self {
        Self {
            page: page.map(Arc::new),
            token,
            log_filter: None,
            scrapes: Arc::new(Semaphore::new(SCRAPES)),
        }
    }

    /// Adds `/logs/filter`: GET shows, PUT sets. Answered only where a token is configured, and shown.
    #[cfg(feature = "logs")]
    pub(crate) fn with_log_filter(mut self, log_filter: LogFilter) -> Self {
        self.log_filter = Some(log_filter);
        self
    }

    async fn answer(&self, request: Request<Bytes>, peer: Option<SocketAddr>) -> Response<Bytes> {
        let (method, path) = (request.method(), request.uri().path());
        let authorized = self.authorized(request.headers());
        if health::is_probe(path) {
            // Reasons may tell of the inside: only to who has the token or, where none is configured, to the machine itself, whose
            // proxies and sidecars bring strangers.
            let details = authorized.unwrap_or_else(|| peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()));
            let accept = list(request.headers(), ACCEPT).unwrap_or_default();
            let query = request.uri().query().unwrap_or_default();
            return health::respond(method, path, query, &accept, details).await;
        }
        if authorized == Some(false) {
            stats::ADMIN_UNAUTHORIZED.add(1);
            let mut response = plain(StatusCode::UNAUTHORIZED, "the token is missing or wrong\n");
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
            return response;
        }
        let reads = method == Method::GET || method == Method::HEAD;
        if let ("/logs/filter", Some(filter), Some(true)) = (path, &self.log_filter, authorized) {
            return log_filter(filter, method, request.body());
        }
        match (path, &self.page) {
            ("/metrics" | "/", _) if !reads => not_allowed(),
            ("/metrics", Some(page)) => self.scrape(page.clone(), request.headers()).await,
            ("/", page) => plain(
                StatusCode::OK,
                if page.is_some() {
                    "/metrics\n/livez\n/readyz\n/startupz\n/healthz\n"
                } else {
                    "/livez\n/readyz\n/startupz\n/healthz\n"
                },
            ),
            _ => plain(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// `None` when no token is asked for.
    fn authorized(&self, headers: &HeaderMap) -> Option<bool> {
        let token = self.token.as_ref()?.0.as_bytes();
        let shown = headers
            .get(AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let shown = match shown.split_at_checked(7) {
            Some((scheme, shown)) if scheme.eq_ignore_ascii_case(b"bearer ") => shown,
            _ => b"",
        };
        Some(same(shown, token))
    }

    async fn scrape(&self, page: Arc<PageContext>, headers: &HeaderMap) -> Response<Bytes> {
        let Ok(permit) = self.scrapes.clone().try_acquire_owned() else {
            stats::ADMIN_BUSY.add(1);
            return busy("too many scrapes at the same time\n");
        };
        let (accept, accept_encoding) = (list(headers, ACCEPT), list(headers, ACCEPT_ENCODING));
        // Gathering runs callbacks of the user: not on the thread that exports. The place is kept until it has ended, however
        // long that takes after the time-out.
        let render = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            as_ours(|| page::render(accept.as_deref(), accept_encoding.as_deref(), &page))
        });
        let page = match tokio::time::timeout(SCRAPE_TIMEOUT, render).await {
            Ok(Ok(page)) => page,
            Ok(Err(_panicked)) => {
                return plain(StatusCode::INTERNAL_SERVER_ERROR, "a metric's callback panicked\n");
            }
            Err(_) => {
                stats::ADMIN_BUSY.add(1);
                return busy("gathering the metrics took too long\n");
            }
        };
        let mut response = Response::new(Bytes::from(page.body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(page.content_type));
        if let Some(encoding) = page.content_encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        response
    }
}

impl Routes for AdminRoutes {
    fn handle(self: Arc<Self>, request: Request<Bytes>, peer: Option<SocketAddr>) -> BoxFuture<Response<Bytes>> {
        Box::pin(async move {
            let head = request.method() == Method::HEAD;
            let mut response = self.answer(request, peer).await;
            let length = response.body().len();
            let headers = response.headers_mut();
            headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers
                .entry(CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
            if head {
                *response.body_mut() = Bytes::new();
            }
            response
        })
    }
}

fn log_filter(filter: &LogFilter, method: &Method, body: &[u8]) -> Response<Bytes> {
    let result = match (method, std::str::from_utf8(body)) {
        (&Method::GET | &Method::HEAD, _) => filter(None),
        (&Method::PUT, Ok(new)) => filter(Some(new.trim())),
        (&Method::PUT, Err(_)) => Err("the filter is no UTF-8".to_owned()),
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            let allow = HeaderValue::from_static("GET, HEAD, PUT");
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
    };
    let (status, text) = match result {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::BAD_REQUEST, text),
    };
    let mut response = plain(status, "");
    *response.body_mut() = Bytes::from(format!("{text}\n"));
    response
}

pub(crate) fn plain(status: StatusCode, body: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn busy(body: &'static str) -> Response<Bytes> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, body);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn not_allowed() -> Response<Bytes> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// A header that may come in several lines, as one list; a line that is no text is left out.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// In a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
