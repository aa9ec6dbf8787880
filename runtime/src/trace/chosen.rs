//! Samplers of the program's own. They are asked before anything of ours is borrowed or locked, with spans and lines of their own
//! turned away meanwhile; what they said waits with the thread for the span that opens next.
//!
//! One that wants attributes gets those of `tracing` and of the `opentelemetry` API before the span opens. Fields of `#[traced]` are
//! evaluated only for spans that are recorded, so such a span opens tentatively and is decided when they are there, which is before
//! anything runs in it.

use super::body::{self, Item, Items, Key, Scalar};
use super::context::{SpanContext, TraceFlags, TraceId};
use super::drain;
use super::local::{self, Carried, Ids, Local};
use super::pipeline::Shared;
use super::sampler::{Decision, Sampler};
use super::slab::Handle;
use super::store::{self, SLAB, Start};
use super::visit::Fields;
use crate::export::diag;
use crate::site::SpanKind;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_core::Metadata;

/// A sampler of the program's own.
pub(crate) trait Choose: Send + Sync {
    fn name(&self) -> &'static str;
    fn wants_attributes(&self) -> bool;
    fn choose(&self, span: &Asked<'_>) -> Chosen;
}

#[derive(Clone)]
pub(crate) struct Custom(pub(crate) Arc<dyn Choose>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The span in question.
#[cfg_attr(
    not(feature = "otel-sdk"),
    allow(dead_code, reason = "only a sampler of the program reads it")
)]
pub(crate) struct Asked<'a> {
    pub(crate) parent: Option<&'a SpanContext>,
    pub(crate) trace: TraceId,
    pub(crate) name: &'a str,
    pub(crate) kind: SpanKind,
    pub(crate) links: &'a [SpanContext],
    meta: &'static Metadata<'static>,
    body: &'a [u8],
}

#[cfg_attr(
    not(feature = "otel-sdk"),
    allow(dead_code, reason = "only a sampler of the program reads it")
)]
impl<'a> Asked<'a> {
    /// Its attributes, where the sampler wants them.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'a str, Scalar<'a>)> {
        let meta = self.meta;
        let mut inside = false;
        Items(self.body).texts().filter_map(move |item| match item {
            Item::Attribute(key, value) if !inside => Some((body::name_of(key, Some(meta.fields())), value)),
            Item::Event { .. } | Item::EventAt { .. } | Item::Link { .. } => {
                inside = true;
                None
            }
            Item::End { .. } => {
                inside = false;
                None
            }
            _ => None,
        })
    }
}

/// The sampler's answer.
#[expect(clippy::option_option, reason = "no change, and a change to none, are two things")]
pub(crate) struct Chosen {
    pub(crate) sampled: bool,
    pub(crate) state: Option<Option<Arc<str>>>,
    /// Attributes for the span, as a body has them.
    pub(crate) attributes: Vec<u8>,
}

/// What there is of a span's attributes before it opens.
pub(crate) enum Given<'a> {
    /// They are those of this function.
    Fields(&'a dyn Fn(&mut Fields<'_>)),
    /// They are written already.
    Body(&'a [u8]),
    /// They come by [`fields`], if there are any.
    Later,
}

/// What was said for the span that opens next on this thread.
pub(crate) struct Decided {
    pub(crate) trace: [u64; 2],
    chosen: Chosen,
    /// The sampler is asked when the fields are there.
    pub(crate) tentative: bool,
    parent: Option<SpanContext>,
}

impl Decided {
    pub(crate) fn decision(&self) -> Decision {
        Decision {
            sampled: self.chosen.sampled,
            state: self.chosen.state.clone(),
        }
    }
}

/// Spans that wait for their fields, on one thread; one whose fields never came is forgotten.
const MOST_UNDECIDED: usize = 64;
/// Some span waits for its fields to be decided.
static UNDECIDED: AtomicBool = AtomicBool::new(false);

/// Asks a sampler of the program's own, where there is one. To be called before this thread's state is borrowed, and followed by
/// [`store::start`] of the same.
#[inline]
pub(crate) fn ask(shared: &Shared, start: &Start<'_>, name: &str, links: &[SpanContext], given: &Given<'_>) {
    if let Sampler::Custom(custom) = &shared.sampler {
        ask_apart(custom, shared, start, name, links, given);
    }
}

#[cold]
fn ask_apart(
    custom: &Custom,
    shared: &Shared,
    start: &Start<'_>,
    name: &str,
    links: &[SpanContext],
    given: &Given<'_>,
) {
    let found = local::with(|local| {
        let parent = store::parent_of(local, shared.id, start.parent);
        match parent {
            Some(parent) => (parent.ids.trace, Some(parent.ids.context())),
            None => (local.rng.trace_words(), None),
        }
    });
    let Some((trace, parent)) = found else { return };
    let wants = custom.0.wants_attributes();
    let has_fields = !start.meta.fields().is_empty();
    let decided = if wants && has_fields && matches!(given, Given::Later) {
        UNDECIDED.store(true, Ordering::Relaxed);
        Decided {
            trace,
            chosen: Chosen {
                sampled: true,
                state: None,
                attributes: Vec::new(),
            },
            tentative: true,
            parent,
        }
    } else {
        let mut written = Vec::new();
        if let (true, Given::Fields(write)) = (wants, given) {
            local::guarded(|| {
                write(&mut Fields {
                    out: &mut written,
                    by_index: true,
                    room: u32::MAX,
                    dropped: 0,
                    written: 0,
                    longest: u32::MAX,
                });
            });
        }
        let body = match given {
            Given::Body(body) if wants => body,
            _ => &written[..],
        };
        let asked = Asked {
            parent: parent.as_ref(),
            trace: TraceId(u128::from(trace[0]) << 64 | u128::from(trace[1])),
            name,
            kind: start.kind,
            links,
            meta: start.meta,
            body,
        };
        Decided {
            trace,
            chosen: choose(custom, &asked),
            tentative: false,
            parent: None,
        }
    };
    local::with(|local| local.decided = Some(Box::new(decided)));
}

/// One that panics is as good as none: the parent's decision holds, and roots are kept.
fn choose(custom: &Custom, asked: &Asked<'_>) -> Chosen {
    let called = local::guarded(|| catch_unwind(AssertUnwindSafe(|| custom.0.choose(asked))));
    called.unwrap_or_else(|_| {
        diag::say_once(
            diag::Level::Warn,
            (custom.0.name(), "panicked"),
            format_args!(
                "the sampler {} panicked; the parent's decision holds instead, and roots are kept",
                custom.0.name()
            ),
        );
        Chosen {
            sampled: asked.parent.is_none_or(SpanContext::is_sampled),
            state: None,
            attributes: Vec::new(),
        }
    })
}

/// The span has opened.
#[cold]
pub(crate) fn opened(local: &mut Local, handle: Handle, decided: Decided) {
    say(handle, &decided.chosen.attributes);
    if decided.tentative {
        if local.undecided.len() >= MOST_UNDECIDED {
            local.undecided.remove(0);
        }
        local.undecided.push((handle, decided.parent));
    }
}

fn say(handle: Handle, attributes: &[u8]) {
    if attributes.is_empty() {
        return;
    }
    SLAB.with(handle, |live| {
        for item in Items(attributes).texts() {
            if let Item::Attribute(Key::Name(name), value) = item {
                live.set(name, value);
            }
        }
    });
}

/// Whether some sampler decides after spans have begun.
#[inline]
pub(crate) fn is_late() -> bool {
    UNDECIDED.load(Ordering::Relaxed)
}

/// A span's fields are there: whoever waits for them to decide does so now. Its identity, where that may be another now.
#[inline]
pub(crate) fn fields(handle: Handle) -> Option<Ids> {
    if is_late() { decide(handle) } else { None }
}

#[cold]
fn decide(handle: Handle) -> Option<Ids> {
    let waiting = local::with(|local| {
        let at = local.undecided.iter().rposition(|(of, _)| *of == handle)?;
        Some(local.undecided.remove(at).1)
    });
    let parent = waiting??;
    let (ids, meta, kind, body) = SLAB.with(handle, |live| {
        let fixed = &live.fixed;
        let meta = fixed.meta?;
        Some((live.ids.clone(), meta, fixed.kind, live.body.clone()))
    })??;
    let shared = drain::pipeline(ids.pipeline())?;
    let Sampler::Custom(custom) = &shared.sampler else {
        return None;
    };
    let link = |item| match item {
        Item::Link { context } => Some(context),
        _ => None,
    };
    let links: Vec<_> = Items(&body).texts().filter_map(link).collect();
    let asked = Asked {
        parent: parent.as_ref(),
        trace: ids.trace(),
        name: meta.name(),
        kind,
        links: &links,
        meta,
        body: &body,
    };
    let chosen = choose(custom, &asked);
    let now = SLAB.with(handle, |live| {
        if !chosen.sampled {
            live.fixed.recorded = false;
            live.ids.bits &= !u64::from(TraceFlags::SAMPLED.0);
            live.body.clear();
        }
        if let Some(state) = chosen.state {
            live.ids.carried = Carried::of(state, &live.ids.baggage());
        }
        live.ids.clone()
    });
    say(handle, &chosen.attributes);
    local::with(|local| {
        if chosen.sampled {
            local.counters().started.add(1);
        } else {
            local.counters().sampled_out.add(1);
        }
        if let Some(now) = &now {
            local.stack.identify(handle, &ids, now);
        }
    });
    now
}
