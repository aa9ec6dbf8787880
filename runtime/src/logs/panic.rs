//! One line for every panic, with the trace in which it happened.

use super::Logs;
use super::record::Key;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing_core::Level;

/// Chains a hook in front of the one in place.
pub(super) fn install(logs: Arc<Logs>) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        line(&logs, info);
        before(info);
    }));
}

fn line(logs: &Logs, info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic whose payload is no string");
    logs.record(Level::ERROR, "panic", None, |fields| {
        fields.str(Key::Name("message"), message);
        if let Some(location) = info.location() {
            fields.display(Key::Name("panic.location"), location);
        }
        if let Some(name) = std::thread::current().name() {
            fields.str(Key::Name("thread.name"), name);
        }
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            fields.display(Key::Name("exception.stacktrace"), &backtrace);
        }
    });
    // With `panic = "abort"` this is the last moment; a writer that is stuck must not hold the panic up for long.
    if cfg!(panic = "abort") {
        logs.queue.flush(Instant::now() + Duration::from_millis(200));
    }
}
