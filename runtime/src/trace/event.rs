//! Where `tracing` events and first-surfaced errors go: the seam between the subscriber and the logs.

use super::context::SpanContext;
use crate::metrics::registry::LabelSet;
use crate::metrics::{Amount, CallLabels};
use crate::probe::ErrorRef;
use crate::site::Site;
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata};

/// What the subscriber asks about events and hands them to.
pub(crate) trait EventSink: Send + Sync {
    /// Asked once per call site, and again when the filter changes (`callsite::rebuild_interest_cache`). An answer of
    /// always or never spares every later question.
    fn interest(&self, metadata: &'static Metadata<'static>) -> Interest;

    /// Asked where the interest was left open.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool;

    /// The most verbose level that can be enabled.
    fn max_level_hint(&self) -> Option<LevelFilter>;

    /// One event, and the span it belongs to.
    fn event(&self, event: &Event<'_>, ctx: Option<&SpanContext>);

    /// An error where it first surfaced: the one line it is worth, at the site's `err` level.
    fn error(&self, site: &'static Site, error: &ErrorRef<'_>, ctx: Option<&SpanContext>);

    /// A call moved a counter or gave a histogram a sample. Asked only while some test captures.
    fn call_ended(&self, _site: &'static Site, _end: &CallEnd) {}

    /// A layer, a job or a statement on a database did. Asked only while some test captures.
    fn measured(&self, _measured: Measured) {}
}

/// What a call left in the metrics.
pub(crate) enum CallEnd {
    /// Its counter moved.
    Counted { labels: CallLabels, amount: Amount },
    /// Its histogram took a sample.
    Timed { labels: CallLabels, ticks: u64 },
}

/// What something other than an attribute left in the metrics.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) labels: LabelSet,
    pub(crate) moved: Moved,
}

/// How.
pub(crate) enum Moved {
    /// A counter, by so much.
    By(i64),
    /// A histogram took this sample.
    Sample(f64),
}
