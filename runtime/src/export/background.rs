//! The one thread behind everything that is not a caller's business: exporters, pushes, the admin server.
//!
//! A current-thread runtime of our own, so that nothing depends on the flavour of the user's, or on there being one. Callers
//! wait for it by channels of the standard library only: those work in every runtime, on a plain thread and in a `Drop`
//! during a panic.

pub(crate) use crate::trace::local::as_ours;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

thread_local! {
    static BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the background thread: it must not wait for itself.
pub(crate) fn is_background() -> bool {
    BACKGROUND.try_with(Cell::get).unwrap_or(false)
}

pin_project_lite::pin_project! {
    /// A future that is our own: its polls, and its end, for what it holds may say something when it is dropped.
    pub(crate) struct Ours<F> {
        #[pin]
        inner: Option<F>,
    }

    impl<F> PinnedDrop for Ours<F> {
        fn drop(this: Pin<&mut Self>) {
            as_ours(|| this.project().inner.set(None));
        }
    }
}

impl<F> Ours<F> {
    pub(crate) fn new(inner: F) -> Self {
        Self { inner: Some(inner) }
    }
}

impl<F: Future> Future for Ours<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut inner = self.project().inner;
        as_ours(|| match inner.as_mut().as_pin_mut() {
            Some(future) => {
                let polled = future.poll(cx);
                if polled.is_ready() {
                    inner.set(None);
                }
                polled
            }
            // Polled after its end, which no one does.
            None => Poll::Pending,
        })
    }
}

/// Spawns what hyper needs besides its caller, as our own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OursExecutor;

#[cfg(any(feature = "otlp", feature = "admin"))]
impl<F> hyper::rt::Executor<F> for OursExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Ours::new(future));
    }
}

/// The thread and its runtime. Dropping it stops both; tasks end at their next await.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    /// Locked only to wait for the end.
    stopped: Mutex<mpsc::Receiver<()>>,
}

impl Background {
    /// Starts it. Fails when the system gives no thread or no event queue.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("vitalsign-io")
            // Name look-ups and blocking checks; they end by themselves.
            .max_blocking_threads(16)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stop_asked) = oneshot::channel::<()>();
        let (say_stopped, stopped) = mpsc::channel();
        thread::Builder::new().name("vitalsign".to_owned()).spawn(move || {
            BACKGROUND.with(|background| background.set(true));
            // An error means that the handle is gone: stop as well.
            let _ = runtime.block_on(stop_asked);
            // A look-up that hangs must not keep the process.
            runtime.shutdown_background();
            let _ = say_stopped.send(());
        })?;
        Ok(Self {
            handle,
            stop: Mutex::new(Some(stop)),
            stopped: Mutex::new(stopped),
        })
    }

    /// Where tasks are spawned: user code (checks, callbacks) as it is, our own wrapped in [`Ours`].
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn spawn_ours(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(Ours::new(task));
    }

    /// Runs a future in the background and waits for it on this thread, however it came here. `None` when the deadline came
    /// first, or when this is the background thread itself, which can not wait for its own work.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        deadline: Duration,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        if is_background() {
            return None;
        }
        let (answer, answered) = mpsc::channel();
        self.handle.spawn(Ours::new(async move {
            let _ = answer.send(task.await);
        }));
        answered.recv_timeout(deadline).ok()
    }

    /// Stops the thread, waiting for its end no longer than this.
    pub(crate) fn stop(&self, deadline: Duration) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if stop.is_some_and(|stop| stop.send(()).is_ok()) && !is_background() {
            let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = stopped.recv_timeout(deadline);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::local::is_ours;
    use std::time::Instant;

    #[test]
    fn waiting_ends_at_the_deadline() {
        let background = Background::start().unwrap();
        assert_eq!(background.wait(Duration::from_secs(5), async { 7 }), Some(7));
        let start = Instant::now();
        let never = background.wait(Duration::from_millis(50), std::future::pending::<()>());
        assert!(never.is_none() && start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn waiting_for_itself_is_refused() {
        let background = std::sync::Arc::new(Background::start().unwrap());
        let inner = background.clone();
        let answer = background.wait(Duration::from_secs(5), async move {
            assert!(is_ours() && is_background());
            inner.wait(Duration::from_secs(60), async { 1 })
        });
        assert_eq!(answer, Some(None));
        assert!(!is_ours() && !is_background());
    }

    #[test]
    fn only_our_own_tasks_are_ours() {
        let background = Background::start().unwrap();
        let (tell, told) = mpsc::channel();
        background.handle().spawn(async move {
            let _ = tell.send((is_ours(), is_background()));
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok((false, true)));
    }

    #[test]
    fn it_stops_with_a_task_that_never_ends() {
        let background = Background::start().unwrap();
        background.spawn_ours(std::future::pending());
        let start = Instant::now();
        background.stop(Duration::from_secs(5));
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}
