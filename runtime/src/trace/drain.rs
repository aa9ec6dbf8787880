//! The one background thread of the spans: empties the rings, encodes, batches, hands to the sinks.
//!
//! Callers never wait for it and hardly ever wake it: it naps between rounds while spans come, and parks when none have come
//! for a while.

use super::batch::Batch;
use super::finished::Head;
use super::long;
use super::pipeline::{Shared, TraceStats};
use super::ring::{self, Reader, Writer};
use super::store::SLAB;
use crate::clock;
use crate::export::diag;
use crate::export::otlp::traces;
use crate::turns::Turns;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Bytes of a thread's first ring; a span takes about a hundred.
pub(crate) const FIRST_RING: usize = 32 * 1024;
/// Bytes of its last one, unless told otherwise.
static LARGEST_RING: AtomicUsize = AtomicUsize::new(2 * 1024 * 1024);

/// Between two rounds while spans come.
const NAP: Duration = Duration::from_millis(5);
/// Rounds without a span before it parks.
const IDLE_ROUNDS: u32 = 200;
/// While parked: the bound on a wake-up that was missed.
const PARK: Duration = Duration::from_secs(1);

/// Spans between two turns of who waits for this core: ten microseconds. With fewer, changing to and fro costs more than it saves; so do
/// shorter naps.
const PIECE: usize = 32;
/// A round of more spans is behind those who make them, and gives no further turn: they would be lost.
const BEHIND: usize = 1024;

const RUNNING: u8 = 0;
const NAPPING: u8 = 1;
const PARKED: u8 = 2;
static STATE: AtomicU8 = AtomicU8::new(RUNNING);

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    readers: Vec::new(),
    pipelines: Vec::new(),
    counters: Vec::new(),
    retired: Totals::ZERO,
    thread: None,
    next_id: 1,
});

struct Registry {
    /// Rings that the drainer has not taken yet.
    readers: Vec<Reader<Head>>,
    pipelines: Vec<Arc<Shared>>,
    counters: Vec<Arc<Counters>>,
    retired: Totals,
    thread: Option<Thread>,
    next_id: u32,
}

/// Flushes asked for and done.
static FLUSHES: Mutex<Flushes> = Mutex::new(Flushes { asked: 0, done: 0 });
static FLUSHED: Condvar = Condvar::new();

struct Flushes {
    asked: u64,
    done: u64,
}

static DELIVERED: AtomicU64 = AtomicU64::new(0);
static LATE: AtomicU64 = AtomicU64::new(0);
static DISCARDED: AtomicU64 = AtomicU64::new(0);

/// So many were handed to a sink.
pub(super) fn delivered(spans: u64) {
    DELIVERED.fetch_add(spans, Ordering::Relaxed);
}

/// So many had nowhere to go any more.
pub(super) fn late(spans: u64) {
    LATE.fetch_add(spans, Ordering::Relaxed);
}

/// The tail rules discarded so many.
pub(super) fn discarded(spans: u64) {
    DISCARDED.fetch_add(spans, Ordering::Relaxed);
}

/// Ended where the thread's own count was out of reach.
pub(super) static ENDED_APART: AtomicU64 = AtomicU64::new(0);

/// A span ended there.
#[cold]
pub(super) fn ended_apart() {
    ENDED_APART.fetch_add(1, Ordering::Relaxed);
}

/// Spans that ended when their thread had no state any more.
static ORPHANS: Mutex<Option<Writer<Head>>> = Mutex::new(None);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that one thread adds to and any reads.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) + n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One thread's counts.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) started: Count,
    pub(crate) sampled_out: Count,
    pub(crate) ended: Count,
    pub(crate) dropped_ring: Count,
    pub(crate) reentrant: Count,
}

#[derive(Clone, Copy)]
struct Totals {
    started: u64,
    sampled_out: u64,
    ended: u64,
    dropped_ring: u64,
    reentrant: u64,
}

impl Totals {
    const ZERO: Self = Self {
        started: 0,
        sampled_out: 0,
        ended: 0,
        dropped_ring: 0,
        reentrant: 0,
    };

    fn add(&mut self, counters: &Counters) {
        self.started += counters.started.get();
        self.sampled_out += counters.sampled_out.get();
        self.ended += counters.ended.get();
        self.dropped_ring += counters.dropped_ring.get();
        self.reentrant += counters.reentrant.get();
    }
}

pub(crate) fn new_counters() -> Arc<Counters> {
    let counters = Arc::new(Counters::default());
    locked(&REGISTRY).counters.push(Arc::clone(&counters));
    counters
}

/// A thread ended: its counts stay, its counters go.
pub(crate) fn retire_counters(counters: &Arc<Counters>) {
    let mut registry = locked(&REGISTRY);
    registry.retired.add(counters);
    registry.counters.retain(|other| !Arc::ptr_eq(other, counters));
}

pub(crate) fn stats() -> TraceStats {
    let oldest_open = super::open::oldest();
    let registry = locked(&REGISTRY);
    let mut totals = registry.retired;
    for counters in &registry.counters {
        totals.add(counters);
    }
    totals.ended += ENDED_APART.load(Ordering::Relaxed);
    TraceStats {
        started: totals.started,
        sampled_out: totals.sampled_out + super::passed::filled(),
        ended: totals.ended,
        dropped_ring: totals.dropped_ring,
        reentrant: totals.reentrant,
        delivered: DELIVERED.load(Ordering::Relaxed),
        dropped_late: LATE.load(Ordering::Relaxed),
        discarded_tail: DISCARDED.load(Ordering::Relaxed),
        limited_attributes: LIMITED[0].load(Ordering::Relaxed),
        limited_events: LIMITED[1].load(Ordering::Relaxed),
        limited_links: LIMITED[2].load(Ordering::Relaxed),
        dropped_baggage: super::baggage::lost(),
        open: totals.started.saturating_sub(totals.ended),
        oldest_open,
        told_long: super::open::told(),
        slots: SLAB.capacity() as u64,
    }
}

/// What the limits of a span left out: attributes, events, links. Told where spans are encoded.
static LIMITED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

pub(crate) fn limited(counts: [u32; 3]) {
    for (all, count) in LIMITED.iter().zip(counts) {
        all.fetch_add(count.into(), Ordering::Relaxed);
    }
}

/// A ring for the calling thread, its other end given to the drainer.
#[cold]
pub(crate) fn new_ring(bytes: usize) -> Writer<Head> {
    let (writer, reader) = ring::ring(bytes);
    locked(&REGISTRY).readers.push(reader);
    writer
}

/// How large a thread's ring may become, in bytes.
pub(crate) fn largest_ring() -> usize {
    LARGEST_RING.load(Ordering::Relaxed)
}

/// Bounds the rings made from now on.
pub(crate) fn set_largest_ring(bytes: usize) {
    LARGEST_RING.store(bytes.next_power_of_two().max(FIRST_RING), Ordering::Relaxed);
}

/// A span was pushed; `half` when half of its ring waits.
#[inline]
pub(crate) fn pushed(half: bool) {
    if half || STATE.load(Ordering::Relaxed) == PARKED {
        wake();
    }
}

#[cold]
fn wake() {
    if STATE.swap(RUNNING, Ordering::AcqRel) != RUNNING
        && let Some(thread) = &locked(&REGISTRY).thread
    {
        thread.unpark();
    }
}

/// A span that ended on a thread whose own state is gone.
#[cold]
pub(crate) fn orphan(head: Head, body: &[u8]) {
    ended_apart();
    let mut orphans = locked(&ORPHANS);
    let writer = orphans.get_or_insert_with(|| new_ring(FIRST_RING));
    let mut head = head;
    head.set_long();
    let kept = long::keep(head.span, body);
    if !kept || writer.push(&head, &[]).is_none() {
        long::take(head.span);
        late(1);
    }
}

/// Adds a pipeline, and starts the thread for the first one.
pub(crate) fn add(make: impl FnOnce(u32) -> Shared) -> std::io::Result<Arc<Shared>> {
    let mut registry = locked(&REGISTRY);
    if registry.thread.is_none() {
        let handle = std::thread::Builder::new()
            .name("vitalsign-spans".into())
            .spawn(|| super::local::as_ours(|| Drainer::default().run()))?;
        registry.thread = Some(handle.thread().clone());
    }
    let shared = Arc::new(make(registry.next_id));
    registry.next_id += 1;
    registry.pipelines.push(Arc::clone(&shared));
    Ok(shared)
}

pub(crate) fn remove(id: u32) {
    locked(&REGISTRY).pipelines.retain(|shared| shared.id != id);
}

/// The pipeline of a span at hand; for the rare paths that need more of it than its span knows.
pub(crate) fn pipeline(id: u32) -> Option<Arc<Shared>> {
    locked(&REGISTRY)
        .pipelines
        .iter()
        .find(|shared| shared.id == id)
        .cloned()
}

/// Waits until everything handed over before has reached the sinks.
pub(crate) fn flush(deadline: Instant) -> bool {
    let mut flushes = locked(&FLUSHES);
    flushes.asked += 1;
    let mine = flushes.asked;
    drop(flushes);
    wake_for_flush();
    let mut flushes = locked(&FLUSHES);
    while flushes.done < mine {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        flushes = FLUSHED
            .wait_timeout(flushes, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
    }
    true
}

fn wake_for_flush() {
    STATE.store(RUNNING, Ordering::Release);
    if let Some(thread) = &locked(&REGISTRY).thread {
        thread.unpark();
    }
}

/// Says that spans are lost before they come to any queue.
#[derive(Default)]
struct Losses {
    looked: Option<Instant>,
    known: u64,
}

impl Losses {
    /// Between two looks.
    const EVERY: Duration = Duration::from_secs(1);

    fn look(&mut self) {
        let now = Instant::now();
        if self
            .looked
            .is_some_and(|looked| now.duration_since(looked) < Self::EVERY)
        {
            return;
        }
        self.looked = Some(now);
        let dropped = {
            let registry = locked(&REGISTRY);
            let counters = registry.counters.iter().map(|counters| counters.dropped_ring.get());
            registry.retired.dropped_ring + counters.sum::<u64>()
        };
        if self.is_news(dropped) {
            diag::say_once(
                diag::Level::Warn,
                ("spans", "ring"),
                format_args!(
                    "spans end faster than they are encoded: {dropped} were dropped so far, and counted as ring_full; a sampler, \
                     OTEL_TRACES_SAMPLER, or a processor more helps"
                ),
            );
        }
    }

    /// There are more than the last time.
    fn is_news(&mut self, dropped: u64) -> bool {
        dropped > std::mem::replace(&mut self.known, dropped)
    }
}

#[derive(Default)]
struct Drainer {
    readers: Vec<Reader<Head>>,
    batches: Vec<Batch>,
    places: traces::Places,
    watch: super::open::Watch,
    losses: Losses,
    turns: Turns,
    /// What is converted here, and by everyone, stays with the wall clock.
    follower: clock::Follower,
}

impl Drainer {
    fn run(mut self) {
        let mut idle = 0;
        loop {
            let asked = locked(&FLUSHES).asked;
            let moved = self.round();
            let flushing = asked > locked(&FLUSHES).done;
            self.deliver(flushing);
            if flushing {
                locked(&FLUSHES).done = asked;
                FLUSHED.notify_all();
            }
            self.watch.look();
            self.losses.look();
            self.follower.look();
            idle = if moved == 0 { idle + 1 } else { 0 };
            if moved < 64 {
                self.rest(idle);
            }
        }
    }

    /// Empties every ring once.
    fn round(&mut self) -> usize {
        {
            let mut registry = locked(&REGISTRY);
            self.readers.append(&mut registry.readers);
            for shared in &registry.pipelines {
                if self.batches.iter().all(|batch| batch.shared.id != shared.id) {
                    self.batches.push(Batch::new(Arc::clone(shared)));
                }
            }
        }
        let Self {
            readers,
            batches,
            places,
            turns,
            ..
        } = self;
        let (mut moved, mut seen) = (0, 0_usize);
        for reader in readers.iter_mut() {
            moved += reader.drain(|head, body| {
                seen += 1;
                if seen.is_multiple_of(PIECE) && seen < BEHIND {
                    turns.give();
                }
                let id = head.pipeline();
                if let Some(batch) = batches.iter_mut().find(|batch| batch.shared.id == id) {
                    batch.push(head, body, places);
                } else {
                    if head.long() {
                        long::take(head.span);
                    }
                    late(1);
                }
            });
        }
        readers.retain(|reader| !reader.is_done());
        moved
    }

    /// Hands over what is due; when `flushing`, everything.
    fn deliver(&mut self, flushing: bool) {
        for batch in &mut self.batches {
            batch.overdue(batch.shared.is_closed());
            if batch.count > 0 && (flushing || batch.since.elapsed() >= batch.shared.delay) {
                batch.deliver();
            }
        }
        self.batches
            .retain(|batch| batch.count > 0 || !batch.shared.is_closed());
    }

    fn rest(&self, idle: u32) {
        let waiting = self.batches.iter().any(|batch| batch.count > 0);
        let (state, long) = if idle < IDLE_ROUNDS {
            (NAPPING, NAP)
        } else if waiting {
            (PARKED, Duration::from_millis(100))
        } else {
            (PARKED, PARK)
        };
        STATE.store(state, Ordering::Release);
        let flushes = locked(&FLUSHES);
        let flushing = flushes.asked > flushes.done;
        drop(flushes);
        if !flushing {
            std::thread::park_timeout(long);
        }
        STATE.store(RUNNING, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_news_while_they_go_on() {
        let mut losses = Losses::default();
        let news = [0, 5, 5, 6].map(|dropped| losses.is_news(dropped));
        assert_eq!(news, [false, true, false, true]);
    }
}
