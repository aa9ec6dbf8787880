//! One request from its head to the end of its response, on either end of the wire.

use super::measure::{self, ErrorType, Key, Measured, ROUTES, Side};
use super::rpc::{Code, Rpc};
use super::server::Served;
use super::words;
use crate::clock;
use crate::future::poll_held;
use crate::metrics::dynamic::Sample;
use crate::outcome::CallOutcome;
use crate::site::{Def, Site, Slots, SpanDef, SpanKind};
use crate::trace::SpanContext;
use crate::trace::active::{ActiveSpan, SpanOptions};
use crate::trace::body::Scalar;
use crate::trace::passing::Through;
use http::HeaderMap;
use pin_project_lite::pin_project;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The site of the spans of one kind: no function of the user's.
pub(super) const fn site(name: &'static str, kind: SpanKind, fields: &'static [&'static str]) -> Site {
    Site {
        def: Def {
            function: "",
            module: "vitalsign::http",
            file: "",
            line: 0,
            asynchronous: true,
            fallible: true,
            span: Some(SpanDef {
                name,
                kind,
                fields,
                ..SpanDef::DEFAULT
            }),
            counter: None,
            timer: None,
        },
        slots: Slots::new(),
    }
}

/// Of the places among the routes, so many are open to methods that have only failed so far: a stranger may have made those up. The rest is
/// kept for what is known to be there.
const GUESSED: usize = 250;

/// Bytes of a request's body that buffers may hold before the request begins here.
const BUFFERED: u64 = 16 << 20;

/// Bytes in a second that no wire exceeds.
const PACE: f64 = 10e9;

/// Whether a server can have got so much in that time. What a stranger announces and nobody reads is any number, and one is enough to spoil
/// a sum.
fn can_have_come(bytes: u64, seconds: f64) -> bool {
    bytes <= BUFFERED || bytes as f64 <= seconds * PACE
}

/// What is kept of a request until its response has left, or has come. In a box, for frameworks move futures and bodies about.
pub(super) struct Exchange {
    pub(super) side: Side,
    pub(super) span: ActiveSpan,
    site: &'static Site,
    start: u64,
    pub(super) key: Key,
    pub(super) rpc: Option<Box<Rpc>>,
    /// On a server.
    pub(super) served: Option<Served>,
    request_size: Option<u64>,
    /// Bytes of the response's body so far, where it is seen.
    pub(super) passed: Option<u64>,
    /// Bytes that there are to be of it, where its size or its head says so.
    pub(super) announced: Option<u64>,
    open: bool,
    /// What ran in it has unwound.
    panicked: bool,
}

impl Exchange {
    /// Opens the span.
    pub(super) fn begin(
        side: Side,
        site: &'static Site,
        key: Key,
        rpc: Option<Box<Rpc>>,
        parent: Option<SpanContext>,
    ) -> Box<Self> {
        let start = clock::now();
        let options = parent.map(SpanOptions::under);
        let mut exchange = Box::new(Self {
            side,
            span: ActiveSpan::default(),
            site,
            start,
            key,
            rpc,
            served: None,
            request_size: None,
            passed: Some(0),
            announced: None,
            open: true,
            panicked: false,
        });
        exchange.span.open(site, start, options.as_ref());
        exchange
    }

    /// What `Content-Length` says of the request.
    pub(super) fn sized(&mut self, content_length: Option<&[u8]>) {
        self.request_size = content_length.and_then(words::length);
    }

    /// What runs until the guard is dropped belongs to this request.
    pub(super) fn enter(&mut self) -> Entered<'_> {
        Entered::new(&mut self.span, self.site, self.served.as_mut(), &mut self.panicked)
    }

    /// The head of the response is there.
    pub(super) fn responded(&mut self, status: u16) {
        self.key.status = status;
        // On a client a 4xx is an error too.
        let failed = match self.side {
            Side::Server => status >= 500,
            Side::Client => status >= 400,
        };
        if failed {
            self.key.error = ErrorType::Status;
        }
    }

    /// Headers or trailers of the response, where gRPC has its status.
    pub(super) fn look(&mut self, headers: &HeaderMap) {
        if let Some(rpc) = &mut self.rpc {
            rpc.look(headers);
        }
    }

    /// So many bytes of the body were handed over.
    pub(super) fn pass(&mut self, bytes: u64) {
        if let Some(passed) = &mut self.passed {
            *passed += bytes;
        }
    }

    /// All that was announced was handed over: a server of HTTP/1.1 asks for no more, and drops the body.
    pub(super) fn is_whole(&self) -> bool {
        self.announced.is_some() && self.passed >= self.announced
    }

    /// The body of the response does not come by here.
    #[cfg(feature = "actix-web")]
    pub(super) fn unseen(&mut self) {
        self.passed = None;
    }

    /// Whether the response is complete without a body.
    pub(super) fn wants_no_body(&self) -> bool {
        self.key.method == "HEAD" || matches!(self.key.status, 100..=199 | 204 | 304)
    }

    /// The response was handed over whole.
    pub(super) fn completed(mut self: Box<Self>) {
        self.end(CallOutcome::Ok);
    }

    /// No response, or half of one.
    pub(super) fn failed(mut self: Box<Self>, error: impl Into<Cow<'static, str>>) {
        self.key.error = ErrorType::Named(error.into());
        self.end(CallOutcome::Error);
    }

    fn end(&mut self, outcome: CallOutcome) {
        self.open = false;
        let end = clock::now();
        if outcome == CallOutcome::Panic {
            self.key.error = ErrorType::Named("panic".into());
        }
        let code = self.rpc_code(outcome);
        let outcome = match outcome {
            CallOutcome::Ok if self.key.error != ErrorType::None => CallOutcome::Error,
            other => other,
        };
        if self.span.recording() {
            self.describe_end(code);
        }
        let took = Sample::duration(self.start, end, self.span.exemplar());
        let measured = Measured {
            took,
            request_size: self
                .request_size
                .filter(|bytes| self.side == Side::Client || can_have_come(*bytes, took.value)),
            response_size: self
                .passed
                .filter(|_| self.side == Side::Server && self.key.status != 0),
        };
        if let (Some(rpc), Some(code)) = (&self.rpc, code) {
            let known = self.knows_method(rpc, code);
            let method = ROUTES.index(if known { &rpc.method } else { words::OTHER }) as u16;
            if self.side == Side::Server && known {
                self.key.place = Some(method);
            }
            let error = self.key.error.text(self.key.status);
            measure::called(self.side, &(method, code, error), &measured);
        }
        if self.side == Side::Client {
            measure::ended(&self.key, &measured);
        }
        if let Some(served) = &mut self.served {
            served.ended(&self.key, &measured);
            if let Some(path) = served.take_path() {
                let _entered = Entered::new(&mut self.span, self.site, Some(served), &mut self.panicked);
                super::server::access_line(&self.key, &path, self.passed, code, measured.took.value, outcome);
            }
        }
        self.span.close(end, outcome);
    }

    /// The call's status, where it is one of gRPC: it decides over HTTP's.
    fn rpc_code(&mut self, outcome: CallOutcome) -> Option<Code> {
        let rpc = self.rpc.as_ref()?;
        if self.side == Side::Server && rpc.is_answered_plainly(self.key.status) {
            return None;
        }
        if outcome == CallOutcome::Cancelled {
            return Some(Code::CANCELLED);
        }
        let code = rpc.code(self.key.status);
        let fails = match self.side {
            Side::Server => code.fails_server(),
            Side::Client => code.fails_client(),
        };
        if !matches!(self.key.error, ErrorType::Named(_)) {
            self.key.error = if fails {
                ErrorType::Named(code.name().into())
            } else {
                ErrorType::None
            };
        }
        Some(code)
    }

    /// A method that the server does not know is whatever a stranger wrote.
    fn knows_method(&self, rpc: &Rpc, code: Code) -> bool {
        let answered = match self.side {
            Side::Server => rpc.is_served() || rpc.seems_served() && ROUTES.value(GUESSED - 1).is_none(),
            Side::Client => code != Code::UNIMPLEMENTED,
        };
        answered || ROUTES.knows(&rpc.method)
    }

    fn describe_end(&self, code: Option<Code>) {
        match (&self.rpc, code) {
            (Some(rpc), None) => super::server::describe_plain(self, rpc),
            (Some(rpc), Some(code)) if self.side == Side::Server && !self.knows_method(rpc, code) => {
                super::server::describe_unknown(self, rpc);
            }
            _ => {}
        }
        match code {
            Some(code) => self.span.add("rpc.status_code", Scalar::Text(code.name())),
            None if self.key.status != 0 => {
                self.span
                    .add("http.response.status_code", Scalar::I64(self.key.status.into()));
            }
            None => {}
        }
        if let (Side::Client, Some(version)) = (self.side, self.key.version) {
            self.span.add("network.protocol.version", Scalar::Text(version));
        }
        if let Some(error) = self.key.error.text(self.key.status) {
            self.span.add("error.type", Scalar::Text(&error));
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.open {
            self.end(if self.panicked || std::thread::panicking() {
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
    _scope: Option<crate::logs::ScopeEntered<'a, crate::logs::RequestScope>>,
    span: &'a ActiveSpan,
    panicked: &'a mut bool,
}

impl<'a> Entered<'a> {
    #[cfg_attr(
        not(feature = "logs"),
        expect(unused_variables, reason = "no lines to put fields on")
    )]
    fn new(
        span: &'a mut ActiveSpan,
        site: &'static Site,
        served: Option<&'a mut Served>,
        panicked: &'a mut bool,
    ) -> Self {
        span.enter(site);
        Self {
            #[cfg(feature = "logs")]
            _scope: served.and_then(Served::enter),
            span,
            panicked,
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // Noted here and now, since who catches it may drop the request long after.
        if std::thread::panicking() {
            *self.panicked = true;
        }
        self.span.exit();
    }
}

pin_project! {
    /// The handling of a request, polled as a part of it. The frameworks' futures are this one, and differ in their outputs.
    pub(super) struct Handling<F> {
        #[pin]
        inner: Option<F>,
        exchange: Option<Box<Exchange>>,
        // Where no span is made.
        through: Option<Through>,
    }

    impl<F> PinnedDrop for Handling<F> {
        // Dropped half way, what it holds ends within the request, too.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = this.exchange.as_mut().map(|it| it.enter());
            let _through = this.through.as_ref().map(Through::enter);
            this.inner.set(None);
        }
    }
}

impl<F> Handling<F> {
    /// No span is made, and the caller's context goes on.
    pub(super) fn past(through: Option<Through>, call: impl FnOnce() -> F) -> Self {
        let inner = {
            let _through = through.as_ref().map(Through::enter);
            call()
        };
        Self {
            inner: Some(inner),
            exchange: None,
            through,
        }
    }

    /// The call that makes the future is part of the request, too.
    #[inline]
    pub(super) fn call(mut exchange: Option<Box<Exchange>>, call: impl FnOnce() -> F) -> Self {
        let inner = {
            let _entered = exchange.as_mut().map(|it| it.enter());
            call()
        };
        Self {
            inner: Some(inner),
            exchange,
            through: None,
        }
    }
}

impl<F: Future> Future for Handling<F> {
    type Output = (F::Output, Option<Box<Exchange>>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = {
            let _entered = this.exchange.as_mut().map(|it| it.enter());
            let _through = this.through.as_ref().map(Through::enter);
            poll_held(this.inner, cx)
        };
        polled.map(|output| (output, this.exchange.take()))
    }
}

#[cfg(test)]
mod tests {
    use super::can_have_come;

    #[test]
    fn a_large_body_takes_its_time() {
        assert!(can_have_come(2 << 20, 0.0) && can_have_come(1 << 30, 1.0));
        assert!(!can_have_come(1 << 30, 0.001) && !can_have_come(u64::MAX, 3600.0));
    }
}
