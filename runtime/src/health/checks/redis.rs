//! Redis: a `PING`.

use crate::health::{HealthCheck, HealthStatus};
use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
use redis::{Client, RedisResult};

async fn ping(connection: &mut (impl ConnectionLike + Send)) -> RedisResult<()> {
    redis::cmd("PING").query_async::<String>(connection).await.map(|_| ())
}

fn status(answer: &RedisResult<()>) -> HealthStatus {
    match answer {
        Ok(()) => HealthStatus::up(),
        Err(error) => HealthStatus::error(error),
    }
}

/// Over a new connection each time.
impl HealthCheck for Client {
    async fn check(&self) -> HealthStatus {
        let answer = async { ping(&mut self.get_multiplexed_async_connection().await?).await };
        status(&answer.await)
    }
}

/// Over this connection: once broken it stays so.
impl HealthCheck for MultiplexedConnection {
    async fn check(&self) -> HealthStatus {
        status(&ping(&mut self.clone()).await)
    }
}

/// Over the connection it manages; it connects again by itself.
impl HealthCheck for ConnectionManager {
    async fn check(&self) -> HealthStatus {
        status(&ping(&mut self.clone()).await)
    }
}
