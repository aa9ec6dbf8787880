//! What a returned value means, chosen by its type without specialization.
//!
//! A macro does not know types, and a trait cannot be implemented for "any other type". So generated code asks through
//! references: `(&&&&&&&&Probe(&value)).vitalsign_settle(s)` takes the first of the traits below that the value's type satisfies, because
//! method look-up prefers the receiver with the most references left. Inside a generic function only what its bounds promise
//! counts, as everywhere in Rust.

#![allow(clippy::unused_self, reason = "a tag is chosen by its type; that is all it says")]

use crate::call::{Brief, Call, Settle, SpanOf, signals};
use crate::metrics::label::{ErrorIndex, ErrorLabel, LabelType};
use crate::operation::ErrorKind;
use crate::outcome::{Outcome, Verdict};
use crate::site::Site;
use std::any::type_name;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

/// An error as a span is shown it.
pub struct ErrorRef<'a> {
    /// `error.type`: the [`ErrorLabel`] value, else the type's path without generics, `_OTHER` for `dyn Error`.
    pub(crate) error_type: Cow<'static, str>,
    /// The name of its type, as the compiler has it.
    pub(crate) of: &'static str,
    pub(crate) value: ErrorValue<'a>,
}

impl ErrorRef<'_> {
    /// `exception.type`: the type's path without generics, where it is known.
    pub(crate) fn exception_type(&self) -> Option<&'static str> {
        path(self.of)
    }
}

/// How far an error can be shown.
pub(crate) enum ErrorValue<'a> {
    /// Message and sources.
    Std(&'a dyn Error),
    /// Message.
    Display(&'a dyn Display),
    /// `err(debug)`; and how it would be shown otherwise, by which it is known again where it is.
    Debug(&'a dyn Debug, Plain<'a>),
    /// The type's name only.
    Opaque(&'static str),
}

/// An error without `err(debug)`.
#[derive(Clone, Copy)]
pub(crate) enum Plain<'a> {
    /// Message and sources.
    Std(&'a dyn Error),
    /// Message.
    Display(&'a dyn Display),
    /// It has no other form, or it is not known here.
    None,
}

/// The type's path without generic arguments.
#[inline(never)]
pub(crate) fn type_path<T: ?Sized>() -> Cow<'static, str> {
    Cow::Borrowed(path(type_name::<T>()).unwrap_or("_OTHER"))
}

/// A type's path without generic arguments. Behind `dyn` there may be any type.
fn path(name: &'static str) -> Option<&'static str> {
    let name = name.trim_start_matches('&');
    (!name.contains("dyn ")).then(|| name.split('<').next().unwrap_or(name))
}

/// The name of what an error is behind a pointer, else of the pointer, which may be a type that says something: `anyhow::Error`.
fn behind<E: Deref>() -> &'static str {
    let target = type_name::<E::Target>();
    if target.contains("dyn ") {
        type_name::<E>()
    } else {
        target
    }
}

/// A returned value, to be asked what it means.
pub struct Probe<'a, R: ?Sized>(pub &'a R);

/// The value is an error: it decides the outcome here, and is looked at closer only where a span is there to show it.
#[inline]
fn failed(s: &mut Settle<'_>, error_type: impl FnOnce() -> Cow<'static, str>, of: &'static str, value: ErrorValue<'_>) {
    if let Some((site, span)) = s.fail() {
        let kind = show(site, span, error_type(), of, value);
        s.error_kind(kind);
    }
}

/// Errors are rare, so what is done with them stands apart from every function that may return one.
#[cold]
#[inline(never)]
pub(crate) fn show(
    site: &'static Site,
    span: SpanOf<'_>,
    error_type: Cow<'static, str>,
    of: &'static str,
    value: ErrorValue<'_>,
) -> Option<ErrorKind> {
    let kind = site.def.operation().map(|operation| operation.error_kind(&error_type));
    span.error(site, &ErrorRef { error_type, of, value });
    kind
}

#[inline]
fn labelled<E: ErrorLabel>(s: &mut Settle<'_>, e: &E) -> Cow<'static, str> {
    let index = ErrorIndex {
        index: e.index(),
        of: LabelType::of_error::<E>(),
    };
    s.error_label(index, e.is_failure());
    Cow::Borrowed(index.text())
}

macro_rules! level {
    ($(#[$doc:meta])* $trait:ident for $self:ty, [$($generics:tt)*], |$this:ident, $s:ident| $body:expr) => {
        $(#[$doc])*
        pub trait $trait {
            /// Settles the call by this value.
            fn vitalsign_settle(&self, s: &mut Settle<'_>);
        }
        impl<$($generics)*> $trait for $self {
            #[inline]
            fn vitalsign_settle(&self, $s: &mut Settle<'_>) {
                let $this = self.0;
                $body
            }
        }
    };
}

/// A level of [`Probe`] for a `Result`, whose error says with `$say` what it is: to a span, and where it is labelled to the metrics.
macro_rules! error {
    ($(#[$doc:meta])* $trait:ident for $self:ty, [E $(: $($bounds:tt)+)?], $told:ident, $name:ident, |$e:ident, $s:ident| $say:expr) => {
        $(#[$doc])*
        pub trait $trait {
            /// Settles the call by this value.
            fn vitalsign_settle(&self, s: &mut Settle<'_>);
            /// Ends the call of which only this value says something.
            fn vitalsign_end<const SIGNALS: u8>(&self, call: &mut Brief<SIGNALS>);
        }
        impl<T, E $(: $($bounds)+)?> $trait for $self {
            #[inline]
            fn vitalsign_settle(&self, s: &mut Settle<'_>) {
                if let Err(e) = self.0 {
                    $name(e, s);
                }
            }
            #[inline]
            fn vitalsign_end<const SIGNALS: u8>(&self, call: &mut Brief<SIGNALS>) {
                match self.0 {
                    _ if SIGNALS & signals::$told == 0 => call.ends(self.0.is_err()),
                    Ok(_) => call.ends(false),
                    Err(e) => call.failed(e, $name::<E>),
                }
            }
        }
        #[inline]
        fn $name<E $(: $($bounds)+)?>($e: &E, $s: &mut Settle<'_>) {
            $say;
        }
    };
}

error! {
    /// A `Result` whose error is an [`ErrorLabel`] and an [`Error`].
    SettleLabelled for &&&&&&&Probe<'_, Result<T, E>>, [E: ErrorLabel + Error], ANY, by_label_and_message, |e, s| {
        let error_type = labelled(s, e);
        failed(s, || error_type, type_name::<E>(), ErrorValue::Std(e));
    }
}
error! {
    /// A `Result` whose error is an [`ErrorLabel`] only.
    SettleLabelledOnly for &&&&&&Probe<'_, Result<T, E>>, [E: ErrorLabel], ANY, by_label, |e, s| {
        let error_type = labelled(s, e);
        failed(s, || error_type, type_name::<E>(), ErrorValue::Opaque(type_name::<E>()));
    }
}
error! {
    /// A `Result` whose error is a [`std::error::Error`].
    SettleStd for &&&&&Probe<'_, Result<T, E>>, [E: Error], SPAN, by_message, |e, s|
        failed(s, type_path::<E>, type_name::<E>(), ErrorValue::Std(e))
}
error! {
    /// A `Result` whose error derefs to one: `Box<dyn Error>`, `anyhow::Error`. A reference to an unsized error is an error too.
    SettleDeref for &&&&Probe<'_, Result<T, E>>, [E: Deref<Target: Error>], SPAN, by_message_behind, |e, s|
        failed(s, type_path::<E::Target>, behind::<E>(), ErrorValue::Std(&&**e))
}
error! {
    /// A `Result` whose error can be displayed.
    SettleDisplay for &&&Probe<'_, Result<T, E>>, [E: Display], SPAN, by_text, |e, s|
        failed(s, type_path::<E>, type_name::<E>(), ErrorValue::Display(e))
}
error! {
    /// Any other `Result`.
    SettleResult for &&Probe<'_, Result<T, E>>, [E], SPAN, by_type, |_e, s|
        failed(s, type_path::<E>, type_name::<E>(), ErrorValue::Opaque(type_name::<E>()))
}

/// A type that says it itself.
pub trait SettleOutcome {
    /// Settles the call by this value.
    fn vitalsign_settle(&self, s: &mut Settle<'_>);
    /// Ends the call of which only this value says something.
    fn vitalsign_end<const SIGNALS: u8>(&self, call: &mut Brief<SIGNALS>);
}
impl<R: Outcome + ?Sized> SettleOutcome for &Probe<'_, R> {
    #[inline]
    fn vitalsign_settle(&self, s: &mut Settle<'_>) {
        by_itself(self.0, s);
    }
    #[inline]
    fn vitalsign_end<const SIGNALS: u8>(&self, call: &mut Brief<SIGNALS>) {
        call.asked(self.0, by_itself);
    }
}
#[inline]
fn by_itself<R: Outcome + ?Sized>(ret: &R, s: &mut Settle<'_>) {
    if let Verdict::Error(error_type) = ret.outcome() {
        failed(s, || error_type, type_name::<R>(), ErrorValue::Opaque(type_name::<R>()));
    }
}

/// Everything else is a success.
pub trait SettleAny {
    /// Settles the call by this value.
    fn vitalsign_settle(&self, s: &mut Settle<'_>);
    /// Ends the call of which only this value says something.
    fn vitalsign_end<const SIGNALS: u8>(&self, call: &mut Brief<SIGNALS>);
}
impl<R: ?Sized> SettleAny for Probe<'_, R> {
    #[inline]
    fn vitalsign_settle(&self, _: &mut Settle<'_>) {}
    #[inline]
    fn vitalsign_end<const SIGNALS: u8>(&self, call: &mut Brief<SIGNALS>) {
        call.ends(false);
    }
}

/// A returned `Result` whose error is shown by `Debug`: `err(debug)`.
pub struct DebugProbe<'a, R>(pub &'a R);

level! {
    /// An [`ErrorLabel`] and an [`Error`], shown by `Debug`.
    SettleDebugLabelledStd for &&&&&&&DebugProbe<'_, Result<T, E>>, [T, E: ErrorLabel + Error], |ret, s| if let Err(e) = ret {
        let error_type = labelled(s, e);
        failed(s, || error_type, type_name::<E>(), ErrorValue::Debug(e, Plain::Std(e)));
    }
}
level! {
    /// An [`ErrorLabel`] shown by `Debug`.
    SettleDebugLabelled for &&&&&&DebugProbe<'_, Result<T, E>>, [T, E: ErrorLabel + Debug], |ret, s| if let Err(e) = ret {
        let error_type = labelled(s, e);
        failed(s, || error_type, type_name::<E>(), ErrorValue::Debug(e, Plain::None));
    }
}
level! {
    /// An [`Error`] shown by `Debug`.
    SettleDebugStd for &&&&&DebugProbe<'_, Result<T, E>>, [T, E: Error], |ret, s| if let Err(e) = ret {
        failed(s, type_path::<E>, type_name::<E>(), ErrorValue::Debug(e, Plain::Std(e)));
    }
}
level! {
    /// What derefs to an [`Error`], shown by `Debug`.
    SettleDebugDeref for &&&&DebugProbe<'_, Result<T, E>>, [T, E: Debug + Deref<Target: Error>], |ret, s| if let Err(e) = ret {
        failed(s, type_path::<E::Target>, behind::<E>(), ErrorValue::Debug(e, Plain::Std(&&**e)));
    }
}
level! {
    /// What has a `Display` form, shown by `Debug`.
    SettleDebugDisplay for &&&DebugProbe<'_, Result<T, E>>, [T, E: Debug + Display], |ret, s| if let Err(e) = ret {
        failed(s, type_path::<E>, type_name::<E>(), ErrorValue::Debug(e, Plain::Display(e)));
    }
}
/// Any error shown by `Debug`. The bound stands on the method, so that an error without `Debug` is told so.
pub trait SettleDebug {
    /// The error.
    type Error;
    /// Settles the call by this value.
    fn vitalsign_settle(&self, s: &mut Settle<'_>)
    where
        Self::Error: Debug;
}
impl<T, E> SettleDebug for &&DebugProbe<'_, Result<T, E>> {
    type Error = E;
    #[inline]
    fn vitalsign_settle(&self, s: &mut Settle<'_>)
    where
        E: Debug,
    {
        if let Err(e) = self.0 {
            failed(s, type_path::<E>, type_name::<E>(), ErrorValue::Debug(e, Plain::None));
        }
    }
}
level! {
    /// A type that says itself what it means, shown by its name.
    SettleDebugOutcome for &DebugProbe<'_, R>, [R: Outcome], |ret, s| if let Verdict::Error(error_type) = ret.outcome() {
        failed(s, || error_type, type_name::<R>(), ErrorValue::Opaque(type_name::<R>()));
    }
}
level! {
    /// Everything else is a success, as without `err(debug)`: on a block the option stands for all its functions.
    SettleDebugAny for DebugProbe<'_, R>, [R], |_ret, _s| ()
}

/// The value that the option `ret` records: what is in `Ok`, or the value itself.
pub struct OkProbe<'a, R>(pub &'a R);

/// [`OkProbe`] of a `Result`.
pub trait OkOfResult<'a> {
    /// The type inside `Ok`.
    type Value: 'a;
    /// The value, when there is one.
    fn vitalsign_ok(&self) -> Option<&'a Self::Value>;
}
impl<'a, T, E> OkOfResult<'a> for &OkProbe<'a, Result<T, E>> {
    type Value = T;
    fn vitalsign_ok(&self) -> Option<&'a T> {
        self.0.as_ref().ok()
    }
}
/// [`OkProbe`] of anything else.
pub trait OkOfAny<'a> {
    /// The returned type.
    type Value: 'a;
    /// The value.
    fn vitalsign_ok(&self) -> Option<&'a Self::Value>;
}
impl<'a, R> OkOfAny<'a> for OkProbe<'a, R> {
    type Value = R;
    fn vitalsign_ok(&self) -> Option<&'a R> {
        Some(self.0)
    }
}

/// Whether a plain function returned a boxed future, whose call is yet to come.
pub struct Kind<'a, R>(pub &'a R);

/// The returned value is what the call came to.
#[derive(Clone, Copy)]
pub struct ValueKind;
/// The returned value is a future: the call is its life from the first poll on.
#[derive(Clone, Copy)]
pub struct FutureKind;
/// As [`FutureKind`], and `Sync`.
#[derive(Clone, Copy)]
pub struct SyncFutureKind;
/// As [`FutureKind`], without `Send`.
#[derive(Clone, Copy)]
pub struct LocalFutureKind;

/// [`Kind`] of `Pin<Box<dyn Future + Send + Sync>>`.
pub trait KindOfSyncFuture {
    /// The tag to finish by.
    fn vitalsign_kind(&self) -> SyncFutureKind;
}
impl<T> KindOfSyncFuture for &&&Kind<'_, Pin<Box<dyn Future<Output = T> + Send + Sync + '_>>> {
    fn vitalsign_kind(&self) -> SyncFutureKind {
        SyncFutureKind
    }
}
/// [`Kind`] of `Pin<Box<dyn Future + Send>>`.
pub trait KindOfFuture {
    /// The tag to finish by.
    fn vitalsign_kind(&self) -> FutureKind;
}
impl<T> KindOfFuture for &&Kind<'_, Pin<Box<dyn Future<Output = T> + Send + '_>>> {
    fn vitalsign_kind(&self) -> FutureKind {
        FutureKind
    }
}
/// [`Kind`] of `Pin<Box<dyn Future>>`.
pub trait KindOfLocalFuture {
    /// The tag to finish by.
    fn vitalsign_kind(&self) -> LocalFutureKind;
}
impl<T> KindOfLocalFuture for &Kind<'_, Pin<Box<dyn Future<Output = T> + '_>>> {
    fn vitalsign_kind(&self) -> LocalFutureKind {
        LocalFutureKind
    }
}
/// [`Kind`] of everything else.
pub trait KindOfValue {
    /// The tag to finish by.
    fn vitalsign_kind(&self) -> ValueKind;
}
impl<R> KindOfValue for Kind<'_, R> {
    fn vitalsign_kind(&self) -> ValueKind {
        ValueKind
    }
}

impl ValueKind {
    /// Settles the call and hands the value on.
    #[inline]
    pub fn finish<const SIGNALS: u8, R>(
        self,
        mut call: Call<SIGNALS>,
        ret: R,
        settle: impl FnOnce(&R, &mut Settle<'_>),
    ) -> R {
        call.finish(&ret, settle);
        ret
    }
}

impl FutureKind {
    /// Boxes the future once more, with the call around it.
    pub fn finish<'f, const SIGNALS: u8, T: 'f>(
        self,
        mut call: Call<SIGNALS>,
        ret: Pin<Box<dyn Future<Output = T> + Send + 'f>>,
        settle: impl Fn(&T, &mut Settle<'_>) + Send + 'f,
    ) -> Pin<Box<dyn Future<Output = T> + Send + 'f>> {
        if call.on() {
            Box::pin(crate::future::future_prepared(call.defer(), ret, settle))
        } else {
            ret
        }
    }
}

impl SyncFutureKind {
    /// Boxes the future once more, with the call around it.
    pub fn finish<'f, const SIGNALS: u8, T: 'f>(
        self,
        mut call: Call<SIGNALS>,
        ret: Pin<Box<dyn Future<Output = T> + Send + Sync + 'f>>,
        settle: impl Fn(&T, &mut Settle<'_>) + Send + Sync + 'f,
    ) -> Pin<Box<dyn Future<Output = T> + Send + Sync + 'f>> {
        if call.on() {
            Box::pin(crate::future::future_prepared(call.defer(), ret, settle))
        } else {
            ret
        }
    }
}

impl LocalFutureKind {
    /// Boxes the future once more, with the call around it.
    pub fn finish<'f, const SIGNALS: u8, T: 'f>(
        self,
        mut call: Call<SIGNALS>,
        ret: Pin<Box<dyn Future<Output = T> + 'f>>,
        settle: impl Fn(&T, &mut Settle<'_>) + 'f,
    ) -> Pin<Box<dyn Future<Output = T> + 'f>> {
        if call.on() {
            Box::pin(crate::future::future_prepared(call.defer(), ret, settle))
        } else {
            ret
        }
    }
}
