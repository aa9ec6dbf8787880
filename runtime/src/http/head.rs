//! What the layers read of a request's head, whichever framework parsed it.

use super::request_id::RequestId;
use super::rpc::Rpc;
use super::words;
use crate::trace::{SpanContext, extract};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri, header};

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
    /// The first value of a header.
    fn header(&self, name: &HeaderName) -> Option<&[u8]>;
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

impl Head for Parts {
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
        server(&self.uri, &self.headers)
    }

    fn version(&self) -> Option<&'static str> {
        words::version(self.version)
    }

    fn header(&self, name: &HeaderName) -> Option<&[u8]> {
        self.headers.get(name).map(http::HeaderValue::as_bytes)
    }

    fn headers(&self, name: &HeaderName) -> Vec<&[u8]> {
        self.headers
            .get_all(name)
            .iter()
            .map(http::HeaderValue::as_bytes)
            .collect()
    }

    fn context(&self) -> Option<SpanContext> {
        extract(&self.headers)
    }

    fn request_id(&self) -> Option<RequestId> {
        RequestId::of(&self.headers)
    }

    fn rpc(&self) -> Option<Box<Rpc>> {
        Rpc::of(&self.headers, self.uri.path())
    }

    fn kept_path(&self) -> KeptPath {
        KeptPath::Uri(self.uri.clone())
    }
}

/// Host and port that the client meant: of the absolute form, else of the `Host` header.
pub(super) fn server<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> (Option<&'a str>, Option<u16>) {
    match uri.authority() {
        Some(authority) => (Some(authority.host()), authority.port_u16()),
        None => words::server(headers.get(header::HOST).map(http::HeaderValue::as_bytes)),
    }
}
