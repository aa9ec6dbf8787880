//! The store under a `tracing_subscriber::Registry`, for those who bring other layers.
//!
//! The layer has a filter of its own, so that it never decides what other layers see, and keeps its spans by the registry's
//! ids, so that it takes no lock of the registry's and leaves nothing in its extensions.

use super::local;
use super::otel;
use super::pipeline::Shared;
use super::slab::Handle;
use super::stack::Frame;
use super::store::{self, ParentRef, SLAB};
use super::subscriber;
use super::timing;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};
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

/// Registry ids are well mixed by a multiplication.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Shard = Mutex<HashMap<u64, Handle, BuildHasherDefault<Mix>>>;
const SHARDS: usize = 64;
static SPANS: OnceLock<Box<[Shard]>> = OnceLock::new();

/// The part of the map that holds an id. Threads that take turns with it are those that share a span.
fn shard(id: &Id) -> MutexGuard<'static, HashMap<u64, Handle, BuildHasherDefault<Mix>>> {
    let shards = SPANS.get_or_init(|| (0..SHARDS).map(|_| Mutex::default()).collect());
    let at = id.into_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
    shards[at as usize].lock().unwrap_or_else(PoisonError::into_inner)
}

/// The store's span behind a span of the registry.
pub(crate) fn handle_of(id: &Id) -> Option<Handle> {
    pipeline()?;
    shard(id).get(&id.into_u64()).copied()
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
            shard(id).insert(id.into_u64(), handle);
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
            && let Some(context) = SLAB.with(follows, |live| live.ids.context())
        {
            store::link(handle, &context);
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
        if let Some(handle) = handle_of(id)
            && let Some((ids, Some(meta))) = SLAB.with(handle, |live| (live.ids.clone(), live.fixed.meta))
        {
            local::with(|local| {
                local.stack.push(Frame::copy(ids.clone(), Some(handle), meta));
            });
            otel::entered(&ids);
            timing::entered(handle);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if let Some(handle) = handle_of(id) {
            subscriber::leave(handle);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let handle = pipeline().and_then(|_| shard(&id).remove(&id.into_u64()));
        if let Some(handle) = handle {
            store::close(handle, |_| ());
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
