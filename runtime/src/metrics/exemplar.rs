//! Sampled spans as examples of what fell into a bucket.

use crate::clock;
use crate::export::snapshot::Exemplar;
use crate::trace::{SpanId, TraceId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

static OFF: AtomicBool = AtomicBool::new(false);

/// `OTEL_METRICS_EXEMPLAR_FILTER=always_off`.
pub(crate) fn set_on(on: bool) {
    OFF.store(!on, Ordering::Relaxed);
}

/// Tail sampling decides late which traces are kept; an example is shown when its own was.
static WAITS: AtomicBool = AtomicBool::new(false);

/// From now on [`decided`] tells of every trace.
pub(crate) fn wait_for_decisions(wait: bool) {
    WAITS.store(wait, Ordering::Relaxed);
}

/// Examples whose traces are not decided.
static UNDECIDED: Mutex<Option<Undecided>> = Mutex::new(None);

#[derive(Default)]
struct Undecided {
    by_trace: HashMap<TraceId, Vec<Waiting>>,
    len: usize,
}

/// An example, and where it is to go.
type Waiting = (Arc<[Slot]>, usize, Kept);

/// Examples that may wait; there are others.
const MAX_UNDECIDED: usize = 4096;

/// Seconds after which nobody decides any more: a span that ended after its trace was decided.
const DECIDED_WITHIN: f64 = 300.0;

impl Undecided {
    fn add(&mut self, slots: &Arc<[Slot]>, slot: usize, kept: Kept) {
        if self.len >= MAX_UNDECIDED {
            let oldest = kept
                .at
                .saturating_sub((clock::ticks_per_second() * DECIDED_WITHIN) as u64);
            self.by_trace.retain(|_, waiting| {
                waiting.retain(|(.., kept)| kept.at >= oldest);
                !waiting.is_empty()
            });
            self.len = self.by_trace.values().map(Vec::len).sum();
            if self.len >= MAX_UNDECIDED {
                return;
            }
        }
        self.len += 1;
        let waiting = self.by_trace.entry(kept.trace_id).or_default();
        waiting.push((slots.clone(), slot, kept));
    }
}

/// What became of a trace.
pub(crate) fn decided(trace: TraceId, keep: bool) {
    let waiting = {
        let mut undecided = UNDECIDED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(undecided) = undecided.as_mut() else { return };
        let Some(waiting) = undecided.by_trace.remove(&trace) else {
            return;
        };
        undecided.len -= waiting.len();
        waiting
    };
    if keep {
        for (slots, slot, kept) in waiting {
            slots[slot].put(&kept);
        }
    }
}

/// The examples of a table: for each series a slot to each bucket, made when the first sampled span comes.
pub(crate) struct Exemplars {
    chunks: Box<[OnceLock<Chunk>]>,
    /// Series in a chunk.
    chunk: usize,
    slots: usize,
}

/// The examples of neighbouring series.
type Chunk = Box<[OnceLock<Arc<[Slot]>>]>;
const CHUNK: usize = 64;

/// What was kept of a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kept {
    /// The duration in ticks, or the bits of a float.
    pub(crate) value: u64,
    /// When, in ticks.
    pub(crate) at: u64,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}

impl Exemplars {
    /// For so many series of so many buckets.
    pub(crate) fn new(series: usize, slots: usize) -> Self {
        Self {
            chunks: (0..series.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(),
            chunk: series.min(CHUNK),
            slots,
        }
    }

    /// The slots of a series, if there are any yet.
    #[inline]
    fn slots(&self, series: usize) -> Option<&Arc<[Slot]>> {
        self.chunks.get(series / CHUNK)?.get()?.get(series % CHUNK)?.get()
    }

    /// Keeps this one if the bucket's last is old enough. `ids` is asked only then.
    #[inline]
    pub(crate) fn offer(
        &self,
        series: usize,
        slot: usize,
        value: u64,
        now: u64,
        ids: impl FnOnce() -> Option<(TraceId, SpanId)>,
    ) {
        if let Some(slot) = self.slots(series).and_then(|slots| slots.get(slot))
            && now < slot.next.load(Ordering::Relaxed)
        {
            return;
        }
        self.keep(series, slot, value, now, ids);
    }

    /// The same where nobody has read the clock, which takes longer than counting: the more often it was in vain, the fewer
    /// `turn`s read it.
    #[inline]
    pub(crate) fn offer_in_turn(
        &self,
        series: usize,
        slot: usize,
        value: u64,
        turn: u64,
        ids: impl FnOnce() -> Option<(TraceId, SpanId)>,
    ) {
        let known = self.slots(series).and_then(|slots| slots.get(slot));
        // Mixed, for a counter that always moves by an even number comes to no odd turn.
        let mixed = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - MAX_HASTE);
        if known.is_some_and(|slot| mixed & ((1 << slot.haste.load(Ordering::Relaxed)) - 1) != 0) {
            return;
        }
        let now = clock::now();
        if let Some(slot) = known {
            let haste = slot.haste.load(Ordering::Relaxed);
            if now < slot.next.load(Ordering::Relaxed) {
                return slot.haste.store((haste + 1).min(MAX_HASTE), Ordering::Relaxed);
            }
            slot.haste.store(haste.saturating_sub(1), Ordering::Relaxed);
        }
        self.keep(series, slot, value, now, ids);
    }

    fn keep(&self, series: usize, slot: usize, value: u64, now: u64, ids: impl FnOnce() -> Option<(TraceId, SpanId)>) {
        let Some(chunk) = self.chunks.get(series / CHUNK) else {
            return;
        };
        if OFF.load(Ordering::Relaxed) {
            return;
        }
        let Some((trace_id, span_id)) = ids() else { return };
        let chunk = chunk.get_or_init(|| (0..self.chunk).map(|_| OnceLock::new()).collect());
        let Some(place) = chunk.get(series % CHUNK) else { return };
        let slots = place.get_or_init(|| (0..self.slots).map(|_| Slot::default()).collect());
        let kept = Kept {
            value,
            at: now,
            trace_id,
            span_id,
        };
        let Some(here) = slots.get(slot) else { return };
        if !WAITS.load(Ordering::Relaxed) {
            here.put(&kept);
        } else if let Ok(mut undecided) = UNDECIDED.try_lock() {
            // Nobody waits for an example.
            here.next.store(now.saturating_add(pause()), Ordering::Relaxed);
            undecided.get_or_insert_default().add(slots, slot, kept);
        }
    }

    /// What is kept of a series whose values are floats.
    pub(crate) fn floats(&self, series: usize) -> impl Iterator<Item = Exemplar> {
        self.of(series).map(|(_, kept)| Exemplar {
            value: f64::from_bits(kept.value),
            unix_nanos: clock::unix_nanos(kept.at),
            trace_id: kept.trace_id,
            span_id: kept.span_id,
        })
    }

    /// The last of them.
    #[inline]
    pub(crate) fn latest(&self, series: usize) -> Option<Exemplar> {
        // Nearly all series have none.
        self.slots(series)?;
        self.floats(series).max_by_key(|example| example.unix_nanos)
    }

    /// What is kept of a series, with the slots.
    pub(crate) fn of(&self, series: usize) -> impl Iterator<Item = (usize, Kept)> {
        let slots = self.slots(series);
        let slots = slots.map_or(&[] as &[Slot], |slots| &**slots);
        slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((at, slot.take()?)))
    }
}

/// At most so seldom: each 256th time.
const MAX_HASTE: u32 = 8;

/// A quarter of a second: four examples a second are more than anyone scrapes.
fn pause() -> u64 {
    static PAUSE: OnceLock<u64> = OnceLock::new();
    *PAUSE.get_or_init(|| (clock::ticks_per_second() / 4.0) as u64)
}

/// One example, guarded by a sequence number: odd while a thread writes. A reader that meets a writer goes without.
#[derive(Default)]
struct Slot {
    sequence: AtomicU32,
    /// How seldom [`Exemplars::offer_in_turn`] looks at the clock: each second time, fourth, eighth.
    haste: AtomicU32,
    /// Nothing is taken before this reading of the clock.
    next: AtomicU64,
    value: AtomicU64,
    at: AtomicU64,
    trace: [AtomicU64; 2],
    span: AtomicU64,
}

impl Slot {
    fn put(&self, kept: &Kept) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        if sequence & 1 == 1
            || self
                .sequence
                .compare_exchange(sequence, sequence + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        fence(Ordering::Release);
        self.next.store(kept.at.saturating_add(pause()), Ordering::Relaxed);
        self.value.store(kept.value, Ordering::Relaxed);
        self.at.store(kept.at, Ordering::Relaxed);
        self.trace[0].store((kept.trace_id.0 >> 64) as u64, Ordering::Relaxed);
        self.trace[1].store(kept.trace_id.0 as u64, Ordering::Relaxed);
        self.span.store(kept.span_id.0, Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    fn take(&self) -> Option<Kept> {
        let before = self.sequence.load(Ordering::Acquire);
        let load = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let kept = Kept {
            value: load(&self.value),
            at: load(&self.at),
            trace_id: TraceId(u128::from(load(&self.trace[0])) << 64 | u128::from(load(&self.trace[1]))),
            span_id: SpanId(load(&self.span)),
        };
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        (before == after && before & 1 == 0 && before != 0).then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let exemplars = Exemplars::new(2, 3);
        let ids = |n: u64| move || Some((TraceId(n.into()), SpanId(n)));
        exemplars.offer(1, 2, 10, 1000, ids(1));
        exemplars.offer(1, 2, 11, 1001, ids(2));
        exemplars.offer(1, 0, 12, 1001 + 2 * pause(), || None);
        let all: Vec<_> = exemplars.of(1).collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].0, all[0].1.value, all[0].1.span_id), (2, 10, SpanId(1)));
        exemplars.offer(1, 2, 13, 1000 + pause(), ids(3));
        assert_eq!(exemplars.of(1).next().unwrap().1.value, 13);
        assert_eq!(exemplars.of(0).count(), 0);
    }

    #[test]
    fn who_counts_in_haste_looks_at_the_clock_seldom() {
        let exemplars = Exemplars::new(100, 1);
        let asked = std::cell::Cell::new(0);
        let offer = |turn: u64| {
            let ids = || {
                asked.set(asked.get() + 1);
                Some((TraceId(1), SpanId(turn + 1)))
            };
            exemplars.offer_in_turn(70, 0, turn, turn, ids);
        };
        let haste = || exemplars.slots(70).unwrap()[0].haste.load(Ordering::Relaxed);
        offer(0);
        assert_eq!((asked.get(), haste()), (1, 0));
        // Not yet time for another. Whoever comes in vain makes the next wait longer.
        let far = &exemplars.slots(70).unwrap()[0].next;
        far.store(u64::MAX, Ordering::Relaxed);
        for turn in 1..100_000 {
            offer(turn);
        }
        assert_eq!((asked.get(), haste()), (1, MAX_HASTE));
        // Now it is, but only for the turn that looks: that comes soon, also where the turns are all even.
        far.store(0, Ordering::Relaxed);
        let looks = (100_000..200_000).step_by(2).position(|turn| {
            offer(turn);
            asked.get() == 2
        });
        assert!(
            looks.is_some_and(|after| (1..4 << MAX_HASTE).contains(&after)),
            "{looks:?}"
        );
        assert_eq!(haste(), MAX_HASTE - 1);
        assert!(exemplars.of(70).next().unwrap().1.value >= 100_000);
        assert_eq!(exemplars.of(6).count(), 0);
        // Nowhere.
        exemplars.offer_in_turn(1000, 0, 1, 1, || Some((TraceId(1), SpanId(1))));
    }

    #[test]
    fn an_example_waits_for_the_decision_on_its_trace() {
        let slots: Arc<[Slot]> = (0..2).map(|_| Slot::default()).collect();
        let kept = |n: u64| Kept {
            value: n,
            at: n,
            trace_id: TraceId(1 << 100 | u128::from(n)),
            span_id: SpanId(n),
        };
        let add = |n| {
            let mut undecided = UNDECIDED.lock().unwrap();
            undecided.get_or_insert_default().add(&slots, n as usize % 2, kept(n));
        };
        add(2);
        add(3);
        decided(kept(2).trace_id, false);
        assert_eq!((slots[0].take(), slots[1].take()), (None, None));
        decided(kept(3).trace_id, true);
        assert_eq!((slots[0].take(), slots[1].take()), (None, Some(kept(3))));
        // Nobody decides: what waits stays bounded, and new ones come in when the old are too old.
        for n in 0..2 * MAX_UNDECIDED as u64 {
            add(2 * n + 4);
        }
        let len = || UNDECIDED.lock().unwrap().as_ref().unwrap().len;
        assert_eq!(len(), MAX_UNDECIDED);
        add(1 << 60);
        assert_eq!(len(), 1);
        decided(kept(1 << 60).trace_id, true);
        assert_eq!((len(), slots[0].take()), (0, Some(kept(1 << 60))));
    }

    #[test]
    fn never_torn() {
        let slot = Slot::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for n in 1..20_000 {
                        slot.put(&Kept {
                            value: n,
                            at: n,
                            trace_id: TraceId(u128::from(n) << 64 | u128::from(n)),
                            span_id: SpanId(n),
                        });
                    }
                });
            }
            for _ in 0..20_000 {
                if let Some(kept) = slot.take() {
                    assert_eq!(kept.at, kept.value);
                    assert_eq!(kept.span_id.0, kept.value);
                    assert_eq!((kept.trace_id.0 >> 64) as u64, kept.value);
                }
            }
        });
    }
}
