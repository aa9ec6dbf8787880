//! The shop's view of the inventory: a call over HTTP, with the trace passed on.

use crate::Fallible;
use reqwest::{StatusCode, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use vitalsign::http::ReqwestTracing;
use vitalsign::{ErrorLabel, counted, timed, traced};

/// What the inventory is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Take {
    pub(crate) quantity: u32,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) price_cents: i64,
    pub(crate) left: u32,
}

#[derive(Debug, ErrorLabel)]
pub(crate) enum StockError {
    #[label(outcome = "ok")]
    UnknownItem,
    SoldOut,
    Unreachable(reqwest_middleware::Error),
}

#[derive(Clone)]
pub(crate) struct Stock {
    /// Each request is a client span.
    client: ClientWithMiddleware,
    /// For the health check, which asks every second.
    bare: reqwest::Client,
    address: Url,
}

impl Stock {
    pub(crate) fn at(address: &str) -> Fallible<Self> {
        let bare = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .build()
            .unwrap_or_default();
        Ok(Self {
            client: ClientBuilder::new(bare.clone()).with(ReqwestTracing::new()).build(),
            bare,
            address: Url::parse(address)?,
        })
    }

    /// Takes goods from the shelf and says what one of them costs.
    #[traced(fields(item))]
    #[counted]
    #[timed]
    pub(crate) async fn reserve(&self, item: &str, quantity: u32) -> Result<i64, StockError> {
        // A URL takes these for steps in its path, not for names.
        if matches!(item, "" | "." | "..") {
            return Err(StockError::UnknownItem);
        }
        let url = self.url(&["items", item, "take"]);
        let response = self.client.post(url).json(&Take { quantity }).send().await?;
        match response.status() {
            StatusCode::NOT_FOUND => Err(StockError::UnknownItem),
            StatusCode::CONFLICT => Err(StockError::SoldOut),
            _ => Ok(response.error_for_status()?.json::<Taken>().await?.price_cents),
        }
    }

    /// The inventory answers.
    pub(crate) async fn reachable(&self) -> Result<(), reqwest::Error> {
        let url = self.url(&["items"]);
        self.bare.get(url).send().await?.error_for_status().map(drop)
    }

    /// What a customer wrote stays within its segment, slashes and all.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

impl fmt::Display for StockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownItem => "no such item",
            Self::SoldOut => "sold out",
            Self::Unreachable(_) => "the inventory does not answer",
        })
    }
}

impl std::error::Error for StockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(error) => Some(error),
            Self::UnknownItem | Self::SoldOut => None,
        }
    }
}

impl From<reqwest_middleware::Error> for StockError {
    fn from(error: reqwest_middleware::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl From<reqwest::Error> for StockError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.into())
    }
}
