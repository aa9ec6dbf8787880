//! A future on threads that are not its runtime's: queued, polled, woken and cancelled, and how it ended.

use super::super::text;
use super::{Ended, Exec, Fut, lock};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use tokio::runtime::Handle;

/// What a polling thread takes from the queue.
pub(super) trait Pollable: Send + Sync {
    fn poll_once(self: Arc<Self>);
}

const IDLING: u8 = 0;
const QUEUED: u8 = 1;
const POLLING: u8 = 2;
/// Woken while it was polled.
const AGAIN: u8 = 3;
const ENDED: u8 = 4;
/// Added to a stage: to be dropped instead of polled.
const CANCELLED: u8 = 8;

type Running<T> = (Fut<T>, Box<dyn FnOnce(Ended<T>) + Send>);

/// A future on our threads.
pub(crate) struct Task<T> {
    run: Mutex<Option<Running<T>>>,
    stage: AtomicU8,
    handle: Option<Handle>,
    exec: &'static Exec,
}

impl<T: Send + 'static> Task<T> {
    /// Ready to stand in the queue.
    pub(super) fn queued(
        exec: &'static Exec,
        handle: Option<Handle>,
        future: Fut<T>,
        done: Box<dyn FnOnce(Ended<T>) + Send>,
    ) -> Self {
        Self {
            run: Mutex::new(Some((future, done))),
            stage: AtomicU8::new(QUEUED),
            handle,
            exec,
        }
    }

    /// Drops the future where it waits, or once its poll comes back.
    pub(crate) fn cancel(self: &Arc<Self>) {
        self.stage.fetch_or(CANCELLED, Ordering::AcqRel);
        self.schedule();
    }

    fn schedule(self: &Arc<Self>) {
        let moved = self.stage.fetch_update(Ordering::AcqRel, Ordering::Acquire, |stage| {
            let cancelled = stage & CANCELLED;
            match stage & !CANCELLED {
                IDLING => Some(QUEUED | cancelled),
                POLLING => Some(AGAIN | cancelled),
                _ => None,
            }
        });
        if moved.is_ok_and(|before| before & !CANCELLED == IDLING) {
            self.exec.enqueue(self.clone());
        }
    }

    /// Sets the stage and keeps the mark of cancellation; gives the stage before.
    fn step(&self, to: u8) -> u8 {
        self.stage
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |stage| {
                Some(to | stage & CANCELLED)
            })
            .unwrap_or(ENDED)
    }
}

impl<T: Send + 'static> Wake for Task<T> {
    fn wake(self: Arc<Self>) {
        self.schedule();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.schedule();
    }
}

impl<T: Send + 'static> Pollable for Task<T> {
    fn poll_once(self: Arc<Self>) {
        let before = self.step(POLLING);
        // Only the poller that took it from the queue gets here, so the lock is never waited for.
        let Some((mut future, done)) = lock(&self.run).take() else {
            return;
        };
        let _context = self.handle.as_ref().map(Handle::enter);
        if before & CANCELLED != 0 {
            self.step(ENDED);
            let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
            done(Ended::Cancelled);
            return;
        }
        let waker = Waker::from(Arc::clone(&self));
        let polled = catch_unwind(AssertUnwindSafe(|| {
            future.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        let ended = match polled {
            Ok(Poll::Pending) => {
                *lock(&self.run) = Some((future, done));
                let idle = self
                    .stage
                    .compare_exchange(POLLING, IDLING, Ordering::AcqRel, Ordering::Acquire);
                if idle.is_err() {
                    self.step(QUEUED);
                    self.exec.enqueue(self.clone());
                }
                return;
            }
            Ok(Poll::Ready(value)) => Ended::Done(value),
            Err(panic) => Ended::Panicked(message(&*panic)),
        };
        self.step(ENDED);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
        done(ended);
    }
}

/// Polls a future on this thread until it is done.
pub(super) fn wait_for<T>(mut future: Fut<T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
        std::thread::park();
    }
}

/// What a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text::cut(text, text::Bounded::LIMIT).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text::cut(text, text::Bounded::LIMIT).to_owned()
    } else {
        "no message".to_owned()
    }
}
