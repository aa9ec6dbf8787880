//! Headers as brokers have them: pairs of text or bytes, JSON objects.
//!
//! `HashMap` and `BTreeMap` of strings stand with the propagation itself.

use crate::trace::propagate::{Extract, Inject, extract};
use crate::trace::{AsParent, SpanContext};
use std::str;

/// Whoever made the headers may have kept the sender's capitals.
fn values<'a, K, V>(
    pairs: impl Iterator<Item = (&'a K, &'a V)>,
    name: &str,
    text: impl Fn(&'a V) -> &'a str,
) -> Vec<&'a str>
where
    K: AsRef<str> + ?Sized + 'a,
    V: ?Sized + 'a,
{
    pairs
        .filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name))
        .map(|(_, value)| text(value))
        .collect()
}

/// A value that is not text counts: it makes what it stands in malformed.
fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or("\u{0}")
}

macro_rules! pairs {
    ($($value:ty, $text:expr, $made:expr;)*) => {$(
        impl Extract for [(String, $value)] {
            fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
                values(self.iter().map(|(key, value)| (key, value)), name, $text)
            }
            fn names(&self) -> Vec<&str> {
                self.iter().map(|(key, _)| key.as_str()).collect()
            }
        }
        impl Extract for Vec<(String, $value)> {
            fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
                self.as_slice().values(name)
            }
            fn names(&self) -> Vec<&str> {
                self.as_slice().names()
            }
        }
        impl Inject for Vec<(String, $value)> {
            fn set(&mut self, name: &str, value: String) {
                self.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
                let made: fn(String) -> $value = $made;
                self.push((name.to_owned(), made(value)));
            }
        }
        impl AsParent for [(String, $value)] {
            fn as_parent(&self) -> Option<SpanContext> {
                extract(self)
            }
        }
        impl AsParent for Vec<(String, $value)> {
            fn as_parent(&self) -> Option<SpanContext> {
                extract(self)
            }
        }
    )*};
}
pairs! {
    String, String::as_str, |value| value;
    Vec<u8>, |bytes: &Vec<u8>| utf8(bytes), String::into_bytes;
}

impl Extract for Vec<(Vec<u8>, Vec<u8>)> {
    fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
        let pairs = self
            .iter()
            .filter_map(|(key, value)| Some((str::from_utf8(key).ok()?, value)));
        values(pairs, name, |bytes: &Vec<u8>| utf8(bytes))
    }

    fn names(&self) -> Vec<&str> {
        self.iter().filter_map(|(key, _)| str::from_utf8(key).ok()).collect()
    }
}

impl Inject for Vec<(Vec<u8>, Vec<u8>)> {
    fn set(&mut self, name: &str, value: String) {
        self.retain(|(key, _)| !key.eq_ignore_ascii_case(name.as_bytes()));
        self.push((name.as_bytes().to_vec(), value.into_bytes()));
    }
}

impl AsParent for Vec<(Vec<u8>, Vec<u8>)> {
    fn as_parent(&self) -> Option<SpanContext> {
        extract(self)
    }
}

#[cfg(feature = "serde")]
mod json {
    use super::{AsParent, Extract, Inject, SpanContext, extract, values};
    use serde_json::{Map, Value};

    impl Extract for Map<String, Value> {
        fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
            // A value that is no text makes what it stands in malformed.
            values(self.iter(), name, |value| value.as_str().unwrap_or("\u{0}"))
        }

        fn names(&self) -> Vec<&str> {
            self.keys().map(String::as_str).collect()
        }
    }

    impl Inject for Map<String, Value> {
        fn set(&mut self, name: &str, value: String) {
            self.insert(name.to_owned(), Value::String(value));
        }
    }

    impl AsParent for Map<String, Value> {
        fn as_parent(&self) -> Option<SpanContext> {
            extract(self)
        }
    }

    /// Anything but an object has no headers.
    impl AsParent for Value {
        fn as_parent(&self) -> Option<SpanContext> {
            extract(self.as_object()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{SpanId, TraceFlags, TraceId, inject};

    fn context() -> SpanContext {
        SpanContext {
            trace_id: TraceId(7),
            span_id: SpanId(8),
            flags: TraceFlags::SAMPLED,
            is_remote: true,
            trace_state: Some("a=1".into()),
            ..SpanContext::default()
        }
    }

    #[test]
    fn what_is_written_is_read_and_replaces_what_was_there() {
        fn through<C: Extract + Inject + AsParent>(mut carrier: C) {
            carrier.set("traceparent", "nonsense".to_owned());
            inject(&context(), &mut carrier);
            assert_eq!(extract(&carrier), Some(context()));
            assert_eq!(carrier.as_parent(), Some(context()));
        }
        through(Vec::<(String, String)>::new());
        through(Vec::<(String, Vec<u8>)>::new());
        through(Vec::<(Vec<u8>, Vec<u8>)>::new());
        #[cfg(feature = "serde")]
        through(serde_json::Map::new());
    }

    #[test]
    fn capitals_are_read_and_garbage_is_none() {
        let traceparent = "00-00000000000000000000000000000007-0000000000000008-01";
        let capital = vec![("TraceParent".to_owned(), traceparent.to_owned())];
        assert_eq!(extract(&capital).expect("a context").span_id, SpanId(8));
        let twice = vec![
            ("traceparent".to_owned(), traceparent.as_bytes().to_vec()),
            ("traceparent".to_owned(), vec![0xff]),
        ];
        assert_eq!(extract(&twice), None);
        let odd = vec![(vec![0xff], vec![0xff]), (b"traceparent".to_vec(), vec![0xff; 55])];
        assert_eq!(extract(&odd), None);
    }
}
