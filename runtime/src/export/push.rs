//! The metrics on their way, at intervals: in one request, or in several where one would be larger than receivers take.
//!
//! A push that fails is not kept: the next one tells the same, newer. With delta temporality too, because what the receiver
//! did not take stays in the next difference. Only the last push of a process has no next one: where there is a spool, it goes
//! there.

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
    /// Where the last push waits for the next process.
    pub(super) backlog: Option<Arc<Backlog>>,
}

/// What became of one part of a push that concerns those behind it.
enum Ended {
    GaveUp(GaveUp),
    /// It is on disk meanwhile, and was of the last push.
    OnDisk,
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
            backlog: spool.map(|spool| Arc::new(Backlog::new(outlet.clone(), spool))),
            outlet,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let (pending, lost) = self
            .backlog
            .as_ref()
            .map_or((0, 0), |backlog| backlog.pending_and_lost());
        let mut tally = self.outlet.account.tally(pending);
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
                let _ = timeout_at(next, self.wake.notified()).await;
            }
            if self.outlet.is_stopped() {
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
            self.outlet.progress.notify_waiters();
        }
    }

    /// Gathers and sends, within the time-out. Returns how long the receiver wants to be left alone.
    async fn push(self: &Arc<Self>, asked: bool) -> Option<Duration> {
        let until = Instant::now() + self.timeout;
        let mut encoded = self.collect().await?;
        let mut ended = None;
        for part in &mut encoded.parts {
            let body = wire::request(&self.resource, &part.scopes);
            self.outlet.print(&body).await;
            if self.outlet.endpoint.is_none() {
                self.outlet.account.delivered.fetch_add(part.count, Relaxed);
                part.delivered = true;
                continue;
            }
            match &ended {
                // Who does not take one part now takes no other.
                Some(Ended::GaveUp(gave_up)) => self.give_up(&gave_up.error, &body, part.count).await,
                Some(Ended::OnDisk) => self.store_or_drop(&body, part.count).await,
                None => {
                    let began = Instant::now();
                    let outcome = match self.send(&body, part.count, asked, until).await {
                        Ok(Some(accepted)) => {
                            self.outlet.accepted(&accepted, part.count);
                            part.delivered = true;
                            accepted.outcome()
                        }
                        Ok(None) => {
                            ended = Some(Ended::OnDisk);
                            continue;
                        }
                        Err(gave_up) => {
                            self.give_up(&gave_up.error, &body, part.count).await;
                            let failure = gave_up.error.kind.into();
                            if gave_up.error.retry != Retry::Never {
                                ended = Some(Ended::GaveUp(gave_up));
                            }
                            Some(failure)
                        }
                    };
                    durations::export(Signal::Metrics, began.elapsed(), outcome);
                }
            }
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

    /// `None` when it is on disk meanwhile.
    async fn send(&self, body: &Bytes, count: u64, asked: bool, until: Instant) -> Result<Option<Accepted>, GaveUp> {
        let (mut backoff, mut refused) = (Backoff::new(), 0);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let error = match self.attempt(body, count, left).await {
                None => return Ok(None),
                Some(Ok(accepted)) => return Ok(Some(accepted)),
                Some(Err(error)) => error,
            };
            refused += u32::from(error.kind == Kind::Unreachable);
            let (wait, told) = match error.retry {
                Retry::Never => return Err(GaveUp { wait: None, error }),
                Retry::After(wait) => (wait, Some(wait)),
                Retry::Backoff => (backoff.wait(), None),
            };
            let next = Instant::now() + wait;
            let away = asked && refused >= REFUSALS;
            if next >= until || away || self.outlet.is_stopped() {
                return Err(GaveUp { wait: told, error });
            }
            sleep_until(next).await;
        }
    }

    async fn attempt(&self, body: &Bytes, count: u64, most: Duration) -> Option<Result<Accepted, SendError>> {
        match &self.backlog {
            Some(backlog) => backlog.send(body, count, most, std::future::pending()).await,
            None => Some(self.outlet.send(body.clone(), count, most).await),
        }
    }

    async fn give_up(&self, error: &SendError, body: &Bytes, count: u64) {
        if error.retry == Retry::Never {
            return self.outlet.account.failed(Signal::Metrics, error, count);
        }
        self.store_or_drop(body, count).await;
    }

    /// The last push waits on disk for the next process, where there is a spool.
    async fn store_or_drop(&self, body: &Bytes, count: u64) {
        let last = self.closing.load(SeqCst);
        if let Some(backlog) = self.backlog.as_ref().filter(|_| last)
            && backlog.store(body, count).await
        {
            return;
        }
        self.outlet.account.dropped.fetch_add(count, Relaxed);
        self.outlet.stats.abandoned.add(count);
    }
}
