//! SIGTERM and SIGINT, heard on the background runtime so that the user's needs no I/O driver.

use super::completion::Completion;
use super::vitals::Inner;
use crate::export::diag::{Level, say};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next one's number.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        let _ = tokio::signal::ctrl_c().await;
        2
    }
}

/// Waits for a signal, drains, and gives the signal's number.
fn drained(inner: &Arc<Inner>) -> Completion<i32> {
    let completion = Completion::new();
    let (giver, inner) = (completion.giver(), inner.clone());
    let background = inner.parts.background.clone();
    let installed = {
        let _runtime = background.handle().enter();
        Signals::install()
    };
    match installed {
        Ok(mut signals) => background.spawn_ours(async move {
            let signal = signals.next().await;
            let delay = inner.begin_drain();
            if !delay.is_zero() {
                say(
                    Level::Info,
                    format_args!("not ready any more, the end in {delay:?} (drain_delay), or by a second signal now"),
                );
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = signals.next() => {}
                }
            }
            inner.drained.store(true, Ordering::SeqCst);
            giver.give(signal);
        }),
        Err(error) => say(
            Level::Error,
            format_args!(
                "no handler for SIGTERM and SIGINT could be installed: {error}; the program will not drain on them"
            ),
        ),
    }
    completion
}

pub(super) fn shutdown_signal(inner: &Arc<Inner>) -> impl Future<Output = ()> + Send + 'static + use<> {
    let drained = drained(inner);
    async move {
        drained.await;
    }
}

/// `handle_signals(true)`: the whole end of the program.
pub(super) fn exit_on_signal(inner: &Arc<Inner>) {
    let drained = drained(inner);
    let background = inner.parts.background.clone();
    let inner = inner.clone();
    background.spawn_ours(async move {
        let signal = drained.await;
        // The end waits for this runtime, so it cannot happen on it.
        std::thread::spawn(move || {
            inner.end();
            std::process::exit(128 + signal);
        });
    });
}
