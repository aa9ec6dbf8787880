//! What one thread keeps: its current spans, free slots, its end of the ring, its ids.
//!
//! User code never runs while this is borrowed: values are formatted into a buffer taken out of here first. While that goes
//! on, [`away`] turns every other entry away, so that a `Debug` which logs, or opens a span, cannot recurse.

use super::baggage::Baggage;
use super::chosen::Decided;
use super::context::{SpanContext, SpanId, TraceFlags, TraceId};
use super::draft::Draft;
use super::drain::{self, Counters};
use super::finished::Head;
use super::ids::Rng;
use super::live::Live;
use super::long;
use super::passed::{self, Stage};
use super::pipeline::{Limits, Shared};
use super::ring::Writer;
use super::slab::{BATCH, FreeSlot, Handle};
use super::stack::{Frame, Stack};
use super::store::SLAB;
use crate::here::here;
use std::cell::RefCell;
use std::mem::{self, ManuallyDrop};
use std::sync::Arc;

/// What travels with a trace and is the same for all its local spans.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Carried {
    pub(crate) trace_state: Option<Arc<str>>,
    pub(crate) baggage: Baggage,
}

impl Carried {
    /// None where there is nothing to carry, which is what most requests have.
    pub(crate) fn of(trace_state: Option<Arc<str>>, baggage: &Baggage) -> Option<Arc<Self>> {
        (trace_state.is_some() || !baggage.is_empty()).then(|| {
            Arc::new(Self {
                trace_state,
                baggage: baggage.clone(),
            })
        })
    }
}

/// A span's identity. Whole words without padding, so that copies are plain moves: a copy of half-written words waits for the
/// store buffer, and this one is copied several times a span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    pub(crate) trace: [u64; 2],
    pub(crate) span: u64,
    pub(crate) carried: Option<Arc<Carried>>,
    /// Pipeline in the upper half, then [`REMOTE`], then the flags.
    pub(crate) bits: u64,
}

const REMOTE: u64 = 1 << 8;

impl Ids {
    #[inline]
    pub(crate) fn new(trace: TraceId, span: SpanId, flags: TraceFlags) -> Self {
        Self {
            trace: [(trace.0 >> 64) as u64, trace.0 as u64],
            span: span.0,
            carried: None,
            bits: u64::from(flags.0),
        }
    }

    #[inline]
    pub(crate) fn trace(&self) -> TraceId {
        TraceId(u128::from(self.trace[0]) << 64 | u128::from(self.trace[1]))
    }

    #[inline]
    pub(crate) fn flags(&self) -> TraceFlags {
        TraceFlags(self.bits as u8)
    }

    #[inline]
    pub(crate) fn remote(&self) -> bool {
        self.bits & REMOTE != 0
    }

    #[inline]
    pub(crate) fn pipeline(&self) -> u32 {
        (self.bits >> 32) as u32
    }

    /// The word of a local span.
    #[inline]
    pub(crate) fn bits(pipeline: u32, flags: TraceFlags) -> u64 {
        u64::from(pipeline) << 32 | u64::from(flags.0)
    }

    pub(crate) fn of(context: &SpanContext) -> Self {
        let mut ids = Self::new(context.trace_id, context.span_id, context.flags);
        if context.is_remote {
            ids.bits |= REMOTE;
        }
        ids.carried = Carried::of(context.trace_state.clone(), &context.baggage);
        ids
    }

    pub(crate) fn trace_state(&self) -> Option<&str> {
        self.carried.as_ref()?.trace_state.as_deref()
    }

    pub(crate) fn baggage(&self) -> Baggage {
        let carried = self.carried.as_ref();
        carried.map(|carried| carried.baggage.clone()).unwrap_or_default()
    }

    pub(crate) fn context(&self) -> SpanContext {
        SpanContext {
            trace_id: self.trace(),
            span_id: SpanId(self.span),
            flags: self.flags(),
            is_remote: self.remote(),
            trace_state: self.carried.as_ref().and_then(|carried| carried.trace_state.clone()),
            baggage: self.baggage(),
        }
    }
}

pub(crate) struct Local {
    pub(crate) stack: Stack,
    /// Baggage that is current where no span is.
    pub(crate) base: Option<Arc<Carried>>,
    pub(crate) rng: Rng,
    /// What a sampler of the program's own said of the span that opens next.
    pub(crate) decided: Option<Box<Decided>>,
    /// Spans that it says it of when their fields are there, with their parents.
    pub(crate) undecided: Vec<(Handle, Option<SpanContext>)>,
    /// Of the pipeline that was asked for a span last.
    limits: (u32, Limits),
    pub(crate) counters: Option<Arc<Counters>>,
    free: Vec<FreeSlot<Live>>,
    writer: Option<Writer<Head>>,
    scratch: Vec<u8>,
    pub(crate) draft: Draft,
    /// A table of spans that are passed over, which there may be none of for so many threads.
    pub(crate) asked_for_table: bool,
}

thread_local! {
    /// Never dropped, so that no one has to ask how far the thread is in its life; [`END`] empties it.
    static LOCAL: ManuallyDrop<RefCell<Local>> = const { ManuallyDrop::new(RefCell::new(Local::new())) };
    /// Dropped when the thread ends.
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        here(|here| here.passed.stage(Stage::Over));
        let ended = LOCAL.try_with(|local| Some(mem::replace(&mut *local.try_borrow_mut().ok()?, Local::new())));
        drop(ended);
    }
}

/// This thread's state; `None` when the thread is ending.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut Local) -> R) -> Option<R> {
    if !here(|here| here.passed.is_settled()) && !settle() {
        return None;
    }
    LOCAL
        .try_with(|local| local.try_borrow_mut().ok().map(|mut local| f(&mut local)))
        .ok()
        .flatten()
}

/// Sees to what stands between the thread and its state: that it is the first time, or that there is something to move to the stack.
#[inline(never)]
fn settle() -> bool {
    match here(|here| here.passed.staged()) {
        Stage::Over => false,
        // From here on the thread's end is heard of.
        Stage::New if END.try_with(|_| ()).is_err() => false,
        Stage::New => {
            here(|here| here.passed.stage(Stage::Here));
            true
        }
        Stage::Here => LOCAL
            .try_with(|local| {
                let unfolded = local.try_borrow_mut().map(|mut local| passed::unfold(&mut local.stack));
                unfolded.is_ok()
            })
            .unwrap_or(false),
    }
}

/// Takes the innermost frame of a span off this thread's stack.
#[inline]
pub(crate) fn leave_span(span: u64) {
    super::otel::left(span);
    let named = with(|local| local.stack.take_span(span, &mut local.rng)?.owned);
    if let Some(Some(handle)) = named {
        super::store::close(handle, |_| ());
    }
}

/// Bits of [`Here::away`](crate::here::Here::away): a field's value is being formatted.
const FORMATTING: u8 = 1;
/// What runs is our own exporting or serving, which makes no telemetry, or it would feed itself.
const OURS: u8 = 2;

/// What this thread's reasons are to make no telemetry now.
#[inline]
fn away() -> u8 {
    here(|here| here.away.get())
}

/// True while a field's value is being formatted on this thread.
#[inline]
pub(crate) fn is_formatting() -> bool {
    away() & FORMATTING != 0
}

/// Whether the code that runs now on this thread is our own exporting or serving.
#[inline]
pub(crate) fn is_ours() -> bool {
    away() & OURS != 0
}

/// The same of either, with nothing counted.
#[inline]
pub(crate) fn is_away() -> bool {
    away() != 0
}

/// True when what begins now is not to be recorded; what a field's formatting begins is counted.
#[inline]
pub(crate) fn is_turned_away() -> bool {
    away() != 0 && turned_away()
}

#[cold]
fn turned_away() -> bool {
    if is_formatting() {
        with(|local| local.counters().reentrant.add(1));
    }
    true
}

struct Restore(u8);

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        here(|here| here.away.set(self.0));
    }
}

#[inline]
fn with_reason<R>(reason: u8, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(here(|here| here.away.replace(here.away.get() | reason)));
    f()
}

/// Runs what may be user code; other entries are turned away meanwhile.
#[inline]
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> R {
    with_reason(FORMATTING, f)
}

/// Runs something as our own.
#[inline]
pub(crate) fn as_ours<R>(f: impl FnOnce() -> R) -> R {
    with_reason(OURS, f)
}

/// Runs what may be user code with a buffer of this thread's; other entries are turned away meanwhile.
pub(crate) fn formatted<R>(write: impl FnOnce(&mut Vec<u8>) -> R, then: impl FnOnce(R, &[u8], &mut Local)) {
    let Some(mut scratch) = with(|local| std::mem::take(&mut local.scratch)) else {
        return;
    };
    let written = guarded(|| write(&mut scratch));
    with(|local| {
        then(written, &scratch, local);
        scratch.clear();
        if scratch.capacity() <= 64 * 1024 {
            local.scratch = scratch;
        }
    });
}

impl Local {
    const fn new() -> Self {
        Self {
            stack: Stack::new(),
            base: None,
            rng: Rng::unseeded(),
            decided: None,
            undecided: Vec::new(),
            limits: (0, Limits::DEFAULT),
            counters: None,
            free: Vec::new(),
            writer: None,
            scratch: Vec::new(),
            draft: Draft::new(),
            asked_for_table: false,
        }
    }

    /// The innermost span.
    #[inline]
    pub(crate) fn top(&mut self) -> Option<&mut Frame> {
        self.stack.top(&mut self.rng)
    }

    /// Remembers the limits of the pipeline whose span begins.
    #[inline]
    pub(crate) fn remember(&mut self, shared: &Shared) {
        if self.limits.0 != shared.id {
            self.limits = (shared.id, shared.limits.clone());
        }
    }

    /// The limits of a span of this thread.
    pub(crate) fn limits_of(&self, pipeline: u32) -> Limits {
        if self.limits.0 == pipeline {
            return self.limits.1.clone();
        }
        drain::pipeline(pipeline).map_or(Limits::DEFAULT, |shared| shared.limits.clone())
    }

    /// A free slot of the slab.
    #[inline]
    pub(crate) fn free_slot(&mut self) -> Option<FreeSlot<Live>> {
        if self.free.is_empty() {
            SLAB.refill(&mut self.free);
        }
        self.free.pop()
    }

    #[inline]
    pub(crate) fn recycle(&mut self, slot: FreeSlot<Live>) {
        self.free.push(slot);
        if self.free.len() > 4 * BATCH {
            SLAB.give_back(self.free.drain(BATCH..));
        }
    }

    /// This thread's counters.
    #[inline]
    pub(crate) fn counters(&mut self) -> &Counters {
        self.counters.get_or_insert_with(drain::new_counters)
    }

    /// Hands a finished span to the drainer.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the head is built in the ring itself only when nothing is called in between"
    )]
    pub(crate) fn hand_over(&mut self, head: Head, body: &[u8]) {
        if let Some(writer) = &mut self.writer
            && body.len() <= writer.longest_body()
            && let Some(half) = writer.push(&head, body)
        {
            drain::pushed(half);
        } else {
            self.hand_over_otherwise(head, body);
        }
    }

    /// The thread's first span, a long one, or a full ring: then a bigger one, up to the bound; what does not fit is dropped
    /// and counted.
    #[cold]
    fn hand_over_otherwise(&mut self, mut head: Head, body: &[u8]) {
        let mut body = body;
        let writer = self.writer.get_or_insert_with(|| drain::new_ring(drain::FIRST_RING));
        if body.len() > writer.longest_body() {
            head.set_long();
            if !long::keep(head.span, body) {
                drain::pushed(true);
                return self.counters().dropped_ring.add(1);
            }
            body = &[];
        }
        if let Some(half) = writer.push(&head, body) {
            return drain::pushed(half || head.long());
        }
        drain::pushed(true);
        let size = writer.bytes();
        if size < drain::largest_ring() {
            *writer = drain::new_ring(size * 4);
            let _ = writer.push(&head, body);
        } else {
            if head.long() {
                long::take(head.span);
            }
            self.counters().dropped_ring.add(1);
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for handle in self.stack.drain_owned() {
            if let Some(mut closing) = SLAB.release(handle, |_| ()) {
                closing.contents().clear();
                self.free.push(closing.free());
            }
        }
        SLAB.give_back(self.free.drain(..));
        passed::give_up();
        if let Some(counters) = self.counters.take() {
            drain::retire_counters(&counters);
        }
    }
}
