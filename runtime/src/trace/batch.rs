//! Spans on their way from the rings to a sink: encoded, and gathered by scope until there are enough.

use super::drain;
use super::finished::Head;
use super::long;
use super::otel;
use super::pipeline::{EncodedSpans, Shared};
use super::tail::{Scopes, Tail};
use crate::export::otlp::framed::Framed;
use crate::export::otlp::traces;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// In bytes: a batch of large spans has no more of them than a request.
const MOST_BATCH: usize = 3 << 20;

/// Encoded spans of one pipeline that wait for company, by scope.
pub(super) struct Batch {
    pub(super) shared: Arc<Shared>,
    scopes: Vec<(&'static str, Framed)>,
    /// The scope used last: spans of one come in runs.
    last: usize,
    pub(super) count: u64,
    pub(super) since: Instant,
    tail: Option<Tail>,
    /// One encoded span, where it is not known yet whether it stays.
    one: Vec<u8>,
}

impl Batch {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            tail: shared.tail.clone().map(Tail::new),
            one: Vec::new(),
            shared,
            scopes: Vec::new(),
            last: 0,
            count: 0,
            since: Instant::now(),
        }
    }

    pub(super) fn push(&mut self, head: &Head, body: &[u8], places: &mut traces::Places) {
        let scope = head.meta.map_or("", otel::scope_key);
        let long = if head.long() { long::take(head.span) } else { None };
        let body = long.as_deref().unwrap_or(body);
        if let Some(mut tail) = self.tail.take() {
            let mut one = std::mem::take(&mut self.one);
            traces::span(&mut one, head, body, places);
            tail.span(head, scope, &one, &mut |scopes| self.kept(scopes));
            one.clear();
            self.one = one;
            drain::discarded(std::mem::take(&mut tail.discarded));
            self.tail = Some(tail);
        } else {
            traces::span(self.scope(scope).end(), head, body, places);
            self.added(1);
        }
    }

    /// What the tail rules kept.
    fn kept(&mut self, scopes: Scopes) {
        for (scope, bytes, count) in scopes {
            self.scope(scope).end().extend_from_slice(&bytes);
            self.added(count);
        }
    }

    /// Decides traces that have waited long enough; `all` at the end.
    pub(super) fn overdue(&mut self, all: bool) {
        if let Some(mut tail) = self.tail.take() {
            tail.overdue(all, &mut |scopes| self.kept(scopes));
            drain::discarded(std::mem::take(&mut tail.discarded));
            self.tail = Some(tail);
        }
    }

    /// The encoded spans of a scope.
    fn scope(&mut self, scope: &'static str) -> &mut Framed {
        let same = |known: &&'static str| std::ptr::eq(*known, scope) || *known == scope;
        if !self.scopes.get(self.last).is_some_and(|(known, _)| same(known)) {
            self.last = self
                .scopes
                .iter()
                .position(|(known, _)| same(known))
                .unwrap_or_else(|| {
                    self.scopes.push((scope, Framed::default()));
                    self.scopes.len() - 1
                });
        }
        &mut self.scopes[self.last].1
    }

    fn added(&mut self, count: u64) {
        if self.count == 0 {
            self.since = Instant::now();
        }
        self.count += count;
        let bytes = self.scopes.get(self.last).map_or(0, |(_, spans)| spans.len());
        if self.count >= self.shared.batch as u64 || bytes >= MOST_BATCH {
            self.deliver();
        }
    }

    /// All spans in their scopes. Those of the largest one stay where they are, and the others come behind.
    fn framed(&mut self) -> Framed {
        let largest = self.scopes.iter_mut().max_by_key(|(_, spans)| spans.len());
        let mut all = largest.map_or_else(Framed::default, |(scope, spans)| {
            let mut spans = spans.take();
            traces::put_in_scope(&mut spans, scope);
            spans
        });
        for (scope, spans) in &mut self.scopes {
            if !spans.is_empty() {
                traces::put_in_scope(spans, scope);
                all.end().extend_from_slice(spans);
                spans.clear();
            }
        }
        all
    }

    pub(super) fn deliver(&mut self) {
        let scopes = self.framed();
        let count = std::mem::take(&mut self.count);
        let sink = &self.shared.sink;
        // A sink that panics loses its batch, not the thread.
        if catch_unwind(AssertUnwindSafe(|| sink.spans(EncodedSpans { scopes, count }))).is_ok() {
            drain::delivered(count);
        } else {
            drain::late(count);
        }
        if self.scopes.len() > 256 {
            self.scopes.clear();
            self.last = 0;
        }
    }
}
