//! The `opentelemetry` API as part of the same tree, both ways.
//!
//! Nothing tells us when a context is attached, and attaching one for each of our spans would cost as much as the span. So the
//! join is lazy: a frame notes which span the attached context held when it was pushed. Where that has changed since, whoever
//! asks for the current span is told the context's; else ours is the newer one. [`TracerProvider`] and [`Propagator`] ask in
//! the same way, so each side sees the other's spans as parents.
//!
//! Programs that never touch the API pay one load where a span begins and one where it is entered.

mod attach;
mod convert;
mod propagator;
mod provider;
#[cfg(feature = "otel-sdk")]
pub(crate) mod sampler;
mod scope;
mod span;

pub use propagator::Propagator;
pub use provider::{Tracer, TracerProvider};
pub use span::Span;

pub(crate) use attach::{entered, is_attaching, left};
pub(crate) use scope::{scope_key, scope_of};
pub(crate) use span::handle_of;

use super::baggage::Baggage;
use super::context::SpanContext;
use super::local::Local;
use super::modes::{self, OTEL_ATTACHING, OTEL_USED};
use super::stack::Frame;
use crate::{metrics, switch};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, ContextGuard};

/// Whether contexts are looked at.
#[inline]
pub(crate) fn is_used() -> bool {
    modes::has(OTEL_USED)
}

/// Someone made a span by the API or read headers into one of its contexts: from here on attached contexts are looked at.
pub(super) fn set_used() {
    if is_used() {
        return;
    }
    modes::set(OTEL_USED);
    metrics::told_to_more(switch::look_at_otel);
}

/// `builder().otel_context(true)`: from here on our spans are attached for foreign readers.
pub(crate) fn attach_always() {
    modes::set(OTEL_USED | OTEL_ATTACHING);
    metrics::told_to_more(switch::look_at_otel);
}

/// Runs with the attached context, where there still is one: a thread that ends has none.
fn with_context<R>(f: impl FnOnce(&Context) -> R) -> Option<R> {
    /// Registered behind the context's own thread-local, so it is gone before that one.
    struct Alive(bool);
    impl Drop for Alive {
        fn drop(&mut self) {}
    }
    thread_local! {
        static ALIVE: Alive = Alive(std::panic::catch_unwind(|| Context::map_current(|_| ())).is_ok());
    }
    let alive = ALIVE.try_with(|alive| alive.0).unwrap_or(false);
    alive.then(|| Context::map_current(f))
}

/// A span id as a frame notes it. Two that look alike, once in four thousand million, cost one parent.
fn note(span: u64) -> u32 {
    (span ^ (span >> 32)) as u32
}

fn note_of(cx: &Context) -> u32 {
    if cx.has_active_span() {
        note(u64::from_be_bytes(cx.span().span_context().span_id().to_bytes()))
    } else {
        0
    }
}

/// What a frame that is pushed now notes of the attached context.
#[inline]
pub(crate) fn noted() -> u32 {
    if is_used() { noted_apart() } else { 0 }
}

#[inline(never)]
fn noted_apart() -> u32 {
    with_context(note_of).unwrap_or(0)
}

/// The span of the attached context, where that is newer than the innermost of ours.
#[inline]
pub(crate) fn newer(local: &mut Local) -> Option<SpanContext> {
    if is_used() { newer_apart(local) } else { None }
}

#[inline(never)]
fn newer_apart(local: &mut Local) -> Option<SpanContext> {
    let Local { stack, rng, base, .. } = local;
    let top = stack.top(rng);
    let top: Option<&Frame> = top.as_deref();
    with_context(|cx| {
        let note = note_of(cx);
        if note == 0 || note == top.map_or(0, Frame::noted) {
            return None;
        }
        let carried = top.map_or(&*base, |frame| &frame.ids().carried);
        let ours = carried.as_ref().map(|carried| carried.baggage.clone());
        let context = SpanContext {
            baggage: convert::baggage(cx, ours.unwrap_or_default()),
            ..SpanContext::from(cx.span().span_context())
        };
        let ours = top.is_some_and(|frame| frame.ids().span == context.span_id.0);
        (context.is_valid() && !ours).then_some(context)
    })
    .flatten()
}

/// The attached context's baggage over ours, where one is attached that has any.
pub(crate) fn joined(ours: Baggage) -> Baggage {
    with_context(|cx| convert::has_baggage(cx).then(|| convert::baggage(cx, ours.clone())))
        .flatten()
        .unwrap_or(ours)
}

/// Ends what [`Taken`] attached.
pub(crate) type Attached = Option<ContextGuard>;

/// The attached context, taken along with the current span to another task or thread.
#[derive(Default)]
pub(crate) struct Taken {
    context: Option<Context>,
    newer: bool,
}

impl Taken {
    pub(crate) fn here(local: &mut Local) -> Self {
        if !is_used() {
            return Self::default();
        }
        Self {
            context: with_context(Context::clone),
            newer: newer_apart(local).is_some(),
        }
    }

    fn attached(&self) -> Attached {
        with_context(|_| ())?;
        self.context.clone().map(Context::attach)
    }

    /// Attaches a context that is older than our span: before that is entered.
    pub(crate) fn enter_outside(&self) -> Attached {
        if self.newer { None } else { self.attached() }
    }

    /// Attaches a context that is newer than our span: after that was entered.
    pub(crate) fn enter_inside(&self) -> Attached {
        if self.newer { self.attached() } else { None }
    }
}
