//! Spans of plain functions, straight to the stack: a call keeps a number, its token, and everything else stands in the frame.
//!
//! The sampler is asked first. What it turns away takes a frame without ids; what it keeps is written into the frame, and from
//! there into the ring when the call ends. Only what others ask for by an id goes through the slab.

use super::active::{self, ActiveSpan, Parent, SpanOptions};
use super::body::{self, Key, Scalar};
use super::chosen;
use super::context::{SpanId, TraceFlags, TraceId};
use super::errors;
use super::finished::Head;
use super::local::{self, Ids, Local};
use super::modes;
use super::open;
use super::otel;
use super::passing;
use super::pipeline::{self, Shared};
use super::sampler::Quick;
use super::slab::Handle;
use super::stack::{self, FOREIGN, Frame, HANDED_ON, RECORDED, TOKEN_STEP};
use super::store::{self, ParentRef, Start};
use super::timing;
use super::visit::Fields;
use crate::clock;
use crate::outcome::CallOutcome;
use crate::probe::ErrorRef;
use crate::site::Site;
use std::cell::RefCell;
use tracing_core::field::Value;
use tracing_core::{Dispatch, dispatcher};

thread_local! {
    /// The spans of calls under a subscriber that is not ours.
    static ELSEWHERE: RefCell<(u64, Vec<(u64, ActiveSpan)>)> = const { RefCell::new((0, Vec::new())) };
}

/// Opens the span of a call and makes it current: its token, or 0 where there is none. `ticks` is 0 when no one has read the clock
/// yet.
///
/// What is usual is a straight line here; the rest stands apart, so that nothing is saved for it on the way.
#[inline(never)]
pub(crate) fn open(site: &'static Site, ticks: u64) -> u64 {
    if local::is_turned_away() {
        return 0;
    }
    match dispatcher::get_default(pipeline::global) {
        Some(shared) if !modes::any() && !shared.sampler.is_custom() => {
            if is_off(site, shared) {
                site.slots.span.found_off(site);
                return 0;
            }
            local::with(|local| decide(local, site, shared, ticks, 0)).unwrap_or(0)
        }
        _ => open_apart(site, ticks),
    }
}

/// The same under other circumstances.
#[inline(never)]
fn open_apart(site: &'static Site, ticks: u64) -> u64 {
    let token = dispatcher::get_default(|dispatch| match pipeline::of(dispatch) {
        Some(shared) => open_ours(site, shared, ticks),
        None => open_elsewhere(site, dispatch, None),
    });
    opened(token, site);
    token
}

/// The same, with what was said of it.
#[inline(never)]
pub(crate) fn open_with(site: &'static Site, ticks: u64, options: &SpanOptions) -> u64 {
    if local::is_turned_away() {
        return 0;
    }
    let passed = passing::ids(Some(&options.parent));
    let token = dispatcher::get_default(|dispatch| match pipeline::of(dispatch) {
        Some(shared) => open_said(site, shared, ticks, options),
        None => open_elsewhere(site, dispatch, Some(options)),
    });
    let token = match passed {
        Some(ids) => passing::begin(site.metadata(), ids, token),
        None => token,
    };
    opened(token, site);
    token
}

/// Tells those who want to know. Nothing of ours, nor of `tracing`'s, is borrowed here.
#[cold]
fn opened(token: u64, site: &'static Site) {
    if token == 0 {
        site.slots.span.found_off(site);
    } else if token & FOREIGN != 0 {
        elsewhere(token, |span| span.enter(site));
    } else if otel::is_attaching()
        && let Some(ids) = identity(token)
    {
        otel::entered(&ids);
    }
}

/// The ids of the call's span.
#[cold]
fn identity(token: u64) -> Option<Ids> {
    local::with(|local| {
        let at = local.stack.position(token)?;
        Some(local.stack.at(at, &mut local.rng)?.ids().clone())
    })
    .flatten()
}

/// No span of the site exists now.
#[inline]
fn is_off(site: &'static Site, shared: &Shared) -> bool {
    shared.is_closed() || !site.slots.span.enabled(site, shared)
}

fn open_ours(site: &'static Site, shared: &Shared, ticks: u64) -> u64 {
    if is_off(site, shared) {
        return 0;
    }
    if shared.sampler.is_custom() {
        active::chosen(shared, &start(site, ticks, ParentRef::Current), None);
    }
    local::with(|local| {
        if otel::newer(local).is_some() || open::is_watched() {
            ask(local, site, shared, ticks, ParentRef::Current).0
        } else {
            decide(local, site, shared, ticks, otel::noted())
        }
    })
    .unwrap_or(0)
}

/// Asks the sampler about a span under the innermost of ours.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a child that is not recorded is a few stores")]
fn decide(local: &mut Local, site: &'static Site, shared: &Shared, ticks: u64, noted: u32) -> u64 {
    if shared.follows
        && let Some(parent) = local.stack.peek().filter(|frame| frame.pipeline() == shared.id)
    {
        return if parent.is_sampled() {
            keep(local, site, shared, ticks, 0, noted)
        } else {
            pass(local, site, shared, None, noted)
        };
    }
    decide_root(local, site, shared, ticks, noted)
}

/// The same where it does not go by the parent alone.
#[inline(never)]
fn decide_root(local: &mut Local, site: &'static Site, shared: &Shared, ticks: u64, noted: u32) -> u64 {
    let parent = local.stack.peek().filter(|frame| frame.pipeline() == shared.id);
    let is_root = parent.is_none();
    let low = match shared.quick(parent.map(Frame::is_sampled)) {
        Quick::Drop => 0,
        Quick::Keep => return keep(local, site, shared, ticks, 0, noted),
        Quick::Draw(ratio) => {
            let low = local.rng.next();
            if ratio.keeps([0, low]) {
                return keep(local, site, shared, ticks, low, noted);
            }
            low
        }
        Quick::Ask => return ask(local, site, shared, ticks, ParentRef::Current).0,
    };
    let carried = if is_root { store::base(local) } else { None };
    let token = pass(local, site, shared, is_root.then_some(low), noted);
    if carried.is_some() {
        local.stack.carry(carried);
    }
    token
}

/// A span that is not recorded. Of a root, the half of its trace's id that was drawn for the sampler, or 0.
#[inline(always)]
#[expect(clippy::inline_always, reason = "see `decide`")]
fn pass(local: &mut Local, site: &'static Site, shared: &Shared, root: Option<u64>, noted: u32) -> u64 {
    local.counters().sampled_out.add(1);
    let token = local.stack.token(false);
    local.stack.push_lazy(site, token, shared.id, root, noted);
    token
}

/// A recorded span under what is current. `low` is the half of a new trace's id that was drawn already, or 0.
#[inline(never)]
fn keep(local: &mut Local, site: &'static Site, shared: &Shared, ticks: u64, low: u64, noted: u32) -> u64 {
    local.counters().started.add(1);
    local.remember(shared);
    let token = local.stack.token(true);
    let span = local.rng.span_id().0;
    let mut frame = if let Some(parent) = local.top().filter(|frame| frame.pipeline() == shared.id) {
        let from = parent.ids();
        let flags = from.flags().inherited().with(TraceFlags::SAMPLED);
        let ids = Ids {
            trace: from.trace,
            span,
            carried: from.carried.clone(),
            bits: Ids::bits(shared.id, flags),
        };
        Frame::own(site, token, ids, (from.span, from.remote()), noted)
    } else {
        let trace = if low == 0 {
            local.rng.trace_words()
        } else {
            [local.rng.next(), low]
        };
        let mut carried = store::base(local);
        if shared.mark.is_some() {
            carried = store::marked(shared, carried);
        }
        let ids = Ids {
            trace,
            span,
            carried,
            bits: Ids::bits(shared.id, TraceFlags::RANDOM.with(TraceFlags::SAMPLED)),
        };
        Frame::own(site, token, ids, (0, false), noted)
    };
    // Last: what it cost to get here is ours, not the span's.
    frame.start = if ticks == 0 { clock::now() } else { ticks };
    local.stack.push(frame);
    token
}

#[inline]
fn start<'a>(site: &'static Site, ticks: u64, parent: ParentRef<'a>) -> Start<'a> {
    Start {
        meta: site.metadata(),
        site: Some(site),
        kind: site.span_kind(),
        parent,
        ticks,
        low: 0,
    }
}

/// The way through the slab, for what the sampler or the user has more to say of.
#[cold]
fn ask(
    local: &mut Local,
    site: &'static Site,
    shared: &Shared,
    ticks: u64,
    parent: ParentRef<'_>,
) -> (u64, Option<Handle>) {
    let start = start(site, ticks, parent);
    let mut ids = Ids::default();
    let handle = store::start(shared, local, &start, &mut ids);
    let token = local.stack.token(handle.is_some());
    local.stack.push(Frame::of_call(token, ids, handle, start.meta));
    if let Some(handle) = handle {
        timing::entered(handle);
    }
    (token, handle)
}

fn open_said(site: &'static Site, shared: &Shared, ticks: u64, options: &SpanOptions) -> u64 {
    if is_off(site, shared) {
        return 0;
    }
    let parent = match &options.parent {
        Parent::Current => ParentRef::Current,
        Parent::Root => ParentRef::Root,
        Parent::Of(context) => ParentRef::Context(context),
    };
    if shared.sampler.is_custom() {
        active::chosen(shared, &start(site, ticks, parent), Some(options));
    }
    let (token, handle) = local::with(|local| ask(local, site, shared, ticks, parent)).unwrap_or((0, None));
    if let Some(handle) = handle {
        active::said(handle, options);
    }
    token
}

/// Attributes given to the call's span are kept.
#[inline]
pub(crate) fn is_recorded(token: u64) -> bool {
    token & RECORDED != 0
}

/// Ends the span of a call. `end` is 0 when no one has read the clock yet.
#[inline(never)]
pub(crate) fn close(token: u64, end: u64, outcome: CallOutcome) {
    if token & (RECORDED | FOREIGN | HANDED_ON) != 0 || modes::any() {
        return close_known(token, end, outcome);
    }
    if token == 0 {
        return;
    }
    if outcome == CallOutcome::Panic || local::with(|local| local.stack.pop_lazy(token)) != Some(true) {
        close_apart(token, end, outcome);
    }
}

/// One that is recorded, or of another subscriber's, or was handed on, or that someone wants to know of.
#[inline(never)]
fn close_known(token: u64, end: u64, outcome: CallOutcome) {
    if token == 0 {
        return;
    }
    let end = if end == 0 && token & RECORDED != 0 {
        clock::now()
    } else {
        end
    };
    if otel::is_attaching()
        && let Some(ids) = identity(token)
    {
        otel::left(ids.span);
    }
    let closed = local::with(|local| {
        let Some(frame) = local.stack.ends_with(token) else {
            return false;
        };
        if outcome == CallOutcome::Panic {
            return false;
        }
        if frame.is_own()
            && let Some(site) = frame.site
        {
            let head = Head::of_frame(frame, site, end, outcome);
            if frame.has_said() {
                hand_over_said(local, head);
            } else {
                local.counters().ended.add(1);
                local.hand_over(head, &[]);
            }
        }
        local.stack.pop_plain();
        true
    });
    if closed != Some(true) {
        close_apart(token, end, outcome);
    }
}

/// Hands the innermost span over with what was said of it.
#[inline(never)]
fn hand_over_said(local: &mut Local, head: Head) {
    let Some(at) = local.stack.last() else { return };
    let mut body = local.stack.take_body(at);
    if body.dropped != 0 {
        body::dropped(&mut body.bytes, [body.dropped, 0, 0]);
    }
    local.counters().ended.add(1);
    local.hand_over(head, &body.bytes);
    local.stack.keep_body(at, body);
}

/// One that others know, or that is out of turn, or that unwinds.
#[inline(never)]
fn close_apart(token: u64, end: u64, outcome: CallOutcome) {
    if token & FOREIGN != 0 {
        let taken = ELSEWHERE.try_with(|spans| take(&mut spans.borrow_mut().1, token));
        if let Ok(Some(mut span)) = taken {
            span.exit();
            span.close(end, outcome);
        }
        return passing::end_beside(token);
    }
    // The slab has the one end that knows everything.
    let known = named(token);
    if let Some((ids, handle)) = &known
        && outcome == CallOutcome::Panic
    {
        errors::panicked(ids, *handle);
    }
    let handle = local::with(|local| local.stack.take_token(token, &mut local.rng)?.owned);
    if let Some(Some(handle)) = handle {
        timing::left(handle);
        chosen::fields(handle);
        store::close(handle, |live| live.ended(end, outcome));
    }
}

/// The call's span by its ids, and by a handle where it is recorded. Of a call without a span there is none: frames that no call
/// pushed have no token either.
fn named(token: u64) -> Option<(Ids, Option<Handle>)> {
    if token == 0 {
        return None;
    }
    local::with(|local| {
        let at = local.stack.position(token)?;
        let handle = if token & RECORDED == 0 {
            None
        } else {
            store::settle(local, at)
        };
        let frame = local.stack.at(at, &mut local.rng)?;
        Some((frame.ids().clone(), handle))
    })
    .flatten()
}

/// Values for the site's fields, by position.
pub(crate) fn fields(token: u64, site: &'static Site, values: &[&dyn Value]) {
    if token & FOREIGN != 0 {
        elsewhere(token, |span| span.fields(site, values));
    } else if token & RECORDED != 0
        && !fields_here(token, site, values)
        && let Some((_, Some(handle))) = named(token)
    {
        active::record_fields(handle, site, values);
    }
}

/// The same for a span that lives in its frame, and goes on doing so; false where it does not.
fn fields_here(token: u64, site: &'static Site, values: &[&dyn Value]) -> bool {
    let room = local::with(|local| {
        let frame = local
            .stack
            .peek()
            .filter(|frame| frame.token == token && frame.is_own())?;
        let limits = local.limits_of(frame.pipeline());
        let written = local.stack.last().map_or(0, |at| local.stack.written(at));
        Some((limits.attributes.saturating_sub(written), limits.value_length))
    });
    let Some(Some((room, longest))) = room else {
        return false;
    };
    local::formatted(
        |out| {
            let mut fields = Fields {
                out,
                by_index: true,
                room,
                dropped: 0,
                written: 0,
                longest,
            };
            active::record(site, values, &mut fields);
            (fields.written, fields.dropped)
        },
        |(written, dropped), bytes, local| {
            let Some(at) = local.stack.position(token) else { return };
            if !local.stack.say(at, bytes, written, dropped) {
                // A value's formatting asked for the span by an id.
                let handle = local.stack.at(at, &mut local.rng).and_then(|frame| frame.handle);
                if let Some(handle) = handle {
                    store::said(handle, bytes, written, dropped);
                }
            }
        },
    );
    true
}

/// Another attribute, whose name was not given before.
pub(crate) fn add(token: u64, key: &str, value: Scalar<'_>) {
    if token & FOREIGN != 0 {
        elsewhere(token, |span| span.add(key, value));
    } else if let Some((_, Some(handle))) = named(token) {
        store::plain(handle, false, |fields| fields.named(Key::Name(key), value));
    }
}

/// An attribute in place of one that may have been given before.
#[cold]
pub(crate) fn replace(token: u64, key: &str, value: &str) {
    if token & FOREIGN != 0 {
        elsewhere(token, |span| span.replace(key, value));
    } else if let Some((_, Some(handle))) = named(token) {
        store::set(handle, key, Scalar::Text(value));
    }
}

/// The returned value, as the attribute `return`.
pub(crate) fn returned(token: u64, value: &dyn Value) {
    if token & FOREIGN == 0
        && let Some((_, Some(handle))) = named(token)
    {
        active::record_returned(handle, value);
    }
}

/// Status Error, `error.type`, and where it first surfaced the exception and its log line.
#[cold]
pub(crate) fn error(token: u64, site: &'static Site, error: &ErrorRef<'_>) {
    if token & FOREIGN != 0 {
        elsewhere(token, |span| span.error(site, error));
    } else if let Some((ids, handle)) = named(token) {
        errors::record(site, &ids, handle, error);
    }
}

/// Whether [`exemplar`] can find one: of a call that has a span, by that alone.
#[inline]
pub(crate) fn may_be_example(token: u64) -> bool {
    may_be_example_where(token, stack::any_sampled())
}

/// The same, by whoever knows whether a sampled span is current on this thread.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a load, in every record")]
pub(crate) fn may_be_example_where(token: u64, any_sampled: bool) -> bool {
    if token == 0 {
        any_sampled || otel::is_used()
    } else {
        token & (RECORDED | FOREIGN) != 0
    }
}

/// The ids of the call's span where it is recorded, while it is open; of a call without one, those of the span around it.
pub(crate) fn exemplar(token: u64) -> Option<(TraceId, SpanId)> {
    if token == 0 {
        return active::sampled();
    }
    if token & FOREIGN != 0 {
        let mut found = None;
        elsewhere(token, |span| found = span.exemplar());
        return found;
    }
    local::with(|local| {
        let at = local.stack.position(token)?;
        let ids = local.stack.at(at, &mut local.rng)?.ids();
        ids.flags().is_sampled().then(|| (ids.trace(), SpanId(ids.span)))
    })
    .flatten()
}

/// Takes the span off the stack, to be the span of a future.
pub(crate) fn detach(token: u64) -> ActiveSpan {
    if token & FOREIGN != 0 {
        let taken = ELSEWHERE.try_with(|spans| take(&mut spans.borrow_mut().1, token));
        let span = taken.ok().flatten().unwrap_or_default();
        span.exit();
        return span;
    }
    let Some((ids, handle)) = named(token) else {
        return ActiveSpan::default();
    };
    otel::left(ids.span);
    if let Some(handle) = handle {
        timing::left(handle);
    }
    let left = local::with(|local| local.stack.take_token(token, &mut local.rng)).flatten();
    if handle.is_none()
        && let Some(name) = left.and_then(|left| left.owned)
    {
        store::close(name, |_| ());
    }
    ActiveSpan::of(ids, handle)
}

#[cold]
fn open_elsewhere(site: &'static Site, dispatch: &Dispatch, options: Option<&SpanOptions>) -> u64 {
    let mut span = ActiveSpan::default();
    span.open_foreign(site, dispatch, options);
    if !span.is_foreign() {
        return 0;
    }
    let recorded = u64::from(span.recording());
    ELSEWHERE
        .try_with(|spans| {
            let (last, spans) = &mut *spans.borrow_mut();
            *last += TOKEN_STEP;
            let token = *last | FOREIGN | recorded;
            spans.push((token, span));
            token
        })
        .unwrap_or(0)
}

fn take(spans: &mut Vec<(u64, ActiveSpan)>, token: u64) -> Option<ActiveSpan> {
    let at = spans.iter().rposition(|(of, _)| *of == token)?;
    Some(spans.remove(at).1)
}

/// Does something with a span of another subscriber, whose code may open spans itself: so nothing is borrowed meanwhile.
#[cold]
fn elsewhere(token: u64, f: impl FnOnce(&mut ActiveSpan)) {
    let taken = ELSEWHERE.try_with(|spans| take(&mut spans.borrow_mut().1, token));
    if let Ok(Some(mut span)) = taken {
        f(&mut span);
        let mut span = Some(span);
        let _ = ELSEWHERE.try_with(|spans| {
            let spans = &mut spans.borrow_mut().1;
            if let Some(span) = span.take() {
                let at = spans.partition_point(|(other, _)| *other < token);
                spans.insert(at, (token, span));
            }
        });
    }
}
