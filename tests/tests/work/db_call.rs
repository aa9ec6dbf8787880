//! `#[traced(db(…))]`: what a function that is one statement tells of it, seen from outside.

use std::fmt;
use tests::live::live;
use tests::span::{Span, SpanKind, StatusCode};
use vitalsign::{counted, traced};

/// An error as a database client has it.
#[derive(Debug)]
struct Refused(Option<&'static str>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

impl vitalsign::db::Code for Refused {
    fn status_code(&self) -> Option<String> {
        self.0.map(str::to_owned)
    }
}

fn one(name: &str) -> Span {
    live().flush();
    let spans = live().receiver.spans();
    let mut found = spans.into_iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name}"));
    assert!(found.next().is_none(), "more than one {name}");
    span
}

#[traced(db(system = "postgresql", namespace = "shop", query = sql))]
#[counted]
async fn rows(sql: &str, answer: Result<u64, Refused>) -> Result<u64, Refused> {
    tokio::task::yield_now().await;
    answer
}

#[tokio::test]
async fn a_statement_is_shown_without_its_values() {
    live();
    let secret = "SELECT name FROM customers WHERE card = '4111-1111' AND pin = 1234 -- for ada";
    assert_eq!(rows(secret, Ok(2)).await.ok(), Some(2));
    let span = one("SELECT customers");
    assert_eq!(span.kind, SpanKind::Client);
    assert_eq!(span.status, StatusCode::Unset);
    assert_eq!(span.attribute("db.system.name"), "postgresql");
    assert_eq!(span.attribute("db.namespace"), "shop");
    assert_eq!(span.attribute("db.operation.name"), "SELECT");
    assert_eq!(span.attribute("db.collection.name"), "customers");
    assert_eq!(span.attribute("db.query.summary"), "SELECT customers");
    assert_eq!(
        span.attribute("db.query.text"),
        "SELECT name FROM customers WHERE card = ? AND pin = ?"
    );
    assert_eq!(span.attribute("error.type"), "");
    let labels = [
        ("db_system_name", "postgresql"),
        ("db_namespace", "shop"),
        ("db_query_summary", "SELECT customers"),
    ];
    let page = live().page();
    let name = "db_client_operation_duration_seconds_count";
    assert_eq!(page.value(name, &labels), Some(1.0));
    assert!(!page.text.contains("4111"));
}

#[tokio::test]
async fn a_refusal_has_the_databases_code() {
    live();
    assert!(rows("DELETE FROM orders", Err(Refused(Some("23503")))).await.is_err());
    assert!(rows("UPDATE orders SET a = 1", Err(Refused(None))).await.is_err());
    let refused = one("DELETE orders");
    assert_eq!(refused.status, StatusCode::Error);
    assert_eq!(refused.attribute("db.response.status_code"), "23503");
    assert_eq!(refused.attribute("error.type"), "23503");
    let lost = one("UPDATE orders");
    assert_eq!(lost.attribute("db.response.status_code"), "");
    assert_eq!(lost.attribute("error.type"), "work::db_call::Refused");
    let page = live().page();
    for (summary, error) in [("DELETE orders", "23503"), ("UPDATE orders", "work::db_call::Refused")] {
        let labels = [("db_query_summary", summary), ("error_type", error)];
        let count = page.value("db_client_operation_duration_seconds_count", &labels);
        assert_eq!(count, Some(1.0), "{summary}");
    }
}

#[traced(db(system = "redis", operation = "GET", collection = "sessions"), fields(key.len = len(key)))]
fn get(key: &str) -> Option<u8> {
    key.bytes().next()
}

#[traced(db(system = "sqlite", operation = "VACUUM"), kind = internal)]
fn vacuum() {}

#[traced(name = "find order", db(system = "mysql", query = format!("SELECT 1 FROM orders WHERE id = {id}")))]
fn find(id: u64) -> u64 {
    id
}

#[traced(db(system = "mongodb"), when = false)]
fn unseen() {}

#[test]
fn names_are_the_conventions_unless_they_are_given() {
    live();
    get("a");
    vacuum();
    find(7);
    unseen();
    let get = one("GET sessions");
    assert_eq!(get.attribute("db.operation.name"), "GET");
    assert_eq!(get.attribute("db.collection.name"), "sessions");
    assert_eq!(get.attribute("key.len"), "1");
    assert_eq!(one("VACUUM").kind, SpanKind::Internal);
    let find = one("find order");
    assert_eq!(find.attribute("db.query.text"), "SELECT ? FROM orders WHERE id = ?");
    let page = live().page();
    let count = |labels: &[(&str, &str)]| page.value("db_client_operation_duration_seconds_count", labels);
    let redis = [
        ("db_system_name", "redis"),
        ("db_operation_name", "GET"),
        ("db_collection_name", "sessions"),
    ];
    assert_eq!(count(&redis), Some(1.0));
    assert_eq!(
        count(&[("db_system_name", "sqlite"), ("db_operation_name", "VACUUM")]),
        Some(1.0)
    );
    assert_eq!(count(&[("db_system_name", "mongodb")]), Some(1.0), "without a span too");
}
