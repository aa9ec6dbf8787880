//! Spans or log records on their way: from the queue to the collector, by the disk where it is away.

use super::account::Tally;
use super::backlog::Backlog;
use super::diag::{Level, say_once};
use super::durations;
use super::endpoint::Endpoint;
use super::otlp::framed::Framed;
use super::otlp::wire::{self, EncodedResource};
use super::outlet::{Flush, Outlet};
use super::queue::{Chunk, Queue};
use super::retry::Backoff;
use super::spool::Spool;
use super::transport::{Accepted, Retry, SendError};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

pub(super) struct Pipeline {
    pub(super) outlet: Arc<Outlet>,
    pub(super) queue: Queue,
    resource: EncodedResource,
    /// Something for the worker: a full batch, a flush, the end.
    wake: Notify,
    /// The queue is half full.
    pressed: Notify,
    /// Items ever taken in, and ever settled.
    taken: AtomicU64,
    settled: AtomicU64,
    /// Where batches wait while the other end is away.
    pub(super) backlog: Option<Arc<Backlog>>,
}

impl Pipeline {
    pub(super) fn new(outlet: Outlet, queue: Queue, resource: EncodedResource, spool: Option<Arc<Spool>>) -> Self {
        outlet.stats.queue_capacity.set(queue.capacity());
        let outlet = Arc::new(outlet);
        Self {
            queue,
            resource,
            wake: Notify::new(),
            pressed: Notify::new(),
            taken: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            backlog: spool.map(|spool| Arc::new(Backlog::new(outlet.clone(), spool))),
            outlet,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.outlet.account.tally(self.queue.len());
        if let Some(backlog) = &self.backlog {
            let (pending, lost) = backlog.pending_and_lost();
            tally.pending += pending;
            tally.dropped += lost;
        }
        if tally.delivered == 0 && self.outlet.endpoint.as_ref().is_some_and(Endpoint::is_unheard) {
            tally.unheard = std::mem::take(&mut tally.pending) + std::mem::take(&mut tally.dropped);
        }
        tally
    }

    /// Takes in what there is room for. Never waits.
    pub(super) fn push(&self, scopes: Framed, count: u64) {
        while self.queue.lacks_room(count) && self.spill() {}
        let (request, bytes) = wire::framed(&self.resource, scopes);
        let request = Some(request);
        let taken = self.queue.push(Chunk { bytes, count, request });
        self.taken.fetch_add(taken, SeqCst);
        if count > taken {
            self.drop_newest(count - taken);
        }
        self.outlet.stats.queue_size.set(self.queue.len());
        if self.queue.is_half_full() {
            self.pressed.notify_one();
        }
        // Whoever pushes has gathered a batch, by size or by time: waiting again would double the delay.
        self.wake.notify_one();
    }

    /// Puts the oldest batch on its way to the disk, for whoever sends has not come to it: a busy machine may give them no time.
    fn spill(&self) -> bool {
        // The console is written to by who sends.
        let Some(backlog) = self.backlog.as_ref().filter(|_| !self.outlet.console) else {
            return false;
        };
        let Some(batch) = self.queue.take() else {
            return false;
        };
        let (body, count) = self.request(&batch);
        if !backlog.try_put(&body, count) {
            self.queue.put_back(batch);
            return false;
        }
        self.outlet.stats.processed.add(count);
        self.settle(count);
        true
    }

    fn request(&self, batch: &[Chunk]) -> (Bytes, u64) {
        if let [
            Chunk {
                request: Some(request),
                count,
                ..
            },
        ] = batch
        {
            return (request.clone(), *count);
        }
        let items: Vec<_> = batch.iter().map(|chunk| chunk.bytes.clone()).collect();
        let count = batch.iter().map(|chunk| chunk.count).sum();
        (wire::request(&self.resource, &items), count)
    }

    fn drop_newest(&self, dropped: u64) {
        self.outlet.account.dropped.fetch_add(dropped, Relaxed);
        if self.queue.is_closed() {
            self.outlet.stats.after_shutdown.add(dropped);
            return;
        }
        self.outlet.stats.queue_full.add(dropped);
        let signal = self.outlet.signal;
        say_once(
            Level::Warn,
            ("queue full", signal.as_str()),
            format_args!(
                "the queue of {} {} is full; {dropped} of the newest were dropped and counted",
                self.queue.capacity(),
                signal.items()
            ),
        );
    }

    /// So many never came this far.
    pub(super) fn lost_before(&self, lost: u64) {
        self.outlet.account.dropped.fetch_add(lost, Relaxed);
        self.outlet.stats.queue_full.add(lost);
        let items = self.outlet.signal.items();
        say_once(
            Level::Warn,
            ("outrun", self.outlet.signal.as_str()),
            format_args!("{items} come faster than they are encoded; {lost} of the newest were dropped and counted"),
        );
    }

    /// Sends what the queue holds, until the end.
    pub(super) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        while !self.outlet.is_stopped() {
            if self.queue.waiting() == 0 {
                self.wake.notified().await;
            }
            while let Some(batch) = self.queue.take() {
                self.deliver(batch, &mut backoff).await;
                if self.outlet.is_stopped() {
                    return;
                }
            }
        }
    }

    /// Until the batch is settled, or the end comes: then it goes back.
    async fn deliver(&self, batch: Vec<Chunk>, backoff: &mut Backoff) {
        let (body, count) = self.request(&batch);
        self.outlet.print(&body).await;
        if self.outlet.endpoint.is_none() {
            self.outlet.account.delivered.fetch_add(count, Relaxed);
            return self.settle(count);
        }
        self.outlet.stats.processed.add(count);
        // The oldest go first: behind a backlog everything queues up.
        if self.is_backed_up() && self.store(&body, count).await {
            return self.settle(count);
        }
        if self.send(&body, count, backoff).await {
            self.settle(count);
        } else {
            self.queue.put_back(batch);
        }
    }

    /// Tries until the batch is taken, refused for good, or on disk. False when the end came first.
    async fn send(&self, body: &Bytes, count: u64, backoff: &mut Backoff) -> bool {
        let (signal, began) = (self.outlet.signal, Instant::now());
        loop {
            let error = match self.attempt(body, count).await {
                None => return true,
                Some(Ok(accepted)) => {
                    durations::export(signal, began.elapsed(), accepted.outcome());
                    self.outlet.accepted(&accepted, count);
                    backoff.reset();
                    return true;
                }
                Some(Err(error)) => error,
            };
            let settled = self.refused(body, count, &error).await;
            if settled || !self.outlet.pause(error.retry, backoff, &self.wake).await {
                durations::export(signal, began.elapsed(), Some(error.kind.into()));
                return settled;
            }
        }
    }

    /// `None` when the batch is on disk meanwhile.
    async fn attempt(&self, body: &Bytes, count: u64) -> Option<Result<Accepted, SendError>> {
        let most = self.outlet.timeout;
        match &self.backlog {
            Some(backlog) => backlog.send(body, count, most, self.pressure()).await,
            None => Some(self.outlet.send(body.clone(), count, most).await),
        }
    }

    /// Resolves when what comes in behind a request under way will soon find no room.
    async fn pressure(&self) {
        // What a burst fills, a collector that answers empties at once.
        const GRACE: Duration = Duration::from_millis(50);
        sleep(GRACE).await;
        while !self.queue.is_half_full() {
            self.pressed.notified().await;
        }
    }

    /// Whether that settles it.
    async fn refused(&self, body: &Bytes, count: u64, error: &SendError) -> bool {
        if error.retry == Retry::Never {
            self.outlet.account.failed(self.outlet.signal, error, count);
            return true;
        }
        if let Some(backlog) = &self.backlog {
            backlog.hold(error.retry);
        }
        self.store(body, count).await
    }

    fn is_backed_up(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.is_busy())
    }

    /// False where there is no spool, or none that works.
    async fn store(&self, body: &Bytes, count: u64) -> bool {
        match &self.backlog {
            Some(backlog) => backlog.put(body, count).await,
            None => false,
        }
    }

    fn settle(&self, count: u64) {
        self.queue.settle(count);
        self.settled.fetch_add(count, SeqCst);
        self.outlet.stats.queue_size.set(self.queue.len());
        self.outlet.progress.notify_waiters();
    }

    /// Somebody is to wait for all that was taken in before.
    pub(super) fn begin_flush(&self) -> Flushing<'_> {
        let flush = self.outlet.begin_flush();
        self.wake_workers();
        Flushing {
            until: self.taken.load(SeqCst),
            pipeline: self,
            _flush: flush,
        }
    }

    /// Nothing more is taken in.
    pub(super) fn close(&self) {
        self.queue.close();
        self.outlet.close();
    }

    /// Nothing more is sent.
    pub(super) fn stop(&self) {
        if self.outlet.stop() {
            self.outlet.stats.abandoned.add(self.queue.len());
            self.wake.notify_one();
            self.backlog.iter().for_each(|backlog| backlog.leave());
        }
    }

    fn wake_workers(&self) {
        self.wake.notify_one();
        if let Some(backlog) = &self.backlog {
            backlog.wake.notify_one();
        }
    }
}

/// Somebody waits for all that was taken in before.
pub(super) struct Flushing<'a> {
    pipeline: &'a Pipeline,
    until: u64,
    _flush: Flush<'a>,
}

impl Flushing<'_> {
    pub(super) async fn ended(self) {
        let p = self.pipeline;
        loop {
            let progress = p.outlet.progress.notified();
            tokio::pin!(progress);
            // From here on no progress is missed.
            progress.as_mut().enable();
            let all = p.settled.load(SeqCst) >= self.until;
            if all && !p.is_backed_up() {
                return;
            }
            // Nobody is there to wait for; what can be spooled is.
            let spooled = p.backlog.as_ref().is_none_or(|backlog| all && backlog.is_settled());
            if p.outlet.is_refused() && spooled {
                return;
            }
            progress.await;
        }
    }
}
