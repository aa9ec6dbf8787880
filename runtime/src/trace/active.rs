//! The span of one call, as the call sees it.

use super::context::{SpanContext, SpanId, TraceId};
use crate::outcome::CallOutcome;
use crate::probe::ErrorRef;
use crate::site::Site;
use tracing_core::field::Value;

/// What the store remembers of a site.
pub struct SpanSlot {}

impl SpanSlot {
    pub(crate) const fn new() -> Self {
        Self {}
    }

    /// What the dispatcher thinks of the site's call site.
    pub(crate) fn set_interest(&self, _interest: tracing_core::subscriber::Interest) {}
}

/// Where a new span hangs.
#[derive(Clone, Debug, Default)]
pub(crate) enum Parent {
    /// Under what is current.
    #[default]
    Current,
    /// A new trace.
    Root,
    /// Under this span, of this process or another.
    Of(SpanContext),
}

/// What was said of a span before it opened.
#[derive(Default)]
pub(crate) struct SpanOptions {
    pub(crate) parent: Parent,
    pub(crate) links: Vec<SpanContext>,
}

impl SpanOptions {
    /// Keeps the values of fields until the span opens: they were asked for before its first poll.
    pub(crate) fn hold(&mut self, _site: &'static Site, _values: &[&dyn Value]) {}
}

/// The span of one call: recorded, or present for its ids only, or none.
#[derive(Default)]
pub(crate) struct ActiveSpan {}

impl ActiveSpan {
    /// Asks filter and sampler, and opens the span.
    pub(crate) fn open(_site: &'static Site, _start: u64, _options: Option<Box<SpanOptions>>) -> Self {
        Self {}
    }

    /// Attributes given to this span are kept.
    pub(crate) fn recording(&self) -> bool {
        false
    }

    /// Makes it current on this thread.
    #[inline]
    pub(crate) fn enter(&self) {}

    /// Ends what `enter` began, on the same thread.
    #[inline]
    pub(crate) fn exit(&self) {}

    /// Values for the site's fields, by position.
    pub(crate) fn fields(&self, _site: &'static Site, _values: &[&dyn Value]) {}

    /// The returned value, as the attribute `return`.
    pub(crate) fn returned(&self, _value: &dyn Value) {}

    /// Status Error, `error.type`, and where it first surfaced the exception and its log line.
    pub(crate) fn error(&self, _site: &'static Site, _error: &ErrorRef<'_>) {}

    /// Ends it. On panic the message and place that the hook kept are recorded.
    pub(crate) fn close(&mut self, _end: u64, _outcome: CallOutcome) {}

    /// Its ids when it is sampled, else those of the sampled span current on this thread.
    pub(crate) fn exemplar(&self) -> Option<(TraceId, SpanId)> {
        None
    }
}
