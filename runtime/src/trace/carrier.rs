//! What `parent = …` and `link = …` accept.

use super::context::SpanContext;

/// Something that names a span of this or another process.
pub trait AsParent {
    /// The span's context; `None` starts a new trace.
    fn as_parent(&self) -> Option<SpanContext>;
}

impl AsParent for SpanContext {
    fn as_parent(&self) -> Option<SpanContext> {
        self.is_valid().then(|| self.clone())
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

/// One link or an iterator of them.
pub trait AsLinks {
    /// Calls `link` for each.
    fn each_link(self, link: &mut dyn FnMut(SpanContext));
}

impl AsLinks for SpanContext {
    fn each_link(self, link: &mut dyn FnMut(SpanContext)) {
        if self.is_valid() {
            link(self);
        }
    }
}
