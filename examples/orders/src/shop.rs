//! The shop's HTTP side: takes an order, asks the inventory for the goods, keeps the order, has the customer told.

use crate::options::Options;
use crate::stock::{Stock, StockError};
use crate::store::Store;
use crate::worker::{self, Queue};
use crate::{Fallible, child, receiver, visits};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use vitalsign::{ErrorLabel, HealthCheck, LabelValue, Vitals, counted, timed, traced};

/// How a customer came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, LabelValue)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Channel {
    Web,
    Phone,
    Partner,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NewOrder {
    pub(crate) item: String,
    pub(crate) quantity: u32,
    pub(crate) channel: Channel,
    pub(crate) email: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) item: String,
    pub(crate) quantity: u32,
    pub(crate) total_cents: i64,
}

/// Why there is no order: the label `error_type`, and `error.type` on the span.
#[derive(Debug, ErrorLabel)]
pub(crate) enum OrderError {
    /// The customer's mistake, not a failure of ours.
    #[label(outcome = "ok")]
    UnknownItem,
    SoldOut,
    Inventory(reqwest_middleware::Error),
    Database(sqlx::Error),
}

#[derive(Clone)]
struct Shop {
    store: Store,
    stock: Stock,
    queue: Queue,
}

/// What this process needs to be ready. Without the inventory it still shows orders, so that only degrades it.
#[derive(HealthCheck)]
struct Backends {
    #[health(readiness, timeout = "2s", check = Store::readable)]
    store: Store,
    #[health(readiness, critical = false, check = Stock::reachable)]
    stock: Stock,
}

async fn post_order(State(shop): State<Shop>, Json(order): Json<NewOrder>) -> Response {
    match place_order(&shop, order).await {
        Ok(order) => (StatusCode::CREATED, Json(order)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn get_order(State(shop): State<Shop>, Path(id): Path<i64>) -> Response {
    match shop.store.find(id).await {
        Ok(Some(order)) => Json(order).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => OrderError::Database(error).into_response(),
    }
}

/// Orders placed, by channel and outcome.
#[traced(fields(order.item = %order.item, order.channel = ?order.channel, customer.email = hash(order.email)))]
#[counted(name = "orders.placed", labels(channel: Channel = order.channel), in_flight)]
#[timed]
async fn place_order(shop: &Shop, order: NewOrder) -> Result<Order, OrderError> {
    let price_cents = shop.stock.reserve(&order.item, order.quantity).await?;
    let order_id = shop.store.insert(&order, price_cents).await?;
    tracing::info!(order_id, item = order.item, "order placed");
    if !shop.queue.confirm(order_id, order.email).await {
        tracing::warn!(order_id, "no room for a confirmation");
    }
    Ok(Order {
        id: order_id,
        item: order.item,
        quantity: order.quantity,
        total_cents: price_cents * i64::from(order.quantity),
    })
}

pub(crate) async fn run(options: Options) -> Fallible<()> {
    let receiver = receiver::start(!options.quiet).await?;
    let vitals = install(&receiver, options.quiet)?;
    let inventory = child::start_inventory(&receiver).await?;

    let shop = Shop {
        store: Store::open(options.database.as_deref()).await?,
        stock: Stock::at(&inventory.address)?,
        queue: worker::start().await?,
    };
    let backends = Backends {
        store: shop.store.clone(),
        stock: shop.stock.clone(),
    };
    vitals.register_health("shop", backends)?;

    let listener = listen(options.host, options.port).await?;
    let address = listener.local_addr()?;
    // Until here the port was not bound; from here on readiness is what the checks say.
    vitals.set_ready(true);
    println!();
    show(
        "orders",
        &format!("http://{address}/orders"),
        vitals.admin_addr().map(|admin| format!("http://{admin}")),
    );
    show(
        "inventory",
        &format!("{}/items", inventory.address),
        inventory.admin.clone(),
    );
    println!();
    if !options.quiet {
        visits::start(format!("http://{address}"));
    }
    let router = Router::new()
        .route("/orders", post(post_order))
        .route("/orders/{id}", get(get_order))
        .with_state(shop)
        .merge(receiver.routes())
        // Around all of it, paths that nobody serves included; where the traces are shown is no part of the shop.
        .layer(vitalsign::http::layer().exclude("/traces/*"));
    axum::serve(listener, router)
        .with_graceful_shutdown(vitals.shutdown_signal())
        .await?;
    vitals.shutdown().await?;
    inventory.end().await;
    Ok(())
}

/// As `vitalsign::init()` would, but the spans go to the receiver, which forwards them if the environment says where.
fn install(receiver: &receiver::Receiver, quiet: bool) -> Result<Vitals, vitalsign::InitError> {
    let mut builder = vitalsign::builder()
        .variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.traces_endpoint())
        .variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
        .not_ready_until_set();
    if !quiet {
        // With visitors of its own nothing routes requests here that would have to hear of the end first.
        builder = builder.drain_delay(Duration::ZERO);
    }
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        builder = builder.service_name("orders");
    }
    builder.install()
}

fn show(service: &str, api: &str, admin: Option<String>) {
    println!("  {service:<10} {api}");
    if let Some(admin) = admin {
        println!("  {service:<10} {admin}/metrics");
        println!("  {service:<10} {admin}/readyz?verbose");
    }
}

/// Where it was told to, or at the usual port, or at a free one where that is taken.
async fn listen(host: IpAddr, port: Option<u16>) -> Fallible<TcpListener> {
    const USUAL: u16 = 3000;
    match (TcpListener::bind((host, port.unwrap_or(USUAL))).await, port) {
        (Ok(listener), _) => Ok(listener),
        (Err(error), Some(port)) if error.kind() == ErrorKind::AddrInUse => {
            Err(format!("--port {port}: taken; end what listens there, or write `--port 0` for a free one").into())
        }
        (Err(error), None) if error.kind() == ErrorKind::AddrInUse => Ok(TcpListener::bind((host, 0)).await?),
        (Err(error), _) => Err(error.into()),
    }
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownItem => "no such item",
            Self::SoldOut => "sold out",
            Self::Inventory(_) => "the inventory does not answer",
            Self::Database(_) => "the database refused",
        })
    }
}

impl std::error::Error for OrderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownItem | Self::SoldOut => None,
            Self::Inventory(error) => Some(error),
            Self::Database(error) => Some(error),
        }
    }
}

impl From<StockError> for OrderError {
    fn from(error: StockError) -> Self {
        match error {
            StockError::UnknownItem => Self::UnknownItem,
            StockError::SoldOut => Self::SoldOut,
            StockError::Unreachable(error) => Self::Inventory(error),
        }
    }
}

impl From<sqlx::Error> for OrderError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for OrderError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownItem => StatusCode::NOT_FOUND,
            Self::SoldOut => StatusCode::CONFLICT,
            Self::Inventory(_) => StatusCode::BAD_GATEWAY,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.to_string()).into_response()
    }
}
