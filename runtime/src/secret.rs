//! Names whose values are secret.

/// Words that make a name secret. Two words stand for both spellings, `api_key` and `apikey`.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "secrets",
    "token",
    "jwt",
    "bearer",
    "authorization",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "apikey",
    "api_key",
    "private_key",
    "access_key",
    "session_id",
    "signature",
    "ssn",
    "cvv",
];

/// Whether one of a name's words, or several in a row, are secret: `db.password`, `userToken`, `X-Api-Key`; not `max_tokens`, `author`.
pub(crate) fn is_secret(name: &str) -> bool {
    is_listed(name, SECRET.iter().copied())
}

/// The same for names that someone else lists, in lower case, their words parted by `_`.
pub(crate) fn is_listed<'a>(name: &str, secrets: impl Iterator<Item = &'a str>) -> bool {
    let mut secrets = secrets;
    secrets.any(|secret| {
        let mut from = Words(name);
        loop {
            let mut words = from.clone();
            let is = |part| words.next().is_some_and(|word| word.eq_ignore_ascii_case(part));
            if secret.split('_').all(is) {
                return true;
            }
            if from.next().is_none() {
                return false;
            }
        }
    })
}

/// The words of a name: parted by anything that is no letter, where lower case meets upper, and before the last of several capitals
/// that a small letter follows, as in `APIToken`. Numbers part words too: `password2`.
#[derive(Clone)]
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches(|c: char| !c.is_alphanumeric());
        let mut chars = text.char_indices().peekable();
        let (_, mut before) = chars.next()?;
        let mut end = text.len();
        while let Some((at, c)) = chars.next() {
            let small_follows = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
            let rises = c.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && small_follows));
            if !c.is_alphanumeric() || rises || c.is_numeric() != before.is_numeric() {
                end = at;
                break;
            }
            before = c;
        }
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        Some(word)
    }
}

/// What stands in a secret value's place.
pub(crate) const REDACTED: &str = "[redacted]";

/// A text with `instead` in the place of what stands after a secret name and `:` or `=`; `None` if there is nothing of that kind.
pub(crate) fn hidden(text: &str, secret: impl Fn(&str) -> bool, instead: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut clean = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|b| matches!(b, b':' | b'=')) {
        let separator = at + offset;
        at = separator + 1;
        // `a::b` is a path.
        if bytes.get(at) == Some(&b':') || (separator > 0 && bytes[separator - 1] == b':') {
            continue;
        }
        if !secret(name_before(&text[..separator])) {
            continue;
        }
        let start = at + text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len();
        let end = start + value_len(&text[start..]);
        clean.push_str(&text[kept..start]);
        clean.push_str(instead);
        kept = end;
        at = end;
    }
    (kept > 0).then(|| {
        clean.push_str(&text[kept..]);
        clean
    })
}

/// The name that ends a text, without quotes (also escaped ones) and blanks.
fn name_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '"', '\'', '\\']);
    let start = text
        .char_indices()
        .rev()
        .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
        .map_or(0, |(i, c)| i + c.len_utf8());
    &text[start..]
}

/// How far a value reaches that begins here: a quoted string, a bracketed group (`Some("…")` too), or up to the next separator.
fn value_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    // Only at the beginning: an apostrophe inside closes nothing.
    let (mut quote, mut i) = match text.strip_prefix('\'') {
        Some(_) => (Some("'"), 1),
        None => (None, 0),
    };
    while i < bytes.len() {
        let rest = &text[i..];
        if let Some(close) = quote {
            if close.len() == 1 && rest.starts_with('\\') {
                i += 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                continue;
            }
            if rest.starts_with(close) {
                quote = None;
                i += close.len();
                if depth == 0 {
                    return i;
                }
                continue;
            }
        } else if rest.starts_with("\\\"") {
            quote = Some("\\\"");
            i += 2;
            continue;
        } else {
            match bytes[i] {
                b'"' => quote = Some("\""),
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => {
                    if depth == 0 {
                        return i;
                    }
                    depth -= 1;
                    if depth == 0 {
                        return i + 1;
                    }
                }
                b',' | b'&' | b';' | b'\n' if depth == 0 => return i,
                // `Bearer abc` and `Basic abc` are one value; other text ends at the blank.
                b' ' if depth == 0 && !is_scheme(&text[..i]) => return i,
                _ => {}
            }
        }
        i += rest.chars().next().map_or(1, char::len_utf8);
    }
    bytes.len()
}

fn is_scheme(text: &str) -> bool {
    ["bearer", "basic", "digest"]
        .iter()
        .any(|scheme| text.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What does not compile as a field of a span is not written into a log line either.
    #[test]
    fn the_macros_know_no_other_words() {
        let macros = concat!(env!("CARGO_MANIFEST_DIR"), "/../macros/src/lower/secret.rs");
        let macros = std::fs::read_to_string(macros).unwrap();
        let list = macros
            .split_once("&[")
            .and_then(|(_, rest)| rest.split_once("];"))
            .unwrap()
            .0;
        let words: Vec<_> = list.split('"').skip(1).step_by(2).collect();
        assert!(words.len() > 15, "{words:?}");
        for word in words {
            assert!(is_secret(word), "{word}");
        }
    }

    #[test]
    fn whole_words_decide() {
        for name in [
            "password",
            "db.password",
            "userToken",
            "X-Api-Key",
            "apikey",
            "http.request.header.authorization",
            "AWSAccessKeyId",
            "XApiKey",
            "DBPassword",
            "userAPIToken",
            "password2",
            "oauth2token",
            "jwt",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["author", "max_tokens", "passing", "key", "api", "tax", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
