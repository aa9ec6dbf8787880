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
/// may leave out everything but the payload.
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
    #[cfg_attr(feature = "serde", serde(default))]
    id: String,
    #[cfg_attr(feature = "serde", serde(default))]
    headers: BTreeMap<String, String>,
    #[cfg_attr(feature = "serde", serde(default = "first"))]
    attempt: u32,
    /// 0: not known. Microseconds are whole numbers in every JSON library.
    #[cfg_attr(feature = "serde", serde(default))]
    enqueued_unix_micros: u64,
}

#[cfg(feature = "serde")]
fn first() -> u32 {
    1
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
        self.attempt = self.attempt.saturating_add(1);
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
