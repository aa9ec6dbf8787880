//! `limit(expr, n)`: the first `n` values of an open set get a series, the rest share `other`.

use super::{LabelElement, LabelType};
use std::any::TypeId;
use std::fmt::{self, Display, Write as _};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// The value that the rest share.
pub(crate) const OTHER: &str = "other";

/// A longer value is cut: a label is a name, not a text.
const MAX_BYTES: usize = 128;

/// The state of one `limit(expr, n)`: the first `n` values it saw.
///
/// Reading takes no lock: values are never removed, so a value once found stays where it was.
pub struct Limit {
    max: usize,
    state: OnceLock<State>,
    overflow: AtomicU64,
}

struct State {
    /// In order of arrival: the label's indices.
    values: Box<[OnceLock<Box<str>>]>,
    /// An open-addressing table of `index + 1`; 0 is a free place.
    places: Box<[AtomicU32]>,
    /// How many values there are; held only to add one.
    len: Mutex<usize>,
}

impl Limit {
    /// At most `max` values with a series of their own; 1 to 10 000.
    pub const fn new(max: usize) -> Self {
        let max = if max == 0 {
            1
        } else if max > 10_000 {
            10_000
        } else {
            max
        };
        Self {
            max,
            state: OnceLock::new(),
            overflow: AtomicU64::new(0),
        }
    }

    /// The values and `other`.
    pub(crate) fn len(&self) -> usize {
        self.max + 1
    }

    /// The text of one value, when it was seen.
    pub(crate) fn value(&'static self, index: usize) -> Option<&'static str> {
        if index == self.max {
            return Some(OTHER);
        }
        self.state.get()?.values.get(index)?.get().map(|text| &**text)
    }

    /// How often a value had to share `other`.
    pub(crate) fn overflow(&self) -> u64 {
        self.overflow.load(Ordering::Relaxed)
    }

    /// Whether a value was seen and has a series of its own.
    #[cfg(feature = "tower")]
    pub(crate) fn knows(&self, text: &str) -> bool {
        self.state.get().is_some_and(|state| state.find(text).is_some())
    }

    /// The index of a value, `other`'s for those beyond the limit.
    pub(crate) fn index(&self, text: &str) -> usize {
        let state = self.state.get_or_init(|| State::new(self.max));
        state.find(text).or_else(|| state.add(text)).unwrap_or_else(|| {
            // `other` itself is a value like any: it shares the series, nothing overflows.
            if text != OTHER {
                self.overflow.fetch_add(1, Ordering::Relaxed);
            }
            self.max
        })
    }
}

impl State {
    fn new(max: usize) -> Self {
        Self {
            values: (0..max).map(|_| OnceLock::new()).collect(),
            places: (0..(max * 2).next_power_of_two()).map(|_| AtomicU32::new(0)).collect(),
            len: Mutex::new(0),
        }
    }

    /// The index of a known value.
    fn find(&self, text: &str) -> Option<usize> {
        let mut place = self.place(text);
        loop {
            let index = self.places[place].load(Ordering::Acquire).checked_sub(1)? as usize;
            if self.values[index].get().is_some_and(|known| **known == *text) {
                return Some(index);
            }
            place = (place + 1) & (self.places.len() - 1);
        }
    }

    #[cold]
    fn add(&self, text: &str) -> Option<usize> {
        if text == OTHER {
            return None;
        }
        // Full for good: no lock then.
        if self.values.last()?.get().is_some() {
            return None;
        }
        let mut len = self.len.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(index) = self.find(text) {
            return Some(index);
        }
        let index = *len;
        self.values.get(index)?.set(text.into()).ok()?;
        *len += 1;
        let mut place = self.place(text);
        while self.places[place].load(Ordering::Relaxed) != 0 {
            place = (place + 1) & (self.places.len() - 1);
        }
        self.places[place].store(index as u32 + 1, Ordering::Release);
        Some(index)
    }

    /// Where the search begins. The table is small and at most half full, so a plain multiplicative hash will do; its last step
    /// brings what only the last letters of a word differ in to where it is looked at.
    fn place(&self, text: &str) -> usize {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 40) as usize & (self.places.len() - 1)
    }
}

/// One label of a call, from a `limit`.
pub struct Limited {
    index: usize,
    len: usize,
}

/// The index of a value under its limit.
#[inline]
pub fn limit<T: LimitValue + ?Sized>(limit: &'static Limit, value: &T) -> Limited {
    Limited {
        index: value.with_text(|text| limit.index(text)),
        len: limit.len(),
    }
}

impl LabelElement for Limited {
    const TYPE: LabelType = LabelType {
        len: 0,
        value: |_| OTHER,
        key: TypeId::of::<Self>,
    };
    #[inline]
    fn len(&self) -> usize {
        self.len
    }
    #[inline]
    fn index(&self) -> usize {
        self.index
    }
}

/// What `limit(expr, 50)` accepts: whatever displays itself. Nothing is allocated: the text is written into a buffer on the
/// stack and cut there at 128 bytes.
#[diagnostic::on_unimplemented(
    message = "`limit` needs a value that can be displayed; `{Self}` cannot",
    label = "no `Display`",
    note = "give it text: `limit(value.name(), 50)`"
)]
pub trait LimitValue {
    /// Calls with the value's text.
    fn with_text<R>(&self, f: impl FnOnce(&str) -> R) -> R;
}

impl<T: Display + ?Sized> LimitValue for T {
    fn with_text<R>(&self, f: impl FnOnce(&str) -> R) -> R {
        let mut buffer = Buffer {
            bytes: [0; MAX_BYTES],
            len: 0,
        };
        // The error says that the buffer is full, or that the value's own `Display` failed; what is there counts.
        let _ = write!(buffer, "{self}");
        f(std::str::from_utf8(&buffer.bytes[..buffer.len]).unwrap_or_default())
    }
}

struct Buffer {
    bytes: [u8; MAX_BYTES],
    len: usize,
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_BYTES - self.len;
        let take = if text.len() <= room {
            text.len()
        } else {
            (0..=room).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
        };
        self.bytes[self.len..self.len + take].copy_from_slice(&text.as_bytes()[..take]);
        self.len += take;
        if take == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_have_a_series_the_rest_share() {
        static LIMIT: Limit = Limit::new(3);
        let seen: Vec<_> = ["a", "b", "a", "c", "d", "e", "a", OTHER]
            .iter()
            .map(|text| limit(&LIMIT, *text).index)
            .collect();
        assert_eq!(seen, [0, 1, 0, 2, 3, 3, 0, 3]);
        assert_eq!(LIMIT.overflow(), 2);
        let values: Vec<_> = (0..4).map(|i| LIMIT.value(i)).collect();
        assert_eq!(values, [Some("a"), Some("b"), Some("c"), Some("other")]);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        static LIMIT: Limit = Limit::new(3);
        let long = "é".repeat(100);
        limit(&LIMIT, &format!("x{long}"));
        let value = LIMIT.value(0).unwrap();
        assert_eq!(value.len(), 127);
        assert!(value.starts_with("xé"));
        assert_eq!(limit(&LIMIT, &7_u64).index, 1);
        assert_eq!(LIMIT.value(1), Some("7"));
    }

    #[test]
    fn names_that_differ_in_their_end_begin_at_different_places() {
        let state = State::new(1000);
        let places: std::collections::HashSet<_> = (0..1000).map(|n| state.place(&format!("user-{n:03}"))).collect();
        assert!(places.len() > 600, "{}", places.len());
    }

    #[test]
    fn threads_agree() {
        static LIMIT: Limit = Limit::new(100);
        let ask = || {
            (0..1000)
                .map(|n| limit(&LIMIT, &(n * 7 % 150)).index)
                .collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            for handle in handles {
                handle.join().unwrap();
            }
        });
        let texts: std::collections::HashSet<_> = (0..100).map(|i| LIMIT.value(i).unwrap()).collect();
        assert_eq!(texts.len(), 100);
    }
}
