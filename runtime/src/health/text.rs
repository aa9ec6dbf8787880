//! Texts that come from outside: bounded, and without the passwords that addresses carry.

use std::fmt::{self, Write};

/// What a report shows of a message, at most.
pub(crate) const SHOWN: usize = 1024;

/// A text that stops growing.
#[derive(Default)]
pub(crate) struct Bounded {
    text: String,
    full: bool,
}

impl Bounded {
    /// More than is shown, so that an address that begins inside what is shown can be masked whole.
    pub(crate) const LIMIT: usize = 4 * SHOWN;

    /// Adds what fits.
    pub(crate) fn push(&mut self, value: &(impl fmt::Display + ?Sized)) {
        // A full buffer ends the formatting by an error; that is the point.
        let _ = write!(self, "{value}");
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }
}

impl Write for Bounded {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = Self::LIMIT - self.text.len();
        let fits = cut(s, room);
        self.text.push_str(fits);
        if fits.len() < s.len() {
            self.full = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// At most `limit` bytes, whole characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
