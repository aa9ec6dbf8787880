//! An error on its way up: status and `error.type` on every span it passes, the exception and one log line only where it first
//! surfaced.
//!
//! A span keeps hashes of what its direct children recorded. One whose own error, or any of its sources, is among them is passing
//! it on. Of spans that are not recorded a small table of the process keeps the same by their ids, since their calls may end on
//! any thread.

use super::body::{Key, Scalar};
use super::drain;
use super::live::Live;
use super::local::{self, Ids, Local};
use super::panics;
use super::pipeline::Exceptions;
use super::slab::Handle;
use super::store::{self, SLAB};
use super::visit::{self, PANICKED};
use crate::probe::{self, ErrorRef, ErrorValue, Plain};
use crate::site::{ErrMode, Site};
use std::error::Error;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Sources that are followed: a chain may be a ring.
const DEPTH: usize = 16;
/// Hashes a span keeps of its children's errors.
const SEEN: usize = 64;

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn shown(args: fmt::Arguments<'_>) -> String {
    let mut text = Vec::new();
    if !visit::append(&mut text, args) {
        return PANICKED.to_owned();
    }
    String::from_utf8(text).unwrap_or_default()
}

/// An error, looked at once.
struct Told {
    /// Its message and those of its sources, outermost first.
    messages: Vec<String>,
    /// What to tell the parent, so that it knows the error again.
    marks: Vec<u64>,
    /// What a child will have told of it, if it came from there.
    known_by: Vec<u64>,
}

fn chain_of(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![shown(format_args!("{error}"))];
    let mut source = source_of(error);
    while let Some(error) = source
        && messages.len() < DEPTH
    {
        messages.push(shown(format_args!("{error}")));
        source = source_of(error);
    }
    messages
}

/// User code: where it panics the chain ends.
fn source_of<'e>(error: &'e dyn Error) -> Option<&'e (dyn Error + 'static)> {
    catch_unwind(AssertUnwindSafe(|| error.source())).ok().flatten()
}

impl Told {
    fn of(error: &ErrorRef<'_>) -> Self {
        local::guarded(|| {
            // Whatever form is shown, an error is known by its plain one: parent and child may show it in different ways.
            let (messages, plain) = match error.value {
                ErrorValue::Std(error) => (chain_of(error), None),
                ErrorValue::Display(error) => (vec![shown(format_args!("{error}"))], None),
                ErrorValue::Debug(error, plain) => {
                    let known_by = match plain {
                        Plain::Std(error) => Some(chain_of(error)),
                        Plain::Display(error) => Some(vec![shown(format_args!("{error}"))]),
                        Plain::None => None,
                    };
                    (vec![shown(format_args!("{error:?}"))], known_by)
                }
                ErrorValue::Opaque(name) => return Self::opaque(name, error.of),
            };
            let mut known_by: Vec<u64> = plain.as_ref().unwrap_or(&messages).iter().map(hash).collect();
            // A parent that cannot show it, as in a generic function, or a child that could not, goes by the type.
            let marks = vec![known_by[0], hash((TYPE, error.of))];
            known_by.push(hash((OPAQUE, error.of)));
            Self {
                messages,
                marks,
                known_by,
            }
        })
    }

    fn opaque(message: &str, of: &str) -> Self {
        let by_type = [hash((OPAQUE, of)), hash((TYPE, of))];
        Self {
            messages: vec![message.to_owned()],
            marks: by_type[..1].into(),
            known_by: by_type.into(),
        }
    }

    fn message(&self) -> &str {
        &self.messages[0]
    }

    /// The causes, one to a line; none when there are none.
    fn causes(&self) -> Option<String> {
        let (_, causes) = self.messages.split_first()?;
        let lines: Vec<String> = causes.iter().map(|cause| format!("Caused by: {cause}")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// Says of a hash that it is of a type whose message is told too.
const TYPE: u8 = 1;
/// Says of a hash that it is of a type of which nothing else is known.
const OPAQUE: u8 = 2;

/// Tells the span, and the world if it first surfaced here.
pub(crate) fn record(site: &'static Site, ids: &Ids, handle: Option<Handle>, error: &ErrorRef<'_>) {
    let mode = site.def.span.as_ref().map_or(ErrMode::Auto, |span| span.err);
    let told = Told::of(error);
    let surfaced = surfaced(ids, handle, &told);
    if let Some(handle) = handle {
        SLAB.with(handle, |live| {
            live.fail((mode != ErrMode::Off).then(|| told.message()));
            live.set("error.type", Scalar::Text(&error.error_type));
        });
    }
    if !surfaced || mode == ErrMode::Off {
        return;
    }
    let Some(shared) = drain::pipeline(ids.pipeline()) else {
        return;
    };
    if let Some(handle) = handle
        && shared.exceptions != Exceptions::Logs
    {
        exception(
            handle,
            error.exception_type(),
            told.message(),
            told.causes().as_deref(),
            shared.limits.attributes_per_event,
        );
    }
    shared.events.error(site, error, Some(&ids.context()));
}

/// An error that the user hands to the current span. Its return from the same call is no second one.
pub(crate) fn by_hand<E: Error>(handle: Handle, error: &E) {
    let error = ErrorRef {
        error_type: probe::type_path::<E>(),
        of: std::any::type_name::<E>(),
        value: ErrorValue::Std(&error),
    };
    let told = Told::of(&error);
    SLAB.with(handle, |live| {
        if !live.is_open() {
            return;
        }
        live.fail(Some(told.message()));
        live.set("error.type", Scalar::Text(&error.error_type));
        remember(live, &told.marks);
    });
    exception(
        handle,
        error.exception_type(),
        told.message(),
        told.causes().as_deref(),
        store::room_per_event(handle),
    );
}

/// The latest last: where there is no room for all, the oldest are forgotten.
fn remember(live: &mut Live, marks: &[u64]) {
    live.seen.retain(|seen| !marks.contains(seen));
    live.seen.extend(marks);
    let over = live.seen.len().saturating_sub(SEEN);
    live.seen.drain(..over);
}

fn exception(handle: Handle, of: Option<&str>, message: &str, stacktrace: Option<&str>, room: u32) {
    store::event(
        handle,
        "exception",
        |fields| {
            if let Some(of) = of {
                fields.named(Key::Name("exception.type"), Scalar::Text(of));
            }
            fields.named(Key::Name("exception.message"), Scalar::Text(message));
            if let Some(stacktrace) = stacktrace {
                fields.named(Key::Name("exception.stacktrace"), Scalar::Text(stacktrace));
            }
        },
        room,
    );
}

/// Whether no child told of it, and tells the parent of it.
fn surfaced(ids: &Ids, handle: Option<Handle>, told: &Told) -> bool {
    let seen = |live: &mut Live| {
        let passed = told.known_by.iter().any(|mark| live.seen.contains(mark));
        (passed, live.parent, live.fixed.parent, live.fixed.parent_remote)
    };
    let (passed, parent) = match handle.and_then(|handle| SLAB.with(handle, seen)) {
        Some((passed, Some(parent), ..)) => (passed, Some(Around::Recorded(parent))),
        Some((passed, None, span, remote)) => (passed, if remote { None } else { recorded_below(span) }),
        None => (unrecorded::has(ids.span, &told.known_by), below(ids)),
    };
    match parent {
        Some(Around::Recorded(parent)) => {
            SLAB.with(parent, |live| remember(live, &told.marks));
        }
        Some(Around::Unrecorded(span)) => unrecorded::tell(span, &told.marks),
        None => {}
    }
    !passed
}

/// The span around one that ends.
enum Around {
    Recorded(Handle),
    /// By its id.
    Unrecorded(u64),
}

/// A parent that is not in the slab is a plain function's, on the stack of the thread that its child began on.
fn recorded_below(span: u64) -> Option<Around> {
    if span == 0 {
        return None;
    }
    local::with(|local| {
        let at = local.stack.position_of_span(span)?;
        around(local, at)
    })
    .flatten()
}

/// The span around one that is not recorded: its own frame may still be there.
fn below(ids: &Ids) -> Option<Around> {
    local::with(|local| {
        let at = match local.stack.position_of_span(ids.span) {
            Some(own) => own.checked_sub(1),
            None => local.stack.last(),
        }?;
        let frame = local.stack.at(at, &mut local.rng)?;
        // One that was given a parent elsewhere has none here.
        (frame.ids().trace == ids.trace).then(|| around(local, at)).flatten()
    })
    .flatten()
}

fn around(local: &mut Local, at: usize) -> Option<Around> {
    let frame = local.stack.at(at, &mut local.rng)?;
    if frame.is_sampled() {
        store::settle(local, at).map(Around::Recorded)
    } else {
        Some(Around::Unrecorded(frame.ids().span))
    }
}

/// What the children of spans that are not recorded told them. The table is small and forgets: an error is on its way up for a
/// moment only.
mod unrecorded {
    use super::{AtomicU8, AtomicU64, Ordering, hash};

    const SETS: usize = 256;
    const WAYS: usize = 8;
    static TABLE: [[AtomicU64; WAYS]; SETS] = [const { [const { AtomicU64::new(0) }; WAYS] }; SETS];
    /// Each set's own turn: by a common one, spans that meet in a set would write over each other while it has room.
    static NEXT: [AtomicU8; SETS] = [const { AtomicU8::new(0) }; SETS];

    fn set(span: u64) -> usize {
        span as usize % SETS
    }

    pub(super) fn tell(span: u64, marks: &[u64]) {
        for mark in marks {
            let at = usize::from(NEXT[set(span)].fetch_add(1, Ordering::Relaxed)) % WAYS;
            TABLE[set(span)][at].store(hash((span, mark)), Ordering::Relaxed);
        }
    }

    /// Whether one of the marks was told to that span. What a child told stands before its end, which the parent waited for.
    pub(super) fn has(span: u64, marks: &[u64]) -> bool {
        let told = |mark| {
            let wanted = hash((span, mark));
            TABLE[set(span)]
                .iter()
                .any(|entry| entry.load(Ordering::Relaxed) == wanted)
        };
        marks.iter().any(told)
    }
}

/// A call that unwinds: message and place as the hook kept them. Its log line is written where the hook is: once, traced or not.
#[cold]
pub(crate) fn panicked(ids: &Ids, handle: Option<Handle>) {
    let panicked = panics::current(ids.span);
    let message = panicked.as_ref().map_or("", |panicked| &panicked.message);
    if let Some(handle) = handle {
        SLAB.with(handle, |live| {
            live.fail(Some(message).filter(|message| !message.is_empty()));
            live.set("error.type", Scalar::Text("panic"));
        });
    }
    let Some(panicked) = panicked.as_ref().filter(|panicked| !panicked.told) else {
        return;
    };
    let Some(shared) = drain::pipeline(ids.pipeline()) else {
        return;
    };
    if let Some(handle) = handle
        && shared.exceptions != Exceptions::Logs
    {
        let place = format!("panicked at {}", panicked.location);
        exception(
            handle,
            Some("panic"),
            message,
            Some(&place),
            shared.limits.attributes_per_event,
        );
    }
}
