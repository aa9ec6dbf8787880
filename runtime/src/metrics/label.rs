//! Labels become an index by type.
//!
//! A label's values are a closed set, so a value is a small number and a set of labels is one number: the position in an array
//! of cells. Names are looked up by whoever scrapes, never by the caller.

mod limit;

pub use limit::{Limit, limit};

use std::any::TypeId;
use std::marker::PhantomData;

/// A closed set of label values: what makes a label bounded by construction.
///
/// Derived for enums with `#[derive(LabelValue)]`; `bool`, references to label values and `Option`s of them (`none`) are
/// label values too.
///
/// # Examples
///
/// ```
/// use vitalsign::LabelValue;
///
/// assert_eq!(<Option<bool>>::value(Some(true).index()), "true");
/// assert_eq!(<Option<bool>>::value(None::<bool>.index()), "none");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no label value: its set of values is not bounded",
    label = "not a `LabelValue`",
    note = "for an enum: `#[derive(vitalsign::LabelValue)]`",
    note = "for strings and integers: `limit(expr, 50)` gives the first 50 values a series, the rest share `other`"
)]
pub trait LabelValue {
    /// How many values there are.
    const LEN: usize;
    /// Which of them reads `none`: an `Option` of the type has no other for its own `None`.
    const NONE: Option<usize> = None;
    /// The type without its lifetimes: tells tables of generic functions apart.
    type Key: 'static;
    /// Which of them this is, below `LEN`.
    fn index(&self) -> usize;
    /// The text of one.
    fn value(index: usize) -> &'static str;
}

impl LabelValue for bool {
    const LEN: usize = 2;
    type Key = bool;
    fn index(&self) -> usize {
        usize::from(*self)
    }
    fn value(index: usize) -> &'static str {
        ["false", "true"][index]
    }
}

impl<T: LabelValue + ?Sized> LabelValue for &T {
    const LEN: usize = T::LEN;
    const NONE: Option<usize> = T::NONE;
    type Key = T::Key;
    fn index(&self) -> usize {
        T::index(self)
    }
    fn value(index: usize) -> &'static str {
        T::value(index)
    }
}

impl<T: LabelValue> LabelValue for Option<T> {
    const LEN: usize = if T::NONE.is_some() { T::LEN } else { T::LEN + 1 };
    const NONE: Option<usize> = Some(match T::NONE {
        Some(index) => index,
        None => T::LEN,
    });
    type Key = Option<T::Key>;
    fn index(&self) -> usize {
        let none = const {
            match T::NONE {
                Some(index) => index,
                None => T::LEN,
            }
        };
        self.as_ref().map_or(none, LabelValue::index)
    }
    fn value(index: usize) -> &'static str {
        if index == T::LEN { "none" } else { T::value(index) }
    }
}

/// The variants of an error enum as the label `error_type`; derived.
pub trait ErrorLabel {
    /// How many values there are.
    const LEN: usize;
    /// Which of them this is, below `LEN`.
    fn index(&self) -> usize;
    /// The text of one.
    fn value(index: usize) -> &'static str;
    /// False for a variant marked `#[label(outcome = "ok")]`.
    fn is_failure(&self) -> bool {
        true
    }
    /// The same by the index, for the series that stand at 0 before the first call.
    fn fails(index: usize) -> bool {
        index < Self::LEN
    }
}

/// Asks a return type for the errors that it can say the names of; `E` of `Result<T, E>` is one or it is not.
pub struct ErrorsOf<R>(PhantomData<fn() -> R>);

impl<T, E: ErrorLabel> ErrorsOf<Result<T, E>> {
    /// Their names. Where there are none, [`ErrorsOfAny`] answers.
    pub const ERRORS: Option<&'static ErrorLabelType> = Some(&LabelType::of_error::<E>());
}

/// See [`ErrorsOf`].
pub trait ErrorsOfAny {
    /// No names.
    const ERRORS: Option<&'static ErrorLabelType> = None;
}

impl<R> ErrorsOfAny for ErrorsOf<R> {}

/// A label type as data: what a table is laid out by.
#[derive(Clone, Copy)]
pub struct LabelType {
    /// 0 for a `limit`, whose size its static knows.
    pub(crate) len: usize,
    pub(crate) value: fn(usize) -> &'static str,
    pub(crate) key: fn() -> TypeId,
}

impl LabelType {
    /// The description of `T`.
    pub const fn of<T: LabelValue + ?Sized>() -> Self {
        Self {
            len: T::LEN,
            value: T::value,
            key: TypeId::of::<T::Key>,
        }
    }

    /// The description of `T`, for as long as the program runs.
    pub const fn named<T: LabelValue + ?Sized>() -> &'static Self {
        const { &Self::of::<T>() }
    }

    /// The description of the label an expression over some arguments has. The closure is never called.
    pub const fn like<A, T: LabelValue + ?Sized>(_: fn(A) -> LabelIx<T>) -> Self {
        Self::of::<T>()
    }

    /// The description of an [`ErrorLabel`]; `T` is told from others by its table of values.
    pub const fn of_error<T: ErrorLabel>() -> ErrorLabelType {
        ErrorLabelType {
            len: T::LEN,
            value: T::value,
            fails: T::fails,
        }
    }
}

impl std::fmt::Debug for LabelType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.len).map(|i| (self.value)(i))).finish()
    }
}

/// An error label type as data.
#[derive(Clone, Copy)]
pub struct ErrorLabelType {
    pub(crate) len: usize,
    pub(crate) value: fn(usize) -> &'static str,
    pub(crate) fails: fn(usize) -> bool,
}

impl ErrorLabelType {
    /// The names of those that are failures.
    pub(crate) fn failures(&self) -> Vec<&'static str> {
        let failures = (0..self.len).filter(|&index| (self.fails)(index));
        failures.map(self.value).collect()
    }
}

/// One value of an [`ErrorLabel`].
#[derive(Clone, Copy)]
pub struct ErrorIndex {
    pub(crate) index: usize,
    pub(crate) of: ErrorLabelType,
}

impl ErrorIndex {
    pub(crate) fn text(self) -> &'static str {
        (self.of.value)(self.index)
    }
}

/// The types of several labels, in order; its address is compared before its content.
pub struct Dims {
    pub(crate) types: &'static [LabelType],
}

impl Dims {
    /// No labels.
    pub(crate) const NONE: &'static Self = &NO_DIMS;

    /// The same types, wherever the compiler put them.
    pub(crate) fn same(&'static self, other: &'static Self) -> bool {
        std::ptr::eq(self, other)
            || (self.types.len() == other.types.len()
                && self
                    .types
                    .iter()
                    .zip(other.types)
                    .all(|(a, b)| a.len == b.len && (a.key)() == (b.key)()))
    }
}

static NO_DIMS: Dims = Dims { types: &[] };

/// Several labels as one index. The default is "no labels".
#[derive(Clone, Copy)]
pub struct Labels {
    pub(crate) index: u32,
    pub(crate) dims: &'static Dims,
}

impl Labels {
    /// No labels.
    pub(crate) const NONE: Self = Self {
        index: 0,
        dims: Dims::NONE,
    };
}

impl Default for Labels {
    #[inline]
    fn default() -> Self {
        Self::NONE
    }
}

/// One label of a call: a value of `T` as its index.
pub struct LabelIx<T: ?Sized>(usize, PhantomData<fn(&T)>);

/// The index of a label value.
#[inline]
pub fn label<T: LabelValue + ?Sized>(value: &T) -> LabelIx<T> {
    LabelIx(value.index(), PhantomData)
}

/// One element of the tuple given to [`labels`].
#[expect(clippy::len_without_is_empty, reason = "a label without values has no call")]
pub trait LabelElement {
    /// Its type as data.
    const TYPE: LabelType;
    /// How many values it has.
    fn len(&self) -> usize;
    /// Which of them this is.
    fn index(&self) -> usize;
}

impl<T: LabelValue + ?Sized> LabelElement for LabelIx<T> {
    const TYPE: LabelType = LabelType::of::<T>();
    #[inline]
    fn len(&self) -> usize {
        T::LEN
    }
    #[inline]
    fn index(&self) -> usize {
        self.0
    }
}

/// One to eight labels.
pub trait LabelTuple {
    /// The one index of all of them.
    fn labels(&self) -> Labels;
}

/// The one index of a tuple of labels and limits.
#[inline]
pub fn labels(tuple: &impl LabelTuple) -> Labels {
    tuple.labels()
}

/// Where the compiler keeps the types of one tuple.
struct DimsOf<T>(PhantomData<T>);

macro_rules! tuples {
    ($($($name:ident $at:tt)+;)*) => {$(
        impl<$($name: LabelElement),+> DimsOf<($($name,)+)> {
            const DIMS: &'static Dims = &Dims { types: &[$($name::TYPE),+] };
        }
        impl<$($name: LabelElement),+> LabelTuple for ($($name,)+) {
            #[inline]
            fn labels(&self) -> Labels {
                let mut index = 0usize;
                $(index = index.saturating_mul(self.$at.len()).saturating_add(self.$at.index());)+
                Labels {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    dims: DimsOf::<($($name,)+)>::DIMS,
                }
            }
        }
    )*};
}
tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuple_is_one_index() {
        let ix = labels(&(label(&true), label(&None::<bool>)));
        assert_eq!(ix.index, 5);
        assert_eq!(ix.dims.types.iter().map(|t| t.len).collect::<Vec<_>>(), [2, 3]);
        let values: Vec<_> = (0..3).map(|i| (ix.dims.types[1].value)(i)).collect();
        assert_eq!(values, ["false", "true", "none"]);
    }

    #[test]
    fn types_are_told_apart() {
        let bools = labels(&(label(&true),)).dims;
        let options = labels(&(label(&Some(true)),)).dims;
        let refs = labels(&(label(&&true),)).dims;
        assert!(bools.same(refs));
        assert!(!bools.same(options));
        assert!(!bools.same(Dims::NONE));
    }

    #[test]
    fn limits_take_part() {
        static LIMIT: Limit = Limit::new(2);
        let at = |text: &str| labels(&(label(&true), limit(&LIMIT, text))).index;
        assert_eq!([at("a"), at("b"), at("c"), at("a")], [3, 4, 5, 3]);
    }
}
