//! Whether something listens at an address.

use crate::health::{HealthCheck, HealthStatus};
use tokio::net::TcpStream;

/// Up when a TCP connection to the address can be made.
///
/// # Examples
/// ```no_run
/// # fn main() -> Result<(), vitalsign::health::RegisterError> {
/// use vitalsign::health::{checks::Tcp, engine};
///
/// engine().register("mail", Tcp::new("mail.internal:25"))?.keep();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Tcp {
    address: String,
}

impl Tcp {
    /// Of `host:port`; the name is resolved anew at each check.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
        }
    }
}

impl HealthCheck for Tcp {
    async fn check(&self) -> HealthStatus {
        match TcpStream::connect(&self.address).await {
            Ok(_) => HealthStatus::up(),
            Err(error) => HealthStatus::down(format!("{}: {error}", self.address)),
        }
    }
}
