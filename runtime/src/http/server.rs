//! What is measured of requests that come in, by the semantic conventions for HTTP servers.

use super::words;
use crate::metrics::dynamic::{Histogram, Meta, Numbers};
use crate::metrics::label::Limit;
use crate::metrics::registry::{self, LabelSet};
use crate::trace::{SpanId, TraceId};
use std::borrow::Cow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

/// Routes with series of their own; a mapping that makes up more shares `other`.
pub(crate) static ROUTES: Limit = Limit::new(1000);

/// Buckets of durations (C5).
pub(crate) const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Buckets of sizes.
pub(crate) const BYTES: [f64; 9] = [
    0.0,
    128.0,
    1024.0,
    8192.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    8_388_608.0,
    67_108_864.0,
];

/// The labels of one request's series.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) method: &'static str,
    pub(crate) scheme: &'static str,
    /// An index into [`ROUTES`].
    pub(crate) route: Option<u16>,
    /// 0 when there was no response.
    pub(crate) status: u16,
    pub(crate) error: ErrorType,
    pub(crate) version: Option<&'static str>,
}

/// `error.type`
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ErrorType {
    None,
    /// The status code says it.
    Status,
    /// A name of low cardinality.
    Named(&'static str),
}

impl ErrorType {
    /// The text, given the status.
    pub(crate) fn text(self, status: u16) -> Option<Cow<'static, str>> {
        match self {
            Self::None => None,
            Self::Status => Some(status.to_string().into()),
            Self::Named(name) => Some(name.into()),
        }
    }
}

fn labels(key: &Key) -> LabelSet {
    let mut labels: LabelSet = Vec::with_capacity(6);
    if let Some(error) = key.error.text(key.status) {
        labels.push(("error.type".into(), error));
    }
    labels.push(("http.request.method".into(), key.method.into()));
    if key.status != 0 {
        labels.push(("http.response.status_code".into(), key.status.to_string().into()));
    }
    if let Some(route) = key.route.and_then(|index| ROUTES.value(index.into())) {
        labels.push(("http.route".into(), route.into()));
    }
    if let Some(version) = key.version {
        labels.push(("network.protocol.version".into(), version.into()));
    }
    labels.push(("url.scheme".into(), key.scheme.into()));
    labels
}

type Active = (&'static str, &'static str);

fn active_labels((method, scheme): &Active) -> LabelSet {
    vec![
        ("http.request.method".into(), (*method).into()),
        ("url.scheme".into(), (*scheme).into()),
    ]
}

struct Families {
    duration: Arc<Histogram<Key>>,
    active: Arc<Numbers<Active>>,
    request_size: Arc<Histogram<Key>>,
    response_size: Arc<Histogram<Key>>,
}

fn families() -> &'static Families {
    static FAMILIES: OnceLock<Families> = OnceLock::new();
    FAMILIES.get_or_init(|| {
        let meta = |name, help, unit| Meta {
            name,
            help,
            unit,
            labels,
        };
        let families = Families {
            duration: Arc::new(Histogram::new(
                meta("http.server.request.duration", "Duration of HTTP server requests.", "s"),
                &SECONDS,
            )),
            active: Arc::new(Numbers::up_down(Meta {
                name: "http.server.active_requests",
                help: "Number of active HTTP server requests.",
                unit: "{request}",
                labels: active_labels,
            })),
            request_size: Arc::new(Histogram::new(
                meta(
                    "http.server.request.body.size",
                    "Size of HTTP server request bodies.",
                    "By",
                ),
                &BYTES,
            )),
            response_size: Arc::new(Histogram::new(
                meta(
                    "http.server.response.body.size",
                    "Size of HTTP server response bodies.",
                    "By",
                ),
                &BYTES,
            )),
        };
        registry::register(families.duration.clone());
        registry::register(families.active.clone());
        registry::register(families.request_size.clone());
        registry::register(families.response_size.clone());
        families
    })
}

/// A request began: the number of those under way, to be given back at its end.
pub(crate) fn began(method: &'static str, scheme: &'static str) -> Option<Arc<AtomicI64>> {
    let active = families().active.of(&(method, scheme))?;
    active.fetch_add(1, Ordering::Relaxed);
    Some(active)
}

/// It ended; sizes where they are known.
pub(crate) fn ended(
    key: &Key,
    seconds: f64,
    request: Option<u64>,
    response: Option<u64>,
    exemplar: Option<(TraceId, SpanId)>,
) {
    let families = families();
    families.duration.record(key, seconds, exemplar);
    // One example of a request is enough.
    if let Some(size) = request {
        families.request_size.record(key, size as f64, None);
    }
    if let Some(size) = response {
        families.response_size.record(key, size as f64, None);
    }
}

/// A span's name: `{method} {route}`, or the method alone.
pub(crate) fn span_name(method: &'static str, route: Option<&str>) -> Cow<'static, str> {
    let method = words::name_of(method);
    match route {
        Some(route) => format!("{method} {route}").into(),
        None => method.into(),
    }
}
