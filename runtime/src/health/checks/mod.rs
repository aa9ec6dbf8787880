//! Ready-made checks. Each stands behind a feature of its own, as each brings what it needs.
//!
//! | feature | checks |
//! |---|---|
//! | `health-checks` | [`Tcp`], [`DiskSpace`], [`Heartbeat`], [`ChannelLevel`] |
//! | `health-http` | [`Http`] |
//! | `sqlx` | `sqlx::Pool` of any database is a [`HealthCheck`](crate::HealthCheck) |
//! | `redis` | `redis::Client`, `redis::aio::MultiplexedConnection` and `ConnectionManager` are |
//! | `tonic-health` | [`grpc`](super::grpc): the gRPC health protocol, answered by the engine |

#[cfg(feature = "health-checks")]
mod channel;
#[cfg(feature = "health-checks")]
mod disk;
#[cfg(feature = "health-checks")]
mod heartbeat;
#[cfg(feature = "health-http")]
mod http;
#[cfg(all(feature = "health-http", feature = "tls"))]
mod http_tls;
#[cfg(all(feature = "health-http", not(feature = "tls")))]
#[path = "no_http_tls.rs"]
mod http_tls;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlx")]
mod sqlx;
#[cfg(feature = "health-checks")]
mod tcp;

#[cfg(feature = "health-http")]
pub use self::http::{Http, HttpAddressError};
#[cfg(feature = "health-checks")]
pub use self::{channel::ChannelLevel, disk::DiskSpace, heartbeat::Heartbeat, tcp::Tcp};
