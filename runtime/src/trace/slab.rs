//! Live spans, by index and generation.
//!
//! Slots are never freed, so a forged or stale id leads to a slot that is there and answers no: its generation differs. The
//! word `state` is all there is to agree on:
//!
//! ```text
//! 63 ......... 32 | 31   | 30 ......... 0
//! generation      | lock | references; 0 in a free slot
//! ```
//!
//! A free slot is owned by whoever holds its [`FreeSlot`]. In a live one, the contents belong to the holder of the lock bit.
//! What runs under the bit is a few copies, never code of a user's.
#![allow(unsafe_code)]

use super::sync::{AtomicU64, FIRST_CHUNK, Ordering, Track, spin_loop, yield_now};
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::{Mutex, OnceLock, PoisonError};

const LOCK: u64 = 1 << 31;
const REFS: u64 = LOCK - 1;
const ONE_GENERATION: u64 = 1 << 32;
/// Slots in the first chunk; each further one has twice as many.
pub(super) const FIRST: u32 = FIRST_CHUNK;
const CHUNKS: usize = 20;
/// Slots that change hands between a thread and the pool at a time.
pub(crate) const BATCH: usize = 32;

/// Index and generation of a live span: what a `tracing::span::Id` holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Handle(NonZeroU64);

impl Handle {
    pub(crate) fn from_u64(raw: u64) -> Option<Self> {
        NonZeroU64::new(raw).map(Self)
    }

    pub(crate) fn of(raw: NonZeroU64) -> Self {
        Self(raw)
    }

    pub(crate) fn get(self) -> NonZeroU64 {
        self.0
    }

    fn index(self) -> u32 {
        self.0.get() as u32
    }

    fn generation(self) -> u64 {
        self.0.get() >> 32
    }
}

struct Slot<T> {
    state: AtomicU64,
    contents: UnsafeCell<T>,
    track: Track,
}

// SAFETY: `contents` is reached only by the one who owns the slot (a unique `FreeSlot`, or the lock bit), so sharing the slot
// hands values between threads and never shares them: `Send` suffices.
unsafe impl<T: Send> Sync for Slot<T> {}

/// All slots of a process (or of a test).
pub(crate) struct Slab<T> {
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
    pool: Mutex<Pool>,
}

struct Pool {
    free: Vec<u32>,
    next: u32,
}

/// The right to fill one free slot. Not to be copied: it is the proof of ownership.
pub(crate) struct FreeSlot<T> {
    index: u32,
    of: PhantomData<fn(T) -> T>,
}

impl<T> FreeSlot<T> {
    fn new(index: u32) -> Self {
        Self { index, of: PhantomData }
    }
}

#[inline]
pub(super) fn place(index: u32) -> (usize, usize) {
    let n = index / FIRST + 1;
    let chunk = n.ilog2();
    let offset = index - FIRST * ((1 << chunk) - 1);
    (chunk as usize, offset as usize)
}

impl<T: Default + Send> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            pool: Mutex::new(Pool {
                free: Vec::new(),
                next: 0,
            }),
        }
    }

    #[inline]
    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        let (chunk, offset) = place(index);
        self.chunks.get(chunk)?.get()?.get(offset)
    }

    /// Moves free slots into `into`, which is empty.
    #[cold]
    pub(crate) fn refill(&self, into: &mut Vec<FreeSlot<T>>) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        while into.len() < BATCH {
            let index = if let Some(index) = pool.free.pop() {
                index
            } else {
                let index = pool.next;
                let (chunk, _) = place(index);
                let Some(chunk_cell) = self.chunks.get(chunk) else {
                    return; // a thousand million open spans
                };
                chunk_cell.get_or_init(|| {
                    (0..(FIRST as usize) << chunk)
                        .map(|_| Slot {
                            state: AtomicU64::new(ONE_GENERATION),
                            contents: UnsafeCell::new(T::default()),
                            track: Track::new(1),
                        })
                        .collect()
                });
                pool.next += 1;
                index
            };
            into.push(FreeSlot::new(index));
        }
    }

    /// Takes free slots back from a thread that has too many, or ends.
    #[cold]
    pub(crate) fn give_back(&self, slots: impl Iterator<Item = FreeSlot<T>>) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.free.extend(slots.map(|slot| slot.index));
    }

    /// Makes a free slot live, with one reference.
    #[inline]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "taking it is the proof that it is used once"
    )]
    pub(crate) fn fill(&self, free: FreeSlot<T>, fill: impl FnOnce(&mut T)) -> Option<Handle> {
        let slot = self.slot(free.index)?;
        let generation = slot.state.load(Ordering::Relaxed) & !(LOCK | REFS);
        let touched = slot.track.writes(0..=0);
        // SAFETY: the slot is free and `free` is the one proof of owning it: it came from `refill` or `Closing::free`, each of
        // which makes one per time the slot is free, and it is consumed here. The pool's mutex, or being the same thread,
        // orders this after the last owner's writes. Readers are turned away by `references == 0`.
        let contents = unsafe { &mut *slot.contents.get() };
        fill(contents);
        drop(touched);
        slot.state.store(generation | 1, Ordering::Release);
        NonZeroU64::new(generation | u64::from(free.index)).map(Handle)
    }

    /// Reads or changes a live span. `None` when the id is stale or forged. No user code in `f`.
    #[inline]
    pub(crate) fn with<R>(&self, handle: Handle, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        let slot = self.slot(handle.index())?;
        let state = acquire(slot, handle, |state| Some(state | LOCK))?;
        let _unlock = Unlock { slot, state };
        let _touched = slot.track.writes(0..=0);
        // SAFETY: `acquire` has set the lock bit of a live slot; until `_unlock` clears it nobody else reaches the contents:
        // every other way to them waits for the bit, and a free slot has it cleared and no references.
        Some(f(unsafe { &mut *slot.contents.get() }))
    }

    /// One more reference; false when the id is stale or forged.
    #[inline]
    pub(crate) fn retain(&self, handle: Handle) -> bool {
        self.slot(handle.index())
            .is_some_and(|slot| acquire(slot, handle, |state| (state & REFS < REFS).then_some(state + 1)).is_some())
    }

    /// One reference less, after `settle` has had the contents. The last one hands them to the caller, who frees the slot.
    #[inline]
    pub(crate) fn release(&self, handle: Handle, settle: impl FnOnce(&mut T)) -> Option<Closing<'_, T>> {
        let slot = self.slot(handle.index())?;
        let before = acquire(slot, handle, |state| Some(state | LOCK))?;
        let mut unlock = Unlock {
            slot,
            state: before - 1,
        };
        let touched = slot.track.writes(0..=0);
        // SAFETY: as in `with`.
        settle(unsafe { &mut *slot.contents.get() });
        drop(touched);
        if before & REFS != 1 {
            return None; // `unlock` stores the count
        }
        // From here on everyone is turned away: locked, and no reference left.
        unlock.state |= LOCK;
        drop(unlock);
        Some(Closing {
            slot,
            index: handle.index(),
        })
    }

    /// Looks at every live span, one after the other: those that begin or end meanwhile may be missed. No user code in `f`.
    pub(crate) fn each(&self, mut f: impl FnMut(Handle, &mut T)) {
        let made = self.pool.lock().unwrap_or_else(PoisonError::into_inner).next;
        for index in 0..made {
            let state = self.slot(index).map_or(0, |slot| slot.state.load(Ordering::Relaxed));
            if state & REFS == 0 {
                continue;
            }
            let raw = state & !(LOCK | REFS) | u64::from(index);
            if let Some(handle) = NonZeroU64::new(raw).map(Handle) {
                self.with(handle, |live| f(handle, live));
            }
        }
    }

    /// How many slots were ever made: bounded by what was open at once.
    pub(crate) fn capacity(&self) -> usize {
        self.chunks
            .iter()
            .filter_map(OnceLock::get)
            .map(|chunk| chunk.len())
            .sum()
    }
}

/// Changes the state of a live, unlocked slot; returns the state before.
#[inline]
fn acquire<T>(slot: &Slot<T>, handle: Handle, change: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let mut state = slot.state.load(Ordering::Relaxed);
    let mut spins = 0_u32;
    loop {
        if state >> 32 != handle.generation() || state & (LOCK | REFS) == 0 {
            return None;
        }
        if state & LOCK != 0 {
            if state & REFS == 0 {
                return None; // being closed
            }
            // Held for a few copies; the holder may have lost its CPU, though.
            spins += 1;
            if spins < 64 {
                spin_loop();
            } else {
                yield_now();
            }
            state = slot.state.load(Ordering::Relaxed);
            continue;
        }
        match slot
            .state
            .compare_exchange_weak(state, change(state)?, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(before) => return Some(before),
            Err(now) => state = now,
        }
    }
}

/// Clears the lock bit, also when the closure unwinds. Nobody changes a locked state, so a store is enough.
struct Unlock<'a, T> {
    slot: &'a Slot<T>,
    state: u64,
}

impl<T> Drop for Unlock<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.slot.state.store(self.state, Ordering::Release);
    }
}

/// A span without references, in the hands of whoever dropped the last one.
pub(crate) struct Closing<'a, T> {
    slot: &'a Slot<T>,
    index: u32,
}

impl<T> Closing<'_, T> {
    /// The contents.
    #[inline]
    pub(crate) fn contents(&mut self) -> &mut T {
        let _touched = self.slot.track.writes(0..=0);
        // SAFETY: `release` has set the lock bit with no reference left; `acquire` turns everyone away from such a state, so
        // this `Closing`, of which there is one, owns the contents.
        unsafe { &mut *self.slot.contents.get() }
    }

    /// Frees the slot for another span.
    #[inline]
    pub(crate) fn free(self) -> FreeSlot<T> {
        let state = self.slot.state.load(Ordering::Relaxed) & !(LOCK | REFS);
        let mut next = state.wrapping_add(ONE_GENERATION);
        if next >> 32 == 0 {
            next = ONE_GENERATION; // index 0 with generation 0 would be no id
        }
        self.slot.state.store(next, Ordering::Release);
        FreeSlot::new(self.index)
    }
}
