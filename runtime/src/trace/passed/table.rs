//! Spans of `tracing` that are passed over: not recorded, so that an id is all there is to make of them.
//!
//! Each thread has a table of a few slots for them, which it alone fills and frees: no locked instruction, and nothing to drop. What
//! it keeps of its slots stands in the table itself, so that a thread has but to know which one is its own.
//! Any thread may read a slot, and count references to it; what others count stands in a word of its own, and whoever is not
//! the owner frees nothing. The owner frees a slot where the two counts come to nothing, at once or when it next looks for one.
//!
//! That is sound whatever the owner sees of the others' count: all of its own changes, and those of the others' that happened before
//! them, which is a past in itself; where no reference is left in it, there is none to make another from.
//!
//! A slot's generation is odd while it is live, so a stale or forged id finds nothing; contents are words that may be read at any
//! time.
#![allow(unsafe_code)]

use super::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, PASSED_SLOTS, fence};
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::ptr;

/// Set in the id of a span that is passed over, and in no index of the slab.
pub(crate) const TAG: u64 = 1 << 31;
const SLOT: u64 = PASSED_SLOTS as u64 - 1;
const TABLE: u32 = PASSED_SLOTS.trailing_zeros();

/// Where such a span stands: the id that it is named by.
///
/// ```text
/// 63 ......... 32 | 31  | 30 ... 7 | 6 .. 0
/// generation      | tag | table    | slot
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(NonZeroU64);

impl Place {
    /// Of an id with the tag.
    #[inline]
    pub(crate) fn of(id: NonZeroU64) -> Self {
        Self(id)
    }

    #[inline]
    pub(crate) fn id(self) -> NonZeroU64 {
        self.0
    }

    #[inline]
    pub(crate) fn table(self) -> usize {
        ((self.0.get() & (TAG - 1)) >> TABLE) as usize
    }

    #[inline]
    fn slot(self) -> usize {
        (self.0.get() & SLOT) as usize
    }

    #[inline]
    fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// Tag and table.
    #[inline]
    fn base(self) -> u32 {
        self.0.get() as u32 & !(SLOT as u32)
    }
}

/// What is kept of such a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Contents<M: 'static> {
    /// From which the ids are made that are not given.
    pub(crate) nonce: u64,
    /// 0 where they are to be made.
    pub(crate) trace: [u64; 2],
    pub(crate) bits: u64,
    pub(crate) meta: &'static M,
}

#[repr(align(64))]
struct Slot<M: 'static> {
    generation: AtomicU32,
    /// References as the owner counts them; only the owner writes it.
    own: AtomicU32,
    /// References as all others count them: less than nothing where they drop the owner's.
    others: AtomicU32,
    /// Of a free slot, the next free one; only the owner looks.
    next: AtomicU32,
    nonce: AtomicU64,
    trace: [AtomicU64; 2],
    bits: AtomicU64,
    meta: AtomicPtr<M>,
    /// Its place in the slab, once it has one; the slot holds the reference.
    forward: AtomicU64,
}

/// The reference was given back.
const TAKEN: u64 = u64::MAX;

/// The slots of one thread, and what only that thread changes.
pub(crate) struct Table<M: 'static> {
    /// A free slot, or none of them.
    free: AtomicU32,
    /// Where to look for one when none is known to be free.
    hand: AtomicU32,
    /// How many spans it has held.
    filled: AtomicU64,
    slots: [Slot<M>; PASSED_SLOTS],
}

/// What became of a reference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// There are others, or there was none.
    No,
    /// It was the last; what it was forwarded to is the caller's to close.
    Last(Option<NonZeroU64>),
}

impl<M> Table<M> {
    pub(crate) fn new() -> Self {
        const { assert!(PASSED_SLOTS.is_power_of_two() && PASSED_SLOTS <= 256) };
        Self {
            free: AtomicU32::new(0),
            hand: AtomicU32::new(0),
            filled: AtomicU64::new(0),
            slots: std::array::from_fn(|at| Slot {
                generation: AtomicU32::new(0),
                own: AtomicU32::new(0),
                others: AtomicU32::new(0),
                next: AtomicU32::new(at as u32 + 1),
                nonce: AtomicU64::new(0),
                trace: [AtomicU64::new(0), AtomicU64::new(0)],
                bits: AtomicU64::new(0),
                meta: AtomicPtr::new(ptr::null_mut()),
                forward: AtomicU64::new(0),
            }),
        }
    }

    #[inline]
    fn live(&self, place: Place) -> Option<&Slot<M>> {
        let slot = self.slots.get(place.slot())?;
        (slot.generation.load(Ordering::Acquire) == place.generation() && place.generation() & 1 == 1).then_some(slot)
    }

    /// What is kept of a live span. On any thread.
    #[inline]
    pub(crate) fn peek(&self, place: Place) -> Option<Contents<M>> {
        let slot = self.live(place)?;
        let meta = slot.meta.load(Ordering::Relaxed);
        let contents = Contents {
            nonce: slot.nonce.load(Ordering::Relaxed),
            trace: [
                slot.trace[0].load(Ordering::Relaxed),
                slot.trace[1].load(Ordering::Relaxed),
            ],
            bits: slot.bits.load(Ordering::Relaxed),
            // SAFETY: the pointer is null or was made from a `&'static M` by `fill`, whichever span's it is.
            meta: unsafe { meta.cast_const().as_ref() }?,
        };
        // Of a stale id, which the slot was filled anew under, nothing is told.
        fence(Ordering::Acquire);
        (slot.generation.load(Ordering::Relaxed) == place.generation()).then_some(contents)
    }

    /// What the holder of a reference needs to enter it, unless it has a place in the slab. On any thread.
    #[inline]
    pub(crate) fn entered(&self, place: Place) -> Option<(u64, &'static M)> {
        let slot = self.live(place)?;
        if slot.forward.load(Ordering::Acquire) != 0 {
            return None;
        }
        let meta = slot.meta.load(Ordering::Relaxed);
        // SAFETY: as in `peek`.
        let meta = unsafe { meta.cast_const().as_ref() }?;
        Some((slot.bits.load(Ordering::Relaxed), meta))
    }

    /// How many spans there have been.
    pub(crate) fn filled(&self) -> u64 {
        self.filled.load(Ordering::Relaxed)
    }

    /// One more reference, on a thread that is not the owner.
    pub(crate) fn retain(&self, place: Place) -> bool {
        self.live(place)
            .map(|slot| slot.others.fetch_add(1, Ordering::Relaxed))
            .is_some()
    }

    /// One reference less, on a thread that is not the owner.
    pub(crate) fn release(&self, place: Place) -> Released {
        let Some(slot) = self.live(place) else {
            return Released::No;
        };
        let forward = slot.forward.load(Ordering::Acquire);
        // What was read of the slot was read before its owner fills it again.
        let others = slot.others.fetch_sub(1, Ordering::Release).wrapping_sub(1);
        if forward == 0 {
            let last = slot.own.load(Ordering::Relaxed).wrapping_add(others) == 0;
            return if last { Released::Last(None) } else { Released::No };
        }
        // The owner may drop its last one now: one of the two sees both.
        fence(Ordering::SeqCst);
        let sum = slot
            .own
            .load(Ordering::Relaxed)
            .wrapping_add(slot.others.load(Ordering::Relaxed));
        if sum == 0 && take(slot, forward) {
            Released::Last(NonZeroU64::new(forward))
        } else {
            Released::No
        }
    }

    /// Where a span stands in the slab that has been given a place there.
    #[inline]
    pub(crate) fn forwarded(&self, place: Place) -> Option<NonZeroU64> {
        let forward = self.live(place)?.forward.load(Ordering::Acquire);
        NonZeroU64::new(forward).filter(|forward| forward.get() != TAKEN)
    }

    /// Gives a span a place in the slab, with the reference to it; false where it has one, or is gone. To be called by the holder of
    /// a reference.
    pub(crate) fn forward(&self, place: Place, to: NonZeroU64) -> bool {
        self.live(place).is_some_and(|slot| {
            slot.forward
                .compare_exchange(0, to.get(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }
}

/// Whether it is the caller's to give the forwarded reference back.
fn take<M>(slot: &Slot<M>, forward: u64) -> bool {
    slot.forward
        .compare_exchange(forward, TAKEN, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// The right to fill and free the slots of a table: one thread's at a time.
#[derive(Clone, Copy)]
pub(crate) struct Owner<T> {
    table: T,
    /// As in the ids of its spans: tag and number.
    base: u32,
    here: PhantomData<*mut ()>,
}

/// Slots that are looked at when none is known to be free.
const LOOKS: usize = 4;

impl<M: 'static, T: Deref<Target = Table<M>>> Owner<T> {
    /// Of a table that is new, or whose owner has given it up by way of something that orders the two. What freed spans were
    /// forwarded to goes to `close`.
    pub(crate) fn new(table: T, number: usize, mut close: impl FnMut(NonZeroU64)) -> Self {
        let owner = Self {
            table,
            base: TAG as u32 | (number as u32) << TABLE,
            here: PhantomData,
        };
        for at in 0..PASSED_SLOTS {
            owner.look_at(at, &mut close);
        }
        owner
    }

    /// The table's.
    pub(crate) fn number(&self) -> usize {
        ((u64::from(self.base) & (TAG - 1)) >> TABLE) as usize
    }

    /// Whether it is of this table, live or not.
    #[inline]
    pub(crate) fn holds(&self, place: Place) -> bool {
        place.base() == self.base
    }

    /// Whether a slot is known to be free.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        (self.table.free.load(Ordering::Relaxed) as usize) < PASSED_SLOTS
    }

    /// A live span with one reference, where a slot is known to be free.
    #[inline]
    pub(crate) fn fill(&self, contents: &Contents<M>) -> Option<Place> {
        let table = &*self.table;
        let at = table.free.load(Ordering::Relaxed);
        let slot = table.slots.get(at as usize)?;
        table.free.store(slot.next.load(Ordering::Relaxed), Ordering::Relaxed);
        table
            .filled
            .store(table.filled.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let generation = slot.generation.load(Ordering::Relaxed).wrapping_add(1);
        // Whoever reads what follows sees that the generation before it is over.
        fence(Ordering::Release);
        slot.own.store(1, Ordering::Relaxed);
        slot.others.store(0, Ordering::Relaxed);
        slot.nonce.store(contents.nonce, Ordering::Relaxed);
        slot.trace[0].store(contents.trace[0], Ordering::Relaxed);
        slot.trace[1].store(contents.trace[1], Ordering::Relaxed);
        slot.bits.store(contents.bits, Ordering::Relaxed);
        slot.meta
            .store(ptr::from_ref(contents.meta).cast_mut(), Ordering::Relaxed);
        slot.forward.store(0, Ordering::Relaxed);
        slot.generation.store(generation, Ordering::Release);
        NonZeroU64::new(u64::from(generation) << 32 | u64::from(self.base | at)).map(Place)
    }

    /// Of which trace a live span is, and its bits.
    #[inline]
    pub(crate) fn trace(&self, place: Place) -> Option<([u64; 2], u64)> {
        let slot = self.table.live(place)?;
        let [high, low] = &slot.trace;
        let trace = [high.load(Ordering::Relaxed), low.load(Ordering::Relaxed)];
        Some((trace, slot.bits.load(Ordering::Relaxed)))
    }

    /// Whether the span is live and has no place in the slab.
    #[inline]
    pub(crate) fn is_plain(&self, place: Place) -> bool {
        let slot = self.table.live(place);
        slot.is_some_and(|slot| slot.forward.load(Ordering::Acquire) == 0)
    }

    /// One more reference.
    #[inline]
    pub(crate) fn retain(&self, place: Place) -> bool {
        let Some(slot) = self.table.live(place) else {
            return false;
        };
        let own = slot.own.load(Ordering::Relaxed).wrapping_add(1);
        slot.own.store(own, Ordering::Relaxed);
        true
    }

    /// One reference less.
    pub(crate) fn release(&self, place: Place) -> Released {
        let Some(slot) = self.table.live(place) else {
            return Released::No;
        };
        let own = slot.own.load(Ordering::Relaxed).wrapping_sub(1);
        slot.own.store(own, Ordering::Relaxed);
        if slot.forward.load(Ordering::Relaxed) != 0 {
            // Another may drop its last one now: one of the two sees both.
            fence(Ordering::SeqCst);
        }
        self.settle(slot, place.slot())
    }

    /// The same, on a straight way, of a span without a place in the slab. None, and nothing done, of others.
    #[inline]
    pub(crate) fn release_plain(&self, place: Place) -> Option<Released> {
        let slot = self.table.live(place)?;
        if slot.forward.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let own = slot.own.load(Ordering::Relaxed).wrapping_sub(1);
        slot.own.store(own, Ordering::Relaxed);
        // What others read of the slot they have read.
        if own.wrapping_add(slot.others.load(Ordering::Acquire)) != 0 {
            return Some(Released::No);
        }
        let forward = match slot.forward.load(Ordering::Acquire) {
            0 => None,
            forward => given_back(slot, forward),
        };
        self.free(slot, place.slot());
        Some(Released::Last(forward))
    }

    /// Frees a live slot that no reference leads to.
    fn settle(&self, slot: &Slot<M>, at: usize) -> Released {
        // What others read of the slot they have read.
        let others = slot.others.load(Ordering::Acquire);
        if slot.own.load(Ordering::Relaxed).wrapping_add(others) != 0 {
            return Released::No;
        }
        let forward = match slot.forward.load(Ordering::Acquire) {
            0 => None,
            forward => given_back(slot, forward),
        };
        self.free(slot, at);
        Released::Last(forward)
    }

    #[inline]
    fn free(&self, slot: &Slot<M>, at: usize) {
        let generation = slot.generation.load(Ordering::Relaxed);
        slot.generation.store(generation.wrapping_add(1), Ordering::Release);
        slot.next
            .store(self.table.free.load(Ordering::Relaxed), Ordering::Relaxed);
        self.table.free.store(at as u32, Ordering::Relaxed);
    }

    /// Looks at a few slots whether others have dropped what leads to them; what those were forwarded to goes to `close`.
    #[cold]
    pub(crate) fn look(&self, mut close: impl FnMut(NonZeroU64)) {
        let hand = &self.table.hand;
        for _ in 0..LOOKS {
            let at = (u64::from(hand.load(Ordering::Relaxed)) & SLOT) as usize;
            hand.store(at as u32 + 1, Ordering::Relaxed);
            self.look_at(at, &mut close);
        }
    }

    /// Frees a slot if it is live and nothing leads to it.
    fn look_at(&self, at: usize, close: &mut impl FnMut(NonZeroU64)) {
        let slot = &self.table.slots[at];
        if slot.generation.load(Ordering::Relaxed) & 1 == 1
            && let Released::Last(Some(forward)) = self.settle(slot, at)
        {
            close(forward);
        }
    }
}

/// What the span was forwarded to, if it is the caller's to give back.
#[cold]
fn given_back<M>(slot: &Slot<M>, forward: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(forward).filter(|_| forward != TAKEN && take(slot, forward))
}
