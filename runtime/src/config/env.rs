//! The configuration as the environment gives it: typed, with defaults applied and a warning for each value refused.

use super::parse::{Reader, Secret, Warning, pairs};
use super::table::{self, OtlpOption};
use super::url::Url;
use std::fmt;
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
    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "only the HTTP layers ask"))]
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
    AlwaysOn,
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

/// A variable asks for something that this build does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotCompiledIn {
    pub(crate) variable: &'static str,
    pub(crate) wants: &'static str,
    pub(crate) feature: &'static str,
}

impl fmt::Display for NotCompiledIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asks for {}, which is not compiled in; in Cargo.toml: vitalsign = {{ version = \"{}\", features = [\"{}\"] }}",
            self.variable,
            self.wants,
            env!("CARGO_PKG_VERSION"),
            self.feature,
        )
    }
}

impl std::error::Error for NotCompiledIn {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces = 1,
    Metrics = 2,
    Logs = 3,
}

impl Signal {
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
            Self::Logs => "v1/logs",
        }
    }
}

impl Config {
    /// From any source of variables.
    pub(crate) fn from(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<Warning>) {
        let reader = Reader::new(&lookup);
        let config = Self::read(&reader);
        (config, reader.into_warnings())
    }

    fn read(r: &Reader<'_>) -> Self {
        for name in [
            "OTEL_CONFIG_FILE",
            "OTEL_ENTITIES",
            "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
            "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
        ] {
            r.not_supported(name);
        }
        Self {
            disabled: r.bool("OTEL_SDK_DISABLED").unwrap_or(false),
            service_name: r.text("OTEL_SERVICE_NAME"),
            resource_attributes: resource_attributes(r),
            own_level: r.one_of("OTEL_LOG_LEVEL").unwrap_or("info"),
            propagators: r
                .any_of("OTEL_PROPAGATORS")
                .unwrap_or_else(|| vec!["tracecontext", "baggage"]),
            baggage_keys: r.text("VITALSIGN_BAGGAGE_KEYS").unwrap_or_default(),
            sampler: sampler(r),
            limits: limits(r),
            traces: traces(r),
            metrics: metrics(r),
            logs: logs(r),
            admin: admin(r),
            trace_filter: r.text("VITALSIGN_TRACE_FILTER").unwrap_or_else(|| "info".into()),
            hash_key: r.text("VITALSIGN_HASH_KEY").map(Secret),
            span_events: r.one_of("VITALSIGN_SPAN_EVENTS") == Some("on"),
            span_timings: r.one_of("VITALSIGN_SPAN_TIMINGS") == Some("on"),
            long_spans: r
                .optional_count("VITALSIGN_LONG_SPANS", 0)
                .filter(|millis| *millis > 0)
                .map(Duration::from_millis),
            spool: spool(r),
            tail: r.text("VITALSIGN_TAIL"),
            exceptions: match r.one_of("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN") {
                Some("logs") => Exceptions::Logs,
                Some(_) => Exceptions::Both,
                None => Exceptions::Events,
            },
            http_methods: r.text("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS").map(|list| {
                let methods = list.split(',').map(str::trim).filter(|m| !m.is_empty());
                methods.map(str::to_owned).collect()
            }),
        }
    }

    /// What was asked for by variable and is not in this build.
    pub(crate) fn not_compiled_in(&self) -> Vec<NotCompiledIn> {
        let mut missing = Vec::new();
        let mut need = |here: bool, variable: Option<&'static str>, wants: &'static str, feature: &'static str| {
            if let (false, Some(variable)) = (here, variable) {
                let wanted = NotCompiledIn {
                    variable,
                    wants,
                    feature,
                };
                if !missing.contains(&wanted) {
                    missing.push(wanted);
                }
            }
        };
        for otlp in self.otlp() {
            let here = match otlp.protocol {
                Protocol::Grpc => cfg!(feature = "grpc"),
                Protocol::HttpProtobuf | Protocol::HttpJson => cfg!(feature = "otlp"),
            };
            let (wants, feature) = match otlp.protocol {
                Protocol::Grpc => ("OTLP over gRPC", "grpc"),
                Protocol::HttpProtobuf | Protocol::HttpJson => ("OTLP over HTTP", "otlp"),
            };
            need(here, otlp.protocol_from.or(otlp.url_from), wants, feature);
            let files = [&otlp.certificate, &otlp.client_key, &otlp.client_certificate];
            let tls = otlp.url_from.filter(|_| otlp.url.tls);
            let tls = tls.or_else(|| files.into_iter().flatten().next().map(|file| file.variable));
            need(cfg!(feature = "tls"), tls, "TLS", "tls");
        }
        need(
            cfg!(feature = "admin"),
            self.admin.from.filter(|_| self.admin.address.is_some()),
            "the admin server",
            "admin",
        );
        let files = [&self.admin.certificate, &self.admin.key];
        let tls = files.into_iter().flatten().next().map(|file| file.variable);
        need(cfg!(feature = "tls"), tls, "TLS", "tls");
        need(
            cfg!(feature = "spool"),
            self.spool.as_ref().map(|_| "VITALSIGN_SPOOL_DIR"),
            "the spool",
            "spool",
        );
        missing
    }

    fn otlp(&self) -> impl Iterator<Item = &Otlp> {
        [&self.traces.otlp, &self.metrics.otlp, &self.logs.otlp]
            .into_iter()
            .flatten()
    }
}

fn resource_attributes(r: &Reader<'_>) -> Vec<(String, String)> {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let Some(text) = r.text(name) else { return Vec::new() };
    pairs(&text).unwrap_or_else(|problem| {
        r.warn(name, &text, &problem, "ignoring all of it");
        Vec::new()
    })
}

fn sampler(r: &Reader<'_>) -> Sampler {
    let name = r.one_of("OTEL_TRACES_SAMPLER").unwrap_or("parentbased_always_on");
    let ratio = r.ratio("OTEL_TRACES_SAMPLER_ARG").unwrap_or(1.0);
    let (parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name),
    };
    let root = match root {
        "always_off" => RootSampler::AlwaysOff,
        "traceidratio" => RootSampler::Ratio(ratio),
        _ => RootSampler::AlwaysOn,
    };
    Sampler { parent_based, root }
}

fn limits(r: &Reader<'_>) -> Limits {
    let length = r.optional_count("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0);
    let count = r.optional_count("OTEL_ATTRIBUTE_COUNT_LIMIT", 0).unwrap_or(128);
    Limits {
        span_attributes: r.optional_count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 0).unwrap_or(count),
        span_value_length: r.optional_count("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0).or(length),
        log_attributes: r
            .optional_count("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", 0)
            .unwrap_or(count),
        log_value_length: r
            .optional_count("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0)
            .or(length),
        events: r.count("OTEL_SPAN_EVENT_COUNT_LIMIT", 0),
        links: r.count("OTEL_SPAN_LINK_COUNT_LIMIT", 0),
        event_attributes: r.count("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", 0),
        link_attributes: r.count("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", 0),
    }
}

/// The names of the four variables of a batch processor.
type BatchNames = [&'static str; 4];

const SPANS: BatchNames = [
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
];
const LOG_RECORDS: BatchNames = [
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
];

fn batch(r: &Reader<'_>, [delay, export_timeout, queue, size]: BatchNames) -> Batch {
    let queue = r.count(queue, 1);
    let mut batch = r.count(size, 1);
    if batch > queue {
        if let Some(value) = r.text(size) {
            r.warn(size, &value, "is more than the queue holds", &format!("using {queue}"));
        }
        batch = queue;
    }
    Batch {
        delay: r.interval(delay),
        export_timeout: r.limit_or_default(export_timeout),
        queue: queue as usize,
        size: batch as usize,
    }
}

fn traces(r: &Reader<'_>) -> Traces {
    let to = r.any_of("OTEL_TRACES_EXPORTER").unwrap_or_else(|| vec!["otlp"]);
    Traces {
        otlp: otlp(r, Signal::Traces).filter(|_| to.contains(&"otlp")),
        console: to.contains(&"console"),
        batch: batch(r, SPANS),
    }
}

fn metrics(r: &Reader<'_>) -> Metrics {
    let otlp = otlp(r, Signal::Metrics);
    // Unset: the page; and OTLP only where someone named a collector, so that nobody pays twice unasked.
    let named = otlp.as_ref().is_some_and(|otlp| otlp.url_from.is_some());
    let unset = if named {
        vec!["prometheus", "otlp"]
    } else {
        vec!["prometheus"]
    };
    let to = r.any_of("OTEL_METRICS_EXPORTER").unwrap_or(unset);
    Metrics {
        page: to.contains(&"prometheus"),
        otlp: otlp.filter(|_| to.contains(&"otlp")),
        console: to.contains(&"console"),
        interval: r.interval("OTEL_METRIC_EXPORT_INTERVAL"),
        timeout: r.limit_or_default("OTEL_METRIC_EXPORT_TIMEOUT"),
        temporality: match r.one_of("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE") {
            Some("delta") => Temporality::Delta,
            Some("lowmemory") => Temporality::LowMemory,
            _ => Temporality::Cumulative,
        },
        exponential: r.one_of("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION")
            == Some("base2_exponential_bucket_histogram"),
        series: r.count("VITALSIGN_METRIC_SERIES", 1),
        exemplars: match r.one_of("OTEL_METRICS_EXEMPLAR_FILTER") {
            Some("always_on") => ExemplarFilter::AlwaysOn,
            Some("always_off") => ExemplarFilter::AlwaysOff,
            _ => ExemplarFilter::TraceBased,
        },
    }
}

fn logs(r: &Reader<'_>) -> Logs {
    let to = r.any_of("OTEL_LOGS_EXPORTER").unwrap_or_else(|| vec!["console"]);
    let lines = match r.one_of("VITALSIGN_LOG_FORMAT") {
        Some("off") => None,
        // Naming a form asks for lines, whatever else the records go to.
        Some("json") => Some(LogFormat::Json),
        Some("pretty") => Some(LogFormat::Pretty),
        _ => to.contains(&"console").then_some(LogFormat::Auto),
    };
    Logs {
        otlp: otlp(r, Signal::Logs).filter(|_| to.contains(&"otlp")),
        lines,
        filter: r.text("RUST_LOG").unwrap_or_else(|| "info".into()),
        batch: batch(r, LOG_RECORDS),
    }
}

/// The variable of this signal if it is set, else the one for all.
fn otlp_text(r: &Reader<'_>, option: &OtlpOption, signal: Signal) -> Option<(&'static str, String)> {
    [option.names[signal as usize], option.names[0]]
        .into_iter()
        .find_map(|name| Some((name, r.text(name)?)))
}

/// The first of this signal's variable and the one for all that reads well.
fn otlp_read<T>(
    option: &OtlpOption,
    signal: Signal,
    read: impl Fn(&'static str) -> Option<T>,
) -> Option<(&'static str, T)> {
    [option.names[signal as usize], option.names[0]]
        .into_iter()
        .find_map(|name| Some((name, read(name)?)))
}

/// How the signal would go to a collector. Always `Some`: whether it goes is the exporter variable's to say.
fn otlp(r: &Reader<'_>, signal: Signal) -> Option<Otlp> {
    let protocol = otlp_read(&table::PROTOCOL, signal, |name| r.one_of(name));
    let protocol_from = protocol.map(|(name, _)| name);
    let protocol = match protocol {
        Some((_, "grpc")) => Protocol::Grpc,
        Some((_, "http/json")) => Protocol::HttpJson,
        _ => Protocol::HttpProtobuf,
    };
    let insecure = otlp_read(&table::INSECURE, signal, |name| r.bool(name)).is_some_and(|(_, on)| on);
    let (url, url_from) = endpoint(r, signal, protocol, insecure)?;
    let file = |option| {
        let (variable, path) = otlp_text(r, option, signal)?;
        Some(FileFrom {
            path: path.into(),
            variable,
        })
    };
    Some(Otlp {
        url,
        url_from,
        protocol,
        protocol_from,
        headers: headers(r, signal),
        timeout: otlp_read(&table::TIMEOUT, signal, |name| r.limit(name))
            .map_or_else(|| r.default_millis(table::TIMEOUT.names[0]), |(_, timeout)| timeout),
        gzip: otlp_read(&table::COMPRESSION, signal, |name| r.one_of(name)).is_some_and(|(_, c)| c == "gzip"),
        certificate: file(&table::CERTIFICATE),
        client_key: file(&table::CLIENT_KEY),
        client_certificate: file(&table::CLIENT_CERTIFICATE),
    })
}

fn endpoint(r: &Reader<'_>, signal: Signal, protocol: Protocol, insecure: bool) -> Option<(Url, Option<&'static str>)> {
    let grpc = protocol == Protocol::Grpc;
    let default = if grpc {
        "http://localhost:4317"
    } else {
        "http://localhost:4318"
    };
    let [all, own] = [table::ENDPOINT.names[0], table::ENDPOINT.names[signal as usize]];
    for name in [own, all] {
        let Some(text) = r.text(name) else { continue };
        let schemeless = grpc && !text.contains("://");
        let full = match (schemeless, insecure) {
            (true, true) => format!("http://{text}"),
            (true, false) => format!("https://{text}"),
            _ => text.clone(),
        };
        match Url::parse(&full) {
            Ok(url) if grpc || name == own => return Some((url, Some(name))),
            Ok(url) => return Some((url.join(signal.path()), Some(name))),
            Err(problem) => {
                // Credentials may stand in it.
                let shown = if text.contains('@') { "***" } else { &text };
                r.warn(name, shown, problem, &format!("using {default}"));
            }
        }
    }
    let url = Url::parse(default).ok()?;
    Some((if grpc { url } else { url.join(signal.path()) }, None))
}

fn headers(r: &Reader<'_>, signal: Signal) -> Vec<(String, Secret)> {
    let Some((name, text)) = otlp_text(r, &table::HEADERS, signal) else {
        return Vec::new();
    };
    let read = pairs(&text).and_then(|pairs| {
        let valid = |(key, value): &(String, String)| {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            key.bytes().all(token) && value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
        };
        if pairs.iter().all(valid) {
            Ok(pairs)
        } else {
            Err("has a character that no header may have".to_owned())
        }
    });
    match read {
        Ok(pairs) => {
            let pairs = pairs.into_iter();
            pairs
                .map(|(key, value)| (key.to_ascii_lowercase(), Secret(value)))
                .collect()
        }
        Err(problem) => {
            r.warn(name, &text, &problem, "ignoring all of it");
            Vec::new()
        }
    }
}

fn admin(r: &Reader<'_>) -> Admin {
    let file = |variable| {
        r.text(variable).map(|path| FileFrom {
            path: path.into(),
            variable,
        })
    };
    let (address, from) = admin_address(r);
    Admin {
        address,
        from,
        token: r.text("VITALSIGN_ADMIN_TOKEN").map(Secret),
        certificate: file("VITALSIGN_ADMIN_TLS_CERT"),
        key: file("VITALSIGN_ADMIN_TLS_KEY"),
    }
}

fn admin_address(r: &Reader<'_>) -> (Option<String>, Option<&'static str>) {
    let host = r.text("OTEL_EXPORTER_PROMETHEUS_HOST");
    let port = r.port("OTEL_EXPORTER_PROMETHEUS_PORT");
    let own = "VITALSIGN_ADMIN";
    if let Some(text) = r.text(own) {
        if text.eq_ignore_ascii_case("off") {
            return (None, Some(own));
        }
        if let Some(address) = listen_address(&text) {
            return (Some(address), Some(own));
        }
        r.warn(own, &text, "is neither off nor HOST:PORT", "using 127.0.0.1:9464");
    }
    let from = match (&host, port) {
        (_, Some(_)) => Some("OTEL_EXPORTER_PROMETHEUS_PORT"),
        (Some(_), None) => Some("OTEL_EXPORTER_PROMETHEUS_HOST"),
        (None, None) => None,
    };
    let host = host.unwrap_or_else(|| "127.0.0.1".to_owned());
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host
    };
    (Some(format!("{host}:{}", port.unwrap_or(9464))), from)
}

/// `HOST:PORT`, `:PORT` (all interfaces) or `PORT` (loopback).
fn listen_address(text: &str) -> Option<String> {
    if let Ok(port) = text.parse::<u16>() {
        return Some(format!("127.0.0.1:{port}"));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    match host {
        "" => Some(format!("0.0.0.0:{port}")),
        host if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) => None,
        host if host.contains(['/', '@', ' ']) => None,
        host => Some(format!("{host}:{port}")),
    }
}

fn spool(r: &Reader<'_>) -> Option<Spool> {
    let max_bytes = r.count("VITALSIGN_SPOOL_MAX_BYTES", 4096);
    let sync = match r.one_of("VITALSIGN_SPOOL_SYNC") {
        Some("always") => SpoolSync::Always,
        Some("never") => SpoolSync::Never,
        _ => SpoolSync::Second,
    };
    let dir = r.text("VITALSIGN_SPOOL_DIR")?.into();
    Some(Spool { dir, max_bytes, sync })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn parse(vars: &[(&str, &str)]) -> (Config, Vec<String>) {
        let (config, warnings) = Config::from(|name| {
            let found = vars.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        (config, warnings.iter().map(ToString::to_string).collect())
    }

    /// Without warnings.
    fn clean(vars: &[(&str, &str)]) -> Config {
        let (config, warnings) = parse(vars);
        assert!(warnings.is_empty(), "{warnings:?}");
        config
    }

    #[test]
    fn every_row_is_asked_for_and_every_question_has_a_row() {
        let lookup = |_: &str| None;
        let reader = Reader::new(&lookup);
        Config::read(&reader);
        let asked: BTreeSet<_> = reader.asked.borrow().iter().copied().collect();
        let rows: BTreeSet<_> = table::variables().iter().map(|v| v.name).collect();
        assert_eq!(asked, rows);
        assert_eq!(rows.len(), table::variables().len(), "a row stands twice");
    }

    #[test]
    fn unset_and_empty_are_one() {
        let unset = format!("{:?}", clean(&[]));
        let (empty, warnings) = Config::from(|_| Some("  ".to_owned()));
        assert_eq!(unset, format!("{empty:?}"));
        assert!(warnings.is_empty());
    }

    #[test]
    fn defaults() {
        let c = clean(&[]);
        assert!(!c.disabled && !c.span_events && c.service_name.is_none());
        assert_eq!(c.propagators, ["tracecontext", "baggage"]);
        assert!(clean(&[("OTEL_PROPAGATORS", "none")]).propagators.is_empty());
        let b3 = clean(&[("OTEL_PROPAGATORS", "b3,tracecontext")]).propagators;
        assert!(b3.contains(&"b3") && b3.contains(&"tracecontext"));
        assert_eq!(
            c.sampler,
            Sampler {
                parent_based: true,
                root: RootSampler::AlwaysOn
            }
        );
        let otlp = c.traces.otlp.unwrap();
        assert_eq!(otlp.url.to_string(), "http://localhost:4318/v1/traces");
        assert_eq!(
            (otlp.url_from, otlp.protocol, otlp.gzip),
            (None, Protocol::HttpProtobuf, false)
        );
        assert_eq!(otlp.timeout, Duration::from_secs(10));
        assert_eq!((c.traces.batch.queue, c.traces.batch.size), (2048, 512));
        assert_eq!(c.traces.batch.delay, Duration::from_secs(5));
        assert_eq!(c.logs.batch.delay, Duration::from_secs(1));
        assert_eq!(c.traces.batch.export_timeout, Duration::from_secs(30));
        assert!(c.metrics.page && c.metrics.otlp.is_none());
        assert!(c.logs.otlp.is_none());
        assert_eq!(c.logs.lines, Some(LogFormat::Auto));
        assert_eq!(c.admin.address.as_deref(), Some("127.0.0.1:9464"));
        assert_eq!(c.admin.from, None);
        assert_eq!((c.limits.span_attributes, c.limits.span_value_length), (128, None));
        assert_eq!((c.logs.filter.as_str(), c.trace_filter.as_str()), ("info", "info"));
    }

    #[test]
    fn an_endpoint_turns_metrics_over_otlp_on() {
        let c = clean(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1")]);
        assert_eq!(c.metrics.otlp.unwrap().url.to_string(), "http://c:1/v1/metrics");
        assert!(c.metrics.page && c.logs.otlp.is_none());
        let c = clean(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:1")]);
        assert_eq!(c.traces.otlp.unwrap().url.to_string(), "http://c:1/");
        assert!(c.metrics.otlp.is_none());
        let c = clean(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
        ]);
        assert!(c.metrics.otlp.is_none() && c.metrics.page);
        let c = clean(&[("OTEL_METRICS_EXPORTER", "otlp")]);
        assert!(c.metrics.otlp.is_some() && !c.metrics.page);
        let c = clean(&[
            ("OTEL_METRICS_EXPORTER", "NONE"),
            ("OTEL_TRACES_EXPORTER", "console, otlp"),
        ]);
        assert!(c.metrics.otlp.is_none() && !c.metrics.page && c.traces.console && c.traces.otlp.is_some());
        let c = clean(&[("OTEL_LOGS_EXPORTER", "otlp")]);
        assert!(c.logs.otlp.is_some() && c.logs.lines.is_none());
    }

    #[test]
    fn a_signal_s_own_variable_wins() {
        let c = clean(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://all:1/sub/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own:2/as/is"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=x%20y%3D"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "Authorization=Bearer%20t"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ]);
        let (traces, metrics) = (c.traces.otlp.unwrap(), c.metrics.otlp.unwrap());
        assert_eq!(traces.url.to_string(), "http://own:2/as/is");
        assert_eq!(metrics.url.to_string(), "https://all:1/sub/v1/metrics");
        assert_eq!(
            (traces.protocol, metrics.protocol),
            (Protocol::HttpProtobuf, Protocol::HttpJson)
        );
        assert_eq!(traces.headers, [("authorization".into(), Secret("Bearer t".into()))]);
        assert_eq!(metrics.headers[1], ("b".into(), Secret("x y=".into())));
        assert!(traces.timeout > Duration::from_secs(3600) && metrics.timeout == Duration::from_secs(5));
        assert!(traces.gzip);
        assert_eq!(traces.certificate.unwrap().variable, "OTEL_EXPORTER_OTLP_CERTIFICATE");
    }

    #[test]
    fn grpc_endpoints() {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let url = |vars: &[(&str, &str)]| clean(vars).traces.otlp.unwrap().url.to_string();
        assert_eq!(url(&[grpc]), "http://localhost:4317/");
        let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
        assert_eq!(url(&[grpc, bare]), "https://collector:4317/");
        assert_eq!(
            url(&[grpc, bare, ("OTEL_EXPORTER_OTLP_INSECURE", "true")]),
            "http://collector:4317/"
        );
        let https = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:1");
        assert_eq!(
            url(&[grpc, https, ("OTEL_EXPORTER_OTLP_INSECURE", "true")]),
            "https://collector:1/"
        );
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    #[test]
    fn what_is_wrong_gives_one_warning_that_says_what_holds() {
        for (name, value, text) in [
            (
                "OTEL_BSP_MAX_QUEUE_SIZE",
                "many",
                "OTEL_BSP_MAX_QUEUE_SIZE=many is no whole number of 0 or more; using 2048",
            ),
            (
                "OTEL_BSP_MAX_QUEUE_SIZE",
                "0",
                "OTEL_BSP_MAX_QUEUE_SIZE=0 is less than 1; using 2048",
            ),
            (
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                "4096",
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=4096 is more than the queue holds; using 2048",
            ),
            (
                "OTEL_SDK_DISABLED",
                "yes",
                "OTEL_SDK_DISABLED=yes is neither true nor false; using false",
            ),
            (
                "OTEL_TRACES_SAMPLER",
                "sometimes",
                "OTEL_TRACES_SAMPLER=sometimes is none of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio; using parentbased_always_on",
            ),
            (
                "OTEL_TRACES_SAMPLER",
                "xray",
                "OTEL_TRACES_SAMPLER=xray is not supported; using parentbased_always_on",
            ),
            (
                "OTEL_TRACES_SAMPLER_ARG",
                "2",
                "OTEL_TRACES_SAMPLER_ARG=2 is no number from 0 to 1; using 1.0",
            ),
            (
                "OTEL_TRACES_SAMPLER_ARG",
                "NaN",
                "OTEL_TRACES_SAMPLER_ARG=NaN is no number from 0 to 1; using 1.0",
            ),
            (
                "OTEL_PROPAGATORS",
                "xray,tracecontext",
                "OTEL_PROPAGATORS=xray,tracecontext asks for xray, which is not supported; using tracecontext",
            ),
            (
                "OTEL_PROPAGATORS",
                "ottrace",
                "OTEL_PROPAGATORS=ottrace asks for ottrace, which is not supported; using tracecontext,baggage",
            ),
            (
                "OTEL_TRACES_EXPORTER",
                "zipkin",
                "OTEL_TRACES_EXPORTER=zipkin asks for zipkin, which is not supported; using otlp",
            ),
            (
                "OTEL_TRACES_EXPORTER",
                "none,otlp",
                "OTEL_TRACES_EXPORTER=none,otlp says none beside others; using none",
            ),
            (
                "OTEL_LOGS_EXPORTER",
                "file",
                "OTEL_LOGS_EXPORTER=file is none of otlp, console, none; using console",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "a=1,b",
                "OTEL_RESOURCE_ATTRIBUTES=a=1,b has an entry without =; ignoring all of it",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "a=%zz",
                "OTEL_RESOURCE_ATTRIBUTES=a=%zz has a value that is badly percent-encoded; ignoring all of it",
            ),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "secret",
                "OTEL_EXPORTER_OTLP_HEADERS=*** has an entry without =; ignoring all of it",
            ),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "a=x%0Ay",
                "OTEL_EXPORTER_OTLP_HEADERS=*** has a character that no header may have; ignoring all of it",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "localhost:4318",
                "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318 has no http:// or https:// in front; using http://localhost:4318",
            ),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://u:pw@h",
                "OTEL_EXPORTER_OTLP_ENDPOINT=*** carries credentials; put them into the headers variable; using http://localhost:4318",
            ),
            (
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "10s",
                "OTEL_EXPORTER_OTLP_TIMEOUT=10s is no whole number of 0 or more; using 10000",
            ),
            (
                "OTEL_EXPORTER_OTLP_COMPRESSION",
                "zstd",
                "OTEL_EXPORTER_OTLP_COMPRESSION=zstd is none of none, gzip; using none",
            ),
            (
                "OTEL_EXPORTER_PROMETHEUS_PORT",
                "70000",
                "OTEL_EXPORTER_PROMETHEUS_PORT=70000 is more than 65535; using 9464",
            ),
            (
                "VITALSIGN_ADMIN",
                "/tmp/x",
                "VITALSIGN_ADMIN=/tmp/x is neither off nor HOST:PORT; using 127.0.0.1:9464",
            ),
            (
                "VITALSIGN_LOG_FORMAT",
                "xml",
                "VITALSIGN_LOG_FORMAT=xml is none of json, pretty, off; using pretty on a terminal, else json",
            ),
            (
                "OTEL_CONFIG_FILE",
                "/x",
                "OTEL_CONFIG_FILE=/x is not supported; ignoring it",
            ),
            ("OTEL_ENTITIES", "x", "OTEL_ENTITIES=x is not supported; ignoring it"),
            (
                "OTEL_METRIC_EXPORT_INTERVAL",
                "0",
                "OTEL_METRIC_EXPORT_INTERVAL=0 is less than 1; using 60000",
            ),
        ] {
            assert_eq!(parse(&[(name, value)]).1, [text]);
        }
    }

    #[test]
    fn admin_addresses() {
        let at = |value: &str| clean(&[("VITALSIGN_ADMIN", value)]).admin;
        assert_eq!(at("OFF").address, None);
        assert_eq!(at("[::1]:0").address.as_deref(), Some("[::1]:0"));
        assert_eq!(at(":9000").address.as_deref(), Some("0.0.0.0:9000"));
        assert_eq!(at("9000").address.as_deref(), Some("127.0.0.1:9000"));
        assert_eq!(at("0.0.0.0:1").from, Some("VITALSIGN_ADMIN"));
        let c = clean(&[
            ("OTEL_EXPORTER_PROMETHEUS_HOST", "::1"),
            ("OTEL_EXPORTER_PROMETHEUS_PORT", "0"),
        ]);
        assert_eq!(c.admin.address.as_deref(), Some("[::1]:0"));
        assert_eq!(c.admin.from, Some("OTEL_EXPORTER_PROMETHEUS_PORT"));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let c = clean(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2"),
            ("VITALSIGN_HASH_KEY", "hunter2"),
            ("VITALSIGN_ADMIN_TOKEN", "hunter2"),
        ]);
        assert!(!format!("{c:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_not_compiled_in_shows_the_line() {
        let c = clean(&[("VITALSIGN_SPOOL_DIR", "/tmp/spool")]);
        let missing: Vec<_> = c.not_compiled_in().iter().map(ToString::to_string).collect();
        if cfg!(feature = "spool") {
            assert!(missing.is_empty());
        } else {
            let version = env!("CARGO_PKG_VERSION");
            assert!(missing.contains(&format!(
                "VITALSIGN_SPOOL_DIR asks for the spool, which is not compiled in; in Cargo.toml: vitalsign = {{ version = \"{version}\", features = [\"spool\"] }}"
            )));
        }
        assert!(clean(&[]).not_compiled_in().is_empty() || !cfg!(feature = "otlp"));
    }

    /// TLS and gRPC, asked for by an address and by a protocol.
    #[test]
    fn an_address_that_needs_tls_says_so() {
        let missing = |vars: &[(&str, &str)]| -> Vec<String> {
            clean(vars).not_compiled_in().iter().map(ToString::to_string).collect()
        };
        let secure = missing(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318")]);
        let names = secure.iter().any(|line| {
            line.contains("OTEL_EXPORTER_OTLP_ENDPOINT")
                && line.contains("TLS")
                && line.contains("features = [\"tls\"]")
        });
        assert_eq!(names, cfg!(feature = "otlp") && !cfg!(feature = "tls"), "{secure:?}");
        let grpc = missing(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        let names = grpc.iter().any(|line| line.contains("features = [\"grpc\"]"));
        assert_eq!(names, cfg!(feature = "otlp") && !cfg!(feature = "grpc"), "{grpc:?}");
    }

    #[test]
    fn no_value_panics() {
        for hostile in [
            "%",
            "=",
            ",",
            "=%",
            "\u{0}",
            "💥",
            "a=b=c,",
            "[",
            "]",
            "://",
            "http://[",
            "-1",
            "1e9",
            "99999999999999999999",
        ] {
            for v in table::variables() {
                parse(&[(v.name, hostile), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
            }
        }
    }
}
