//! The spans that are current on one thread, the innermost last.
//!
//! A span of a plain function lives here and nowhere else, as a [`Frame`], until someone asks for it by an id that others may
//! keep: then it [moves](super::store::settle) to the slab. One that is not sampled needs even less: its ids are made
//! when they are asked for, which is hardly ever.

use super::context::TraceFlags;
use super::ids::Rng;
use super::local::{Carried, Ids};
use super::otel;
use super::passed;
use super::slab::Handle;
use crate::here::here;
use crate::site::Site;
use std::sync::Arc;
use tracing_core::Metadata;

/// One current span.
pub(crate) struct Frame {
    /// Of a lazy frame, what there is: the pipeline, the flags, and of a root the half of its trace id that was drawn for the
    /// sampler.
    ids: Ids,
    /// Its place in the slab; none for a span that lives here, and for one not recorded, until someone asks for it.
    pub(crate) handle: Option<Handle>,
    /// Which call pushed it; 0 for whoever finds it by its span.
    pub(crate) token: u64,
    meta: Option<&'static Metadata<'static>>,
    pub(crate) site: Option<&'static Site>,
    /// Of the parent, 0 for a root; of a span that lives here.
    pub(crate) parent: u64,
    pub(crate) start: u64,
    marks: Marks,
}

/// What there is to say of a frame in few bits, in one word that is written at once.
#[derive(Clone, Copy)]
struct Marks {
    /// Of the context of the `opentelemetry` API that was attached when the frame was pushed.
    noted: u32,
    kind: Kind,
    /// The frame holds a reference to its handle.
    owned: bool,
    parent_remote: bool,
    /// Of a span that lives here there is something in [`Stack::bodies`].
    said: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// The span lives elsewhere, or nowhere; this is its identity.
    Copy,
    /// A recorded span that lives here.
    Own,
    /// Not recorded; its ids are to be made.
    LazyRoot,
    /// The same; its trace is that of the frame below.
    LazyChild,
    /// A span of `tracing` that is not recorded; its handle knows its ids.
    Passed,
}

impl Frame {
    /// A span that lives in the slab, or is not recorded.
    #[inline]
    pub(crate) fn copy(ids: Ids, handle: Option<Handle>, meta: &'static Metadata<'static>) -> Self {
        Self {
            ids,
            handle,
            token: 0,
            meta: Some(meta),
            site: None,
            parent: 0,
            start: 0,
            marks: Marks {
                noted: otel::noted(),
                kind: Kind::Copy,
                owned: false,
                parent_remote: false,
                said: false,
            },
        }
    }

    /// The span of a call that goes by way of the slab; the frame holds the reference.
    pub(crate) fn of_call(token: u64, ids: Ids, handle: Option<Handle>, meta: &'static Metadata<'static>) -> Self {
        let mut frame = Self::copy(ids, handle, meta);
        frame.token = token;
        frame.marks.owned = handle.is_some();
        frame
    }

    /// The same span once more, under other ids' baggage.
    pub(crate) fn again(&self, ids: Ids, meta: &'static Metadata<'static>) -> Self {
        let mut again = Self::copy(ids, self.handle, meta);
        again.marks.noted = self.marks.noted;
        again
    }

    /// A recorded span of a call, to live here. Made as a whole and copied: one that is written word by word is waited for where
    /// it is read by pairs of them.
    #[inline]
    pub(crate) fn own(
        site: &'static Site,
        token: u64,
        ids: Ids,
        (parent, parent_remote): (u64, bool),
        noted: u32,
    ) -> Self {
        Self {
            ids,
            handle: None,
            token,
            meta: None,
            site: Some(site),
            parent,
            start: 0,
            marks: Marks {
                noted,
                kind: Kind::Own,
                owned: false,
                parent_remote,
                said: false,
            },
        }
    }

    /// A place to write to.
    const fn empty() -> Self {
        Self {
            ids: Ids {
                trace: [0; 2],
                span: 0,
                carried: None,
                bits: 0,
            },
            handle: None,
            token: 0,
            meta: None,
            site: None,
            parent: 0,
            start: 0,
            marks: Marks {
                noted: 0,
                kind: Kind::Copy,
                owned: false,
                parent_remote: false,
                said: false,
            },
        }
    }

    #[inline]
    pub(crate) fn pipeline(&self) -> u32 {
        self.ids.pipeline()
    }

    #[inline]
    pub(crate) fn is_sampled(&self) -> bool {
        self.ids.flags().is_sampled()
    }

    #[inline]
    pub(crate) fn is_own(&self) -> bool {
        self.marks.kind == Kind::Own
    }

    #[inline]
    pub(crate) fn parent_remote(&self) -> bool {
        self.marks.parent_remote
    }

    #[inline]
    pub(crate) fn noted(&self) -> u32 {
        self.marks.noted
    }

    /// The identity of a span that is not lazy; see [`Stack::top`].
    #[inline]
    pub(crate) fn ids(&self) -> &Ids {
        debug_assert!(self.ids.span != 0, "made by `Stack::resolve`");
        &self.ids
    }

    /// Something was said of a span that lives here.
    #[inline]
    pub(crate) fn has_said(&self) -> bool {
        self.marks.said
    }

    /// The frame's span lives in the slab from here on; the frame holds the reference.
    pub(crate) fn moved(&mut self, handle: Handle) {
        self.marks.kind = Kind::Copy;
        self.handle = Some(handle);
        self.marks.owned = true;
    }

    pub(crate) fn metadata(&self) -> Option<&'static Metadata<'static>> {
        self.site.map(Site::metadata).or(self.meta)
    }

    /// The reference that the frame holds.
    fn owned(&self) -> Option<Handle> {
        self.handle.filter(|_| self.marks.owned)
    }

    /// Nothing to drop.
    #[inline]
    fn is_plain(&self) -> bool {
        self.ids.carried.is_none()
    }
}

/// A frame that was taken off.
pub(crate) struct Left {
    pub(crate) span: u64,
    /// The reference that it held, which is now the taker's.
    pub(crate) owned: Option<Handle>,
}

#[inline]
fn count_sampled(f: impl FnOnce(u32) -> u32) {
    // `LocalKey::set` is a call.
    here(|here| here.sampled.set(f(here.sampled.get())));
}

/// Whether some span that is current on this thread is sampled: whether it is worth asking for one.
#[inline]
pub(crate) fn any_sampled() -> bool {
    here(|here| here.sampled.get()) != 0
}

/// What was said of a span that lives in a frame.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Attributes in it, and those for which there was no room.
    pub(crate) written: u32,
    pub(crate) dropped: u32,
}

/// A body that grew beyond this gives its memory back.
const KEEP_BODY: usize = 1024;

/// The frames of one thread.
pub(crate) struct Stack {
    /// The first `depth` are current. Those above were, and are written over: of a span that is not recorded only what it has.
    frames: Vec<Frame>,
    depth: usize,
    /// The attributes of spans that live in the frames at the same places, as far as any have some.
    bodies: Vec<Body>,
    /// The last token given out; they rise, and are odd where the span is recorded.
    tokens: u64,
}

impl Stack {
    pub(crate) const fn new() -> Self {
        Self {
            frames: Vec::new(),
            depth: 0,
            bodies: Vec::new(),
            tokens: 0,
        }
    }

    /// A token for the next frame.
    #[inline]
    pub(crate) fn token(&mut self, recorded: bool) -> u64 {
        self.tokens += TOKEN_STEP;
        self.tokens | u64::from(recorded)
    }

    /// Where the next frame is written.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the frame is built where it goes")]
    fn next(&mut self) -> &mut Frame {
        let at = self.depth;
        if at == self.frames.len() {
            self.grow();
        }
        self.depth = at + 1;
        &mut self.frames[at]
    }

    #[cold]
    fn grow(&mut self) {
        self.frames.push(Frame::empty());
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the frame is built where it goes")]
    pub(crate) fn push(&mut self, frame: Frame) {
        count_sampled(|n| n + u32::from(frame.is_sampled()));
        *self.next() = frame;
    }

    /// Pushes a span that lives in the slab, or is not recorded: this is its identity. Written where it goes, word by word: of a copy made
    /// of one that was just written, pairs of words are waited for.
    #[inline]
    pub(crate) fn push_copy(&mut self, ids: &Ids, handle: Option<Handle>, meta: &'static Metadata<'static>) {
        let frame = self.next();
        frame.ids.trace = ids.trace;
        frame.ids.span = ids.span;
        frame.ids.bits = ids.bits;
        if ids.carried.is_some() || frame.ids.carried.is_some() {
            frame.ids.carried.clone_from(&ids.carried);
        }
        frame.handle = handle;
        frame.token = 0;
        frame.meta = Some(meta);
        frame.site = None;
        frame.parent = 0;
        frame.start = 0;
        frame.marks = Marks {
            noted: otel::noted(),
            kind: Kind::Copy,
            owned: false,
            parent_remote: false,
            said: false,
        };
        let sampled = frame.is_sampled();
        count_sampled(|n| n + u32::from(sampled));
    }

    /// Pushes a span of a call that is not recorded: a child, which has its parent's trace, or a root, with the half of its trace's
    /// id that the sampler saw, 0 where it saw none.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is a few stores")]
    pub(crate) fn push_lazy(&mut self, site: &'static Site, token: u64, pipeline: u32, root: Option<u64>, noted: u32) {
        let frame = self.next();
        frame.site = Some(site);
        frame.token = token;
        frame.handle = None;
        frame.ids.span = 0;
        frame.ids.bits = Ids::bits(pipeline, TraceFlags::RANDOM);
        let kind = if let Some(low) = root {
            frame.ids.trace[1] = low;
            Kind::LazyRoot
        } else {
            Kind::LazyChild
        };
        frame.marks = Marks {
            noted,
            kind,
            owned: false,
            parent_remote: false,
            said: false,
        };
    }

    /// What travels with the root that was pushed last.
    #[cold]
    pub(crate) fn carry(&mut self, carried: Option<Arc<Carried>>) {
        if let Some(frame) = self.frames[..self.depth].last_mut() {
            frame.ids.carried = carried;
        }
    }

    /// Pushes a span of `tracing` that is not recorded.
    #[inline]
    pub(crate) fn push_passed(&mut self, handle: Handle, bits: u64, meta: &'static Metadata<'static>) {
        let frame = self.next();
        frame.site = None;
        frame.meta = Some(meta);
        frame.token = 0;
        frame.handle = Some(handle);
        frame.ids.span = 0;
        frame.ids.bits = bits;
        frame.marks = Marks {
            noted: 0,
            kind: Kind::Passed,
            owned: false,
            parent_remote: false,
            said: false,
        };
    }

    #[inline]
    fn current(&self) -> &[Frame] {
        &self.frames[..self.depth]
    }

    /// The innermost frame, its ids perhaps still to be made.
    #[inline]
    pub(crate) fn peek(&self) -> Option<&Frame> {
        self.frames.get(self.depth.wrapping_sub(1))
    }

    /// The innermost frame, its ids made.
    #[inline]
    pub(crate) fn top(&mut self, rng: &mut Rng) -> Option<&mut Frame> {
        let at = self.depth.checked_sub(1)?;
        if self.frames[at].ids.span == 0 {
            self.resolve(at, rng);
        }
        self.frames.get_mut(at)
    }

    /// Where the frame stands that a call pushed.
    #[inline]
    pub(crate) fn position(&self, token: u64) -> Option<usize> {
        self.current().iter().rposition(|frame| frame.token == token)
    }

    /// Where the innermost frame of a span stands.
    pub(crate) fn position_of_span(&self, span: u64) -> Option<usize> {
        self.current().iter().rposition(|frame| frame.ids.span == span)
    }

    /// The ids of all current spans.
    pub(crate) fn spans(&mut self, rng: &mut Rng) -> Vec<u64> {
        for at in 0..self.depth {
            if self.frames[at].ids.span == 0 {
                self.resolve(at, rng);
            }
        }
        self.current().iter().map(|frame| frame.ids.span).collect()
    }

    /// The frames of a span take its identity anew; those under baggage of their own keep that.
    pub(crate) fn identify(&mut self, handle: Handle, before: &Ids, ids: &Ids) {
        let current = self.frames[..self.depth].iter_mut();
        for frame in current.filter(|frame| frame.handle.map(passed::resolved) == Some(handle)) {
            let was = frame.is_sampled();
            let carried = if frame.ids.carried == before.carried {
                ids.carried.clone()
            } else {
                let trace_state = ids.carried.as_ref().and_then(|carried| carried.trace_state.clone());
                Carried::of(trace_state, &frame.ids.baggage())
            };
            frame.ids = Ids { carried, ..ids.clone() };
            frame.marks.kind = Kind::Copy;
            let is = frame.is_sampled();
            count_sampled(|n| (n + u32::from(is)).saturating_sub(was.into()));
        }
    }

    /// Where the innermost frame stands.
    pub(crate) fn last(&self) -> Option<usize> {
        self.depth.checked_sub(1)
    }

    /// The frame at a position, its ids made.
    pub(crate) fn at(&mut self, at: usize, rng: &mut Rng) -> Option<&mut Frame> {
        if self.current().get(at)?.ids.span == 0 {
            self.resolve(at, rng);
        }
        self.frames.get_mut(at)
    }

    /// Attributes for a span that lives here; false where it does not.
    pub(crate) fn say(&mut self, at: usize, attributes: &[u8], written: u32, dropped: u32) -> bool {
        let Some(frame) = self.frames[..self.depth].get_mut(at).filter(|frame| frame.is_own()) else {
            return false;
        };
        if self.bodies.len() <= at {
            self.bodies.resize_with(at + 1, Body::default);
        }
        let body = &mut self.bodies[at];
        if !frame.has_said() {
            body.bytes.clear();
            (body.written, body.dropped) = (0, 0);
            frame.marks.said = true;
        }
        body.bytes.extend_from_slice(attributes);
        body.written += written;
        body.dropped += dropped;
        true
    }

    /// How many attributes were said of a span that lives here.
    pub(crate) fn written(&self, at: usize) -> u32 {
        let said = self.frames.get(at).is_some_and(Frame::has_said);
        self.bodies.get(at).filter(|_| said).map_or(0, |body| body.written)
    }

    /// What was said of a span that lives here, to be given back by [`keep_body`](Self::keep_body).
    pub(crate) fn take_body(&mut self, at: usize) -> Body {
        let said = self.frames.get(at).is_some_and(Frame::has_said);
        let body = self.bodies.get_mut(at).filter(|_| said);
        body.map(std::mem::take).unwrap_or_default()
    }

    /// The room of a body, for the next one.
    pub(crate) fn keep_body(&mut self, at: usize, body: Body) {
        if body.bytes.capacity() <= KEEP_BODY
            && let Some(place) = self.bodies.get_mut(at)
        {
            *place = body;
        }
    }

    /// Takes off the innermost frame, which has nothing to drop.
    #[inline]
    pub(crate) fn pop_plain(&mut self) {
        if let Some(frame) = self.peek() {
            if frame.is_sampled() {
                count_sampled(|n| n.saturating_sub(1));
            }
            self.depth -= 1;
        }
    }

    /// Takes off the innermost frame if it is that call's, which is not recorded and has nothing to drop.
    #[inline]
    pub(crate) fn pop_lazy(&mut self, token: u64) -> bool {
        let last = self.ends_with(token).is_some();
        if last {
            self.depth -= 1;
        }
        last
    }

    /// Takes off the innermost frame if it is that of a span of `tracing` which is not recorded, and whose ids nobody asked for.
    #[inline]
    pub(crate) fn pop_passed(&mut self, handle: Handle) -> bool {
        let is_it = |frame: &Frame| frame.handle == Some(handle) && frame.marks.kind == Kind::Passed;
        let last = self.peek().is_some_and(is_it);
        if last {
            self.depth -= 1;
        }
        last
    }

    #[inline]
    fn pop(&mut self) -> Option<Left> {
        let frame = self.frames.get_mut(self.depth.wrapping_sub(1))?;
        if frame.is_sampled() {
            count_sampled(|n| n.saturating_sub(1));
        }
        if !frame.is_plain() {
            frame.ids.carried = None;
        }
        self.depth -= 1;
        Some(Left {
            span: frame.ids.span,
            owned: frame.owned(),
        })
    }

    /// Whether the innermost frame is the call's and needs no more than to be taken off.
    #[inline]
    pub(crate) fn ends_with(&self, token: u64) -> Option<&Frame> {
        self.peek()
            .filter(|frame| frame.token == token && frame.handle.is_none() && frame.is_plain())
    }

    /// Takes off the frame of a call, wherever it stands.
    pub(crate) fn take_token(&mut self, token: u64, rng: &mut Rng) -> Option<Left> {
        if self.peek().is_some_and(|frame| frame.token == token) {
            return self.pop();
        }
        let at = self.position(token)?;
        self.take(at, rng)
    }

    /// Takes off the innermost frame of a span, wherever it stands.
    #[inline]
    pub(crate) fn take_span(&mut self, span: u64, rng: &mut Rng) -> Option<Left> {
        if self.peek().is_some_and(|frame| frame.ids.span == span) {
            return self.pop();
        }
        let at = self.position_of_span(span)?;
        self.take(at, rng)
    }

    /// Takes off the innermost frame that stands for a span of the slab without holding it: one that does was pushed by a call,
    /// which takes it off itself. Returns its span.
    #[inline]
    pub(crate) fn leave(&mut self, handle: Handle, rng: &mut Rng) -> Option<u64> {
        let of = |frame: &Frame| frame.handle == Some(handle) && !frame.marks.owned;
        let left = if self.peek().is_some_and(of) {
            self.pop()
        } else {
            let at = self.current().iter().rposition(of)?;
            self.take(at, rng)
        };
        left.map(|frame| frame.span)
    }

    #[cold]
    fn take(&mut self, at: usize, rng: &mut Rng) -> Option<Left> {
        // Frames above may have yet to learn their trace from this one.
        for above in at..self.depth {
            self.resolve(above, rng);
        }
        self.frames[at..self.depth].rotate_left(1);
        if self.bodies.len() > at {
            self.bodies.resize_with(self.frames.len(), Body::default);
            self.bodies[at..self.depth].rotate_left(1);
        }
        self.pop()
    }

    /// Makes the ids of a frame that has none yet.
    #[cold]
    fn resolve(&mut self, at: usize, rng: &mut Rng) {
        // The nearest frame that knows its trace, or begins one.
        let mut from = at;
        while self.frames[from].marks.kind == Kind::LazyChild && from > 0 {
            from -= 1;
        }
        for at in from..=at {
            let below = at.checked_sub(1).map(|below| self.frames[below].ids.clone());
            let frame = &mut self.frames[at];
            match (frame.marks.kind, below) {
                (Kind::Copy | Kind::Own, _) => continue,
                (Kind::LazyChild, Some(parent)) => {
                    frame.ids.bits = Ids::bits(frame.ids.pipeline(), parent.flags().inherited());
                    frame.ids.trace = parent.trace;
                    frame.ids.carried = parent.carried;
                }
                (Kind::Passed, _) => {
                    frame.marks.kind = Kind::Copy;
                    if let Some((ids, _)) = frame.handle.and_then(passed::known) {
                        frame.ids = ids;
                        continue;
                    }
                    // It is closed, and current nevertheless.
                    frame.ids.trace = rng.trace_words();
                }
                (Kind::LazyRoot, _) => {
                    let [high, low] = rng.trace_words();
                    let drawn = frame.ids.trace[1];
                    frame.ids.trace = [high, if drawn == 0 { low } else { drawn }];
                }
                (Kind::LazyChild, None) => frame.ids.trace = rng.trace_words(),
            }
            frame.ids.span = rng.span_id().0;
            frame.marks.kind = Kind::Copy;
        }
    }

    /// What is left when the thread ends: the references that frames hold.
    pub(crate) fn drain_owned(&mut self) -> impl Iterator<Item = Handle> {
        self.frames
            .drain(..std::mem::take(&mut self.depth))
            .filter_map(|frame| frame.owned())
    }
}

/// Tokens keep their lowest bits free.
pub(crate) const TOKEN_STEP: u64 = 8;
/// The span is recorded.
pub(crate) const RECORDED: u64 = 1;
/// The span is of another subscriber: not of this stack.
pub(crate) const FOREIGN: u64 = 2;
/// The frame stands for what was handed on: not recorded here, and perhaps sampled where it came from.
pub(crate) const HANDED_ON: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::__private as p;

    static SITE: Site = Site {
        def: p::Def::bare("f"),
        slots: p::Slots::new(),
    };

    fn lazies(root: bool) -> (Stack, Rng, [u64; 3]) {
        let mut stack = Stack::new();
        let tokens = [(); 3].map(|()| stack.token(false));
        for (at, token) in tokens.into_iter().enumerate() {
            let root = (at == 0 && root).then_some(0);
            stack.push_lazy(&SITE, token, 1, root, 0);
        }
        (stack, Rng::unseeded(), tokens)
    }

    #[test]
    fn what_is_not_recorded_has_one_trace_and_an_id_each() {
        let (mut stack, mut rng, tokens) = lazies(true);
        let inner = stack.top(&mut rng).unwrap().ids().clone();
        for token in tokens {
            let at = stack.position(token).unwrap();
            let ids = stack.at(at, &mut rng).unwrap().ids().clone();
            assert_eq!(ids.trace, inner.trace);
            assert_eq!(ids.span == inner.span, token == tokens[2]);
            assert!(!ids.flags().is_sampled());
        }
        assert_eq!(
            stack.top(&mut rng).unwrap().ids().span,
            inner.span,
            "once made, they stay"
        );
    }

    #[test]
    fn a_drawn_half_stays() {
        let mut stack = Stack::new();
        let token = stack.token(false);
        stack.push_lazy(&SITE, token, 1, Some(77), 0);
        let ids = stack.top(&mut Rng::unseeded()).unwrap().ids().clone();
        assert_eq!(ids.trace[1], 77);
        assert_ne!(ids.trace[0], 0);
    }

    #[test]
    fn those_above_learn_their_trace_from_one_that_leaves_early() {
        for root in [true, false] {
            let (mut stack, mut rng, tokens) = lazies(root);
            let gone = stack.take_token(tokens[0], &mut rng).unwrap();
            let inner = stack.top(&mut rng).unwrap().ids().clone();
            assert!(gone.span != 0 && gone.span != inner.span && gone.owned.is_none());
            assert!(stack.take_token(tokens[0], &mut rng).is_none());
            assert!(stack.ends_with(tokens[2]).is_some());
            stack.pop_plain();
            assert!(stack.ends_with(tokens[1]).is_some());
        }
    }
}
