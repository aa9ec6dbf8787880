//! An error on its way up: status and `error.type` on every span it passes, the exception and one log line only where it first
//! surfaced.
//!
//! A span keeps hashes of the messages that its direct children recorded. One whose own error, or any of its sources, has such
//! a message is passing it on. Spans that are not recorded keep nothing, so for them a few recent hashes of the thread do.

use super::body::{self, Key, PANICKED, Scalar};
use super::drain;
use super::local::{self, Ids};
use super::panics;
use super::pipeline::Exceptions;
use super::slab::Handle;
use super::store::{self, Live, SLAB, STATUS_ERROR};
use crate::probe::{ErrorRef, ErrorValue};
use crate::site::{ErrMode, Site};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Sources that are followed: a chain may be a ring.
const DEPTH: usize = 16;
/// Hashes a span keeps of its children's errors.
const SEEN: usize = 32;

thread_local! {
    /// Trace and message of errors that surfaced under spans not recorded.
    static RECENT: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

fn hash(message: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

fn shown(args: fmt::Arguments<'_>) -> String {
    let mut text = Vec::new();
    if !body::append(&mut text, args) {
        return PANICKED.to_owned();
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The messages of an error and its sources, outermost first.
fn messages(error: &ErrorRef<'_>) -> Vec<String> {
    local::guarded(|| match error.value {
        ErrorValue::Std(error) => {
            let mut messages = vec![shown(format_args!("{error}"))];
            let mut source = error.source();
            while let Some(error) = source
                && messages.len() < DEPTH
            {
                messages.push(shown(format_args!("{error}")));
                source = error.source();
            }
            messages
        }
        ErrorValue::Display(error) => vec![shown(format_args!("{error}"))],
        ErrorValue::Debug(error) => vec![shown(format_args!("{error:?}"))],
        ErrorValue::Opaque(name) => vec![name.to_owned()],
    })
}

/// Tells the span, and the world if it first surfaced here.
pub(crate) fn record(site: &'static Site, ids: &Ids, handle: Option<Handle>, error: &ErrorRef<'_>) {
    let mode = site.def.span.as_ref().map_or(ErrMode::Auto, |span| span.err);
    let messages = messages(error);
    let surfaced = surfaced(ids, handle, &messages);
    if let Some(handle) = handle {
        SLAB.with(handle, |live| {
            live.fixed.status = STATUS_ERROR;
            live.set("error.type", Scalar::Text(&error.error_type));
            if mode != ErrMode::Off {
                live.set("otel.status_description", Scalar::Text(&messages[0]));
            }
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
        let stacktrace = chain(&messages);
        exception(
            handle,
            &error.error_type,
            &messages[0],
            stacktrace.as_deref(),
            shared.limits.attributes_per_event,
        );
    }
    shared.events.error(site, error, Some(&ids.context()));
}

/// An error that the user hands to the current span. Its return from the same call is no second one.
pub(crate) fn by_hand(handle: Handle, error_type: &str, error: &dyn std::error::Error) {
    let messages = messages(&ErrorRef {
        error_type: Cow::Borrowed(""),
        value: ErrorValue::Std(error),
    });
    SLAB.with(handle, |live| {
        live.fixed.status = STATUS_ERROR;
        live.set("error.type", Scalar::Text(error_type));
        live.set("otel.status_description", Scalar::Text(&messages[0]));
        if live.seen.len() < SEEN {
            live.seen.push(hash(&messages[0]));
        }
    });
    exception(handle, error_type, &messages[0], chain(&messages).as_deref(), 128);
}

/// The causes, one to a line; none when there are none.
fn chain(messages: &[String]) -> Option<String> {
    let (_, causes) = messages.split_first()?;
    let lines: Vec<String> = causes.iter().map(|cause| format!("Caused by: {cause}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn exception(handle: Handle, of: &str, message: &str, stacktrace: Option<&str>, room: u32) {
    store::event(
        handle,
        "exception",
        |fields| {
            fields.named(Key::Name("exception.type"), Scalar::Text(of));
            fields.named(Key::Name("exception.message"), Scalar::Text(message));
            if let Some(stacktrace) = stacktrace {
                fields.named(Key::Name("exception.stacktrace"), Scalar::Text(stacktrace));
            }
        },
        room,
    );
}

/// Whether no child told of it, and tells the parent of it.
fn surfaced(ids: &Ids, handle: Option<Handle>, messages: &[String]) -> bool {
    let hashes: Vec<u64> = messages.iter().map(|message| hash(message)).collect();
    let told = |live: &mut Live| {
        let passed = hashes.iter().any(|hash| live.seen.contains(hash));
        (passed, live.parent, live.fixed.parent)
    };
    let Some((passed, parent, span)) = handle.and_then(|handle| SLAB.with(handle, told)) else {
        return surfaced_unrecorded(ids, &hashes);
    };
    if let Some(parent) = parent.or_else(|| below(span)) {
        SLAB.with(parent, |live| {
            if live.seen.len() < SEEN {
                live.seen.push(hashes[0]);
            }
        });
    }
    !passed
}

/// A parent that is not in the slab is a plain function's, on the stack of the thread that its child began on.
fn below(span: u64) -> Option<Handle> {
    if span == 0 {
        return None;
    }
    local::with(|local| {
        let at = local.stack.position_of_span(span)?;
        store::settle(local, at)
    })
    .flatten()
}

fn surfaced_unrecorded(ids: &Ids, hashes: &[u64]) -> bool {
    let trace = ids.trace().0 as u64;
    RECENT
        .try_with(|recent| {
            let Ok(mut recent) = recent.try_borrow_mut() else {
                return true;
            };
            let passed = hashes.iter().any(|hash| recent.contains(&(trace, *hash)));
            if recent.len() >= SEEN {
                recent.remove(0);
            }
            recent.push((trace, hashes[0]));
            !passed
        })
        .unwrap_or(true)
}

/// A call that unwinds: message and place as the hook kept them. Its log line is written where the hook is: once, traced or not.
#[cold]
pub(crate) fn panicked(ids: &Ids, handle: Option<Handle>) {
    let panicked = panics::current();
    let message = panicked.as_ref().map_or("", |panicked| &panicked.message);
    if let Some(handle) = handle {
        SLAB.with(handle, |live| {
            live.fixed.status = STATUS_ERROR;
            live.set("error.type", Scalar::Text("panic"));
            if !message.is_empty() {
                live.set("otel.status_description", Scalar::Text(message));
            }
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
            "panic",
            message,
            Some(&place),
            shared.limits.attributes_per_event,
        );
    }
}
