//! Batches of records for OTLP, from the same views the lines are made of.

use super::queue::Queue;
use super::view::View;
use crate::export::otlp::framed::Framed;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Turns a view into a framed `LogRecord`; the encoding lives with the exporter.
pub(crate) type Encode = fn(&View<'_>, &LogLimits, &mut Vec<u8>);

/// Takes framed `LogRecord`s (field 2 of `ScopeLogs`, repeated) and how many there are. Must not block: it is called on the writer's
/// thread.
pub(crate) trait LogSink: Send + Sync {
    fn batch(&self, records: Framed, count: u64);

    /// So many more were logged than there was room for until they could be encoded.
    fn lost(&self, count: u64);
}

/// `OTEL_LOGRECORD_ATTRIBUTE_*`, `OTEL_ATTRIBUTE_*`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLimits {
    pub(crate) attributes: usize,
    /// In characters.
    pub(crate) value_length: Option<usize>,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            attributes: 128,
            value_length: None,
        }
    }
}

/// OTLP for [`LogSetup`](super::LogSetup).
#[derive(Clone)]
pub(crate) struct OtlpLogs {
    pub(crate) sink: Arc<dyn LogSink>,
    pub(crate) encode: Encode,
    pub(crate) limits: LogLimits,
    /// `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`
    pub(crate) max_batch: u64,
    /// `OTEL_BLRP_SCHEDULE_DELAY`
    pub(crate) delay: Duration,
}

/// Records are handed over when they take so many bytes, however few they are: whoever sends them bounds what waits.
const MOST: usize = 1024 * 1024;

/// Collects records until a batch is full or old enough.
pub(super) struct Batcher {
    to: OtlpLogs,
    /// Where the records come from, and the account of them is kept.
    queue: Arc<Queue>,
    records: Framed,
    count: u64,
    since: Option<Instant>,
}

impl Batcher {
    pub(super) fn new(to: OtlpLogs, queue: Arc<Queue>) -> Self {
        Self {
            to,
            queue,
            records: Framed::default(),
            count: 0,
            since: None,
        }
    }

    /// Leaves out what came after the end of the export.
    pub(super) fn add(&mut self, view: &View<'_>) {
        if self.queue.is_export_over(self.count) {
            return;
        }
        (self.to.encode)(view, &self.to.limits, self.records.end());
        self.count += 1;
        self.since.get_or_insert_with(Instant::now);
        if self.count >= self.to.max_batch || self.records.len() >= MOST {
            self.send();
        }
    }

    /// Sends what is due; when the rest will be.
    pub(super) fn idle(&mut self, now: bool) -> Option<Duration> {
        let age = self.since?.elapsed();
        if now || age >= self.to.delay {
            self.send();
            return None;
        }
        Some(self.to.delay.saturating_sub(age))
    }

    /// Everything has been handed over.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn send(&mut self) {
        self.since = None;
        let count = std::mem::take(&mut self.count);
        if count > 0 {
            self.to.sink.batch(self.records.take(), count);
            self.queue.exported(count);
        }
    }

    /// Tells of the records that did not get so far.
    pub(super) fn tell_lost(&self) {
        let lost = self.queue.newly_refused();
        if lost > 0 {
            self.to.sink.lost(lost);
            self.queue.told(lost);
        }
    }
}
