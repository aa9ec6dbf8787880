//! gRPC: what its status says, by the semantic conventions for RPC.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// `rpc.system.name`
pub(super) const SYSTEM: &str = "grpc";

/// Of a call's span on either side, those that are known at its beginning first; the user agent is a server's to see.
pub(super) const FIELDS: &[&str] = &[
    "otel.name",
    "otel.kind",
    "rpc.system.name",
    "rpc.method",
    "server.address",
    "server.port",
    "network.protocol.version",
    "user_agent.original",
    "rpc.status_code",
    "error.type",
];

const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// A call of gRPC inside a request of HTTP.
pub(super) struct Rpc {
    /// `package.Service/Method`
    pub(super) method: Box<str>,
    /// What the trailers, or the headers where there is nothing else, have said.
    code: Option<Code>,
    /// An answer of gRPC has begun, its status to follow.
    begun: bool,
}

impl Rpc {
    /// The call that a request is, as its content type says. gRPC-Web has its trailers in the body and is HTTP to us.
    pub(super) fn of(content_type: &HeaderValue, path: &str) -> Option<Box<Self>> {
        is_grpc(content_type).then(|| {
            Box::new(Self {
                method: path.trim_start_matches('/').into(),
                code: None,
                begun: false,
            })
        })
    }

    /// Reads `grpc-status`, if these have it.
    pub(super) fn look(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(STATUS) {
            self.code = Some(Code::parse(status));
        } else {
            self.begun |= headers.get(CONTENT_TYPE).is_some_and(is_grpc);
        }
    }

    /// The answer is none of gRPC, whatever the request said of itself: it has come, with this status of HTTP.
    pub(super) fn is_answered_plainly(&self, status: u16) -> bool {
        status != 0 && self.code.is_none() && !self.begun
    }

    /// Whether the answer shows that the server has such a method.
    pub(super) fn is_served(&self) -> bool {
        self.begun || self.code == Some(Code::OK)
    }

    /// Whether it looks as if: what stands in front of the methods refuses with the other codes whatever a stranger wrote, and may do
    /// so with any.
    pub(super) fn seems_served(&self) -> bool {
        self.code
            .is_some_and(|code| !matches!(code.0, 1 | 4 | 7 | 8 | 12 | 14 | 16))
    }

    /// The status in the end. One that was never sent follows from HTTP's, as gRPC's mapping has it.
    pub(super) fn code(&self, status: u16) -> Code {
        self.code.unwrap_or(match status {
            400 => Code::INTERNAL,
            401 => Code::UNAUTHENTICATED,
            403 => Code::PERMISSION_DENIED,
            404 => Code::UNIMPLEMENTED,
            429 | 502..=504 => Code::UNAVAILABLE,
            _ => Code::UNKNOWN,
        })
    }
}

fn is_grpc(content_type: &HeaderValue) -> bool {
    let rest = content_type.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// A status code of gRPC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Code(u8);

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Code {
    const OK: Self = Self(0);
    pub(super) const CANCELLED: Self = Self(1);
    const UNKNOWN: Self = Self(2);
    const PERMISSION_DENIED: Self = Self(7);
    pub(super) const UNIMPLEMENTED: Self = Self(12);
    const INTERNAL: Self = Self(13);
    const UNAVAILABLE: Self = Self(14);
    const UNAUTHENTICATED: Self = Self(16);

    /// A code that is none is UNKNOWN, as clients read it.
    fn parse(value: &HeaderValue) -> Self {
        let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        number
            .filter(|number| usize::from(*number) < NAMES.len())
            .map_or(Self::UNKNOWN, Self)
    }

    /// `rpc.status_code`
    pub(super) fn name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }

    /// Whether the server failed; the other codes are its answers.
    pub(super) fn fails_server(self) -> bool {
        matches!(self.0, 2 | 4 | 12..=15)
    }

    /// For who called, all but OK is a failure.
    pub(super) fn fails_client(self) -> bool {
        self.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells() {
        let is = |text: &str| Rpc::of(&text.parse().unwrap(), "/a.B/C").is_some();
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/grpc;x=y"));
        assert!(!is("application/grpc-web") && !is("application/json"));
    }

    #[test]
    fn statuses() {
        let code = |status: Option<&str>, http| {
            let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))]);
            let mut rpc = Rpc::of(&headers[CONTENT_TYPE], "/a.B/C").unwrap();
            if let Some(status) = status {
                headers.insert(STATUS, status.parse().unwrap());
            }
            rpc.look(&headers);
            rpc.code(http).name()
        };
        assert_eq!(code(Some("0"), 200), "OK");
        assert_eq!(code(Some("16"), 200), "UNAUTHENTICATED");
        for bad in ["17", "-1", "", "x", "99999"] {
            assert_eq!(code(Some(bad), 200), "UNKNOWN", "{bad}");
        }
        assert_eq!(code(None, 200), "UNKNOWN");
        assert_eq!(code(None, 404), "UNIMPLEMENTED");
        assert_eq!(code(None, 503), "UNAVAILABLE");
    }
}
