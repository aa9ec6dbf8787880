//! What OpenTelemetry knows of a span and `tracing` does not, on `tracing::Span`.

use super::carrier::AsParent;
use super::context::SpanContext;
use super::finished::STATUS_OK;
use super::hand::AttributeValue;
use super::passed;
use super::pipeline::Shared;
use super::slab::Handle;
use super::store::{self, SLAB};
use super::subscriber::{self, Recorder};
use tracing_core::Dispatch;
use tracing_core::span::Id;

/// The status of a span.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// Nothing is said: how a success is told.
    #[default]
    Unset,
    /// The application says that it went well, whatever it looked like.
    Ok,
    /// It failed, and what an operator should read.
    Error(String),
}

/// OpenTelemetry's side of a [`tracing::Span`], under [`init`](crate::init) and under [`layer`](crate::layer) alike; a layer behind
/// `reload` is not found. Every method but `context` does nothing on a span that this crate does not record, or that has ended.
///
/// # Examples
///
/// ```
/// use vitalsign::SpanExt as _;
///
/// let span = tracing::info_span!("import");
/// span.set_attribute("file.size", 12_i64);
/// assert!(span.context().is_none(), "nothing records before init()");
/// ```
pub trait SpanExt {
    /// Hangs the span under another, of this process or not. The sampler is asked again, with that parent. To be called before
    /// the span is entered: children that it has already, and those of other threads that are in it, keep the trace they began in.
    fn set_parent(&self, parent: &(impl AsParent + ?Sized));

    /// Its ids, flags and trace state, recorded or not.
    fn context(&self) -> Option<SpanContext>;

    /// Sets an attribute whose name need not be among the span's fields.
    fn set_attribute<'v>(&self, key: &str, value: impl Into<AttributeValue<'v>>);

    /// Links to another span.
    fn add_link(&self, to: &(impl AsParent + ?Sized));

    /// Sets the status.
    fn set_status(&self, status: Status);
}

/// The span's place in the store.
fn handle(span: &tracing::Span) -> Option<Handle> {
    span.with_subscriber(|(id, dispatch)| place(id, dispatch).map(|(handle, _)| passed::resolved(handle)))?
}

/// The place that the span was given when it began, and who records it.
fn place<'d>(id: &Id, dispatch: &'d Dispatch) -> Option<(Handle, &'d Shared)> {
    if let Some(recorder) = dispatch.downcast_ref::<Recorder>() {
        return Some((subscriber::named(id)?, &recorder.shared));
    }
    #[cfg(feature = "logs")]
    return Some((super::layer::named(id, dispatch)?, super::layer::pipeline()?));
    #[cfg(not(feature = "logs"))]
    None
}

impl SpanExt for tracing::Span {
    fn set_parent(&self, parent: &(impl AsParent + ?Sized)) {
        let parent = parent.as_parent();
        self.with_subscriber(|(id, dispatch)| {
            if let Some((handle, shared)) = place(id, dispatch) {
                store::set_parent(shared, handle, parent.as_ref());
            }
        });
    }

    fn context(&self) -> Option<SpanContext> {
        store::ids_of(handle(self)?).map(|ids| ids.context())
    }

    fn set_attribute<'v>(&self, key: &str, value: impl Into<AttributeValue<'v>>) {
        if let Some(handle) = handle(self) {
            store::set(handle, key, value.into().scalar());
        }
    }

    fn add_link(&self, to: &(impl AsParent + ?Sized)) {
        if let (Some(handle), Some(context)) = (handle(self), to.as_parent()) {
            store::link(handle, &context);
        }
    }

    fn set_status(&self, status: Status) {
        if let Some(handle) = handle(self) {
            set_status(handle, &status);
        }
    }
}

pub(crate) fn set_status(handle: Handle, status: &Status) {
    SLAB.with(handle, |live| match status {
        _ if !live.is_open() => {}
        Status::Unset => {}
        Status::Ok => live.fixed.status = STATUS_OK,
        Status::Error(description) => live.fail(Some(description)),
    });
}
