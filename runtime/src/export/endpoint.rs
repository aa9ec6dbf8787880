//! One collector as one signal sees it: the transport, and whether anybody is at its other end.

use super::diag::{Level, say, say_once};
use super::otlp::{self, greeting::is_http2};
use super::stats;
use super::transport::{Accepted, Kind, Retry, SendError, Signal, Transport};
use crate::config::env::{Otlp, Protocol};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A transport and what is known of its other end.
pub(super) struct Endpoint {
    transport: Arc<dyn Transport>,
    signal: Signal,
    /// The variable that gave the address; `None` for the default one.
    from: Option<&'static str>,
    /// `host:port`
    authority: String,
    otlp: Otlp,
    /// The other end is away, and it was said.
    away: AtomicBool,
    was_away: AtomicBool,
    /// Somebody was there once.
    heard: AtomicBool,
}

impl Endpoint {
    pub(super) fn new(signal: Signal, otlp: &Otlp) -> Result<Self, String> {
        let component = component(otlp.protocol, signal);
        stats::of(signal).target.set(component, &otlp.url.host, otlp.url.port);
        Ok(Self {
            transport: otlp::transport(otlp)?,
            signal,
            from: otlp.url_from,
            authority: otlp.url.authority(),
            otlp: otlp.clone(),
            away: AtomicBool::new(false),
            was_away: AtomicBool::new(false),
            heard: AtomicBool::new(false),
        })
    }

    /// Where it is, for messages.
    pub(super) fn target(&self) -> String {
        self.transport.target()
    }

    /// Nobody named it, and nobody was ever there.
    pub(super) fn is_unheard(&self) -> bool {
        self.from.is_none() && self.away.load(Relaxed) && !self.heard.load(Relaxed)
    }

    /// Whether somebody listens, and to what; says so if not, or to something else.
    pub(super) async fn look(&self) {
        const MOST: Duration = Duration::from_secs(2);
        let message = match timeout(MOST, TcpStream::connect(&self.authority)).await {
            Ok(Ok(stream)) => {
                if is_http2(stream, &self.otlp).await {
                    let (signal, target) = (self.signal.as_str(), self.named());
                    say_once(
                        Level::Warn,
                        ("grpc", signal),
                        format_args!(
                            "{signal} go to {target} by HTTP/1.1, and what listens there speaks HTTP/2, as gRPC does; \
                             OTEL_EXPORTER_OTLP_PROTOCOL=grpc speaks it, or name the port for HTTP, mostly 4318"
                        ),
                    );
                }
                return;
            }
            Ok(Err(error)) => format!("{} can not be reached: {error}", self.target()),
            Err(_) => format!("{} can not be reached within {MOST:?}", self.target()),
        };
        self.is_away(&SendError {
            retry: Retry::Backoff,
            kind: Kind::Unreachable,
            message,
        });
    }

    /// The target, and the variable that gave it.
    fn named(&self) -> String {
        match self.from {
            Some(variable) => format!("{} (set by {variable})", self.target()),
            None => self.target(),
        }
    }

    pub(super) async fn send(&self, body: Bytes, count: u64, most: Duration) -> Result<Accepted, SendError> {
        let stats = stats::of(self.signal);
        stats.requests.add(1);
        let sent = {
            let _in_flight = InFlight::new(&stats.in_flight, count);
            timeout(most, self.transport.send(self.signal, body, count)).await
        };
        let sent = sent.unwrap_or_else(|_| Err(SendError::late(&self.target(), most)));
        if !matches!(&sent, Err(error) if error.kind == Kind::Unreachable) {
            self.heard.store(true, Relaxed);
        }
        match &sent {
            Ok(_) => self.is_back(),
            Err(error) => {
                stats.failed_requests.add(1);
                if error.retry != Retry::Never {
                    self.is_away(error);
                }
            }
        }
        sent
    }

    fn is_back(&self) {
        if self.away.swap(false, Relaxed) && self.from.is_some() {
            say_once(
                Level::Info,
                ("back", self.signal.as_str()),
                format_args!("{} takes {} again", self.target(), self.signal.as_str()),
            );
        }
    }

    fn is_away(&self, error: &SendError) {
        if self.away.swap(true, Relaxed) {
            return;
        }
        let (signal, target) = (self.signal.as_str(), self.target());
        // Nobody asked for a collector, and there is none: that is no fault.
        if self.from.is_none() && error.kind == Kind::Unreachable {
            if !self.was_away.swap(true, Relaxed) {
                say(
                    Level::Info,
                    format_args!(
                        "no collector at {target}, the default for {signal}; they wait in a bounded queue. \
                         OTEL_EXPORTER_OTLP_ENDPOINT names another, OTEL_{}_EXPORTER=none stops it",
                        signal.to_uppercase()
                    ),
                );
            }
            return;
        }
        let level = if error.kind == Kind::Tls {
            Level::Error
        } else {
            Level::Warn
        };
        let by = self
            .from
            .map(|variable| format!(" (set by {variable})"))
            .unwrap_or_default();
        say_once(level, ("away", signal), format_args!("{signal} wait: {error}{by}"));
    }
}

/// `otel.component.type` by the conventions. Each signal has its own, so that no two series are one.
const fn component(protocol: Protocol, signal: Signal) -> &'static str {
    match (protocol, signal) {
        (Protocol::HttpProtobuf, Signal::Traces) => "otlp_http_span_exporter",
        (Protocol::HttpProtobuf, Signal::Logs) => "otlp_http_log_exporter",
        (Protocol::HttpProtobuf, Signal::Metrics) => "otlp_http_metric_exporter",
        (Protocol::HttpJson, Signal::Traces) => "otlp_http_json_span_exporter",
        (Protocol::HttpJson, Signal::Logs) => "otlp_http_json_log_exporter",
        (Protocol::HttpJson, Signal::Metrics) => "otlp_http_json_metric_exporter",
        (Protocol::Grpc, Signal::Traces) => "otlp_grpc_span_exporter",
        (Protocol::Grpc, Signal::Logs) => "otlp_grpc_log_exporter",
        (Protocol::Grpc, Signal::Metrics) => "otlp_grpc_metric_exporter",
    }
}

/// Counts items down again even if the request is dropped half way.
struct InFlight(&'static stats::Stat, u64);

impl InFlight {
    pub(super) fn new(stat: &'static stats::Stat, count: u64) -> Self {
        stat.add(count);
        Self(stat, count)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.sub(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exporters_have_names_of_their_own() {
        let mut names = Vec::new();
        for protocol in [Protocol::HttpProtobuf, Protocol::HttpJson, Protocol::Grpc] {
            names.extend([Signal::Traces, Signal::Logs, Signal::Metrics].map(|signal| component(protocol, signal)));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 9);
    }

    #[tokio::test]
    async fn who_answered_once_is_there() {
        use crate::config::env::Config;
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (config, _) = Config::from(|name| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| url.clone()));
        let mut otlp = config.traces.otlp.unwrap();
        // As for the address that nobody names.
        otlp.url_from = None;
        let endpoint = Endpoint::new(Signal::Traces, &otlp).unwrap();
        let send = || endpoint.send(Bytes::from_static(b""), 1, Duration::from_secs(20));
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            let busy = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(busy).await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        };
        let (sent, _stream) = tokio::join!(send(), answer);
        assert_eq!(sent.unwrap_err().kind, Kind::Http(503));
        assert!(!endpoint.is_unheard());
        drop(listener);
        assert_eq!(send().await.unwrap_err().kind, Kind::Unreachable);
        assert!(!endpoint.is_unheard(), "it is away, and was there");
        let other = Endpoint::new(Signal::Traces, &otlp).unwrap();
        let sent = other.send(Bytes::from_static(b""), 1, Duration::from_secs(20)).await;
        assert_eq!((sent.unwrap_err().kind, other.is_unheard()), (Kind::Unreachable, true));
    }
}
