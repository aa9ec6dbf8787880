//! Values that must not be written, by the name they stand under, at any depth.
//!
//! A name is secret when one of its words is: `db.password`, `user_token`, `X-Api-Key`; `max_tokens` and `author` are not. Inside
//! the text of a `Debug` or of JSON the same names are looked for in front of `:` and `=`.

use super::record::Value;
use crate::secret::{is_listed, is_secret};
use std::borrow::Cow;
use std::sync::Arc;

/// What stands in a secret value's place.
pub(crate) const REDACTED: &str = "[redacted]";

/// The text of a value under a name, and what to write instead; `None` leaves it.
pub(crate) type Hook = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// Which values are not written.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    pub(crate) keys: Vec<String>,
    pub(crate) hook: Option<Hook>,
}

impl Redactor {
    /// The value as it may be written.
    pub(crate) fn apply<'a>(&self, key: &str, value: Value<'a>) -> Value<'a> {
        if self.is_secret(key) {
            return Value::Text(REDACTED.into());
        }
        match value {
            Value::Text(text) => Value::Text(self.text(key, text)),
            Value::Error(chain) => Value::Error(chain.into_iter().map(|text| self.text(key, text)).collect()),
            other => other,
        }
    }

    /// A text as it may be written: the hook is asked last, so it never sees what the names give away.
    pub(crate) fn text<'a>(&self, key: &str, text: Cow<'a, str>) -> Cow<'a, str> {
        let text = match self.inside(&text) {
            Some(clean) => Cow::Owned(clean),
            None => text,
        };
        match self.hook.as_ref().map(|hook| hooked(hook, key, &text)) {
            Some(Some(instead)) => Cow::Owned(instead),
            _ => text,
        }
    }

    fn is_secret(&self, name: &str) -> bool {
        is_secret(name)
            || self.keys.iter().any(|key| name.eq_ignore_ascii_case(key))
            || is_listed(name, self.keys.iter().map(String::as_str))
    }

    /// Replaces the values of secret names inside a text; `None` if there are none.
    fn inside(&self, text: &str) -> Option<String> {
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
            if !self.is_secret(name_before(&text[..separator])) {
                continue;
            }
            let start = at + text[at..].len() - text[at..].trim_start_matches(' ').len();
            let end = start + value_len(&text[start..]);
            clean.push_str(&text[kept..start]);
            clean.push_str(REDACTED);
            kept = end;
            at = end;
        }
        (kept > 0).then(|| {
            clean.push_str(&text[kept..]);
            clean
        })
    }
}

/// A hook that panics hides the value.
fn hooked(hook: &Hook, key: &str, text: &str) -> Option<String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook(key, text))).unwrap_or_else(|payload| {
        std::mem::forget(payload);
        Some(REDACTED.to_owned())
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
    let mut quote: Option<&str> = None;
    let mut i = 0;
    while i < bytes.len() {
        let rest = &text[i..];
        if let Some(close) = quote {
            if close == "\"" && rest.starts_with('\\') {
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

    fn clean(text: &str) -> String {
        Redactor::default().text("message", text.into()).into_owned()
    }

    #[test]
    fn further_names_can_be_listed() {
        let redactor = Redactor {
            keys: vec!["tax_id".to_owned(), "iban".to_owned()],
            hook: None,
        };
        for name in [
            "password",
            "db.password",
            "userToken",
            "X-Api-Key",
            "apikey",
            "http.request.header.authorization",
            "tax_id",
            "customer.iban",
        ] {
            assert!(redactor.is_secret(name), "{name}");
        }
        for name in ["author", "max_tokens", "passing", "key", "api", "tax", ""] {
            assert!(!redactor.is_secret(name), "{name}");
        }
    }

    #[test]
    fn values_inside_texts() {
        for (text, expected) in [
            (
                r#"User { name: "a", password: "hunter2", id: 7 }"#,
                r#"User { name: "a", password: [redacted], id: 7 }"#,
            ),
            (
                r#"Login { user: "a", auth: Auth { token: Some("x, \" }y") }, n: 1 }"#,
                r#"Login { user: "a", auth: Auth { token: [redacted] }, n: 1 }"#,
            ),
            (
                r#"{"user":"a","password":"x\"y","n":1}"#,
                r#"{"user":"a","password":[redacted],"n":1}"#,
            ),
            (
                r#"{\"password\":\"xy\",\"n\":1}"#,
                r#"{\"password\":[redacted],\"n\":1}"#,
            ),
            ("GET /a?token=abc&page=2", "GET /a?token=[redacted]&page=2"),
            ("authorization: Bearer abc.def rest", "authorization: [redacted] rest"),
            ("secrets: {a: 1}", "secrets: {a: 1}"),
            ("credentials: {a: {b: 1}}, c", "credentials: [redacted], c"),
            ("password=", "password=[redacted]"),
            ("token::Kind = 5 and a::token", "token::Kind = 5 and a::token"),
            ("nothing here: at all", "nothing here: at all"),
        ] {
            assert_eq!(clean(text), expected);
        }
    }

    #[test]
    fn the_hook_sees_what_is_left() {
        let redactor = Redactor {
            keys: Vec::new(),
            hook: Some(Arc::new(|key, text| {
                assert!(!text.contains("hunter2"));
                (key == "mail").then(|| text.replace('@', " at "))
            })),
        };
        let value = redactor.apply("mail", Value::Text("a@b password=hunter2".into()));
        assert_eq!(value, Value::Text("a at b password=[redacted]".into()));
        assert_eq!(redactor.apply("n", Value::U64(1)), Value::U64(1));
        assert_eq!(redactor.apply("pwd", Value::U64(1)), Value::Text(REDACTED.into()));
    }
}
