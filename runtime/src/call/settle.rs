//! What a returned value says of its call.

use super::amount::IntoAmount;
use crate::metrics::Amount;
use crate::metrics::label::{ErrorIndex, Labels};
use crate::operation::ErrorKind;
use crate::outcome::CallOutcome;
use crate::probe::{self, ErrorRef, ErrorValue};
use crate::site::Site;
use crate::trace::active::ActiveSpan;
use crate::trace::body::Scalar;
use crate::trace::direct;
use std::borrow::Cow;
use tracing_core::field::Value;

/// What a call came to.
pub struct Ended {
    pub(super) outcome: CallOutcome,
    pub(super) error: Option<ErrorIndex>,
    /// What it is called, where an operation wants to know.
    pub(super) kind: Option<ErrorKind>,
    pub(super) count: Labels,
    pub(super) time: Labels,
    pub(super) amount: Option<Amount>,
    /// Nothing but the outcome.
    plain: bool,
}

impl Ended {
    #[inline]
    pub(crate) fn is_error(&self) -> bool {
        self.outcome == CallOutcome::Error
    }

    #[inline]
    pub(crate) const fn by(outcome: CallOutcome) -> Self {
        Self {
            outcome,
            error: None,
            kind: None,
            count: Labels::NONE,
            time: Labels::NONE,
            amount: None,
            plain: true,
        }
    }

    #[inline]
    pub(super) fn outcome(&self) -> CallOutcome {
        self.outcome
    }

    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }
}

/// Where the span is that a returned value is shown to.
#[derive(Clone, Copy)]
pub(crate) enum SpanOf<'a> {
    None,
    /// A plain function's, by its token.
    Call(u64),
    /// A future's.
    Task(&'a ActiveSpan),
}

impl SpanOf<'_> {
    /// Attributes given to the span are kept.
    #[inline]
    pub(crate) fn recording(self) -> bool {
        match self {
            Self::None => false,
            Self::Call(token) => direct::is_recorded(token),
            Self::Task(span) => span.recording(),
        }
    }

    /// Another attribute, whose name was not given before.
    pub(crate) fn add(self, key: &str, value: Scalar<'_>) {
        match self {
            Self::None => {}
            Self::Call(token) => direct::add(token, key, value),
            Self::Task(span) => span.add(key, value),
        }
    }

    /// An attribute in place of one that may have been given before.
    fn replace(self, key: &str, value: &str) {
        match self {
            Self::None => {}
            Self::Call(token) => direct::replace(token, key, value),
            Self::Task(span) => span.replace(key, value),
        }
    }

    fn returned(self, value: &dyn Value) {
        match self {
            Self::None => {}
            Self::Call(token) => direct::returned(token, value),
            Self::Task(span) => span.returned(value),
        }
    }

    /// Status Error, `error.type`, and where it first surfaced the exception and its log line.
    pub(crate) fn error(self, site: &'static Site, error: &ErrorRef<'_>) {
        match self {
            Self::None => {}
            Self::Call(token) => direct::error(token, site, error),
            Self::Task(span) => span.error(site, error),
        }
    }
}

/// A call about to be settled by its returned value.
///
/// It holds no more of the call than where its span is, so that asking a value what it means costs a counter nothing.
pub struct Settle<'a> {
    site: &'static Site,
    span: SpanOf<'a>,
    decided: Option<bool>,
    ended: Ended,
}

impl<'a> Settle<'a> {
    #[inline]
    pub(super) fn of(site: &'static Site, span: SpanOf<'a>) -> Self {
        Self {
            site,
            span,
            decided: None,
            ended: Ended::by(CallOutcome::Ok),
        }
    }
}

impl Settle<'_> {
    /// `ok_if` and `error_if`: whatever the type says, this holds.
    #[inline]
    pub fn decide(&mut self, ok: bool) {
        self.decided = Some(ok);
    }

    /// Attributes given to the span are kept.
    #[inline]
    pub fn recording(&self) -> bool {
        self.span.recording()
    }

    /// The returned value, for the span.
    #[inline]
    pub fn ret(&mut self, value: &dyn Value) {
        self.span.returned(value);
    }

    /// The counter's labels taken from the returned value.
    #[inline]
    pub fn count_labels(&mut self, labels: Labels) {
        self.ended.plain = false;
        self.ended.count = labels;
    }

    /// The histogram's labels taken from the returned value.
    #[inline]
    pub fn time_labels(&mut self, labels: Labels) {
        self.ended.plain = false;
        self.ended.time = labels;
    }

    /// `by = |ret| …`.
    #[inline]
    pub fn by(&mut self, amount: impl IntoAmount) {
        self.ended.plain = false;
        self.ended.amount = Some(amount.into_amount());
    }

    /// The error's label; a variant may say that it is no failure.
    #[inline]
    pub(crate) fn error_label(&mut self, index: ErrorIndex, failure: bool) {
        self.ended.plain = false;
        self.ended.error = Some(index);
        if !failure && self.decided.is_none() {
            self.decided = Some(true);
        }
    }

    /// The returned value is an error, unless it was decided otherwise; where to show it.
    #[inline]
    pub(crate) fn fail(&mut self) -> Option<(&'static Site, SpanOf<'_>)> {
        if self.decided == Some(true) {
            return None;
        }
        self.ended.outcome = CallOutcome::Error;
        match self.span {
            SpanOf::None => None,
            span => Some((self.site, span)),
        }
    }

    /// What the error is called, where an operation wants to know.
    #[inline]
    pub(crate) fn error_kind(&mut self, kind: Option<ErrorKind>) {
        if kind.is_some() {
            self.ended.plain = false;
            self.ended.kind = kind;
        }
    }

    /// The code with which a database refused, after the error was shown: by the conventions it is the error's type.
    pub fn code(&mut self, code: Option<String>) {
        if let (Some(code), CallOutcome::Error) = (code, self.ended.outcome) {
            self.span.replace("db.response.status_code", &code);
            self.span.replace("error.type", &code);
            self.error_kind(self.site.def.operation().map(|operation| operation.error_kind(&code)));
        }
    }

    /// What it came to, for [`Call::end`](super::Call::end).
    #[inline]
    pub fn ended(mut self) -> Ended {
        if self.decided == Some(false)
            && self.ended.outcome == CallOutcome::Ok
            && let Some((site, span)) = self.fail()
        {
            let opaque = ErrorValue::Opaque("error_if");
            let kind = probe::show(site, span, Cow::Borrowed("_OTHER"), "", opaque);
            self.error_kind(kind);
        }
        self.ended
    }
}
