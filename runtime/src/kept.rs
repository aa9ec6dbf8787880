//! What an option may read once the body is done.

/// An argument that the body's end leaves behind: a reference, a number, anything `Copy`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is moved into the body and gone when the returned value is looked at",
    label = "read after the body has ended",
    note = "shared references and `Copy` values can be read here: take the argument by `&`"
)]
pub trait Kept {}

#[diagnostic::do_not_recommend]
impl<T: Copy> Kept for T {}

/// Says that an option reads this argument once the body is done.
#[inline]
pub fn kept<T: Kept>(_: &T) {}
