//! When to try again (OTLP specification, "Retryable response codes" and "Throttling").

use super::transport::Retry;
use std::time::{Duration, SystemTime};

/// What a receiver may ask for at most: a longer wait is as good as none, and adding it to a clock must not overflow.
const MOST: Duration = Duration::from_secs(u32::MAX as u64);

/// HTTP statuses whose requests may be sent again; all others must not.
pub(crate) fn http_status(status: u16, retry_after: Option<&str>, now: SystemTime) -> Retry {
    match (status, retry_after) {
        (429 | 502..=504, Some(text)) => parse_retry_after(text, now).map_or(Retry::Backoff, Retry::After),
        (429 | 502..=504, None) => Retry::Backoff,
        _ => Retry::Never,
    }
}

/// The same for gRPC codes. `delay` is that of a `RetryInfo`.
#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "only gRPC has them"))]
pub(crate) fn grpc_code(code: i32, delay: Option<Duration>) -> Retry {
    const CANCELLED: i32 = 1;
    const DEADLINE_EXCEEDED: i32 = 4;
    const RESOURCE_EXHAUSTED: i32 = 8;
    const ABORTED: i32 = 10;
    const OUT_OF_RANGE: i32 = 11;
    const UNAVAILABLE: i32 = 14;
    const DATA_LOSS: i32 = 15;
    match (code, delay) {
        (
            CANCELLED | DEADLINE_EXCEEDED | ABORTED | OUT_OF_RANGE | UNAVAILABLE | DATA_LOSS | RESOURCE_EXHAUSTED,
            Some(delay),
        ) => Retry::After(delay.min(MOST)),
        (CANCELLED | DEADLINE_EXCEEDED | ABORTED | OUT_OF_RANGE | UNAVAILABLE | DATA_LOSS, None) => Retry::Backoff,
        // Without `RetryInfo` the receiver is not recovering: it means never.
        _ => Retry::Never,
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). A date that is past means now.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.parse().map_or(MOST, Duration::from_secs).min(MOST));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(MOST))
}

/// Exponential back-off with jitter.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    random: u64,
}

const FIRST: Duration = Duration::from_millis(500);
/// Short enough that a collector that is back is found soon, long enough that a thousand processes do not hammer it.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);

impl Backoff {
    pub(crate) fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self {
            next: FIRST,
            random: RandomState::new().hash_one(0) | 1,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The next wait: between half of the step and all of it.
    pub(crate) fn wait(&mut self) -> Duration {
        // Xorshift: no one is to guess it, it only has to spread processes.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let jitter = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        let wait = self.next.mul_f64(0.5 + jitter / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_statuses() {
        let now = SystemTime::now();
        for status in 100..600 {
            let retryable = matches!(status, 429 | 502 | 503 | 504);
            let plain = http_status(status, None, now);
            let told = http_status(status, Some("7"), now);
            if retryable {
                assert_eq!((plain, told), (Retry::Backoff, Retry::After(Duration::from_secs(7))));
            } else {
                assert_eq!((plain, told), (Retry::Never, Retry::Never), "{status}");
            }
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, wait) in [
            ("0", Retry::After(Duration::ZERO)),
            (" 120 ", Retry::After(Duration::from_secs(120))),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Retry::After(Duration::from_secs(10))),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Retry::After(Duration::from_secs(10))),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Retry::After(Duration::ZERO)),
            ("99999999999999999999", Retry::After(MOST)),
            ("9223372036854775807", Retry::After(MOST)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Retry::After(MOST)),
            ("-1", Retry::Backoff),
            ("1.5", Retry::Backoff),
            ("soon", Retry::Backoff),
            ("", Retry::Backoff),
        ] {
            assert_eq!(http_status(503, Some(text), now), wait, "{text}");
        }
    }

    #[test]
    fn grpc_codes() {
        let delay = Duration::from_secs(3);
        for code in 0..=16 {
            let retryable = matches!(code, 1 | 4 | 10 | 11 | 14 | 15);
            let plain = if retryable { Retry::Backoff } else { Retry::Never };
            let told = if retryable || code == 8 {
                Retry::After(delay)
            } else {
                Retry::Never
            };
            assert_eq!(
                (grpc_code(code, None), grpc_code(code, Some(delay))),
                (plain, told),
                "{code}"
            );
        }
        assert_eq!(grpc_code(14, Some(Duration::MAX)), Retry::After(MOST));
    }

    #[test]
    fn the_back_off_grows_to_its_bound_and_spreads() {
        let mut backoff = Backoff::new();
        let mut step = FIRST;
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LONGEST);
        }
        let waits: std::collections::HashSet<_> = (0..20).map(|_| Backoff::new().wait()).collect();
        assert!(waits.len() > 10);
    }
}
