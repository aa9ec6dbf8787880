//! Whether a file system has room.

use crate::health::parts::Parts;
use crate::health::{CheckOptions, Detail, HealthCheck, HealthStatus};
use std::path::PathBuf;

/// Up while the file system of a path has as much room as asked for.
///
/// # Examples
/// ```
/// # use vitalsign::HealthCheck;
/// use vitalsign::health::{Health, checks::DiskSpace};
///
/// let disk = DiskSpace::new("/").down_below(1).degraded_below(2);
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// assert_eq!(disk.check().await.health(), Health::Up);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct DiskSpace {
    path: PathBuf,
    down: u64,
    degraded: u64,
}

impl DiskSpace {
    /// Down below 10 MiB, degraded below 100 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            down: 10 << 20,
            degraded: 100 << 20,
        }
    }

    /// Down with fewer bytes than this.
    #[must_use]
    pub fn down_below(mut self, bytes: u64) -> Self {
        self.down = bytes;
        self
    }

    /// Degraded with fewer bytes than this.
    #[must_use]
    pub fn degraded_below(mut self, bytes: u64) -> Self {
        self.degraded = bytes;
        self
    }
}

impl HealthCheck for DiskSpace {
    async fn check(&self) -> HealthStatus {
        let stat = match rustix::fs::statvfs(&self.path) {
            Ok(stat) => stat,
            Err(error) => return HealthStatus::down(format!("{}: {error}", self.path.display())),
        };
        // What a program without privileges may still write.
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let total = stat.f_blocks.saturating_mul(stat.f_frsize);
        let status = if free < self.down {
            HealthStatus::down(format!("{free} bytes free, fewer than {}", self.down))
        } else if free < self.degraded {
            HealthStatus::degraded(format!("{free} bytes free, fewer than {}", self.degraded))
        } else {
            HealthStatus::up()
        };
        let free: Detail = free.into();
        status.with("free_bytes", free).with("total_bytes", total)
    }

    /// A network file system may hang, and there is no asking it asynchronously.
    fn parts(&self, parts: &mut Parts<'_>) {
        parts.leaf_with(CheckOptions::new().blocking());
    }
}
