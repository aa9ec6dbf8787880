//! Headers as brokers have them: pairs and maps of text or bytes, JSON objects.

use crate::trace::propagate::{Extract, Inject, extract};
use crate::trace::{AsParent, SpanContext};
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::str;

/// A value that is not text counts: it makes what it stands in malformed.
fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or("\u{0}")
}

/// Whoever made the headers may have kept the sender's capitals.
fn values<'a, K, V>(pairs: impl Iterator<Item = (&'a K, &'a V)>, name: &str) -> Vec<&'a str>
where
    K: AsRef<[u8]> + 'a,
    V: AsRef<[u8]> + 'a,
{
    pairs
        .filter(|(key, _)| key.as_ref().eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| utf8(value.as_ref()))
        .collect()
}

macro_rules! carrier {
    ([$($generics:tt)*] $headers:ty, $pairs:expr) => {
        impl<$($generics)*> Extract for $headers {
            fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
                let pairs: fn(&'a Self) -> _ = $pairs;
                values(pairs(self), name)
            }
            fn names(&self) -> Vec<&str> {
                self.iter().filter_map(|(key, _)| str::from_utf8(key.as_ref()).ok()).collect()
            }
        }
        impl<$($generics)*> AsParent for $headers {
            fn as_parent(&self) -> Option<SpanContext> {
                extract(self)
            }
        }
    };
}
carrier!([K: AsRef<[u8]>, V: AsRef<[u8]>] [(K, V)], |all| all.iter().map(|(key, value)| (key, value)));
carrier!([K: AsRef<[u8]>, V: AsRef<[u8]>] Vec<(K, V)>, |all| all.iter().map(|(key, value)| (key, value)));
carrier!([K: AsRef<[u8]>, V: AsRef<[u8]>, S] HashMap<K, V, S>, HashMap::iter);
carrier!([K: AsRef<[u8]>, V: AsRef<[u8]>] BTreeMap<K, V>, BTreeMap::iter);

impl<K, V> Inject for Vec<(K, V)>
where
    K: AsRef<[u8]> + From<String>,
    V: From<String>,
{
    fn set(&mut self, name: &str, value: String) {
        self.retain(|(key, _)| !key.as_ref().eq_ignore_ascii_case(name.as_bytes()));
        self.push((name.to_owned().into(), value.into()));
    }

    fn remove(&mut self, name: &str) {
        self.retain(|(key, _)| !key.as_ref().eq_ignore_ascii_case(name.as_bytes()));
    }
}

// Maps of text only: one type for what `HashMap::new()` is to be where only we fill it. Of bytes they are collected from a `Vec`.
impl<S: BuildHasher> Inject for HashMap<String, String, S> {
    fn set(&mut self, name: &str, value: String) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value);
    }

    fn remove(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}

impl Inject for BTreeMap<String, String> {
    fn set(&mut self, name: &str, value: String) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value);
    }

    fn remove(&mut self, name: &str) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}

#[cfg(feature = "serde")]
mod json {
    use super::{AsParent, Extract, Inject, SpanContext, extract};
    use serde_json::{Map, Value};

    impl Extract for Map<String, Value> {
        fn values<'a>(&'a self, name: &str) -> Vec<&'a str> {
            self.iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                // A value that is no text makes what it stands in malformed.
                .map(|(_, value)| value.as_str().unwrap_or("\u{0}"))
                .collect()
        }

        fn names(&self) -> Vec<&str> {
            self.keys().map(String::as_str).collect()
        }
    }

    impl Inject for Map<String, Value> {
        fn set(&mut self, name: &str, value: String) {
            self.retain(|key, _| !key.eq_ignore_ascii_case(name));
            self.insert(name.to_owned(), Value::String(value));
        }

        fn remove(&mut self, name: &str) {
            self.retain(|key, _| !key.eq_ignore_ascii_case(name));
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
            carrier.set("TraceParent", "nonsense".to_owned());
            carrier.set("traceparent", "nonsense".to_owned());
            inject(&context(), &mut carrier);
            assert_eq!(extract(&carrier), Some(context()));
            assert_eq!(carrier.as_parent(), Some(context()));
        }
        through(Vec::<(String, String)>::new());
        through(Vec::<(String, Vec<u8>)>::new());
        through(Vec::<(Vec<u8>, Vec<u8>)>::new());
        through(HashMap::<String, String>::new());
        through(BTreeMap::<String, String>::new());
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
        let mut sent = Vec::<(String, Vec<u8>)>::new();
        inject(&context(), &mut sent);
        let of_bytes: HashMap<String, Vec<u8>> = sent.into_iter().collect();
        assert_eq!(extract(&of_bytes), Some(context()));
        // As clients lend them.
        let lent = [("traceparent", traceparent.as_bytes())];
        assert_eq!(lent[..].as_parent().expect("a context").span_id, SpanId(8));
        let odd = vec![(vec![0xff], vec![0xff]), (b"traceparent".to_vec(), vec![0xff; 55])];
        assert_eq!(extract(&odd), None);
    }
}
