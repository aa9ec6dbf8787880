//! `builder().otel_context(true)`: each of our spans is attached as a context of the `opentelemetry` API where it is entered, for
//! readers that know that one only. They see its ids and the baggage that travels with it;
//! what they set on it goes nowhere.

use super::{OTEL_ATTACHING, convert, modes, with_context};
use crate::trace::local::{self, Ids};
use opentelemetry::ContextGuard;
use opentelemetry::trace::TraceContextExt as _;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The guards of this thread's entered spans, by span id, the innermost last.
struct Guards(Vec<(u64, ContextGuard)>);

impl Drop for Guards {
    fn drop(&mut self) {
        // The thread ends, and may have lost the contexts they would go back to.
        for (_, guard) in self.0.drain(..) {
            std::mem::forget(guard);
        }
    }
}

thread_local! {
    static GUARDS: RefCell<Guards> = const { RefCell::new(Guards(Vec::new())) };
}

/// Whether [`entered`] and [`left`] do anything.
#[inline]
pub(crate) fn is_attaching() -> bool {
    modes::has(OTEL_ATTACHING)
}

/// A span of ours was made current. Not to be called while this thread's state is borrowed: contexts hold values of others.
#[inline]
pub(crate) fn entered(ids: &Ids) {
    if is_attaching() {
        attach(ids);
    }
}

/// It is no longer.
#[inline]
pub(crate) fn left(span: u64) {
    if is_attaching() {
        detach(span);
    }
}

#[cold]
fn attach(ids: &Ids) {
    let context = ids.context();
    let attached = with_context(|cx| {
        let cx = cx.with_remote_span_context((&context).into());
        if context.baggage.is_empty() {
            cx
        } else {
            convert::with_baggage(&cx, &context.baggage)
        }
    });
    if let Some(cx) = attached
        && let Some(guard) = unless_borrowed(|| cx.attach())
    {
        let mut kept = Some((ids.span, guard));
        let _ = GUARDS.try_with(|guards| guards.borrow_mut().0.extend(kept.take()));
        if let Some((_, guard)) = kept {
            std::mem::forget(guard);
        }
    }
}

#[cold]
fn detach(span: u64) {
    let guard = GUARDS.try_with(|guards| {
        let guards = &mut guards.borrow_mut().0;
        let at = guards.iter().rposition(|(of, _)| *of == span)?;
        Some(guards.remove(at).1)
    });
    if let Ok(Some(guard)) = guard {
        match with_context(|_| ()) {
            Some(()) => {
                unless_borrowed(|| drop(guard));
            }
            None => std::mem::forget(guard),
        }
    }
}

/// The API panics where a context is attached or detached while the current one is borrowed, as inside `Context::map_current`; it cannot
/// be asked before.
fn unless_borrowed<R>(f: impl FnOnce() -> R) -> Option<R> {
    local::guarded(|| catch_unwind(AssertUnwindSafe(f)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{SpanId, TraceFlags, TraceId};
    use opentelemetry::Context;
    use opentelemetry::trace::SpanId as ApiSpanId;

    #[test]
    fn where_the_current_context_is_borrowed_nothing_is_attached() {
        let ids = |span| Ids::new(TraceId(1), SpanId(span), TraceFlags::SAMPLED);
        let current = || Context::map_current(|cx| cx.span().span_context().span_id());
        attach(&ids(2));
        Context::map_current(|_| {
            attach(&ids(3));
            detach(3);
        });
        assert_eq!(current(), ApiSpanId::from(2));
        detach(2);
        assert_eq!(current(), ApiSpanId::INVALID);
        attach(&ids(4));
        Context::map_current(|_| detach(4));
    }
}
