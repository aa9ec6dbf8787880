//! Tells customers of their orders: works off the confirmations that the shop leaves in a Redis.
//!
//! ```console
//! $ REDIS_URL=redis://127.0.0.1 cargo run                    # the shop, in one terminal
//! $ REDIS_URL=redis://127.0.0.1 cargo run -p worker          # this, in another
//! ```
//!
//! Each attempt is a span in the trace of the order. A failed one goes back into the queue, three times in all, and then to those that
//! nobody could deliver. What a worker held when it died was an attempt, too: the next one that starts puts it back as the one
//! after, so that a job that kills its worker does not do so for ever. On SIGTERM the job under way is ended first. `/readyz` says
//! whether the Redis answers, `/metrics` how long jobs wait and how many.
//!
//! `MAIL_MILLIS` is how long telling a customer takes; 4 unless said.

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
async fn send_confirmation(job: &Job<Confirmation>, mail: Duration) -> Result<(), NoSuchMailbox> {
    tokio::time::sleep(mail).await;
    if !job.email.contains('@') {
        return Err(NoSuchMailbox { order_id: job.order_id });
    }
    tracing::info!(order_id = job.order_id, "customer told");
    Ok(())
}

/// Takes one job, if there is one soon, and leaves no trace of it in the Redis but what is still to be done.
async fn work(redis: &mut ConnectionManager, mail: Duration) -> RedisResult<()> {
    let taken: Option<String> = redis
        .blmove(QUEUE, HELD, Direction::Left, Direction::Right, 0.3)
        .await?;
    let Some(taken) = taken else { return Ok(()) };
    let ended = match serde_json::from_str::<Job<Confirmation>>(&taken) {
        // The error is in the span and in the log already.
        Ok(job) if send_confirmation(&job, mail).await.is_err() => Some(next(job)),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, "no confirmation");
            Some((DEAD, taken.clone()))
        }
    };
    end(redis, &taken, ended).await
}

/// Where a job goes after an attempt that failed: to the next, or to those that nobody could deliver.
fn next(job: Job<Confirmation>) -> (&'static str, String) {
    let list = if job.attempt() < ATTEMPTS { QUEUE } else { DEAD };
    let job = if list == QUEUE { job.retry() } else { job };
    // A job of texts and numbers is always JSON.
    (list, serde_json::to_string(&job).unwrap_or_default())
}

/// Lets go of a job, and at once puts down what is to become of it.
async fn end(redis: &mut ConnectionManager, taken: &str, then: Option<(&str, String)>) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    pipe.atomic();
    if let Some((list, job)) = then {
        pipe.rpush(list, job);
    }
    pipe.lrem(HELD, 1, taken);
    pipe.query_async(redis).await
}

/// What the worker before this one did not come to end.
async fn put_back(redis: &mut ConnectionManager) -> RedisResult<()> {
    for taken in redis.lrange::<_, Vec<String>>(HELD, 0, -1).await? {
        let then = match serde_json::from_str(&taken) {
            Ok(job) => next(job),
            Err(_) => (DEAD, taken.clone()),
        };
        tracing::warn!(list = then.0, "a worker died over a job");
        end(redis, &taken, Some(then)).await?;
    }
    Ok(())
}

/// How long telling a customer takes.
fn mail() -> Duration {
    let set = std::env::var("MAIL_MILLIS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(set.unwrap_or(4))
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
                if let Err(error) = work(&mut redis, mail()).await {
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
