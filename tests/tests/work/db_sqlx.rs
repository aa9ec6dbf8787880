//! Statements on a real database, here SQLite in memory: spans, measurements, and what they do not show.

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use vitalsign::db::TracedPool;
use vitalsign::testing::{Capture, Span, Status, capture};

async fn pool() -> TracedPool<sqlx::Sqlite> {
    let options = SqliteConnectOptions::new().in_memory(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT UNIQUE)")
        .execute(&pool)
        .await
        .unwrap();
    TracedPool::new("orders", pool)
        .server("db.example", 1234)
        .namespace("shop")
}

/// The spans, once there are so many: SQLite's own thread holds the span current at a statement until it has let go of it.
fn spans(capture: &Capture, count: usize) -> Vec<Span> {
    for _ in 0..500 {
        let spans = capture.spans();
        if spans.len() >= count {
            return spans;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not {count} spans but\n{}", capture.tree());
}

fn last(capture: &Capture, count: usize) -> Span {
    spans(capture, count).pop().unwrap()
}

#[tokio::test]
async fn a_statement_is_a_client_span() {
    let pool = pool().await;
    let capture = capture();
    let done = sqlx::query("INSERT INTO orders (item) VALUES (?), ('hunter2')")
        .bind("teapot")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 2);
    let span = last(&capture, 1);
    assert_eq!(
        (span.name.as_str(), span.kind, span.status),
        ("INSERT orders", "client", Status::Unset)
    );
    for (key, value) in [
        ("db.system.name", "sqlite"),
        ("db.namespace", "shop"),
        ("db.query.text", "INSERT INTO orders(item) VALUES(?)"),
        ("db.query.summary", "INSERT orders"),
        ("db.operation.name", "INSERT"),
        ("db.collection.name", "orders"),
        ("server.address", "db.example"),
        ("server.port", "1234"),
    ] {
        assert_eq!(span.attribute(key), Some(value), "{key}");
    }
    let rows: Vec<(i64, String)> = sqlx::query_as("SELECT id, item FROM orders ORDER BY id")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(last(&capture, 2).attribute("db.response.returned_rows"), Some("2"));
    let one: Option<(String,)> = sqlx::query_as("SELECT item FROM orders WHERE id = ?")
        .bind(1)
        .fetch_optional(&pool)
        .await
        .unwrap();
    assert_eq!(one.unwrap().0, "teapot");
    let none: Option<(String,)> = sqlx::query_as("SELECT item FROM orders WHERE id = 99")
        .fetch_optional(&pool)
        .await
        .unwrap();
    assert!(none.is_none());
    assert_eq!(
        last(&capture, 4).attribute("db.query.text"),
        Some("SELECT item FROM orders WHERE id = ?")
    );
    assert_eq!(capture.spans().len(), 4);
}

#[tokio::test]
async fn a_transaction_hangs_under_its_caller() {
    let pool = pool().await;
    let capture = capture();
    let work = async {
        let mut transaction = pool.pool().begin().await.unwrap();
        sqlx::query("INSERT INTO orders (item) VALUES ('a')")
            .execute(pool.traced(&mut *transaction))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    };
    tracing::Instrument::instrument(work, tracing::info_span!("place_order")).await;
    assert_eq!(spans(&capture, 2).len(), 2);
    assert_eq!(capture.tree(), "place_order\n└ INSERT orders\n");
}

#[tokio::test]
async fn what_the_database_refuses() {
    let pool = pool().await;
    let capture = capture();
    for _ in 0..2 {
        let _ = sqlx::query("INSERT INTO orders (item) VALUES ('same')")
            .execute(&pool)
            .await;
    }
    let span = last(&capture, 2);
    assert_eq!(span.status, Status::Error);
    assert_eq!(span.attribute("error.type"), Some("2067"));
    assert_eq!(span.attribute("db.response.status_code"), Some("2067"));
    sqlx::query("SELECT nothing FROM nowhere")
        .fetch_one(&pool)
        .await
        .unwrap_err();
    assert_eq!(last(&capture, 3).name, "SELECT nowhere");
    assert_eq!(last(&capture, 3).outcome(), "error");
}

#[tokio::test]
async fn a_stream_is_one_span() {
    let pool = pool().await;
    for item in ["a", "b", "c"] {
        sqlx::query("INSERT INTO orders (item) VALUES (?)")
            .bind(item)
            .execute(&pool)
            .await
            .unwrap();
    }
    let capture = capture();
    {
        let mut rows = sqlx::query("SELECT item FROM orders").fetch(&pool);
        while rows.try_next().await.unwrap().is_some() {}
    }
    let span = last(&capture, 1);
    assert_eq!(
        (span.attribute("db.response.returned_rows"), span.outcome()),
        (Some("3"), "ok")
    );
    {
        let mut rows = sqlx::query("SELECT item FROM orders").fetch(&pool);
        rows.try_next().await.unwrap();
    }
    assert_eq!(last(&capture, 2).outcome(), "cancelled");
}

#[tokio::test]
async fn a_comment_carries_the_trace() {
    let pool = pool().await.comments(true);
    let capture = capture();
    sqlx::query("INSERT INTO orders (item) VALUES (?)")
        .bind("a")
        .execute(&pool)
        .await
        .unwrap();
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM orders;")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
    assert_eq!(
        last(&capture, 2).attribute("db.query.text"),
        Some("SELECT count(*) FROM orders;")
    );
}
