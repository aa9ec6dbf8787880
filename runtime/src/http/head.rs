//! What the layers read of a request's head, whichever framework parsed it.

use super::request_id::{self, RequestId};
use super::rpc::Rpc;
use super::words;
use crate::trace::SpanContext;
use crate::trace::propagate::Extract;
use crate::trace::propagate::extract_seen;
use crate::trace::propagate::of_http::text;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// The head of a request.
pub(super) trait Head {
    /// The method as it was sent.
    fn method(&self) -> &str;
    /// The path as it was sent, still encoded.
    fn path(&self) -> &str;
    /// The query without its `?`.
    fn query(&self) -> Option<&str>;
    /// `http` or `https`.
    fn scheme(&self) -> &'static str;
    /// Host and port that the client meant.
    fn server(&self) -> (Option<&str>, Option<u16>);
    /// `network.protocol.version`
    fn version(&self) -> Option<&'static str>;
    /// The first `Content-Length`.
    fn content_length(&self) -> Option<&[u8]>;
    /// The first `User-Agent`.
    fn user_agent(&self) -> Option<&[u8]>;
    /// All values of a header.
    fn headers(&self, name: &HeaderName) -> Vec<&[u8]>;
    /// The caller's context.
    fn context(&self) -> Option<SpanContext>;
    /// The caller's request id, if it is sane.
    fn request_id(&self) -> Option<RequestId>;
    /// The call of gRPC that it is.
    fn rpc(&self) -> Option<Box<Rpc>>;
    /// The path, to be kept beyond the request.
    fn kept_path(&self) -> KeptPath;
}

/// A path that outlives its request.
pub(super) enum KeptPath {
    /// Shares the request's memory.
    Uri(Uri),
    #[cfg(feature = "actix-web")]
    Text(Box<str>),
}

impl KeptPath {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Uri(uri) => uri.path(),
            #[cfg(feature = "actix-web")]
            Self::Text(text) => text,
        }
    }
}

/// The head of a request of `http`, its headers looked through once: looked up by name, each name is hashed.
pub(super) struct Seen<'a> {
    method: &'a Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
    trace_parent: Values<'a>,
    trace_state: Values<'a>,
    baggage: Values<'a>,
    request_id: Values<'a>,
    content_length: Values<'a>,
    content_type: Values<'a>,
    host: Values<'a>,
    user_agent: Values<'a>,
}

/// What there is of a header.
#[derive(Clone, Copy, Default)]
enum Values<'a> {
    #[default]
    None,
    One(&'a HeaderValue),
    /// The first of several.
    More(&'a HeaderValue),
}

impl<'a> Values<'a> {
    fn first(self) -> Option<&'a HeaderValue> {
        match self {
            Self::None => None,
            Self::One(value) | Self::More(value) => Some(value),
        }
    }

    fn only(self) -> Option<&'a HeaderValue> {
        match self {
            Self::One(value) => Some(value),
            Self::None | Self::More(_) => None,
        }
    }

    fn add(&mut self, value: &'a HeaderValue) {
        *self = self.first().map_or(Self::One(value), Self::More);
    }
}

impl<'a> Seen<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        let none = Values::None;
        let mut seen = Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            trace_parent: none,
            trace_state: none,
            baggage: none,
            request_id: none,
            content_length: none,
            content_type: none,
            host: none,
            user_agent: none,
        };
        for (name, value) in seen.headers {
            match name.as_str() {
                "traceparent" => seen.trace_parent.add(value),
                "tracestate" => seen.trace_state.add(value),
                "baggage" => seen.baggage.add(value),
                request_id::NAME => seen.request_id.add(value),
                "content-length" => seen.content_length.add(value),
                "content-type" => seen.content_type.add(value),
                "host" => seen.host.add(value),
                "user-agent" => seen.user_agent.add(value),
                _ => {}
            }
        }
        seen
    }

    fn of_context(&self, name: &str) -> Option<Values<'a>> {
        match name {
            "traceparent" => Some(self.trace_parent),
            "tracestate" => Some(self.trace_state),
            "baggage" => Some(self.baggage),
            _ => None,
        }
    }
}

/// The headers of contexts.
impl Extract for Seen<'_> {
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
        match self.of_context(name) {
            Some(Values::None) => Vec::new(),
            Some(Values::One(value)) => vec![text(value)],
            Some(Values::More(_)) | None => Extract::values(self.headers, name),
        }
    }

    fn only<'a>(&'a self, name: &str) -> Option<&'a str> {
        match self.of_context(name) {
            Some(values) => values.only().map(text),
            None => self.headers.only(name),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.headers.names()
    }
}

impl Head for Seen<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn scheme(&self) -> &'static str {
        words::scheme(self.uri.scheme_str())
    }

    fn server(&self) -> (Option<&str>, Option<u16>) {
        server(self.uri, || self.host.first())
    }

    fn version(&self) -> Option<&'static str> {
        words::version(self.version)
    }

    fn content_length(&self) -> Option<&[u8]> {
        self.content_length.first().map(HeaderValue::as_bytes)
    }

    fn user_agent(&self) -> Option<&[u8]> {
        self.user_agent.first().map(HeaderValue::as_bytes)
    }

    fn headers(&self, name: &HeaderName) -> Vec<&[u8]> {
        let values = self.headers.get_all(name).iter();
        values.map(HeaderValue::as_bytes).collect()
    }

    fn context(&self) -> Option<SpanContext> {
        extract_seen(self, self.trace_parent.only().map(HeaderValue::as_bytes))
    }

    fn request_id(&self) -> Option<RequestId> {
        RequestId::of(self.request_id.only()?)
    }

    fn rpc(&self) -> Option<Box<Rpc>> {
        Rpc::of(self.content_type.first()?, self.uri.path())
    }

    fn kept_path(&self) -> KeptPath {
        KeptPath::Uri(self.uri.clone())
    }
}

/// Host and port that the client meant: of the absolute form, else of the `Host` header.
pub(super) fn server<'a>(
    uri: &'a Uri,
    host: impl FnOnce() -> Option<&'a HeaderValue>,
) -> (Option<&'a str>, Option<u16>) {
    match uri.authority() {
        Some(authority) => (Some(authority.host()), authority.port_u16()),
        None => words::server(host().map(HeaderValue::as_bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &'static str)]) -> Request<()> {
        let mut request = http::Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn what_stands_once_is_read_once() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = request(&[
            ("Host", "shop.example:8080"),
            ("TraceParent", PARENT),
            ("tracestate", "a=1"),
            ("X-Request-ID", "seven"),
            ("tracestate", "b=2"),
            ("content-type", "application/grpc"),
            ("Content-Length", "12"),
            ("user-agent", "curl"),
            ("user-agent", "wget"),
        ]);
        let seen = Seen::of(&request);
        let context = seen.context().unwrap();
        assert_eq!(crate::trace::propagate::traceparent(&context), PARENT);
        assert_eq!(context.trace_state.as_deref(), Some("a=1,b=2"));
        assert_eq!(seen.request_id().unwrap().as_str(), "seven");
        assert_eq!(seen.server(), (Some("shop.example"), Some(8080)));
        assert_eq!(
            (seen.content_length(), seen.user_agent()),
            (Some(&b"12"[..]), Some(&b"curl"[..]))
        );
        assert!(seen.rpc().is_some());
        assert_eq!(seen.values("user-agent"), ["curl", "wget"], "one that no context is in");
        assert_eq!(
            (seen.only("host"), seen.only("user-agent")),
            (Some("shop.example:8080"), None)
        );
    }

    #[test]
    fn what_there_may_be_one_of_is_none_twice() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = request(&[
            ("traceparent", PARENT),
            ("x-request-id", "a"),
            ("traceparent", PARENT),
            ("x-request-id", "b"),
        ]);
        let seen = Seen::of(&request);
        assert_eq!((seen.context(), seen.request_id()), (None, None));
        let none = Seen::of(&self::request(&[])).context();
        assert_eq!(none, None);
    }
}
