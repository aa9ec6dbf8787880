//! How full a bounded channel is.

use crate::health::{HealthCheck, HealthStatus};
use tokio::sync::mpsc::{Sender, WeakSender};

/// Degraded when a channel is nearly full, down when it is full or nobody receives.
///
/// # Examples
/// ```
/// # use vitalsign::HealthCheck;
/// use vitalsign::health::{Health, checks::ChannelLevel};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let (sender, receiver) = tokio::sync::mpsc::channel::<u8>(10);
/// let level = ChannelLevel::new(&sender);
/// assert_eq!(level.check().await.health(), Health::Up);
/// drop(receiver);
/// assert_eq!(level.check().await.health(), Health::Down);
/// # });
/// ```
#[derive(Debug)]
pub struct ChannelLevel<T> {
    // Not to be the one that keeps the channel open.
    sender: WeakSender<T>,
    degraded: f64,
    down: f64,
}

impl<T> ChannelLevel<T> {
    /// Degraded from 80 % on, down at 100 %.
    pub fn new(sender: &Sender<T>) -> Self {
        Self {
            sender: sender.downgrade(),
            degraded: 0.8,
            down: 1.0,
        }
    }

    /// Degraded from this part on.
    #[must_use]
    pub fn degraded_at(mut self, part: f64) -> Self {
        self.degraded = part;
        self
    }

    /// Down from this part on; more than 1 for never.
    #[must_use]
    pub fn down_at(mut self, part: f64) -> Self {
        self.down = part;
        self
    }
}

impl<T: Send> HealthCheck for ChannelLevel<T> {
    async fn check(&self) -> HealthStatus {
        let Some(sender) = self.sender.upgrade() else {
            return HealthStatus::down("all senders are gone");
        };
        if sender.is_closed() {
            return HealthStatus::down("the receiver is gone");
        }
        let capacity = sender.max_capacity();
        let length = capacity - sender.capacity();
        let level = length as f64 / capacity as f64;
        let text = || format!("{length} of {capacity} places are taken");
        let status = if level >= self.down {
            HealthStatus::down(text())
        } else if level >= self.degraded {
            HealthStatus::degraded(text())
        } else {
            HealthStatus::up()
        };
        status.with("length", length).with("capacity", capacity)
    }
}
