//! The configuration as the environment gives it: typed, with defaults applied and a warning for each value refused.

mod feature;
mod read;
#[cfg(test)]
mod tests;

use super::parse::Secret;
use super::url::Url;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that variables decide.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `OTEL_SDK_DISABLED`: no telemetry; propagation and health stay.
    pub(crate) disabled: bool,
    pub(crate) service_name: Option<String>,
    pub(crate) resource_attributes: Vec<(String, String)>,
    /// How much is said about ourselves: a level's name, or `off`.
    pub(crate) own_level: &'static str,
    /// The headers by which the trace context travels between processes; none where it does not.
    pub(crate) propagators: Vec<&'static str>,
    /// The keys of baggage that spans and log lines show.
    pub(crate) baggage_keys: String,
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    pub(crate) traces: Traces,
    pub(crate) metrics: Metrics,
    pub(crate) logs: Logs,
    pub(crate) admin: Admin,
    pub(crate) trace_filter: String,
    pub(crate) hash_key: Option<Secret>,
    pub(crate) span_events: bool,
    /// `busy_ns` and `idle_ns`.
    pub(crate) span_timings: bool,
    /// Spans open for longer than this are told of.
    pub(crate) long_spans: Option<Duration>,
    pub(crate) spool: Option<Spool>,
    pub(crate) tail: Option<String>,
    pub(crate) exceptions: Exceptions,
    /// Extra HTTP methods that are no `_OTHER`; `None` for the standard's.
    #[cfg_attr(
        not(any(feature = "tower", test)),
        expect(dead_code, reason = "only the HTTP layers ask")
    )]
    pub(crate) http_methods: Option<Vec<String>>,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// A parent's decision holds; `root` decides for spans without one.
    pub(crate) parent_based: bool,
    pub(crate) root: RootSampler,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RootSampler {
    AlwaysOn,
    AlwaysOff,
    Ratio(f64),
}

/// What a span or log record may hold; beyond it values are cut and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) span_attributes: u64,
    pub(crate) span_value_length: Option<u64>,
    pub(crate) log_attributes: u64,
    pub(crate) log_value_length: Option<u64>,
    pub(crate) events: u64,
    pub(crate) links: u64,
    pub(crate) event_attributes: u64,
    pub(crate) link_attributes: u64,
}

/// How records wait and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) delay: Duration,
    pub(crate) export_timeout: Duration,
    pub(crate) queue: usize,
    pub(crate) size: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Traces {
    pub(crate) otlp: Option<Otlp>,
    pub(crate) console: bool,
    pub(crate) batch: Batch,
}

#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// The page `/metrics`.
    pub(crate) page: bool,
    pub(crate) otlp: Option<Otlp>,
    pub(crate) console: bool,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) temporality: Temporality,
    /// Histograms that declare no buckets are exponential over OTLP.
    pub(crate) exponential: bool,
    pub(crate) exemplars: ExemplarFilter,
    /// All metrics' series together.
    pub(crate) series: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Logs {
    pub(crate) otlp: Option<Otlp>,
    /// Records as OTLP/JSON on standard output.
    pub(crate) stdout: bool,
    /// Lines on standard output, and their form.
    pub(crate) lines: Option<LogFormat>,
    /// `RUST_LOG`.
    pub(crate) filter: String,
    pub(crate) batch: Batch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    Json,
    Pretty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temporality {
    Cumulative,
    Delta,
    LowMemory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExemplarFilter {
    TraceBased,
    AlwaysOff,
}

/// Where exceptions are told: `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceptions {
    /// Unset: as span events.
    Events,
    /// `logs`: as log records only.
    Logs,
    /// `logs/dup`: as both.
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    HttpProtobuf,
    HttpJson,
    Grpc,
}

/// How one signal goes to a collector.
#[derive(Clone, Debug)]
pub(crate) struct Otlp {
    pub(crate) url: Url,
    /// The variable that gave the address; `None` for the default one.
    pub(crate) url_from: Option<&'static str>,
    pub(crate) protocol: Protocol,
    pub(crate) protocol_from: Option<&'static str>,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) certificate: Option<FileFrom>,
    pub(crate) client_key: Option<FileFrom>,
    pub(crate) client_certificate: Option<FileFrom>,
}

/// A file, and the variable that named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileFrom {
    pub(crate) path: PathBuf,
    pub(crate) variable: &'static str,
}

#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "spool"),
    expect(dead_code, reason = "asked for and not built in is an error")
)]
pub(crate) struct Spool {
    pub(crate) dir: PathBuf,
    pub(crate) max_bytes: u64,
    pub(crate) sync: SpoolSync,
}

/// When a batch is on the disk, not only with the system: what a stopped machine may lose. A killed process loses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpoolSync {
    /// Before it counts as spooled.
    Always,
    /// Within about a second.
    Second,
    /// When the system likes.
    Never,
}

/// Where the admin server listens.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// `None` for off.
    pub(crate) address: Option<String>,
    /// The variable that gave it; `None` for the default, which may move when busy.
    pub(crate) from: Option<&'static str>,
    pub(crate) token: Option<Secret>,
    pub(crate) certificate: Option<FileFrom>,
    pub(crate) key: Option<FileFrom>,
}
