//! From variables to the configuration: defaults applied, what is wrong replaced and warned of.

#[allow(clippy::wildcard_imports, reason = "every type of the configuration is made here")]
use super::*;
use crate::config::parse::{Reader, Warning, pairs};
use crate::config::table::{self, OtlpOption};

impl Config {
    /// From any source of variables.
    pub(crate) fn from(lookup: impl Fn(&str) -> Option<String>) -> (Self, Vec<Warning>) {
        let reader = Reader::new(&lookup);
        let config = Self::read(&reader);
        (config, reader.into_warnings())
    }

    pub(super) fn read(r: &Reader<'_>) -> Self {
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
            http_methods: http_methods(r),
        }
    }
}

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

fn resource_attributes(r: &Reader<'_>) -> Vec<(String, String)> {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let Some(text) = r.text(name) else { return Vec::new() };
    pairs(&text).unwrap_or_else(|problem| {
        let instead = "ignoring all of it; it reads KEY=VALUE,KEY=VALUE, the values percent-encoded";
        r.warn(name, &text, &problem, instead);
        Vec::new()
    })
}

/// The list replaces that of the conventions; what no method can be called is left out.
fn http_methods(r: &Reader<'_>) -> Option<Vec<String>> {
    let name = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
    let text = r.text(name)?;
    let listed = text.split(',').map(str::trim).filter(|method| !method.is_empty());
    let (methods, refused): (Vec<_>, Vec<_>) = listed
        .map(str::to_owned)
        .partition(|method| method.bytes().all(is_token));
    let using = if methods.is_empty() {
        "using those of the conventions".to_owned()
    } else {
        format!("using {}", methods.join(","))
    };
    if !refused.is_empty() {
        r.warn(name, &text, "lists what no method can be called", &using);
    } else if methods.is_empty() {
        r.warn(name, &text, "lists nothing", &using);
    }
    (!methods.is_empty()).then_some(methods)
}

/// What names of headers and methods are made of.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
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

/// Lines of OTLP/JSON on standard output.
fn is_stdout(to: &[&str]) -> bool {
    to.contains(&"otlp/stdout")
}

fn traces(r: &Reader<'_>) -> Traces {
    let to = r.any_of("OTEL_TRACES_EXPORTER").unwrap_or_else(|| vec!["otlp"]);
    Traces {
        otlp: otlp(r, Signal::Traces).filter(|_| to.contains(&"otlp")),
        console: is_stdout(&to) || to.contains(&"console"),
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
        console: is_stdout(&to) || to.contains(&"console"),
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
            Some(always @ "always_on") => {
                let problem = "asks for exemplars outside sampled spans, which would name no trace";
                r.warn("OTEL_METRICS_EXEMPLAR_FILTER", always, problem, "using trace_based");
                ExemplarFilter::TraceBased
            }
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
        stdout: is_stdout(&to),
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
                let then = if name == own && r.text(all).is_some() {
                    all
                } else {
                    default
                };
                let instead = format!("using {then}; it reads http://HOST:PORT or https://HOST:PORT");
                r.warn(name, &text, problem, &instead);
            }
        }
    }
    let url = Url::parse(default).ok()?;
    Some((if grpc { url } else { url.join(signal.path()) }, None))
}

/// Headers that say where a request ends, how it is packed, or what its connection does: with a foreign value it would arrive cut,
/// or never.
const FRAMING: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn headers(r: &Reader<'_>, signal: Signal) -> Vec<(String, Secret)> {
    let Some((name, text)) = otlp_text(r, &table::HEADERS, signal) else {
        return Vec::new();
    };
    let read = pairs(&text).and_then(|pairs| {
        let valid = |(key, value): &(String, String)| {
            key.bytes().all(is_token) && value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
        };
        if pairs.iter().all(valid) {
            Ok(pairs)
        } else {
            Err("has a character that no header may have".to_owned())
        }
    });
    match read {
        Ok(pairs) => {
            let named = pairs.into_iter();
            let (framing, headers): (Vec<_>, Vec<_>) = named
                .map(|(key, value)| (key.to_ascii_lowercase(), Secret(value)))
                .partition(|(key, _)| FRAMING.contains(&key.as_str()));
            if !framing.is_empty() {
                let names: Vec<_> = framing.into_iter().map(|(key, _)| key).collect();
                let problem = format!("sets {}, which each request says of itself", names.join(", "));
                let instead = if headers.is_empty() {
                    "ignoring it"
                } else {
                    "using the others"
                };
                r.warn(name, &text, &problem, instead);
            }
            headers
        }
        Err(problem) => {
            let instead = "ignoring all of it; it reads KEY=VALUE,KEY=VALUE, the values percent-encoded";
            r.warn(name, &text, &problem, instead);
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
    let standard = format!("{host}:{}", port.unwrap_or(9464));
    let own = "VITALSIGN_ADMIN";
    if let Some(text) = r.text(own) {
        if text.eq_ignore_ascii_case("off") {
            return (None, Some(own));
        }
        if let Some(address) = listen_address(&text) {
            return (Some(address), Some(own));
        }
        r.warn(own, &text, "is neither off nor HOST:PORT", &format!("using {standard}"));
    }
    (Some(standard), from)
}

/// `HOST:PORT`, `:PORT` (all interfaces) or `PORT` (loopback).
fn listen_address(text: &str) -> Option<String> {
    // No sign in front.
    let number = |port: &str| {
        port.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| port.parse::<u16>().ok())?
    };
    if let Some(port) = number(text) {
        return Some(format!("127.0.0.1:{port}"));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = number(port)?;
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
