//! What one test did: spans, counters, durations and log lines, apart from tests that run beside it.
//!
//! [`capture`] needs no `init()` and exports nothing. It holds for the thread that asked, as `tracing`'s scoped subscribers do, and
//! for every future or task given to [`Capture::follow`]; under `#[tokio::test]`'s own runtime that is the whole test.
//!
//! # Examples
//!
//! ```
//! #[vitalsign::traced]
//! #[vitalsign::counted(name = "orders.placed")]
//! fn place_order(n: u32) -> Result<u32, String> {
//!     tracing::info!(n, "placing");
//!     if n == 0 { Err("nothing ordered".to_owned()) } else { Ok(n) }
//! }
//!
//! let capture = vitalsign::testing::capture();
//! place_order(2).unwrap();
//! place_order(0).unwrap_err();
//!
//! assert_eq!(capture.count("orders.placed", &[("outcome", "ok")]), 1.0);
//! assert_eq!(capture.tree(), "place_order\nplace_order  error: nothing ordered\n");
//! assert_eq!(capture.lines()[0].field("n"), Some("2"));
//! ```

mod decode;
#[cfg(test)]
mod tests;

use crate::metrics::Amount;
use crate::metrics::registry;
use crate::probe::{ErrorRef, ErrorValue};
use crate::site::Site;
use crate::trace::event::{CallEnd, EventSink, Measured, Moved};
use crate::trace::pipeline::{self, EncodedSpans, Pipeline, SpanSink, TraceSetup};
use crate::trace::tree::{Node, Tree};
use crate::trace::{SpanContext, SpanId, TraceId};
use crate::{clock, metrics, switch};
use pin_project_lite::pin_project;
use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tracing_core::dispatcher::{self, DefaultGuard, Dispatch};
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Level, LevelFilter, Metadata, Subscriber};

/// Begins to record what this thread does, until the returned value is dropped.
///
/// # Panics
///
/// When the background thread of the spans cannot be started.
pub fn capture() -> Capture {
    static BYSTANDER: OnceLock<Dispatch> = OnceLock::new();
    BYSTANDER.get_or_init(|| Dispatch::new(Bystander));
    let seen = Arc::new(Seen::default());
    let mut setup = TraceSetup::new(seen.clone(), seen.clone());
    "trace".clone_into(&mut setup.filter);
    let (pipeline, dispatch) = match pipeline::scoped(setup) {
        Ok(scoped) => scoped,
        Err(error) => panic!("capture: {error}"),
    };
    metrics::told_to_more(switch::capture_begins);
    Capture {
        seen,
        pipeline,
        entered: Some(dispatcher::set_default(&dispatch)),
        dispatch,
    }
}

/// A subscriber that nobody uses. While there is but one, `tracing` asks only the calling thread's about a call site, and keeps
/// the answer for all threads; a second one has every subscriber asked, each time.
struct Bystander;

impl Subscriber for Bystander {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What was seen since [`capture`].
pub struct Capture {
    seen: Arc<Seen>,
    pipeline: Pipeline,
    dispatch: Dispatch,
    entered: Option<DefaultGuard>,
}

impl Capture {
    /// The same future, seen by this capture wherever it is polled: for tasks spawned on other threads.
    pub fn follow<F: Future>(&self, future: F) -> Followed<F> {
        Followed {
            future,
            dispatch: self.dispatch.clone(),
        }
    }

    /// Calls `f` so that this capture sees it: for other threads.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        dispatcher::with_default(&self.dispatch, f)
    }

    /// The finished spans, in the order of their beginnings.
    pub fn spans(&self) -> Vec<Span> {
        self.pipeline.flush(Instant::now() + Duration::from_secs(10));
        let mut spans = self.seen.lock().spans.clone();
        spans.sort_by_key(|span| span.start_unix_nanos);
        spans
    }

    /// The one finished span of that name.
    ///
    /// # Panics
    ///
    /// When there is none or more than one; the message shows the tree.
    #[track_caller]
    pub fn span(&self, name: &str) -> Span {
        let mut found: Vec<Span> = self.spans().into_iter().filter(|span| span.name == name).collect();
        assert!(
            found.len() == 1,
            "{} spans named `{name}` in\n{}",
            found.len(),
            self.tree()
        );
        found.remove(0)
    }

    /// The finished spans as text: names under their parents, with their errors.
    pub fn tree(&self) -> String {
        let nodes: Vec<Node> = self.spans().iter().map(Span::node).collect();
        Tree::of(&nodes).names().to_string()
    }

    /// How far a counter moved, over the series that have all these labels.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        // Adding zero turns the empty sum's -0 into 0.
        self.seen
            .lock()
            .increments
            .iter()
            .filter(|seen| seen.name == name && seen.has(labels))
            .map(|seen| seen.amount)
            .sum::<f64>()
            + 0.0
    }

    /// The movements of all counters, in order; those of jobs among them.
    pub fn increments(&self) -> Vec<Increment> {
        self.seen.lock().increments.clone()
    }

    /// The samples that a histogram was given, in order; those of jobs, databases and HTTP among them.
    pub fn samples(&self, name: &str) -> Vec<Sample> {
        let seen = self.seen.lock();
        seen.samples
            .iter()
            .filter(|sample| sample.name == name)
            .cloned()
            .collect()
    }

    /// The log lines, at every level.
    pub fn lines(&self) -> Vec<Line> {
        self.seen.lock().lines.clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Out of the way before the pipeline goes.
        self.entered = None;
        switch::capture_ends();
    }
}

impl Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = self.tree();
        let seen = self.seen.lock();
        f.debug_struct("Capture")
            .field("tree", &tree)
            .field("increments", &seen.increments)
            .field("samples", &seen.samples)
            .field("lines", &seen.lines)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A future that a [`Capture`] follows.
    #[must_use = "futures do nothing unless polled"]
    pub struct Followed<F> {
        #[pin]
        future: F,
        dispatch: Dispatch,
    }
}

impl<F: Future> Future for Followed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = dispatcher::set_default(this.dispatch);
        this.future.poll(cx)
    }
}

/// Names and values as text.
pub type Texts = Vec<(String, String)>;

fn find<'a>(texts: &'a Texts, key: &str) -> Option<&'a str> {
    texts
        .iter()
        .rev()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
}

/// The status of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Status {
    /// Nothing was said.
    #[default]
    Unset,
    /// Said to be fine.
    Ok,
    /// It failed.
    Error,
}

/// A finished span.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: &'static str,
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// What it hangs under; of this process or another.
    pub parent_id: Option<SpanId>,
    /// When it began.
    pub start_unix_nanos: u64,
    /// When it ended.
    pub end_unix_nanos: u64,
    /// Its attributes, values as text.
    pub attributes: Texts,
    /// Its events: name and attributes.
    pub events: Vec<(String, Texts)>,
    /// The spans it is linked to.
    pub links: Vec<(TraceId, SpanId)>,
    /// Its status.
    pub status: Status,
    /// What the status says; empty if nothing.
    pub message: String,
}

impl Span {
    /// An attribute's value as text.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        find(&self.attributes, key)
    }

    /// `ok`, `error`, `panic` or `cancelled`: how the call of an annotated function ended.
    pub fn outcome(&self) -> &str {
        match self.status {
            Status::Error => self.attribute("outcome").unwrap_or("error"),
            _ => self.attribute("outcome").unwrap_or("ok"),
        }
    }

    /// What the exception event says, if there is one.
    pub fn exception(&self) -> Option<&str> {
        let (_, attributes) = self.events.iter().find(|(name, _)| name == "exception")?;
        find(attributes, "exception.message")
    }

    /// How the tree shows it.
    pub fn node(&self) -> Node {
        let said = [
            Some(self.message.as_str()),
            self.exception(),
            self.attribute("error.type"),
        ];
        let error = said.into_iter().flatten().find(|text| !text.is_empty());
        let outcome = self.outcome();
        Node {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent: self.parent_id,
            name: self.name.clone(),
            service: String::new(),
            start_unix_nanos: self.start_unix_nanos,
            end_unix_nanos: self.end_unix_nanos,
            error: (outcome != "ok").then(|| error.unwrap_or(outcome).to_owned()),
        }
    }
}

/// One movement of a counter.
#[derive(Clone, PartialEq, Debug)]
pub struct Increment {
    /// The family, by its OpenTelemetry name.
    pub name: &'static str,
    /// The series' labels, `outcome` among them.
    pub labels: Texts,
    /// How far.
    pub amount: f64,
}

impl Increment {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(key, value)| self.label(key) == Some(value))
    }
}

/// One sample of a histogram.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The family, by its OpenTelemetry name.
    pub name: &'static str,
    /// The series' labels, `outcome` among them.
    pub labels: Texts,
    /// How long the call took; zero where what is measured is no time.
    pub duration: Duration,
    /// The sample: seconds, bytes.
    pub value: f64,
}

impl Sample {
    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }
}

/// One log line.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Where it comes from.
    pub target: String,
    /// Its text.
    pub message: String,
    /// Its fields and those of the scopes around it, values as text.
    pub fields: Texts,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
}

impl Line {
    /// A field's value as text.
    pub fn field(&self, key: &str) -> Option<&str> {
        find(&self.fields, key)
    }
}

/// Where a capture's pipeline delivers.
#[derive(Default)]
struct Seen(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    increments: Vec<Increment>,
    samples: Vec<Sample>,
    lines: Vec<Line>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, level: Level, target: &str, ctx: Option<&SpanContext>, mut fields: Texts) {
        let at = fields.iter().position(|(name, _)| name == "message");
        let message = at.map(|at| fields.remove(at).1).unwrap_or_default();
        #[cfg(feature = "logs")]
        fields.splice(0..0, crate::logs::scope_texts());
        self.lock().lines.push(Line {
            level,
            target: target.to_owned(),
            message,
            fields,
            trace_id: ctx.map(|ctx| ctx.trace_id),
            span_id: ctx.map(|ctx| ctx.span_id),
        });
    }
}

impl SpanSink for Seen {
    fn spans(&self, batch: EncodedSpans) {
        self.lock().spans.extend(decode::spans(&batch.scopes));
    }
}

impl EventSink for Seen {
    fn interest(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event(&self, event: &Event<'_>, ctx: Option<&SpanContext>) {
        let mut fields = Collector(Vec::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        self.line(*metadata.level(), metadata.target(), ctx, fields.0);
    }

    fn error(&self, site: &'static Site, error: &ErrorRef<'_>, ctx: Option<&SpanContext>) {
        let message = match &error.value {
            ErrorValue::Std(error) => error.to_string(),
            ErrorValue::Display(error) => error.to_string(),
            ErrorValue::Debug(error, _) => format!("{error:?}"),
            ErrorValue::Opaque(name) => (*name).to_owned(),
        };
        let level = site.def.span.as_ref().map_or(Level::ERROR, |span| span.err_level);
        let fields = vec![
            ("message".to_owned(), message),
            ("function".to_owned(), site.def.function.to_owned()),
            ("error.type".to_owned(), error.error_type.clone().into_owned()),
        ];
        self.line(level, site.metadata().target(), ctx, fields);
    }

    fn call_ended(&self, site: &'static Site, end: &CallEnd) {
        match *end {
            CallEnd::Counted { labels, amount } => {
                if let Some((name, labels)) = registry::counter_series(site, &labels) {
                    let amount = match amount {
                        Amount::Whole(amount) => amount as f64,
                        Amount::Real(amount) => amount,
                    };
                    self.lock().increments.push(Increment {
                        name,
                        labels: texts(labels),
                        amount,
                    });
                }
            }
            CallEnd::Timed { labels, ticks } => {
                if let Some((name, labels)) = registry::timer_series(site, &labels) {
                    let duration = Duration::from_nanos(clock::nanos_between(0, ticks));
                    self.lock().samples.push(Sample {
                        name,
                        labels: texts(labels),
                        duration,
                        value: duration.as_secs_f64(),
                    });
                }
            }
        }
    }

    fn measured(&self, measured: Measured) {
        let (name, labels) = (measured.name, texts(measured.labels));
        match measured.moved {
            Moved::By(amount) => self.lock().increments.push(Increment {
                name,
                labels,
                amount: amount as f64,
            }),
            Moved::Sample(value) => {
                let seconds = if name.ends_with(".duration") { value } else { 0.0 };
                self.lock().samples.push(Sample {
                    name,
                    labels,
                    duration: Duration::try_from_secs_f64(seconds).unwrap_or_default(),
                    value,
                });
            }
        }
    }
}

fn texts(labels: registry::LabelSet) -> Texts {
    labels
        .into_iter()
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

struct Collector(Texts);

impl Collector {
    fn put(&mut self, field: &Field, value: String) {
        self.0.push((field.name().to_owned(), value));
    }
}

impl Visit for Collector {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

/// A call ended while someone captures: it is told to the pipeline in force on this thread.
#[cold]
pub(crate) fn call_ended(site: &'static Site, end: &CallEnd) {
    dispatcher::get_default(|dispatch| {
        if let Some(recorder) = dispatch.downcast_ref::<crate::trace::subscriber::Recorder>() {
            recorder.shared.events.call_ended(site, end);
        }
    });
}

/// The same of what no attribute measured.
#[cold]
pub(crate) fn measured(measured: Measured) {
    let mut measured = Some(measured);
    dispatcher::get_default(|dispatch| {
        if let Some(recorder) = dispatch.downcast_ref::<crate::trace::subscriber::Recorder>()
            && let Some(measured) = measured.take()
        {
            recorder.shared.events.measured(measured);
        }
    });
}
