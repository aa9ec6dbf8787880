//! What the fuzz targets in `fuzz/` call, one function each: everything that reads what others wrote. Compiled for them and for the
//! test that replays their corpora.

use crate::config::env::Config;
use crate::config::table;
use crate::config::url::Url;
use crate::export::otlp::{json, wire};
use crate::export::retry;
use crate::export::spool;
use crate::export::transport::{Retry, Signal};
use crate::trace::propagate::{extract_by, inject_by};
use std::time::{Duration, SystemTime};

/// A file in the spool: whole, or refused; never something else than was written.
pub fn spool(bytes: &[u8]) {
    let Ok((signal, count, body)) = spool::parse(&bytes.to_vec().into()) else {
        return;
    };
    let mut again = spool::header(signal, &body, count).to_vec();
    again.extend(&body);
    assert_eq!(again, bytes, "what is read is what was written");
}

fn config(name: &str, value: &str) -> (Config, Vec<String>) {
    let (config, warnings) = Config::from(|asked| (asked == name).then(|| value.to_owned()));
    (config, warnings.iter().map(ToString::to_string).collect())
}

/// Any variable with any value: at most warnings, each of which names it.
pub fn variables(bytes: &[u8]) {
    let Some((which, value)) = bytes.split_first() else {
        return;
    };
    let variables = table::variables();
    let name = variables[usize::from(*which) % variables.len()].name;
    let (config, warnings) = config(name, &String::from_utf8_lossy(value));
    assert!(warnings.iter().all(|warning| warning.contains(name)), "{warnings:?}");
    config.not_compiled_in();
    let _ = config.trace_filter.parse::<crate::trace::filter::Filter>();
    if let Some(rules) = config.tail {
        let _ = rules.parse::<crate::trace::tail::TailRules>();
    }
}

/// The headers variable: what is taken is a header, nothing of it is shown.
pub fn headers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (config, warnings) = config("OTEL_EXPORTER_OTLP_HEADERS", &text);
    let otlp = config.traces.otlp.expect("to the default address");
    for (name, value) in &otlp.headers {
        assert!(http::HeaderName::try_from(name).is_ok(), "{name:?}");
        assert!(http::HeaderValue::try_from(&value.0).is_ok(), "{:?}", value.0);
    }
    // A value may stand in a name as well, which is no secret.
    assert!(otlp.headers.iter().all(|(_, value)| format!("{value:?}") == "***"));
    // Of what was refused only its kind is said.
    let problems = [
        "has an entry without =",
        "has an entry without a key",
        "has a key that is badly percent-encoded",
        "has a value that is badly percent-encoded",
        "has a character that no header may have",
    ];
    let known = problems.map(|problem| {
        format!(
            "OTEL_EXPORTER_OTLP_HEADERS=*** {problem}; ignoring all of it; it reads KEY=VALUE,KEY=VALUE, the values percent-encoded"
        )
    });
    assert!(warnings.iter().all(|warning| known.contains(warning)), "{warnings:?}");
}

/// An endpoint: what is taken reads back as the same.
pub fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = Url::parse(&text) {
        assert_eq!(Url::parse(&url.whole()).as_ref(), Ok(&url));
        let joined = url.join("v1/traces");
        assert_eq!(Url::parse(&joined.whole()).as_ref(), Ok(&joined));
    }
}

/// The resource's attributes: all of them, or none and a warning.
pub fn resource(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (config, warnings) = config("OTEL_RESOURCE_ATTRIBUTES", &text);
    assert!(warnings.is_empty() || config.resource_attributes.is_empty());
    assert!(config.resource_attributes.iter().all(|(key, _)| !key.is_empty()));
}

/// `Retry-After`: a wait, or our own back-off; never no retry.
pub fn retry_after(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert_ne!(retry::http_status(503, Some(&text), now), Retry::Never);
    assert_eq!(retry::http_status(400, Some(&text), now), Retry::Never);
}

/// What a collector answers: a response, a `google.rpc.Status`, JSON.
pub fn answer(bytes: &[u8]) {
    let _ = wire::response(bytes);
    let _ = wire::status(bytes);
    let _ = json::response(bytes);
}

/// Headers of a request in any of the formats, the first byte saying which are in force: what is read is bounded, and what is
/// written of it reads as the same, whatever else was in the headers. Each line is a header, `name: value`.
pub fn propagators(bytes: &[u8]) {
    let Some((formats, lines)) = bytes.split_first() else {
        return;
    };
    let formats = formats & 31;
    let text = String::from_utf8_lossy(lines);
    let headers: Vec<(String, String)> = text
        .split('\n')
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let Some(context) = extract_by(formats, &headers) else {
        return;
    };
    assert!(context.is_valid() || !context.baggage.is_empty());
    assert!(context.is_remote || !context.is_valid());
    assert!(context.baggage.len() <= 64 && context.baggage.to_string().len() <= 8192);
    let mut written: Vec<(String, String)> = Vec::new();
    inject_by(formats, &context, &mut written);
    for (name, value) in &written {
        let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(plain(name) && plain(value), "{name}: {value}");
    }
    let read = extract_by(formats, &written).expect("what we write we read");
    assert_eq!((read.trace_id, read.span_id), (context.trace_id, context.span_id));
    assert_eq!(read.is_sampled(), context.is_sampled());
    // Jaeger's form keeps neither the capitals of keys nor properties; the specification's keeps everything.
    let pairs = |all: &crate::trace::Baggage| {
        let mut pairs: Vec<_> = all
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        pairs.sort();
        pairs
    };
    if formats & 8 != 0 {
        assert_eq!(pairs(&read.baggage), pairs(&context.baggage));
    } else {
        let lower = |all: &[(String, String)]| {
            let keys = all.iter().map(|(key, _)| key.to_ascii_lowercase());
            keys.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(lower(&pairs(&read.baggage)), lower(&pairs(&context.baggage)));
    }
}

/// A request as JSON, of whatever stood in the spool: text, or refused; never many times as long, for requests are bounded.
pub fn json(bytes: &[u8]) {
    for signal in Signal::ALL {
        if let Ok(text) = json::text(signal, bytes) {
            assert!(text.starts_with('{') && text.ends_with('}'), "{text}");
            assert!(text.len() <= 16 * bytes.len() + 64, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// A target's name, and its function.
    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 9] = [
        ("answer", answer),
        ("headers", headers),
        ("json", json),
        ("propagators", propagators),
        ("resource", resource),
        ("retry_after", retry_after),
        ("spool", spool),
        ("url", url),
        ("variables", variables),
    ];

    /// Whatever a fuzzer found once is tried in every `cargo test`.
    #[test]
    fn the_corpora() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        for (name, target) in TARGETS {
            let inputs: Vec<_> = fs::read_dir(corpus.join(name)).expect(name).flatten().collect();
            assert!(!inputs.is_empty(), "{name}");
            for input in inputs {
                target(&fs::read(input.path()).unwrap());
            }
        }
    }

    /// `context` is replayed by the package `tests`, for it needs no more than what is public.
    #[test]
    fn every_target_is_replayed() {
        let manifest = include_str!("../../fuzz/Cargo.toml");
        let mut targets: Vec<_> = manifest
            .split("[[bin]]\nname = \"")
            .skip(1)
            .filter_map(|bin| bin.split('"').next())
            .collect();
        targets.retain(|target| *target != "context");
        targets.sort_unstable();
        assert_eq!(targets, TARGETS.map(|(name, _)| name));
    }

    #[test]
    fn whole_files_are_read() {
        let mut file = spool::header(crate::export::transport::Signal::Logs, b"body", 1).to_vec();
        file.extend(b"body");
        spool(&file);
        assert!(spool::parse(&file.into()).is_ok());
    }
}
