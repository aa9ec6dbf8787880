//! Log lines that carry the ids of their trace.
//!
//! `tracing` events, records of the `log` crate, errors where they first surface and panics become one stream of records. The
//! caller copies typed values into a bounded queue; a thread of its own redacts, formats and writes them, or hands them to OTLP.
//! Where they go both ways, each has its thread.
//!
//! | what | how |
//! |---|---|
//! | which lines | `RUST_LOG` (`info`), [`Handle::set_filter`] while running |
//! | how they look | `VITALSIGN_LOG_FORMAT` = `json`, `pretty`, `off`; unset: pretty on a terminal, JSON elsewhere |
//! | fields that all lines within share | [`scope!`](crate::scope) |
//! | what is never written | values under secret names, at any depth; `redact` and `redact_with` of the builder add to that |
//!
//! Nothing here waits for an output. What an output cannot take is lost, errors last, and counted by level: in a line once lines
//! flow again, and in [`Handle::stats`].

mod bridge;
mod exit;
mod filter;
mod format;
mod otlp;
mod panic;
mod queue;
mod record;
mod redact;
mod scope;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use filter::FilterError;
pub use format::{Format, UnknownFormat};
#[cfg(feature = "tower")]
pub(crate) use scope::{Current as RequestScope, enter_request as scope_enter_request};
pub(crate) use scope::{Entered as ScopeEntered, enter as scope_enter};
pub use scope::{FieldValue, Scope, Scoped};
#[doc(hidden)]
pub use scope::{ScopeBuilder, Writer as ScopeWriter};
pub use writer::Output;

pub(crate) use otlp::OtlpLogs;
#[cfg(feature = "otlp")]
pub(crate) use otlp::{LogLimits, LogSink};
pub(crate) use record::{Fields, Ids, Key, Value};
pub(crate) use redact::Hook as RedactHook;
pub(crate) use view::View;

use crate::clock;
use crate::export::diag;
use crate::export::snapshot::{Family, Kind, Number, Point, PointValue};
use crate::metrics::registry;
use crate::probe::{ErrorRef, ErrorValue};
use crate::site::Site;
use crate::trace::SpanContext;
use crate::trace::event::EventSink;
use crate::trace::local;
use filter::Filter;
use queue::{LEVELS, Loss, Queue};
use record::{Head, Source};
use redact::Redactor;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tracing_core::subscriber::Interest;
use tracing_core::{Event, Level, LevelFilter, Metadata};
use writer::{Lines, Look, Writer};

/// What `init()` decides about logs.
pub(crate) struct LogSetup {
    /// `RUST_LOG`; empty means info.
    pub(crate) filter: String,
    pub(crate) format: Format,
    pub(crate) output: Output,
    pub(crate) otlp: Option<OtlpLogs>,
    /// Further names whose values are not written.
    pub(crate) redact: Vec<String>,
    pub(crate) redact_with: Option<RedactHook>,
    /// How many records and bytes may wait for the writer.
    pub(crate) max_records: usize,
    pub(crate) max_bytes: usize,
    /// Take over the `log` crate and the panic hook: once per process.
    pub(crate) global: bool,
}

impl Default for LogSetup {
    fn default() -> Self {
        Self {
            filter: String::new(),
            format: Format::Auto,
            output: Output::Stdout,
            otlp: None,
            redact: Vec::new(),
            redact_with: None,
            max_records: queue::RECORDS,
            max_bytes: queue::bytes_of(queue::RECORDS),
            global: true,
        }
    }
}

/// The pipeline that [`line()`] and the rest of this crate write to.
static GLOBAL: OnceLock<Arc<Logs>> = OnceLock::new();

/// The running logs: filter, counts, flush.
#[derive(Clone)]
pub struct Handle {
    logs: Arc<Logs>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    /// The output is the process's, not one that was given and is to be closed.
    stays: bool,
    /// Records of the `log` crate come here; else how many are made is for another to say.
    bridged: bool,
}

/// Starts the writer and, unless told otherwise, takes over the `log` crate and the panic hook. What of the filter could not be
/// understood comes back as warnings.
pub(crate) fn install(setup: LogSetup) -> std::io::Result<(Handle, Vec<FilterError>)> {
    let (filter, warnings) = Filter::lenient(&setup.filter);
    let look = match setup.format {
        Format::Json => Look::Json,
        Format::Off => Look::None,
        Format::Auto if !setup.output.is_terminal() => Look::Json,
        Format::Auto | Format::Pretty => Look::Pretty {
            coloured: setup.output.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        },
    };
    let silent = look == Look::None && setup.otlp.is_none();
    let stays = setup.global && !matches!(setup.output, Output::Writer(_));
    let new_queue = || Arc::new(Queue::new(setup.max_records, setup.max_bytes));
    let queue = new_queue();
    let exports = setup.otlp.is_some();
    let passed_on = (exports && look != Look::None).then(new_queue);
    let lines = passed_on.as_ref().unwrap_or(&queue).clone();
    let mut writer = Writer {
        queue: lines.clone(),
        output: setup.output,
        look,
        redactor: Redactor {
            keys: setup.redact.iter().map(|key| key.to_lowercase()).collect(),
            hook: setup.redact_with,
        },
        otlp: None,
        next: None,
        before: passed_on.is_some().then(|| queue.clone()),
        lines: Lines::default(),
    };
    let otlp = setup.otlp.map(|otlp| otlp::Batcher::new(otlp, queue.clone()));
    // Before the first record, so that no caller pays for the calibration.
    clock::now();
    let mut threads = Vec::new();
    if passed_on.is_some() {
        let encoder = Writer {
            queue: queue.clone(),
            output: Output::default(),
            look: Look::None,
            redactor: writer.redactor.clone(),
            otlp,
            next: passed_on,
            before: None,
            lines: Lines::default(),
        };
        threads.push(spawn("vitalsign-otlp", encoder)?);
    } else {
        writer.otlp = otlp;
    }
    threads.push(spawn("vitalsign-logs", writer)?);
    let logs = Arc::new(Logs {
        queue,
        lines,
        exports,
        filter,
        silent,
    });
    let mut bridged = false;
    if setup.global && GLOBAL.set(logs.clone()).is_ok() {
        registry::register(logs.clone());
        panic::install(logs.clone());
        exit::install();
        // A logger of the user's own stays; its lines go where it says.
        bridged = log::set_boxed_logger(Box::new(bridge::Bridge(logs.clone()))).is_ok();
        if bridged {
            log::set_max_level(bridge::max_level(logs.max()));
        }
    }
    let handle = Handle {
        logs,
        threads: Arc::new(Mutex::new(threads)),
        stays,
        bridged,
    };
    Ok((handle, warnings))
}

fn spawn(name: &str, writer: Writer) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || local::as_ours(|| writer.run()))
}

impl Handle {
    /// Where the subscriber hands its events.
    pub(crate) fn sink(&self) -> Arc<dyn EventSink> {
        self.logs.clone()
    }

    /// Replaces the filter: the syntax of `RUST_LOG`, `info,my_crate=debug`. As there, nothing at all means info; `off` is silence.
    ///
    /// # Errors
    ///
    /// A directive that cannot be understood leaves the filter as it was.
    pub fn set_filter(&self, filter: &str) -> Result<(), FilterError> {
        self.logs.filter.set(filter)?;
        if self.bridged {
            log::set_max_level(bridge::max_level(self.logs.max()));
        }
        tracing_core::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// The filter in force.
    pub fn filter(&self) -> String {
        self.logs.filter.text()
    }

    /// Lines written and lost so far.
    pub fn stats(&self) -> LogStats {
        self.logs.stats()
    }

    /// Of the records that were logged, those that OTLP does not know of: lost, and still waiting.
    #[cfg(feature = "otlp")]
    pub(crate) fn unexported(&self) -> (u64, u64) {
        self.logs.queue.unexported()
    }

    /// Waits until every line logged before is written; false if the deadline comes first. Blocks.
    pub fn flush(&self, deadline: Instant) -> bool {
        self.logs.flush(deadline)
    }

    /// What is logged from here on goes to the exporter no more, and is none of its losses.
    pub(crate) fn end_export(&self) {
        self.logs.queue.end_export();
    }

    /// Waits until every record logged before is with the exporter, where they go there, whatever lines are doing; false if the
    /// deadline comes first.
    pub(crate) fn hand_over(&self, deadline: Instant) -> bool {
        !self.logs.exports || self.logs.queue.flush(deadline)
    }

    /// Flushes; false if the deadline comes first: lines that are not written by then are lost. An output that was given takes no more lines and is
    /// closed. Standard output goes on: what a program says last of all is what went wrong at its end.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        let flushed = self.flush(deadline);
        if !flushed {
            self.logs.lines.abandon();
        }
        if self.stays {
            return flushed;
        }
        self.logs.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if flushed {
            // They have nothing left but their end.
            for thread in threads {
                let _ = thread.join();
            }
        }
        flushed
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("filter", &self.filter())
            .finish_non_exhaustive()
    }
}

/// What became of the lines so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogStats {
    /// Lines the output took.
    pub written: u64,
    /// Lines lost: level, reason (`queue_full`, `write`, `nested`) and how many, where there are any.
    pub lost: Vec<(Level, &'static str, u64)>,
}

/// A line of our own, whatever the user's filter says and wherever the user's tracing goes. To standard error before the logs
/// are installed.
pub(crate) fn line(level: Level, target: &'static str, message: &str, fields: &[(&str, &str)]) {
    let write = |out: &mut Fields| {
        out.str(Key::Name("message"), message);
        for (name, value) in fields {
            out.str(Key::Name(name), value);
        }
    };
    if let Some(logs) = GLOBAL.get() {
        logs.record(level, target, None, write);
    } else {
        diag::to_stderr(format_args!("{level} {target}: {message}"));
    }
}

/// What the builder says of logs beyond the environment.
#[derive(Clone, Default)]
pub(crate) struct LogWords {
    pub(crate) redact: Vec<String>,
    pub(crate) redact_with: Option<RedactHook>,
    /// Taken by the one who installs.
    pub(crate) output: Option<Arc<Mutex<Option<Output>>>>,
}

impl LogSetup {
    /// So many records may wait, if that is more than may anyway; their bytes grow with them.
    #[cfg(feature = "otlp")]
    pub(crate) fn make_room(&mut self, records: usize) {
        self.max_records = self.max_records.max(records);
        self.max_bytes = self.max_bytes.max(queue::bytes_of(records));
    }
}

impl LogWords {
    pub(crate) fn say(&self, setup: &mut LogSetup) {
        setup.redact.clone_from(&self.redact);
        setup.redact_with.clone_from(&self.redact_with);
        if let Some(output) = &self.output
            && let Some(output) = output.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            setup.output = output;
        }
    }
}

impl std::fmt::Debug for LogWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWords")
            .field("redact", &self.redact)
            .finish_non_exhaustive()
    }
}

/// The receiving end: filter and queue.
pub(crate) struct Logs {
    queue: Arc<Queue>,
    /// Where lines are written from: another one where the first goes to OTLP.
    lines: Arc<Queue>,
    /// Records go to OTLP.
    exports: bool,
    filter: Filter,
    /// Neither lines nor OTLP: nothing is wanted.
    silent: bool,
}

/// The fields of the scopes current on this thread, the outermost first, as text.
pub(crate) fn scope_texts() -> Vec<(String, String)> {
    let mut scopes = Vec::new();
    let mut scope = Scope::current();
    while let Some(current) = scope {
        scope = current.outer().cloned();
        scopes.push(current);
    }
    let mut texts = Vec::new();
    for scope in scopes.iter().rev() {
        for (key, value) in record::Reader::new(scope.bytes()) {
            if let Key::Name(name) = key {
                texts.push((name.to_owned(), value.to_string()));
            }
        }
    }
    texts
}

thread_local! {
    static FIELDS: RefCell<Fields> = const { RefCell::new(Fields::new()) };
}

/// A record is being made on this thread.
fn is_recording() -> bool {
    FIELDS.try_with(|fields| fields.try_borrow().is_err()).unwrap_or(false)
}

impl Logs {
    fn max(&self) -> LevelFilter {
        if self.silent {
            LevelFilter::OFF
        } else {
            self.filter.max()
        }
    }

    fn flush(&self, deadline: Instant) -> bool {
        // What the first has done is in the second.
        self.queue.flush(deadline) & self.lines.flush(deadline)
    }

    fn lost(&self, reason: Loss, level: Level) -> u64 {
        let passed_on = if Arc::ptr_eq(&self.queue, &self.lines) {
            0
        } else {
            self.lines.lost(reason, level)
        };
        self.queue.lost(reason, level) + passed_on
    }

    fn stats(&self) -> LogStats {
        let mut lost = Vec::new();
        for level in LEVELS {
            for reason in Loss::ALL {
                let count = self.lost(reason, level);
                if count > 0 {
                    lost.push((level, reason.as_str(), count));
                }
            }
        }
        LogStats {
            written: self.lines.written(),
            lost,
        }
    }

    /// A record that is no `tracing` event; `None` takes the span current on this thread.
    pub(crate) fn record(
        &self,
        level: Level,
        target: &str,
        ctx: Option<&SpanContext>,
        write: impl FnOnce(&mut Fields),
    ) {
        let current;
        let ctx = if ctx.is_some() {
            ctx
        } else {
            current = crate::trace::current();
            current.as_ref()
        };
        self.push(Source::Other(level), ctx, |fields| {
            fields.str(Key::Name("target"), target);
            write(fields);
        });
    }

    fn push(&self, source: Source, ctx: Option<&SpanContext>, write: impl FnOnce(&mut Fields)) {
        if self.silent {
            return;
        }
        let ticks = clock::now();
        let pushed = FIELDS.try_with(|fields| {
            let Ok(mut fields) = fields.try_borrow_mut() else {
                return false;
            };
            fields.clear();
            write(&mut fields);
            let head = Head {
                ticks,
                source,
                ids: ctx.and_then(Ids::of),
                scope: Scope::current(),
                baggage: ctx.map_or_else(crate::trace::baggage::without_span, |ctx| ctx.baggage.clone()),
                len: fields.as_bytes().len() as u32,
            };
            self.queue.push(head, fields.as_bytes());
            true
        });
        if pushed != Ok(true) {
            self.queue.lose(Loss::Nested, source.level());
        }
    }
}

impl registry::Source for Logs {
    fn families(&self, out: &mut Vec<Family>) {
        let family = |name: &'static str, help: &'static str, points| Family {
            name: name.into(),
            help: help.into(),
            unit: "{line}".into(),
            kind: Kind::Counter,
            observed: false,
            scope: Vec::new(),
            points,
        };
        let point = |labels: Vec<_>, count| Point {
            labels: labels.into(),
            value: PointValue::number(Number::U64(count)),
            typed: 0,
            start_unix_nanos: registry::started(),
        };
        out.push(family(
            "vitalsign.logs.written",
            "Log lines that the output took.",
            vec![point(Vec::new(), self.lines.written())],
        ));
        let mut lost = Vec::new();
        for level in LEVELS {
            for reason in Loss::ALL {
                let labels = vec![
                    ("level".into(), level.as_str().to_lowercase().into()),
                    ("reason".into(), reason.as_str().into()),
                ];
                lost.push(point(labels, self.lost(reason, level)));
            }
        }
        out.push(family(
            "vitalsign.logs.lost",
            "Log lines that were not written, by level and reason.",
            lost,
        ));
    }
}

impl EventSink for Logs {
    fn interest(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !self.silent && self.filter.enabled(metadata.target(), *metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.max())
    }

    fn event(&self, event: &Event<'_>, ctx: Option<&SpanContext>) {
        if local::is_ours() {
            return; // what our own exporting says would be exported again
        }
        self.push(Source::Event(event.metadata()), ctx, |fields| event.record(fields));
    }

    fn error(&self, site: &'static Site, error: &ErrorRef<'_>, ctx: Option<&SpanContext>) {
        let metadata = site.metadata();
        let level = site.def.span.as_ref().map_or(Level::ERROR, |span| span.err_level);
        if self.silent || !self.filter.enabled(metadata.target(), level) {
            return;
        }
        self.record(level, metadata.target(), ctx, |fields| {
            let message = Key::Name("message");
            match &error.value {
                ErrorValue::Std(error) => fields.display(message, error),
                ErrorValue::Display(error) => fields.display(message, error),
                ErrorValue::Debug(error, _) => fields.debug(message, error),
                ErrorValue::Opaque(name) => fields.str(message, name),
            }
            fields.str(Key::Name("function"), site.def.function);
            fields.str(Key::Name("error.type"), &error.error_type);
            // Where it says no more than `error.type`, readers are spared it.
            if let Some(of) = error.exception_type().filter(|of| *of != error.error_type) {
                fields.str(Key::Name("exception.type"), of);
            }
            if let ErrorValue::Std(error) = &error.value {
                fields.error_ref(Key::Name("error"), error);
            }
        });
    }
}
