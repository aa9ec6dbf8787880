//! The table of variables: a row each.

/// One environment variable that is understood.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// What holds when it is unset or empty; empty when that is nothing.
    pub default: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// The form of a variable's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `true`, in any case; everything else is false.
    Bool,
    /// A whole number.
    Count,
    /// A whole number of milliseconds; 0 for no limit where it limits.
    Millis,
    /// A number from 0 to 1.
    Ratio,
    /// One of these, in any case.
    OneOf(&'static [&'static str]),
    /// Several of these, separated by commas, in any case.
    AnyOf(&'static [&'static str]),
    /// `key=value` pairs separated by commas, values percent-encoded.
    Pairs,
    /// The same, and secret: never shown.
    SecretPairs,
    /// An `http://` or `https://` address.
    Endpoint,
    /// `HOST:PORT`.
    Address,
    /// A path.
    Path,
    /// Anything.
    Text,
    /// Anything, and secret: never shown.
    Secret,
    /// Known to the specification, not included here: setting it gives a warning.
    NotSupported,
}

impl Kind {
    #[cfg(test)]
    fn describe(self) -> String {
        match self {
            Self::Bool => "`true` or `false`".into(),
            Self::Count => "number".into(),
            Self::Millis => "milliseconds".into(),
            Self::Ratio => "0 to 1".into(),
            Self::OneOf(values) => values.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", "),
            Self::AnyOf(values) => {
                let values: Vec<_> = values.iter().map(|v| format!("`{v}`")).collect();
                format!("list of {}", values.join(", "))
            }
            Self::Pairs => "`key=value,…`".into(),
            Self::SecretPairs => "`key=value,…`, secret".into(),
            Self::Endpoint => "address".into(),
            Self::Address => "`HOST:PORT`".into(),
            Self::Path => "path".into(),
            Self::Text => "text".into(),
            Self::Secret => "text, secret".into(),
            Self::NotSupported => "not supported".into(),
        }
    }
}

/// What of a variable's value may be shown: nothing where it is a secret, nor an address with credentials or a query in it, nor
/// anything of a name that is not in the table.
pub(crate) fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    match find(name).map(|row| row.kind) {
        Some(Kind::Secret | Kind::SecretPairs) | None => "***",
        Some(Kind::Endpoint) if value.contains(['@', '?']) => "***",
        Some(_) => value,
    }
}

const fn row(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Variable {
    Variable {
        name,
        kind,
        default,
        doc,
    }
}

pub(crate) const SPAN_EXPORTERS: &[&str] = &["otlp", "otlp/stdout", "console", "none"];
pub(crate) const METRIC_EXPORTERS: &[&str] = &["otlp", "otlp/stdout", "prometheus", "console", "none"];
pub(crate) const LOG_EXPORTERS: &[&str] = &["otlp", "otlp/stdout", "console", "none"];
pub(crate) const PROTOCOLS: &[&str] = &["http/protobuf", "grpc", "http/json"];
pub(crate) const COMPRESSIONS: &[&str] = &["none", "gzip"];
pub(crate) const PROPAGATORS: &[&str] = &["tracecontext", "baggage", "b3", "b3multi", "jaeger", "none"];
pub(crate) const SAMPLERS: &[&str] = &[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// The four variables of an exporter option: for all signals, and for each.
macro_rules! per_signal {
    ($option:literal) => {
        [
            concat!("OTEL_EXPORTER_OTLP_", $option),
            concat!("OTEL_EXPORTER_OTLP_TRACES_", $option),
            concat!("OTEL_EXPORTER_OTLP_METRICS_", $option),
            concat!("OTEL_EXPORTER_OTLP_LOGS_", $option),
        ]
    };
}

/// An option of the OTLP exporters: its variables (for all signals, traces, metrics, logs), form, default and meaning.
pub(crate) struct OtlpOption {
    pub(crate) names: [&'static str; 4],
    kind: Kind,
    default: &'static str,
    doc: &'static str,
}

macro_rules! otlp_options {
    ($($id:ident = $option:literal, $kind:expr, $default:literal, $doc:literal;)*) => {
        $(pub(crate) const $id: OtlpOption = OtlpOption {
            names: per_signal!($option), kind: $kind, default: $default, doc: $doc,
        };)*
        const OTLP: &[OtlpOption] = &[$($id),*];
    };
}

otlp_options! {
    ENDPOINT = "ENDPOINT", Kind::Endpoint, "http://localhost:4318 (4317 for grpc)", "where to send; `v1/traces` and so on are appended to the one for all signals";
    PROTOCOL = "PROTOCOL", Kind::OneOf(PROTOCOLS), "http/protobuf", "how to send";
    HEADERS = "HEADERS", Kind::SecretPairs, "", "headers of every request";
    TIMEOUT = "TIMEOUT", Kind::Millis, "10000", "how long one request may take";
    COMPRESSION = "COMPRESSION", Kind::OneOf(COMPRESSIONS), "none", "how bodies are compressed";
    CERTIFICATE = "CERTIFICATE", Kind::Path, "", "PEM file of the authorities to trust instead of the system's";
    CLIENT_KEY = "CLIENT_KEY", Kind::Path, "", "PEM file of the client's private key";
    CLIENT_CERTIFICATE = "CLIENT_CERTIFICATE", Kind::Path, "", "PEM file of the client's certificate chain";
    INSECURE = "INSECURE", Kind::Bool, "false", "no TLS for a gRPC endpoint without a scheme";
}

const fn otlp_rows() -> [Variable; OTLP.len() * 4] {
    let mut rows = [row("", Kind::Text, "", ""); OTLP.len() * 4];
    let mut at = 0;
    while at < rows.len() {
        let option = &OTLP[at / 4];
        rows[at] = row(option.names[at % 4], option.kind, option.default, option.doc);
        at += 1;
    }
    rows
}

#[rustfmt::skip]
const PLAIN: &[Variable] = &[
    row("OTEL_SDK_DISABLED", Kind::Bool, "false", "stops traces, metrics and logs over OTLP; propagation and health stay"),
    row("OTEL_SERVICE_NAME", Kind::Text, "", "the resource attribute `service.name`; wins over OTEL_RESOURCE_ATTRIBUTES"),
    row("OTEL_RESOURCE_ATTRIBUTES", Kind::Pairs, "", "attributes of the resource"),
    row("OTEL_LOG_LEVEL", Kind::OneOf(&["error", "warn", "info", "debug", "trace", "off"]), "info", "how much is said about the instrumentation itself"),
    row("OTEL_PROPAGATORS", Kind::AnyOf(PROPAGATORS), "tracecontext,baggage", "how context travels between processes"),
    row("OTEL_TRACES_SAMPLER", Kind::OneOf(SAMPLERS), "parentbased_always_on", "which traces are recorded"),
    row("OTEL_TRACES_SAMPLER_ARG", Kind::Ratio, "1.0", "the ratio of the ratio samplers"),
    row("OTEL_BSP_SCHEDULE_DELAY", Kind::Millis, "5000", "how long spans wait for a batch to fill"),
    row("OTEL_BSP_EXPORT_TIMEOUT", Kind::Millis, "30000", "how long a batch of spans is tried at a stretch"),
    row("OTEL_BSP_MAX_QUEUE_SIZE", Kind::Count, "2048", "spans that may wait; the newest beyond are dropped and counted"),
    row("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Kind::Count, "512", "spans in one request"),
    row("OTEL_BLRP_SCHEDULE_DELAY", Kind::Millis, "1000", "how long log records wait for a batch to fill"),
    row("OTEL_BLRP_EXPORT_TIMEOUT", Kind::Millis, "30000", "how long a batch of log records is tried at a stretch"),
    row("OTEL_BLRP_MAX_QUEUE_SIZE", Kind::Count, "2048", "log records that may wait to be sent; the newest beyond are dropped and counted. Before that, to be encoded, as many may wait, at least 16384, with 256 bytes for each"),
    row("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", Kind::Count, "512", "log records in one request"),
    row("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", Kind::Count, "", "characters of an attribute's value; unlimited when unset"),
    row("OTEL_ATTRIBUTE_COUNT_LIMIT", Kind::Count, "128", "attributes of a span or log record"),
    row("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", Kind::Count, "", "the same for spans; else OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    row("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", Kind::Count, "128", "the same for spans; else OTEL_ATTRIBUTE_COUNT_LIMIT"),
    row("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", Kind::Count, "", "the same for log records; else OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    row("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", Kind::Count, "128", "the same for log records; else OTEL_ATTRIBUTE_COUNT_LIMIT"),
    row("OTEL_SPAN_EVENT_COUNT_LIMIT", Kind::Count, "128", "events of a span"),
    row("OTEL_SPAN_LINK_COUNT_LIMIT", Kind::Count, "128", "links of a span"),
    row("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", Kind::Count, "128", "attributes of a span's event"),
    row("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", Kind::Count, "128", "attributes of a span's link"),
    row("OTEL_TRACES_EXPORTER", Kind::AnyOf(SPAN_EXPORTERS), "otlp", "where spans go; `otlp/stdout` and `console` are lines of OTLP/JSON on standard output"),
    row("OTEL_METRICS_EXPORTER", Kind::AnyOf(METRIC_EXPORTERS), "prometheus, and otlp if an endpoint for metrics is set", "where metrics go; `prometheus` is the page /metrics, `otlp/stdout` and `console` are lines of OTLP/JSON on standard output"),
    row("OTEL_LOGS_EXPORTER", Kind::AnyOf(LOG_EXPORTERS), "console", "where log records go; `console` is lines on standard output, `otlp/stdout` the same as OTLP/JSON"),
    row("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", Kind::OneOf(&["cumulative", "delta", "lowmemory"]), "cumulative", "since when metrics over OTLP count"),
    row("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", Kind::OneOf(&["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]), "explicit_bucket_histogram", "the form of histograms that declare no buckets"),
    row("OTEL_METRICS_EXEMPLAR_FILTER", Kind::OneOf(&["trace_based", "always_on", "always_off"]), "trace_based", "which measurements may become exemplars: those under a sampled span, or none"),
    row("OTEL_METRIC_EXPORT_INTERVAL", Kind::Millis, "60000", "time between two pushes of the metrics"),
    row("OTEL_METRIC_EXPORT_TIMEOUT", Kind::Millis, "30000", "how long one push may take"),
    row("OTEL_EXPORTER_PROMETHEUS_HOST", Kind::Text, "127.0.0.1", "where the admin server listens, unless VITALSIGN_ADMIN says"),
    row("OTEL_EXPORTER_PROMETHEUS_PORT", Kind::Count, "9464", "its port; 0 for any free one"),
    row("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", Kind::OneOf(&["logs", "logs/dup"]), "", "exceptions as log records (`logs`) or as both (`logs/dup`); unset: span events and log records"),
    row("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", Kind::Text, "", "HTTP methods that are no `_OTHER`, separated by commas"),
    row("RUST_LOG", Kind::Text, "info", "filter of log lines: `LEVEL`, `TARGET` and `TARGET=LEVEL`, separated by commas; what no directive names is off"),
    row("VITALSIGN_ADMIN", Kind::Address, "127.0.0.1:9464", "where the admin server listens, or `off`"),
    row("VITALSIGN_ADMIN_TOKEN", Kind::Secret, "", "bearer token that the admin server asks for; probes answer without it, and keep the reasons of failed checks to themselves"),
    row("VITALSIGN_METRIC_SERIES", Kind::Count, "200000", "series of all metrics together; what is measured beyond is dropped and counted"),
    row("VITALSIGN_ADMIN_TLS_CERT", Kind::Path, "", "PEM file of the admin server's certificate chain: with it and the key it speaks TLS only"),
    row("VITALSIGN_ADMIN_TLS_KEY", Kind::Path, "", "PEM file of its private key"),
    row("VITALSIGN_TRACE_FILTER", Kind::Text, "info", "filter of spans: `LEVEL`, `TARGET` and `TARGET=LEVEL`, separated by commas"),
    row("VITALSIGN_BAGGAGE_KEYS", Kind::Text, "", "keys of the baggage that spans and log lines show, separated by commas; `*` for all"),
    row("VITALSIGN_LOG_FORMAT", Kind::OneOf(&["json", "pretty", "off"]), "pretty on a terminal, else json", "the form of log lines on standard output"),
    row("VITALSIGN_HASH_KEY", Kind::Secret, "random for each process", "key of the fields recorded by `hash(…)`"),
    row("VITALSIGN_SPAN_EVENTS", Kind::OneOf(&["on", "off"]), "off", "`tracing` events as events of their span, too"),
    row("VITALSIGN_SPAN_TIMINGS", Kind::OneOf(&["on", "off"]), "off", "how long a span was entered and how long not, as its attributes `busy_ns` and `idle_ns`"),
    row("VITALSIGN_LONG_SPANS", Kind::Millis, "0", "a span open for longer than this is told of in one log line while it is open; 0 for never"),
    row("VITALSIGN_SPOOL_DIR", Kind::Path, "", "folder where batches wait while the collector is away"),
    row("VITALSIGN_SPOOL_MAX_BYTES", Kind::Count, "268435456", "size of that folder; beyond it the oldest go, counted"),
    row("VITALSIGN_SPOOL_SYNC", Kind::OneOf(&["always", "second", "never"]), "second", "when batches are synced to the disk, for the case that the machine stops: each before it counts, within a second, or when the system likes"),
    row("VITALSIGN_TAIL", Kind::Text, "", "which traces are kept by what happened in them"),
    row("OTEL_CONFIG_FILE", Kind::NotSupported, "", "declarative configuration"),
    row("OTEL_ENTITIES", Kind::NotSupported, "", "entities of the resource"),
    row("OTEL_EXPORTER_ZIPKIN_ENDPOINT", Kind::NotSupported, "", "Zipkin"),
    row("OTEL_EXPORTER_ZIPKIN_TIMEOUT", Kind::NotSupported, "", "Zipkin"),
];

static ROWS: [Variable; PLAIN.len() + OTLP.len() * 4] = {
    let otlp = otlp_rows();
    let mut rows = [row("", Kind::Text, "", ""); PLAIN.len() + OTLP.len() * 4];
    let mut at = 0;
    while at < rows.len() {
        rows[at] = if at < PLAIN.len() {
            PLAIN[at]
        } else {
            otlp[at - PLAIN.len()]
        };
        at += 1;
    }
    rows
};

/// Every variable that is understood.
///
/// # Examples
/// ```
/// let variables = vitalsign::config::variables();
/// assert!(variables.iter().any(|v| v.name == "OTEL_SERVICE_NAME"));
/// ```
pub fn variables() -> &'static [Variable] {
    &ROWS
}

/// The variable of ours that a name beginning like ours, and being none, may have been meant for. Others that begin so, as those
/// that Kubernetes makes of a service's name, are like none.
pub(crate) fn meant(name: &str) -> Option<&'static str> {
    const OURS: &str = "VITALSIGN_";
    const ALIKE: usize = 3;
    let rest = name.strip_prefix(OURS).filter(|_| find(name).is_none())?;
    let alike = |row: &Variable| {
        let ours = row.name.strip_prefix(OURS)?;
        let alike = ours.bytes().zip(rest.bytes()).take_while(|(a, b)| a == b).count();
        (alike >= ALIKE).then_some((alike, std::cmp::Reverse(ours.len().abs_diff(rest.len())), row.name))
    };
    ROWS.iter().filter_map(alike).max().map(|(_, _, name)| name)
}

/// The variable that holds where a narrower one is unset or refused.
pub(crate) fn broader(name: &str) -> Option<&'static str> {
    match name {
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT" | "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT" => {
            Some("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
        }
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" | "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT" => {
            Some("OTEL_ATTRIBUTE_COUNT_LIMIT")
        }
        _ => OTLP
            .iter()
            .map(|option| option.names)
            .find_map(|[all, own @ ..]| own.contains(&name).then_some(all)),
    }
}

/// The row of a variable that the parser asks for.
pub(crate) fn find(name: &str) -> Option<&'static Variable> {
    ROWS.iter().find(|v| v.name == name)
}

/// The table as Markdown: what `variables.md` must be.
#[cfg(test)]
fn markdown() -> String {
    use std::fmt::Write as _;
    let mut page = String::from("| variable | values | default | meaning |\n|---|---|---|---|\n");
    for v in PLAIN {
        let default = if v.default.is_empty() { "–" } else { v.default };
        let _ = writeln!(page, "| `{}` | {} | {default} | {} |", v.name, v.kind.describe(), v.doc);
    }
    for option in OTLP {
        let default = if option.default.is_empty() {
            "–"
        } else {
            option.default
        };
        let name = option.names[0].trim_start_matches("OTEL_EXPORTER_OTLP_");
        let kind = option.kind.describe();
        let _ = writeln!(
            page,
            "| `OTEL_EXPORTER_OTLP_{name}`, `…_OTLP_TRACES_{name}`, `…_METRICS_{name}`, `…_LOGS_{name}` | {kind} | {default} | {} |",
            option.doc
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_finds_its_name() {
        for (typed, name) in [
            ("VITALSIGN_LOGFORMAT", Some("VITALSIGN_LOG_FORMAT")),
            ("VITALSIGN_ADMN", Some("VITALSIGN_ADMIN")),
            ("VITALSIGN_ADMIN_TLS_CERTIFICATE", Some("VITALSIGN_ADMIN_TLS_CERT")),
            ("VITALSIGN_TRACE_FILTERS", Some("VITALSIGN_TRACE_FILTER")),
            ("VITALSIGN_SPOOL", Some("VITALSIGN_SPOOL_DIR")),
            ("VITALSIGN_ADMIN", None),
            ("VITALSIGN_SERVICE_HOST", None),
            ("VITALSIGN_PORT_80_TCP", None),
            ("VITALSIGN_REQUIRE_SERVERS", None),
            ("VITALSIGN_BLESS", None),
            ("OTEL_SERVICE", None),
        ] {
            assert_eq!(meant(typed), name, "{typed}");
        }
    }

    /// `VITALSIGN_BLESS=1 cargo test -p vitalsign variables_md` writes it anew.
    #[test]
    fn variables_md_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/variables.md");
        if std::env::var_os("VITALSIGN_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == markdown(),
            "variables.md is not what the table says"
        );
    }
}
