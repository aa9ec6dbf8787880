//! One request from its head to the end of its response.

use super::layer::Settings;
use super::request_id::{self, RequestId};
use super::server::{self, ErrorType, Key};
use super::words;
use crate::clock;
use crate::outcome::CallOutcome;
use crate::site::{Def, Site, Slots, SpanDef, SpanKind};
use crate::trace::active::{ActiveSpan, Parent, SpanOptions};
use crate::trace::body::Scalar;
use http::request::Parts;
use http::{HeaderMap, Uri, header, response};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tracing_core::field::Value;

static SITE: Site = Site {
    def: Def {
        // No function of the user's.
        function: "",
        module: "vitalsign::http",
        file: "",
        line: 0,
        asynchronous: true,
        fallible: true,
        span: Some(SpanDef {
            name: "HTTP",
            kind: SpanKind::Server,
            fields: &[
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
            ..SpanDef::DEFAULT
        }),
        counter: None,
        timer: None,
    },
    slots: Slots::new(),
};

/// What is kept of a request until its response has left.
pub(super) struct Exchange {
    span: ActiveSpan,
    start: u64,
    key: Key,
    /// For the access line.
    uri: Option<Uri>,
    request_id: Option<RequestId>,
    #[cfg(feature = "logs")]
    scope: Option<crate::logs::Scope>,
    active: Option<Arc<AtomicI64>>,
    request_size: Option<u64>,
    sent: u64,
    open: bool,
}

impl Exchange {
    pub(super) fn begin(parts: &mut Parts, settings: &Arc<Settings>) -> Self {
        let start = clock::now();
        let key = Key {
            method: words::method(&parts.method),
            scheme: words::scheme(&parts.uri),
            route: settings.route(parts),
            status: 0,
            error: ErrorType::None,
            version: words::version(parts.version),
        };
        let active = server::began(key.method, key.scheme);
        let options = crate::trace::extract(&parts.headers).map(|context| {
            let mut options = Box::<SpanOptions>::default();
            options.parent = Parent::Of(context);
            options
        });
        let mut span = ActiveSpan::default();
        span.open(&SITE, start, options);
        if span.recording() {
            describe(&span, &key, parts, settings);
        }
        let request_id = settings.request_id.then(|| {
            let id = RequestId::of(&parts.headers).unwrap_or_else(RequestId::mint);
            parts.headers.insert(request_id::HEADER, id.header());
            parts.extensions.insert(id.clone());
            id
        });
        Self {
            span,
            start,
            key,
            uri: settings.access_line.then(|| parts.uri.clone()),
            #[cfg(feature = "logs")]
            scope: request_id
                .as_ref()
                .map(|id| crate::logs::ScopeBuilder::new().value("request_id", id.as_str()).done()),
            request_id,
            active,
            request_size: content_length(&parts.headers),
            sent: 0,
            open: true,
        }
    }

    /// What runs until the guard is dropped belongs to this request.
    pub(super) fn enter(&self) -> Entered<'_> {
        self.span.enter(&SITE);
        Entered {
            #[cfg(feature = "logs")]
            _scope: self
                .scope
                .as_ref()
                .map(|scope| crate::logs::scope_enter(Some(scope.clone()))),
            span: &self.span,
        }
    }

    /// The head of the response is there.
    pub(super) fn responded(&mut self, parts: &mut response::Parts) {
        self.key.status = parts.status.as_u16();
        if parts.status.is_server_error() {
            self.key.error = ErrorType::Status;
        }
        if let Some(id) = &self.request_id {
            parts.headers.entry(request_id::HEADER).or_insert_with(|| id.header());
        }
    }

    /// So many bytes of the body were handed over.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
    }

    /// Whether the response is complete without a body.
    pub(super) fn wants_no_body(&self) -> bool {
        self.key.method == "HEAD" || matches!(self.key.status, 100..=199 | 204 | 304)
    }

    /// The response was handed over whole.
    pub(super) fn completed(mut self) {
        let outcome = if self.key.error == ErrorType::None {
            CallOutcome::Ok
        } else {
            CallOutcome::Error
        };
        self.end(outcome);
    }

    /// No response, or half of one.
    pub(super) fn failed(mut self, error: &'static str) {
        self.key.error = ErrorType::Named(error);
        self.end(CallOutcome::Error);
    }

    fn end(&mut self, outcome: CallOutcome) {
        self.open = false;
        let end = clock::now();
        if let Some(active) = &self.active {
            active.fetch_sub(1, Ordering::Relaxed);
        }
        let seconds = clock::nanos_between(self.start, end) as f64 / 1e9;
        if outcome == CallOutcome::Panic {
            self.key.error = ErrorType::Named("panic");
        }
        if self.span.recording() {
            if self.key.status != 0 {
                self.span
                    .add("http.response.status_code", Scalar::I64(self.key.status.into()));
            }
            if let Some(error) = self.key.error.text(self.key.status) {
                self.span.add("error.type", Scalar::Text(&error));
            }
        }
        let response_size = (self.key.status != 0).then_some(self.sent);
        let exemplar = self.span.exemplar();
        server::ended(&self.key, seconds, self.request_size, response_size, exemplar);
        if let Some(uri) = &self.uri {
            let _entered = self.enter();
            self.access_line(uri.path(), seconds, outcome);
        }
        self.span.close(end, outcome);
    }

    fn access_line(&self, path: &str, seconds: f64, outcome: CallOutcome) {
        let (method, status) = (self.key.method, self.key.status);
        let route = self.key.route.and_then(|index| server::ROUTES.value(index.into()));
        let status_code = (status != 0).then_some(status);
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
                        http.response.body.size = self.sent,
                        duration = seconds,
                        outcome
                    },
                    "{method} {path} {}",
                    Shown(status_code)
                )
            };
        }
        if self.key.error == ErrorType::None {
            line!(info);
        } else {
            line!(error);
        }
    }
}

/// A status that may not have come.
struct Shown(Option<u16>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(status) => write!(f, "{status}"),
            None => f.write_str("-"),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.open {
            self.end(if std::thread::panicking() {
                CallOutcome::Panic
            } else {
                CallOutcome::Cancelled
            });
        }
    }
}

/// The request's span, and its fields of log lines, are current while this lives.
pub(super) struct Entered<'a> {
    #[cfg(feature = "logs")]
    _scope: Option<crate::logs::ScopeEntered>,
    span: &'a ActiveSpan,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.span.exit();
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn describe(span: &ActiveSpan, key: &Key, parts: &Parts, settings: &Settings) {
    let route = key.route.and_then(|index| server::ROUTES.value(index.into()));
    let name = server::span_name(key.method, route);
    let original = (key.method == words::OTHER).then_some(parts.method.as_str());
    let query = parts.uri.query().map(words::query);
    let (address, port) = words::server(&parts.uri, &parts.headers);
    let port = port.filter(|port| *port != words::default_port(key.scheme));
    let agent = parts.headers.get(header::USER_AGENT);
    let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    span.fields(
        &SITE,
        &[
            &&*name as &dyn Value,
            &"server",
            &key.method,
            &original,
            &route,
            &parts.uri.path(),
            &query.as_deref(),
            &key.scheme,
            &address,
            &port,
            &key.version,
            &agent.as_deref(),
        ],
    );
    for (name, attribute) in &settings.headers {
        let values: Vec<_> = parts
            .headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()))
            .collect();
        if !values.is_empty() {
            span.add(attribute, Scalar::Text(&values.join(", ")));
        }
    }
}
