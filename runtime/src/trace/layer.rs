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
    SpanLayer.with_filter(OwnFilter)
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

/// The store's spans by ids of the registry.
static SPANS: OnceLock<Places> = OnceLock::new();

/// The store's span behind a span of the registry.
pub(crate) fn handle_of(id: &Id) -> Option<Handle> {
    named(id).map(passed::resolved)
}

/// Whether [`layer`] is part of the subscriber behind a dispatcher, as far as it can be seen: not behind `reload`.
pub(crate) fn is_part_of(dispatch: &Dispatch) -> bool {
    is_layered() && dispatch.is::<SpanLayer>()
}

/// The place that it was given when it began.
pub(crate) fn named(id: &Id) -> Option<Handle> {
    pipeline()?;
    let place = SPANS.get()?.find(id.into_non_zero_u64())?;
    Handle::from_u64(place.get())
}

struct SpanLayer;

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
                Some(parent) => handle_of(parent).map_or(ParentRef::Root, ParentRef::Local),
                None => ParentRef::Current,
            }
        };
        if let Some(handle) = subscriber::open(shared, attributes, parent) {
            let spans = SPANS.get_or_init(Places::new);
            spans.insert(id.into_non_zero_u64(), handle.get());
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(handle) = handle_of(id)
            && !local::is_turned_away()
        {
            store::attributes(handle, true, true, |fields| values.record(fields));
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        if let (Some(handle), Some(follows)) = (handle_of(id), handle_of(follows))
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
        let current = subscriber::current_of(event, shared.span_events, handle_of);
        let logged = !shared.span_events || shared.events.enabled(event.metadata());
        subscriber::told(shared, event, current.as_ref(), logged);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if let Some(handle) = named(id) {
            subscriber::enter(handle);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if let Some(handle) = named(id) {
            subscriber::leave(handle);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let place = SPANS.get().and_then(|spans| spans.remove(id.into_non_zero_u64()));
        if let Some(handle) = place.and_then(|place| Handle::from_u64(place.get())) {
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
                shared.filter.enabled(metadata)
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
