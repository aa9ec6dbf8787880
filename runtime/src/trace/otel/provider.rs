//! Tracers of the `opentelemetry` API whose spans are recorded here.

use super::scope;
use super::span::Span;
use crate::site;
use crate::trace::AsParent as _;
use crate::trace::chosen::{self, Given};
use crate::trace::local::{self, Ids};
use crate::trace::pipeline::Shared;
use crate::trace::store::{self, ParentRef, Start};
use crate::trace::subscriber::Recorder;
use opentelemetry::trace::{self as api, SpanBuilder, SpanKind};
use opentelemetry::{Context, InstrumentationScope};
use std::sync::Arc;
use tracing_core::{Metadata, dispatcher};

/// Tracers of the `opentelemetry` API; [`init`](crate::init) makes it the global one, and
/// [`Vitals::tracer_provider`](crate::Vitals::tracer_provider) gives it.
///
/// A span that names no parent hangs under the span that is current, be it of `tracing`, of `#[traced]` or of this API. A context
/// that is named, as by `start_with_context`, is obeyed as it is: one without a span begins a new trace.
///
/// # Examples
///
/// ```no_run
/// use opentelemetry::global;
/// use opentelemetry::trace::Tracer as _;
/// use vitalsign::traced;
///
/// #[traced]
/// fn place_order() {
///     global::tracer("shop").in_span("pack", |_| ship()); // pack hangs under place_order, ship under pack
/// }
///
/// #[traced]
/// fn ship() {}
/// ```
#[derive(Clone)]
pub struct TracerProvider {
    shared: Arc<Shared>,
}

impl TracerProvider {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl std::fmt::Debug for TracerProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracerProvider").finish_non_exhaustive()
    }
}

impl api::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer {
            shared: Arc::clone(&self.shared),
            meta: scope::metadata(&scope),
        }
    }
}

/// A tracer of [`TracerProvider`].
#[derive(Clone)]
pub struct Tracer {
    shared: Arc<Shared>,
    meta: &'static Metadata<'static>,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tracer").field(&self.meta.target()).finish()
    }
}

impl Tracer {
    /// Where its spans go on this thread: to the test that captures, else to where it came from.
    fn shared(&self) -> Arc<Shared> {
        dispatcher::get_default(|dispatch| {
            dispatch
                .downcast_ref::<Recorder>()
                .map(|recorder| Arc::clone(&recorder.shared))
        })
        .unwrap_or_else(|| Arc::clone(&self.shared))
    }
}

impl api::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent_cx: &Context) -> Span {
        super::set_used();
        // `start` and its like pass on what lies in the thread's own place; a context that was named lies elsewhere.
        let implicit = Context::map_current(|current| std::ptr::eq(current, parent_cx));
        let named;
        let parent = if implicit {
            ParentRef::Current
        } else {
            named = parent_cx.as_parent();
            named.as_ref().map_or(ParentRef::Root, ParentRef::Context)
        };
        // Without a span of its own it passes on its parent's ids.
        let none = || match parent {
            ParentRef::Context(context) => Span::unrecorded(Some(context)),
            ParentRef::Current => Span::unrecorded(store::current().as_ref()),
            _ => Span::unrecorded(None),
        };
        let shared = self.shared();
        if shared.is_closed()
            || local::is_turned_away()
            || parent_cx.is_telemetry_suppressed()
            || !shared.filter.enabled(self.meta)
        {
            return none();
        }
        let start = Start {
            meta: self.meta,
            site: None,
            kind: kind(builder.span_kind.as_ref()),
            parent,
            ticks: 0,
            low: 0,
        };
        if shared.sampler.is_custom() {
            let (links, attributes) = super::span::told(&builder);
            chosen::ask(&shared, &start, &builder.name, &links, &Given::Body(&attributes));
        }
        let mut ids = Ids::default();
        match local::with(|local| store::start(&shared, local, &start, &mut ids)) {
            None => none(),
            Some(None) => Span::unrecorded(Some(&ids.context())),
            Some(Some(handle)) => Span::opened(&ids.context(), handle, &shared, builder),
        }
    }
}

fn kind(kind: Option<&SpanKind>) -> site::SpanKind {
    match kind {
        Some(SpanKind::Server) => site::SpanKind::Server,
        Some(SpanKind::Client) => site::SpanKind::Client,
        Some(SpanKind::Producer) => site::SpanKind::Producer,
        Some(SpanKind::Consumer) => site::SpanKind::Consumer,
        Some(SpanKind::Internal) | None => site::SpanKind::Internal,
    }
}
