//! Names whose values are secret.

/// Words that make a name secret. Two words stand for both spellings, `api_key` and `apikey`.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "authorization",
    "cookie",
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

/// The same for names that someone else lists.
pub(crate) fn is_listed<'a>(name: &str, secrets: impl Iterator<Item = &'a str>) -> bool {
    let words = words(name);
    let mut secrets = secrets;
    secrets.any(|secret| {
        let len = secret.split('_').count();
        words
            .windows(len)
            .any(|window| window.iter().map(String::as_str).eq(secret.split('_')))
    })
}

/// The words of a name: parted by anything that is no letter or digit, and where lower case meets upper.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (lower && c.is_uppercase()) {
            words.push(String::new());
        }
        lower = c.is_lowercase();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_decide() {
        for name in [
            "password",
            "db.password",
            "userToken",
            "X-Api-Key",
            "apikey",
            "http.request.header.authorization",
            "AWSAccessKeyId.access_key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["author", "max_tokens", "passing", "key", "api", "tax", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
