//! What labels and numbers of declared metrics can be.

use crate::LabelValue;
use crate::metrics::dropped::{self, Reason};
use crate::metrics::label::{LabelElement, LabelType, Limit, limit};
use crate::metrics::table::Values;
use crate::site::LabelDef;

/// A label's type in [`metrics!`](crate::metrics!): a [`LabelValue`], or [`Limited`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no label: its set of values is not bounded",
    label = "not a `LabelValue`",
    note = "for an enum: `#[derive(vitalsign::LabelValue)]`",
    note = "for strings and integers: `Limited<50>` gives the first 50 values a series, the rest share `other`"
)]
pub trait Label {
    /// What a series is asked for with.
    type Given<'a>;
    #[doc(hidden)]
    const LIMIT: usize;
    #[doc(hidden)]
    const TYPE: LabelType;
    #[doc(hidden)]
    fn index(given: Self::Given<'_>, def: &LabelDef) -> usize;
}

#[diagnostic::do_not_recommend]
impl<T: LabelValue> Label for T {
    type Given<'a> = T;
    const LIMIT: usize = 0;
    const TYPE: LabelType = LabelType::of::<T>();
    fn index(given: T, _: &LabelDef) -> usize {
        given.index()
    }
}

/// A label of text: the first `N` values get a series, the rest share `other`. The labels of one metric can make 262 144 series at
/// most: `init()` refuses limits whose product is larger.
pub struct Limited<const N: usize>(std::convert::Infallible);

impl<const N: usize> Label for Limited<N> {
    type Given<'a> = &'a str;
    const LIMIT: usize = N;
    const TYPE: LabelType = LabelType {
        len: 0,
        value: |_| "",
        key: std::any::TypeId::of::<Self>,
    };
    fn index(given: &str, def: &LabelDef) -> usize {
        match Values::of(def, Self::TYPE) {
            Values::Limited(of) => LabelElement::index(&limit::<str>(of, given)),
            Values::Closed(_) => 0,
        }
    }
}

const _: fn(usize) -> Limit = Limit::new;

/// A set of labels as one index.
pub(super) struct Index<'a> {
    defs: std::slice::Iter<'a, LabelDef>,
    at: usize,
}

impl<'a> Index<'a> {
    pub(super) fn of(defs: &'a [LabelDef]) -> Self {
        Self {
            defs: defs.iter(),
            at: 0,
        }
    }

    /// One label more.
    #[inline]
    pub(super) fn and<T: Label>(mut self, given: T::Given<'_>) -> Self {
        if let Some(def) = self.defs.next() {
            let len = Values::of(def, T::TYPE).len();
            self.at = self.at.saturating_mul(len).saturating_add(T::index(given, def));
        }
        self
    }

    pub(super) fn get(self) -> usize {
        self.at
    }
}

/// `with` for one to six labels.
macro_rules! with {
    ($metric:ident [$($n:ident)?] => $series:ident) => {
        with!(@ $metric [$($n)?] $series a A);
        with!(@ $metric [$($n)?] $series a A b B);
        with!(@ $metric [$($n)?] $series a A b B c C);
        with!(@ $metric [$($n)?] $series a A b B c C d D);
        with!(@ $metric [$($n)?] $series a A b B c C d D e E);
        with!(@ $metric [$($n)?] $series a A b B c C d D e E f F);
    };
    (@ $metric:ident [$($n:ident)?] $series:ident $($arg:ident $type:ident)+) => {
        impl<$($n: Number,)? $($type: Label),+> $metric<$($n,)? ($($type,)+)> {
            /// The series with these labels, in the order of the declaration. It can be kept.
            #[inline]
            #[allow(clippy::many_single_char_names)]
            pub fn with(&'static self, $($arg: $type::Given<'_>),+) -> $series$(<$n>)? {
                let index = Index::of(self.definition.labels)$(.and::<$type>($arg))+;
                self.series(index.get())
            }
        }
    };
}
pub(super) use with;

mod sealed {
    pub trait Sealed {}
    impl Sealed for u64 {}
    impl Sealed for i64 {}
    impl Sealed for f64 {}
}

/// The numbers that metrics hold: `u64`, `i64`, `f64`.
pub trait Number: Copy + sealed::Sealed + 'static {
    #[doc(hidden)]
    const FLOAT: bool;
    #[doc(hidden)]
    const ZERO: Self;
    #[doc(hidden)]
    const ONE: Self;
    #[doc(hidden)]
    fn bits(self) -> u64;
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "the trait is sealed")]
    fn of_bits(bits: u64) -> crate::export::snapshot::Number;
    #[doc(hidden)]
    fn finite(self) -> bool;
    #[doc(hidden)]
    fn negative(self) -> bool;
    #[doc(hidden)]
    #[must_use]
    fn minus(self) -> Self;
    /// What is left of a number, as its bits; `None` where there is no such number.
    #[doc(hidden)]
    fn taken_from(self, bits: u64) -> Option<u64>;
}

macro_rules! number {
    ($type:ident $variant:ident $float:literal $one:literal $zero:literal |$n:ident| $bits:expr, |$b:ident| $of:expr, $finite:expr, $negative:expr, $minus:expr, $left:expr) => {
        impl Number for $type {
            const FLOAT: bool = $float;
            const ZERO: Self = $zero;
            const ONE: Self = $one;
            fn bits(self) -> u64 {
                let $n = self;
                $bits
            }
            fn of_bits($b: u64) -> crate::export::snapshot::Number {
                crate::export::snapshot::Number::$variant($of)
            }
            fn finite(self) -> bool {
                let $n = self;
                let _ = $n;
                $finite
            }
            fn negative(self) -> bool {
                let $n = self;
                let _ = $n;
                $negative
            }
            fn minus(self) -> Self {
                let $n = self;
                $minus
            }
            fn taken_from(self, $b: u64) -> Option<u64> {
                let $n = self;
                $left
            }
        }
    };
}
number!(u64 U64 false 1 0 |n| n, |b| b, true, false, n.wrapping_neg(), b.checked_sub(n));
number!(i64 I64 false 1 0 |n| n as u64, |b| b as i64, true, n < 0, n.wrapping_neg(), Some(b.wrapping_sub(n as u64)));
number!(f64 F64 true 1.0 0.0 |n| n.to_bits(), |b| f64::from_bits(b), n.is_finite(), n < 0.0, -n, {
    let left = f64::from_bits(b) - n;
    left.is_finite().then_some(left.to_bits())
});

/// Whether a number can be taken; counted where not.
#[inline]
pub(super) fn usable<N: Number>(n: N, only_up: bool) -> bool {
    if !n.finite() {
        dropped::count(Reason::NotFinite);
        return false;
    }
    if only_up && n.negative() {
        dropped::count(Reason::Negative);
        return false;
    }
    true
}
