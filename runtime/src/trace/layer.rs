//! The store under a `tracing_subscriber::Registry`, for those who bring other layers.
//!
//! The layer has a filter of its own, so that it never decides what other layers see, and keeps its spans by the registry's
//! ids, so that it takes no lock of the registry's and leaves nothing in its extensions.

use super::local;
use super::passed;
use super::pipeline::Shared;
use super::places::Places;
use super::slab::Handle;
use super::store::{self, ParentRef};
use super::subscriber;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The layer that records spans for this crate, under a Registry of yours. It does nothing until [`init`](crate::init), which
/// finds it and then installs no subscriber of its own.
///
/// Spans of all libraries and of `#[traced]` reach it, through the filter `VITALSIGN_TRACE_FILTER` and no other. Events reach the logs
/// through `RUST_LOG`, with the ids of their trace: where a layer of yours writes lines already, `VITALSIGN_LOG_FORMAT=off` keeps ours
/// for OTLP. With `VITALSIGN_SPAN_EVENTS=on` they are events of their spans too.
///
/// # Examples
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// tracing_subscriber::registry().with(vitalsign::layer()).init();
/// ```
pub fn layer<S>() -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    SpanLayer::default().with_filter(OwnFilter)
}

/// Some layer was added to a subscriber.
static LAYERED: AtomicBool = AtomicBool::new(false);
/// The pipeline it records for, once there is one.
static PIPELINE: OnceLock<Arc<Shared>> = OnceLock::new();

/// Whether [`layer`] is part of a subscriber.
pub(crate) fn is_layered() -> bool {
    LAYERED.load(Ordering::Acquire)
}

/// The layer records for this pipeline from here on; false if it has one.
pub(crate) fn connect(shared: &Arc<Shared>) -> bool {
    let connected = PIPELINE.set(Arc::clone(shared)).is_ok();
    tracing_core::callsite::rebuild_interest_cache();
    connected
}

#[inline]
pub(crate) fn pipeline() -> Option<&'static Arc<Shared>> {
    PIPELINE.get()
}

thread_local! {
    /// The last span that a layer made on this thread: the registry's id of it, and its place.
    static MADE: Cell<Option<(u64, Handle)>> = const { Cell::new(None) };
}

/// A span that is made of another subscriber, and its place if it was this layer that made it. Only who was there knows: the layer may
/// stand behind `reload`, where it is not found, and every registry counts its spans for itself.
pub(crate) fn making(
    make: impl FnOnce() -> Option<Box<tracing::Span>>,
) -> (Option<Box<tracing::Span>>, Option<Handle>) {
    let _ = MADE.try_with(Cell::take);
    let span = make();
    let id = span.as_ref().and_then(|span| span.id()).map(|id| id.into_u64());
    let made = MADE.try_with(Cell::take).ok().flatten();
    let place = made.filter(|(of, _)| Some(*of) == id).map(|(_, place)| place);
    (span, place)
}

/// The place that the span was given when it began, if [`layer`] is part of the subscriber behind the dispatcher, as far as it can be
/// seen: not behind `reload`.
pub(crate) fn named(id: &Id, dispatch: &Dispatch) -> Option<Handle> {
    dispatch.downcast_ref::<SpanLayer>()?.named(id)
}

#[derive(Default)]
struct SpanLayer {
    /// The store's spans by ids of its registry.
    spans: OnceLock<Places>,
}

impl SpanLayer {
    fn named(&self, id: &Id) -> Option<Handle> {
        let place = self.spans.get()?.find(id.into_non_zero_u64())?;
        Handle::from_u64(place.get())
    }

    fn handle_of(&self, id: &Id) -> Option<Handle> {
        self.named(id).map(passed::resolved)
    }
}

impl<S> Layer<S> for SpanLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_layer(&mut self, _: &mut S) {
        LAYERED.store(true, Ordering::Release);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let Some(shared) = pipeline().filter(|shared| !shared.is_closed()) else {
            return;
        };
        if local::is_turned_away() {
            return;
        }
        let parent = if attributes.is_root() {
            ParentRef::Root
        } else {
            match attributes.parent() {
                Some(parent) => self.handle_of(parent).map_or(ParentRef::Root, ParentRef::Local),
                None => ParentRef::Current,
            }
        };
        if let Some(handle) = subscriber::open(shared, attributes, parent) {
            let spans = self.spans.get_or_init(Places::new);
            spans.insert(id.into_non_zero_u64(), handle.get());
            let _ = MADE.try_with(|made| made.set(Some((id.into_u64(), handle))));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(handle) = self.handle_of(id)
            && !local::is_turned_away()
        {
            store::attributes(handle, true, true, |fields| values.record(fields));
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        if let (Some(handle), Some(follows)) = (self.handle_of(id), self.handle_of(follows))
            && let Some(ids) = store::ids_of(follows)
        {
            store::link(handle, &ids.context());
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(shared) = pipeline() else { return };
        if local::is_turned_away() {
            return;
        }
        let current = subscriber::current_of(event, shared.span_events, |id| self.handle_of(id));
        let logged = !shared.span_events || shared.events.enabled(event.metadata());
        subscriber::told(shared, event, current.as_ref(), logged);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if let Some(handle) = self.named(id) {
            subscriber::enter(handle);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if let Some(handle) = self.named(id) {
            subscriber::leave(handle);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let place = self.spans.get().and_then(|spans| spans.remove(id.into_non_zero_u64()));
        if let Some(handle) = place.and_then(|place| Handle::from_u64(place.get())) {
            // The registry closes what nothing but its being entered held before it tells of the exit, and then tells no layer of that
            // which has a filter.
            subscriber::leave_closing(handle);
            subscriber::close(handle);
        }
    }
}

/// What this layer sees; others see what their filters say.
struct OwnFilter;

impl OwnFilter {
    fn sees(metadata: &Metadata<'_>) -> bool {
        pipeline().is_some_and(|shared| {
            if metadata.is_span() {
                shared.filter.enabled(metadata) && !shared.is_closed()
            } else {
                shared.span_events || shared.events.enabled(metadata)
            }
        })
    }
}

impl<S> Filter<S> for OwnFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        Self::sees(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::sees(metadata) {
            Interest::always()
        } else {
            Interest::never() // until `connect` asks all call sites again
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        match pipeline() {
            None => Some(LevelFilter::OFF),
            Some(shared) if shared.span_events => None,
            Some(shared) => Some(shared.events.max_level_hint()?.max(shared.filter.max_level())),
        }
    }
}
