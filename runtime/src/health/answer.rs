//! From a request's method, path, query and `Accept` to an answer, for whatever server there is.

use super::engine::Engine;
use super::options::Probe;
use super::selection::Selection;
use super::text;

/// A query longer than this, or with more parameters than [`PARAMETERS`], is nobody's probe.
const QUERY: usize = 4096;
const PARAMETERS: usize = 128;

/// What goes back.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";

fn plain(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: TEXT,
        body: body.to_owned(),
    }
}

/// Splits `/readyz/db` into the probe and the name; `None` for a path that is no probe's.
pub(crate) fn probe_of(path: &str) -> Option<(Probe, Option<&str>)> {
    let path = path.strip_prefix('/')?;
    let (probe, name) = match path.split_once('/') {
        Some((probe, name)) => (probe, Some(name.trim_end_matches('/')).filter(|name| !name.is_empty())),
        None => (path, None),
    };
    let probe = match probe {
        "livez" => Probe::Live,
        "readyz" => Probe::Ready,
        "startupz" => Probe::Startup,
        "healthz" => Probe::All,
        _ => return None,
    };
    Some((probe, name))
}

/// Answers a `GET` or `HEAD`; the caller leaves out the body of the latter.
pub(crate) async fn answer(engine: &Engine, path: &str, query: &str, accept: &str, details: bool) -> Answer {
    let Some((probe, name)) = probe_of(path) else {
        return plain(404, "not found\n");
    };
    if query.len() > QUERY || path.len() > QUERY {
        return plain(414, "too long\n");
    }
    let Some((selection, verbose)) = select(probe, name, query) else {
        return plain(400, "not a valid query\n");
    };
    let report = engine.select(selection).await;
    if !report.is_found() {
        return plain(404, "no such health check\n");
    }
    let status = if report.is_ok() { 200 } else { 503 };
    let (content_type, body) = match Format::of(accept) {
        Format::Text => (TEXT, report.text(verbose, details)),
        Format::MicroProfile => ("application/json", report.microprofile(details)),
        Format::HealthJson => ("application/health+json", report.health_json(details)),
    };
    Answer {
        status,
        content_type,
        body,
    }
}

fn select(probe: Probe, name: Option<&str>, query: &str) -> Option<(Selection, bool)> {
    let mut selection = Selection::of(probe);
    selection.name = match name {
        Some(name) => Some(decode(name, false)?),
        None => None,
    };
    let mut verbose = false;
    for (index, parameter) in query.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
        if index >= PARAMETERS {
            return None;
        }
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = decode(value, true)?;
        match &*decode(key, true)? {
            "verbose" => verbose = !matches!(&*value, "false" | "0"),
            "exclude" => selection.exclude.push(text::cut(&value, 128).to_owned()),
            "tag" => selection.tags.push(value),
            // Cache busters and the like do no harm.
            _ => {}
        }
    }
    Some((selection, verbose))
}

/// Percent-decodes; `None` for what is no UTF-8 or no escape.
fn decode(text: &str, plus: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push((high * 16 + low) as u8);
            }
            b'+' if plus => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Format {
    Text,
    MicroProfile,
    HealthJson,
}

impl Format {
    /// The format the caller likes best; text where it does not care.
    fn of(accept: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for range in text::cut(accept, QUERY).split(',') {
            let mut pieces = range.split(';').map(str::trim);
            let format = match pieces.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/health+json" => Self::HealthJson,
                "application/json" | "application/*" => Self::MicroProfile,
                "text/plain" | "text/*" | "*/*" => Self::Text,
                _ => continue,
            };
            let q = pieces
                .find_map(|piece| piece.strip_prefix("q="))
                .map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            if q > best.0 {
                best = (q, format);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{CheckOptions, Engine, HealthStatus, check_fn};

    #[test]
    fn the_format_by_accept() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("application/json", Format::MicroProfile),
            ("text/html, application/json;q=0.9, */*;q=0.1", Format::MicroProfile),
            ("application/json;q=0.5, application/health+json", Format::HealthJson),
            ("application/json;q=0", Format::Text),
            ("application/json;q=nonsense", Format::Text),
        ] {
            assert_eq!(Format::of(accept), format, "{accept}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(probe_of("/readyz"), Some((Probe::Ready, None)));
        assert_eq!(probe_of("/readyz/"), Some((Probe::Ready, None)));
        assert_eq!(probe_of("/livez/a.b"), Some((Probe::Live, Some("a.b"))));
        assert_eq!(probe_of("/metrics"), None);
        assert_eq!(probe_of("readyz"), None);
        assert_eq!(decode("a%2Eb+c", true).as_deref(), Some("a.b c"));
        assert_eq!(decode("%zz", true), None);
        assert_eq!(decode("%", true), None);
        assert_eq!(decode("%ff", true), None);
    }

    async fn ask(engine: &Engine, path: &str, query: &str, accept: &str, details: bool) -> (u16, String) {
        let answer = answer(engine, path, query, accept, details).await;
        (answer.status, answer.body)
    }

    #[tokio::test]
    async fn as_kube_apiserver_writes_it() {
        let engine = Engine::new();
        assert_eq!(ask(&engine, "/livez", "", "", false).await, (200, "ok".into()));
        let ping = "[+]ping ok\nlivez check passed\n";
        assert_eq!(ask(&engine, "/livez", "verbose", "", false).await, (200, ping.into()));
        let down = check_fn(|| async { Err::<(), _>("connection to postgres://u:p@db refused") });
        let _db = engine.register("db", down.clone()).unwrap();
        let _mail = engine
            .register_with("mail", CheckOptions::new().critical(false), down)
            .unwrap();
        let _up = engine.register("up", check_fn(|| async {})).unwrap();
        let text = "[-]db failed: reason withheld\n[+]mail ok: degraded\n[+]up ok\nreadyz check failed\n";
        assert_eq!(ask(&engine, "/readyz", "", "", false).await, (503, text.into()));
        let (_, trusted) = ask(&engine, "/readyz", "", "", true).await;
        assert!(
            trusted.starts_with("[-]db failed: connection to postgres://***@db refused\n"),
            "{trusted}"
        );
        let (status, text) = ask(&engine, "/readyz", "verbose&exclude=db&exclude=nobody", "", false).await;
        assert_eq!(
            (status, text.as_str()),
            (
                200,
                "warn: some health checks cannot be excluded: no matches for \"nobody\"\n[+]mail ok: degraded\n[+]up ok\n[+]db excluded: ok\nreadyz check passed\n"
            )
        );
        assert_eq!(ask(&engine, "/readyz/up", "", "", false).await, (200, "ok".into()));
        assert_eq!(ask(&engine, "/readyz/db", "", "", false).await.0, 503);
        assert_eq!(ask(&engine, "/readyz/nobody", "", "", false).await.0, 404);
        assert_eq!(ask(&engine, "/livez/db", "", "", false).await.0, 404);
    }

    #[tokio::test]
    async fn as_json() {
        let engine = Engine::new();
        let empty = r#"{"status":"UP","checks":[]}"#;
        assert_eq!(
            ask(&engine, "/readyz", "", "application/json", false).await,
            (200, empty.into())
        );
        let status = || async { HealthStatus::degraded("slow").with("lag", 3) };
        let _lag = engine.register("lag", check_fn(status)).unwrap();
        let (_, json) = ask(&engine, "/readyz", "", "application/json", false).await;
        assert_eq!(
            json,
            r#"{"status":"UP","checks":[{"name":"lag","status":"UP","data":{"degraded":true}}]}"#
        );
        let (_, json) = ask(&engine, "/readyz", "", "application/json", true).await;
        assert!(
            json.contains(r#""message":"slow""#) && json.contains(r#""lag":3"#),
            "{json}"
        );
        let (status, json) = ask(&engine, "/readyz", "", "application/health+json", true).await;
        assert_eq!(status, 200);
        assert!(
            json.starts_with(r#"{"status":"warn","checks":{"lag":[{"status":"warn","time":"2"#),
            "{json}"
        );
        engine.drain();
        let (status, json) = ask(&engine, "/readyz", "exclude=lag", "application/json", false).await;
        let draining =
            r#"{"status":"DOWN","checks":[{"name":"lifecycle","status":"DOWN","data":{"phase":"draining"}}]}"#;
        assert_eq!((status, json.as_str()), (503, draining));
        assert_eq!(ask(&engine, "/livez", "", "", false).await.0, 200);
        assert_eq!(ask(&engine, "/startupz", "", "", false).await.0, 200);
        assert_eq!(ask(&engine, "/readyz", "exclude=lifecycle", "", false).await.0, 200);
    }

    #[tokio::test]
    async fn hostile_queries() {
        let engine = Engine::new();
        assert_eq!(ask(&engine, "/readyz", &"x".repeat(5000), "", false).await.0, 414);
        assert_eq!(ask(&engine, "/readyz", &"a&".repeat(200), "", false).await.0, 400);
        assert_eq!(ask(&engine, "/readyz", "exclude=%", "", false).await.0, 400);
        assert_eq!(ask(&engine, "/readyz", "exclude=%00%0a", "", false).await.0, 200);
        assert_eq!(ask(&engine, "/readyz/%ff", "", "", false).await.0, 400);
        assert_eq!(ask(&engine, "/metrics", "", "", false).await.0, 404);
    }

    #[tokio::test]
    async fn many_failures_stay_brief() {
        let engine = Engine::new();
        let mut held = Vec::new();
        for n in 0..1000 {
            let check = check_fn(move || async move { n % 10 != 0 });
            held.push(
                engine
                    .register(format!("a-rather-long-name-of-a-check-{n}"), check)
                    .unwrap(),
            );
        }
        let (status, text) = ask(&engine, "/readyz", "", "", false).await;
        assert_eq!(status, 503);
        assert!(text.len() < 10_240 && text.contains("more: ask ?verbose") && text.ends_with("readyz check failed\n"));
        let (_, text) = ask(&engine, "/readyz", "verbose", "", false).await;
        assert_eq!(text.lines().count(), 1001);
    }
}
