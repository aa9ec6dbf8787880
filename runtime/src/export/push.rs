//! The metrics on their way, at intervals: in one request, or in several where one would be larger than receivers take.
//!
//! A push that fails is not kept: the next one tells the same, newer. With delta temporality too, because what the receiver
//! did not take stays in the next difference. Only the last push of a process has no next one: where there is a spool, it goes
//! there, without further attempts.

use super::account::Tally;
use super::background::as_ours;
use super::backlog::Backlog;
use super::diag::{Level, say_once};
use super::durations;
use super::endpoint::Endpoint;
use super::otlp::points::{Encoded, MetricEncoder};
use super::otlp::wire::{self, EncodedResource};
use super::outlet::{Outlet, REFUSALS};
use super::retry::Backoff;
use super::snapshot::Family;
use super::spool::Spool;
use super::transport::{Accepted, Kind, Retry, SendError, Signal};
use crate::config::env::Metrics;
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// Gathers the metrics for a push.
pub(crate) type Gather = Arc<dyn Fn() -> Vec<Family> + Send + Sync>;

pub(super) struct Push {
    pub(super) outlet: Arc<Outlet>,
    resource: EncodedResource,
    gather: Gather,
    encoder: MetricEncoder,
    interval: Duration,
    timeout: Duration,
    wake: Notify,
    requested: AtomicU64,
    answered: AtomicU64,
    closing: AtomicBool,
    /// One gathers at a time.
    gathering: Arc<Semaphore>,
    /// Points of the push under way of which it is not known yet what becomes of them.
    under_way: AtomicU64,
    /// How many the last one had, for one whose points nobody has counted.
    usual: AtomicU64,
    /// Where the last push waits for the next process.
    pub(super) backlog: Option<Arc<Backlog>>,
}

/// What became of one part of a push that concerns those behind it.
enum Ended {
    GaveUp(GaveUp),
    /// It is on disk meanwhile.
    OnDisk,
    /// The process ends, and its last push, which is to come, tells the same.
    Superseded,
}

/// How a push ended that was not taken.
struct GaveUp {
    /// How long the receiver wants to be left alone.
    wait: Option<Duration>,
    error: SendError,
}

impl Push {
    pub(super) fn new(
        metrics: &Metrics,
        endpoint: Option<Endpoint>,
        resource: EncodedResource,
        gather: Gather,
        spool: Option<Arc<Spool>>,
    ) -> Self {
        let timeout = metrics.timeout.min(metrics.interval);
        let outlet = Arc::new(Outlet::new(Signal::Metrics, endpoint, metrics.console, timeout));
        Self {
            resource,
            gather,
            encoder: MetricEncoder::new(metrics.temporality),
            interval: metrics.interval,
            timeout,
            wake: Notify::new(),
            requested: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            gathering: Arc::new(Semaphore::new(1)),
            under_way: AtomicU64::new(0),
            usual: AtomicU64::new(1),
            backlog: spool.map(|spool| Arc::new(Backlog::new(outlet.clone(), spool))),
            outlet,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let (pending, lost) = self
            .backlog
            .as_ref()
            .map_or((0, 0), |backlog| backlog.pending_and_lost());
        let mut tally = self.outlet.account.tally(pending + self.under_way.load(SeqCst));
        tally.dropped += lost;
        tally
    }

    /// Asks for a push now; the number is for `answered`.
    pub(super) fn request(&self) -> u64 {
        let request = self.requested.fetch_add(1, SeqCst) + 1;
        self.wake.notify_one();
        request
    }

    pub(super) async fn answered(&self, request: u64) {
        loop {
            let progress = self.outlet.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.answered.load(SeqCst) >= request {
                return;
            }
            progress.await;
        }
    }

    /// The next push is the last.
    pub(super) fn close(&self) {
        self.closing.store(true, SeqCst);
        self.outlet.close();
    }

    pub(super) fn stop(&self) {
        self.outlet.stop();
        self.wake.notify_one();
        self.backlog.iter().for_each(|backlog| backlog.leave());
    }

    pub(super) async fn run(self: Arc<Self>) {
        let mut next = Instant::now() + self.interval;
        let mut not_before = Instant::now();
        loop {
            if self.requested.load(SeqCst) == self.answered.load(SeqCst) {
                let woken = self.wake.notified();
                if self.closing.load(SeqCst) {
                    woken.await;
                } else {
                    let _ = timeout_at(next, woken).await;
                }
            }
            if self.outlet.is_stopped() {
                return;
            }
            let requests = self.requested.load(SeqCst);
            let asked = requests > self.answered.load(SeqCst);
            let now = Instant::now();
            // Behind the last one, which is asked for, there is none.
            if !asked && (now < next || self.closing.load(SeqCst)) {
                continue;
            }
            if now >= next {
                next = now + self.interval;
            }
            self.under_way.store(self.usual.load(Relaxed), SeqCst);
            let left_alone = self.left_alone(not_before).await;
            if let Some(wait) = self.push(asked, left_alone).await {
                not_before = Instant::now() + wait;
            }
            self.under_way.store(0, SeqCst);
            self.answered.store(requests, SeqCst);
            self.outlet.progress.notify_waiters();
        }
    }

    /// Waits as long as the receiver asked for. True where the last push would have to: what it tells goes to the spool, which waits.
    async fn left_alone(&self, not_before: Instant) -> bool {
        let Some(backlog) = &self.backlog else {
            sleep_until(not_before).await;
            return false;
        };
        tokio::select! {
            () = sleep_until(not_before) => return false,
            () = self.outlet.closed() => {}
        }
        let rest = not_before.saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            backlog.hold(Retry::After(rest));
        }
        !rest.is_zero()
    }

    /// Gathers and sends, within the time-out; with `left_alone` nothing is sent. Returns how long the receiver wants to be left alone.
    async fn push(self: &Arc<Self>, asked: bool, left_alone: bool) -> Option<Duration> {
        let last = self.closing.load(SeqCst);
        let until = Instant::now() + self.timeout;
        let Some(mut encoded) = self.collect().await else {
            self.dropped(self.usual.load(Relaxed));
            return None;
        };
        let points = encoded.parts.iter().map(|part| part.count).sum();
        self.usual.store(u64::max(points, 1), Relaxed);
        self.under_way.store(points, SeqCst);
        let mut ended = left_alone.then_some(Ended::OnDisk);
        for part in &mut encoded.parts {
            let body = wire::request(&self.resource, &part.scopes);
            self.outlet.print(&body).await;
            if self.outlet.endpoint.is_none() {
                self.outlet.account.delivered.fetch_add(part.count, Relaxed);
                part.delivered = true;
                self.under_way.fetch_sub(part.count, SeqCst);
                continue;
            }
            // What is on the disk is told, too: with delta temporality it is in no later difference.
            part.delivered = match &ended {
                // Who does not take one part now takes no other.
                Some(Ended::GaveUp(gave_up)) => self.give_up(&gave_up.error, &body, part.count, last).await,
                Some(Ended::OnDisk) => self.store_or_drop(&body, part.count, last).await,
                Some(Ended::Superseded) => false,
                None => {
                    let began = Instant::now();
                    let (told, outcome) = match self.send(&body, part.count, asked, last, until).await {
                        Ok(Some(accepted)) => {
                            self.outlet.accepted(&accepted, part.count);
                            (true, Some(accepted.outcome()))
                        }
                        Ok(None) => {
                            ended = Some(if last { Ended::OnDisk } else { Ended::Superseded });
                            (true, None)
                        }
                        Err(None) => {
                            ended = Some(Ended::Superseded);
                            (false, None)
                        }
                        Err(Some(gave_up)) => {
                            let stored = self.give_up(&gave_up.error, &body, part.count, last).await;
                            let failure = gave_up.error.kind.into();
                            if gave_up.error.retry != Retry::Never {
                                ended = Some(Ended::GaveUp(gave_up));
                            }
                            (stored, Some(Some(failure)))
                        }
                    };
                    if let Some(outcome) = outcome {
                        durations::export(Signal::Metrics, began.elapsed(), outcome);
                    }
                    told
                }
            };
            self.under_way.fetch_sub(part.count, SeqCst);
        }
        self.encoder.commit(encoded);
        match ended {
            Some(Ended::GaveUp(gave_up)) => gave_up.wait,
            _ => None,
        }
    }

    /// Off this thread, which has everything else to do: callbacks of the user run in there. `None` where one panics, or hangs.
    async fn collect(self: &Arc<Self>) -> Option<Encoded> {
        let slow = || {
            say_once(
                Level::Warn,
                ("metrics", "gathering"),
                format_args!(
                    "metrics are not pushed: gathering them takes longer than {:?}; a callback hangs",
                    self.timeout
                ),
            );
        };
        let began = Instant::now();
        let Ok(place) = self.gathering.clone().try_acquire_owned() else {
            // That of the last push has not ended.
            slow();
            return None;
        };
        let push = self.clone();
        let gathering = tokio::task::spawn_blocking(move || {
            let _place = place;
            let gather = || push.encoder.encode(&(push.gather)());
            as_ours(|| catch_unwind(AssertUnwindSafe(gather))).ok()
        });
        let gathered = timeout(self.timeout, gathering).await;
        let failure = match &gathered {
            Ok(Ok(Some(_))) => None,
            Ok(_) => Some("panic"),
            Err(_) => Some("timeout"),
        };
        durations::collection(began.elapsed(), failure);
        if gathered.is_err() {
            slow();
        }
        gathered.ok()?.ok()?
    }

    /// `Ok(None)` when it is on disk meanwhile, `Err(None)` when the last push is to come, which the disk is for.
    async fn send(
        &self,
        body: &Bytes,
        count: u64,
        asked: bool,
        last: bool,
        until: Instant,
    ) -> Result<Option<Accepted>, Option<GaveUp>> {
        let (mut backoff, mut refused) = (Backoff::new(), 0);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let error = match self.attempt(body, count, left).await {
                None => return Ok(None),
                Some(Ok(accepted)) => return Ok(Some(accepted)),
                Some(Err(error)) => error,
            };
            refused += u32::from(error.kind == Kind::Unreachable);
            let told = match error.retry {
                Retry::Never => return Err(Some(GaveUp { wait: None, error })),
                Retry::After(wait) => Some(wait),
                Retry::Backoff => None,
            };
            let next = Instant::now() + backoff.wait().max(told.unwrap_or_default());
            let away = asked && refused >= REFUSALS;
            let sheltered = last && self.backlog.is_some();
            if next >= until || away || sheltered || self.outlet.is_stopped() {
                return Err(Some(GaveUp { wait: told, error }));
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.outlet.closed(), if self.backlog.is_some() => return Err(None),
            }
        }
    }

    async fn attempt(&self, body: &Bytes, count: u64, most: Duration) -> Option<Result<Accepted, SendError>> {
        match &self.backlog {
            Some(backlog) => backlog.send(body, count, most, std::future::pending()).await,
            None => Some(self.outlet.send(body.clone(), count, most).await),
        }
    }

    /// True where it is on disk.
    async fn give_up(&self, error: &SendError, body: &Bytes, count: u64, last: bool) -> bool {
        if error.retry == Retry::Never {
            self.outlet.account.failed(Signal::Metrics, error, count);
            return false;
        }
        if let Some(backlog) = self.backlog.as_ref().filter(|_| last) {
            backlog.hold(error.retry);
        }
        self.store_or_drop(body, count, last).await
    }

    /// The last push waits on disk for the next process, where there is a spool: then it is true.
    async fn store_or_drop(&self, body: &Bytes, count: u64, last: bool) -> bool {
        let stored = match self.backlog.as_ref().filter(|_| last) {
            Some(backlog) => backlog.store(body, count).await,
            None => false,
        };
        if !stored {
            self.dropped(count);
        }
        stored
    }

    fn dropped(&self, points: u64) {
        self.outlet.account.dropped.fetch_add(points, Relaxed);
        self.outlet.stats.abandoned.add(points);
    }
}
