//! What the semantic conventions say of methods, addresses and URLs (C1 to C4 of HTTP).

use crate::secret;
use http::{Uri, Version};
use std::borrow::Cow;
use std::sync::OnceLock;

/// Methods that are no `_OTHER`.
const KNOWN: [&str; 10] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY",
];

/// What stands for a method that is not known.
pub(crate) const OTHER: &str = "_OTHER";

/// `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` replaces the list.
static CHOSEN: OnceLock<Vec<&'static str>> = OnceLock::new();

/// Replaces the list of known methods, once, before the first request.
pub(crate) fn set_known_methods(methods: impl IntoIterator<Item = String>) {
    // Lives as long as the process; there is one list.
    let _ = CHOSEN.set(methods.into_iter().map(|method| &*method.leak()).collect());
}

/// The method as attributes show it.
pub(crate) fn method(method: &str) -> &'static str {
    let known: &[&'static str] = CHOSEN.get().map_or(&KNOWN, Vec::as_slice);
    known.iter().find(|known| **known == method).copied().unwrap_or(OTHER)
}

/// The first part of a span's name.
pub(crate) fn name_of(method: &'static str) -> &'static str {
    if method == OTHER { "HTTP" } else { method }
}

/// A span's name: `{method} {route}`, or the method alone.
pub(crate) fn span_name(method: &'static str, route: Option<&str>) -> Cow<'static, str> {
    let method = name_of(method);
    route.map_or(method.into(), |route| format!("{method} {route}").into())
}

/// `network.protocol.version`
pub(crate) fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// `http` or `https`; anything else a client may have written is the former.
pub(crate) fn scheme(written: Option<&str>) -> &'static str {
    match written {
        Some("https") => "https",
        _ => "http",
    }
}

/// A header as text; nearly always it is.
pub(crate) fn text(header: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(header) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(header),
    }
}

/// The number in a `Content-Length` header.
pub(crate) fn length(header: &[u8]) -> Option<u64> {
    std::str::from_utf8(header).ok()?.parse().ok()
}

/// Host and port of a `Host` header.
pub(crate) fn server(host: Option<&[u8]>) -> (Option<&str>, Option<u16>) {
    let Some(host) = host.and_then(|host| std::str::from_utf8(host).ok()) else {
        return (None, None);
    };
    // Too short for what the library searches with.
    let colon = host.bytes().rposition(|byte| byte == b':');
    match colon.map(|colon| (&host[..colon], &host[colon + 1..])) {
        Some((host, port)) if !port.contains(']') => (Some(host), port.parse().ok()),
        _ => (Some(host), None),
    }
}

/// The port that goes without saying.
pub(crate) fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// Query keys whose values the conventions name as credentials.
const SIGNED: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// A query without the values of credentials.
pub(crate) fn query(query: &str) -> Cow<'_, str> {
    // Some servers part pairs by `;` as well.
    let pairs = || query.split_inclusive(['&', ';']);
    let key = |pair: &str| pair.split_once('=').map(|(key, _)| key.len());
    let is_credential = |pair: &str| key(pair).is_some_and(|length| is_credential(&pair[..length]));
    if !pairs().any(is_credential) {
        return Cow::Borrowed(query);
    }
    let mut clean = String::with_capacity(query.len());
    for pair in pairs() {
        match key(pair) {
            Some(length) if is_credential(pair) => {
                clean.push_str(&pair[..length]);
                clean.push_str("=REDACTED");
                clean.push_str(&pair[pair.trim_end_matches(['&', ';']).len()..]);
            }
            _ => clean.push_str(pair),
        }
    }
    Cow::Owned(clean)
}

fn is_credential(key: &str) -> bool {
    let key = decoded(key);
    SIGNED.iter().any(|signed| key.eq_ignore_ascii_case(signed)) || secret::is_secret(&key)
}

/// As forms send it, `user%5Bpassword%5D` is `user[password]`.
fn decoded(key: &str) -> Cow<'_, str> {
    if !key.contains('%') {
        return Cow::Borrowed(key);
    }
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push((high * 16 + low) as u8);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// `url.full` without credentials.
pub(crate) fn full(uri: &Uri) -> String {
    let mut text = String::new();
    if let Some(scheme) = uri.scheme_str() {
        text.push_str(scheme);
        text.push_str("://");
    }
    if let Some(authority) = uri.authority() {
        let authority = authority.as_str();
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                text.push_str(if user.contains(':') {
                    "REDACTED:REDACTED@"
                } else {
                    "REDACTED@"
                });
                text.push_str(host);
            }
            None => text.push_str(authority),
        }
    }
    text.push_str(uri.path());
    if let Some(raw) = uri.query() {
        text.push('?');
        text.push_str(&query(raw));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        assert_eq!(method("GET"), "GET");
        assert_eq!(method("get"), OTHER);
        assert_eq!(method("BREW"), OTHER);
        assert_eq!(name_of(OTHER), "HTTP");
    }

    #[test]
    fn urls_without_credentials() {
        let uri: Uri = "https://user:pw@shop.example:8443/a/b?sig=abc&x=1&api_key=k&Signature=s&page"
            .parse()
            .unwrap();
        assert_eq!(
            full(&uri),
            "https://REDACTED:REDACTED@shop.example:8443/a/b?sig=REDACTED&x=1&api_key=REDACTED&Signature=REDACTED&page"
        );
        for (raw, clean) in [
            ("a=1&b=2", "a=1&b=2"),
            ("", ""),
            ("&&=&token&%", "&&=&token&%"),
            ("user%5Bpassword%5D=x&n=1", "user%5Bpassword%5D=REDACTED&n=1"),
            ("pass%77ord=x", "pass%77ord=REDACTED"),
            ("n=1;password=x;m=2", "n=1;password=REDACTED;m=2"),
            ("token=a=b&&c=%ff", "token=REDACTED&&c=%ff"),
            ("%ff%5=1&%zz=2", "%ff%5=1&%zz=2"),
        ] {
            assert_eq!(query(raw), clean);
        }
    }

    #[test]
    fn the_server_that_was_meant() {
        assert_eq!(server(None), (None, None));
        assert_eq!(server(Some(b"\xff")), (None, None));
        for (host, expected) in [
            ("shop.example:8080", (Some("shop.example"), Some(8080))),
            ("shop.example", (Some("shop.example"), None)),
            ("[::1]:80", (Some("[::1]"), Some(80))),
            ("[::1]", (Some("[::1]"), None)),
            ("shop:x", (Some("shop"), None)),
        ] {
            assert_eq!(server(Some(host.as_bytes())), expected);
        }
    }
}
