//! The server's end of a request: what its span says, its request id and its access line.

use super::exchange::{Exchange, site};
use super::head::{Head, KeptPath};
use super::measure::{self, ErrorType, First, Key, Measured, Operation, Side};
use super::request_id::RequestId;
use super::rpc::{self, Code, Rpc};
use super::settings::Settings;
use super::words;
use crate::outcome::CallOutcome;
use crate::site::{Site, SpanKind};
use crate::trace::body::Scalar;
use std::sync::Arc;

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
    operation: Arc<Operation>,
    /// For the access line.
    path: Option<KeptPath>,
    request_id: Option<RequestId>,
    #[cfg(feature = "logs")]
    scope: Option<crate::logs::RequestScope>,
}

impl Served {
    /// The fields of the request's lines are on those that are written until the guard is dropped.
    #[cfg(feature = "logs")]
    pub(super) fn enter(&mut self) -> Option<crate::logs::ScopeEntered<'_, crate::logs::RequestScope>> {
        self.scope.as_mut().map(crate::logs::scope_enter_request)
    }

    /// It is not under way any more, and had these labels.
    pub(super) fn ended(&self, key: &Key, measured: &Measured) {
        self.operation.ended(key, measured);
    }

    /// The path, where there is to be an access line.
    pub(super) fn take_path(&mut self) -> Option<KeptPath> {
        self.path.take()
    }
}

impl Exchange {
    /// A request has come in to a service; `route` is what its router says.
    pub(super) fn serve(head: &impl Head, route: Option<&str>, settings: &Settings, first: &First) -> Box<Self> {
        let rpc = head.rpc();
        let operation = measure::began(head, route, first);
        let of = if rpc.is_some() { &RPC } else { &HTTP };
        let mut exchange = Self::begin(Side::Server, of, operation.key.clone(), rpc, head.context());
        if exchange.span.recording() {
            describe(&mut exchange, head, operation.common, settings);
        }
        exchange.sized(head.content_length());
        let request_id = settings
            .request_id
            .then(|| head.request_id().unwrap_or_else(RequestId::mint));
        exchange.served = Some(Served {
            operation,
            path: settings.access_line.then(|| head.kept_path()),
            #[cfg(feature = "logs")]
            scope: request_id.clone().map(crate::logs::RequestScope::of_request),
            request_id,
        });
        exchange
    }

    /// The request's id, for whom the request is given to.
    pub(super) fn request_id(&self) -> Option<&RequestId> {
        self.served.as_ref()?.request_id.as_ref()
    }

    /// The same, to be echoed: no one asks after that.
    pub(super) fn take_request_id(&mut self) -> Option<RequestId> {
        self.served.as_mut()?.request_id.take()
    }
}

fn describe(exchange: &mut Exchange, head: &impl Head, common: Option<u32>, settings: &Settings) {
    let (span, key) = (&mut exchange.span, &exchange.key);
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
        let original = (key.method == words::OTHER).then_some(head.method());
        let query = head.query().map(words::query);
        let own = [
            (3, original.map(Into::into)),
            (5, Some(head.path().into())),
            (6, query.as_deref().map(Into::into)),
            (8, address.map(Into::into)),
            (9, port.map(Into::into)),
            (11, agent.as_deref().map(Into::into)),
        ];
        if !common.is_some_and(|common| span.common_fields(common, &HTTP, &own)) {
            let route = measure::route(key.place);
            let name = words::span_name(key.method, route);
            let mut all = [None; 12];
            all[0] = Some((&*name).into());
            all[1] = Some("server".into());
            all[2] = Some(key.method.into());
            all[4] = route.map(Into::into);
            all[7] = Some(key.scheme.into());
            all[10] = key.version.map(Into::into);
            for (at, value) in own {
                all[at] = value;
            }
            span.plain_fields(&HTTP, &all);
        }
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
    let route = measure::route(key.place);
    describe_unknown(exchange, rpc);
    span.replace("otel.name", &words::span_name(key.method, route));
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
pub(super) fn access_line(
    key: &Key,
    path: &KeptPath,
    size: Option<u64>,
    code: Option<Code>,
    seconds: f64,
    outcome: CallOutcome,
) {
    let (method, path, status) = (key.method, path.as_str(), key.status);
    let route = measure::route(key.place);
    let status_code = (status != 0).then_some(status);
    let rpc_status = code.map(Code::name);
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
    if key.error == ErrorType::None {
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
