//! Names whose values are secret.

use std::ops::Range;

/// Words that make a name secret, in small letters, by the letter they begin with: few of them are looked at for a word. What is two
/// words stands here in both spellings, `api_key` and `apikey`; where one of the two is secret by itself, only run together.
const fn secrets(first: u8) -> &'static [&'static [&'static str]] {
    match first {
        b'a' => &[
            &["authorization"],
            &["apikey"],
            &["api", "key"],
            &["accesskey"],
            &["access", "key"],
            &["accesstoken"],
            &["authtoken"],
        ],
        b'b' => &[&["bearer"]],
        b'c' => &[
            &["cookie"],
            &["cookies"],
            &["credential"],
            &["credentials"],
            &["cvv"],
            &["clientsecret"],
        ],
        b'd' => &[&["dbpassword"], &["dbpass"], &["db", "pass"]],
        b'j' => &[&["jwt"]],
        b'p' => &[
            &["password"],
            &["passwd"],
            &["passphrase"],
            &["pwd"],
            &["privatekey"],
            &["private", "key"],
        ],
        b'r' => &[&["refreshtoken"]],
        b's' => &[
            &["secret"],
            &["secrets"],
            &["secretkey"],
            &["sessionid"],
            &["session", "id"],
            &["signature"],
            &["ssn"],
        ],
        b't' => &[&["token"]],
        _ => &[],
    }
}

/// Whether one of a name's words, or several in a row, are secret: `db.password`, `userToken`, `X-Api-Key`; not `max_tokens`, `author`.
pub(crate) fn is_secret(name: &str) -> bool {
    let mut words = Words::of(name);
    while let Some(word) = words.next() {
        let listed = secrets(word.as_bytes()[0].to_ascii_lowercase());
        let said = |secret: &&[&str]| {
            let (first, more) = secret.split_first().unwrap_or((&"", &[]));
            word.eq_ignore_ascii_case(first) && words.clone().begin_with(more.iter().copied())
        };
        if listed.iter().any(said) {
            return true;
        }
    }
    false
}

/// The same for names that someone else lists, in lower case, their words parted by `_`.
pub(crate) fn is_listed<'a>(name: &str, secrets: impl Iterator<Item = &'a str>) -> bool {
    let mut secrets = secrets;
    secrets.any(|secret| {
        let mut from = Words::of(name);
        loop {
            if from.clone().begin_with(secret.split('_')) {
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
struct Words<'a> {
    rest: &'a str,
    ascii: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Small,
    Capital,
    /// A letter of a script that has but one case.
    Letter,
    Number,
    Other,
}

impl Class {
    #[inline]
    const fn of_byte(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' => Self::Small,
            b'A'..=b'Z' => Self::Capital,
            b'0'..=b'9' => Self::Number,
            _ => Self::Other,
        }
    }

    fn of_char(c: char) -> Self {
        match c {
            c if c.is_lowercase() => Self::Small,
            c if c.is_uppercase() => Self::Capital,
            c if c.is_numeric() => Self::Number,
            c if c.is_alphabetic() => Self::Letter,
            _ => Self::Other,
        }
    }

    /// Whether a word ends between this and `next`, which `after` follows.
    #[inline]
    fn parts(self, next: Self, after: impl FnOnce() -> Option<Self>) -> bool {
        match (self, next) {
            (_, Self::Other) | (Self::Small, Self::Capital) => true,
            (Self::Capital, Self::Capital) => after() == Some(Self::Small),
            _ => (self == Self::Number) != (next == Self::Number),
        }
    }
}

impl<'a> Words<'a> {
    fn of(name: &'a str) -> Self {
        Self {
            rest: name,
            ascii: name.is_ascii(),
        }
    }

    fn begin_with<'p>(mut self, mut parts: impl Iterator<Item = &'p str>) -> bool {
        parts.all(|part| self.next().is_some_and(|word| word.eq_ignore_ascii_case(part)))
    }

    /// Where the next word is.
    #[inline]
    fn word(&self, mut classes: impl Iterator<Item = (usize, Class)> + Clone) -> Option<Range<usize>> {
        let (start, mut before) = classes.find(|(_, class)| *class != Class::Other)?;
        while let Some((at, class)) = classes.next() {
            if before.parts(class, || classes.clone().next().map(|(_, class)| class)) {
                return Some(start..at);
            }
            before = class;
        }
        Some(start..self.rest.len())
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        // Nearly all names are nothing but ASCII, and a line has a dozen of them.
        let word = if self.ascii {
            self.word(self.rest.bytes().map(Class::of_byte).enumerate())
        } else {
            self.word(self.rest.char_indices().map(|(at, c)| (at, Class::of_char(c))))
        }?;
        let (text, rest) = self.rest.split_at(word.end);
        self.rest = rest;
        text.get(word.start..)
    }
}

/// What stands in a secret value's place.
pub(crate) const REDACTED: &str = "[redacted]";

/// A text with `instead` in the place of what stands after a secret name and `:` or `=`, behind it in a pair (`("token", "…")`), and of
/// the credentials in URLs; `None` if there is nothing of that kind.
pub(crate) fn hidden(text: &str, secret: impl Fn(&str) -> bool, instead: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut clean = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(|b| matches!(b, b':' | b'=' | b',')) {
        let separator = at + offset;
        at = separator + 1;
        if let Some(credentials) = in_url(text, separator) {
            clean.push_str(&text[kept..credentials.start]);
            clean.push_str(instead);
            kept = credentials.end;
            at = credentials.end;
            continue;
        }
        // `a::b` is a path.
        if bytes.get(at) == Some(&b':') || (separator > 0 && bytes[separator - 1] == b':') {
            continue;
        }
        let name = if bytes[separator] == b',' {
            let Some(name) = first_of_pair(&text[..separator]) else {
                continue;
            };
            name
        } else {
            name_before(&text[..separator])
        };
        if !secret(&text[name.clone()]) && !is_secret_here(text, name.clone()) {
            continue;
        }
        // `==`, `=>` and `:=` stand in front of a value, too.
        let start = at + text[at..].len() - text[at..].trim_start_matches([' ', '\t', '=', '>']).len();
        let value = &text[start..];
        let end = start + value_len(value, Reach::of(&text[name], bytes[separator], value));
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

/// Where the name that ends a text stands, without quotes (also escaped ones), blanks, and the bracket of `user[name]`, which forms
/// send as `user%5Bname%5D`.
fn name_before(text: &str) -> Range<usize> {
    let mut text = text.trim_end_matches([' ', '"', '\'', '\\', ']']);
    if let Some((name, code)) = text.split_at_checked(text.len().saturating_sub(3))
        && code.eq_ignore_ascii_case("%5d")
    {
        text = name;
    }
    let before = text
        .char_indices()
        .rev()
        .find(|(_, c)| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')));
    let start = match before {
        // The code's digits are no part of the name.
        Some((i, '%'))
            if text.as_bytes()[i..]
                .get(1..3)
                .is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) =>
        {
            i + 3
        }
        Some((i, c)) => i + c.len_utf8(),
        None => 0,
    };
    start..text.len()
}

/// Where the name stands in a text that ends with `("name"`, the quotes escaped or not.
fn first_of_pair(text: &str) -> Option<Range<usize>> {
    let quote = ["\\\"", "\""].into_iter().find(|quote| text.ends_with(quote))?;
    let end = text.len() - quote.len();
    let open = text[..end].rfind(quote)?;
    text[..open].ends_with('(').then(|| open + quote.len()..end)
}

/// A parameter `sig` of a URL, which anywhere else may be a signal, and the key in a connection string of Azure's: written otherwise it
/// may be that of a row.
fn is_secret_here(text: &str, name: Range<usize>) -> bool {
    let word = &text[name.clone()];
    word == "AccountKey" || (word.eq_ignore_ascii_case("sig") && text[..name.start].ends_with(['?', '&']))
}

const LONG_PASSWORD: usize = 512;

/// What stands at the end of a text that was cut.
const CUT: char = '…';

/// What no URL holds.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

/// The credentials of a URL whose scheme ends at that `:`; a user's name is none where a password follows.
fn in_url(text: &str, colon: usize) -> Option<Range<usize>> {
    let start = colon + "://".len();
    let rest = text.get(colon..)?.strip_prefix("://")?;
    let authority = &rest[..rest
        .find(|c: char| ends_word(c) || matches!(c, '/' | '?' | '#'))
        .unwrap_or(rest.len())];
    let is_of = |schemes: &[&str]| schemes.iter().any(|scheme| ends_with(&text[..colon], scheme));
    let port = authority
        .rsplit_once(':')
        .map(|(_, port)| port.strip_suffix(CUT).unwrap_or(port));
    let digits = port.is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    // A password may begin with digits, as a port does. In paths of the web an `@` is common, elsewhere it is not.
    let password = port.is_some_and(|port| {
        let is_port = port.ends_with(']') || (digits && is_of(&["http", "https", "ws", "wss"]));
        !is_port
    });
    let user = authority.contains('@');
    if !user && !password {
        return None;
    }
    // A password's `@`, `/`, `?` and `#` are often written as they are; those behind a host and its path are none of it.
    let path = (user || digits) && rest[authority.len()..].starts_with('/');
    // It is not sought without end: a text may be nothing but `://u:p/`.
    let most = authority.len() + LONG_PASSWORD;
    let more = rest
        .char_indices()
        .take_while(|&(at, c)| at < most && !ends_word(c) && !(path && matches!(c, '?' | '#')));
    let end = match more.filter(|(_, c)| *c == '@').last() {
        // With no user before it, what looks like a port is the beginning of a password only where a host follows.
        Some((at, _)) if digits && !user && !(path && begins_with_host(&rest[at + 1..])) => return None,
        Some((at, _)) => at,
        // Of a text that was cut the rest may be a password's beginning.
        None if password && !digits && rest.len() <= most && !rest.contains(ends_word) => rest.strip_suffix(CUT)?.len(),
        None => return None,
    };
    let word = &rest[..end];
    let from = match word.find(':') {
        Some(colon) => colon + 1,
        None if is_of(&["http", "https"]) => 0,
        None => return None,
    };
    Some(start + from..start + end)
}

/// A name with a letter in it, and a port at most: no digest (`sha256:…`), no number of a partition.
fn begins_with_host(text: &str) -> bool {
    let end = text
        .find(|c: char| ends_word(c) || matches!(c, '/' | '?' | '#' | ','))
        .unwrap_or(text.len());
    let (host, port) = text[..end].split_once(':').unwrap_or((&text[..end], ""));
    host.contains(|c: char| c.is_ascii_alphabetic()) && port.bytes().all(|b| b.is_ascii_digit())
}

/// How far a value reaches that is in no quotes and no brackets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To the next separator or blank.
    Word,
    /// To the next separator: a scheme and credentials, which may be any.
    Credentials,
    /// To the end of the line: pairs that are parted as values are.
    Line,
}

impl Reach {
    /// As headers are written; behind a `=` other fields follow, and where there is no pair there are no cookies.
    fn of(name: &str, separator: u8, value: &str) -> Self {
        let word = value.split([' ', ',', ';', '&']).next().unwrap_or_default();
        if separator == b'=' {
            Self::Word
        } else if ends_with(name, "authorization") {
            Self::Credentials
        } else if (ends_with(name, "cookie") || ends_with(name, "cookies")) && word.contains('=') {
            Self::Line
        } else {
            Self::Word
        }
    }
}

/// In capitals or not.
fn ends_with(text: &str, end: &str) -> bool {
    let at = text.len().checked_sub(end.len());
    at.and_then(|at| text.get(at..))
        .is_some_and(|last| last.eq_ignore_ascii_case(end))
}

/// How far a value reaches that begins here: a quoted string, a bracketed group (`Some("…")` too), or as far as its name says.
fn value_len(text: &str, reach: Reach) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    // The scheme of credentials was passed.
    let mut scheme = false;
    // Where the quotes or brackets opened that nothing is around.
    let mut opened = 0;
    // Of a value that reaches further they are the whole only at its beginning: one of many cookies may be in quotes.
    let lead = match reach {
        Reach::Word => usize::MAX,
        _ => bytes.iter().take_while(|b| b.is_ascii_alphanumeric()).count(),
    };
    // What is in quotes as a whole ends with them; those of a parameter stand behind `=`.
    let closes = |at: usize| reach != Reach::Word && at > 0 && bytes[at - 1] != b'=';
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
                if depth == 0 && opened <= lead {
                    return i;
                }
                continue;
            }
        } else {
            let escaped = rest.starts_with("\\\"");
            let quotes = escaped || bytes[i] == b'"';
            if depth == 0 {
                match bytes[i] {
                    _ if quotes && closes(i) => return i,
                    b'\'' if reach == Reach::Credentials => return i,
                    b')' | b']' | b'}' | b'\n' => return i,
                    b',' | b'&' | b';' if reach != Reach::Line => return i,
                    // `Bearer abc` and `Basic abc` are one value; other text ends at the blank.
                    b' ' if reach == Reach::Word => {
                        if scheme || !is_scheme(&text[..i]) {
                            return i;
                        }
                        scheme = true;
                        i += rest.len() - rest.trim_start_matches(' ').len();
                        continue;
                    }
                    b'"' | b'\\' | b'(' | b'[' | b'{' => opened = i,
                    _ => {}
                }
            }
            match bytes[i] {
                _ if escaped => {
                    quote = Some("\\\"");
                    i += 2;
                    continue;
                }
                b'"' => quote = Some("\""),
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => {
                    depth -= 1;
                    if depth == 0 && opened <= lead {
                        return i + 1;
                    }
                }
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

    #[test]
    fn credentials_in_urls() {
        for (text, expected) in [
            ("postgres://shop:hunter2@db:5432/x", "postgres://shop:***@db:5432/x"),
            ("redis://:hunter2@db", "redis://:***@db"),
            ("to https://ghp_1@host/a and on", "to https://***@host/a and on"),
            ("a://u:p@w/d@h:1/x, b://u:p@h", "a://u:***@h:1/x, b://u:***@h"),
            ("mysql://u:p/w@h", "mysql://u:***@h"),
            ("http://u:p@h/?password=x&n=1", "http://u:***@h/?password=***&n=1"),
            ("(http://h/x?a=1&sig=abc)", "(http://h/x?a=1&sig=***)"),
            ("GET /x?user%5Bpassword%5D=a&n=1", "GET /x?user%5Bpassword%5D=***&n=1"),
            ("user[password]=a&user[name]=b", "user[password]=***&user[name]=b"),
            ("url=\"amqp://u:ü€@h\"", "url=\"amqp://u:***@h\""),
            ("https://u:p#w@h/", "https://u:***@h/"),
            ("postgres://u:p?w@h/x", "postgres://u:***@h/x"),
            ("postgres://u:p/w?1@h/x", "postgres://u:***@h/x"),
            ("postgres://u:12/w@h/x", "postgres://u:***@h/x"),
            ("https://u:p@w#d@h/x", "https://u:***@h/x"),
            ("http://u:p@h/?mail=a@b", "http://u:***@h/?mail=a@b"),
            ("at postgres://u:passw…", "at postgres://u:***…"),
            ("AccountName=a;AccountKey=b==;n=1", "AccountName=a;AccountKey=***;n=1"),
            (
                r#"[("token", "a, b)"), ("n", "1"), ("user[password]", Some("x"))]"#,
                r#"[("token", ***), ("n", "1"), ("user[password]", ***)]"#,
            ),
            (r#"(\"api_key\", \"x\")"#, r#"(\"api_key\", ***)"#),
        ] {
            assert_eq!(hidden(text, is_secret, "***").as_deref(), Some(expected), "{text}");
        }
        for text in [
            "http://h:80/a@b",
            "http://h:80?mail=a@b",
            "redis://h:6379/0",
            "at redis://h:6379/0 and on…",
            "Listening on http://127.0.0.1:8080…",
            "at redis://h:6379…",
            "docker://registry:5000/image@sha256:0a",
            "kafka://b:9092/topic@1",
            "tcp://10.0.0.1:5432?mail=a@b",
            "HTTP://h:80/a@b",
            "account_key=7",
            "http://[::1]:80/a@b",
            "http://[::1]/a@b",
            "ssh://git@host/x",
            "https://h/x?mail=a@b",
            "sig=15",
            "://",
            "http://",
            "max_tokens[0]=1",
            r#"["token", "next"]"#,
            r#"f(token, "x")"#,
            r#"("author", "x")"#,
            ",\",(\",",
            "a%5D=1",
            "%5D=",
            "ü%5D=",
        ] {
            assert_eq!(hidden(text, is_secret, "***"), None, "{text}");
        }
    }

    #[test]
    fn what_stands_behind_a_secret_stays() {
        for (text, expected) in [
            (
                r#"{"cookie":null,"user":"bob","n":1}"#,
                r#"{"cookie":***,"user":"bob","n":1}"#,
            ),
            (
                r#"Session { cookie: None, user: "bob", cart: 7 }"#,
                r#"Session { cookie: ***, user: "bob", cart: 7 }"#,
            ),
            ("cookies: 3, user: bob, path: /x", "cookies: ***, user: bob, path: /x"),
            ("cookie=abc user=7 path=/x", "cookie=*** user=7 path=/x"),
            ("authorization=none user=7 path=/x", "authorization=*** user=7 path=/x"),
            ("Cookie: a=b; sid=c", "Cookie: ***"),
            ("Authorization: Token abc, n: 1", "Authorization: ***, n: 1"),
            ("token: Bearer   x n: 1", "token: *** n: 1"),
        ] {
            assert_eq!(hidden(text, is_secret, "***").as_deref(), Some(expected), "{text}");
        }
        // A long one is gone through once.
        let long = format!("token: bearer{}x rest", " ".repeat(1 << 20));
        assert_eq!(hidden(&long, is_secret, "***").as_deref(), Some("token: *** rest"));
    }

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
            "größeToken",
            "schlüssel.api_key",
            "ÜBERToken",
            "名.password",
            "accesskey",
            "privatekey",
            "secretkey",
            "sessionid",
            "accesstoken",
            "authtoken",
            "dbpassword",
            "DB_PASS",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "author",
            "max_tokens",
            "passing",
            "pass",
            "key",
            "account_key",
            "api",
            "tax",
            "",
            "_",
            "ßtoken",
            "tokené",
            "é",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
