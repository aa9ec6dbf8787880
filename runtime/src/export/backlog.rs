//! What waits on disk while the other end is away, and who sends it when it is back: oldest first.

use super::account::Account;
use super::background::Ours;
use super::diag::{Level, say_once};
use super::durations;
use super::outlet::Outlet;
use super::retry::Backoff;
use super::spool::{Entry, Spool};
use super::stage::{Put, Stage};
use super::stats;
use super::transport::{Accepted, Retry, SendError};
use bytes::Bytes;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

pub(super) struct Backlog {
    outlet: Arc<Outlet>,
    spool: Arc<Spool>,
    /// What is on its way to the spool.
    stage: Stage,
    /// Something to do: a batch, a flush, the end.
    pub(super) wake: Notify,
    /// Who sends has it: there is one request at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What the other end said to the last attempt: the next one waits for that first.
    hold: Mutex<Option<Retry>>,
}

impl Backlog {
    pub(super) fn new(outlet: Arc<Outlet>, spool: Arc<Spool>) -> Self {
        Self {
            outlet,
            spool,
            stage: Stage::default(),
            wake: Notify::new(),
            turn: Arc::default(),
            hold: Mutex::new(None),
        }
    }

    /// Items of this process that wait, and those that were lost there.
    pub(super) fn pending_and_lost(&self) -> (u64, u64) {
        let signal = self.outlet.signal;
        let pending = self.spool.pending(signal, || self.stage.items());
        (pending, self.spool.lost(signal))
    }

    /// Nothing more will come.
    pub(super) fn leave(&self) {
        self.wake.notify_one();
        self.stage.wake.notify_one();
        if self.stage.items() == 0 {
            self.spool.leave();
        }
    }

    /// Batches wait, or one is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.spool.backlog(self.outlet.signal) > 0 || self.stage.items() > 0 || self.turn.try_lock().is_err()
    }

    /// Whatever can be on disk is.
    pub(super) fn is_settled(&self) -> bool {
        self.stage.is_settled()
    }

    /// The next attempt waits for this first.
    pub(super) fn hold(&self, retry: Retry) {
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(retry);
    }

    fn take_hold(&self) -> Option<Retry> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Puts a batch behind all others, on its way to the disk. False when the disk takes none: then it waits in memory.
    pub(super) async fn put(&self, body: &Bytes, count: u64) -> bool {
        self.stage.put(body, count).await
    }

    /// The same, if that takes no waiting.
    pub(super) fn try_put(&self, body: &Bytes, count: u64) -> bool {
        self.stage.try_put(body, count) == Put::Taken
    }

    /// Writes a batch behind all others, now.
    pub(super) async fn store(&self, body: &Bytes, count: u64) -> bool {
        self.write(body, count, || {}).await
    }

    async fn write(&self, body: &Bytes, count: u64, written: impl FnOnce() + Send + 'static) -> bool {
        let (spool, signal, body) = (self.spool.clone(), self.outlet.signal, body.clone());
        match tokio::task::spawn_blocking(move || spool.write(signal, &body, count, written)).await {
            Ok(Ok(())) => {
                self.wake.notify_one();
                true
            }
            Ok(Err(error)) => {
                self.say(&error);
                false
            }
            // The runtime ends.
            Err(_) => false,
        }
    }

    /// Brings to the disk what is on its way there, until the end.
    pub(super) async fn run_writer(self: Arc<Self>) {
        const AGAIN: Duration = Duration::from_secs(1);
        while !self.outlet.is_stopped() {
            let Some(batch) = self.stage.begin() else {
                self.stage.wake.notified().await;
                continue;
            };
            let (backlog, count) = (self.clone(), batch.count);
            let written = self
                .write(&batch.body, count, move || backlog.stage.written(count))
                .await;
            if written {
                self.outlet.progress.notify_waiters();
                continue;
            }
            self.stage.refused(batch);
            self.wake.notify_one();
            self.outlet.progress.notify_waiters();
            sleep(AGAIN).await;
            self.stage.again();
        }
    }

    /// One attempt. Where it has not ended when there is no more time to wait for it, its batch is written to the disk and whoever
    /// called is free: `None`. Nothing is cut off half way, so nothing is sent twice for that.
    pub(super) async fn send(
        self: &Arc<Self>,
        body: &Bytes,
        count: u64,
        most: Duration,
        no_time: impl Future<Output = ()>,
    ) -> Option<Result<Accepted, SendError>> {
        let began = Instant::now();
        let turn = self.turn.clone().lock_owned().await;
        let (outlet, sent) = (self.outlet.clone(), body.clone());
        let mut attempt = Box::pin(async move { outlet.send(sent, count, most).await });
        tokio::select! {
            answer = &mut attempt => return Some(answer),
            () = no_time => {}
            () = self.ending() => {}
        }
        let Some(entry) = self.shelter(body, count).await else {
            return Some(attempt.await);
        };
        let backlog = self.clone();
        tokio::spawn(Ours::new(async move {
            let answer = attempt.await;
            if let Err(retry) = backlog.conclude(entry, answer, began).await {
                backlog.hold(retry);
            }
            drop(turn);
            backlog.wake.notify_one();
        }));
        None
    }

    /// At the shutdown a request under way must not keep its batch, and those behind it, from the disk.
    async fn ending(&self) {
        const MOST: Duration = Duration::from_millis(300);
        self.outlet.closed().await;
        sleep(MOST).await;
    }

    async fn shelter(&self, body: &Bytes, count: u64) -> Option<Entry> {
        let (spool, signal, body) = (self.spool.clone(), self.outlet.signal, body.clone());
        let written = tokio::task::spawn_blocking(move || spool.write_taken(signal, &body, count)).await;
        written.ok()?.inspect_err(|error| self.say(error)).ok()
    }

    fn say(&self, error: &io::Error) {
        let mend = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "free some of it, name a folder on another disk, or set VITALSIGN_SPOOL_MAX_BYTES to what there is"
            }
            io::ErrorKind::FileTooLarge => {
                "what is larger than VITALSIGN_SPOOL_MAX_BYTES or the process's own limit stays here"
            }
            _ => "look at the disk, or name a folder on another",
        };
        say_once(
            Level::Warn,
            ("spool", self.outlet.signal.as_str()),
            format_args!("VITALSIGN_SPOOL_DIR: {error}; batches wait in memory until it can be written to: {mend}"),
        );
    }

    /// Sends what waits, until the end.
    pub(super) async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        // When the first attempt at the oldest batch began.
        let mut began = None;
        while !self.outlet.is_stopped() {
            if self.spool.backlog(self.outlet.signal) == 0 && !self.stage.has_refused() {
                self.idle().await;
                continue;
            }
            if let Some(retry) = self.take_hold()
                && !self.outlet.pause(retry, &mut backoff, &self.wake).await
            {
                return;
            }
            let turn = self.turn.lock().await;
            let began_at = *began.get_or_insert_with(Instant::now);
            match self.send_oldest(began_at).await {
                Ok(()) => {
                    backoff.reset();
                    began = None;
                }
                Err(retry) => self.hold(retry),
            }
            drop(turn);
        }
    }

    /// Nothing waits: until something does, or a dead neighbour may have left something.
    async fn idle(&self) {
        const ADOPT: Duration = Duration::from_secs(60);
        self.outlet.progress.notify_waiters();
        let quiet = timeout(ADOPT, self.wake.notified()).await.is_err();
        if quiet {
            let spool = self.spool.clone();
            let _ = tokio::task::spawn_blocking(move || spool.adopt()).await;
        }
    }

    /// An error says when to try again.
    async fn send_oldest(&self, began: Instant) -> Result<(), Retry> {
        let (signal, spool) = (self.outlet.signal, self.spool.clone());
        let taken = tokio::task::spawn_blocking(move || spool.take(signal)).await;
        let most = self.outlet.timeout;
        match taken {
            Ok(Ok(Some((entry, body)))) => {
                let answer = self.outlet.send(body, entry.count, most).await;
                self.conclude(entry, answer, began).await
            }
            Ok(Ok(None)) => {
                let Some(batch) = self.stage.take_refused() else {
                    return Ok(());
                };
                let answer = self.outlet.send(batch.body.clone(), batch.count, most).await;
                let settled = self.settle(answer, batch.count, began);
                if settled.is_err() {
                    self.stage.put_back(batch);
                }
                settled
            }
            Ok(Err(error)) => {
                self.say(&error);
                Err(Retry::Backoff)
            }
            // The runtime ends.
            Err(_) => Ok(()),
        }
    }

    /// A batch on disk was sent: it goes, or back to the front.
    async fn conclude(&self, entry: Entry, answer: Result<Accepted, SendError>, began: Instant) -> Result<(), Retry> {
        let (signal, accepted) = (self.outlet.signal, answer.is_ok());
        let settled = match answer {
            // What other processes recorded is in their account, not in ours.
            Ok(accepted) if entry.adopted => {
                durations::export(signal, began.elapsed(), accepted.outcome());
                Account::tell_accepted(&self.outlet.target(), signal, &accepted, entry.count);
                Ok(())
            }
            Err(error) if entry.adopted && error.retry == Retry::Never => {
                durations::export(signal, began.elapsed(), Some(error.kind.into()));
                Account::tell_failed(signal, &error, entry.count);
                Ok(())
            }
            answer => self.settle(answer, entry.count, began),
        };
        if let Err(retry) = settled {
            self.spool.put_back(entry);
            return Err(retry);
        }
        stats::SPOOL_SENT.add(u64::from(accepted));
        let spool = self.spool.clone();
        let _ = tokio::task::spawn_blocking(move || spool.done(&entry)).await;
        Ok(())
    }

    /// The account of what this process recorded.
    fn settle(&self, answer: Result<Accepted, SendError>, count: u64, began: Instant) -> Result<(), Retry> {
        let signal = self.outlet.signal;
        match answer {
            Ok(accepted) => {
                durations::export(signal, began.elapsed(), accepted.outcome());
                self.outlet.accepted(&accepted, count);
            }
            Err(error) if error.retry == Retry::Never => {
                durations::export(signal, began.elapsed(), Some(error.kind.into()));
                self.outlet.account.failed(signal, &error, count);
            }
            Err(error) => return Err(error.retry),
        }
        Ok(())
    }
}
