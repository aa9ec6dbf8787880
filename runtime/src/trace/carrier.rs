//! What `parent = …` and `link = …` accept.

use super::context::SpanContext;
use std::cell::Cell;

/// Something that names a span of this or another process.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no span that could be a parent or a link",
    label = "not a span, a context or a carrier of one",
    note = "a `vitalsign::trace::SpanContext`, a `tracing::Span`, headers, a map or a list of pairs, or an `Option` of one"
)]
pub trait AsParent {
    /// The span's context; `None`, or an invalid one that has baggage alone, starts a new trace.
    fn as_parent(&self) -> Option<SpanContext>;
}

impl AsParent for SpanContext {
    fn as_parent(&self) -> Option<SpanContext> {
        (self.is_valid() || !self.baggage.is_empty()).then(|| self.clone())
    }
}

impl<T: AsParent + ?Sized> AsParent for &T {
    fn as_parent(&self) -> Option<SpanContext> {
        T::as_parent(self)
    }
}

impl<T: AsParent> AsParent for Option<T> {
    fn as_parent(&self) -> Option<SpanContext> {
        self.as_ref().and_then(AsParent::as_parent)
    }
}

/// The span's context, where it is recorded by this crate's subscriber or layer.
impl AsParent for tracing::Span {
    fn as_parent(&self) -> Option<SpanContext> {
        super::span_ext::SpanExt::context(self)
    }
}

/// What `link = …` names: whatever can be a parent, or an iterator of such. Which of them it is, the type says:
/// `(&&Links::new(value)).vitalsign_link(f)`.
pub struct Links<T>(Cell<Option<T>>);

impl<T> Links<T> {
    /// The value, taken when the links are.
    pub fn new(value: T) -> Self {
        Self(Cell::new(Some(value)))
    }
}

/// [`Links`] of one.
pub trait LinkOne {
    /// Calls `link` with it.
    fn vitalsign_link(&self, link: &mut dyn FnMut(SpanContext));
}

impl<T: AsParent> LinkOne for &Links<T> {
    fn vitalsign_link(&self, link: &mut dyn FnMut(SpanContext)) {
        if let Some(context) = self.0.take().and_then(|one| one.as_parent()) {
            link(context);
        }
    }
}

/// [`Links`] of several.
pub trait LinkMany {
    /// Calls `link` for each.
    fn vitalsign_link(&self, link: &mut dyn FnMut(SpanContext));
}

impl<I> LinkMany for Links<I>
where
    I: IntoIterator<Item: AsParent>,
{
    fn vitalsign_link(&self, link: &mut dyn FnMut(SpanContext)) {
        for one in self.0.take().into_iter().flatten() {
            if let Some(context) = one.as_parent() {
                link(context);
            }
        }
    }
}
