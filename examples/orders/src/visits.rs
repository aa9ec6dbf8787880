//! Gentle visitors: one order or so a second, some impatient, some after what is sold out.

use crate::shop::{Channel, NewOrder, Order};
use std::time::Duration;

/// Visits the shop at `http://HOST:PORT` for as long as the program runs.
pub(crate) fn start(shop: String) {
    let patient = reqwest::Client::new();
    let impatient = reqwest::Client::builder()
        .timeout(Duration::from_millis(60))
        .build()
        .unwrap_or_default();
    tokio::spawn(async move {
        for visit in 1_u32.. {
            tokio::time::sleep(Duration::from_millis(500 + u64::from(visit * 37 % 400))).await;
            // Every ninth goes before the answer has come, which cancels the order half way.
            let client = if visit % 9 == 0 { &impatient } else { &patient };
            let _ = order(client, &shop, &wish(visit)).await;
        }
    });
}

fn wish(visit: u32) -> NewOrder {
    let item = match visit {
        visit if visit.is_multiple_of(9) => "samovar",
        visit if visit.is_multiple_of(13) => "unicorn",
        visit if visit.is_multiple_of(2) => "cup",
        _ => "teapot",
    };
    NewOrder {
        item: item.to_owned(),
        quantity: 1 + visit % 2,
        channel: [Channel::Web, Channel::Web, Channel::Phone, Channel::Partner][visit as usize % 4],
        email: if visit.is_multiple_of(7) {
            "nowhere"
        } else {
            "ada@example.com"
        }
        .to_owned(),
    }
}

async fn order(client: &reqwest::Client, shop: &str, wish: &NewOrder) -> Result<Order, reqwest::Error> {
    let placed = client
        .post(format!("{shop}/orders"))
        .json(wish)
        .send()
        .await?
        .error_for_status()?;
    let placed: Order = placed.json().await?;
    client
        .get(format!("{shop}/orders/{}", placed.id))
        .send()
        .await?
        .json()
        .await
}
