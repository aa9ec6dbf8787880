//! Endpoints: as much of a URL as an exporter needs.

use std::fmt;

/// An endpoint, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    /// As written, brackets of an IPv6 address included.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Begins with `/`; the query, if any, included.
    pub(crate) path: String,
}

impl Url {
    /// Reads `http://host[:port][/path]` or `https://…`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("has no http:// or https:// in front");
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("is neither http:// nor https://"),
        };
        if rest.bytes().any(|b| b <= b' ' || b >= 0x7f) {
            return Err("has a character that no URL may have");
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("carries credentials; put them into the headers variable");
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err("names no host");
        }
        let ok = |b: u8| b.is_ascii_alphanumeric() || b"-._~%[]:".contains(&b);
        let bracketed = host
            .strip_prefix('[')
            .map(|host| host.strip_suffix(']').unwrap_or_default());
        let six = bracketed.is_none_or(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        if !host.bytes().all(ok) || !six || (host.contains(':') && bracketed.is_none()) {
            return Err("names no valid host");
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let default = if tls { 443 } else { 80 };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: port.unwrap_or(default),
            path,
        })
    }

    /// The same with `v1/traces` or the like appended to its path.
    pub(crate) fn join(&self, tail: &str) -> Self {
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (self.path.as_str(), String::new()),
        };
        let path = format!("{}/{tail}{query}", path.trim_end_matches('/'));
        Self { path, ..self.clone() }
    }

    /// All of it, for the wire. `Display` is for people.
    pub(crate) fn whole(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let after = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after..].find(':') {
        None if after == authority.len() || after == 0 => Ok((authority, None)),
        None => Err("names no valid host"),
        Some(colon) if after > 0 && colon > 0 => Err("names no valid host"),
        Some(colon) => {
            let (host, port) = authority.split_at(after + colon);
            let port = &port[1..];
            if port.is_empty() {
                return Ok((host, None));
            }
            if !port.bytes().all(|b| b.is_ascii_digit()) {
                return Err("has a port that is no number");
            }
            match port.parse() {
                Ok(port) => Ok((host, Some(port))),
                Err(_) => Err("has a port beyond 65535"),
            }
        }
    }
}

/// Without the query, where some receivers want their keys.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = match self.path.split_once('?') {
            Some((path, _)) => (path, "?***"),
            None => (self.path.as_str(), ""),
        };
        write!(f, "{}{path}{query}", self.origin())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn endpoints() {
        for (text, shown) in [
            ("http://localhost:4318", "http://localhost:4318/"),
            ("HTTPS://a.example", "https://a.example:443/"),
            ("http://[::1]:1/x", "http://[::1]:1/x"),
            ("http://[::1]", "http://[::1]:80/"),
            ("http://h/a?b=c#d", "http://h:80/a?***"),
            ("http://h?b", "http://h:80/?***"),
            ("http://h:", "http://h:80/"),
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for bad in [
            "",
            "localhost:4318",
            "ftp://x",
            "http://",
            "http://:80",
            "http://h:99999",
            "http://h:x",
            "http://h h",
            "http://u:p@h",
            "http://::1",
            "http://[::1]x:1",
            "http://h\n",
            "http://h:-1",
            "http://[x]",
            "http://[::1",
            "http://h:+1",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_signal_is_appended_to_the_base() {
        for (base, joined) in [
            ("http://h:1", "http://h:1/v1/traces"),
            ("http://h:1/", "http://h:1/v1/traces"),
            ("http://h:1/a/b", "http://h:1/a/b/v1/traces"),
            ("http://h:1/a/b/", "http://h:1/a/b/v1/traces"),
            ("http://h:1/a?k=v", "http://h:1/a/v1/traces?k=v"),
        ] {
            assert_eq!(Url::parse(base).unwrap().join("v1/traces").whole(), joined);
        }
    }
}
