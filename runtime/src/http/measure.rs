//! What is measured of requests that come in and go out, by the semantic conventions for HTTP and RPC.

use super::head::Head;
use super::rpc::{self, Code};
use super::words;
use crate::metrics::dynamic::{Histogram, Histograms, Meta, Numbers, Row, Sample, Table};
use crate::metrics::label::Limit;
use crate::metrics::registry::{self, LabelSet};
use crate::trace::common;
use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

/// Routes with series of their own; a mapping that makes up more shares `other`.
pub(crate) static ROUTES: Limit = Limit::new(1000);

/// Servers with series of their own; the rest share `other`.
pub(crate) static SERVERS: Limit = Limit::new(200);

/// Buckets of durations.
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

/// Which end of a request we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Server,
    Client,
}

/// The labels of one request's series.
#[derive(Clone, Eq)]
pub(super) struct Key {
    pub(super) method: &'static str,
    pub(super) scheme: &'static str,
    /// On a server the route, an index into [`ROUTES`]; on a client the server, one into [`SERVERS`].
    pub(super) place: Option<u16>,
    /// On a client.
    pub(super) port: u16,
    /// 0 when there was no response.
    pub(super) status: u16,
    pub(super) error: ErrorType,
    pub(super) version: Option<&'static str>,
}

/// Whether two words are one: they come from short lists, so nearly always they stand at one place.
fn same(one: &'static str, other: &'static str) -> bool {
    std::ptr::eq(one, other) || one == other
}

fn first(text: &str) -> u64 {
    text.as_bytes().first().copied().unwrap_or_default().into()
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.place, self.port, self.status) == (other.place, other.port, other.status)
            && same(self.method, other.method)
            && same(self.scheme, other.scheme)
            && match (self.version, other.version) {
                (Some(one), Some(other)) => same(one, other),
                (None, None) => true,
                _ => false,
            }
            && self.error == other.error
    }
}

/// One word: what tells most keys apart. Texts come from short lists, so their first bytes do.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let place = self.place.map_or(0, |place| u64::from(place) + 1);
        let whole = u64::from(self.status)
            ^ place << 10
            ^ u64::from(self.port) << 27
            ^ first(self.method) << 43
            ^ (self.method.len() as u64) << 51
            ^ self.version.map_or(0, first) << 55
            ^ (self.scheme.len() as u64) << 62;
        state.write_u64(whole);
    }
}

/// `error.type`
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ErrorType {
    None,
    /// The status code says it.
    Status,
    /// A name of low cardinality.
    Named(Cow<'static, str>),
}

impl ErrorType {
    /// The text, given the status.
    pub(super) fn text(&self, status: u16) -> Option<Cow<'static, str>> {
        match self {
            Self::None => None,
            Self::Status => Some(status.to_string().into()),
            Self::Named(name) => Some(name.clone()),
        }
    }
}

/// The text of a route.
pub(super) fn route(place: Option<u16>) -> Option<&'static str> {
    place.and_then(|index| ROUTES.value(index.into()))
}

fn labels(side: Side, key: &Key) -> LabelSet {
    let mut labels: LabelSet = Vec::with_capacity(7);
    if let Some(error) = key.error.text(key.status) {
        labels.push(("error.type".into(), error));
    }
    labels.push(("http.request.method".into(), key.method.into()));
    if key.status != 0 {
        labels.push(("http.response.status_code".into(), key.status.to_string().into()));
    }
    if side == Side::Server
        && let Some(route) = route(key.place)
    {
        labels.push(("http.route".into(), route.into()));
    }
    if let Some(version) = key.version {
        labels.push(("network.protocol.version".into(), version.into()));
    }
    if side == Side::Client {
        let server = key.place.and_then(|index| SERVERS.value(index.into()));
        labels.push(("server.address".into(), server.unwrap_or("other").into()));
        labels.push(("server.port".into(), key.port.to_string().into()));
    }
    labels.push(("url.scheme".into(), key.scheme.into()));
    labels
}

/// The labels of what is under way.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Active {
    method: &'static str,
    scheme: &'static str,
}

fn active_labels(key: &Active) -> LabelSet {
    vec![
        ("http.request.method".into(), key.method.into()),
        ("url.scheme".into(), key.scheme.into()),
    ]
}

/// The labels of one call's series: the method, an index into [`ROUTES`], its status, and how it failed.
pub(super) type RpcKey = (u16, Code, Option<Cow<'static, str>>);

fn rpc_labels((method, code, error): &RpcKey) -> LabelSet {
    let mut labels: LabelSet = Vec::with_capacity(4);
    if let Some(error) = error {
        labels.push(("error.type".into(), error.clone()));
    }
    labels.push(("rpc.method".into(), route(Some(*method)).unwrap_or(words::OTHER).into()));
    labels.push(("rpc.status_code".into(), code.name().into()));
    labels.push(("rpc.system.name".into(), rpc::SYSTEM.into()));
    labels
}

struct Families {
    /// Durations, sizes of requests and of responses.
    requests: Arc<Histograms<Key, 3>>,
    calls: Arc<Histogram<RpcKey>>,
}

impl Families {
    /// Names and helps of the duration, the sizes of requests and responses, and the calls of gRPC.
    fn new(
        [duration, request, response, calls]: [(&'static str, &'static str); 4],
        labels: fn(&Key) -> LabelSet,
    ) -> Self {
        fn meta<K>(
            (name, help): (&'static str, &'static str),
            unit: &'static str,
            labels: fn(&K) -> LabelSet,
        ) -> Meta<K> {
            Meta {
                name,
                help,
                unit,
                labels,
            }
        }
        let families = Self {
            requests: Arc::new(Histograms::of([
                (meta(duration, "s", labels), &SECONDS),
                (meta(request, "By", labels), &BYTES),
                (meta(response, "By", labels), &BYTES),
            ])),
            calls: Arc::new(Histogram::new(meta(calls, "s", rpc_labels), &SECONDS)),
        };
        registry::register(families.requests.clone());
        registry::register(families.calls.clone());
        families
    }
}

fn families(side: Side) -> &'static Families {
    static OF_SERVERS: OnceLock<Families> = OnceLock::new();
    static OF_CLIENTS: OnceLock<Families> = OnceLock::new();
    match side {
        Side::Server => OF_SERVERS.get_or_init(|| {
            let named = [
                ("http.server.request.duration", "Duration of HTTP server requests."),
                ("http.server.request.body.size", "Size of HTTP server request bodies."),
                ("http.server.response.body.size", "Size of HTTP server response bodies."),
                (
                    "rpc.server.call.duration",
                    "Duration of an incoming Remote Procedure Call (RPC).",
                ),
            ];
            registry::limited(named[0].0, "http.route", || ROUTES.overflow());
            Families::new(named, |key| labels(Side::Server, key))
        }),
        Side::Client => OF_CLIENTS.get_or_init(|| {
            let named = [
                ("http.client.request.duration", "Duration of HTTP client requests."),
                ("http.client.request.body.size", "Size of HTTP client request bodies."),
                ("http.client.response.body.size", "Size of HTTP client response bodies."),
                (
                    "rpc.client.call.duration",
                    "Duration of an outgoing Remote Procedure Call (RPC).",
                ),
            ];
            registry::limited(named[0].0, "server.address", || SERVERS.overflow());
            registry::limited(named[0].0, "server.port", super::client::overflow);
            Families::new(named, |key| labels(Side::Client, key))
        }),
    }
}

/// What the requests of a server have in common that have one method, scheme, route and version.
pub(super) struct Operation {
    /// Of a request that is not answered yet.
    pub(super) key: Key,
    /// By its place: `other` for all that there is no place for.
    route: Option<&'static str>,
    /// How many of that method and scheme are under way.
    active: Option<Arc<AtomicI64>>,
    /// Of their spans, in [`common`].
    pub(super) common: Option<u32>,
    /// Where those are counted that had the status of the first that was no error.
    usual: OnceLock<(u16, Arc<Row<3>>)>,
}

impl Operation {
    /// One whose spans say all there is to say themselves.
    fn plain(key: &Key) -> Self {
        Self {
            key: key.clone(),
            route: route(key.place),
            active: active(key.method, key.scheme),
            common: None,
            usual: OnceLock::new(),
        }
    }

    fn new(key: &Key) -> Self {
        let plain = Self::plain(key);
        let route = plain.route;
        let attributes = [
            ("http.request.method", Some(key.method)),
            ("http.route", route),
            ("url.scheme", Some(key.scheme)),
            ("network.protocol.version", key.version),
        ];
        let said = attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.into())));
        Self {
            common: common::keep(&words::span_name(key.method, route), said.collect()),
            ..plain
        }
    }

    /// Whether a request is one of these.
    fn is_of(&self, head: &impl Head, route: Option<&str>) -> bool {
        self.route == route
            && self.key.method == head.method()
            && self.key.scheme == head.scheme()
            && self.key.version == head.version()
    }

    /// One of them began, or ended.
    fn count(&self, by: i64) {
        if let Some(active) = &self.active {
            active.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// One is not under way any more, which had these labels.
    pub(super) fn ended(&self, key: &Key, measured: &Measured) {
        self.count(-1);
        let requests = &families(Side::Server).requests;
        let samples = measured.samples();
        // One that had no answer is not usual, and a call of gRPC may have come to another place.
        if key.error != ErrorType::None || key.status == 0 || key.place != self.key.place {
            return requests.record_all(key, &samples);
        }
        if self.usual.get().is_none()
            && let Some(row) = requests.row(key)
        {
            let _ = self.usual.set((key.status, row));
        }
        match self.usual.get() {
            Some((status, row)) if *status == key.status => requests.record_in(row, key, &samples),
            _ => requests.record_all(key, &samples),
        }
    }
}

/// The operation of a service's first request, kept with it. A router has a service of its own for each route and method, so that all
/// its requests are of it, and none has to be looked for.
#[derive(Default)]
pub(super) struct First(OnceLock<Arc<Operation>>);

/// A request came in to a service: to be told of its end.
pub(super) fn began(head: &impl Head, route: Option<&str>, first: &First) -> Arc<Operation> {
    let operation = match first.0.get() {
        Some(operation) if operation.is_of(head, route) => Arc::clone(operation),
        Some(_) => operation(head, route),
        None => Arc::clone(first.0.get_or_init(|| operation(head, route))),
    };
    operation.count(1);
    operation
}

fn operation(head: &impl Head, route: Option<&str>) -> Arc<Operation> {
    static OPERATIONS: OnceLock<Table<Key, Operation>> = OnceLock::new();
    let key = Key {
        method: words::method(head.method()),
        scheme: head.scheme(),
        place: route.map(|route| ROUTES.index(route) as u16),
        port: 0,
        status: 0,
        error: ErrorType::None,
        version: head.version(),
    };
    let known = OPERATIONS.get_or_init(Table::default);
    known
        .with(&key, || Some(Operation::new(&key)), Arc::clone)
        .unwrap_or_else(|| Arc::new(Operation::plain(&key)))
}

/// The number of requests under way, where there is room for a series.
fn active(method: &'static str, scheme: &'static str) -> Option<Arc<AtomicI64>> {
    static ACTIVE: OnceLock<Arc<Numbers<Active>>> = OnceLock::new();
    let active = ACTIVE.get_or_init(|| {
        let active = Arc::new(Numbers::up_down(Meta {
            name: "http.server.active_requests",
            help: "Number of active HTTP server requests.",
            unit: "{request}",
            labels: active_labels,
        }));
        registry::register(active.clone());
        active
    });
    active.of(&Active { method, scheme })
}

/// What is known of a request at its end.
pub(super) struct Measured {
    pub(super) took: Sample,
    pub(super) request_size: Option<u64>,
    pub(super) response_size: Option<u64>,
}

impl Measured {
    fn samples(&self) -> [Option<Sample>; 3] {
        // One example of a request is enough.
        let size = |bytes: Option<u64>| bytes.map(|bytes| Sample::from(bytes as f64));
        [Some(self.took), size(self.request_size), size(self.response_size)]
    }
}

/// A request of a client ended.
pub(super) fn ended(key: &Key, measured: &Measured) {
    families(Side::Client).requests.record_all(key, &measured.samples());
}

/// A call of gRPC ended.
pub(super) fn called(side: Side, key: &RpcKey, measured: &Measured) {
    families(side).calls.record(key, measured.took);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::snapshot::PointValue;
    use crate::http::head::Seen;
    use crate::metrics::registry::Source as _;

    /// So many requests of that route, by status.
    fn counts(route: &str) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        families(Side::Server).requests.families(&mut all);
        let durations = all
            .iter()
            .find(|family| family.name == "http.server.request.duration")
            .unwrap();
        let mut counts: Vec<_> = durations
            .points
            .iter()
            .filter_map(|point| {
                let labels: Vec<_> = point.labels.iter().collect();
                let of = |name: &str| {
                    labels
                        .iter()
                        .find(|(key, _)| *key == name)
                        .map(|(_, value)| (*value).to_owned())
                };
                let PointValue::Histogram(histogram) = &point.value else {
                    panic!()
                };
                let status = of("http.response.status_code").unwrap_or_default();
                (of("http.route").as_deref() == Some(route)).then(|| (status, histogram.counts.iter().sum()))
            })
            .collect();
        counts.sort();
        counts
    }

    fn began(method: &str, route: &str, first: &First) -> Arc<Operation> {
        let request = http::Request::builder().method(method).body(()).unwrap();
        super::began(&Seen::of(&request), Some(route), first)
    }

    fn ended(operation: &Operation, status: u16, route: &str) {
        let mut key = operation.key.clone();
        key.status = status;
        key.place = Some(ROUTES.index(route) as u16);
        let measured = Measured {
            took: 1.0.into(),
            request_size: None,
            response_size: None,
        };
        operation.ended(&key, &measured);
    }

    fn counted(status: &str, count: u64) -> (String, u64) {
        (status.to_owned(), count)
    }

    #[test]
    fn each_request_is_counted_where_its_labels_are() {
        let first = First::default();
        // The first has no answer, and one ends at another place than it began at.
        for (status, to) in [
            (0, "/here"),
            (200, "/here"),
            (404, "/here"),
            (200, "/there"),
            (200, "/here"),
        ] {
            ended(&began("GET", "/here", &first), status, to);
        }
        assert_eq!(counts("/here"), [counted("", 1), counted("200", 2), counted("404", 1)]);
        assert_eq!(counts("/there"), [counted("200", 1)]);
        let operation = began("GET", "/here", &first);
        assert_eq!(operation.usual.get().map(|(status, _)| *status), Some(200));
        operation.count(-1);
    }

    #[test]
    fn a_service_of_many_routes_counts_each_at_its_own() {
        let first = First::default();
        for (method, route) in [
            ("GET", "/one"),
            ("GET", "/two"),
            ("POST", "/one"),
            ("GET", "/one"),
            ("_OTHER", "/one"),
            ("BREW", "/two"),
        ] {
            let operation = began(method, route, &first);
            assert_eq!(operation.key.method, words::method(method));
            ended(&operation, 200, route);
        }
        // By method, too.
        assert_eq!(
            counts("/one"),
            [counted("200", 1), counted("200", 1), counted("200", 2)]
        );
        assert_eq!(counts("/two"), [counted("200", 1), counted("200", 1)]);
        let again = began("GET", "/one", &first);
        assert!(Arc::ptr_eq(&again, first.0.get().unwrap()));
        again.count(-1);
    }
}
