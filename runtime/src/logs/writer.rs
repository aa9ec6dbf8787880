//! The threads that make lines and OTLP out of records. One does what there is to do; where that is both, one encodes and passes
//! the records on to another that writes, because a pipe that nobody reads stops who writes to it.

use super::format::{json, pretty};
use super::otlp::Batcher;
use super::queue::{Batch, LEVELS, Loss, Queue};
use super::redact::Redactor;
use super::view::View;
use crate::clock;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing_core::Level;

/// Where lines go.
#[derive(Default)]
pub enum Output {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// Anywhere else; called on a thread of its own.
    Writer(Box<dyn Write + Send>),
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stdout => "Stdout",
            Self::Stderr => "Stderr",
            Self::Writer(_) => "Writer",
        })
    }
}

impl Output {
    pub(super) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
            Self::Writer(_) => false,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            // Through the standard library's lock, so that a `println!` cannot break into a line.
            Self::Stdout => io::stdout().lock().write(bytes),
            Self::Stderr => io::stderr().lock().write(bytes),
            Self::Writer(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().flush(),
            Self::Stderr => Ok(()),
            Self::Writer(writer) => writer.flush(),
        }
    }
}

/// How lines look, decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    Json,
    Pretty { coloured: bool },
    None,
}

pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) output: Output,
    pub(super) look: Look,
    pub(super) redactor: Redactor,
    pub(super) otlp: Option<Batcher>,
    /// Where records go on to when they are encoded.
    pub(super) next: Option<Arc<Queue>>,
    /// Where they were before: what was lost there makes no line, either.
    pub(super) before: Option<Arc<Queue>>,
    pub(super) lines: Lines,
}

/// The lines of one batch, or of a part of a large one, in one piece.
#[derive(Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where each line ends, and its level; none for a line of the writer's own.
    ends: Vec<(usize, Option<Level>)>,
    /// An earlier write stopped inside a line.
    broken: bool,
    /// Losses already told of, and those that the batch at hand tells of.
    told: u64,
    telling: u64,
}

/// Lines are written in pieces of about this size: a scope that many records share is in each of their lines.
const PIECE: usize = 1024 * 1024;
/// How often the writer looks by itself before it waits to be woken.
const LOOKS: u32 = 40;
/// How long an output that takes nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

impl Writer {
    pub(super) fn run(mut self) {
        self.queue.attach_writer();
        let mut batch = Batch::default();
        let mut idle = 0;
        // Records that have been written and wait in a batch for OTLP: not done before that is handed over.
        let mut waiting = 0;
        while self.queue.take(&mut batch) {
            if let Some(otlp) = &self.otlp {
                otlp.tell_lost();
            }
            if batch.heads.is_empty() {
                let due = self.otlp.as_mut().and_then(|otlp| otlp.idle(self.queue.wanted_now()));
                if due.is_none() && waiting > 0 {
                    self.queue.done(std::mem::take(&mut waiting));
                }
                idle += 1;
                if idle < LOOKS {
                    Queue::doze();
                } else {
                    self.queue.sleep(due.unwrap_or(Duration::from_secs(3600)));
                }
                continue;
            }
            idle = 0;
            self.batch(&batch);
            waiting += batch.heads.len() as u64;
            if let Some(next) = &self.next {
                next.take_over(&mut batch);
            }
            let handed = self.otlp.as_ref().is_none_or(Batcher::is_empty);
            let done = if handed { std::mem::take(&mut waiting) } else { 0 };
            self.queue.done(done);
        }
        if let Some(otlp) = &mut self.otlp {
            otlp.idle(true);
        }
        self.queue.done(waiting);
        if let Some(next) = &self.next {
            next.close();
        }
    }

    /// Formats and writes.
    fn batch(&mut self, batch: &Batch) {
        let mut at = 0;
        for head in &batch.heads {
            let end = at + head.len as usize;
            let bytes = batch.bytes.get(at..end).unwrap_or_default();
            at = end;
            let view = View::new(head, bytes, clock::unix_nanos(head.ticks), &self.redactor);
            self.line(&view, Some(view.level));
            if let Some(otlp) = &mut self.otlp {
                otlp.add(&view);
            }
            if self.lines.bytes.len() >= PIECE {
                self.write();
            }
        }
        if let Some(otlp) = &mut self.otlp {
            otlp.idle(self.queue.wanted_now());
        }
        self.notice();
        self.write();
    }

    /// Writes the lines made so far.
    fn write(&mut self) {
        self.lines.write(&mut self.output, &self.queue);
        self.lines.ends.clear();
        self.lines.bytes.clear();
        // One burst must not keep its memory for good.
        self.lines.bytes.shrink_to(256 * 1024);
    }

    fn line(&mut self, view: &View<'_>, level: Option<Level>) {
        let Lines { bytes, ends, .. } = &mut self.lines;
        match self.look {
            Look::Json => json::write(bytes, view),
            Look::Pretty { coloured } => pretty::write(bytes, view, coloured),
            Look::None => return,
        }
        ends.push((bytes.len(), level));
    }

    /// A line about lines that are missing, once there are lines again.
    fn notice(&mut self) {
        if self.look == Look::None {
            return;
        }
        let queues = || self.before.iter().chain([&self.queue]);
        let lost = LEVELS.map(|level| {
            let of = |reason| queues().map(move |queue| queue.lost(reason, level)).sum::<u64>();
            Loss::ALL.into_iter().map(of).sum::<u64>()
        });
        let total = lost.iter().sum();
        if total == self.lines.told {
            return;
        }
        let message = format!("{} log lines lost", total - self.lines.told);
        self.lines.telling = total;
        let view = View {
            unix_nanos: clock::unix_nanos(clock::now()),
            level: Level::WARN,
            target: "vitalsign::logs".into(),
            message: Some(message.into()),
            ids: None,
            fields: LEVELS
                .iter()
                .zip(lost)
                .filter(|(_, lost)| *lost > 0)
                .map(|(level, lost)| {
                    let name = format!("lost.{}", level.as_str().to_lowercase());
                    (name.into(), super::record::Value::U64(lost))
                })
                .collect(),
            place: None,
        };
        self.line(&view, None);
    }
}

impl Lines {
    /// Writes all lines, and counts those that the output took, and did not take, whole.
    fn write(&mut self, output: &mut Output, queue: &Queue) {
        if self.bytes.is_empty() {
            return;
        }
        if self.broken && write_all(output, b"\n").1.is_ok() {
            self.broken = false;
        }
        let (written, mut result) = write_all(output, &self.bytes);
        if result.is_ok() {
            result = attempt(|| output.flush());
        }
        // A failed flush leaves it open what arrived; the bytes were taken, so they count as written.
        let whole = self.ends.iter().filter(|(end, _)| *end <= written).count();
        if result.is_ok() {
            self.told = self.told.max(self.telling);
        } else {
            // What was not read was not told.
            self.telling = self.told;
            let boundary = if whole == 0 { 0 } else { self.ends[whole - 1].0 };
            self.broken |= written > boundary;
        }
        let (taken, refused) = self.ends.split_at(whole);
        queue.settle(levels(taken), levels(refused));
    }
}

fn levels(ends: &[(usize, Option<Level>)]) -> impl Iterator<Item = Level> {
    ends.iter().filter_map(|(_, level)| *level)
}

/// An output that panics has failed.
fn attempt<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        // Dropping a panic's payload may panic itself.
        std::mem::forget(payload);
        Err(io::Error::other("the log output panicked"))
    })
}

/// As `Write::write_all`, telling how far it came, and patient with pipes that would block.
fn write_all(output: &mut Output, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    let mut blocked: Option<Instant> = None;
    while written < bytes.len() {
        match attempt(|| output.write(&bytes[written..])) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(n) => {
                written += n.min(bytes.len() - written);
                blocked = None;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if blocked.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return (written, Err(error));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
