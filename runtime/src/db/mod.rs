//! Databases: functions and pools whose statements are client spans by the semantic conventions.
//!
//! A function that is one statement says so, with any client:
//!
//! ```
//! use vitalsign::traced;
//!
//! #[traced(db(system = "postgresql", namespace = "shop", query = sql))]
//! async fn rows(sql: &str) -> Result<u64, std::io::Error> {
//!     Ok(0)
//! }
//! ```
//!
//! The span is called by the statement's summary, here `SELECT orders`; the statement is shown without its values. Each call is one
//! sample of `db.client.operation.duration`. An error type that implements [`Code`] tells with which code the database refused.
//!
//! Pools of sqlx need no attributes (feature `db-sqlx`):
//!
#![cfg_attr(feature = "db-sqlx", doc = "```no_run")]
#![cfg_attr(not(feature = "db-sqlx"), doc = "```ignore")]
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

mod duration;
#[cfg(feature = "db-sqlx")]
mod operation;
#[cfg(feature = "db-sqlx")]
mod pool;
mod sql;
pub(crate) mod statement;

#[cfg(feature = "db-sqlx")]
pub use pool::{Traced, TracedPool};
pub use statement::{Code, comment};
