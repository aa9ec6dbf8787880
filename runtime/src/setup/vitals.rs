//! What `init()` returns: the running process, until it is shut down.

use super::completion::Completion;
use super::install::Parts;
use crate::config::parse::NO_LIMIT;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "otlp")]
pub use crate::export::Report;

/// The running instrumentation. Keep it until the end of the program: dropping it drains and flushes as [`Vitals::shutdown`] does,
/// waiting on this thread at most the drain delay, where a probe was ever asked, and the shutdown timeout.
///
/// # Examples
///
/// ```no_run
/// # async fn serve(stop: impl Future<Output = ()>) {}
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let vitals = vitalsign::init()?;
/// serve(vitals.shutdown_signal()).await;
/// vitals.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it ends the instrumentation"]
pub struct Vitals {
    inner: Arc<Inner>,
    /// A thread of its own ends it, for whoever awaits that or has stopped to.
    left: AtomicBool,
}

pub(super) struct Inner {
    pub(super) parts: Parts,
    pub(super) drain_delay: Duration,
    pub(super) timeout: Duration,
    /// The drain delay has been waited for.
    pub(super) drained: AtomicBool,
    ending: AtomicBool,
    ended: Mutex<bool>,
    told: Condvar,
}

impl Inner {
    pub(super) fn new(parts: Parts, drain_delay: Duration, timeout: Duration) -> Self {
        Self {
            parts,
            drain_delay,
            timeout,
            drained: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            ended: Mutex::new(false),
            told: Condvar::new(),
        }
    }

    /// Readiness says no from here on. Says how long whoever routes requests here is given to hear it: no time where nobody ever
    /// asked a probe.
    pub(super) fn begin_drain(&self) -> Duration {
        self.parts.begin_drain();
        if self.parts.is_probed() {
            self.drain_delay
        } else {
            Duration::ZERO
        }
    }

    /// The same, and waits, though not twice.
    fn drain(&self) {
        let delay = self.begin_drain();
        if !self.drained.swap(true, Ordering::SeqCst) {
            std::thread::sleep(delay);
        }
    }

    /// Everything that recorded before this call leaves, or is counted as lost, within the timeout. Who comes second, as `main`
    /// does beside a signal, waits for the first: the process must not end before.
    pub(super) fn end(&self) -> Ended {
        if self.ending.swap(true, Ordering::SeqCst) {
            self.wait_for_end();
            return self.parts.report();
        }
        self.drain();
        let deadline = from_now(self.timeout);
        crate::switch::set(false);
        self.parts.end(deadline);
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
        self.parts.report()
    }

    fn wait_for_end(&self) {
        // The end waits for that thread.
        #[cfg(feature = "_tokio")]
        if crate::export::background::is_background() {
            return;
        }
        let most = self.drain_delay.saturating_add(self.timeout).min(NO_LIMIT);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Given up is ended, too.
        let _ = self.told.wait_timeout_while(ended, most, |ended| !*ended);
    }
}

/// A timeout may be longer than clocks reach.
fn from_now(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(NO_LIMIT)
}

#[cfg(feature = "otlp")]
type Ended = Report;
/// Nothing is sent, so there is nothing to report.
#[cfg(not(feature = "otlp"))]
pub(super) struct Ended;

impl Vitals {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            left: AtomicBool::new(false),
        }
    }

    /// Resolves on SIGTERM or SIGINT, after readiness has said no for the drain delay; a second signal cuts the delay short, and where
    /// no probe was ever asked there is none. It may be awaited on any executor, and given to `axum::serve(…).with_graceful_shutdown(…)`.
    ///
    /// The handler is installed by this call, not by [`init`](crate::init): a signal that arrives before the future is polled is
    /// not lost.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing: the signal still begins to drain.
    #[cfg(feature = "_tokio")]
    pub fn shutdown_signal(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        super::signal::shutdown_signal(&self.inner)
    }

    /// Drains if that has not happened, sends what is recorded, and ends. Awaited on any executor; the waiting happens on a thread
    /// of its own. What could not be sent within the timeout stands in the report; lines that the output did not take do not, but in
    /// `logs().stats()`. Nothing is recorded afterwards; lines are still logged where they go to standard output or error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the shutdown.
    #[cfg(feature = "otlp")]
    pub async fn shutdown(self) -> Result<Report, ShutdownError> {
        let report = self.end_apart().await;
        if report.is_complete() {
            Ok(report)
        } else {
            Err(ShutdownError(report))
        }
    }

    /// Ends it. Awaited on any executor.
    #[cfg(not(feature = "otlp"))]
    pub async fn shutdown(self) {
        self.end_apart().await;
    }

    async fn end_apart(&self) -> Ended {
        let completion = Completion::new();
        let (giver, inner) = (completion.giver(), self.inner.clone());
        let thread = std::thread::Builder::new().name("vitalsign-end".to_owned());
        match thread.spawn(move || giver.give(inner.end())) {
            Ok(_) => {
                self.left.store(true, Ordering::SeqCst);
                completion.await
            }
            // No thread to be had: then here.
            Err(_) => self.inner.end(),
        }
    }

    /// Sends what is recorded until now and waits for it on this thread, at most so long. True when everything recorded
    /// before this call has left the process or was counted as lost. Spans that `VITALSIGN_TAIL` has yet to decide on wait on for the
    /// root of their trace: what comes until then may be why it is kept.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.inner.parts.flush(from_now(timeout))
    }

    /// What became of everything recorded until now.
    #[cfg(feature = "otlp")]
    pub fn report(&self) -> Report {
        self.inner.parts.report()
    }

    /// Where the admin server listens; `None` when it is off.
    #[cfg(feature = "admin")]
    pub fn admin_addr(&self) -> Option<std::net::SocketAddr> {
        self.inner.parts.admin_addr()
    }

    /// The admin server's routes (`/metrics` and the probes), to be mounted into a router of your own; `VITALSIGN_ADMIN=off`
    /// goes without the server. Reasons of failed checks are shown to those with the admin token only: who asks is not known here.
    ///
    /// # Examples
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let vitals = vitalsign::builder().admin("off").install()?;
    /// let app: axum::Router = axum::Router::new().nest("/internal", vitals.admin_router());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(all(feature = "admin", feature = "axum"))]
    pub fn admin_router<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        crate::http::mount::router(self.inner.parts.routes())
    }

    /// Adds a health check to those that `#[health_check]` registered. It stays as long as the process; for one that goes
    /// sooner see [`health::Engine::register`](crate::health::Engine::register).
    ///
    /// # Errors
    ///
    /// Where the name is taken; both places are named.
    #[cfg(feature = "health")]
    #[track_caller]
    pub fn register_health(
        &self,
        name: impl Into<String>,
        check: impl crate::HealthCheck + 'static,
    ) -> Result<(), crate::health::RegisterError> {
        crate::health::engine().register(name, check)?.keep();
        Ok(())
    }

    /// Readiness by hand: with false it says no, whatever the checks say.
    #[cfg(feature = "health")]
    pub fn set_ready(&self, ready: bool) {
        crate::health::engine().set_ready(ready);
    }

    /// What the sampler in force calls itself, as those of OpenTelemetry do: `ParentBased{root:AlwaysOnSampler,…}`,
    /// `TraceIdRatioBased{0.000100}`. `AlwaysOffSampler` where nobody exports spans, `None` with `OTEL_SDK_DISABLED`.
    pub fn sampler(&self) -> Option<String> {
        self.inner.parts.sampler()
    }

    /// Tracers of the `opentelemetry` API whose spans are recorded here; `init()` has made it the global one unless
    /// [`otel_globals`](crate::Builder::otel_globals) said no. `None` with `OTEL_SDK_DISABLED`.
    #[cfg(feature = "otel")]
    pub fn tracer_provider(&self) -> Option<crate::trace::otel::TracerProvider> {
        self.inner.parts.tracer_provider()
    }

    /// Meters of the `opentelemetry` API whose instruments are shown on the page and pushed; `init()` has made it the global one
    /// unless [`otel_globals`](crate::Builder::otel_globals) said no. With `OTEL_SDK_DISABLED` nothing is shown of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry::KeyValue;
    /// use opentelemetry::metrics::MeterProvider as _;
    ///
    /// let vitals = vitalsign::builder().admin("off").install().unwrap();
    /// let orders = vitals.meter_provider().meter("shop").u64_counter("orders").build();
    /// orders.add(1, &[KeyValue::new("channel", "web")]);
    /// let page = vitalsign::prometheus::page(None, None).body;
    /// assert!(String::from_utf8(page).unwrap().contains("orders_total{channel=\"web\",otel_scope_name=\"shop\"} 1"));
    /// ```
    #[cfg(feature = "otel")]
    pub fn meter_provider(&self) -> impl opentelemetry::metrics::MeterProvider + Send + Sync + use<> {
        crate::metrics::meters::provider()
    }

    /// Shows what a runtime of tokio says of itself, under the label `runtime`. The one in which [`init`](crate::init) was called
    /// is shown as `main`; it may be renamed so. At most 64 are shown: false for one more.
    ///
    /// # Examples
    ///
    /// ```
    /// let vitals = vitalsign::builder().admin("off").install().unwrap();
    /// let background = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// assert!(vitals.observe_runtime("background", background.handle()));
    /// ```
    #[cfg(feature = "tokio-metrics")]
    pub fn observe_runtime(&self, name: impl Into<String>, runtime: &tokio::runtime::Handle) -> bool {
        crate::metrics::tokio_runtime::observe(name.into(), runtime)
    }

    /// The running logs: their filter can be changed, their losses read. `None` when they are off.
    #[cfg(feature = "logs")]
    pub fn logs(&self) -> Option<&crate::logs::Handle> {
        self.inner.parts.logs.as_ref()
    }
}

impl Drop for Vitals {
    fn drop(&mut self) {
        if !self.left.load(Ordering::SeqCst) {
            self.inner.end();
        }
    }
}

impl std::fmt::Debug for Vitals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vitals").finish_non_exhaustive()
    }
}

/// Not everything that was recorded arrived.
#[cfg(feature = "otlp")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShutdownError(Report);

#[cfg(feature = "otlp")]
impl ShutdownError {
    /// What became of everything.
    pub fn report(&self) -> Report {
        self.0
    }
}

#[cfg(feature = "otlp")]
impl std::fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not everything recorded has arrived")?;
        let mut separator = ": ";
        for (items, tally) in [
            ("spans", self.0.traces),
            ("metric points", self.0.metrics),
            ("log records", self.0.logs),
        ] {
            for (count, became) in [
                (tally.rejected, "were rejected"),
                (tally.dropped, "were dropped"),
                (tally.pending, "could not be sent in time"),
            ] {
                if count > 0 {
                    write!(f, "{separator}{count} {items} {became}")?;
                    separator = ", ";
                }
            }
        }
        Ok(())
    }
}

/// The same text: a `main` that returns the error shows it so.
#[cfg(feature = "otlp")]
impl std::fmt::Debug for ShutdownError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "otlp")]
impl std::error::Error for ShutdownError {}

#[cfg(all(test, feature = "otlp"))]
mod tests {
    use super::*;
    use crate::export::Tally;

    #[test]
    fn a_main_that_returns_the_error_says_what_is_lost() {
        let tally = |rejected, dropped, pending| Tally {
            rejected,
            dropped,
            pending,
            ..Tally::default()
        };
        let error = ShutdownError(Report {
            traces: tally(0, 3, 2),
            logs: tally(1, 0, 0),
            ..Report::default()
        });
        assert_eq!(
            format!("{error:?}"),
            "not everything recorded has arrived: 3 spans were dropped, 2 spans could not be sent in time, 1 log records were rejected"
        );
    }
}
