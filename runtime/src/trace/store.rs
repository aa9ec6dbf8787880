//! The store of live spans: what both fronts, `#[traced]` and the subscriber, open, change and close.

use super::body;
use super::chosen::{self, Given};
#[cfg(any(feature = "tower", feature = "actix-web"))]
use super::common;
use super::context::{SpanContext, TraceFlags};
use super::draft;
use super::drain;
use super::finished::Head;
use super::live::{Fixed, Live};
use super::local::{self, Carried, Ids, Local};
use super::otel;
use super::passed;
use super::pipeline::{Limits, Shared};
use super::sampler::Decision;
use super::slab::{Handle, Slab};
use super::stack::Frame;
use super::visit::Fields;
use crate::clock;
use crate::site::{Site, SpanKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_core::Metadata;

/// Every live span of the process.
pub(crate) static SLAB: Slab<Live> = Slab::new();

/// Where a new span hangs.
#[derive(Clone, Copy)]
pub(crate) enum ParentRef<'a> {
    Current,
    Root,
    Context(&'a SpanContext),
    Local(Handle),
}

/// What is to be known to open a span.
pub(crate) struct Start<'a> {
    pub(crate) meta: &'static Metadata<'static>,
    pub(crate) site: Option<&'static Site>,
    pub(crate) kind: SpanKind,
    pub(crate) parent: ParentRef<'a>,
    /// Ticks at the beginning; 0: now.
    pub(crate) ticks: u64,
    /// The half of a new trace's id that was drawn for the sampler already, or 0.
    pub(crate) low: u64,
}

/// The parent as the sampler sees it, and what the child takes from it.
pub(crate) struct ParentIds {
    pub(crate) ids: Ids,
    pub(crate) handle: Option<Handle>,
}

#[inline]
pub(crate) fn parent_of(local: &mut Local, pipeline: u32, parent: ParentRef<'_>) -> Option<ParentIds> {
    match parent {
        ParentRef::Current => {
            if let Some(context) = otel::newer(local) {
                let handle = None;
                let ids = Ids::of(&context);
                return Some(ParentIds { ids, handle });
            }
            let frame = local.top()?;
            (frame.pipeline() == pipeline).then(|| ParentIds {
                ids: frame.ids().clone(),
                handle: frame.handle,
            })
        }
        ParentRef::Root => None,
        ParentRef::Context(context) => context.is_valid().then(|| ParentIds {
            ids: Ids::of(context),
            handle: None,
        }),
        ParentRef::Local(handle) => ids_of(handle).map(|ids| ParentIds {
            ids,
            handle: Some(handle),
        }),
    }
}

/// What a span without a parent takes along: the baggage it came with, else what is current. A new trace is no new request.
#[cold]
fn root_carries(local: &mut Local, parent: ParentRef<'_>) -> Option<Arc<Carried>> {
    if let ParentRef::Context(context) = parent {
        return Carried::of(None, &context.baggage);
    }
    match local.top() {
        Some(frame) => Carried::of(None, &frame.ids().baggage()),
        None => local.base.clone(),
    }
}

/// What a root carries that a ratio kept: the threshold too.
#[cold]
pub(crate) fn marked(shared: &Shared, carried: Option<Arc<Carried>>) -> Option<Arc<Carried>> {
    match (carried, &shared.mark) {
        (Some(carried), Some(mark)) => Carried::of(mark.trace_state.clone(), &carried.baggage),
        (None, mark) => mark.clone(),
        (carried, None) => carried,
    }
}

/// The same of a span under what is current.
#[inline]
pub(crate) fn base(local: &mut Local) -> Option<Arc<Carried>> {
    local.base.as_ref()?;
    root_carries(local, ParentRef::Current)
}

/// Asks the sampler and opens a span; its identity goes to `ids`, recorded or not. Live, with one reference, when recorded.
#[inline]
pub(crate) fn start(shared: &Shared, local: &mut Local, start: &Start<'_>, ids: &mut Ids) -> Option<Handle> {
    let decided = if shared.sampler.is_custom() {
        local.decided.take()
    } else {
        None
    };
    let parent = parent_of(local, shared.id, start.parent);
    let (trace, mut flags) = if let Some(parent) = &parent {
        (parent.ids.trace, parent.ids.flags().inherited())
    } else {
        let drawn = decided.as_ref().map(|decided| decided.trace);
        let trace = drawn.unwrap_or_else(|| match start.low {
            0 => local.rng.trace_words(),
            low => [local.rng.next(), low],
        });
        (trace, TraceFlags::RANDOM)
    };
    let Decision { sampled, state } = match &decided {
        Some(decided) => decided.decision(),
        None => shared.sampler.decide(parent.as_ref(), trace, shared.tail.is_none()),
    };
    if sampled {
        flags = flags.with(TraceFlags::SAMPLED);
    }
    let span = local.rng.span_id().0;
    let bits = Ids::bits(shared.id, flags);
    let (mut parent_span, mut parent_remote, mut parent_handle, mut carried) = (0, false, None, None);
    let is_root = parent.is_none();
    if let Some(parent) = parent {
        parent_span = parent.ids.span;
        parent_remote = parent.ids.remote();
        parent_handle = parent.handle;
        carried = parent.ids.carried;
    } else if local.base.is_some() || !matches!(start.parent, ParentRef::Current) {
        carried = root_carries(local, start.parent);
    }
    if let Some(trace_state) = state {
        let baggage = carried.as_ref().map(|carried| carried.baggage.clone());
        carried = Carried::of(trace_state, &baggage.unwrap_or_default());
    }
    if is_root && sampled && shared.mark.is_some() {
        carried = marked(shared, carried);
    }
    ids.trace = trace;
    ids.span = span;
    ids.bits = bits;
    let handle = if sampled {
        if !decided.as_ref().is_some_and(|decided| decided.tentative) {
            local.counters().started.add(1);
        }
        let free = local.free_slot()?;
        let limits = &shared.limits;
        SLAB.fill(free, |live| {
            // One by one: a struct written and copied whole is written twice.
            let fixed = &mut live.fixed;
            fixed.meta = Some(start.meta);
            fixed.site = start.site;
            fixed.parent = parent_span;
            fixed.end = 0;
            fixed.dropped_attributes = 0;
            fixed.dropped_events = 0;
            fixed.dropped_links = 0;
            fixed.kind = start.kind;
            fixed.outcome = None;
            fixed.status = 0;
            fixed.parent_remote = parent_remote;
            fixed.recorded = true;
            fixed.repeated = false;
            live.ids.trace = trace;
            live.ids.span = span;
            live.ids.bits = bits;
            if carried.is_some() {
                live.ids.carried.clone_from(&carried);
            }
            live.allow(limits);
            live.parent = parent_handle;
            // Last: what it cost to get here is ours, not the span's.
            live.fixed.start = if start.ticks == 0 { clock::now() } else { start.ticks };
        })
    } else {
        local.counters().sampled_out.add(1);
        None
    };
    ids.carried = carried;
    if let (Some(handle), Some(decided)) = (handle, decided) {
        chosen::opened(local, handle, *decided);
    }
    handle
}

/// The identity of a span that `tracing` has an id for, recorded or not.
pub(crate) fn ids_of(handle: Handle) -> Option<Ids> {
    if passed::is_passed(handle) {
        return passed::known(handle).map(|(ids, _)| ids);
    }
    SLAB.with(handle, |live| live.ids.clone())
}

/// A slot for a span that is not recorded, so that `tracing` has an id to name it by.
pub(crate) fn name(local: &mut Local, meta: &'static Metadata<'static>, ids: &Ids) -> Option<Handle> {
    let free = local.free_slot()?;
    SLAB.fill(free, |live| {
        live.fixed = Fixed {
            meta: Some(meta),
            ..Fixed::default()
        };
        live.ids = ids.clone();
        live.parent = None;
    })
}

/// Some span was moved under another parent: whoever keeps a span's ids looks again.
static MOVED: AtomicBool = AtomicBool::new(false);

#[inline]
pub(crate) fn has_moved() -> bool {
    MOVED.load(Ordering::Relaxed)
}

/// Moves a span under another parent, or to a trace of its own, and asks the sampler again. What begins under it on this thread from
/// here on follows it.
pub(crate) fn set_parent(shared: &Shared, handle: Handle, parent: Option<&SpanContext>) {
    MOVED.store(true, Ordering::Relaxed);
    if passed::is_passed(handle) {
        return passed::set_parent(shared, handle, parent);
    }
    let Some(Some((meta, site, kind))) = SLAB.with(handle, |live| {
        let fixed = &live.fixed;
        let meta = fixed.meta.filter(|_| fixed.end == 0)?;
        Some((meta, fixed.site, fixed.kind))
    }) else {
        return;
    };
    let begin = Start {
        meta,
        site,
        kind,
        parent: parent.map_or(ParentRef::Root, ParentRef::Context),
        ticks: 0,
        low: 0,
    };
    if shared.sampler.is_custom() {
        let body = SLAB.with(handle, |live| live.body.clone()).unwrap_or_default();
        chosen::ask(shared, &begin, meta.name(), &[], &Given::Body(&body));
    }
    local::with(|local| {
        let mut ids = Ids::default();
        // A span made as this one would be made under that parent, whose identity then becomes this one's.
        let twin = start(shared, local, &begin, &mut ids);
        let parent = twin.and_then(|twin| {
            let mut closing = SLAB.release(twin, |_| ())?;
            let live = closing.contents();
            let parent = (live.fixed.parent, live.fixed.parent_remote);
            live.clear();
            local.recycle(closing.free());
            Some(parent)
        });
        let limits = &shared.limits;
        let twins = parent.is_some();
        let moved = SLAB.with(handle, |live| {
            let was_recorded = live.fixed.recorded;
            let span = live.ids.span;
            let before = std::mem::replace(&mut live.ids, Ids { span, ..ids });
            live.parent = None;
            if let Some((span, remote)) = parent {
                live.fixed.parent = span;
                live.fixed.parent_remote = remote;
                if !live.fixed.recorded {
                    live.fixed.recorded = true;
                    live.fixed.start = clock::now();
                    live.allow(limits);
                }
            } else {
                live.fixed.recorded = false;
            }
            (was_recorded, before, live.ids.clone())
        });
        if twins && let Some((false, ..)) = &moved {
            draft::hand_on(local, handle, handle);
        }
        if let Some((_, before, ids)) = &moved {
            local.stack.identify(handle, before, ids);
        }
        // The twin began; what it stands for is no other span, or has been closed meanwhile.
        if moved.map_or(twins, |(was_recorded, ..)| was_recorded) {
            local.counters().ended.add(1);
        }
    });
}

/// Appends attributes that `write` encodes, which may be user code.
pub(crate) fn attributes(handle: Handle, by_index: bool, later: bool, write: impl FnOnce(&mut Fields<'_>)) {
    let Some(Some((room, longest, scarce))) = SLAB.with(handle, |live| {
        let scarce = later && live.is_scarce();
        live.is_open().then_some((live.attributes_left, live.longest, scarce))
    }) else {
        return;
    };
    local::formatted(
        |out| {
            let mut fields = Fields {
                out,
                by_index,
                // Then it is seen afterwards which of them take others' places.
                room: if scarce { u32::MAX } else { room },
                dropped: 0,
                written: 0,
                longest,
            };
            write(&mut fields);
            (fields.written, fields.dropped)
        },
        |(written, dropped), bytes, _| {
            if scarce {
                SLAB.with(handle, |live| {
                    if live.is_open() {
                        live.say_again(bytes);
                    }
                });
            } else {
                said(handle, bytes, written, dropped);
            }
            if later {
                SLAB.with(handle, |live| live.fixed.repeated |= live.is_open());
            }
        },
    );
}

/// Appends attributes in whose values no user code has a part: right where they stay.
pub(crate) fn plain(handle: Handle, by_index: bool, write: impl FnOnce(&mut Fields<'_>)) {
    SLAB.with(handle, |live| {
        if live.is_open() {
            live.write(by_index, write);
        }
    });
}

/// Begins what is said of a span with what is common to many, and goes on as [`plain`] does with so many more. False where that can not be
/// said of it as it is: nothing is, then.
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) fn begin_common(handle: Handle, number: u32, more: u32, write: impl FnOnce(&mut Fields<'_>)) -> bool {
    let begun = SLAB.with(handle, |live| {
        let Some(common) = common::at(number) else { return false };
        let room = live.attributes_left.saturating_sub(more);
        let fits = live.is_open() && live.body.is_empty() && common.fits(room, live.longest);
        if fits {
            body::common(&mut live.body, number);
            live.attributes_left -= common.attributes.len() as u32;
            live.write(true, write);
        }
        fits
    });
    begun.unwrap_or(false)
}

/// Appends attributes that are encoded. Others may have taken their room meanwhile: other threads, or what formatted a value.
pub(crate) fn said(handle: Handle, bytes: &[u8], written: u32, dropped: u32) {
    SLAB.with(handle, |live| {
        if !live.is_open() {
            return;
        }
        if live.attributes_left < written {
            live.say_again(bytes);
        } else {
            live.body.extend_from_slice(bytes);
            live.attributes_left -= written;
        }
        live.fixed.dropped_attributes += dropped;
    });
}

/// Whether what is said of a span is kept.
pub(crate) fn is_recording(handle: Handle) -> bool {
    SLAB.with(handle, |live| live.is_open()).unwrap_or(false)
}

/// Appends one attribute, no user code involved.
pub(crate) fn set(handle: Handle, key: &str, value: body::Scalar<'_>) {
    SLAB.with(handle, |live| {
        if live.is_open() {
            live.set(key, value);
        }
    });
}

/// How many attributes an event of that span may have.
pub(crate) fn room_per_event(handle: Handle) -> u32 {
    let pipeline = SLAB.with(handle, |live| live.ids.pipeline());
    pipeline
        .and_then(|pipeline| local::with(|local| local.limits_of(pipeline).attributes_per_event))
        .unwrap_or(Limits::DEFAULT.attributes_per_event)
}

/// Appends an event, with attributes that `write` encodes.
pub(crate) fn event(handle: Handle, name: &str, write: impl FnOnce(&mut Fields<'_>), room: u32) {
    event_or_line(handle, name, write, room, false);
}

/// The same of an event of `tracing`.
pub(crate) fn line(handle: Handle, name: &str, write: impl FnOnce(&mut Fields<'_>), room: u32) {
    event_or_line(handle, name, write, room, true);
}

fn event_or_line(handle: Handle, name: &str, write: impl FnOnce(&mut Fields<'_>), room: u32, line: bool) {
    let Some(Some(longest)) = SLAB.with(handle, |live| live.takes_event().then_some(live.longest)) else {
        return;
    };
    let ticks = clock::now();
    local::formatted(
        |out| {
            body::event(out, ticks, name, line);
            let mut fields = Fields {
                out,
                by_index: false,
                room,
                dropped: 0,
                written: 0,
                longest,
            };
            write(&mut fields);
            let dropped = fields.dropped;
            body::end(out, dropped);
        },
        |(), bytes, _| {
            SLAB.with(handle, |live| {
                // Others may have taken its room meanwhile.
                if live.takes_event() {
                    live.events_left -= 1;
                    live.body.extend_from_slice(bytes);
                }
            });
        },
    );
}

/// Appends a link.
pub(crate) fn link(handle: Handle, context: &SpanContext) {
    if !context.is_valid() {
        return; // baggage alone, which came with no span
    }
    SLAB.with(handle, |live| {
        if !live.is_open() {
            return;
        }
        if live.links_left == 0 {
            live.fixed.dropped_links += 1;
            return;
        }
        live.links_left -= 1;
        body::link(&mut live.body, context);
        body::end(&mut live.body, 0);
    });
}

/// Drops a reference, after `settle` has said how the span ends. The last one hands it over.
#[inline]
pub(crate) fn close(handle: Handle, settle: impl FnOnce(&mut Live)) -> bool {
    let Some(mut closing) = SLAB.release(handle, settle) else {
        return false;
    };
    let live = closing.contents();
    let recorded = live.fixed.recorded;
    if recorded {
        if live.fixed.end == 0 {
            live.fixed.end = clock::now();
        }
        live.rarely();
    }
    let mut closing = Some(closing);
    let closed = local::with(|local| {
        let Some(mut closing) = closing.take() else { return };
        let live = closing.contents();
        if recorded {
            local.hand_over(Head::of(live), &live.body);
            local.counters().ended.add(1);
        }
        live.clear();
        local.recycle(closing.free());
    });
    if closed.is_none()
        && let Some(mut closing) = closing
    {
        let live = closing.contents();
        if recorded {
            drain::orphan(Head::of(live), &live.body);
        }
        live.clear();
        SLAB.give_back(std::iter::once(closing.free()));
    }
    true
}

/// Drops the reference to a span that was none: nothing of it is handed over.
#[cold]
pub(crate) fn discard(handle: Handle) {
    let mut recorded = false;
    close(handle, |live| recorded = std::mem::take(&mut live.fixed.recorded));
    if recorded && local::with(|local| local.counters().ended.add(1)).is_none() {
        drain::ended_apart();
    }
}

/// Moves the span of a frame to the slab, for someone who needs an id to name it by. The frame holds the reference.
///
/// A span that is not recorded gets a slot too, so that what is spawned under it belongs to the same trace, unrecorded.
#[cold]
pub(crate) fn settle(local: &mut Local, at: usize) -> Option<Handle> {
    let frame = local.stack.at(at, &mut local.rng)?;
    if frame.handle.is_some() {
        return frame.handle;
    }
    let (ids, meta, site) = (frame.ids().clone(), frame.metadata()?, frame.site);
    let handle = if frame.is_own() {
        let (parent, parent_remote, start) = (frame.parent, frame.parent_remote(), frame.start);
        let limits = local.limits_of(ids.pipeline());
        let free = local.free_slot()?;
        let body = local.stack.take_body(at);
        let handle = SLAB.fill(free, |live| {
            live.fixed = Fixed {
                meta: Some(meta),
                site,
                parent,
                start,
                kind: site.map_or(SpanKind::Internal, Site::span_kind),
                parent_remote,
                recorded: true,
                dropped_attributes: body.dropped,
                ..Fixed::default()
            };
            live.ids = ids;
            live.parent = None;
            live.allow(&limits);
            live.attributes_left = live.attributes_left.saturating_sub(body.written);
            live.body.extend_from_slice(&body.bytes);
        });
        local.stack.keep_body(at, body);
        handle
    } else {
        name(local, meta, &ids)
    }?;
    local.stack.at(at, &mut local.rng)?.moved(handle);
    Some(handle)
}

/// The innermost span of this thread, or baggage alone.
pub(crate) fn current() -> Option<SpanContext> {
    local::with(|local| match current_in(local, false) {
        Some((context, _)) => Some(context),
        None => local.base.as_ref().map(|carried| SpanContext {
            baggage: carried.baggage.clone(),
            ..SpanContext::default()
        }),
    })
    .flatten()
}

/// The innermost span, and its place in the store where it has one; it is given one where it is `wanted`.
pub(crate) fn current_in(local: &mut Local, wanted: bool) -> Option<(SpanContext, Option<Handle>)> {
    if let Some(context) = otel::newer(local) {
        let handle = otel::handle_of(context.span_id.0);
        return Some((context, handle));
    }
    if wanted {
        settle_own(local);
    }
    local.top().map(|frame| (frame.ids().context(), frame.handle))
}

/// Moves the innermost span to the slab if it is recorded and lives in its frame.
pub(crate) fn settle_own(local: &mut Local) {
    if local.stack.peek().is_some_and(Frame::is_own)
        && let Some(at) = local.stack.last()
    {
        settle(local, at);
    }
}
