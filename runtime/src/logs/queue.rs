//! Between those who log and the thread that writes: bounded, and fair to what matters. Where records go to OTLP and into lines, a
//! second one lies between the thread that encodes and the one that writes.
//!
//! A record is two appends under a lock that nobody holds while formatting or writing. When the writer cannot keep up, the
//! queue refuses the least important levels first; the last fifth is kept for errors. What is refused is counted by level.

use super::record::Head;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tracing_core::Level;

/// Why a record was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loss {
    /// The queue was full.
    QueueFull,
    /// The output refused it, or had not taken it by the end.
    Write,
    /// It was logged while another record was being made on the same thread, as by a `Debug` that logs.
    Nested,
}

impl Loss {
    pub(crate) const ALL: [Self; 3] = [Self::QueueFull, Self::Write, Self::Nested];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Write => "write",
            Self::Nested => "nested",
        }
    }
}

pub(crate) const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

const fn index(level: Level) -> usize {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}

/// How much of the queue records of each level may fill, in percent.
const SHARE: [usize; 5] = [100, 80, 70, 50, 40];

/// What may wait, unless more is asked for.
pub(crate) const RECORDS: usize = 16 * 1024;
/// Bytes that may wait for each record that may.
const BYTES_EACH: usize = 256;

/// Bytes that so many records may take together.
pub(crate) const fn bytes_of(records: usize) -> usize {
    records.saturating_mul(BYTES_EACH)
}

/// What records may keep alive besides their own bytes, scopes and baggage, as a multiple of what those may take. Records share
/// most of it, so that it is counted for more than it is.
const HELD: usize = 4;

/// Records and their bytes, in order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) heads: Vec<Head>,
    pub(crate) bytes: Vec<u8>,
    /// Bytes that the heads keep alive.
    held: usize,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
        self.held = 0;
        // A queue that may be large must not stay so for good after one burst.
        self.heads.shrink_to(RECORDS);
        self.bytes.shrink_to(bytes_of(RECORDS));
    }
}

#[derive(Default)]
struct Pending {
    batch: Batch,
    /// Records accepted since the start.
    accepted: u64,
    closed: bool,
}

#[derive(Default)]
struct Done {
    /// Records written, or given up, since the start.
    records: u64,
    /// Of those that the writer has taken, by level: neither written nor lost so far.
    in_hand: [u64; LEVELS.len()],
}

/// How far the export goes: records accepted and lost when it ended.
#[derive(Clone, Copy)]
struct ExportEnd {
    accepted: u64,
    refused: u64,
    nested: u64,
}

/// What may wait: records, their bytes, and bytes that they keep alive.
#[derive(Clone, Copy)]
struct Room {
    records: usize,
    bytes: usize,
    held: usize,
}

impl Room {
    /// So many hundredths of it; the whole may be as large as numbers are.
    const fn part(self, percent: usize) -> Self {
        const fn part(whole: usize, percent: usize) -> usize {
            (whole as u128 * percent as u128 / 100) as usize
        }
        Self {
            records: part(self.records, percent),
            bytes: part(self.bytes, percent),
            held: part(self.held, percent),
        }
    }
}

pub(crate) struct Queue {
    pending: Mutex<Pending>,
    /// For each level.
    rooms: [Room; LEVELS.len()],
    /// When more waits than this, the writer is told.
    quarter: Room,
    writer: OnceLock<Thread>,
    /// The writer waits to be woken; otherwise it looks by itself within a few milliseconds.
    asleep: AtomicBool,
    /// Locked before what is pending, where both are.
    done: Mutex<Done>,
    progress: Condvar,
    /// Who waits in [`Queue::flush`].
    flushing: AtomicU64,
    lost: [[AtomicU64; LEVELS.len()]; Loss::ALL.len()],
    written: AtomicU64,
    /// Records handed to OTLP, and those that it was told were refused.
    exported: AtomicU64,
    told: AtomicU64,
    export_end: OnceLock<ExportEnd>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    pub(crate) fn new(max_records: usize, max_bytes: usize) -> Self {
        let max_bytes = max_bytes.max(1024);
        let all = Room {
            records: max_records.max(1),
            bytes: max_bytes,
            held: max_bytes.saturating_mul(HELD),
        };
        Self {
            pending: Mutex::default(),
            rooms: SHARE.map(|percent| all.part(percent)),
            quarter: all.part(25),
            writer: OnceLock::new(),
            asleep: AtomicBool::new(false),
            done: Mutex::default(),
            progress: Condvar::new(),
            flushing: AtomicU64::new(0),
            lost: Default::default(),
            written: AtomicU64::new(0),
            exported: AtomicU64::new(0),
            told: AtomicU64::new(0),
            export_end: OnceLock::new(),
        }
    }

    /// Hands a record over, or counts it as lost.
    pub(crate) fn push(&self, head: Head, bytes: &[u8]) {
        let level = head.source.level();
        let room = self.rooms[index(level)];
        let mut pending = lock(&self.pending);
        let held = pending.batch.held + head.holds(pending.batch.heads.last());
        let full = pending.batch.heads.len() >= room.records
            || pending.batch.bytes.len() + bytes.len() > room.bytes
            || held > room.held;
        // A record larger than the whole queue passes when the queue is empty.
        if pending.closed || (full && !pending.batch.heads.is_empty()) {
            drop(pending);
            self.lose(Loss::QueueFull, level);
            return;
        }
        pending.batch.heads.push(head);
        pending.batch.bytes.extend_from_slice(bytes);
        pending.batch.held = held;
        pending.accepted += 1;
        let filling = pending.batch.bytes.len() > self.quarter.bytes
            || pending.batch.heads.len() > self.quarter.records
            || held > self.quarter.held;
        drop(pending);
        // An error may be the last thing this process says.
        if filling || level == Level::ERROR || self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    pub(crate) fn lose(&self, reason: Loss, level: Level) {
        self.lost[reason as usize][index(level)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self, reason: Loss, level: Level) -> u64 {
        self.lost[reason as usize][index(level)].load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    fn lost_to(&self, reason: Loss) -> u64 {
        LEVELS.into_iter().map(|level| self.lost(reason, level)).sum()
    }

    /// Of the records that were logged before the export ended, those that OTLP does not know of: lost, and still waiting.
    pub(crate) fn unexported(&self) -> (u64, u64) {
        // In this order: what moves on meanwhile counts twice rather than not at all.
        let (exported, told) = (self.exported.load(Ordering::SeqCst), self.told.load(Ordering::SeqCst));
        let end = self.export_end.get().copied();
        let end = end.unwrap_or_else(|| self.export_end_now());
        // A refusal that was told of as the export ended may be behind its end.
        let lost = end.refused.saturating_sub(told) + end.nested;
        (lost, end.accepted.saturating_sub(exported))
    }

    /// Records from here on are for lines only.
    pub(crate) fn end_export(&self) {
        // Under the lock: what is accepted afterwards is known to be behind the end.
        let pending = lock(&self.pending);
        self.export_end.get_or_init(|| self.export_end_at(pending.accepted));
    }

    fn export_end_now(&self) -> ExportEnd {
        let accepted = lock(&self.pending).accepted;
        self.export_end_at(accepted)
    }

    fn export_end_at(&self, accepted: u64) -> ExportEnd {
        ExportEnd {
            accepted,
            refused: self.lost_to(Loss::QueueFull),
            nested: self.lost_to(Loss::Nested),
        }
    }

    /// Waits until all that was accepted so far is written; false if the deadline came first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let accepted = lock(&self.pending).accepted;
        self.flushing.fetch_add(1, Ordering::SeqCst);
        self.wake();
        let mut done = lock(&self.done);
        while done.records < accepted {
            let Some(left) = deadline
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
            else {
                break;
            };
            done = self
                .progress
                .wait_timeout(done, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let flushed = done.records >= accepted;
        drop(done);
        self.flushing.fetch_sub(1, Ordering::SeqCst);
        flushed
    }

    /// What waits is given up and counted as lost, also what the writer has in its hands: it may never come back.
    pub(crate) fn abandon(&self) {
        let mut done = lock(&self.done);
        let batch = std::mem::take(&mut lock(&self.pending).batch);
        for head in &batch.heads {
            done.in_hand[index(head.source.level())] += 1;
        }
        for (lost, given_up) in self.lost[Loss::Write as usize].iter().zip(&mut done.in_hand) {
            lost.fetch_add(std::mem::take(given_up), Ordering::Relaxed);
        }
        done.records += batch.heads.len() as u64;
        self.progress.notify_all();
    }

    /// Nothing more is accepted; the writer ends once it has written the rest.
    pub(crate) fn close(&self) {
        lock(&self.pending).closed = true;
        self.wake();
    }

    // The writer's side.

    /// Said by the writer's thread before it takes anything.
    pub(crate) fn attach_writer(&self) {
        let _ = self.writer.set(std::thread::current());
    }

    /// Swaps what is pending with an empty batch; false when closed and empty.
    pub(crate) fn take(&self, batch: &mut Batch) -> bool {
        batch.clear();
        let mut done = lock(&self.done);
        let closed = {
            let mut pending = lock(&self.pending);
            std::mem::swap(&mut pending.batch, batch);
            pending.closed
        };
        for head in &batch.heads {
            done.in_hand[index(head.source.level())] += 1;
        }
        !(closed && batch.heads.is_empty())
    }

    /// Records that another queue's reader is done with come in by the same rules as new ones. Leaves the batch without any.
    pub(crate) fn take_over(&self, batch: &mut Batch) {
        let mut at = 0;
        for head in batch.heads.drain(..) {
            let end = at + head.len as usize;
            let bytes = batch.bytes.get(at..end).unwrap_or_default();
            at = end;
            self.push(head, bytes);
        }
    }

    /// Someone waits for the outputs to be emptied to the last record.
    pub(crate) fn wanted_now(&self) -> bool {
        self.flushing.load(Ordering::SeqCst) > 0
    }

    /// That many records were handed to OTLP.
    pub(crate) fn exported(&self, records: u64) {
        self.exported.fetch_add(records, Ordering::SeqCst);
    }

    /// Whether the next record to be encoded came after the export's end, where so many are encoded and not handed over.
    pub(crate) fn is_export_over(&self, encoded: u64) -> bool {
        let end = self.export_end.get();
        end.is_some_and(|end| self.exported.load(Ordering::SeqCst) + encoded >= end.accepted)
    }

    /// How many records were refused that OTLP was not told of.
    pub(crate) fn newly_refused(&self) -> u64 {
        let end = self.export_end.get();
        let refused = end.map_or_else(|| self.lost_to(Loss::QueueFull), |end| end.refused);
        refused.saturating_sub(self.told.load(Ordering::SeqCst))
    }

    /// OTLP was told of that many refused records.
    pub(crate) fn told(&self, records: u64) {
        self.told.fetch_add(records, Ordering::SeqCst);
    }

    /// Of the records taken last, the lines of these reached the output, and those of the others did not.
    pub(crate) fn settle(&self, written: impl Iterator<Item = Level>, lost: impl Iterator<Item = Level>) {
        let mut done = lock(&self.done);
        // What was given up meanwhile has been counted.
        let mut is_in_hand = |level: &Level| {
            let in_hand = &mut done.in_hand[index(*level)];
            let is = *in_hand > 0;
            *in_hand -= u64::from(is);
            is
        };
        let written = written.filter(&mut is_in_hand).count();
        self.written.fetch_add(written as u64, Ordering::Relaxed);
        for level in lost.filter(is_in_hand) {
            self.lose(Loss::Write, level);
        }
    }

    /// That many records have left: all that were taken, or none.
    pub(crate) fn done(&self, records: u64) {
        let mut done = lock(&self.done);
        if records > 0 {
            done.in_hand = Default::default();
        }
        done.records += records;
        self.progress.notify_all();
    }

    /// Waits a moment for more, without being woken by single records.
    pub(crate) fn doze() {
        std::thread::park_timeout(Duration::from_millis(3));
    }

    /// Waits to be woken, at most so long.
    pub(crate) fn sleep(&self, at_most: Duration) {
        self.asleep.store(true, Ordering::SeqCst);
        // A record pushed before the store was not announced.
        let empty = {
            let pending = lock(&self.pending);
            pending.batch.heads.is_empty() && !pending.closed
        };
        if empty && !self.wanted_now() {
            std::thread::park_timeout(at_most);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::record::Source;
    use crate::logs::scope::Scope;

    fn head(level: Level) -> Head {
        Head {
            ticks: 0,
            source: Source::Other(level),
            ids: None,
            scope: None,
            baggage: crate::trace::Baggage::default(),
            len: 10,
        }
    }

    #[test]
    fn errors_go_last() {
        let queue = Queue::new(10, 1 << 20);
        for level in [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR] {
            for _ in 0..10 {
                queue.push(head(level), &[0; 10]);
            }
        }
        let mut batch = Batch::default();
        assert!(queue.take(&mut batch));
        let kept = |level| batch.heads.iter().filter(|head| head.source.level() == level).count();
        assert_eq!(LEVELS.map(kept), [2, 1, 2, 1, 4]);
        assert_eq!(LEVELS.map(|level| queue.lost(Loss::QueueFull, level)), [8, 9, 8, 9, 6]);
    }

    #[test]
    fn what_records_keep_alive_is_bounded_too() {
        let scope = || {
            let text = "x".repeat(1000);
            Some(crate::scope! { text = text.as_str() })
        };
        let waiting = |scopes: &mut dyn FnMut() -> Option<Scope>| {
            let queue = Queue::new(1000, 10_000);
            for _ in 0..1000 {
                let scope = scopes();
                let head = Head {
                    scope,
                    ..head(Level::INFO)
                };
                queue.push(head, &[0; 10]);
            }
            let mut batch = Batch::default();
            assert!(queue.take(&mut batch));
            assert_eq!(
                queue.lost(Loss::QueueFull, Level::INFO),
                1000 - batch.heads.len() as u64
            );
            batch.heads.len()
        };
        // Of 28,000 bytes, of which each takes a little more than 1000.
        let each = waiting(&mut || scope());
        assert!((20..28).contains(&each), "{each}");
        let shared = scope();
        assert_eq!(waiting(&mut || shared.clone()), 700);
    }

    #[test]
    fn what_is_given_up_in_the_writers_hands_counts_once() {
        let queue = Queue::new(10, 1 << 20);
        let mut batch = Batch::default();
        for _ in 0..3 {
            queue.push(head(Level::WARN), &[0; 10]);
        }
        assert!(queue.take(&mut batch));
        queue.push(head(Level::INFO), &[0; 10]);
        let none = std::iter::empty;
        queue.settle([Level::WARN].into_iter(), none());
        queue.abandon();
        let account = || {
            let lost = [Level::WARN, Level::INFO].map(|level| queue.lost(Loss::Write, level));
            (queue.written(), lost)
        };
        assert_eq!(account(), (1, [2, 1]));
        // The output comes back after all.
        queue.settle([Level::WARN].into_iter(), [Level::WARN].into_iter());
        queue.done(3);
        assert_eq!(account(), (1, [2, 1]));
        assert!(queue.flush(Instant::now()));
        queue.push(head(Level::WARN), &[0; 10]);
        assert!(queue.take(&mut batch));
        queue.settle([Level::WARN].into_iter(), none());
        assert_eq!(account(), (2, [2, 1]));
    }

    #[test]
    fn a_closed_queue_ends_after_its_last_record() {
        let queue = Queue::new(10, 1 << 20);
        queue.push(head(Level::INFO), &[0; 10]);
        queue.close();
        let mut batch = Batch::default();
        assert!(queue.take(&mut batch));
        assert_eq!(batch.heads.len(), 1);
        assert!(!queue.take(&mut batch));
        assert!(!queue.flush(Instant::now()));
        queue.done(1);
        assert!(queue.flush(Instant::now()));
    }
}
