//! Whether a task still does its rounds.

use crate::health::{HealthCheck, HealthStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Up while somebody beats often enough: for the loop of a worker, which a restart would heal.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use vitalsign::health::{CheckOptions, checks::Heartbeat, engine};
///
/// # fn main() -> Result<(), vitalsign::health::RegisterError> {
/// let heartbeat = Heartbeat::new(Duration::from_secs(30));
/// engine().register_with("worker", CheckOptions::new().liveness(), heartbeat.clone())?.keep();
/// // in the worker's loop
/// heartbeat.beat();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Heartbeat {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoch: Instant,
    /// The last beat, in milliseconds of the epoch.
    last: AtomicU64,
    limit: Duration,
}

impl Heartbeat {
    /// Down when nobody has beaten for `limit`; the time begins now.
    pub fn new(limit: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                epoch: Instant::now(),
                last: AtomicU64::new(0),
                limit,
            }),
        }
    }

    /// Still here. Costs a clock reading and a store.
    pub fn beat(&self) {
        let now = self.inner.epoch.elapsed().as_millis() as u64;
        self.inner.last.fetch_max(now, Ordering::Relaxed);
    }
}

impl HealthCheck for Heartbeat {
    async fn check(&self) -> HealthStatus {
        let last = Duration::from_millis(self.inner.last.load(Ordering::Relaxed));
        let age = self.inner.epoch.elapsed().saturating_sub(last);
        if age <= self.inner.limit {
            HealthStatus::up()
        } else {
            HealthStatus::down(format!("no heartbeat for {age:.1?}, more than {:?}", self.inner.limit))
        }
    }
}
