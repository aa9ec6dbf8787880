//! Spans of `tracing` that are sampled out: they take no slot of the slab but one of their thread's [`Table`], and their ids are made
//! when someone asks for them, always the same from the same number.
//!
//! One that carries something, a trace state or baggage, goes to the slab, and so does one that finds its table full. One that is
//! moved under another parent gets a place in the slab then, to which its own leads.
//!
//! Those that a thread enters one inside the other stand in [`Kept`], by their ids alone, until someone looks at the thread's
//! stack: then they [become](unfold) frames of it. Between two looks a span is entered and left by a number each.

mod table;

use super::context::{SpanContext, TraceFlags};
use super::draft;
use super::local::{self, Ids, Local};
use super::modes;
use super::otel;
use super::pipeline::Shared;
use super::sampler::Quick;
use super::slab::Handle;
use super::stack::{Frame, Stack};
use super::store::{self, ParentRef, SLAB, Start};
use super::sync;
use crate::here::here;
use crate::site::SpanKind;
use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::{Mutex, OnceLock, PoisonError};
use table::{Contents, Owner, Place, Released, TAG, Table};
use tracing_core::Metadata;
use tracing_core::span::Attributes;

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

/// A table for a thread that has none: of one that ended, or a new one. None where there are too many threads.
#[cold]
fn own() -> Option<Own> {
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

/// How many spans have been passed over this way.
pub(crate) fn filled() -> u64 {
    let tables = TABLES.iter().map_while(OnceLock::get);
    tables.map(|table| table.filled()).sum()
}

/// Those entered that [`Kept`] has room for.
const DEEP: usize = 16;

/// What a thread keeps of these where no one asks whether it is borrowed, or there at all.
pub(crate) struct Kept {
    /// None before the first of these, and when the thread ends.
    own: Cell<Option<Own>>,
    /// Of the span before.
    nonce: Cell<u64>,
    /// Spans of the thread's own table that are current, inside all that is on its stack; the first `depth` of them.
    entered: [Cell<u64>; DEEP],
    /// Beyond any depth while the thread's state is not there, and so is the table: one look tells both.
    depth: Cell<usize>,
}

/// Whether a thread's state is there.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    New,
    Here,
    Over,
}

const NEW: usize = usize::MAX >> 1;
const OVER: usize = NEW - 1;

impl Kept {
    pub(crate) const fn new() -> Self {
        Self {
            own: Cell::new(None),
            nonce: Cell::new(0),
            entered: [const { Cell::new(0) }; DEEP],
            depth: Cell::new(NEW),
        }
    }

    /// The thread's state is there, and nothing is entered that is not on its stack.
    #[inline]
    pub(crate) fn is_settled(&self) -> bool {
        self.depth.get() == 0
    }

    pub(crate) fn staged(&self) -> Stage {
        match self.depth.get() {
            NEW => Stage::New,
            OVER => Stage::Over,
            _ => Stage::Here,
        }
    }

    pub(crate) fn stage(&self, stage: Stage) {
        self.depth.set(match stage {
            Stage::New => NEW,
            Stage::Here => 0,
            Stage::Over => OVER,
        });
    }

    #[inline]
    fn innermost(&self) -> Option<Place> {
        let id = self.entered.get(self.depth.get().wrapping_sub(1))?.get();
        NonZeroU64::new(id).map(Place::of)
    }

    /// The thread's table, if the span is one of it.
    #[inline]
    fn own_of(&self, place: Place) -> Option<Own> {
        match self.own.get() {
            Some(own) if own.holds(place) => Some(own),
            _ => None,
        }
    }

    /// Whether the span is among what is entered.
    #[inline]
    fn has(&self, place: Place) -> bool {
        let mut at = self.depth.get();
        while let Some(id) = at.checked_sub(1).and_then(|below| self.entered.get(below)) {
            if id.get() == place.id().get() {
                return true;
            }
            at -= 1;
        }
        false
    }

    /// A number that no other span of the process is likely to have.
    #[inline]
    fn next_nonce(&self) -> u64 {
        let nonce = self.nonce.get().wrapping_add(NONCE_STEP);
        self.nonce.set(nonce);
        nonce
    }
}

/// Moves what is entered to the stack.
#[inline(never)]
pub(crate) fn unfold(stack: &mut Stack) {
    here(|here| {
        let depth = here.passed.depth.replace(0);
        for id in here.passed.entered.iter().take(depth).map(Cell::get) {
            let handle = Handle::from_u64(id);
            let contents = handle.map(place).and_then(|place| table(place)?.peek(place));
            if let (Some(contents), Some(handle)) = (contents, handle) {
                stack.push_passed(handle, contents.bits & !MADE, contents.meta);
            }
        }
    });
}

/// The thread's state is there: it gets a table.
#[cold]
fn first_table(local: &mut Local, kept: &Kept) -> Option<Own> {
    if std::mem::replace(&mut local.asked_for_table, true) {
        return None;
    }
    kept.nonce.set(local.rng.next());
    kept.own.set(own());
    kept.own.get()
}

/// The thread ends; spans of its table may live on.
pub(crate) fn give_up() {
    here(|here| {
        if let Some(own) = here.passed.own.take() {
            let mut numbers = NUMBERS.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.given_up.push(own.number());
        }
    });
}

/// Whether it is one of these.
#[inline]
pub(crate) fn is_passed(handle: Handle) -> bool {
    handle.get().get() & TAG != 0
}

#[inline]
fn place(handle: Handle) -> Place {
    Place::of(handle.get())
}

#[inline]
fn table(place: Place) -> Option<&'static Slots> {
    TABLES.get(place.table())?.get().map(|table| &**table)
}

/// Spreads a number over all bits; no two come to the same.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Between the numbers of two spans of a thread.
const NONCE_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Among the bits of a span whose trace is to be made: from the number that stands in place of the higher half, but for a lower half
/// that was drawn. Spans below it have the same words, so nobody needs to make it for them.
const MADE: u64 = 1 << 9;

fn identity(contents: &Contents<Meta>) -> Ids {
    /// The process's own, so that two of which threads chance upon the same number have no trace in common.
    static KEY: OnceLock<[u64; 2]> = OnceLock::new();
    let [high, span] = KEY.get_or_init(|| {
        let random = super::random_u128();
        [(random >> 64) as u64, random as u64]
    });
    let trace = match contents.trace {
        given if contents.bits & MADE == 0 => given,
        [from, 0] => [mixed(from ^ high), mixed(from)],
        [from, drawn] => [mixed(from ^ high), drawn],
    };
    Ids {
        trace,
        span: mixed(contents.nonce ^ span).max(1),
        carried: None,
        bits: contents.bits & !MADE,
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
    /// The same of one without a parent, which may be given one yet.
    Root(Handle),
    /// It is for the store to open; `low` is the half of a new trace's id that was drawn already, or 0.
    Ask { low: u64 },
}

impl Opened {
    #[inline]
    fn of(handle: Option<Handle>, low: u64) -> Self {
        handle.map_or(Self::Ask { low }, Self::Passed)
    }

    #[inline]
    fn root(handle: Option<Handle>, low: u64) -> Self {
        handle.map_or(Self::Ask { low }, Self::Root)
    }
}

/// Opens a span below one of these, if that is what is to be done: of which it has all but its number and its name. The straight way
/// of most of them, with nothing called.
#[inline(always)]
#[expect(clippy::inline_always, reason = "what comes of a miss is a call of its own")]
pub(crate) fn open_below(shared: &Shared, attributes: &Attributes<'_>) -> Option<Handle> {
    here(|here| {
        let above = here.passed.innermost()?;
        if !attributes.is_contextual() || modes::any() || here.away.get() != 0 {
            return None;
        }
        let own = here.passed.own_of(above)?;
        let (trace, bits) = own.trace(above)?;
        if (bits >> 32) as u32 != shared.id || !shared.drops_below {
            return None;
        }
        fill(own, attributes.metadata(), here.passed.next_nonce(), trace, bits)
    })
}

/// Opens a span where the thread's stack says below which, and no one else has a say.
#[inline]
pub(crate) fn open_usual(shared: &Shared, meta: &'static Meta) -> Opened {
    local::with(|local| below_top(local, shared, meta)).unwrap_or(Opened::Ask { low: 0 })
}

/// Opens a span that no more has to be known of than that it is not recorded.
pub(crate) fn open(shared: &Shared, meta: &'static Meta, parent: ParentRef<'_>) -> Opened {
    if let (ParentRef::Current, false) = (parent, modes::any()) {
        return open_usual(shared, meta);
    }
    local::with(|local| open_otherwise(local, shared, meta, parent)).unwrap_or(Opened::Ask { low: 0 })
}

/// Under the innermost of this thread's spans.
#[inline]
fn below_top(local: &mut Local, shared: &Shared, meta: &'static Meta) -> Opened {
    let parent = local.stack.peek().filter(|frame| frame.pipeline() == shared.id);
    let sampled = parent.map(Frame::is_sampled);
    match asked(local, shared, sampled) {
        Err(ask) => ask,
        Ok(low) if sampled.is_none() && local.base.is_none() => Opened::root(root(local, shared, meta, low), low),
        Ok(low) if sampled.is_none() => Opened::Ask { low },
        Ok(low) => Opened::of(open_below_top(local, shared, meta), low),
    }
}

#[inline(never)]
fn open_below_top(local: &mut Local, shared: &Shared, meta: &'static Meta) -> Option<Handle> {
    let ids = local.top()?.ids();
    let (trace, flags) = (ids.trace, ids.flags().inherited());
    let bare = ids.carried.is_none();
    bare.then(|| child(local, shared, meta, trace, flags)).flatten()
}

/// Under a parent that was named, or where others have a say.
#[inline(never)]
fn open_otherwise(local: &mut Local, shared: &Shared, meta: &'static Meta, parent: ParentRef<'_>) -> Opened {
    match parent {
        ParentRef::Current if otel::newer(local).is_none() => below_top(local, shared, meta),
        ParentRef::Local(handle) => {
            let Some(ids) = store::ids_of(handle).filter(|ids| ids.carried.is_none()) else {
                return Opened::Ask { low: 0 };
            };
            let flags = ids.flags().inherited();
            match asked(local, shared, Some(ids.flags().is_sampled())) {
                Ok(low) => Opened::of(child(local, shared, meta, ids.trace, flags), low),
                Err(ask) => ask,
            }
        }
        ParentRef::Root => {
            let bare = local.base.is_none() && local.top().is_none_or(|frame| frame.ids().carried.is_none());
            match asked(local, shared, None) {
                Ok(low) if bare => Opened::root(root(local, shared, meta, low), low),
                Ok(low) => Opened::Ask { low },
                Err(ask) => ask,
            }
        }
        ParentRef::Current | ParentRef::Context(_) => Opened::Ask { low: 0 },
    }
}

/// Half of a new trace's id where it was drawn for the sampler, which drops it; [`Opened::Ask`] where it keeps it, or has to be asked
/// otherwise. `parent`: whether it is sampled.
#[inline]
fn asked(local: &mut Local, shared: &Shared, parent: Option<bool>) -> Result<u64, Opened> {
    match shared.quick(parent) {
        Quick::Drop => Ok(0),
        Quick::Keep | Quick::Ask => Err(Opened::Ask { low: 0 }),
        Quick::Draw(ratio) => {
            let low = local.rng.next();
            if ratio.keeps([0, low]) {
                Err(Opened::Ask { low })
            } else {
                Ok(low)
            }
        }
    }
}

fn child(
    local: &mut Local,
    shared: &Shared,
    meta: &'static Meta,
    trace: [u64; 2],
    flags: TraceFlags,
) -> Option<Handle> {
    let own = own_table(local)?;
    let bits = Ids::bits(shared.id, flags);
    fill(own, meta, next_nonce(), trace, bits)
}

#[inline]
fn root(local: &mut Local, shared: &Shared, meta: &'static Meta, low: u64) -> Option<Handle> {
    let own = own_table(local)?;
    let nonce = next_nonce();
    let bits = Ids::bits(shared.id, TraceFlags::RANDOM) | MADE;
    fill(own, meta, nonce, [nonce, low], bits)
}

#[inline]
fn next_nonce() -> u64 {
    here(|here| here.passed.next_nonce())
}

/// This thread's table, with room in it if there is any.
#[inline]
fn own_table(local: &mut Local) -> Option<Own> {
    match here(|here| here.passed.own.get()) {
        Some(own) if own.has_room() => Some(own),
        own => own_table_otherwise(local, own),
    }
}

#[cold]
fn own_table_otherwise(local: &mut Local, own: Option<Own>) -> Option<Own> {
    match own {
        Some(own) => {
            own.look(late);
            Some(own)
        }
        None => here(|here| first_table(local, &here.passed)),
    }
}

#[inline]
fn fill(own: Own, meta: &'static Meta, nonce: u64, trace: [u64; 2], bits: u64) -> Option<Handle> {
    let contents = Contents {
        nonce,
        trace,
        bits,
        meta,
    };
    own.fill(&contents).map(|place| Handle::of(place.id()))
}

/// Another thread dropped the last reference to a span with a place in the slab, unseen at the time.
#[cold]
fn late(forward: NonZeroU64) {
    if let Some(handle) = Handle::from_u64(forward.get()) {
        store::close(handle, |_| ());
    }
}

/// Makes a span of this thread's table current on it; false, and nothing done, where that takes more.
#[inline(always)]
#[expect(clippy::inline_always, reason = "what comes of a miss is a call of its own")]
pub(crate) fn enter_own(handle: Handle) -> bool {
    let place = place(handle);
    here(|here| {
        let kept = &here.passed;
        if !kept.own_of(place).is_some_and(|own| own.is_plain(place)) || modes::any() {
            return false;
        }
        let depth = kept.depth.get();
        let Some(next) = kept.entered.get(depth) else {
            return false;
        };
        next.set(place.id().get());
        kept.depth.set(depth + 1);
        true
    })
}

/// Makes it current on this thread; false where it is for the slab to do that.
pub(crate) fn enter(handle: Handle) -> bool {
    enter_own(handle) || enter_otherwise(handle, place(handle))
}

/// One of another thread's, or one too many.
fn enter_otherwise(handle: Handle, place: Place) -> bool {
    let Some((bits, meta)) = table(place).and_then(|table| table.entered(place)) else {
        return false;
    };
    if modes::any() {
        enter_told(handle);
    } else {
        local::with(|local| local.stack.push_passed(handle, bits & !MADE, meta));
    }
    true
}

/// The same where others are told of it.
#[cold]
fn enter_told(handle: Handle) {
    if let Some((ids, meta)) = known(handle) {
        local::with(|local| local.stack.push_copy(&ids, Some(handle), meta));
        otel::entered(&ids);
    }
}

/// Ends [`enter_own`], where nothing was entered since, nor anyone looked; else false.
#[inline(always)]
#[expect(clippy::inline_always, reason = "what comes of a miss is a call of its own")]
pub(crate) fn leave_own(handle: Handle) -> bool {
    here(|here| {
        let is_it = here.passed.innermost() == Some(place(handle));
        if is_it {
            here.passed.depth.update(|depth| depth.wrapping_sub(1));
        }
        is_it
    })
}

/// Ends [`enter`], where nothing else was done meanwhile; else false.
pub(crate) fn leave(handle: Handle) -> bool {
    leave_own(handle) || local::with(|local| local.stack.pop_passed(handle)) == Some(true)
}

/// One more reference.
#[inline]
pub(crate) fn retain(handle: Handle) {
    let place = place(handle);
    match here(|here| here.passed.own_of(place)) {
        Some(own) => own.retain(place),
        None => table(place).is_some_and(|table| table.retain(place)),
    };
}

/// One reference to a span of this thread's table less: whether it was the last. None, and nothing done, where that takes more.
#[inline(always)]
#[expect(clippy::inline_always, reason = "what comes of a miss is a call of its own")]
pub(crate) fn release_own(handle: Handle) -> Option<bool> {
    let place = place(handle);
    let released = here(|here| {
        let own = here.passed.own_of(place)?;
        // A span that is closed while it is current stays so: on the stack, which knows how.
        if !here.passed.is_settled() && here.passed.has(place) {
            return None;
        }
        own.release_plain(place)
    })?;
    Some(gone(&released))
}

/// One reference less; true where it was the last.
pub(crate) fn release(handle: Handle) -> bool {
    let place = place(handle);
    if here(|here| here.passed.has(place)) {
        local::with(|_| ());
    }
    let released = match here(|here| here.passed.own_of(place)) {
        Some(own) => own.release(place),
        None => table(place).map_or(Released::No, |table| table.release(place)),
    };
    gone(&released)
}

#[inline]
fn gone(released: &Released) -> bool {
    if let Released::Last(Some(forward)) = released {
        late(*forward);
    }
    *released != Released::No
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
        let recorded = store::start(shared, local, &begin, &mut ids);
        if let Some(recorded) = recorded {
            draft::hand_on(local, handle, recorded);
        }
        let made = recorded.or_else(|| store::name(local, meta, &ids))?;
        let ids = SLAB.with(made, |live| {
            live.ids.span = known.span;
            live.ids.clone()
        })?;
        Some((made, ids))
    });
    let Some((made, ids)) = made.flatten() else { return };
    let place = place(handle);
    if table(place).is_some_and(|table| table.forward(place, made.get())) {
        local::with(|local| local.stack.identify(made, &known, &ids));
    } else {
        // Someone else did so meanwhile.
        store::discard(made);
        if let Some(handle) = forwarded(handle) {
            store::set_parent(shared, handle, parent);
        }
    }
}
