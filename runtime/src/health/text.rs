//! Texts that come from outside: bounded, and without the passwords that addresses carry.

use crate::secret::{hidden, is_secret};
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

/// Ready to be shown: passwords masked, at most [`SHOWN`] bytes, no control characters but line ends turned into spaces.
pub(crate) fn shown(text: &str) -> String {
    let bounded = cut(text, Bounded::LIMIT);
    let mut out = mask(bounded, bounded.len() < text.len() || bounded.len() > SHOWN * 3);
    if out.len() > SHOWN {
        let keep = cut(&out, SHOWN - '…'.len_utf8()).len();
        out.truncate(keep);
        out.push('…');
    }
    out
}

/// Replaces the user part of addresses and the values of secret keys by `***`. Of a text that was cut, the last word is left out
/// where it may be half an address.
fn mask(text: &str, was_cut: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| !is_break(c)) {
        out.extend(rest[..start].chars().map(printable));
        rest = &rest[start..];
        let end = rest.find(is_break).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        if was_cut && after.is_empty() && word.contains("://") {
            out.push_str("***");
        } else {
            mask_word(word, &mut out);
        }
    }
    out.extend(rest.chars().map(printable));
    hidden(&out, is_secret, "***").unwrap_or(out)
}

fn is_break(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

fn mask_word(word: &str, out: &mut String) {
    let mut word = word;
    if let Some(scheme) = word.find("://") {
        let host = scheme + 3;
        // An unescaped `@` or `/` in a password is common; all up to the last `@` goes.
        if let Some(at) = word[host..].rfind('@') {
            out.push_str(&word[..host]);
            out.push_str("***@");
            word = &word[host + at + 1..];
        }
    }
    out.push_str(word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked() {
        for (text, wanted) in [
            ("plain text, nothing to hide", "plain text, nothing to hide"),
            (
                "at postgres://app:hunter2@db:5432/x?a=b failed",
                "at postgres://***@db:5432/x?a=b failed",
            ),
            ("redis://:p@ss/w@h:1", "redis://***@h:1"),
            ("url=\"mysql://u:p@h\"", "url=\"mysql://***@h\""),
            (
                "https://h/x?user=1&api_key=abc&b=2",
                "https://h/x?user=1&api_key=***&b=2",
            ),
            ("password=hunter2 host=db", "password=*** host=db"),
            ("DB_PASSWORD=hunter2", "DB_PASSWORD=***"),
            ("password: hunter2 rest", "password: *** rest"),
            ("Authorization: Bearer abc def", "Authorization: ***"),
            ("password=\"hunter two\" host=db", "password=*** host=db"),
            ("host=db password='hunter two'", "host=db password=***"),
            ("userToken=abc passphrase=def", "userToken=*** passphrase=***"),
            ("mail a@b.c", "mail a@b.c"),
            ("a\u{0}b\nc", "a b c"),
            ("host=db token", "host=db token"),
        ] {
            assert_eq!(shown(text), wanted);
        }
    }

    #[test]
    fn long_texts_are_cut_and_hide_half_addresses() {
        assert_eq!(shown(&"ü".repeat(5_000_000)).len(), SHOWN - 1);
        let long = format!("{}postgres://app:{}@host", "x ".repeat(400), "p".repeat(10_000));
        let text = shown(&long);
        assert!(!text.contains("app") && text.len() <= SHOWN, "{text}");
        let mut bounded = Bounded::default();
        bounded.push(&long);
        assert!(!shown(bounded.as_str()).contains("app"));
    }
}
