//! HTTP: the admin server, and layers for servers and clients.

#[cfg(feature = "admin")]
pub(crate) mod admin;
#[cfg(all(feature = "admin", feature = "tls"))]
mod admin_tls;
#[cfg(all(feature = "admin", not(feature = "tls")))]
#[path = "no_admin_tls.rs"]
mod admin_tls;
#[cfg(all(feature = "admin", feature = "axum"))]
pub(crate) mod mount;
#[cfg(feature = "admin")]
pub(crate) mod routes;
#[cfg(feature = "admin")]
mod seats;

#[cfg(feature = "actix-web")]
mod actix;
#[cfg(feature = "tower")]
mod body;
#[cfg(feature = "tower")]
mod client;
#[cfg(feature = "tower")]
mod exchange;
#[cfg(feature = "tower")]
mod head;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod measure;
#[cfg(feature = "tower")]
mod request_id;
#[cfg(feature = "tower")]
mod rpc;
#[cfg(feature = "tower")]
mod server;
#[cfg(feature = "tower")]
mod settings;
#[cfg(all(test, feature = "axum"))]
mod tests;
#[cfg(feature = "tower")]
pub(crate) mod words;

#[cfg(feature = "actix-web")]
pub use actix::{ActixBody, ActixFuture, ActixLayer, ActixService, actix_layer};
#[cfg(feature = "tower")]
pub use body::Traced;
#[cfg(feature = "reqwest")]
pub use client::ReqwestTracing;
#[cfg(feature = "tower")]
pub use client::{ClientFuture, ClientLayer, ClientService, ResendCount, client_layer};
#[cfg(feature = "tower")]
pub use layer::{HttpLayer, HttpService, ResponseFuture, layer};
#[cfg(feature = "tower")]
pub use request_id::{HEADER as REQUEST_ID, RequestId};
