//! HTTP: the admin server.

#[cfg(feature = "admin")]
pub(crate) mod admin;
#[cfg(feature = "admin")]
pub(crate) mod routes;
