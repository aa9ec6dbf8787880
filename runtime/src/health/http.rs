//! Probes as HTTP responses: what the admin server and a user's own router send.

use super::answer;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Response, StatusCode};

/// Whether `path` is one of the probes'.
pub fn is_probe(path: &str) -> bool {
    answer::probe_of(path).is_some()
}

/// Answers a probe of the process's [`engine()`](super::engine()). `details` says whether the caller may read reasons: it has the
/// admin token or, where none is configured, comes from loopback.
pub async fn respond(method: &Method, path: &str, query: &str, accept: &str, details: bool) -> Response<Bytes> {
    respond_for(super::engine(), method, path, query, accept, details).await
}

/// Answers a probe of an engine.
pub async fn respond_for(
    engine: &super::Engine,
    method: &Method,
    path: &str,
    query: &str,
    accept: &str,
    details: bool,
) -> Response<Bytes> {
    let allowed = method == Method::GET || method == Method::HEAD;
    let answer = if allowed {
        answer::answer(engine, path, query, accept, details).await
    } else {
        answer::Answer {
            status: 405,
            content_type: "text/plain; charset=utf-8",
            body: "method not allowed\n".to_owned(),
        }
    };
    let length = answer.body.len();
    let body = if method == Method::HEAD {
        Bytes::new()
    } else {
        Bytes::from(answer.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if !allowed {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::super::Engine;
    use super::*;

    #[tokio::test]
    async fn headers_and_methods() {
        let engine = Engine::new();
        let get = respond_for(&engine, &Method::GET, "/livez", "", "", false).await;
        assert_eq!((get.status().as_u16(), &get.body()[..]), (200, &b"ok"[..]));
        assert_eq!(get.headers()["cache-control"], "no-store");
        assert_eq!(get.headers()["x-content-type-options"], "nosniff");
        let head = respond_for(&engine, &Method::HEAD, "/livez", "", "", false).await;
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
        assert_eq!(head.headers()["content-length"], "2");
        let post = respond_for(&engine, &Method::POST, "/livez", "", "", false).await;
        assert_eq!(post.status().as_u16(), 405);
        assert_eq!(post.headers()["allow"], "GET, HEAD");
    }
}
