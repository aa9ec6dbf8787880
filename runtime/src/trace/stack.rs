//! The spans that are current on one thread, the innermost last.
//!
//! A span of a plain function lives here and nowhere else, as a [`Frame`], until someone asks for it by an id that others may
//! keep: then it [moves](super::store::settle) to the slab. One that is not sampled needs even less: its ids are made
//! when they are asked for, which is hardly ever.

use super::context::TraceFlags;
use super::ids::Rng;
use super::local::{Carried, Ids};
use super::otel;
use super::slab::Handle;
use crate::site::Site;
use std::cell::Cell;
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
    pub(crate) meta: Option<&'static Metadata<'static>>,
    pub(crate) site: Option<&'static Site>,
    /// Of the parent, 0 for a root; of a span that lives here.
    pub(crate) parent: u64,
    pub(crate) start: u64,
    kind: Kind,
    /// Of the context of the `opentelemetry` API that was attached when this was pushed.
    pub(crate) noted: u32,
    /// The frame holds a reference to `handle`.
    pub(crate) owned: bool,
    pub(crate) parent_remote: bool,
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
}

/// What is known of a trace that is not recorded.
pub(crate) struct Root {
    /// The half of its id that the sampler saw, 0 where it saw none.
    pub(crate) low: u64,
    pub(crate) carried: Option<Arc<Carried>>,
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
            kind: Kind::Copy,
            noted: otel::noted(),
            owned: false,
            parent_remote: false,
        }
    }

    /// A recorded span of a call, to live here.
    #[inline]
    pub(crate) fn own(site: &'static Site, token: u64, ids: Ids, parent: u64, parent_remote: bool) -> Self {
        Self {
            ids,
            handle: None,
            token,
            meta: None,
            site: Some(site),
            parent,
            start: 0,
            kind: Kind::Own,
            noted: otel::noted(),
            owned: false,
            parent_remote,
        }
    }

    /// A span of a call that is not recorded; a child has its parent's trace.
    #[inline]
    pub(crate) fn lazy(site: &'static Site, token: u64, pipeline: u32, root: Option<Root>) -> Self {
        let (kind, low, carried) = match root {
            Some(Root { low, carried }) => (Kind::LazyRoot, low, carried),
            None => (Kind::LazyChild, 0, None),
        };
        Self {
            ids: Ids {
                trace: [0, low],
                span: 0,
                carried,
                bits: Ids::bits(pipeline, TraceFlags::RANDOM),
            },
            handle: None,
            token,
            meta: None,
            site: Some(site),
            parent: 0,
            start: 0,
            kind,
            noted: otel::noted(),
            owned: false,
            parent_remote: false,
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
        self.kind == Kind::Own
    }

    /// The identity of a span that is not lazy; see [`Stack::top`].
    #[inline]
    pub(crate) fn ids(&self) -> &Ids {
        debug_assert!(self.ids.span != 0, "made by `Stack::resolve`");
        &self.ids
    }

    /// The frame's span lives in the slab from here on; the frame holds the reference.
    pub(crate) fn moved(&mut self, handle: Handle) {
        self.kind = Kind::Copy;
        self.handle = Some(handle);
        self.owned = true;
    }

    pub(crate) fn metadata(&self) -> Option<&'static Metadata<'static>> {
        self.meta.or_else(|| self.site.map(Site::metadata))
    }

    /// Nothing to drop.
    #[inline]
    fn is_plain(&self) -> bool {
        self.ids.carried.is_none()
    }
}

thread_local! {
    /// How many frames of this thread are sampled: whether it is worth asking for one.
    static SAMPLED: Cell<u32> = const { Cell::new(0) };
}

#[inline]
fn count_sampled(f: impl FnOnce(u32) -> u32) {
    // `LocalKey::set` is a call.
    SAMPLED.with(|sampled| sampled.set(f(sampled.get())));
}

/// Whether some span that is current on this thread is sampled.
#[inline]
pub(crate) fn any_sampled() -> bool {
    SAMPLED.with(Cell::get) != 0
}

/// The frames of one thread.
pub(crate) struct Stack {
    frames: Vec<Frame>,
    /// The last token given out; they rise, and are odd where the span is recorded.
    tokens: u64,
}

impl Stack {
    pub(crate) const fn new() -> Self {
        Self {
            frames: Vec::new(),
            tokens: 0,
        }
    }

    /// A token for the next frame.
    #[inline]
    pub(crate) fn token(&mut self, recorded: bool) -> u64 {
        self.tokens += TOKEN_STEP;
        self.tokens | u64::from(recorded)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the frame is built where it goes")]
    pub(crate) fn push(&mut self, frame: Frame) {
        count_sampled(|n| n + u32::from(frame.is_sampled()));
        self.frames.push(frame);
    }

    /// The innermost frame, its ids perhaps still to be made.
    #[inline]
    pub(crate) fn peek(&self) -> Option<&Frame> {
        self.frames.last()
    }

    /// The innermost frame, its ids made.
    #[inline]
    pub(crate) fn top(&mut self, rng: &mut Rng) -> Option<&mut Frame> {
        let at = self.frames.len().checked_sub(1)?;
        if self.frames[at].ids.span == 0 {
            self.resolve(at, rng);
        }
        self.frames.get_mut(at)
    }

    /// Where the frame stands that a call pushed.
    #[inline]
    pub(crate) fn position(&self, token: u64) -> Option<usize> {
        self.frames.iter().rposition(|frame| frame.token == token)
    }

    /// Where the innermost frame of a span stands.
    pub(crate) fn position_of_span(&self, span: u64) -> Option<usize> {
        self.frames.iter().rposition(|frame| frame.ids.span == span)
    }

    /// The frames of a span take its identity anew.
    pub(crate) fn identify(&mut self, handle: Handle, ids: &Ids) {
        for frame in self.frames.iter_mut().filter(|frame| frame.handle == Some(handle)) {
            frame.ids.clone_from(ids);
        }
    }

    /// Where the innermost frame stands.
    pub(crate) fn last(&self) -> Option<usize> {
        self.frames.len().checked_sub(1)
    }

    /// The frame at a position, its ids made.
    pub(crate) fn at(&mut self, at: usize, rng: &mut Rng) -> Option<&mut Frame> {
        if self.frames.get(at)?.ids.span == 0 {
            self.resolve(at, rng);
        }
        self.frames.get_mut(at)
    }

    /// Takes off the innermost frame, which has nothing to drop.
    #[inline]
    pub(crate) fn pop_plain(&mut self) {
        std::mem::forget(self.pop());
    }

    #[inline]
    fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop()?;
        count_sampled(|n| n.saturating_sub(frame.is_sampled().into()));
        Some(frame)
    }

    /// Whether the innermost frame is the call's and needs no more than to be taken off.
    #[inline]
    pub(crate) fn ends_with(&self, token: u64) -> Option<&Frame> {
        self.frames
            .last()
            .filter(|frame| frame.token == token && frame.handle.is_none() && frame.is_plain())
    }

    /// Takes off the frame of a call, wherever it stands.
    pub(crate) fn take_token(&mut self, token: u64, rng: &mut Rng) -> Option<Frame> {
        if self.frames.last().is_some_and(|frame| frame.token == token) {
            return self.pop();
        }
        let at = self.position(token)?;
        Some(self.take(at, rng))
    }

    /// Takes off the innermost frame of a span, wherever it stands.
    #[inline]
    pub(crate) fn take_span(&mut self, span: u64, rng: &mut Rng) -> Option<Frame> {
        if self.frames.last().is_some_and(|frame| frame.ids.span == span) {
            return self.pop();
        }
        let at = self.frames.iter().rposition(|frame| frame.ids.span == span)?;
        Some(self.take(at, rng))
    }

    /// Takes off the innermost frame that stands for a span of the slab without holding it: one that does was pushed by a call,
    /// which takes it off itself. Returns its span.
    #[inline]
    pub(crate) fn leave(&mut self, handle: Handle, rng: &mut Rng) -> Option<u64> {
        let of = |frame: &Frame| frame.handle == Some(handle) && !frame.owned;
        let left = if self.frames.last().is_some_and(of) {
            self.pop()
        } else {
            let at = self.frames.iter().rposition(of)?;
            Some(self.take(at, rng))
        };
        left.map(|frame| frame.ids.span)
    }

    #[cold]
    fn take(&mut self, at: usize, rng: &mut Rng) -> Frame {
        // Frames above may have yet to learn their trace from this one.
        if let Some(last) = self.frames.len().checked_sub(1) {
            for above in at..=last {
                self.resolve(above, rng);
            }
        }
        let frame = self.frames.remove(at);
        count_sampled(|n| n.saturating_sub(frame.is_sampled().into()));
        frame
    }

    /// Makes the ids of a frame that has none yet.
    #[cold]
    fn resolve(&mut self, at: usize, rng: &mut Rng) {
        // The nearest frame that knows its trace, or begins one.
        let mut from = at;
        while self.frames[from].kind == Kind::LazyChild && from > 0 {
            from -= 1;
        }
        for at in from..=at {
            let below = at
                .checked_sub(1)
                .map(|below| (self.frames[below].ids.trace, self.frames[below].ids.carried.clone()));
            let frame = &mut self.frames[at];
            match (frame.kind, below) {
                (Kind::Copy | Kind::Own, _) => continue,
                (Kind::LazyChild, Some((trace, carried))) => {
                    frame.ids.trace = trace;
                    frame.ids.carried = carried;
                }
                (Kind::LazyRoot | Kind::LazyChild, _) => {
                    let [high, low] = rng.trace_words();
                    let drawn = frame.ids.trace[1];
                    frame.ids.trace = [high, if drawn == 0 { low } else { drawn }];
                }
            }
            frame.ids.span = rng.span_id().0;
            frame.kind = Kind::Copy;
        }
    }

    /// What is left when the thread ends: the references that frames hold.
    pub(crate) fn drain_owned(&mut self) -> impl Iterator<Item = Handle> {
        self.frames
            .drain(..)
            .filter_map(|frame| if frame.owned { frame.handle } else { None })
    }
}

/// Tokens keep their lowest bits free.
pub(crate) const TOKEN_STEP: u64 = 4;
/// The span is recorded.
pub(crate) const RECORDED: u64 = 1;
/// The span is of another subscriber: not of this stack.
pub(crate) const FOREIGN: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::__private as p;

    static SITE: Site = Site {
        def: p::Def {
            function: "f",
            module: "m",
            file: "f.rs",
            line: 1,
            asynchronous: false,
            fallible: false,
            span: None,
            counter: None,
            timer: None,
        },
        slots: p::Slots::new(),
    };

    fn lazies(root: bool) -> (Stack, Rng, [u64; 3]) {
        let mut stack = Stack::new();
        let tokens = [(); 3].map(|()| stack.token(false));
        for (at, token) in tokens.into_iter().enumerate() {
            let root = (at == 0 && root).then_some(Root { low: 0, carried: None });
            stack.push(Frame::lazy(&SITE, token, 1, root));
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
        let root = Root { low: 77, carried: None };
        stack.push(Frame::lazy(&SITE, token, 1, Some(root)));
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
            assert_eq!(gone.ids().trace, inner.trace);
            assert!(stack.take_token(tokens[0], &mut rng).is_none());
            assert!(stack.ends_with(tokens[2]).is_some());
            stack.pop_plain();
            assert!(stack.ends_with(tokens[1]).is_some());
        }
    }
}
