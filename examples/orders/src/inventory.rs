//! The second service: knows what is on the shelf, and takes from it.

use crate::stock::{Take, Taken};
use crate::{Fallible, child};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use vitalsign::{ErrorLabel, counted, health_check, timed, traced};

struct Shelf {
    item: &'static str,
    price_cents: i64,
    left: u32,
}

const FULL: u32 = 20;

static SHELVES: Mutex<[Shelf; 3]> = Mutex::new([
    Shelf {
        item: "teapot",
        price_cents: 2_490,
        left: FULL,
    },
    Shelf {
        item: "cup",
        price_cents: 390,
        left: FULL,
    },
    Shelf {
        item: "samovar",
        price_cents: 18_900,
        left: FULL,
    },
]);

/// Why nothing was taken.
#[derive(Debug, PartialEq, Eq, ErrorLabel)]
pub(crate) enum TakeError {
    #[label(outcome = "ok")]
    UnknownItem,
    SoldOut,
}

async fn post_take(Path(item): Path<String>, Json(take): Json<Take>) -> Response {
    match take_from_shelf(&item, take.quantity).await {
        Ok(taken) => Json(taken).into_response(),
        Err(TakeError::UnknownItem) => StatusCode::NOT_FOUND.into_response(),
        Err(TakeError::SoldOut) => StatusCode::CONFLICT.into_response(),
    }
}

/// Items taken from the shelf. Anyone may ask for any name, so no more than 20 get a series of their own.
#[traced(fields(item, quantity))]
#[counted(name = "items.taken", unit = "{item}", by = quantity, labels(item = limit(item, 20)))]
#[timed]
async fn take_from_shelf(item: &str, quantity: u32) -> Result<Taken, TakeError> {
    walk_to_shelf(item).await;
    let mut shelves = SHELVES.lock().unwrap_or_else(PoisonError::into_inner);
    let shelf = shelves
        .iter_mut()
        .find(|shelf| shelf.item == item)
        .ok_or(TakeError::UnknownItem)?;
    shelf.left = shelf.left.checked_sub(quantity).ok_or(TakeError::SoldOut)?;
    Ok(Taken {
        price_cents: shelf.price_cents,
        left: shelf.left,
    })
}

/// The samovars are far away.
#[traced]
async fn walk_to_shelf(item: &str) {
    let way = if item == "samovar" { 150 } else { 3 };
    tokio::time::sleep(Duration::from_millis(way)).await;
}

async fn list_items() -> Json<Vec<(&'static str, u32)>> {
    let shelves = SHELVES.lock().unwrap_or_else(PoisonError::into_inner);
    Json(shelves.iter().map(|shelf| (shelf.item, shelf.left)).collect())
}

/// Items put back on the shelf.
#[counted(name = "items.restocked", unit = "{item}", by = |missing| *missing)]
fn restock() -> u32 {
    let mut shelves = SHELVES.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = shelves.iter().map(|shelf| FULL - shelf.left).sum();
    for shelf in shelves.iter_mut() {
        shelf.left = FULL;
    }
    missing
}

#[health_check(liveness, readiness, blocking)]
fn shelves() -> bool {
    !SHELVES.is_poisoned()
}

pub(crate) async fn run() -> Fallible<()> {
    let vitals = vitalsign::builder().drain_delay(Duration::ZERO).install()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    child::announce(listener.local_addr()?, vitals.admin_addr());
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_secs(20)).await;
            restock();
        }
    });
    let router = Router::new()
        .route("/items", get(list_items))
        .route("/items/{item}/take", post(post_take))
        // The shop's health check asks for the list every second.
        .layer(vitalsign::http::layer().exclude("/items"));
    let signal = vitals.shutdown_signal();
    let end = async move {
        tokio::select! {
            () = signal => {}
            () = child::abandoned() => {}
        }
    };
    axum::serve(listener, router).with_graceful_shutdown(end).await?;
    vitals.shutdown().await?;
    Ok(())
}

impl fmt::Display for TakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownItem => "no such item",
            Self::SoldOut => "sold out",
        })
    }
}

impl std::error::Error for TakeError {}
