//! The current span, by hand: its ids, what it shall carry, and taking it along to tasks and threads.

use super::baggage::{self, Baggage};
use super::body::{Key, Scalar};
use super::carrier::AsParent;
use super::context::{SpanContext, SpanId, TraceId};
use super::errors;
use super::local::{self, Ids, Local};
use super::otel;
use super::propagate::{Inject, inject};
use super::slab::Handle;
use super::span_ext::{Status, set_status};
use super::store;
use super::visit::Fields;
use crate::future::poll_held;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tracing_core::Metadata;
use tracing_core::dispatcher::{self, Dispatch};

/// The span that is current on this thread, or none. A copy: it does not keep the span open.
///
/// # Examples
///
/// ```
/// let mut headers = std::collections::HashMap::<String, String>::new();
/// vitalsign::current().inject(&mut headers);
/// assert!(headers.is_empty(), "no span is current here");
/// ```
pub fn current() -> Current {
    let kept = Here::of_this_thread();
    let baggage = match &kept {
        Some(kept) => kept.ids.baggage(),
        None => baggage::without_span(),
    };
    Current {
        kept,
        baggage: otel::joined(baggage),
    }
}

/// See [`current`].
#[derive(Clone)]
pub struct Current {
    kept: Option<Here>,
    baggage: Baggage,
}

/// The identity of a span, and its place in the store where it has one.
#[derive(Clone)]
struct Here {
    ids: Ids,
    handle: Option<Handle>,
}

impl Here {
    /// The innermost span, be it ours or of the `opentelemetry` API.
    fn of_this_thread() -> Option<Self> {
        local::with(|local| {
            if let Some(context) = otel::newer(local) {
                return Some(Self {
                    ids: Ids::of(&context),
                    handle: otel::handle_of(context.span_id.0),
                });
            }
            store::settle_own(local);
            // Baggage alone is no span.
            local
                .top()
                .filter(|frame| frame.ids().trace().is_valid())
                .map(|frame| Self {
                    ids: frame.ids().clone(),
                    handle: frame.handle,
                })
        })
        .flatten()
    }
}

/// A frame of ours, to be pushed elsewhere.
struct Kept {
    ids: Ids,
    handle: Option<Handle>,
    meta: &'static Metadata<'static>,
}

impl Kept {
    /// The innermost of ours.
    fn of_this_thread(local: &mut Local) -> Option<Self> {
        store::settle_own(local);
        let frame = local.top()?;
        Some(Self {
            ids: frame.ids().clone(),
            handle: frame.handle,
            meta: frame.metadata()?,
        })
    }
}

impl Current {
    /// Ids, flags and trace state, for `parent = …` and `link = …` elsewhere.
    pub fn context(&self) -> Option<SpanContext> {
        self.kept.as_ref().map(|kept| kept.ids.context())
    }

    /// The trace, where there is one.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.kept.as_ref().map(|kept| kept.ids.trace())
    }

    /// The span, where there is one.
    pub fn span_id(&self) -> Option<SpanId> {
        self.kept.as_ref().map(|kept| SpanId(kept.ids.span))
    }

    /// The names and values that travel with the request. It never changes here: a changed copy is
    /// [made current](Baggage::run) for what runs in it.
    pub fn baggage(&self) -> Baggage {
        self.baggage.clone()
    }

    /// Writes the context and the baggage into headers, so that the next process goes on with this trace. Without a span,
    /// the baggage alone.
    pub fn inject(&self, headers: &mut (impl Inject + ?Sized)) {
        let context = SpanContext {
            baggage: self.baggage(),
            ..self.context().unwrap_or_default()
        };
        inject(&context, headers);
    }

    /// Sets an attribute of the span, if it is recorded and still open.
    ///
    /// # Examples
    ///
    /// ```
    /// vitalsign::current().set("cart.items", 3);
    /// ```
    pub fn set<'v>(&self, key: &str, value: impl Into<AttributeValue<'v>>) {
        if let Some(handle) = self.kept.as_ref().and_then(|kept| kept.handle) {
            let value = value.into();
            local::guarded(|| store::set(handle, key, value.scalar()));
        }
    }
}

/// What is recorded by hand.
impl Current {
    fn handle(&self) -> Option<Handle> {
        self.kept.as_ref()?.handle
    }

    /// Records an error that was handled, or that the function does not return: status Error, `error.type`, and an exception
    /// event with the message and its sources. An error that the function returns is recorded without it, and once.
    ///
    /// # Examples
    ///
    /// ```
    /// if let Err(error) = "x".parse::<u8>() {
    ///     vitalsign::current().record_error(&error);
    /// }
    /// ```
    pub fn record_error<E: std::error::Error>(&self, error: &E) {
        if let Some(handle) = self.handle() {
            errors::by_hand(handle, error);
        }
    }

    /// Adds an event of that name and those attributes, now.
    ///
    /// # Examples
    ///
    /// ```
    /// vitalsign::current().event("cache.miss", [("key", "user:7".into()), ("attempt", 2.into())]);
    /// ```
    pub fn event<'v>(&self, name: &str, attributes: impl IntoIterator<Item = (&'v str, AttributeValue<'v>)>) {
        if let Some(handle) = self.handle() {
            // The caller's iterator runs before anything of ours is borrowed.
            let attributes: Vec<_> = attributes.into_iter().collect();
            let write = |fields: &mut Fields<'_>| {
                for (key, value) in &attributes {
                    fields.named(Key::Name(key), value.scalar());
                }
            };
            store::event(handle, name, write, store::room_per_event(handle));
        }
    }

    /// Links the span to another.
    pub fn link(&self, to: &(impl AsParent + ?Sized)) {
        if let (Some(handle), Some(context)) = (self.handle(), to.as_parent()) {
            store::link(handle, &context);
        }
    }

    /// Sets the status.
    #[expect(clippy::needless_pass_by_value, reason = "a status is made to be given")]
    pub fn set_status(&self, status: Status) {
        if let Some(handle) = self.handle() {
            set_status(handle, &status);
        }
    }

    /// Whether attributes and events are kept: worth asking before making costly ones.
    pub fn is_recording(&self) -> bool {
        self.handle().is_some_and(store::is_recording)
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.context()).finish()
    }
}

impl super::carrier::AsParent for Current {
    fn as_parent(&self) -> Option<SpanContext> {
        self.context().or_else(|| {
            (!self.baggage.is_empty()).then(|| SpanContext {
                baggage: self.baggage(),
                ..SpanContext::default()
            })
        })
    }
}

/// What [`Current::set`] takes: text, numbers, booleans. An integer that is none of OTLP's, which are those of `i64`, is told by its
/// digits.
#[derive(Debug)]
pub struct AttributeValue<'v>(Held<'v>);

#[derive(Debug)]
enum Held<'v> {
    Lent(Scalar<'v>),
    Own(String),
}

impl AttributeValue<'_> {
    pub(super) fn scalar(&self) -> Scalar<'_> {
        match &self.0 {
            Held::Lent(value) => *value,
            Held::Own(text) => Scalar::Text(text),
        }
    }
}

impl From<String> for AttributeValue<'_> {
    fn from(text: String) -> Self {
        Self(Held::Own(text))
    }
}

macro_rules! wide {
    ($($from:ty),*) => {
        $(impl From<$from> for AttributeValue<'_> {
            fn from(value: $from) -> Self {
                Self(match i64::try_from(value) {
                    Ok(value) => Held::Lent(Scalar::I64(value)),
                    Err(_) => Held::Own(value.to_string()),
                })
            }
        })*
    };
}
wide!(u64, usize, isize, u128, i128);

macro_rules! value {
    ($($from:ty => $value:ident, $to:expr;)*) => {
        $(impl<'v> From<$from> for AttributeValue<'v> {
            fn from($value: $from) -> Self {
                Self(Held::Lent($to))
            }
        })*
    };
}
value! {
    &'v str => value, Scalar::Text(value);
    &'v String => value, Scalar::Text(value);
    bool => value, Scalar::Bool(value);
    i64 => value, Scalar::I64(value);
    i32 => value, Scalar::I64(value.into());
    u32 => value, Scalar::I64(value.into());
    f64 => value, Scalar::F64(value);
    f32 => value, Scalar::F64(value.into());
    i8 => value, Scalar::I64(value.into());
    i16 => value, Scalar::I64(value.into());
    u8 => value, Scalar::I64(value.into());
    u16 => value, Scalar::I64(value.into());
    &'v [u8] => value, Scalar::Bytes(value);
}

/// A future that runs under the span that is current here and now, wherever it is polled.
///
/// # Examples
///
/// ```
/// # async fn later() {}
/// # async fn example() {
/// tokio::spawn(vitalsign::in_context(later()));
/// # }
/// ```
pub fn in_context<F: Future>(future: F) -> InContext<F> {
    InContext {
        taken: Taken::here(),
        future: Some(future),
    }
}

pin_project_lite::pin_project! {
    /// See [`in_context`].
    #[must_use = "futures do nothing unless polled"]
    pub struct InContext<F> {
        taken: Taken,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for InContext<F> {
        // Dropped half way, what it holds ends under the span, too.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _under = this.taken.enter();
            this.future.set(None);
        }
    }
}

impl<F: fmt::Debug> fmt::Debug for InContext<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InContext").field(&self.future).finish()
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _under = this.taken.enter();
        poll_held(this.future, cx)
    }
}

/// What goes along: the current span with its baggage, the fields of log lines, and the test that captures.
struct Taken {
    kept: Option<Kept>,
    /// Where no span of ours is.
    baggage: Baggage,
    otel: otel::Taken,
    #[cfg(feature = "logs")]
    scope: Option<crate::logs::Scope>,
    capture: Option<Dispatch>,
}

impl Taken {
    fn here() -> Self {
        // A clone of a context runs no code of others, so the thread's state may be borrowed meanwhile.
        let (kept, otel) =
            local::with(|local| (Kept::of_this_thread(local), otel::Taken::here(local))).unwrap_or_default();
        Self {
            baggage: if kept.is_none() {
                baggage::without_span()
            } else {
                Baggage::default()
            },
            kept,
            otel,
            #[cfg(feature = "logs")]
            scope: crate::logs::Scope::current(),
            capture: crate::switch::capturing().then(|| dispatcher::get_default(Dispatch::clone)),
        }
    }

    fn enter(&mut self) -> Entered<'_> {
        let outside = self.otel.enter_outside();
        let under = self.kept.as_ref().map(Under::new);
        Entered {
            _inside: self.otel.enter_inside(),
            _baggage: (!self.baggage.is_empty()).then(|| self.baggage.enter()),
            _under: under,
            _outside: outside,
            #[cfg(feature = "logs")]
            _scope: self.scope.is_some().then(|| crate::logs::scope_enter(&mut self.scope)),
            #[cfg(not(feature = "logs"))]
            _taken: std::marker::PhantomData,
            _capture: self.capture.as_ref().map(dispatcher::set_default),
        }
    }
}

/// Ends [`Taken::enter`], the innermost first.
struct Entered<'a> {
    _inside: otel::Attached,
    _under: Option<Under>,
    _baggage: Option<baggage::Entered>,
    _outside: otel::Attached,
    #[cfg(feature = "logs")]
    _scope: Option<crate::logs::ScopeEntered<'a, Option<crate::logs::Scope>>>,
    #[cfg(not(feature = "logs"))]
    _taken: std::marker::PhantomData<&'a ()>,
    _capture: Option<dispatcher::DefaultGuard>,
}

/// The kept span is current while this lives, also when it unwinds.
struct Under(u64);

impl Under {
    fn new(kept: &Kept) -> Self {
        local::with(|local| {
            local.stack.push_copy(&kept.ids, kept.handle, kept.meta);
        });
        otel::entered(&kept.ids);
        Self(kept.ids.span)
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        local::leave_span(self.0);
    }
}

/// `f` under the span that is current here and now, wherever it is called.
fn carried<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let mut taken = Taken::here();
    move || {
        let _under = taken.enter();
        f()
    }
}

/// `tokio::spawn`, the task under the span that is current here.
///
/// # Panics
/// Outside a tokio runtime, as `tokio::spawn` does.
#[cfg(feature = "_tokio")]
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(in_context(future))
}

/// `tokio::task::spawn_blocking`, the closure under the span that is current here.
///
/// # Panics
/// Outside a tokio runtime, as `tokio::task::spawn_blocking` does.
#[cfg(feature = "_tokio")]
pub fn spawn_blocking<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> tokio::task::JoinHandle<R> {
    tokio::task::spawn_blocking(carried(f))
}

/// [`std::thread`]'s, with the current span taken along.
pub mod thread {
    /// [`std::thread::spawn`], the thread under the span that is current here.
    ///
    /// # Panics
    /// When the system gives no thread, as [`std::thread::spawn`] does.
    pub fn spawn<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> std::thread::JoinHandle<R> {
        std::thread::spawn(super::carried(f))
    }
}
