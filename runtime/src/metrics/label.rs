//! Labels become an index by type.

use std::any::TypeId;

/// A closed set of label values: what makes a label bounded by construction.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no label value: its set of values is not bounded",
    label = "not a `LabelValue`",
    note = "for an enum: `#[derive(vitalsign::LabelValue)]`",
    note = "for strings and integers: `limit(expr, 50)` gives the first 50 values a series, the rest share `other`"
)]
pub trait LabelValue {
    /// How many values there are.
    const LEN: usize;
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
    type Key = T::Key;
    fn index(&self) -> usize {
        T::index(self)
    }
    fn value(index: usize) -> &'static str {
        T::value(index)
    }
}

impl<T: LabelValue> LabelValue for Option<T> {
    const LEN: usize = T::LEN + 1;
    type Key = Option<T::Key>;
    fn index(&self) -> usize {
        self.as_ref().map_or(T::LEN, LabelValue::index)
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
}

/// A label type as data: what a table is laid out by.
#[derive(Clone, Copy)]
pub struct LabelType {
    pub(crate) len: usize,
    pub(crate) value: fn(usize) -> &'static str,
    pub(crate) key: fn() -> TypeId,
}

impl LabelType {
    /// The description of `T`.
    pub const fn of<T: LabelValue>() -> Self {
        Self {
            len: T::LEN,
            value: T::value,
            key: TypeId::of::<T::Key>,
        }
    }

    /// The description of an [`ErrorLabel`]; `T` is told from others by its table of values.
    pub const fn of_error<T: ErrorLabel>() -> ErrorLabelType {
        ErrorLabelType {
            len: T::LEN,
            value: T::value,
        }
    }
}

/// An error label type as data.
#[derive(Clone, Copy)]
pub struct ErrorLabelType {
    pub(crate) len: usize,
    pub(crate) value: fn(usize) -> &'static str,
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

/// The state of one `limit(expr, n)`: the first `n` values it saw.
pub struct Limit {
    pub(crate) max: usize,
}

impl Limit {
    /// At most `max` values with a series of their own.
    pub const fn new(max: usize) -> Self {
        Self { max }
    }
}

/// Several labels as one index. The default is "no labels".
#[derive(Clone, Copy, Default)]
pub struct Labels {
    pub(crate) index: u32,
    pub(crate) dims: &'static [LabelType],
}
