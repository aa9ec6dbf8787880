//! Values that must not be written, by the name they stand under, at any depth.
//!
//! A name is secret when one of its words is: `db.password`, `user_token`, `X-Api-Key`; `max_tokens` and `author` are not. Inside
//! the text of a `Debug` or of JSON the same names are looked for in front of `:` and `=`.

use super::record::Value;
use crate::secret::{REDACTED, hidden, is_listed, is_secret};
use std::borrow::Cow;
use std::sync::Arc;

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
        let text = match hidden(&text, |name| self.is_secret(name), REDACTED) {
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
}

/// A hook that panics hides the value.
fn hooked(hook: &Hook, key: &str, text: &str) -> Option<String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hook(key, text))).unwrap_or_else(|payload| {
        std::mem::forget(payload);
        Some(REDACTED.to_owned())
    })
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
            ("token: Bearer  abc.def rest", "token: [redacted] rest"),
            ("Authorization: Bearer  abc.def", "Authorization: [redacted]"),
            (
                "authorization: Token abc\nhost: x",
                "authorization: [redacted]\nhost: x",
            ),
            (
                "Proxy-Authorization: Negotiate abc, n: 1",
                "Proxy-Authorization: [redacted], n: 1",
            ),
            (
                r#"curl -H "Authorization: token abc" -H 'authorization: token abc' h"#,
                r#"curl -H "Authorization: [redacted]" -H 'authorization: [redacted]' h"#,
            ),
            (
                r#"{"authorization":"Token abc","n":1}"#,
                r#"{"authorization":[redacted],"n":1}"#,
            ),
            (
                "Cookie: a=b, c; d=\"e\"; sid=abc\nHost: x",
                "Cookie: [redacted]\nHost: x",
            ),
            (
                r#"Headers { cookie: Some("a=b; sid=c"), n: 1 }"#,
                "Headers { cookie: [redacted], n: 1 }",
            ),
            (
                r#""set-cookie: a={"b":1}; Path=/", "n""#,
                r#""set-cookie: [redacted]", "n""#,
            ),
            ("password => hunter2, n => 1", "password => [redacted], n => 1"),
            ("password == hunter2 rest", "password == [redacted] rest"),
            ("password := hunter2 rest", "password := [redacted] rest"),
            ("secrets: {a: 1}", "secrets: [redacted]"),
            ("tokens: {a: 1}", "tokens: {a: 1}"),
            ("credentials: {a: {b: 1}}, c", "credentials: [redacted], c"),
            ("password=", "password=[redacted]"),
            ("password='hunter two', n=1", "password=[redacted], n=1"),
            (r"password='it\'s two' rest", "password=[redacted] rest"),
            ("password='unclosed two", "password=[redacted]"),
            ("password:\thunter2", "password:\t[redacted]"),
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
