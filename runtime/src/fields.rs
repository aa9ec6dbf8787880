//! How a field's value is shown: the wrappers of `fields(…)`, and the values of `args` and `ret`.

use crate::export::diag;
use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::{self, Debug, Display, Write as _};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use tracing_core::field::{self, DebugValue, DisplayValue, Value};

/// A key alone: its value is recorded later.
pub fn empty() -> field::Empty {
    field::Empty
}

/// What a field holds as it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value that a field holds as it is",
    label = "neither a number, a `bool`, a string nor an error",
    note = "`%x` shows it by Display, `?x` by Debug"
)]
pub trait FieldValue: Value {}

#[diagnostic::do_not_recommend]
impl<T: Value> FieldValue for T {}

/// A value as it is.
#[inline]
pub fn native<T: FieldValue>(value: &T) -> &dyn Value {
    value
}

/// `redact(x)`: there is a value, and that is all.
pub fn redact<T: ?Sized>(_: &T) -> &'static str {
    crate::secret::REDACTED
}

/// `hash(x)`: the same for the same value and key, and no way back without the key.
pub fn hash<T: Display + ?Sized>(value: &T) -> DisplayValue<Hashed<'_, T>> {
    field::display(Hashed(value))
}

/// A value shown as its keyed hash.
#[derive(Debug)]
pub struct Hashed<'a, T: ?Sized>(&'a T);

impl<T: Display + ?Sized> Display for Hashed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hasher = Sip::new(key());
        write!(hasher, "{}", self.0)?;
        write!(f, "{:016x}", hasher.finish())
    }
}

static KEY: OnceLock<[u64; 2]> = OnceLock::new();

/// `VITALSIGN_HASH_KEY`. The first key holds for the life of the process.
pub(crate) fn set_key(text: &str) {
    let half = |salt| {
        let mut hasher = Sip::new([salt, 0]);
        hasher.update(text.as_bytes());
        hasher.finish()
    };
    KEY.get_or_init(|| [half(1), half(2)]);
}

/// The key of [`hash`]: the one that was set, else random for this process, which is said once.
fn key() -> [u64; 2] {
    *KEY.get_or_init(|| {
        diag::say(
            diag::Level::Info,
            format_args!(
                "`hash(…)` has a random key: hashes of this process compare with no other's. VITALSIGN_HASH_KEY gives one"
            ),
        );
        [RandomState::new().hash_one(1), RandomState::new().hash_one(2)]
    })
}

/// `truncate(x, n)`: the first `n` characters.
pub fn truncate<T: Display + ?Sized>(value: &T, most: usize) -> DisplayValue<Truncated<'_, T>> {
    field::display(Truncated(value, most))
}

/// A value shown by its first characters.
#[derive(Debug)]
pub struct Truncated<'a, T: ?Sized>(&'a T, usize);

impl<T: Display + ?Sized> Display for Truncated<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = Cut {
            out: f,
            left: self.1,
            over: false,
        };
        // An error after the last character says that there was more, which is what was asked.
        let written = write!(cut, "{}", self.0);
        if cut.over { f.write_str("…") } else { written }
    }
}

struct Cut<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    left: usize,
    over: bool,
}

impl fmt::Write for Cut<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.left == 0 {
                self.over = true;
                return Err(fmt::Error);
            }
            self.left -= 1;
            self.out.write_char(char)?;
        }
        Ok(())
    }
}

/// `len(x)`: how many bytes of a text, elements of a collection.
pub fn len<T: Length + ?Sized>(value: &T) -> u64 {
    value.length() as u64
}

/// What `len(x)` accepts.
#[diagnostic::on_unimplemented(
    message = "`len` knows texts, slices and the collections of std; not `{Self}`",
    note = "call it yourself: `key = x.len()`"
)]
pub trait Length {
    /// How many.
    fn length(&self) -> usize;
}

macro_rules! lengths {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> Length for $type {
            fn length(&self) -> usize {
                self.len()
            }
        }
    )*};
}
lengths! {
    [] str;
    [] String;
    [T] [T];
    [T, const N: usize] [T; N];
    [T] Vec<T>;
    [T] VecDeque<T>;
    [K, V, S] HashMap<K, V, S>;
    [K, S] HashSet<K, S>;
    [K, V] BTreeMap<K, V>;
    [K] BTreeSet<K>;
}

macro_rules! forwarded {
    ($($type:ty),*) => {$(
        impl<T: Length + ?Sized> Length for $type {
            fn length(&self) -> usize {
                (**self).length()
            }
        }
    )*};
}
forwarded!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: ToOwned + Length + ?Sized> Length for Cow<'_, T> {
    fn length(&self) -> usize {
        (**self).length()
    }
}

/// A value shown by what its type has: `(&&&Arg(&x)).vitalsign_value()` is the value itself where it is native to `tracing`, else its
/// `Debug` form, else its type's name.
#[derive(Debug)]
pub struct Arg<'a, T: ?Sized>(pub &'a T);

/// [`Arg`] of a native value.
pub trait ArgNative<'a> {
    /// Its type.
    type Shown: Value + ?Sized;
    /// The value.
    fn vitalsign_value(&self) -> &'a Self::Shown;
}
impl<'a, T: Value> ArgNative<'a> for &&Arg<'a, T> {
    type Shown = T;
    fn vitalsign_value(&self) -> &'a T {
        self.0
    }
}

/// [`Arg`] of a value with a `Debug` form.
pub trait ArgDebug<'a> {
    /// Its type.
    type Shown: Debug;
    /// The value.
    fn vitalsign_value(&self) -> DebugValue<&'a Self::Shown>;
}
impl<'a, T: Debug> ArgDebug<'a> for &Arg<'a, T> {
    type Shown = T;
    fn vitalsign_value(&self) -> DebugValue<&'a T> {
        field::debug(self.0)
    }
}

/// [`Arg`] of any value.
pub trait ArgOpaque {
    /// The name of its type.
    fn vitalsign_value(&self) -> &'static str;
}
impl<T: ?Sized> ArgOpaque for Arg<'_, T> {
    fn vitalsign_value(&self) -> &'static str {
        type_name::<T>()
    }
}

/// `SipHash` 2-4, of which std has no keyed form that is stable across releases.
struct Sip {
    v: [u64; 4],
    /// Bytes not yet taken in, the length so far in the low byte count.
    tail: u64,
    length: u64,
}

impl Sip {
    fn new([k0, k1]: [u64; 2]) -> Self {
        Self {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            length: 0,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.tail |= u64::from(*byte) << (8 * (self.length % 8));
            self.length += 1;
            if self.length.is_multiple_of(8) {
                let word = std::mem::take(&mut self.tail);
                self.word(word);
            }
        }
    }

    fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.rounds(2);
        self.v[0] ^= word;
    }

    fn rounds(&mut self, rounds: u32) {
        let [mut a, mut b, mut c, mut d] = self.v;
        for _ in 0..rounds {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.v = [a, b, c, d];
    }

    fn finish(mut self) -> u64 {
        let last = self.tail | (self.length << 56);
        self.word(last);
        self.v[2] ^= 0xff;
        self.rounds(4);
        self.v.iter().fold(0, |all, part| all ^ part)
    }
}

impl fmt::Write for Sip {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.update(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::needless_borrow, reason = "asked as the macros ask")]
mod tests {
    use super::*;

    #[test]
    fn sip_hash_is_that_of_the_paper() {
        let mut hasher = Sip::new([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]);
        hasher.update(&(0..15).collect::<Vec<u8>>());
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn a_hash_tells_values_apart_and_shows_none() {
        let shown = |value: &dyn Display| Hashed(value).to_string();
        assert_eq!(shown(&"a@b.c"), shown(&"a@b.c"));
        assert_ne!(shown(&"a@b.c"), shown(&"a@b.d"));
        assert_eq!(shown(&7).len(), 16);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(Truncated("größer", 3).to_string(), "grö…");
        assert_eq!(Truncated("grö", 3).to_string(), "grö");
        assert_eq!(Truncated(&12345, 2).to_string(), "12…");
    }

    #[test]
    fn lengths() {
        assert_eq!(len("abc") + len(&vec![1, 2]) + len(&&[0_u8; 4][..]), 9);
    }

    #[test]
    fn arguments_show_what_they_have() {
        #[derive(Debug)]
        struct Point;
        struct Opaque;
        let native: &u32 = (&&&Arg(&5_u32)).vitalsign_value();
        assert_eq!(*native, 5);
        assert_eq!(format!("{:?}", (&&&Arg(&Point)).vitalsign_value()), "Point");
        assert!((&&&Arg(&Opaque)).vitalsign_value().ends_with("Opaque"));
    }
}
