//! Spans of `tracing` that are passed over: not recorded, so that an id is all there is to make of them.
//!
//! Each thread has a table of a few slots for them, which it alone fills and frees: no locked instruction, and nothing to drop.
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
use std::num::NonZeroU64;
use std::ops::Deref;
use std::ptr;

/// Set in the id of a span that is passed over, and in no index of the slab.
pub(crate) const TAG: u64 = 1 << 31;
const SLOT: u64 = PASSED_SLOTS as u64 - 1;
const TABLE: u32 = PASSED_SLOTS.trailing_zeros();

/// Where such a span stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) table: usize,
    slot: usize,
    generation: u32,
}

impl Place {
    /// Of an id with the tag.
    #[inline]
    pub(crate) fn of(id: u64) -> Self {
        let low = id & (TAG - 1);
        Self {
            table: (low >> TABLE) as usize,
            slot: (low & SLOT) as usize,
            generation: (id >> 32) as u32,
        }
    }

    #[inline]
    pub(crate) fn id(self) -> Option<NonZeroU64> {
        NonZeroU64::new(u64::from(self.generation) << 32 | TAG | (self.table as u64) << TABLE | self.slot as u64)
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
    nonce: AtomicU64,
    trace: [AtomicU64; 2],
    bits: AtomicU64,
    meta: AtomicPtr<M>,
    /// Its place in the slab, once it has one; the slot holds the reference.
    forward: AtomicU64,
}

/// The reference was given back.
const TAKEN: u64 = u64::MAX;

/// The slots of one thread.
pub(crate) struct Table<M: 'static> {
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
        Self {
            slots: std::array::from_fn(|_| Slot {
                generation: AtomicU32::new(0),
                own: AtomicU32::new(0),
                others: AtomicU32::new(0),
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
        let slot = self.slots.get(place.slot)?;
        (slot.generation.load(Ordering::Acquire) == place.generation && place.generation & 1 == 1).then_some(slot)
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
        (slot.generation.load(Ordering::Relaxed) == place.generation).then_some(contents)
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
pub(crate) struct Owner<T> {
    table: T,
    number: usize,
    free: [u8; PASSED_SLOTS],
    count: usize,
    hand: usize,
}

/// Slots that are looked at when none is known to be free.
const LOOKS: usize = 4;

impl<M: 'static, T: Deref<Target = Table<M>>> Owner<T> {
    /// Of a table that is new, or whose owner has given it up by way of something that orders the two.
    pub(crate) fn new(table: T, number: usize, mut close: impl FnMut(NonZeroU64)) -> Self {
        const { assert!(PASSED_SLOTS.is_power_of_two() && PASSED_SLOTS <= 256) };
        let mut owner = Self {
            table,
            number,
            free: [0; PASSED_SLOTS],
            count: 0,
            hand: 0,
        };
        for at in (0..PASSED_SLOTS).rev() {
            if owner.is_live(at) {
                owner.look_at(at, &mut close);
            } else {
                owner.freed(at);
            }
        }
        owner
    }

    #[inline]
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// A live span with one reference, where there is a slot; what a freed one was forwarded to goes to `close`.
    #[inline]
    pub(crate) fn fill(&mut self, contents: &Contents<M>, close: impl FnMut(NonZeroU64)) -> Option<Place> {
        if self.count == 0 {
            self.look(close);
        }
        let last = self.count.checked_sub(1)?;
        let at = usize::from(*self.free.get(last)?);
        self.count = last;
        let slot = self.table.slots.get(at)?;
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
        Some(Place {
            table: self.number,
            slot: at,
            generation,
        })
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
    #[inline]
    pub(crate) fn release(&mut self, place: Place) -> Released {
        let Some(slot) = self.table.live(place) else {
            return Released::No;
        };
        let own = slot.own.load(Ordering::Relaxed).wrapping_sub(1);
        slot.own.store(own, Ordering::Relaxed);
        if slot.forward.load(Ordering::Relaxed) != 0 {
            // Another may drop its last one now: one of the two sees both.
            fence(Ordering::SeqCst);
        }
        self.settle(place.slot)
    }

    #[inline]
    fn freed(&mut self, at: usize) {
        // No slot is free twice, so there is room.
        if let Some(place) = self.free.get_mut(self.count) {
            *place = at as u8;
            self.count += 1;
        }
    }

    /// Frees a live slot that no reference leads to.
    #[inline]
    fn settle(&mut self, at: usize) -> Released {
        let slot = &self.table.slots[at];
        // What others read of the slot they have read.
        let others = slot.others.load(Ordering::Acquire);
        if slot.own.load(Ordering::Relaxed).wrapping_add(others) != 0 {
            return Released::No;
        }
        let forward = slot.forward.load(Ordering::Acquire);
        let forward = if forward != 0 && forward != TAKEN && take(slot, forward) {
            NonZeroU64::new(forward)
        } else {
            None
        };
        let generation = slot.generation.load(Ordering::Relaxed);
        slot.generation.store(generation.wrapping_add(1), Ordering::Release);
        self.freed(at);
        Released::Last(forward)
    }

    /// Looks at a few slots whether others have dropped what leads to them.
    #[cold]
    fn look(&mut self, mut close: impl FnMut(NonZeroU64)) {
        for _ in 0..LOOKS {
            let at = self.hand;
            self.hand = if at + 1 < PASSED_SLOTS { at + 1 } else { 0 };
            if self.is_live(at) {
                self.look_at(at, &mut close);
            }
        }
    }

    fn is_live(&self, at: usize) -> bool {
        self.table.slots[at].generation.load(Ordering::Relaxed) & 1 == 1
    }

    /// Frees a live slot if nothing leads to it.
    fn look_at(&mut self, at: usize, close: &mut impl FnMut(NonZeroU64)) {
        if let Released::Last(Some(forward)) = self.settle(at) {
            close(forward);
        }
    }
}
