//! Fields that every line within a scope carries.
//!
//! A scope is entered for the run of a closure or for the life of a future, which takes it along from poll to poll and from
//! thread to thread. There is no guard to hold across an `.await`, so a scope cannot leak into another task.

#[cfg(feature = "tower")]
use super::record::Value;
use super::record::{Fields, Key, RECORD_LIMIT, Reader};
use crate::future::poll_held;
#[cfg(feature = "tower")]
use crate::http::RequestId;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

thread_local! {
    static CURRENT: RefCell<Current> = const { RefCell::new(Current::NONE) };
    /// Where the next scope's fields are written before it is known how long they are.
    static SPARE: RefCell<Fields> = const { RefCell::new(Fields::new()) };
}

/// Deeper than this, what is around a scope becomes one: tasks that spawn each other within their scopes nest without end.
const DEEPEST: u16 = 32;

/// Log fields, made by [`scope!`](crate::scope), within those that were current when it was made.
#[derive(Clone)]
#[must_use = "a scope adds its fields to lines logged inside `run` or `follow`"]
pub struct Scope(Arc<Data>);

struct Data {
    outer: Option<Scope>,
    /// How many are around it.
    depth: u16,
    /// Bytes in memory, those around it included.
    holds: u32,
    fields: Kept,
    /// Of a request that is handled: its first field is the request's id.
    #[cfg_attr(
        not(feature = "tower"),
        allow(dead_code, reason = "asked for where requests come in")
    )]
    request: bool,
}

/// Few bytes, as most scopes have, lie beside the rest.
enum Kept {
    Here(u8, [u8; 62]),
    Elsewhere(Box<[u8]>),
}

impl Kept {
    fn new(bytes: &[u8]) -> Self {
        let mut here = [0; 62];
        match here.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Self::Here(bytes.len() as u8, here)
            }
            None => Self::Elsewhere(bytes.into()),
        }
    }

    /// Bytes that lie elsewhere.
    fn elsewhere(&self) -> usize {
        match self {
            Self::Here(..) => 0,
            Self::Elsewhere(bytes) => bytes.len(),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Here(length, bytes) => &bytes[..usize::from(*length)],
            Self::Elsewhere(bytes) => bytes,
        }
    }
}

impl Scope {
    /// Calls `f` with these fields on every line logged inside.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let mut scope = Some(self.clone());
        let _entered = enter(&mut scope);
        f()
    }

    /// The same future with these fields on every line logged while it runs. Tasks it spawns carry them when they are spawned
    /// through [`Scope::current`] or this crate's `spawn`.
    pub fn follow<F: Future>(self, future: F) -> Scoped<F> {
        Scoped {
            future: Some(future),
            scope: Some(self),
        }
    }

    /// The scope of this moment, to be taken to another task or thread.
    pub fn current() -> Option<Self> {
        CURRENT
            .try_with(|current| current.borrow_mut().scope().cloned())
            .ok()
            .flatten()
    }

    pub(crate) fn outer(&self) -> Option<&Self> {
        self.0.outer.as_ref()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.fields.as_bytes()
    }

    /// How many bytes live as long as this does.
    pub(crate) fn holds(&self) -> usize {
        self.0.holds as usize
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn of(outer: Option<Self>, fields: &[u8], request: bool) -> Self {
        let fields = Kept::new(fields);
        let own = size_of::<Data>() + fields.elsewhere();
        let around = outer.as_ref().map_or(0, Self::holds);
        Self(Arc::new(Data {
            depth: outer.as_ref().map_or(0, |outer| outer.0.depth + 1),
            holds: u32::try_from(own + around).unwrap_or(u32::MAX),
            outer,
            fields,
            request,
        }))
    }

    /// What a scope that is made now stands in.
    fn around() -> Option<Self> {
        Self::current().map(|outer| if outer.0.depth < DEEPEST { outer } else { outer.flat() })
    }

    /// The same fields with none around them.
    fn flat(&self) -> Self {
        let chain = || std::iter::successors(Some(self), |scope| scope.outer());
        let request = chain().find(|scope| scope.0.request);
        let (mut names, mut fields) = (Vec::new(), Vec::new());
        // A request's id is looked for at the beginning.
        for scope in request.into_iter().chain(chain()) {
            let mut reader = Reader::new(scope.bytes());
            loop {
                let before = reader.rest();
                let Some((key, _)) = reader.next() else { break };
                let field = &before[..before.len() - reader.rest().len()];
                if let Key::Name(name) = key
                    && !names.contains(&name)
                    && fields.len() + field.len() <= RECORD_LIMIT
                {
                    names.push(name);
                    fields.extend_from_slice(field);
                }
            }
        }
        Self::of(None, &fields, request.is_some())
    }

    /// That of a request which came in.
    #[cfg(feature = "tower")]
    pub(crate) fn of_request(outer: Option<Self>, id: &str) -> Self {
        let mut fields = Fields::new();
        fields.str(Key::Name("request_id"), id);
        Self::of(outer, fields.as_bytes(), true)
    }

    /// The id of the request that is handled here, to be read by `read`.
    #[cfg(feature = "tower")]
    pub(crate) fn with_request_id<T>(read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let find = |current: &RefCell<Current>| {
            let mut current = current.try_borrow_mut().ok()?;
            let mut scope = current.scope();
            while let Some(outer) = scope.filter(|scope| !scope.0.request) {
                scope = outer.outer();
            }
            match Reader::new(scope?.bytes()).next()? {
                (_, Value::Text(id)) => read(&id),
                _ => None,
            }
        };
        CURRENT.try_with(find).ok().flatten()
    }
}

impl Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// What is current on a thread, or will be while a request is handled.
pub(crate) struct Current {
    scope: Option<Scope>,
    /// Of the request whose scope is current where none is yet: it is made for the first who asks. Most requests log nothing.
    #[cfg(feature = "tower")]
    request: Option<RequestId>,
}

impl Current {
    const NONE: Self = Self {
        scope: None,
        #[cfg(feature = "tower")]
        request: None,
    };

    /// For a request that comes in here.
    #[cfg(feature = "tower")]
    pub(crate) fn of_request(id: RequestId) -> Self {
        match Scope::around() {
            Some(outer) => Self {
                scope: Some(Scope::of_request(Some(outer), id.as_str())),
                request: None,
            },
            None => Self {
                scope: None,
                request: Some(id),
            },
        }
    }

    fn scope(&mut self) -> Option<&Scope> {
        #[cfg(feature = "tower")]
        if let (None, Some(id)) = (&self.scope, &self.request) {
            self.scope = Some(Scope::of_request(None, id.as_str()));
        }
        self.scope.as_ref()
    }
}

/// Makes a scope current until the guard is dropped, on this thread: meanwhile the one that was current stands in its place, so that
/// neither is counted once more for it. Not for users: across an `.await` it would leak.
pub(crate) fn enter(scope: &mut Option<Scope>) -> Entered<'_, Option<Scope>> {
    Entered::new(scope)
}

/// The same of a request's.
#[cfg(feature = "tower")]
pub(crate) fn enter_request(of_request: &mut Current) -> Entered<'_, Current> {
    Entered::new(of_request)
}

/// What of [`Current`] changes places.
pub(crate) trait Part {
    fn of(current: &mut Current) -> &mut Self;
}

impl Part for Option<Scope> {
    fn of(current: &mut Current) -> &mut Self {
        &mut current.scope
    }
}

impl Part for Current {
    fn of(current: &mut Current) -> &mut Self {
        current
    }
}

/// What was current before comes back when this is dropped.
pub(crate) struct Entered<'a, T: Part> {
    /// It, while what stood here is current.
    place: &'a mut T,
    /// It belongs to its thread.
    _local: std::marker::PhantomData<*const ()>,
}

impl<'a, T: Part> Entered<'a, T> {
    #[inline]
    fn new(place: &'a mut T) -> Self {
        let mut entered = Self {
            place,
            _local: std::marker::PhantomData,
        };
        entered.swap();
        entered
    }

    #[inline]
    fn swap(&mut self) {
        let _ = CURRENT.try_with(|current| std::mem::swap(T::of(&mut current.borrow_mut()), self.place));
    }
}

impl<T: Part> Drop for Entered<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.swap();
    }
}

pin_project! {
    /// A future that carries log fields; made by [`Scope::follow`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        #[pin]
        future: Option<F>,
        scope: Option<Scope>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        // Dropped half way, what it holds logs with the fields, too.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = enter(this.scope);
            this.future.set(None);
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter(this.scope);
        poll_held(this.future, cx)
    }
}

/// Collects the fields of a scope; what `scope!` expands to.
#[doc(hidden)]
#[must_use]
pub struct ScopeBuilder(Fields);

impl ScopeBuilder {
    #[doc(hidden)]
    #[allow(clippy::new_without_default, reason = "for the macro only")]
    pub fn new() -> Self {
        let spare = SPARE.try_with(|spare| Some(std::mem::take(&mut *spare.try_borrow_mut().ok()?)));
        Self(spare.ok().flatten().unwrap_or_default())
    }

    #[doc(hidden)]
    pub fn value(mut self, key: &str, value: &(impl FieldValue + ?Sized)) -> Self {
        value.write(key, &mut Writer(&mut self.0));
        self
    }

    #[doc(hidden)]
    pub fn display(mut self, key: &str, value: &dyn Display) -> Self {
        self.0.display(Key::Name(key), value);
        self
    }

    #[doc(hidden)]
    pub fn debug(mut self, key: &str, value: &dyn Debug) -> Self {
        self.0.debug(Key::Name(key), value);
        self
    }

    #[doc(hidden)]
    pub fn done(self) -> Scope {
        self.made(false)
    }

    fn made(self, request: bool) -> Scope {
        let mut fields = self.0;
        let scope = Scope::of(Scope::around(), fields.as_bytes(), request);
        fields.clear();
        let _ = SPARE.try_with(|spare| spare.try_borrow_mut().map(|mut spare| *spare = fields));
        scope
    }
}

/// Where a [`FieldValue`] writes itself.
#[doc(hidden)]
pub struct Writer<'a>(pub(crate) &'a mut Fields);

/// A value with a native type in log lines: numbers, booleans, strings, and `Option`s (`None` leaves the field out) and
/// references of those. For anything else write `%value` (its `Display`) or `?value` (its `Debug`).
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no native type in log lines",
    label = "write `%value` for its `Display`, `?value` for its `Debug`"
)]
pub trait FieldValue {
    #[doc(hidden)]
    fn write(&self, key: &str, to: &mut Writer<'_>);
}

macro_rules! values {
    ($($method:ident: $($type:ty),+ => |$v:ident| $as:expr;)*) => {$($(
        impl FieldValue for $type {
            fn write(&self, key: &str, to: &mut Writer<'_>) {
                let $v = self;
                to.0.$method(Key::Name(key), $as);
            }
        }
    )+)*};
}
values! {
    bool: bool => |v| *v;
    i64: i8, i16, i32 => |v| i64::from(*v);
    i64: i64 => |v| *v;
    i64: isize => |v| *v as i64;
    u64: u8, u16, u32 => |v| u64::from(*v);
    u64: u64 => |v| *v;
    u64: usize => |v| *v as u64;
    i128: i128 => |v| *v;
    u128: u128 => |v| *v;
    f64: f32 => |v| f64::from(*v);
    f64: f64 => |v| *v;
    str: str, String, std::borrow::Cow<'_, str>, Box<str>, Arc<str> => |v| v;
    display: char => |v| v;
}

impl<T: FieldValue + ?Sized> FieldValue for &T {
    fn write(&self, key: &str, to: &mut Writer<'_>) {
        T::write(self, key, to);
    }
}

impl<T: FieldValue> FieldValue for Option<T> {
    fn write(&self, key: &str, to: &mut Writer<'_>) {
        if let Some(value) = self {
            value.write(key, to);
        }
    }
}

/// Log fields for everything that happens inside: `scope! { order.id = id, %user, attempt = ?n }`.
///
/// Written as in `tracing`'s macros: `key = value` with a native type, `%value` for `Display`, `?value` for `Debug`, dotted and
/// quoted keys, a bare name for a variable of that name. The scope holds for a closure ([`Scope::run`](crate::logs::Scope::run))
/// or for a future ([`Scope::follow`](crate::logs::Scope::follow)), which keeps it across every `.await` and thread. Scopes
/// nest; an inner field hides an outer one of the same name, and an event's own field hides both.
///
/// # Examples
///
/// ```
/// async fn handle(id: u64, tenant: &str) {
///     vitalsign::scope! { order.id = id, %tenant }
///         .follow(async {
///             tracing::info!("placed"); // {"message":"placed","order.id":7,"tenant":"acme",…}
///         })
///         .await;
/// }
/// # let sum = vitalsign::scope! { a = 1 }.run(|| 1 + 1);
/// # assert_eq!(sum, 2);
/// ```
#[macro_export]
macro_rules! scope {
    ($($fields:tt)*) => { $crate::__scope_fields!($crate::logs::ScopeBuilder::new() ; $($fields)*) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __scope_fields {
    ($b:expr ;) => { $b.done() };
    ($b:expr ; $key:literal = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.display($key, &$value) ; $($($rest)*)?)
    };
    ($b:expr ; $key:literal = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.debug($key, &$value) ; $($($rest)*)?)
    };
    ($b:expr ; $key:literal = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.value($key, &$value) ; $($($rest)*)?)
    };
    ($b:expr ; $($key:ident).+ = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.display($crate::__scope_key!($($key).+), &$value) ; $($($rest)*)?)
    };
    ($b:expr ; $($key:ident).+ = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.debug($crate::__scope_key!($($key).+), &$value) ; $($($rest)*)?)
    };
    ($b:expr ; $($key:ident).+ = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.value($crate::__scope_key!($($key).+), &$value) ; $($($rest)*)?)
    };
    ($b:expr ; % $($key:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.display($crate::__scope_key!($($key).+), &$($key).+) ; $($($rest)*)?)
    };
    ($b:expr ; ? $($key:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.debug($crate::__scope_key!($($key).+), &$($key).+) ; $($($rest)*)?)
    };
    ($b:expr ; $($key:ident).+ $(, $($rest:tt)*)?) => {
        $crate::__scope_fields!($b.value($crate::__scope_key!($($key).+), &$($key).+) ; $($($rest)*)?)
    };
    ($b:expr ; $($bad:tt)+) => {
        ::core::compile_error!("a field of `scope!` is `key = value`, `key = %value`, `key = ?value`, or a name alone")
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __scope_key {
    ($first:ident $(. $rest:ident)*) => {
        ::core::concat!(::core::stringify!($first) $(, ".", ::core::stringify!($rest))*)
    };
}
