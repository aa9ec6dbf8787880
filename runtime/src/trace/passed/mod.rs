//! Spans of `tracing` that are sampled out: they take no slot of the slab but one of their thread's [`Table`], and their ids are made
//! when someone asks for them, always the same from the same number.
//!
//! One that carries something, a trace state or baggage, goes to the slab, and so does one that finds its table full. One that is
//! moved under another parent gets a place in the slab then, to which its own leads.

mod table;

use super::context::{SpanContext, TraceFlags};
use super::local::{self, Ids, Local};
use super::modes;
use super::otel;
use super::pipeline::Shared;
use super::sampler::Quick;
use super::slab::Handle;
use super::stack::Frame;
use super::store::{self, ParentRef, SLAB, Start};
use super::sync;
use crate::site::SpanKind;
use std::sync::{Mutex, OnceLock, PoisonError};
use table::{Contents, Owner, Place, Released, TAG, Table};
use tracing_core::Metadata;

type Meta = Metadata<'static>;
type Slots = Table<Meta>;

/// One thread's table.
pub(crate) type Own = Owner<&'static Slots>;

/// Threads beyond that use the slab.
const MOST: usize = 4096;
static TABLES: [OnceLock<Box<Slots>>; MOST] = [const { OnceLock::new() }; MOST];
static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers {
    given_up: Vec::new(),
    next: 0,
});

struct Numbers {
    given_up: Vec<usize>,
    next: usize,
}

/// A table for a thread that has none: of one that ended, or a new one.
#[cold]
pub(crate) fn own() -> Option<Own> {
    let number = {
        let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = numbers.next;
        match numbers.given_up.pop() {
            Some(number) => number,
            None if fresh < MOST => {
                numbers.next += 1;
                fresh
            }
            None => return None,
        }
    };
    let table = TABLES.get(number)?.get_or_init(|| Box::new(Table::new()));
    Some(Owner::new(&**table, number, late))
}

/// The thread ends; spans of its table may live on.
pub(crate) fn give_up(own: &Own) {
    let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
    numbers.given_up.push(own.number());
}

/// Whether it is one of these.
#[inline]
pub(crate) fn is_passed(handle: Handle) -> bool {
    handle.get().get() & TAG != 0
}

#[inline]
fn place(handle: Handle) -> Place {
    Place::of(handle.get().get())
}

#[inline]
fn table(place: Place) -> Option<&'static Slots> {
    TABLES.get(place.table)?.get().map(|table| &**table)
}

/// Spreads a number over all bits; no two come to the same.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Between the numbers of two spans of a thread.
pub(crate) const NONCE_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn identity(contents: &Contents<Meta>) -> Ids {
    /// The process's own, so that two of which threads chance upon the same number have no trace in common.
    static KEY: OnceLock<[u64; 2]> = OnceLock::new();
    let [high, span] = KEY.get_or_init(|| {
        let random = super::random_u128();
        [(random >> 64) as u64, random as u64]
    });
    let made = [mixed(contents.nonce ^ high), mixed(contents.nonce)];
    let trace = match contents.trace {
        [0, 0] => made,
        [0, drawn] => [made[0], drawn],
        given => given,
    };
    Ids {
        trace,
        span: mixed(contents.nonce ^ span).max(1),
        carried: None,
        bits: contents.bits,
    }
}

/// The identity of a span that is passed over.
pub(crate) fn known(handle: Handle) -> Option<(Ids, &'static Meta)> {
    let place = place(handle);
    let contents = table(place)?.peek(place)?;
    Some((identity(&contents), contents.meta))
}

/// Where what is said of the span belongs: in the slab, if it has been given a place there.
#[inline]
pub(crate) fn resolved(handle: Handle) -> Handle {
    if is_passed(handle) {
        forwarded(handle).unwrap_or(handle)
    } else {
        handle
    }
}

/// The span's place in the slab.
pub(crate) fn forwarded(handle: Handle) -> Option<Handle> {
    let place = place(handle);
    let forward = table(place)?.forwarded(place)?;
    Handle::from_u64(forward.get())
}

/// What [`open`] did.
pub(crate) enum Opened {
    /// The span is passed over.
    Passed(Handle),
    /// It is for the store to open; `low` is the half of a new trace's id that was drawn already, or 0.
    Ask { low: u64 },
}

/// Opens a span that no more has to be known of than that it is not recorded.
#[inline]
pub(crate) fn open(local: &mut Local, shared: &Shared, meta: &'static Meta, parent: ParentRef<'_>) -> Opened {
    let mut low = 0;
    let handle = if let (ParentRef::Current, false) = (parent, modes::any()) {
        open_usual(local, shared, meta, &mut low)
    } else {
        open_otherwise(local, shared, meta, parent, &mut low)
    };
    match handle {
        Some(handle) => Opened::Passed(handle),
        None => Opened::Ask { low },
    }
}

/// Under the innermost of this thread's spans.
#[inline]
fn open_usual(local: &mut Local, shared: &Shared, meta: &'static Meta, low: &mut u64) -> Option<Handle> {
    let parent = local.stack.peek().filter(|frame| frame.pipeline() == shared.id);
    let sampled = parent.map(Frame::is_sampled);
    if is_kept(local, shared, sampled, low) {
        return None;
    }
    if sampled.is_some() {
        let ids = local.top()?.ids();
        let (trace, random) = (ids.trace, ids.flags().0 & TraceFlags::RANDOM.0);
        let bare = ids.carried.is_none();
        bare.then(|| fill(local, shared, meta, trace, TraceFlags(random)))
            .flatten()
    } else if local.base.is_none() {
        fill(local, shared, meta, [0, *low], TraceFlags::RANDOM)
    } else {
        None
    }
}

/// Under a parent that was named, or where others have a say.
#[inline(never)]
fn open_otherwise(
    local: &mut Local,
    shared: &Shared,
    meta: &'static Meta,
    parent: ParentRef<'_>,
    low: &mut u64,
) -> Option<Handle> {
    match parent {
        ParentRef::Current if otel::newer(local).is_none() => open_usual(local, shared, meta, low),
        ParentRef::Local(handle) => {
            let ids = store::ids_of(handle)?;
            if ids.carried.is_some() || is_kept(local, shared, Some(ids.flags().is_sampled()), low) {
                return None;
            }
            let random = ids.flags().0 & TraceFlags::RANDOM.0;
            fill(local, shared, meta, ids.trace, TraceFlags(random))
        }
        ParentRef::Root => {
            let bare = local.base.is_none() && local.top().is_none_or(|frame| frame.ids().carried.is_none());
            if !bare || is_kept(local, shared, None, low) {
                return None;
            }
            fill(local, shared, meta, [0, *low], TraceFlags::RANDOM)
        }
        ParentRef::Current | ParentRef::Context(_) => None,
    }
}

/// Whether the sampler keeps it, or has to be asked otherwise. `low`: see [`Opened::Ask`].
#[inline]
fn is_kept(local: &mut Local, shared: &Shared, parent: Option<bool>, low: &mut u64) -> bool {
    match shared.sampler.quick(parent) {
        Quick::Drop => false,
        Quick::Keep | Quick::Ask => true,
        Quick::Draw(ratio) => {
            *low = local.rng.next();
            ratio.keeps([0, *low])
        }
    }
}

#[inline]
fn fill(local: &mut Local, shared: &Shared, meta: &'static Meta, trace: [u64; 2], flags: TraceFlags) -> Option<Handle> {
    let contents = Contents {
        nonce: local.next_nonce(),
        trace,
        bits: Ids::bits(shared.id, flags),
        meta,
    };
    let place = local.passed()?.fill(&contents, late)?;
    local.counters().sampled_out.add(1);
    place.id().and_then(|id| Handle::from_u64(id.get()))
}

/// Another thread dropped the last reference to a span with a place in the slab, unseen at the time.
#[cold]
fn late(forward: std::num::NonZeroU64) {
    if let Some(handle) = Handle::from_u64(forward.get()) {
        store::close(handle, |_| ());
    }
}

/// Makes it current on this thread; false where it is for the slab to do that.
#[inline]
pub(crate) fn enter(handle: Handle) -> bool {
    let place = place(handle);
    let Some((bits, meta)) = table(place).and_then(|table| table.entered(place)) else {
        return false;
    };
    if modes::any() {
        enter_told(handle);
    } else {
        local::with(|local| local.stack.push_passed(handle, bits, meta));
    }
    true
}

/// The same where others are told of it.
#[cold]
fn enter_told(handle: Handle) {
    if let Some((ids, meta)) = known(handle) {
        let frame = Frame::copy(ids.clone(), Some(handle), meta);
        local::with(|local| local.stack.push(frame));
        otel::entered(&ids);
    }
}

/// Ends [`enter`], where nothing else was done meanwhile; else false.
#[inline]
pub(crate) fn leave(handle: Handle) -> bool {
    local::with(|local| local.stack.pop_passed(handle)) == Some(true)
}

/// One more reference.
#[inline]
pub(crate) fn retain(handle: Handle) {
    let place = place(handle);
    let own = local::with(|local| {
        let own = local.passed_if(place.table)?;
        own.retain(place);
        Some(())
    });
    if own.flatten().is_none() {
        table(place).map(|table| table.retain(place));
    }
}

/// One reference less; true where it was the last.
#[inline]
pub(crate) fn release(handle: Handle) -> bool {
    let place = place(handle);
    let own = local::with(|local| Some(local.passed_if(place.table)?.release(place)));
    let released = match own.flatten() {
        Some(released) => released,
        None => release_elsewhere(place),
    };
    match released {
        Released::Last(None) => true,
        Released::No => false,
        Released::Last(Some(forward)) => {
            late(forward);
            true
        }
    }
}

#[inline(never)]
fn release_elsewhere(place: Place) -> Released {
    table(place).map_or(Released::No, |table| table.release(place))
}

/// Moves the span under another parent, or to a trace of its own, and asks the sampler again: it gets a place in the slab.
pub(crate) fn set_parent(shared: &Shared, handle: Handle, parent: Option<&SpanContext>) {
    if let Some(handle) = forwarded(handle) {
        return store::set_parent(shared, handle, parent);
    }
    let Some((known, meta)) = known(handle) else { return };
    let begin = Start {
        meta,
        site: None,
        kind: SpanKind::Internal,
        parent: parent.map_or(ParentRef::Root, ParentRef::Context),
        ticks: 0,
        low: 0,
    };
    let made = local::with(|local| {
        let mut ids = Ids::default();
        let made = store::start(shared, local, &begin, &mut ids).or_else(|| store::name(local, meta, &ids))?;
        SLAB.with(made, |live| live.ids.span = known.span);
        Some(made)
    });
    let Some(made) = made.flatten() else { return };
    let place = place(handle);
    if !table(place).is_some_and(|table| table.forward(place, made.get())) {
        // Someone else did so meanwhile.
        let mut recorded = false;
        store::close(made, |live| recorded = std::mem::take(&mut live.fixed.recorded));
        if recorded {
            local::with(|local| local.counters().ended.add(1));
        }
        if let Some(handle) = forwarded(handle) {
            store::set_parent(shared, handle, parent);
        }
    }
}
