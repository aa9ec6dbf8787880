//! The one way out: a batch of one signal, already encoded, and what became of it.

use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    #[cfg(feature = "spool")]
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// As in paths and messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// What the items of a batch are called.
    pub(crate) const fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Metrics => "data points",
            Self::Logs => "log records",
        }
    }
}

/// Sends encoded requests. Implementations neither queue nor retry: they say whether a retry may help.
pub(crate) trait Transport: Send + Sync {
    /// Sends one request: the protobuf bytes of an `Export…ServiceRequest` with this many items.
    fn send(&self, signal: Signal, body: Bytes, items: u64) -> BoxFuture<'_, Result<Accepted, SendError>>;

    /// Where it sends, for messages.
    fn target(&self) -> String;
}

/// The request arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Items that the receiver refused; they are lost, by the specification never sent again.
    pub(crate) rejected: u64,
    /// What the receiver said to that; may stand without a rejection.
    pub(crate) message: String,
}

impl Accepted {
    /// By the conventions an export of which anything was refused is no success.
    pub(crate) fn outcome(&self) -> Option<Failure> {
        (self.rejected > 0).then_some(Failure::Rejected)
    }
}

/// Why an export is no full success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    Rejected,
    Of(Kind),
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Self::Of(kind)
    }
}

/// The request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendError {
    pub(crate) retry: Retry,
    /// Low cardinality: the `error.type` of our own metrics.
    pub(crate) kind: Kind,
    /// For a person; names the variable where one is to blame.
    pub(crate) message: String,
}

impl SendError {
    pub(crate) fn late(target: &str, within: Duration) -> Self {
        Self {
            retry: Retry::Backoff,
            kind: Kind::Timeout,
            message: format!("{target} did not answer within {within:?}"),
        }
    }

    /// The request is, or the answer.
    pub(crate) fn too_large(message: String) -> Self {
        Self {
            retry: Retry::Never,
            kind: Kind::TooLarge,
            message,
        }
    }

    /// Sending the same again would bring the same.
    pub(crate) fn no_answer(message: String) -> Self {
        Self {
            retry: Retry::Never,
            kind: Kind::Connection,
            message,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// When the back-off says.
    Backoff,
    /// When the receiver says.
    After(Duration),
}

/// The coarse cause of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Nobody listens, or the name does not resolve.
    Unreachable,
    /// The connection broke or brought something that is no answer.
    Connection,
    Timeout,
    /// Certificates.
    Tls,
    /// The receiver answered with an error: an HTTP status.
    Http(u16),
    /// The same as a code of gRPC.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only gRPC has them"))]
    Grpc(i32),
    TooLarge,
}

impl Kind {
    /// Low cardinality.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Http(_) | Self::Grpc(_) => "status",
            Self::TooLarge => "too_large",
        }
    }
}
