//! Customers are told of their order by a worker, after the answer has gone out: a task of this process, or with `REDIS_URL` set
//! whoever works off that Redis, as `examples/worker` does.

use crate::Fallible;
use redis::AsyncCommands as _;
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use vitalsign::jobs::{Job, QueueDepth, queue_depth};
use vitalsign::{counted, observed, traced};

/// One customer to be told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Confirmation {
    order_id: i64,
    email: String,
}

#[derive(Clone)]
pub(crate) enum Queue {
    InProcess {
        sender: mpsc::Sender<Job<Confirmation>>,
        /// Shown as long as the queue lives.
        _depth: Arc<QueueDepth>,
    },
    Redis(ConnectionManager),
}

impl Queue {
    /// Confirmations put into the queue; a full queue, or one out of reach, drops them.
    #[counted(name = "confirmations.queued", ok_if = |queued| *queued)]
    pub(crate) async fn confirm(&self, order_id: i64, email: String) -> bool {
        let confirmation = Confirmation { order_id, email };
        match self {
            Self::InProcess { sender, .. } => sender.try_send(Job::new(confirmation)).is_ok(),
            Self::Redis(redis) => send(redis.clone(), confirmation).await.is_ok(),
        }
    }
}

#[traced(
    name = "send confirmations",
    kind = producer,
    fields(
        messaging.system = "redis",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = "confirmations"
    )
)]
async fn send(mut redis: ConnectionManager, confirmation: Confirmation) -> Fallible<()> {
    // The job takes this span's context along.
    let job = serde_json::to_string(&Job::new(confirmation))?;
    let () = redis.rpush("confirmations", job).await?;
    Ok(())
}

/// The queue that the environment names, else one with a worker in this process, which ends with the last sender.
pub(crate) async fn start() -> Result<Queue, redis::RedisError> {
    if let Some(url) = std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty()) {
        return Ok(Queue::Redis(redis::Client::open(url)?.get_connection_manager().await?));
    }
    let (sender, mut waiting) = mpsc::channel(100);
    tokio::spawn(async move {
        while let Some(job) = waiting.recv().await {
            // The error is in the span and in the log already.
            let _ = send_confirmation(job).await;
        }
    });
    let weak = sender.downgrade();
    let depth = queue_depth("in_process", "send_confirmation", move || {
        let sender = weak.upgrade()?;
        Some((sender.max_capacity() - sender.capacity()) as u64)
    });
    Ok(Queue::InProcess {
        sender,
        _depth: Arc::new(depth),
    })
}

/// A span in the order's trace, and how long the job waited and ran.
#[observed(name = "send_confirmation", job = "send_confirmation", traced(fields(order.id = job.order_id)))]
async fn send_confirmation(job: Job<Confirmation>) -> Result<(), NoSuchMailbox> {
    tokio::time::sleep(Duration::from_millis(4)).await;
    if job.email.contains('@') {
        Ok(())
    } else {
        Err(NoSuchMailbox { order_id: job.order_id })
    }
}

#[derive(Debug)]
pub(crate) struct NoSuchMailbox {
    order_id: i64,
}

impl fmt::Display for NoSuchMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}: no such mailbox", self.order_id)
    }
}

impl std::error::Error for NoSuchMailbox {}
