//! Databases: pools of sqlx whose statements are client spans by the semantic conventions.
//!
//! ```no_run
//! # async fn example() -> Result<(), sqlx::Error> {
//! use vitalsign::db::TracedPool;
//!
//! let pool = TracedPool::new("orders", sqlx::SqlitePool::connect("sqlite:shop.db").await?);
//! let row = sqlx::query("SELECT id FROM orders WHERE id = ?").bind(7).fetch_optional(&pool).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Statements are shown without their values. Each is one sample of `db.client.operation.duration`, and the pool's connections
//! are counted in `db.client.connection.count`.

mod operation;
mod pool;
mod sql;

pub use pool::{Traced, TracedPool};
