//! Exporters that a program brings, written for `opentelemetry_sdk`.
//!
//! Each has a thread and a bounded queue of its own, so that one which blocks, fails or panics costs its own spans and nothing
//! else: not the callers, not our exporter, not another of them. What it loses is counted by reason.

mod data;

pub(crate) use data::array;

use super::background::as_ours;
use super::diag::{Level, say_once, tame};
use super::snapshot::{Family, Kind, Number, Point, PointValue};
use crate::config::Resource;
use crate::metrics::registry;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// What may wait for one exporter beside the spans themselves being bounded in number.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A `SpanExporter`, whose trait no object can be made of.
pub(crate) trait Exporter: Send {
    fn name(&self) -> &'static str;
    fn export(&self, batch: Vec<SpanData>) -> Pin<Box<dyn Future<Output = OTelSdkResult> + Send + '_>>;
    fn force_flush(&self) -> OTelSdkResult;
    fn shutdown(&self, timeout: Duration) -> OTelSdkResult;
    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource);
}

impl<E: SpanExporter> Exporter for E {
    fn name(&self) -> &'static str {
        std::any::type_name::<E>()
    }

    fn export(&self, batch: Vec<SpanData>) -> Pin<Box<dyn Future<Output = OTelSdkResult> + Send + '_>> {
        Box::pin(SpanExporter::export(self, batch))
    }

    fn force_flush(&self) -> OTelSdkResult {
        SpanExporter::force_flush(self)
    }

    fn shutdown(&self, timeout: Duration) -> OTelSdkResult {
        self.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        SpanExporter::set_resource(self, resource);
    }
}

/// Bounds, those of `OTEL_BSP_*`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Spans that may wait.
    pub(crate) queue: u64,
    /// How long one batch may take.
    pub(crate) timeout: Duration,
}

/// Why spans did not reach an exporter.
#[derive(Clone, Copy)]
enum Loss {
    QueueFull,
    Failed,
    Panicked,
    TimedOut,
    Shutdown,
}

impl Loss {
    const ALL: [(Self, &'static str); 5] = [
        (Self::QueueFull, "queue_full"),
        (Self::Failed, "failed"),
        (Self::Panicked, "panicked"),
        (Self::TimedOut, "timeout"),
        (Self::Shutdown, "shutdown"),
    ];
}

/// One exporter as the rest of us sees it: its queue and its counts.
pub(crate) struct Outlet {
    name: &'static str,
    bounds: Bounds,
    state: Mutex<State>,
    changed: Condvar,
    exported: AtomicU64,
    lost: [AtomicU64; Loss::ALL.len()],
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Arc<[u8]>, u64)>,
    spans: u64,
    bytes: usize,
    /// Spans of the batch being exported.
    busy: u64,
    flushes: Flushes,
    /// Set by the shutdown: when it has to be over.
    closing: Option<Instant>,
    ended: bool,
}

#[derive(Default)]
struct Flushes {
    asked: u64,
    done: u64,
}

impl Outlet {
    /// Starts its thread. It is handed over in there, so nothing of it runs on a caller's.
    pub(crate) fn start(
        exporter: Box<dyn Exporter>,
        resource: &Resource,
        bounds: Bounds,
    ) -> std::io::Result<Arc<Self>> {
        let outlet = Arc::new(Self {
            name: exporter.name(),
            bounds,
            state: Mutex::default(),
            changed: Condvar::new(),
            exported: AtomicU64::new(0),
            lost: Default::default(),
        });
        let (of_thread, resource) = (Arc::clone(&outlet), data::resource(resource));
        std::thread::Builder::new()
            .name("vitalsign-export".to_owned())
            .spawn(move || as_ours(|| of_thread.run(exporter, &resource)))?;
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            registry::register(Arc::new(Families));
        }
        all.push(Arc::clone(&outlet));
        Ok(outlet)
    }

    /// Takes a batch, as `scope_spans` fields of a `ResourceSpans`; drops it where there is no room. Never waits.
    pub(crate) fn push(&self, spans: &Arc<[u8]>, count: u64) {
        let mut state = self.state();
        let fits = state.spans + count <= self.bounds.queue.max(count) && state.bytes + spans.len() <= MOST_BYTES;
        if state.closing.is_some() {
            drop(state);
            self.lose(Loss::Shutdown, count);
        } else if fits {
            state.spans += count;
            state.bytes += spans.len();
            state.waiting.push_back((Arc::clone(spans), count));
            drop(state);
            self.changed.notify_all();
        } else {
            drop(state);
            self.lose(Loss::QueueFull, count);
            self.complain(Loss::QueueFull, format_args!("it is too slow: its queue is full"));
        }
    }

    /// Waits until it took all that came before, and was told to flush; false when the deadline came first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let mut state = self.state();
        if state.ended {
            return true;
        }
        state.flushes.asked += 1;
        let mine = state.flushes.asked;
        self.changed.notify_all();
        self.wait(state, deadline, |state| state.ended || state.flushes.done >= mine)
    }

    /// From here on it takes nothing more, and ends when it has taken what waits.
    pub(crate) fn close(&self, deadline: Instant) {
        self.state().closing.get_or_insert(deadline);
        self.changed.notify_all();
    }

    /// Lets it take what waits and end; what it has not taken at the deadline is lost, and its thread left to itself.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        self.close(deadline);
        let ended = self.wait(self.state(), deadline, |state| state.ended);
        if !ended {
            let mut state = self.state();
            let left = state.spans + std::mem::take(&mut state.busy);
            state.waiting.clear();
            (state.spans, state.bytes) = (0, 0);
            drop(state);
            self.lose(Loss::Shutdown, left);
            self.complain(Loss::Shutdown, format_args!("it was still busy at the end"));
        }
        ended
    }

    /// Spans lost so far.
    #[cfg(test)]
    fn losses(&self) -> u64 {
        self.lost.iter().map(|lost| lost.load(Relaxed)).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, state: MutexGuard<'_, State>, deadline: Instant, done: impl Fn(&State) -> bool) -> bool {
        let mut state = state;
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    fn lose(&self, why: Loss, count: u64) {
        self.lost[why as usize].fetch_add(count, Relaxed);
    }

    fn complain(&self, why: Loss, what: std::fmt::Arguments<'_>) {
        let (name, reason) = (self.name, Loss::ALL[why as usize].1);
        say_once(
            Level::Warn,
            (name, reason),
            format_args!("spans for {name} are lost: {what} (vitalsign_span_exporter_lost_total counts them)"),
        );
    }
}

/// What happens on the exporter's own thread.
impl Outlet {
    fn run(&self, mut exporter: Box<dyn Exporter>, resource: &opentelemetry_sdk::Resource) {
        // What it does is no part of anyone's trace.
        let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
        self.guarded("set_resource", || {
            exporter.set_resource(resource);
            Ok(())
        });
        loop {
            let mut state = self.state();
            if let Some((spans, count)) = state.waiting.pop_front() {
                state.spans -= count;
                state.bytes -= spans.len();
                state.busy = count;
                let left = state.closing.map(|end| end.saturating_duration_since(Instant::now()));
                drop(state);
                self.export(&*exporter, &spans, count, left.unwrap_or(self.bounds.timeout));
            } else if state.flushes.done < state.flushes.asked {
                let asked = state.flushes.asked;
                drop(state);
                self.guarded("force_flush", || exporter.force_flush());
                self.state().flushes.done = asked;
                self.changed.notify_all();
            } else if let Some(end) = state.closing {
                drop(state);
                let left = end.saturating_duration_since(Instant::now());
                self.guarded("shutdown", || exporter.shutdown(left));
                // Dropping it may be code of the user's as well.
                self.guarded("drop", || {
                    drop(exporter);
                    Ok(())
                });
                self.state().ended = true;
                self.changed.notify_all();
                return;
            } else {
                drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn export(&self, exporter: &dyn Exporter, spans: &[u8], count: u64, timeout: Duration) {
        let spans = data::spans(spans);
        let now = Instant::now();
        // No bound at all is as good as a day.
        let deadline = now + timeout.min(self.bounds.timeout).min(Duration::from_secs(24 * 60 * 60));
        let done = catch_unwind(AssertUnwindSafe(|| block_on(exporter.export(spans), deadline)));
        // What the shutdown gave up has been counted.
        if std::mem::take(&mut self.state().busy) == 0 && count > 0 {
            return;
        }
        let (why, what) = match done {
            Ok(Some(Ok(()))) => {
                self.exported.fetch_add(count, Relaxed);
                return;
            }
            Ok(Some(Err(error))) => (Loss::Failed, error.to_string()),
            Ok(None) => (Loss::TimedOut, format!("a batch took more than {timeout:?}")),
            Err(panic) => (Loss::Panicked, format!("it panicked: {}", message(&*panic))),
        };
        self.lose(why, count);
        self.complain(why, format_args!("{}", tame(&what)));
    }

    fn guarded(&self, what: &'static str, call: impl FnOnce() -> OTelSdkResult) {
        let refused = match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("it panicked: {}", message(&*panic)),
        };
        let name = self.name;
        say_once(
            Level::Warn,
            (name, what),
            format_args!("{what} of {name} failed: {}", tame(&refused)),
        );
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Drives a future on this thread, in no runtime, as the SDK's own processor does; `None` when the deadline came first.
fn block_on<T>(future: impl Future<Output = T>, deadline: Instant) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return Some(done);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

/// Every exporter of the process, for the metrics page.
static ALL: Mutex<Vec<Arc<Outlet>>> = Mutex::new(Vec::new());

struct Families;

impl registry::Source for Families {
    fn families(&self, out: &mut Vec<Family>) {
        // Two of one type are told as one.
        let mut by_name: BTreeMap<&'static str, (u64, [u64; Loss::ALL.len()])> = BTreeMap::new();
        for outlet in ALL.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (exported, lost) = by_name.entry(outlet.name).or_default();
            *exported += outlet.exported.load(Relaxed);
            for (sum, one) in lost.iter_mut().zip(&outlet.lost) {
                *sum += one.load(Relaxed);
            }
        }
        let point = |labels: Vec<_>, count| Point {
            labels: labels.into(),
            typed: 0,
            value: PointValue::number(Number::U64(count)),
            start_unix_nanos: registry::started(),
        };
        let family = |name: &'static str, help: &'static str, points| Family {
            name: name.into(),
            help: help.into(),
            unit: "{span}".into(),
            kind: Kind::Counter,
            observed: false,
            scope: Vec::new(),
            points,
        };
        let (mut exported, mut lost) = (Vec::new(), Vec::new());
        for (name, (taken, losses)) in by_name {
            exported.push(point(vec![("exporter".into(), name.into())], taken));
            for (why, reason) in Loss::ALL {
                let labels = vec![("exporter".into(), name.into()), ("reason".into(), reason.into())];
                lost.push(point(labels, losses[why as usize]));
            }
        }
        out.push(family(
            "vitalsign.span_exporter.exported",
            "Spans that an exporter of the program took.",
            exported,
        ));
        out.push(family(
            "vitalsign.span_exporter.lost",
            "Spans that did not reach an exporter of the program, by reason.",
            lost,
        ));
    }
}

#[cfg(test)]
mod tests;
