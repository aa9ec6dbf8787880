//! From encoded items to a collector: a bounded queue per signal, one request at a time, retries as the specification has
//! them, and an exact account of what became of everything.

use super::background::{Background, as_ours};
use super::diag::{Level, say, say_once, tame};
use super::otlp::points::{Encoded, MetricEncoder};
use super::otlp::wire::{self, EncodedResource};
use super::otlp::{self, json};
use super::queue::{Chunk, Queue};
use super::retry::Backoff;
use super::snapshot::Family;
use super::spool::Spool;
use super::stats;
use super::transport::{Accepted, Kind, Retry, SendError, Signal, Transport};
use crate::config::Resource;
use crate::config::env::{Batch, Config, Otlp, Protocol};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// What became of everything recorded, by signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Spans.
    pub traces: Tally,
    /// Metric data points.
    pub metrics: Tally,
    /// Log records.
    pub logs: Tally,
}

/// What became of the items of one signal since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Taken by the receiver.
    pub delivered: u64,
    /// Refused by the receiver: in a partial success, or with an error that no retry may mend.
    pub rejected: u64,
    /// Lost here: the queue was full, the item too large, the process already shutting down.
    pub dropped: u64,
    /// Still waiting.
    pub pending: u64,
    /// For the collector at the default address, where none has ever answered: no one asked for it, so nothing is amiss.
    pub unheard: u64,
}

impl Report {
    /// Whether everything arrived.
    pub fn is_complete(&self) -> bool {
        [self.traces, self.metrics, self.logs]
            .iter()
            .all(|t| t.rejected == 0 && t.dropped == 0 && t.pending == 0)
    }
}

#[cfg(test)]
impl Tally {
    pub(super) fn of(delivered: u64, rejected: u64, dropped: u64, pending: u64) -> Self {
        Self {
            delivered,
            rejected,
            dropped,
            pending,
            unheard: 0,
        }
    }
}

/// Gathers the metrics for a push.
pub(crate) type Gather = Arc<dyn Fn() -> Vec<Family> + Send + Sync>;

/// The ways out of one process.
pub(crate) struct Exporter {
    background: Arc<Background>,
    ways: Arc<Ways>,
}

struct Ways {
    traces: Option<Arc<Pipeline>>,
    logs: Option<Arc<Pipeline>>,
    metrics: Option<Arc<Push>>,
}

impl Exporter {
    /// Starts what the configuration asks for. Fails where something can not work as it was asked for; the error names the
    /// variable.
    pub(crate) fn start(
        config: &Config,
        resource: &Resource,
        background: Arc<Background>,
        gather: Gather,
    ) -> Result<Self, String> {
        let resource = EncodedResource::new(resource);
        // Connectors may need the runtime; nothing is connected yet.
        let guard = background.handle().enter();
        let (traces, logs) = (&config.traces, &config.logs);
        let on = !config.disabled;
        let spool = config.spool.as_ref().filter(|_| on).and_then(|spool| {
            let opened = Spool::open(&spool.dir, spool.max_bytes);
            opened
                .inspect_err(|problem| say(Level::Warn, format_args!("{problem}")))
                .ok()
                .map(Arc::new)
        });
        let pipeline = |signal, otlp: &Option<Otlp>, console, batch| {
            let target = otlp
                .as_ref()
                .filter(|_| on)
                .map(|otlp| Way::new(signal, otlp))
                .transpose()?;
            let console = console && on;
            let any = target.is_some() || console;
            // A console alone is never away.
            let spool = spool.clone().filter(|_| target.is_some());
            let new = || Pipeline::new(signal, target, console, batch, resource.clone(), spool);
            Ok::<_, String>(any.then(|| Arc::new(new())))
        };
        let ways = Ways {
            traces: pipeline(Signal::Traces, &traces.otlp, traces.console, &traces.batch)?,
            logs: pipeline(Signal::Logs, &logs.otlp, false, &logs.batch)?,
            metrics: Push::new(config, resource.clone(), gather)?.map(Arc::new),
        };
        drop(guard);
        for pipeline in [&ways.traces, &ways.logs].into_iter().flatten() {
            background.spawn_ours(pipeline.clone().run());
            if let Some(spool) = &pipeline.spool {
                background.spawn_ours(pipeline.clone().drain(spool.clone()));
            }
        }
        if let Some(push) = &ways.metrics {
            background.spawn_ours(push.clone().run());
        }
        let ways = Arc::new(ways);
        Ok(Self { background, ways })
    }

    /// Looks whether somebody listens, in the background, and says so if not.
    pub(crate) fn look(&self) {
        self.background.spawn_ours(self.ways.clone().look());
    }

    /// Whether spans go anywhere.
    pub(crate) fn wants_spans(&self) -> bool {
        self.ways.traces.is_some()
    }

    /// Whether log records go anywhere.
    pub(crate) fn wants_logs(&self) -> bool {
        self.ways.logs.is_some()
    }

    /// Queues encoded spans: repeated `scope_spans` of a `ResourceSpans`, tags included. Never waits.
    pub(crate) fn spans(&self, bytes: impl Into<Bytes>, count: u64) {
        if let Some(pipeline) = &self.ways.traces {
            pipeline.push(bytes.into(), count);
        }
    }

    /// Queues encoded log records: repeated `log_records` of a `ScopeLogs`, tags included. Never waits.
    pub(crate) fn logs(&self, records: &[u8], count: u64) {
        if let Some(pipeline) = &self.ways.logs {
            pipeline.push(wire::in_scope(records), count);
        }
    }

    /// Sends what is queued, and the metrics as they stand. Waits on this thread, whatever runs on it, at most so long.
    pub(crate) fn flush(&self, deadline: Duration) -> Report {
        self.background.wait(deadline, self.ways.clone().flush(deadline));
        self.report()
    }

    /// Takes nothing more in, sends what is queued, and ends. Waits at most so long.
    pub(crate) fn shutdown(&self, deadline: Duration) -> Report {
        self.ways.close();
        let report = self.flush(deadline);
        self.ways.stop();
        report
    }

    /// Spans that wait in memory.
    #[cfg(all(test, feature = "spool"))]
    pub(super) fn queued(&self) -> u64 {
        self.ways.traces.as_ref().map_or(0, |pipeline| pipeline.queue.len())
    }

    /// Tells what became of everything even when the exporter is gone.
    #[cfg(test)]
    pub(super) fn reporter(&self) -> impl Fn() -> Report + use<> {
        let ways = self.ways.clone();
        move || ways.report()
    }

    /// What became of everything until now.
    pub(crate) fn report(&self) -> Report {
        self.ways.report()
    }
}

impl Ways {
    /// Says at the start, not with the first span, where nobody listens.
    async fn look(self: Arc<Self>) {
        let pipelines = [&self.traces, &self.logs]
            .into_iter()
            .flatten()
            .filter_map(|pipeline| pipeline.way.as_ref());
        for way in pipelines.chain(self.metrics.as_ref().and_then(|push| push.way.as_ref())) {
            way.look().await;
        }
    }

    async fn flush(self: Arc<Self>, deadline: Duration) {
        let until = Instant::now() + deadline;
        // One after the other in the code, side by side on the wire: each worker is woken before the first is waited for.
        let metrics = self.metrics.as_ref().map(|push| push.request());
        let flushing: Vec<_> = [&self.traces, &self.logs]
            .into_iter()
            .flatten()
            .map(Flushing::begin)
            .collect();
        for pipeline in flushing {
            let _ = timeout_at(until, pipeline.ended()).await;
        }
        if let (Some(push), Some(request)) = (&self.metrics, metrics) {
            let _ = timeout_at(until, push.answered(request)).await;
        }
    }

    fn close(&self) {
        for pipeline in [&self.traces, &self.logs].into_iter().flatten() {
            pipeline.queue.close();
            pipeline.closing.notify_waiters();
        }
    }

    fn stop(&self) {
        for pipeline in [&self.traces, &self.logs].into_iter().flatten() {
            if !pipeline.stopped.swap(true, SeqCst) {
                pipeline.stats.abandoned.add(pipeline.queue.len());
                pipeline.wake.notify_one();
                pipeline.drain_wake.notify_one();
            }
        }
        if let Some(push) = &self.metrics {
            push.stopped.store(true, SeqCst);
            push.wake.notify_one();
        }
    }

    fn report(&self) -> Report {
        let tally =
            |pipeline: &Option<Arc<Pipeline>>| pipeline.as_ref().map(|pipeline| pipeline.tally()).unwrap_or_default();
        Report {
            traces: tally(&self.traces),
            logs: tally(&self.logs),
            metrics: self
                .metrics
                .as_ref()
                .map(|push| push.account.tally(0))
                .unwrap_or_default(),
        }
    }
}

/// Counts of one signal of this exporter; the process's metrics are in `stats`.
#[derive(Debug, Default)]
struct Account {
    delivered: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
}

impl Account {
    fn tally(&self, pending: u64) -> Tally {
        Tally {
            delivered: self.delivered.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            pending,
            unheard: 0,
        }
    }

    fn accepted(&self, stats: &stats::Pipeline, way: &str, signal: Signal, accepted: &Accepted, count: u64) {
        let rejected = accepted.rejected.min(count);
        self.delivered.fetch_add(count - rejected, Relaxed);
        stats.exported.add(count - rejected);
        self.rejected.fetch_add(rejected, Relaxed);
        stats.rejected.add(rejected);
        if rejected > 0 {
            let (message, items) = (tame(&accepted.message), signal.items());
            say_once(
                Level::Warn,
                "rejected",
                format_args!("{way} rejected {rejected} of {count} {items}: {message}"),
            );
        } else if !accepted.message.is_empty() {
            let message = tame(&accepted.message);
            say_once(
                Level::Warn,
                "warned",
                format_args!("{way} took {} and said: {message}", signal.items()),
            );
        }
    }

    fn failed(&self, stats: &stats::Pipeline, signal: Signal, error: &SendError, count: u64) {
        if error.kind == Kind::TooLarge {
            self.dropped.fetch_add(count, Relaxed);
            stats.too_large.add(count);
        } else {
            self.rejected.fetch_add(count, Relaxed);
            stats.failed.add(count);
        }
        let items = signal.items();
        say_once(Level::Warn, "failed", format_args!("{count} {items} are lost: {error}"));
    }
}

fn stats_of(signal: Signal) -> &'static stats::Pipeline {
    match signal {
        Signal::Traces => &stats::SPANS,
        Signal::Metrics => &stats::POINTS,
        Signal::Logs => &stats::LOGS,
    }
}

/// A transport and what is known of its other end.
struct Way {
    transport: Arc<dyn Transport>,
    signal: Signal,
    /// The variable that gave the address; `None` for the default one.
    from: Option<&'static str>,
    /// `host:port`
    authority: String,
    /// The other end is away, and it was said.
    away: AtomicBool,
    was_away: AtomicBool,
}

impl Way {
    fn new(signal: Signal, otlp: &Otlp) -> Result<Self, String> {
        let component = match otlp.protocol {
            Protocol::HttpProtobuf => "otlp_http_exporter",
            Protocol::HttpJson => "otlp_http_json_exporter",
            Protocol::Grpc => "otlp_grpc_exporter",
        };
        stats_of(signal).target.set(component, &otlp.url.host, otlp.url.port);
        Ok(Self {
            transport: otlp::transport(otlp)?,
            signal,
            from: otlp.url_from,
            authority: otlp.url.authority(),
            away: AtomicBool::new(false),
            was_away: AtomicBool::new(false),
        })
    }

    /// Nobody named it, and nobody is there.
    fn is_unheard(&self) -> bool {
        self.from.is_none() && self.away.load(Relaxed)
    }

    /// Whether somebody listens; says so if not.
    async fn look(&self) {
        const MOST: Duration = Duration::from_secs(2);
        let message = match timeout(MOST, tokio::net::TcpStream::connect(&self.authority)).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => format!("{} can not be reached: {error}", self.transport.target()),
            Err(_) => format!("{} can not be reached within {MOST:?}", self.transport.target()),
        };
        self.is_away(&SendError {
            retry: Retry::Backoff,
            kind: Kind::Unreachable,
            message,
        });
    }

    async fn send(&self, body: Bytes, count: u64, most: Duration) -> Result<Accepted, SendError> {
        let stats = stats_of(self.signal);
        stats.requests.add(1);
        let sent = {
            let _in_flight = InFlight::new(&stats.in_flight, count);
            timeout(most, self.transport.send(self.signal, body, count)).await
        };
        let sent = sent.unwrap_or_else(|_| {
            Err(SendError {
                retry: Retry::Backoff,
                kind: Kind::Timeout,
                message: format!("{} did not answer within {most:?}", self.transport.target()),
            })
        });
        match &sent {
            Ok(_) => self.is_back(),
            Err(error) => {
                stats.failed_requests.add(1);
                if error.retry != Retry::Never {
                    self.is_away(error);
                }
            }
        }
        sent
    }

    fn is_back(&self) {
        if self.away.swap(false, Relaxed) && self.from.is_some() {
            say(
                Level::Info,
                format_args!("{} takes {} again", self.transport.target(), self.signal.as_str()),
            );
        }
    }

    fn is_away(&self, error: &SendError) {
        if self.away.swap(true, Relaxed) {
            return;
        }
        let (signal, target) = (self.signal.as_str(), self.transport.target());
        // Nobody asked for a collector, and there is none: that is no fault.
        if self.from.is_none() && error.kind == Kind::Unreachable {
            if !self.was_away.swap(true, Relaxed) {
                say(
                    Level::Info,
                    format_args!(
                        "no collector at {target}, the default for {signal}; they wait in a bounded queue. \
                         OTEL_EXPORTER_OTLP_ENDPOINT names another, OTEL_{}_EXPORTER=none stops it",
                        signal.to_uppercase()
                    ),
                );
            }
            return;
        }
        let level = if error.kind == Kind::Tls {
            Level::Error
        } else {
            Level::Warn
        };
        let cause = match self.signal {
            Signal::Traces => "away: traces",
            Signal::Metrics => "away: metrics",
            Signal::Logs => "away: logs",
        };
        let by = self
            .from
            .map(|variable| format!(" (set by {variable})"))
            .unwrap_or_default();
        say_once(level, cause, format_args!("{signal} wait: {error}{by}"));
    }
}

/// Counts items down again even if the request is dropped half way.
struct InFlight(&'static stats::Stat, u64);

impl InFlight {
    fn new(stat: &'static stats::Stat, count: u64) -> Self {
        stat.add(count);
        Self(stat, count)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.sub(self.1);
    }
}

/// Spans or log records on their way.
struct Pipeline {
    signal: Signal,
    way: Option<Way>,
    console: bool,
    queue: Queue,
    batch: Batch,
    resource: EncodedResource,
    stats: &'static stats::Pipeline,
    account: Account,
    /// Something for the worker: a full batch, a flush, the end.
    wake: Notify,
    /// Something for those who wait for a flush.
    progress: Notify,
    /// Items ever taken in, and ever settled.
    taken: AtomicU64,
    settled: AtomicU64,
    /// How many wait for a flush.
    flushing: AtomicU32,
    /// Attempts in a row, during a flush, in which nobody listened.
    refused: AtomicU32,
    stopped: AtomicBool,
    /// Where batches wait while the other end is away.
    spool: Option<Arc<Spool>>,
    /// Something for who empties the spool: a batch, a flush, the end.
    drain_wake: Notify,
    /// A batch of the spool is on its way.
    draining: AtomicBool,
    /// What the other end said to the last attempt: the spool waits for that first.
    hold: Mutex<Option<Retry>>,
    closing: Notify,
}

/// A flush gives up after this many refused attempts: nobody is there to wait for.
const REFUSALS: u32 = 2;

impl Pipeline {
    fn new(
        signal: Signal,
        way: Option<Way>,
        console: bool,
        batch: &Batch,
        resource: EncodedResource,
        spool: Option<Arc<Spool>>,
    ) -> Self {
        let queue = Queue::new(batch.queue, batch.size);
        let stats = stats_of(signal);
        stats.queue_capacity.set(queue.capacity());
        Self {
            signal,
            way,
            console,
            queue,
            batch: *batch,
            resource,
            stats,
            account: Account::default(),
            wake: Notify::new(),
            progress: Notify::new(),
            taken: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            flushing: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
            spool,
            drain_wake: Notify::new(),
            draining: AtomicBool::new(false),
            hold: Mutex::new(None),
            closing: Notify::new(),
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = self.account.tally(self.queue.len());
        if let Some(spool) = &self.spool {
            tally.pending += spool.pending(self.signal);
            tally.dropped += spool.lost(self.signal);
        }
        if tally.delivered == 0 && self.way.as_ref().is_some_and(Way::is_unheard) {
            tally.unheard = std::mem::take(&mut tally.pending) + std::mem::take(&mut tally.dropped);
        }
        tally
    }

    fn push(&self, bytes: Bytes, count: u64) {
        let taken = self.queue.push(Chunk { bytes, count });
        self.taken.fetch_add(taken, SeqCst);
        let dropped = count - taken;
        if dropped > 0 {
            self.account.dropped.fetch_add(dropped, Relaxed);
            if self.queue.is_closed() {
                self.stats.after_shutdown.add(dropped);
            } else {
                self.stats.queue_full.add(dropped);
                let items = self.signal.items();
                say_once(
                    Level::Warn,
                    "queue full",
                    format_args!(
                        "the queue of {} {items} is full; {dropped} of the newest were dropped and counted",
                        self.queue.capacity()
                    ),
                );
            }
        }
        self.stats.queue_size.set(self.queue.len());
        // Whoever pushes has gathered a batch, by size or by time: waiting again would double the delay.
        self.wake.notify_one();
    }

    async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        while !self.stopped.load(SeqCst) {
            if self.queue.waiting() == 0 {
                self.wake.notified().await;
            }
            while let Some(batch) = self.queue.take() {
                self.deliver(batch, &mut backoff).await;
                if self.stopped.load(SeqCst) {
                    return;
                }
            }
        }
    }

    /// Tries until the batch is settled, or the end comes: then it goes back.
    async fn deliver(&self, batch: Vec<Chunk>, backoff: &mut Backoff) {
        let count = batch.iter().map(|chunk| chunk.count).sum();
        let items: Vec<_> = batch.iter().map(|chunk| chunk.bytes.clone()).collect();
        let body = wire::request(&self.resource, &items);
        if self.console {
            self.print(body.clone()).await;
        }
        let Some(way) = &self.way else {
            self.account.delivered.fetch_add(count, Relaxed);
            self.settle(count);
            return;
        };
        self.stats.processed.add(count);
        // The oldest go first: behind a spool that is not empty everything queues up.
        if self.is_spooling() && self.store(&body, count).await {
            return;
        }
        loop {
            let answer = tokio::select! {
                answer = way.send(body.clone(), count, self.batch.export_timeout) => answer,
                cut = self.cut_short() => Err(cut),
            };
            let error = match answer {
                Ok(accepted) => {
                    let target = way.transport.target();
                    self.account
                        .accepted(self.stats, &target, self.signal, &accepted, count);
                    backoff.reset();
                    self.refused.store(0, SeqCst);
                    return self.settle(count);
                }
                Err(error) if error.retry == Retry::Never => {
                    self.account.failed(self.stats, self.signal, &error, count);
                    return self.settle(count);
                }
                Err(error) => error,
            };
            self.note_refusal(&error);
            *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.retry);
            if self.store(&body, count).await {
                return;
            }
            if !self.pause(error.retry, backoff, &self.wake).await {
                self.queue.put_back(batch);
                return;
            }
        }
    }

    fn note_refusal(&self, error: &SendError) {
        if error.kind == Kind::Unreachable {
            self.refused.fetch_add(1, SeqCst);
            self.progress.notify_waiters();
        }
    }

    /// Batches wait on disk, or one from there is on its way.
    fn is_spooling(&self) -> bool {
        let backlog = |spool: &Arc<Spool>| spool.backlog(self.signal) > 0 || self.draining.load(SeqCst);
        self.spool.as_ref().is_some_and(backlog)
    }

    /// Writes a batch to the spool; false when there is none, or none that works: then it waits in memory.
    async fn store(&self, body: &Bytes, count: u64) -> bool {
        let Some(spool) = self.spool.clone() else { return false };
        let (signal, body) = (self.signal, body.clone());
        let written = tokio::task::spawn_blocking(move || spool.write(signal, &body, count)).await;
        match written {
            Ok(Ok(())) => {
                self.settle(count);
                self.drain_wake.notify_one();
                true
            }
            Ok(Err(error)) => {
                say_once(
                    Level::Warn,
                    "spool",
                    format_args!("VITALSIGN_SPOOL_DIR: {error}; batches wait in memory until it can be written to"),
                );
                false
            }
            // The runtime ends.
            Err(_) => false,
        }
    }

    /// At the shutdown a request under way must not keep its batch from the spool.
    async fn cut_short(&self) -> SendError {
        const MOST: Duration = Duration::from_millis(300);
        if self.spool.is_none() {
            return std::future::pending().await;
        }
        let closing = self.closing.notified();
        tokio::pin!(closing);
        closing.as_mut().enable();
        if !self.queue.is_closed() {
            closing.await;
        }
        sleep(MOST).await;
        SendError {
            retry: Retry::Backoff,
            kind: Kind::Timeout,
            message: "the process ends".to_owned(),
        }
    }

    /// Sends what the spool holds, oldest first.
    async fn drain(self: Arc<Self>, spool: Arc<Spool>) {
        /// How often it is looked for what dead neighbours left.
        const ADOPT: Duration = Duration::from_secs(60);
        let Some(way) = &self.way else { return };
        let mut backoff = Backoff::new();
        while !self.stopped.load(SeqCst) {
            if spool.backlog(self.signal) == 0 {
                self.progress.notify_waiters();
                if timeout(ADOPT, self.drain_wake.notified()).await.is_err() && self.signal == Signal::Traces {
                    let spool = spool.clone();
                    let _ = tokio::task::spawn_blocking(move || spool.adopt()).await;
                }
                continue;
            }
            let hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(retry) = hold
                && !self.pause(retry, &mut backoff, &self.drain_wake).await
            {
                return;
            }
            self.draining.store(true, SeqCst);
            if let Err(retry) = self.drain_one(way, &spool).await {
                *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(retry);
            } else {
                backoff.reset();
            }
            self.draining.store(false, SeqCst);
        }
    }

    /// One batch of the spool. An error says when to try again.
    async fn drain_one(&self, way: &Way, spool: &Arc<Spool>) -> Result<(), Retry> {
        let (signal, reading) = (self.signal, spool.clone());
        let Ok(Some((entry, body))) = tokio::task::spawn_blocking(move || reading.take(signal)).await else {
            return Ok(());
        };
        let sent = way.send(body, entry.count, self.batch.export_timeout).await;
        match &sent {
            // What other processes recorded is in their account, not in ours.
            Ok(_) if entry.adopted => self.stats.exported.add(entry.count),
            Ok(accepted) => {
                let target = way.transport.target();
                self.account
                    .accepted(self.stats, &target, self.signal, accepted, entry.count);
            }
            Err(error) if error.retry == Retry::Never => {
                if !entry.adopted {
                    self.account.failed(self.stats, self.signal, error, entry.count);
                }
            }
            Err(error) => {
                self.note_refusal(error);
                spool.put_back(entry);
                return Err(error.retry);
            }
        }
        if sent.is_ok() {
            stats::SPOOL_SENT.add(1);
            self.refused.store(0, SeqCst);
        }
        let done = spool.clone();
        let _ = tokio::task::spawn_blocking(move || done.done(&entry)).await;
        Ok(())
    }

    /// Waits before the next attempt. A flush shortens our own back-off, never a wait that the receiver asked for.
    async fn pause(&self, retry: Retry, backoff: &mut Backoff, wake: &Notify) -> bool {
        const SOON: Duration = Duration::from_millis(100);
        let now = Instant::now();
        let (mut until, told) = match retry {
            Retry::After(wait) => (now + wait, true),
            _ => (now + backoff.wait(), false),
        };
        loop {
            if self.stopped.load(SeqCst) {
                return false;
            }
            if !told && self.flushing.load(SeqCst) > 0 {
                until = until.min(now + SOON);
            }
            tokio::select! {
                () = sleep_until(until) => return !self.stopped.load(SeqCst),
                () = wake.notified() => {}
            }
        }
    }

    fn settle(&self, count: u64) {
        self.queue.settle(count);
        self.settled.fetch_add(count, SeqCst);
        self.stats.queue_size.set(self.queue.len());
        self.progress.notify_waiters();
    }

    async fn print(&self, body: Bytes) {
        print(self.signal, body).await;
    }
}

/// Someone waits for all that was taken in before.
struct Flushing {
    pipeline: Arc<Pipeline>,
    until: u64,
}

impl Flushing {
    fn begin(pipeline: &Arc<Pipeline>) -> Self {
        pipeline.refused.store(0, SeqCst);
        pipeline.flushing.fetch_add(1, SeqCst);
        pipeline.wake.notify_one();
        pipeline.drain_wake.notify_one();
        Self {
            until: pipeline.taken.load(SeqCst),
            pipeline: pipeline.clone(),
        }
    }

    async fn ended(self) {
        let p = &self.pipeline;
        loop {
            let progress = p.progress.notified();
            tokio::pin!(progress);
            // From here on no progress is missed.
            progress.as_mut().enable();
            let all = p.settled.load(SeqCst) >= self.until;
            if all && !p.is_spooling() {
                return;
            }
            // Nobody is there to wait for; what can be spooled is.
            if p.refused.load(SeqCst) >= REFUSALS && (all || p.spool.is_none()) {
                return;
            }
            progress.await;
        }
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        self.pipeline.flushing.fetch_sub(1, SeqCst);
    }
}

/// Writes a request to standard output as a line of OTLP/JSON, off this thread: a terminal may be stopped.
async fn print(signal: Signal, body: Bytes) {
    let write = move || {
        use std::io::Write;
        if let Ok(mut line) = json::text(signal, &body) {
            line.push('\n');
            // A closed standard output is nobody's concern here.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
    };
    let _ = tokio::task::spawn_blocking(write).await;
}

/// The metrics on their way, at intervals.
struct Push {
    way: Option<Way>,
    console: bool,
    resource: EncodedResource,
    gather: Gather,
    encoder: MetricEncoder,
    interval: Duration,
    timeout: Duration,
    account: Account,
    wake: Notify,
    progress: Notify,
    requested: AtomicU64,
    answered: AtomicU64,
    stopped: AtomicBool,
}

impl Push {
    fn new(config: &Config, resource: EncodedResource, gather: Gather) -> Result<Option<Self>, String> {
        let metrics = &config.metrics;
        if config.disabled || (metrics.otlp.is_none() && !metrics.console) {
            return Ok(None);
        }
        let way = metrics
            .otlp
            .as_ref()
            .map(|otlp| Way::new(Signal::Metrics, otlp))
            .transpose()?;
        Ok(Some(Self {
            way,
            console: metrics.console,
            resource,
            gather,
            encoder: MetricEncoder::new(metrics.temporality),
            interval: metrics.interval,
            timeout: metrics.timeout,
            account: Account::default(),
            wake: Notify::new(),
            progress: Notify::new(),
            requested: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Asks for a push now; the number is for `answered`.
    fn request(&self) -> u64 {
        let request = self.requested.fetch_add(1, SeqCst) + 1;
        self.wake.notify_one();
        request
    }

    async fn answered(&self, request: u64) {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.answered.load(SeqCst) >= request {
                return;
            }
            progress.await;
        }
    }

    async fn run(self: Arc<Self>) {
        let mut next = Instant::now() + self.interval;
        let mut not_before = Instant::now();
        loop {
            if self.requested.load(SeqCst) == self.answered.load(SeqCst) {
                let _ = timeout_at(next, self.wake.notified()).await;
            }
            if self.stopped.load(SeqCst) {
                return;
            }
            let requests = self.requested.load(SeqCst);
            let asked = requests > self.answered.load(SeqCst);
            let now = Instant::now();
            if !asked && now < next {
                continue;
            }
            if now >= next {
                next = now + self.interval;
            }
            sleep_until(not_before).await;
            if let Some(wait) = self.push(asked).await {
                not_before = Instant::now() + wait;
            }
            self.answered.store(requests, SeqCst);
            self.progress.notify_waiters();
        }
    }

    /// Gathers and sends, within the time-out. Returns how long the receiver wants to be left alone.
    async fn push(&self, asked: bool) -> Option<Duration> {
        // Callbacks of the user run in there.
        let families = as_ours(|| catch_unwind(AssertUnwindSafe(|| (self.gather)()))).unwrap_or_default();
        let Encoded { bytes, count, state } = self.encoder.encode(&families);
        if count == 0 {
            return None;
        }
        let body = wire::request(&self.resource, &[wire::in_scope(&bytes)]);
        if self.console {
            print(Signal::Metrics, body.clone()).await;
        }
        let stats = stats_of(Signal::Metrics);
        let Some(way) = &self.way else {
            self.account.delivered.fetch_add(count, Relaxed);
            self.encoder.commit(state);
            return None;
        };
        let until = Instant::now() + self.timeout.min(self.interval);
        let mut backoff = Backoff::new();
        let mut refused = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let error = match way.send(body.clone(), count, left).await {
                Ok(accepted) => {
                    let target = way.transport.target();
                    self.account.accepted(stats, &target, Signal::Metrics, &accepted, count);
                    self.encoder.commit(state);
                    return None;
                }
                Err(error) => error,
            };
            refused += u32::from(error.kind == Kind::Unreachable);
            let told = matches!(error.retry, Retry::After(_));
            let wait = match error.retry {
                Retry::Never => {
                    self.account.failed(stats, Signal::Metrics, &error, count);
                    return None;
                }
                Retry::After(wait) => wait,
                Retry::Backoff => backoff.wait(),
            };
            let next = Instant::now() + wait;
            if next >= until || (asked && refused >= REFUSALS) || self.stopped.load(SeqCst) {
                // The next push tells the same, newer: nothing is kept of this one.
                self.account.dropped.fetch_add(count, Relaxed);
                stats.abandoned.add(count);
                return told.then_some(wait);
            }
            sleep_until(next).await;
        }
    }
}
