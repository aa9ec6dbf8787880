//! What the layers for servers, clients and databases send: names, units and types of the semantic conventions, and no secrets.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use tests::otlp::Receiver;
use vitalsign::db::TracedPool;
use vitalsign::http::{ReqwestTracing, layer};

async fn work(pool: &TracedPool<sqlx::Sqlite>) -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/orders/{id}", get(|| async { "an order" }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(layer());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::builder().no_proxy().build()?)
        .with(ReqwestTracing::new())
        .build();
    for path in ["/orders/7?token=hunter2&page=1", "/broken", "/nowhere"] {
        client.get(format!("{url}{path}")).send().await?;
    }
    let brew = reqwest::Method::from_bytes(b"BREW")?;
    client.request(brew, format!("{url}/orders/1")).send().await?;
    assert!(client.get("http://127.0.0.1:1/").send().await.is_err());
    for _ in 0..2 {
        let _ = sqlx::query("INSERT INTO orders (item) VALUES ('hunter2')")
            .execute(pool)
            .await;
    }
    Ok(())
}

const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// The attributes of a metric's points.
fn points(metric: &Metric) -> Vec<Vec<KeyValue>> {
    match metric.data.as_ref() {
        Some(Data::Histogram(data)) => data.data_points.iter().map(|point| point.attributes.clone()).collect(),
        Some(Data::Sum(data)) => data.data_points.iter().map(|point| point.attributes.clone()).collect(),
        other => panic!("{}: {other:?}", metric.name),
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let pair = attributes.iter().find(|pair| pair.key == key)?;
    pair.value.as_ref()?.value.as_ref()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_units_types_and_no_secrets() {
    tests::own_process!();
    let receiver = Receiver::start();
    let vitals = vitalsign::builder()
        .otlp_endpoint(receiver.http())
        .variable("OTEL_METRICS_EXPORTER", "otlp")
        .variable("OTEL_LOGS_EXPORTER", "otlp")
        .admin("off")
        .install()
        .unwrap();
    let pool = sqlx::sqlite::SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let pool = TracedPool::new("orders", pool).namespace("main");
    sqlx::query("CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT UNIQUE)")
        .execute(&pool)
        .await
        .unwrap();
    work(&pool).await.unwrap();
    // The server lets go of an answer after its client has read it.
    let ended = || (vitalsign::diagnostics().open == 0).then_some(());
    let waited = tokio::task::spawn_blocking(move || tests::wait_for("the spans to end", LIMIT, ended));
    waited.await.unwrap();
    vitals.shutdown().await.unwrap();

    let names: Vec<String> = receiver.spans().iter().map(|span| span.name.clone()).collect();
    for name in [
        "GET /orders/{id}",
        "GET /broken",
        "GET",
        "HTTP /orders/{id}",
        "HTTP",
        "INSERT orders",
    ] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    let received = receiver.received();
    let everything = format!("{:?}{:?}{:?}", received.traces, received.metrics, received.logs);
    assert!(!everything.contains("hunter2"));
    let metrics: Vec<&Metric> = received
        .metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|of_resource| &of_resource.scope_metrics)
        .flat_map(|of_scope| &of_scope.metrics)
        .collect();
    let metric = |name: &str| {
        *metrics
            .iter()
            .find(|metric| metric.name == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    for (name, unit) in [
        ("http.server.request.duration", "s"),
        ("http.server.active_requests", "{request}"),
        ("http.server.response.body.size", "By"),
        ("http.client.request.duration", "s"),
        ("db.client.operation.duration", "s"),
        ("db.client.connection.count", "{connection}"),
    ] {
        assert_eq!(metric(name).unit, unit, "{name}");
    }
    let server = points(metric("http.server.request.duration"));
    assert!(
        server
            .iter()
            .all(|point| matches!(value(point, "http.response.status_code"), Some(Value::IntValue(_))))
    );
    let unknown = server
        .iter()
        .find(|point| value(point, "http.response.status_code") == Some(&Value::IntValue(404)));
    assert_eq!(value(unknown.unwrap(), "http.route"), None, "never the raw path");
    let client = points(metric("http.client.request.duration"));
    assert!(
        client
            .iter()
            .all(|point| matches!(value(point, "server.port"), Some(Value::IntValue(_))))
    );
    assert!(
        client
            .iter()
            .any(|point| value(point, "error.type") == Some(&Value::StringValue("connect".to_owned())))
    );
    let database = points(metric("db.client.operation.duration"));
    let system = Value::StringValue("sqlite".to_owned());
    assert!(
        database
            .iter()
            .all(|point| value(point, "db.system.name") == Some(&system))
    );
    assert!(
        database
            .iter()
            .any(|point| value(point, "error.type") == Some(&Value::StringValue("2067".to_owned())))
    );
}
