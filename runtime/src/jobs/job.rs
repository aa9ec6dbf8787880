//! A payload with what travels beside it.

use super::Message;
use crate::trace::{SpanContext, extract, hand};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, SystemTime};

/// A payload with the sender's trace context, the time it was put into the queue, and which attempt this is.
///
/// It derefs to the payload. With the feature `serde` it is `Serialize` and `Deserialize`:
/// `{"payload": …, "id": "…", "headers": {"traceparent": "…"}, "attempt": 1, "enqueued_unix_micros": …}`, where a sender of another kind
/// may leave out everything but the payload, and what it has of another type, `null` among it, counts as left out.
///
/// # Examples
///
/// ```
/// use vitalsign::jobs::Job;
///
/// let job = Job::new("ada@example.com");
/// assert_eq!((job.len(), job.attempt()), (15, 1));
/// let again = job.retry();
/// assert_eq!(again.attempt(), 2);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Job<T> {
    payload: T,
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "foreign::id"))]
    id: String,
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "foreign::headers"))]
    headers: BTreeMap<String, String>,
    #[cfg_attr(feature = "serde", serde(default = "first", deserialize_with = "foreign::attempt"))]
    attempt: u32,
    /// 0: not known. Microseconds are whole numbers in every JSON library.
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "foreign::micros"))]
    enqueued_unix_micros: u64,
}

#[cfg(feature = "serde")]
fn first() -> u32 {
    1
}

/// What stands beside the payload is no reason to lose it.
#[cfg(feature = "serde")]
mod foreign {
    use serde::{Deserialize, Deserializer};
    use serde_json::Value;
    use std::collections::BTreeMap;

    /// Only forms that are text may be asked for whatever they hold.
    fn read<'de, D, T>(from: D, of: impl FnOnce(Value) -> T) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        if from.is_human_readable() {
            Value::deserialize(from).map(of)
        } else {
            T::deserialize(from)
        }
    }

    pub(super) fn id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        read(from, |value| match value {
            Value::String(id) => id,
            Value::Number(id) => id.to_string(),
            _ => String::new(),
        })
    }

    pub(super) fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
        read(from, |value| {
            let Value::Object(headers) = value else {
                return BTreeMap::new();
            };
            let text = |(key, value)| match value {
                Value::String(value) => Some((key, value)),
                _ => None,
            };
            headers.into_iter().filter_map(text).collect()
        })
    }

    pub(super) fn attempt<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        read(from, |value| {
            whole(&value).map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX))
        })
    }

    pub(super) fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        read(from, |value| whole(&value).unwrap_or(0))
    }

    /// Some languages know one kind of number only.
    fn whole(value: &Value) -> Option<u64> {
        value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
    }
}

impl<T> Job<T> {
    /// The first attempt, sent by the span that is current here, into the queue now.
    pub fn new(payload: T) -> Self {
        let mut headers = BTreeMap::new();
        hand::current().inject(&mut headers);
        Self {
            payload,
            id: crate::trace::TraceId(crate::trace::random_u128()).to_string(),
            headers,
            attempt: 1,
            enqueued_unix_micros: now(),
        }
    }

    /// The next attempt, into the queue now. The sender is still who it was.
    #[must_use = "this is what goes into the queue"]
    pub fn retry(mut self) -> Self {
        self.attempt = self.attempt().saturating_add(1);
        self.enqueued_unix_micros = now();
        self
    }

    /// Which attempt this is; the first is 1.
    pub fn attempt(&self) -> u32 {
        self.attempt.max(1)
    }

    /// A random name, the same for all attempts.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The sender's trace context, as the next process reads it.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// The payload alone.
    pub fn into_payload(self) -> T {
        self.payload
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<T> DerefMut for Job<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.payload
    }
}

impl<T> Message for Job<T> {
    fn context(&self) -> Option<SpanContext> {
        extract(&self.headers)
    }

    fn attempt(&self) -> Option<u32> {
        Some(self.attempt())
    }

    fn enqueued(&self) -> Option<SystemTime> {
        if self.enqueued_unix_micros == 0 {
            return None;
        }
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(self.enqueued_unix_micros))
    }

    fn id(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(&*self.id)
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    fn received(json: &str) -> Job<u32> {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn a_sender_that_counts_from_zero_has_retries() {
        let job = received(r#"{"payload": 7, "attempt": 0}"#);
        assert_eq!((job.attempt(), job.retry().attempt()), (1, 2));
        let last = received(r#"{"payload": 7, "attempt": 4294967295}"#);
        assert_eq!(last.retry().attempt(), u32::MAX);
    }

    /// What travels beside a payload is no reason to lose it.
    #[test]
    fn a_payload_arrives_whatever_stands_beside_it() {
        for beside in [
            r#""headers": null, "id": null, "attempt": null, "enqueued_unix_micros": null"#,
            r#""headers": {"traceparent": 7, "x": "y"}, "id": 12, "attempt": "2", "enqueued_unix_micros": "now""#,
            r#""headers": [], "id": {}, "attempt": -1, "enqueued_unix_micros": -5"#,
            r#""headers": "x", "id": [], "attempt": 1.5, "enqueued_unix_micros": 1.7e15"#,
            r#""attempt": 99999999999, "enqueued_unix_micros": 99999999999999999999"#,
            r#""enqueued_unix_micros": 18446744073709551615"#,
        ] {
            let job = received(&format!(r#"{{"payload": 7, {beside}}}"#));
            assert_eq!(*job, 7, "{beside}");
            assert_eq!(job.context(), None, "{beside}");
            assert!(job.attempt() >= 1);
            let _ = job.enqueued();
        }
        let odd = received(r#"{"payload": 7, "headers": {"traceparent": 7, "x": "y"}}"#);
        assert_eq!(odd.headers().get("x").map(String::as_str), Some("y"));
        assert!(serde_json::from_str::<Job<u32>>("{}").is_err());
    }
}
