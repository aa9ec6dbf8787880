//! Pools of sqlx.

use crate::health::{HealthCheck, HealthStatus};
use sqlx::{Database, Executor, Pool};

/// Up when a connection can be had and answers a query. `SQLite` is asked for its schema, as `SELECT 1` never touches the file; what
/// is broken beyond the schema only a query of yours can find.
impl<DB: Database> HealthCheck for Pool<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    async fn check(&self) -> HealthStatus {
        let query = if DB::NAME == "SQLite" {
            "SELECT count(*) FROM sqlite_schema"
        } else {
            "SELECT 1"
        };
        let answer = async {
            let mut connection = self.acquire().await?;
            // Boxed by sqlx: its future is then `Send` whatever the database.
            sqlx::raw_sql(query).fetch_one(&mut *connection).await.map(|_| ())
        };
        let status = match answer.await {
            Ok(()) => HealthStatus::up(),
            Err(error) => HealthStatus::error(&error),
        };
        status.with("connections", self.size()).with("idle", self.num_idle())
    }
}
