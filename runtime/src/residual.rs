//! What `?` does, for a body that cannot be left by it.
//!
//! The body of a `#[track_caller]` method stands where it was written, in a labelled block, because no closure is told its
//! caller's location. There `e?` becomes a `match` on [`branch`] that leaves the block with [`from_residual`]. The traits of
//! `core::ops` behind `?` are unstable; these say the same for the types that have `?` on stable Rust.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::task::Poll;

/// What `?` asks of a value: go on with this, or leave with that.
#[inline]
pub fn branch<T: Branch>(value: T) -> ControlFlow<T::Residual, T::Output> {
    value.branch()
}

/// What the function returns when `?` leaves it.
#[inline]
pub fn from_residual<T: FromResidual<R>, R>(residual: R) -> T {
    T::from_residual(residual)
}

/// As `core::ops::Try::branch`.
#[diagnostic::on_unimplemented(
    message = "the `?` operator can only be applied to values that implement `Try`",
    label = "the `?` operator cannot be applied to type `{Self}`"
)]
pub trait Branch {
    /// What `?` evaluates to.
    type Output;
    /// What it leaves with.
    type Residual;
    /// Goes on or leaves.
    fn branch(self) -> ControlFlow<Self::Residual, Self::Output>;
}

/// As `core::ops::FromResidual`.
#[diagnostic::on_unimplemented(
    message = "the `?` operator cannot leave a function that returns `{Self}` with `{R}`",
    label = "cannot use the `?` operator in a function that returns `{Self}`"
)]
pub trait FromResidual<R> {
    /// The value to return.
    fn from_residual(residual: R) -> Self;
}

impl<T> Branch for Option<T> {
    type Output = T;
    type Residual = Option<Infallible>;
    #[inline]
    fn branch(self) -> ControlFlow<Self::Residual, T> {
        match self {
            Some(value) => ControlFlow::Continue(value),
            None => ControlFlow::Break(None),
        }
    }
}

impl<T> FromResidual<Option<Infallible>> for Option<T> {
    #[inline]
    fn from_residual(_: Option<Infallible>) -> Self {
        None
    }
}

impl<T, E> Branch for Result<T, E> {
    type Output = T;
    type Residual = Result<Infallible, E>;
    #[inline]
    fn branch(self) -> ControlFlow<Self::Residual, T> {
        match self {
            Ok(value) => ControlFlow::Continue(value),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }
}

impl<T, E, F: From<E>> FromResidual<Result<Infallible, E>> for Result<T, F> {
    #[inline]
    fn from_residual(residual: Result<Infallible, E>) -> Self {
        residual.map(|never| match never {}).map_err(F::from)
    }
}

impl<B, C> Branch for ControlFlow<B, C> {
    type Output = C;
    type Residual = ControlFlow<B, Infallible>;
    #[inline]
    fn branch(self) -> ControlFlow<Self::Residual, C> {
        match self {
            ControlFlow::Continue(value) => ControlFlow::Continue(value),
            ControlFlow::Break(value) => ControlFlow::Break(ControlFlow::Break(value)),
        }
    }
}

impl<B, C> FromResidual<ControlFlow<B, Infallible>> for ControlFlow<B, C> {
    #[inline]
    fn from_residual(residual: ControlFlow<B, Infallible>) -> Self {
        match residual {
            ControlFlow::Break(value) => ControlFlow::Break(value),
            ControlFlow::Continue(never) => match never {},
        }
    }
}

impl<T, E> Branch for Poll<Result<T, E>> {
    type Output = Poll<T>;
    type Residual = Result<Infallible, E>;
    #[inline]
    fn branch(self) -> ControlFlow<Self::Residual, Poll<T>> {
        match self {
            Poll::Ready(Ok(value)) => ControlFlow::Continue(Poll::Ready(value)),
            Poll::Ready(Err(error)) => ControlFlow::Break(Err(error)),
            Poll::Pending => ControlFlow::Continue(Poll::Pending),
        }
    }
}

impl<T, E, F: From<E>> FromResidual<Result<Infallible, E>> for Poll<Result<T, F>> {
    #[inline]
    fn from_residual(residual: Result<Infallible, E>) -> Self {
        Poll::Ready(from_residual(residual))
    }
}

impl<T, E> Branch for Poll<Option<Result<T, E>>> {
    type Output = Poll<Option<T>>;
    type Residual = Result<Infallible, E>;
    #[inline]
    fn branch(self) -> ControlFlow<Self::Residual, Poll<Option<T>>> {
        match self {
            Poll::Ready(Some(Ok(value))) => ControlFlow::Continue(Poll::Ready(Some(value))),
            Poll::Ready(Some(Err(error))) => ControlFlow::Break(Err(error)),
            Poll::Ready(None) => ControlFlow::Continue(Poll::Ready(None)),
            Poll::Pending => ControlFlow::Continue(Poll::Pending),
        }
    }
}

impl<T, E, F: From<E>> FromResidual<Result<Infallible, E>> for Poll<Option<Result<T, F>>> {
    #[inline]
    fn from_residual(residual: Result<Infallible, E>) -> Self {
        Poll::Ready(Some(from_residual(residual)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `?` by the language and by these traits.
    macro_rules! alike {
        ($value:expr, $ty:ty, $ret:ty) => {{
            fn ours(value: $ty) -> $ret {
                match branch(value) {
                    ControlFlow::Continue(_) => unreachable!("it leaves"),
                    ControlFlow::Break(residual) => from_residual(residual),
                }
            }
            fn theirs(value: $ty) -> $ret {
                let _ = value?;
                unreachable!("it leaves")
            }
            assert_eq!(ours($value), theirs($value));
        }};
    }

    #[test]
    fn they_leave_as_the_operator_does() {
        alike!(None, Option<u8>, Option<String>);
        alike!(Err("e"), Result<u8, &'static str>, Result<(), String>);
        alike!(ControlFlow::Break(1), ControlFlow<u8, u16>, ControlFlow<u8, ()>);
        alike!(
            Poll::Ready(Err("e")),
            Poll<Result<u8, &'static str>>,
            Poll<Result<(), String>>
        );
        alike!(Poll::Ready(Err("e")), Poll<Result<u8, &'static str>>, Result<(), String>);
        alike!(Err("e"), Result<u8, &'static str>, Poll<Option<Result<(), String>>>);
        alike!(
            Poll::Ready(Some(Err("e"))),
            Poll<Option<Result<u8, &'static str>>>,
            Poll<Option<Result<(), String>>>
        );
    }

    #[test]
    fn they_go_on_as_the_operator_does() {
        assert_eq!(branch(Some(1)), ControlFlow::Continue(1));
        assert_eq!(branch(Ok::<_, ()>(1)), ControlFlow::Continue(1));
        assert_eq!(branch(ControlFlow::<(), _>::Continue(1)), ControlFlow::Continue(1));
        assert_eq!(
            branch(Poll::<Result<u8, ()>>::Pending),
            ControlFlow::Continue(Poll::Pending)
        );
        assert_eq!(
            branch(Poll::Ready(None::<Result<u8, ()>>)),
            ControlFlow::Continue(Poll::Ready(None))
        );
    }
}
