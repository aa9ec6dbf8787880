//! `OTEL_SDK_DISABLED`: no span begins, and the context that came in goes on to whoever is called, unchanged, as the API of
//! `OpenTelemetry` has it where no SDK is installed.

use super::active::Parent;
use super::context::SpanContext;
use super::local::{self, Ids};
use super::stack::{Frame, HANDED_ON};
use crate::switch;
use tracing_core::Metadata;
#[cfg(any(feature = "tower", feature = "actix-web"))]
use tracing_core::{Callsite, Interest, Kind, Level, callsite::Identifier, field::FieldSet};

/// What a call hands on in place of its span: what it names as its parent. None where spans are made.
#[inline]
pub(crate) fn ids(parent: Option<&Parent>) -> Option<Ids> {
    match parent {
        Some(Parent::Of(context)) if switch::passing() => Some(ids_of(context)),
        _ => None,
    }
}

/// Of baggage alone the trace stays invalid; the span has an id, by which its frame is found again.
#[cold]
fn ids_of(context: &SpanContext) -> Ids {
    let mut ids = Ids::of(context);
    if !context.is_valid() {
        ids.trace = [0; 2];
        ids.span = local::with(|local| local.rng.span_id().0).unwrap_or(1);
    }
    ids
}

/// Makes it current on this thread, for the call of that token.
#[cold]
pub(crate) fn begin(meta: &'static Metadata<'static>, ids: Ids, token: u64) -> u64 {
    local::with(|local| {
        let token = match token {
            0 => local.stack.token(false) | HANDED_ON,
            token => token,
        };
        let mut frame = Frame::copy(ids, None, meta);
        frame.token = token;
        local.stack.push(frame);
        token
    })
    .unwrap_or(token)
}

/// Takes off what stands beside the span of another subscriber.
pub(crate) fn end_beside(token: u64) {
    if switch::passing() {
        local::with(|local| local.stack.take_token(token, &mut local.rng));
    }
}

/// The same while a future of that identity is polled.
pub(crate) fn enter(ids: &Ids, meta: &'static Metadata<'static>) {
    if ids.span != 0 && switch::passing() {
        local::with(|local| local.stack.push_copy(ids, None, meta));
    }
}

/// Ends [`enter`].
pub(crate) fn leave(ids: &Ids) {
    if ids.span != 0 && switch::passing() {
        local::leave_span(ids.span);
    }
}

/// The context of a request, for the layers.
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) struct Through(Box<Ids>);

#[cfg(any(feature = "tower", feature = "actix-web"))]
impl Through {
    /// None where spans are made, and where the headers bring nothing.
    pub(crate) fn of(headers: &impl super::propagate::Extract) -> Option<Self> {
        if switch::passing() {
            super::extract(headers).map(|context| Self(Box::new(ids_of(&context))))
        } else {
            None
        }
    }

    /// What runs until the guard is dropped calls others with it.
    pub(crate) fn enter(&self) -> Entered {
        enter(&self.0, &NO_SPAN);
        Entered(self.0.span)
    }
}

/// Ends [`Through::enter`].
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) struct Entered(u64);

#[cfg(any(feature = "tower", feature = "actix-web"))]
impl Drop for Entered {
    fn drop(&mut self) {
        local::leave_span(self.0);
    }
}

/// Writes what is current into the headers of a call, where no span of its own does.
#[cfg(feature = "tower")]
pub(crate) fn inject(headers: &mut impl super::propagate::Inject) {
    if switch::passing() {
        super::hand::current().inject(headers);
    }
}

/// A frame has a call site; no one sees this one.
#[cfg(any(feature = "tower", feature = "actix-web"))]
static NO_SPAN: Metadata<'static> = Metadata::new(
    "",
    "vitalsign",
    Level::INFO,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&NoCallsite)),
    Kind::SPAN,
);

#[cfg(any(feature = "tower", feature = "actix-web"))]
struct NoCallsite;

#[cfg(any(feature = "tower", feature = "actix-web"))]
impl Callsite for NoCallsite {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &NO_SPAN
    }
}
