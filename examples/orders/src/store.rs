//! Orders in SQLite.

use crate::shop::{NewOrder, Order};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use vitalsign::{timed, traced};

#[derive(Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

/// Each method is a span named `Store::…`, by the conventions for databases, and a histogram.
#[traced]
#[timed]
impl Store {
    /// In a file, or in memory.
    #[vitalsign(skip)]
    pub(crate) async fn open(file: Option<&str>) -> Result<Self, sqlx::Error> {
        let (options, connections) = match file {
            Some(file) => (SqliteConnectOptions::new().filename(file).create_if_missing(true), 4),
            // Each connection to `:memory:` is a database of its own, so there is one, and it is kept.
            None => (SqliteConnectOptions::new().in_memory(true), 1),
        };
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS orders (
                id INTEGER PRIMARY KEY, item TEXT NOT NULL, quantity INTEGER NOT NULL, price_cents INTEGER NOT NULL)",
        )
        .execute(&pool)
        .await?;
        Ok(Self { pool })
    }

    #[traced(
        name = "Store::insert",
        db(system = "sqlite", operation = "INSERT", collection = "orders")
    )]
    pub(crate) async fn insert(&self, order: &NewOrder, price_cents: i64) -> Result<i64, sqlx::Error> {
        let done = sqlx::query("INSERT INTO orders (item, quantity, price_cents) VALUES (?, ?, ?)")
            .bind(&order.item)
            .bind(order.quantity)
            .bind(price_cents)
            .execute(&self.pool)
            .await?;
        Ok(done.last_insert_rowid())
    }

    #[traced(
        name = "Store::find",
        db(system = "sqlite", operation = "SELECT", collection = "orders")
    )]
    pub(crate) async fn find(&self, id: i64) -> Result<Option<Order>, sqlx::Error> {
        let row: Option<(i64, String, u32, i64)> =
            sqlx::query_as("SELECT id, item, quantity, price_cents FROM orders WHERE id = ?")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(id, item, quantity, price_cents)| Order {
            id,
            item,
            quantity,
            total_cents: price_cents * i64::from(quantity),
        }))
    }

    /// Reads the table: `SELECT 1` would not touch the file. A probe asks every second, which is not worth a span.
    #[vitalsign(skip)]
    pub(crate) async fn readable(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT id FROM orders LIMIT 1")
            .fetch_optional(&self.pool)
            .await
            .map(drop)
    }
}
