//! How far a counter moves, and the small functions that generated code calls by name.

use crate::metrics::Amount;

/// What `by` accepts: unsigned and signed integers and floats. Negative and non-finite amounts are dropped and counted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no amount by which a counter moves",
    label = "neither an integer nor a float",
    note = "from the arguments: `by = items.len()`; from the returned value: `by = |ret| ret.len()`"
)]
pub trait IntoAmount {
    /// The amount.
    fn into_amount(self) -> Amount;
}

macro_rules! amounts {
    ($($type:ty => |$v:ident| $amount:expr;)*) => {$(
        impl IntoAmount for $type {
            #[inline]
            fn into_amount(self) -> Amount {
                let $v = self;
                $amount
            }
        }
    )*};
}
amounts! {
    u8 => |v| Amount::Whole(v.into());
    u16 => |v| Amount::Whole(v.into());
    u32 => |v| Amount::Whole(v.into());
    u64 => |v| Amount::Whole(v);
    usize => |v| Amount::Whole(v as u64);
    i8 => |v| Amount::Real(v.into());
    i16 => |v| Amount::Real(v.into());
    i32 => |v| if v >= 0 { Amount::Whole(v as u64) } else { Amount::Real(v.into()) };
    i64 => |v| if v >= 0 { Amount::Whole(v as u64) } else { Amount::Real(v as f64) };
    isize => |v| if v >= 0 { Amount::Whole(v as u64) } else { Amount::Real(v as f64) };
    f32 => |v| Amount::Real(v.into());
    f64 => |v| Amount::Real(v);
}

impl<T: IntoAmount + Copy> IntoAmount for &T {
    #[inline]
    fn into_amount(self) -> Amount {
        (*self).into_amount()
    }
}

/// Runs a body in a closure of its own, so that `?` and `return` end there. The bound fixes the closure's kind, which is what
/// lets a body return a re-borrow of a captured `&mut`.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the closure is the function's own body")]
pub fn run<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Applies an option's closure or path to the returned value.
#[inline]
pub fn apply<'r, R: ?Sized, T>(ret: &'r R, f: impl FnOnce(&'r R) -> T) -> T {
    f(ret)
}

/// `ok_if` and `error_if`.
#[inline]
pub fn judge<R: ?Sized>(ret: &R, f: impl FnOnce(&R) -> bool) -> bool {
    f(ret)
}
