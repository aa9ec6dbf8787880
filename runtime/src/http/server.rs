//! The server's end of a request: what its span says, its request id and its access line.

use super::exchange::{Exchange, site};
use super::head::{Head, KeptPath};
use super::measure::{self, ErrorType, Key, Side};
use super::request_id::RequestId;
use super::rpc::{self, Code, Rpc};
use super::settings::Settings;
use super::words;
use crate::outcome::CallOutcome;
use crate::site::{Site, SpanKind};
use crate::trace::body::Scalar;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

static HTTP: Site = site(
    "HTTP",
    SpanKind::Server,
    &[
        "otel.name",
        "otel.kind",
        "http.request.method",
        "http.request.method_original",
        "http.route",
        "url.path",
        "url.query",
        "url.scheme",
        "server.address",
        "server.port",
        "network.protocol.version",
        "user_agent.original",
        "http.response.status_code",
        "error.type",
    ],
);

static RPC: Site = site("RPC", SpanKind::Server, rpc::FIELDS);

/// What only a server keeps of a request.
pub(super) struct Served {
    active: Option<Arc<AtomicI64>>,
    /// For the access line.
    path: Option<KeptPath>,
    request_id: Option<RequestId>,
    #[cfg(feature = "logs")]
    scope: Option<crate::logs::Scope>,
}

impl Served {
    pub(super) fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    /// The fields of the request's lines.
    #[cfg(feature = "logs")]
    pub(super) fn scope(&self) -> Option<crate::logs::ScopeEntered> {
        self.scope
            .as_ref()
            .map(|scope| crate::logs::scope_enter(Some(scope.clone())))
    }

    /// It is not under way any more.
    pub(super) fn ended(&self) {
        if let Some(active) = &self.active {
            active.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The path, where there is to be an access line.
    pub(super) fn line(&self) -> Option<&str> {
        self.path.as_ref().map(KeptPath::as_str)
    }
}

impl Exchange {
    /// A request has come in; `route` is what its router says.
    pub(super) fn serve(head: &impl Head, route: Option<&str>, settings: &Settings) -> Box<Self> {
        let rpc = head.rpc();
        let key = Key {
            method: words::method(head.method()),
            scheme: head.scheme(),
            place: route.map(|route| measure::ROUTES.index(route) as u16),
            port: 0,
            status: 0,
            error: ErrorType::None,
            version: head.version(),
        };
        let active = measure::began(key.method, key.scheme);
        let of = if rpc.is_some() { &RPC } else { &HTTP };
        let mut exchange = Self::begin(Side::Server, of, key, rpc, head.context());
        if exchange.span.recording() {
            describe(&exchange, head, settings);
        }
        exchange.sized(head.content_length());
        let request_id = settings
            .request_id
            .then(|| head.request_id().unwrap_or_else(RequestId::mint));
        exchange.served = Some(Served {
            active,
            path: settings.access_line.then(|| head.kept_path()),
            #[cfg(feature = "logs")]
            scope: request_id
                .as_ref()
                .map(|id| crate::logs::Scope::of_request(id.as_str())),
            request_id,
        });
        exchange
    }

    /// The request's id, to be echoed.
    pub(super) fn request_id(&self) -> Option<&RequestId> {
        self.served.as_ref().and_then(Served::request_id)
    }
}

/// A span's name: `{method} {route}`, in `room` where it is long enough, or the method alone.
fn span_name<'a>(method: &'static str, route: Option<&str>, room: &'a mut [u8]) -> Cow<'a, str> {
    let method = words::name_of(method);
    let Some(route) = route else { return method.into() };
    let length = method.len() + 1 + route.len();
    let Some(name) = room.get_mut(..length) else {
        return format!("{method} {route}").into();
    };
    name[..method.len()].copy_from_slice(method.as_bytes());
    name[method.len()] = b' ';
    name[method.len() + 1..].copy_from_slice(route.as_bytes());
    words::text(name)
}

fn describe(exchange: &Exchange, head: &impl Head, settings: &Settings) {
    let (span, key) = (&exchange.span, &exchange.key);
    let (address, port) = head.server();
    let port = port.filter(|port| *port != words::default_port(key.scheme));
    let agent = head.user_agent().map(words::text);
    if let Some(rpc) = &exchange.rpc {
        span.plain_fields(
            &RPC,
            &[
                Some((&*rpc.method).into()),
                Some("server".into()),
                Some(rpc::SYSTEM.into()),
                Some((&*rpc.method).into()),
                address.map(Into::into),
                port.map(Into::into),
                key.version.map(Into::into),
                agent.as_deref().map(Into::into),
            ],
        );
    } else {
        let route = measure::route(key.place);
        let mut room = [0; 128];
        let name = span_name(key.method, route, &mut room);
        let original = (key.method == words::OTHER).then_some(head.method());
        let query = head.query().map(words::query);
        span.plain_fields(
            &HTTP,
            &[
                Some((&*name).into()),
                Some("server".into()),
                Some(key.method.into()),
                original.map(Into::into),
                route.map(Into::into),
                Some(head.path().into()),
                query.as_deref().map(Into::into),
                Some(key.scheme.into()),
                address.map(Into::into),
                port.map(Into::into),
                key.version.map(Into::into),
                agent.as_deref().map(Into::into),
            ],
        );
    }
    for (name, attribute) in &settings.headers {
        let values: Vec<_> = head.headers(name).into_iter().map(words::text).collect();
        if !values.is_empty() {
            span.add_texts(attribute, &values);
        }
    }
}

/// What called itself gRPC was answered as a request of HTTP.
#[cold]
pub(super) fn describe_plain(exchange: &Exchange, rpc: &Rpc) {
    let (span, key) = (&exchange.span, &exchange.key);
    let mut room = [0; 128];
    let route = measure::route(key.place);
    describe_unknown(exchange, rpc);
    span.replace("otel.name", &span_name(key.method, route, &mut room));
    span.add("http.request.method", Scalar::Text(key.method));
    if let Some(route) = route {
        span.add("http.route", Scalar::Text(route));
    }
    span.add("url.path", Scalar::Text(&format!("/{}", rpc.method)));
    span.add("url.scheme", Scalar::Text(key.scheme));
}

/// A method that the server is not known to have.
#[cold]
pub(super) fn describe_unknown(exchange: &Exchange, rpc: &Rpc) {
    let span = &exchange.span;
    span.replace("otel.name", rpc::SYSTEM);
    span.replace("rpc.method", words::OTHER);
    span.add("rpc.method_original", Scalar::Text(&rpc.method));
}

/// One line for one request.
pub(super) fn access_line(exchange: &Exchange, path: &str, code: Option<Code>, seconds: f64, outcome: CallOutcome) {
    let (method, status) = (exchange.key.method, exchange.key.status);
    let route = measure::route(exchange.key.place);
    let status_code = (status != 0).then_some(status);
    let rpc_status = code.map(Code::name);
    let size = exchange.passed;
    let outcome = outcome.as_str();
    // Level and target of a line are part of its call site.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "vitalsign::access",
                {
                    http.request.method = method,
                    url.path = path,
                    http.route = route,
                    http.response.status_code = status_code,
                    http.response.body.size = size,
                    rpc.status_code = rpc_status,
                    duration = seconds,
                    outcome
                },
                "{method} {path} {}",
                Shown(status_code, rpc_status)
            )
        };
    }
    if exchange.key.error == ErrorType::None {
        line!(info);
    } else {
        line!(error);
    }
}

/// A status that may not have come: gRPC's, else HTTP's.
struct Shown(Option<u16>, Option<&'static str>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self(_, Some(code)) => f.write_str(code),
            Self(Some(status), None) => write!(f, "{status}"),
            Self(None, None) => f.write_str("-"),
        }
    }
}
