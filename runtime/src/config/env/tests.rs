use super::*;
use crate::config::parse::Reader;
use crate::config::table;
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
    assert!(c.logs.otlp.is_some() && c.logs.lines.is_none() && !c.logs.stdout);
    let c = clean(&[("OTEL_LOGS_EXPORTER", "otlp/stdout")]);
    assert!(c.logs.otlp.is_none() && c.logs.lines.is_none() && c.logs.stdout);
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
fn headers_that_frame_a_request_are_left_out() {
    for header in [
        "Content-Length=3",
        "transfer-encoding=chunked",
        "content-encoding=gzip",
        "connection=close",
        "te=trailers",
        "expect=100-continue",
        "upgrade=h2c",
    ] {
        let set = format!("a=1,{header},host=elsewhere");
        let (c, warnings) = parse(&[("OTEL_EXPORTER_OTLP_HEADERS", &set)]);
        let left = [("a", "1"), ("host", "elsewhere")].map(|(name, value)| (name.into(), Secret(value.into())));
        assert_eq!(c.traces.otlp.unwrap().headers, left);
        let name = header.split('=').next().unwrap().to_ascii_lowercase();
        let warning = "which each request says of itself; using the others";
        assert_eq!(
            warnings,
            [format!("OTEL_EXPORTER_OTLP_HEADERS=*** sets {name}, {warning}")]
        );
    }
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
            "OTEL_METRICS_EXEMPLAR_FILTER",
            "always_on",
            "OTEL_METRICS_EXEMPLAR_FILTER=always_on asks for exemplars outside sampled spans, which would name no trace; using trace_based",
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
            "OTEL_LOGS_EXPORTER=file is none of otlp, otlp/stdout, console, none; using console",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=1,b",
            "OTEL_RESOURCE_ATTRIBUTES=a=1,b has an entry without =; ignoring all of it; it reads KEY=VALUE,KEY=VALUE, the values percent-encoded",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=%zz",
            "OTEL_RESOURCE_ATTRIBUTES=a=%zz has a value that is badly percent-encoded; ignoring all of it; it reads KEY=VALUE,KEY=VALUE, the values percent-encoded",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "secret",
            "OTEL_EXPORTER_OTLP_HEADERS=*** has an entry without =; ignoring all of it; it reads KEY=VALUE,KEY=VALUE, the values percent-encoded",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=x%0Ay",
            "OTEL_EXPORTER_OTLP_HEADERS=*** has a character that no header may have; ignoring all of it; it reads KEY=VALUE,KEY=VALUE, the values percent-encoded",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "te=trailers",
            "OTEL_EXPORTER_OTLP_HEADERS=*** sets te, which each request says of itself; ignoring it",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "localhost:4318",
            "OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318 has no http:// or https:// in front; using http://localhost:4318; it reads http://HOST:PORT or https://HOST:PORT",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://u:pw@h",
            "OTEL_EXPORTER_OTLP_ENDPOINT=*** carries credentials; put them into the headers variable; using http://localhost:4318; it reads http://HOST:PORT or https://HOST:PORT",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "ftp://collector",
            "OTEL_EXPORTER_OTLP_ENDPOINT=ftp://collector is neither http:// nor https://; using http://localhost:4318; it reads http://HOST:PORT or https://HOST:PORT",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://h:70000/x?key=hunter2",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=*** has a port beyond 65535; using http://localhost:4318; it reads http://HOST:PORT or https://HOST:PORT",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "10s",
            "OTEL_EXPORTER_OTLP_TIMEOUT=10s is no whole number of milliseconds; using 10000",
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

/// A signal's variable that is refused leaves the one for all in force, and the warning says so.
#[test]
fn a_refused_variable_of_a_signal_leaves_the_one_for_all() {
    for (option, all, own) in [
        ("ENDPOINT", "http://c:1", "c:2"),
        ("PROTOCOL", "http/json", "carrier-pigeon"),
        ("COMPRESSION", "gzip", "zstd"),
        ("TIMEOUT", "5000", "5s"),
    ] {
        let name = format!("OTEL_EXPORTER_OTLP_{option}");
        let traces = format!("OTEL_EXPORTER_OTLP_TRACES_{option}");
        let (config, warnings) = parse(&[(&name, all), (&traces, own)]);
        let otlp = config.traces.otlp.unwrap();
        let [warning] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert!(
            warning.starts_with(&traces) && warning.contains(&format!("using {name}")),
            "{warning}"
        );
        match option {
            "ENDPOINT" => assert_eq!(otlp.url.to_string(), "http://c:1/v1/traces"),
            "PROTOCOL" => assert_eq!(otlp.protocol, Protocol::HttpJson),
            "COMPRESSION" => assert!(otlp.gzip),
            _ => assert_eq!(otlp.timeout, Duration::from_secs(5)),
        }
    }
    let (config, warnings) = parse(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9"),
    ]);
    assert_eq!(
        (config.limits.span_attributes, config.limits.log_value_length),
        (7, Some(9))
    );
    assert!(
        warnings[0].ends_with("using OTEL_ATTRIBUTE_COUNT_LIMIT"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].ends_with("using OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        "{warnings:?}"
    );
    let (_, warnings) = parse(&[
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "9000"),
        ("VITALSIGN_ADMIN", "nowhere"),
    ]);
    assert!(warnings[0].ends_with("using 127.0.0.1:9000"), "{warnings:?}");
}

#[test]
fn numbers_are_digits_alone() {
    for (name, value) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "+5"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "+5"),
        ("VITALSIGN_ADMIN", "localhost:+80"),
        ("VITALSIGN_ADMIN", "+80"),
        ("OTEL_TRACES_SAMPLER_ARG", "0x1"),
        ("OTEL_PROPAGATORS", ","),
        ("OTEL_TRACES_EXPORTER", " , "),
    ] {
        let (_, warnings) = parse(&[(name, value)]);
        assert_eq!(warnings.len(), 1, "{name}={value}: {warnings:?}");
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
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/otlp?key=hunter2"),
    ]);
    assert!(!format!("{c:?}").contains("hunter2"));
    let url = c.traces.otlp.unwrap().url;
    assert_eq!(url.to_string(), "https://c:443/otlp/v1/traces?***");
    assert_eq!(url.whole(), "https://c:443/otlp/v1/traces?key=hunter2");
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
        line.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && line.contains("TLS") && line.contains("features = [\"tls\"]")
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

#[test]
fn known_methods_are_methods() {
    let name = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
    let listed = clean(&[(name, " GET ,BREW,")]).http_methods;
    assert_eq!(listed, Some(vec!["GET".to_owned(), "BREW".to_owned()]));
    for (bad, kept) in [
        ("garb age", None),
        (",", None),
        ("GET,PO ST", Some(vec!["GET".to_owned()])),
    ] {
        let (config, warnings) = parse(&[(name, bad)]);
        assert_eq!(config.http_methods, kept);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}
