//! Names that say their value is a secret.

/// Whole words, numbers aside; those of two stand side by side.
const WORDS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "authorization",
    "api_key",
    "apikey",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "private_key",
    "privatekey",
    "access_key",
    "accesskey",
    "secret_key",
    "secretkey",
    "accesstoken",
    "authtoken",
    "refreshtoken",
    "clientsecret",
    "db_pass",
    "dbpass",
    "dbpassword",
    "bearer",
    "jwt",
    "session_id",
    "sessionid",
    "ssn",
    "cvv",
];

/// The secret's word in a name, if there is one: `user_password`, `http.request.header.authorization`; not `author`, not `max_tokens`.
pub(super) fn word(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let words: Vec<&str> = name
        .split(|char: char| !char.is_alphabetic())
        .filter(|word| !word.is_empty())
        .collect();
    WORDS.iter().copied().find(|secret| {
        let parts: Vec<&str> = secret.split('_').collect();
        words.windows(parts.len()).any(|window| window == parts)
    })
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn whole_words_only() {
        assert_eq!(word("user_password"), Some("password"));
        assert_eq!(word("x.api_key"), Some("api_key"));
        assert_eq!(word("http.request.header.authorization"), Some("authorization"));
        assert_eq!(word("Token"), Some("token"));
        assert_eq!(word("password2"), Some("password"));
        for fine in [
            "author",
            "max_tokens",
            "api",
            "key",
            "secretary",
            "tokenizer",
            "passwordless",
        ] {
            assert_eq!(word(fine), None, "{fine}");
        }
    }
}
