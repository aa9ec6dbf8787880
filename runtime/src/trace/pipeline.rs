//! Where finished spans go, and how a process begins and ends to record them.

use super::drain;
use super::event::EventSink;
use super::filter::{BadDirective, Filter};
use super::local::Carried;
use super::sampler::{Quick, Sampler};
use super::subscriber::Recorder;
use super::tail::TailRules;
use crate::export::otlp::framed::Framed;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tracing_core::{Dispatch, callsite, dispatcher};

/// Finished spans in OTLP: repeated `scope_spans` fields of a `ResourceSpans`, each whole, to be put behind a resource
/// (`export::otlp::wire::framed`).
pub(crate) struct EncodedSpans {
    pub(crate) scopes: Framed,
    /// How many spans there are in it.
    pub(crate) count: u64,
}

/// Takes batches of finished spans. Called on the drainer's thread: hands over and returns, or spans wait in the rings.
pub(crate) trait SpanSink: Send + Sync {
    fn spans(&self, batch: EncodedSpans);
}

/// Bounds of what one span may hold: `OTEL_SPAN_*_LIMIT`. The specification's bound of 64 on the depth of values is beyond what values
/// there are: scalars, texts, bytes and lists of scalars.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) attributes: u32,
    pub(crate) events: u32,
    pub(crate) links: u32,
    pub(crate) attributes_per_event: u32,
    pub(crate) attributes_per_link: u32,
    /// In characters; `u32::MAX` is none.
    pub(crate) value_length: u32,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self {
        attributes: 128,
        events: 128,
        links: 128,
        attributes_per_event: 128,
        attributes_per_link: 128,
        value_length: u32::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Where an exception is told: `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Exceptions {
    /// Unset: an event of the span, and the log line.
    #[default]
    SpanEvent,
    /// `logs`: the log line only.
    Logs,
    /// `logs/dup`: both.
    Both,
}

/// What [`install`] is told.
pub(crate) struct TraceSetup {
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    /// `VITALSIGN_TRACE_FILTER`.
    pub(crate) filter: String,
    pub(crate) sink: Arc<dyn SpanSink>,
    pub(crate) events: Arc<dyn EventSink>,
    /// `VITALSIGN_SPAN_EVENTS=on`: a `tracing` event is an event of its span too.
    pub(crate) span_events: bool,
    pub(crate) exceptions: Exceptions,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` and `OTEL_BSP_SCHEDULE_DELAY`.
    pub(crate) batch: usize,
    pub(crate) delay: Duration,
    /// `VITALSIGN_TAIL`.
    pub(crate) tail: Option<TailRules>,
}

impl TraceSetup {
    /// The defaults of the environment variables.
    pub(crate) fn new(sink: Arc<dyn SpanSink>, events: Arc<dyn EventSink>) -> Self {
        Self {
            sampler: Sampler::ParentBased(super::sampler::Root::AlwaysOn),
            limits: Limits::default(),
            filter: String::new(),
            sink,
            events,
            span_events: false,
            exceptions: Exceptions::default(),
            batch: 512,
            delay: Duration::from_secs(5),
            tail: None,
        }
    }
}

/// Why [`install`] did not.
#[derive(Debug)]
pub(crate) enum InstallError {
    /// Another global subscriber is installed.
    ForeignSubscriber,
    /// The filter has a directive that is none.
    Filter(String),
    /// The thread that drains spans could not be started.
    Thread(std::io::Error),
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignSubscriber => f.write_str("another global `tracing` subscriber is installed"),
            Self::Filter(directive) => write!(f, "`{directive}` is no directive of the form `level` or `target=level`"),
            Self::Thread(error) => write!(f, "the span thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            _ => None,
        }
    }
}

/// What all threads know of one pipeline.
pub(crate) struct Shared {
    pub(crate) id: u32,
    pub(crate) sampler: Sampler,
    /// It goes by the parent, where there is one.
    pub(crate) follows: bool,
    /// It drops what has a parent that it dropped.
    pub(crate) drops_below: bool,
    /// What it says of roots.
    roots: Quick,
    /// What roots carry that a ratio kept. None where the tail rules choose again, after which no threshold tells a span's share.
    pub(crate) mark: Option<Arc<Carried>>,
    pub(crate) limits: Limits,
    pub(crate) filter: Filter,
    pub(crate) sink: Arc<dyn SpanSink>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) span_events: bool,
    pub(crate) exceptions: Exceptions,
    pub(crate) batch: usize,
    pub(crate) delay: Duration,
    pub(crate) tail: Option<TailRules>,
    closed: AtomicBool,
}

impl Shared {
    /// After shutdown no span begins.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// What the sampler says before a span has any ids; `parent`: whether it is sampled.
    #[inline]
    pub(crate) fn quick(&self, parent: Option<bool>) -> Quick {
        match parent {
            None => self.roots,
            Some(true) if self.follows => Quick::Keep,
            Some(false) if self.follows => Quick::Drop,
            _ => self.sampler.quick(parent),
        }
    }
}

/// A running pipeline: spans of its subscriber reach its sink.
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
}

/// Installs the subscriber for the whole process, or lets the layer that is part of another one record.
pub(crate) fn install(setup: TraceSetup) -> Result<Pipeline, InstallError> {
    let pipeline = Pipeline::start(setup)?;
    #[cfg(feature = "logs")]
    if super::layer::is_layered() {
        super::layer::connect(&pipeline.shared);
        let _ = OF_PROCESS.set(Arc::clone(&pipeline.shared));
        return Ok(pipeline);
    }
    if dispatcher::set_global_default(pipeline.dispatch()).is_err() {
        drain::remove(pipeline.shared.id);
        return Err(InstallError::ForeignSubscriber);
    }
    // A call site that was first hit between the making of the dispatcher and its installation is cached as never.
    callsite::rebuild_interest_cache();
    remember_global(&pipeline.shared);
    Ok(pipeline)
}

/// Where the global dispatcher stands, once it is ours: it never moves and nothing else stands there, so its address tells it
/// from a scoped one without a look-up by type.
static GLOBAL: AtomicPtr<Dispatch> = AtomicPtr::new(std::ptr::null_mut());
static OF_PROCESS: OnceLock<Arc<Shared>> = OnceLock::new();

fn remember_global(shared: &Arc<Shared>) {
    if OF_PROCESS.set(Arc::clone(shared)).is_err() {
        return;
    }
    // A thread of our own has no scoped dispatcher. Without it, types are asked each time.
    let address = || dispatcher::get_default(|dispatch| std::ptr::from_ref(dispatch) as usize);
    let Ok(asked) = std::thread::Builder::new().spawn(address) else {
        return;
    };
    if let Ok(address) = asked.join() {
        GLOBAL.store(address as *mut Dispatch, Ordering::Release);
    }
}

/// The same as [`of`], where the dispatcher is the process's.
#[inline]
pub(crate) fn global(dispatch: &Dispatch) -> Option<&'static Shared> {
    if std::ptr::eq(dispatch, GLOBAL.load(Ordering::Acquire)) {
        of_process()
    } else {
        None
    }
}

/// The pipeline of the process, under whichever front.
#[inline]
pub(crate) fn of_process() -> Option<&'static Shared> {
    OF_PROCESS.get().map(|shared| &**shared)
}

/// The pipeline that records what goes to this dispatcher, if it is ours.
#[inline]
pub(crate) fn of(dispatch: &Dispatch) -> Option<&Shared> {
    if let Some(shared) = global(dispatch) {
        Some(shared)
    } else {
        dispatch.downcast_ref::<Recorder>().map(|recorder| &*recorder.shared)
    }
}

/// A pipeline for whoever runs under its dispatcher, and its dispatcher: for tests beside each other.
pub(crate) fn scoped(setup: TraceSetup) -> Result<(Pipeline, Dispatch), InstallError> {
    let pipeline = Pipeline::start(setup)?;
    let dispatch = pipeline.dispatch();
    callsite::rebuild_interest_cache();
    Ok((pipeline, dispatch))
}

impl Pipeline {
    fn start(setup: TraceSetup) -> Result<Self, InstallError> {
        let filter = setup
            .filter
            .parse()
            .map_err(|BadDirective(directive)| InstallError::Filter(directive))?;
        crate::clock::now(); // calibrates
        super::panics::install_hook();
        let mark = setup.sampler.mark().filter(|_| setup.tail.is_none());
        let shared = drain::add(|id| Shared {
            id,
            mark,
            follows: matches!(setup.sampler, Sampler::ParentBased(_)),
            drops_below: matches!(setup.sampler.quick(Some(false)), Quick::Drop),
            roots: setup.sampler.quick(None),
            sampler: setup.sampler,
            limits: setup.limits,
            filter,
            sink: setup.sink,
            events: setup.events,
            span_events: setup.span_events,
            exceptions: setup.exceptions,
            batch: setup.batch.max(1),
            delay: setup.delay,
            tail: setup.tail,
            closed: AtomicBool::new(false),
        })
        .map_err(InstallError::Thread)?;
        Ok(Self { shared })
    }

    fn dispatch(&self) -> Dispatch {
        Dispatch::new(Recorder::new(Arc::clone(&self.shared)))
    }

    /// Tracers of the `opentelemetry` API that record here.
    #[cfg(feature = "otel")]
    pub(crate) fn tracer_provider(&self) -> super::otel::TracerProvider {
        super::otel::TracerProvider::new(Arc::clone(&self.shared))
    }

    /// What its sampler calls itself.
    pub(crate) fn sampler(&self) -> String {
        self.shared.sampler.to_string()
    }

    /// Its number, by which spans know it.
    #[cfg(test)]
    pub(crate) fn id(&self) -> u32 {
        self.shared.id
    }

    /// Every span that ended before this call has reached the sink when it returns true, but for those that wait for the tail rules;
    /// false when the deadline came first.
    #[expect(clippy::unused_self, reason = "one drainer serves all pipelines")]
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        drain::flush(deadline)
    }

    /// Flushes, and takes no further spans.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        self.close();
        let flushed = drain::flush(deadline);
        drain::remove(self.shared.id);
        flushed
    }

    fn close(&self) {
        if !self.shared.closed.swap(true, Ordering::SeqCst) {
            // The macros of `tracing` go by what their call site was told last.
            callsite::rebuild_interest_cache();
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.close();
        drain::remove(self.shared.id);
    }
}

/// Spans so far, over all threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceStats {
    /// Begun and recorded.
    pub started: u64,
    /// Begun and not recorded, by the sampler's decision.
    pub sampled_out: u64,
    /// Ended, of the recorded.
    pub ended: u64,
    /// Handed to a sink.
    pub delivered: u64,
    /// Lost because a thread's ring was full.
    pub dropped_ring: u64,
    /// Discarded by the tail rules.
    pub discarded_tail: u64,
    /// Attributes of spans beyond `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, left out.
    pub limited_attributes: u64,
    /// Events of spans beyond `OTEL_SPAN_EVENT_COUNT_LIMIT`, left out.
    pub limited_events: u64,
    /// Links of spans beyond `OTEL_SPAN_LINK_COUNT_LIMIT`, left out.
    pub limited_links: u64,
    /// Lost because their pipeline was gone.
    pub dropped_late: u64,
    /// Spans and events turned away because a field's formatting made them.
    pub reentrant: u64,
    /// Members of baggage that were malformed or too much.
    pub dropped_baggage: u64,
    /// Recorded and not ended yet.
    pub open: u64,
    /// Age of the oldest of those. Spans of plain functions have one while `VITALSIGN_LONG_SPANS` or `VITALSIGN_SPAN_TIMINGS` is set.
    pub oldest_open: Duration,
    /// Told of as open for longer than `VITALSIGN_LONG_SPANS`.
    pub told_long: u64,
    /// Slots for live spans.
    pub slots: u64,
}

/// What became of this process's spans so far: how many began, were sampled out, ended, were handed to the exporter, and
/// were lost, by reason.
///
/// # Examples
///
/// ```
/// let spans = vitalsign::diagnostics();
/// assert!(spans.dropped_ring == 0, "a burst of spans was too fast for the background thread");
/// ```
pub fn diagnostics() -> TraceStats {
    drain::stats()
}

/// [`TraceStats`] now.
pub(crate) fn stats() -> TraceStats {
    drain::stats()
}
