//! One line for every panic, with the trace in which it happened; one a minute for those on threads of our own.

use super::Logs;
use super::record::Key;
use crate::export::diag;
use crate::trace::{local, panics};
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
    // What formats a field of a record is caught there, and the record says so.
    let caught = super::is_recording();
    // The line about a redacting hook or an output that panicked meets the same one, so that every such line would make another.
    if !caught && (!local::is_ours() || diag::begin_to_say(("panic", "ours"))) {
        record(logs, info);
    }
    // With `panic = "abort"` this is the last moment; a writer that is stuck must not hold the panic up for long.
    if cfg!(panic = "abort") {
        logs.flush(Instant::now() + Duration::from_millis(200));
    }
}

fn record(logs: &Logs, info: &PanicHookInfo<'_>) {
    let message = panics::message(info);
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
            fields.str(Key::Name("exception.stacktrace"), frames(&backtrace.to_string()));
        }
    });
}

/// The frames that std's own hook prints where it is not asked for all: neither those of the panic itself, this hook's among them, nor
/// those of the runtime below `main` or the thread's closure. All of them, where symbols do not say which those are.
fn frames(all: &str) -> &str {
    const OF_PANIC: &str = "__rust_end_short_backtrace";
    const OF_RUNTIME: &str = "__rust_begin_short_backtrace";
    if std::env::var("RUST_BACKTRACE").is_ok_and(|wanted| wanted == "full") {
        return all;
    }
    // A frame is a line with its number and name, and mostly one more with its place.
    let begin_of = |at: usize| all[..at].rfind('\n').map_or(0, |end| end + 1);
    let start = all.find(OF_PANIC).map_or(0, |at| {
        let place = |line: &&str| line.trim_start().starts_with("at ");
        let (name, rest) = all[at..].split_once('\n').unwrap_or((&all[at..], ""));
        let place = rest.split_inclusive('\n').next().filter(place);
        (at + name.len() + 1 + place.map_or(0, str::len)).min(all.len())
    });
    let end = all[start..]
        .find(OF_RUNTIME)
        .map_or(all.len(), |at| begin_of(start + at));
    &all[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_machinery_are_left_out() {
        let panic = "   0: hook\n             at a.rs:1:2\n   1: std::__rust_end_short_backtrace::<f>\n";
        let place = "             at b.rs:1:2\n";
        let own = "   2: rust_begin_unwind\n   3: orders::broken\n             at c.rs:3:4\n";
        let runtime = "   4: std::__rust_begin_short_backtrace\n             at d.rs:5:6\n   5: main\n";
        for (all, kept) in [
            ([panic, place, own, runtime].concat(), own),
            ([panic, own, runtime].concat(), own),
            ([panic, place, own].concat(), own),
            ([own, runtime].concat(), own),
            (own.to_owned(), own),
            (String::new(), ""),
            (panic.to_owned(), ""),
            ([runtime, panic, own, runtime].concat(), own),
        ] {
            assert_eq!(frames(&all), kept, "{all}");
        }
    }
}
