//! What waits on disk while the other end is away, and who sends it when it is back: oldest first.

use super::diag::{Level, say_once};
use super::durations;
use super::endpoint::Endpoint;
use super::outlet::Outlet;
use super::retry::Backoff;
use super::spool::{Entry, Spool};
use super::stats;
use super::transport::{Kind, Retry, SendError, Signal};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

pub(super) struct Backlog {
    outlet: Arc<Outlet>,
    spool: Arc<Spool>,
    /// Something to do: a batch, a flush, the end.
    pub(super) wake: Notify,
    /// A batch from the disk is on its way.
    sending: AtomicBool,
    /// What the other end said to the last attempt: the next one waits for that first.
    hold: Mutex<Option<Retry>>,
}

impl Backlog {
    pub(super) fn new(outlet: Arc<Outlet>, spool: Arc<Spool>) -> Self {
        Self {
            outlet,
            spool,
            wake: Notify::new(),
            sending: AtomicBool::new(false),
            hold: Mutex::new(None),
        }
    }

    /// Items of this process that wait, and those that were lost there.
    pub(super) fn pending_and_lost(&self) -> (u64, u64) {
        let signal = self.outlet.signal;
        (self.spool.pending(signal), self.spool.lost(signal))
    }

    /// Batches wait, or one is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.spool.backlog(self.outlet.signal) > 0 || self.sending.load(SeqCst)
    }

    /// The next attempt waits for this first.
    pub(super) fn hold(&self, retry: Retry) {
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(retry);
    }

    fn take_hold(&self) -> Option<Retry> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Writes a batch behind all others. False when the disk does not take it: then it waits in memory.
    pub(super) async fn store(&self, body: &Bytes, count: u64) -> bool {
        let (spool, signal, body) = (self.spool.clone(), self.outlet.signal, body.clone());
        match tokio::task::spawn_blocking(move || spool.write(signal, &body, count)).await {
            Ok(Ok(())) => {
                self.wake.notify_one();
                true
            }
            Ok(Err(error)) => {
                say_once(
                    Level::Warn,
                    ("spool", signal.as_str()),
                    format_args!("VITALSIGN_SPOOL_DIR: {error}; batches wait in memory until it can be written to"),
                );
                false
            }
            // The runtime ends.
            Err(_) => false,
        }
    }

    /// At the shutdown a request under way must not keep its batch from the disk.
    pub(super) async fn cut_short(&self) -> SendError {
        const MOST: Duration = Duration::from_millis(300);
        self.outlet.closed().await;
        sleep(MOST).await;
        SendError {
            retry: Retry::Backoff,
            kind: Kind::Timeout,
            message: "the process ends".to_owned(),
        }
    }

    /// Sends what waits, until the end.
    pub(super) async fn run(self: Arc<Self>) {
        let Some(endpoint) = &self.outlet.endpoint else { return };
        let mut backoff = Backoff::new();
        // When the first attempt at the oldest batch began.
        let mut began = None;
        while !self.outlet.is_stopped() {
            if self.spool.backlog(self.outlet.signal) == 0 {
                self.idle().await;
                continue;
            }
            if let Some(retry) = self.take_hold()
                && !self.outlet.pause(retry, &mut backoff, &self.wake).await
            {
                return;
            }
            self.sending.store(true, SeqCst);
            let began_at = *began.get_or_insert_with(Instant::now);
            match self.send_oldest(endpoint, began_at).await {
                Ok(()) => {
                    backoff.reset();
                    began = None;
                }
                Err(retry) => self.hold(retry),
            }
            self.sending.store(false, SeqCst);
        }
    }

    /// Nothing waits: until something does, or a dead neighbour may have left something.
    async fn idle(&self) {
        const ADOPT: Duration = Duration::from_secs(60);
        self.outlet.progress.notify_waiters();
        let quiet = timeout(ADOPT, self.wake.notified()).await.is_err();
        if quiet && self.outlet.signal == Signal::Traces {
            let spool = self.spool.clone();
            let _ = tokio::task::spawn_blocking(move || spool.adopt()).await;
        }
    }

    /// An error says when to try again.
    async fn send_oldest(&self, endpoint: &Endpoint, began: Instant) -> Result<(), Retry> {
        let (signal, spool) = (self.outlet.signal, self.spool.clone());
        let Ok(Some((entry, body))) = tokio::task::spawn_blocking(move || spool.take(signal)).await else {
            return Ok(());
        };
        match self.outlet.send(endpoint, body, entry.count).await {
            Ok(accepted) => {
                stats::SPOOL_SENT.add(1);
                durations::export(signal, began.elapsed(), accepted.outcome());
                // What other processes recorded is in their account, not in ours.
                if entry.adopted {
                    self.outlet.stats.exported.add(entry.count);
                } else {
                    let target = endpoint.target();
                    self.outlet.account.accepted(&target, signal, &accepted, entry.count);
                }
            }
            Err(error) if error.retry == Retry::Never => {
                durations::export(signal, began.elapsed(), Some(error.kind.into()));
                if !entry.adopted {
                    self.outlet.account.failed(signal, &error, entry.count);
                }
            }
            Err(error) => {
                self.spool.put_back(entry);
                return Err(error.retry);
            }
        }
        self.done(entry).await;
        Ok(())
    }

    async fn done(&self, entry: Entry) {
        let spool = self.spool.clone();
        let _ = tokio::task::spawn_blocking(move || spool.done(&entry)).await;
    }
}
