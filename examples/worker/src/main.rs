//! Tells customers of their orders: works off the confirmations that the shop leaves in a Redis.
//!
//! ```console
//! $ REDIS_URL=redis://127.0.0.1 cargo run                    # the shop, in one terminal
//! $ REDIS_URL=redis://127.0.0.1 cargo run -p worker          # this, in another
//! ```
//!
//! Each attempt is a span in the trace of the order. A failed one goes back into the queue, three times in all, and then to those that
//! nobody could deliver. What a worker held when it died is put back when the next one starts; on SIGTERM the job under way is
//! ended first. `/readyz` says whether the Redis answers, `/metrics` how long jobs wait and how many.

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands as _, Direction, RedisResult};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vitalsign::jobs::{Job, QueueDepth};
use vitalsign::observed;

const QUEUE: &str = "confirmations";
/// What a worker has taken and not ended.
const HELD: &str = "confirmations:held";
/// What could not be delivered.
const DEAD: &str = "confirmations:dead";
const ATTEMPTS: u32 = 3;

/// One customer to be told.
#[derive(Debug, Serialize, Deserialize)]
struct Confirmation {
    order_id: i64,
    email: String,
}

#[observed(
    job(name = "send_confirmation", system = "redis", queue = "confirmations"),
    traced(fields(order.id = job.order_id))
)]
async fn send_confirmation(job: &Job<Confirmation>) -> Result<(), NoSuchMailbox> {
    tokio::time::sleep(Duration::from_millis(4)).await;
    if !job.email.contains('@') {
        return Err(NoSuchMailbox { order_id: job.order_id });
    }
    tracing::info!(order_id = job.order_id, "customer told");
    Ok(())
}

/// Takes one job, if there is one soon, and leaves no trace of it in the Redis but what is still to be done.
async fn work(redis: &mut ConnectionManager) -> RedisResult<()> {
    let taken: Option<String> = redis
        .blmove(QUEUE, HELD, Direction::Left, Direction::Right, 0.3)
        .await?;
    let Some(taken) = taken else { return Ok(()) };
    let mut done = redis::pipe();
    done.atomic();
    match serde_json::from_str::<Job<Confirmation>>(&taken) {
        Ok(job) => {
            // The error is in the span and in the log already.
            if send_confirmation(&job).await.is_err() {
                let last = job.attempt() >= ATTEMPTS;
                match serde_json::to_string(&job.retry()) {
                    Ok(again) if !last => done.rpush(QUEUE, again),
                    _ => done.rpush(DEAD, &taken),
                };
            }
        }
        Err(error) => {
            tracing::warn!(%error, "no confirmation");
            done.rpush(DEAD, &taken);
        }
    }
    done.lrem(HELD, 1, &taken);
    done.query_async(redis).await
}

/// What the worker before this one did not come to end.
async fn put_back(redis: &mut ConnectionManager) -> RedisResult<()> {
    while redis
        .lmove::<_, _, Option<String>>(HELD, QUEUE, Direction::Right, Direction::Left)
        .await?
        .is_some()
    {}
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // No one sends requests here that would have to hear of the end first.
    let vitals = vitalsign::builder().drain_delay(Duration::ZERO).install()?;
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1".to_owned());
    // Taking waits for a job, which is no failure.
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_secs(2)));
    let mut redis = redis::Client::open(url)?
        .get_connection_manager_with_config(config)
        .await?;
    vitals.register_health("redis", redis.clone())?;
    put_back(&mut redis).await?;
    let depth = QueueDepth::new("redis", QUEUE);
    let ending = Arc::new(AtomicBool::new(false));
    let worker = tokio::spawn({
        let ending = ending.clone();
        async move {
            while !ending.load(Ordering::Relaxed) {
                if let Err(error) = work(&mut redis).await {
                    tracing::warn!(%error, "the redis does not answer");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                if let Ok(waiting) = redis.llen::<_, u64>(QUEUE).await {
                    depth.set(waiting);
                }
            }
        }
    });
    vitals.shutdown_signal().await;
    ending.store(true, Ordering::Relaxed);
    worker.await?;
    vitals.shutdown().await?;
    Ok(())
}

#[derive(Debug)]
struct NoSuchMailbox {
    order_id: i64,
}

impl fmt::Display for NoSuchMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}: no such mailbox", self.order_id)
    }
}

impl std::error::Error for NoSuchMailbox {}
