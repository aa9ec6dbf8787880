//! A call that is a statement on a database or an attempt at a job: beside its span and its metrics stand those of the conventions.

use super::settle::{Ended, SpanOf};
use crate::metrics::dynamic::Sample;
use crate::operation::Kept;
use crate::site::Site;
use crate::trace::active::SpanOptions;
use crate::trace::{SpanId, TraceId, chosen, direct};

/// All that can be is said of the span before it is entered, for it has no fields of the user's: a sampler that waits for them decides.
#[inline]
pub(super) fn is_described(site: &'static Site) -> bool {
    chosen::is_late() && site.def.span.as_ref().is_some_and(|span| span.fields.is_empty())
}

/// The call of a plain function begins: what is kept of it, the token of its span, and whether the span's parent is said, by the call or
/// by its message.
#[inline(never)]
pub(super) fn open(
    site: &'static Site,
    start: u64,
    mut options: Option<Box<SpanOptions>>,
    no_span: bool,
) -> (Kept, u64, bool) {
    let Some(operation) = site.def.operation() else {
        return (0, 0, false);
    };
    let (kept, said) = operation.begin(options.as_deref_mut());
    let parent_said = options.as_deref().is_some_and(SpanOptions::says_parent);
    if no_span {
        return (kept, 0, parent_said);
    }
    let token = match options {
        None => direct::open(site, start),
        Some(options) => direct::open_with(site, start, &options),
    };
    operation.describe(SpanOf::Call(token), said.as_ref());
    if is_described(site) {
        direct::fields(token, site, &[]);
    }
    (kept, token, parent_said)
}

/// The call ends.
#[inline(never)]
pub(super) fn end(
    site: &'static Site,
    kept: Kept,
    ended: &Ended,
    ticks: (u64, u64),
    exemplar: Option<(TraceId, SpanId)>,
) {
    if let Some(operation) = site.def.operation() {
        let took = Sample::duration(ticks.0, ticks.1, exemplar);
        operation.end(kept, ended.outcome, ended.kind, took);
    }
}
