//! One signal's way out, as its workers share it: the endpoint, the account, and who waits for what.

use super::account::Account;
use super::endpoint::Endpoint;
use super::otlp::json;
use super::retry::Backoff;
use super::stats;
use super::transport::{Accepted, Kind, Retry, SendError, Signal};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A flush gives up after this many refused attempts: nobody is there to wait for.
pub(super) const REFUSALS: u32 = 2;

pub(super) struct Outlet {
    pub(super) signal: Signal,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) console: bool,
    /// How long one attempt may take.
    pub(super) timeout: Duration,
    pub(super) stats: &'static stats::Pipeline,
    pub(super) account: Account,
    /// Something for those who wait for a flush.
    pub(super) progress: Notify,
    /// How many wait for a flush.
    flushing: AtomicU32,
    /// Attempts in a row, during a flush, in which nobody listened.
    refused: AtomicU32,
    closing: Flag,
    stopped: AtomicBool,
}

impl Outlet {
    pub(super) fn new(signal: Signal, endpoint: Option<Endpoint>, console: bool, timeout: Duration) -> Self {
        Self {
            signal,
            endpoint,
            console,
            timeout,
            stats: stats::of(signal),
            account: Account::default(),
            progress: Notify::new(),
            flushing: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            closing: Flag::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// One attempt within a time, and what of it concerns those who wait.
    pub(super) async fn send(&self, body: Bytes, count: u64, most: Duration) -> Result<Accepted, SendError> {
        let Some(endpoint) = &self.endpoint else {
            return Ok(Accepted::default());
        };
        let sent = endpoint.send(body, count, most).await;
        match &sent {
            Ok(_) => self.refused.store(0, SeqCst),
            Err(error) if error.kind == Kind::Unreachable => {
                self.refused.fetch_add(1, SeqCst);
                self.progress.notify_waiters();
            }
            Err(_) => {}
        }
        sent
    }

    /// A request of so many items was taken, or most of it.
    pub(super) fn accepted(&self, accepted: &Accepted, count: u64) {
        self.account.accepted(&self.target(), self.signal, accepted, count);
    }

    /// Where it goes, for messages.
    pub(super) fn target(&self) -> String {
        self.endpoint.as_ref().map(Endpoint::target).unwrap_or_default()
    }

    /// Nobody has listened for some attempts.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(SeqCst) >= REFUSALS
    }

    /// Waits before the next attempt, our own back-off and what the receiver asked for. A flush shortens the former to a fifth, never the
    /// latter. False when the end came.
    pub(super) async fn pause(&self, retry: Retry, backoff: &mut Backoff, wake: &Notify) -> bool {
        let now = Instant::now();
        let own = backoff.wait();
        let told = match retry {
            Retry::After(told) => told,
            Retry::Never | Retry::Backoff => Duration::ZERO,
        };
        loop {
            if self.is_stopped() {
                return false;
            }
            let hurry = if self.flushing.load(SeqCst) > 0 { 5 } else { 1 };
            let until = now + told.max(own / hurry);
            tokio::select! {
                () = sleep_until(until) => return !self.is_stopped(),
                () = wake.notified() => {}
            }
        }
    }

    /// Somebody waits for a flush from here on; ends with the value.
    pub(super) fn begin_flush(&self) -> Flush<'_> {
        self.refused.store(0, SeqCst);
        self.flushing.fetch_add(1, SeqCst);
        Flush(self)
    }

    /// Nothing more is taken in.
    pub(super) fn close(&self) {
        self.closing.set();
    }

    /// Resolves when nothing more is taken in.
    pub(super) async fn closed(&self) {
        self.closing.wait().await;
    }

    /// Nothing more is sent; true the first time.
    pub(super) fn stop(&self) -> bool {
        !self.stopped.swap(true, SeqCst)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }

    /// Writes a request to standard output as a line of OTLP/JSON where that is asked for, off this thread: a terminal may be
    /// stopped.
    pub(super) async fn print(&self, body: &Bytes) {
        if !self.console {
            return;
        }
        let (signal, body) = (self.signal, body.clone());
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
}

/// Somebody waits for a flush.
pub(super) struct Flush<'a>(&'a Outlet);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.flushing.fetch_sub(1, SeqCst);
    }
}

/// Set once, and waited for.
#[derive(Default)]
struct Flag {
    set: AtomicBool,
    told: Notify,
}

impl Flag {
    fn set(&self) {
        self.set.store(true, SeqCst);
        self.told.notify_waiters();
    }

    async fn wait(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // From here on it is not missed.
        told.as_mut().enable();
        if !self.set.load(SeqCst) {
            told.await;
        }
    }
}
