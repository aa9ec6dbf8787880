//! Whether an address answers over HTTP.

use crate::health::{HealthCheck, HealthStatus};
use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::fmt;
use std::future::Future;
use tokio::net::TcpStream;

/// Up when a `GET` is answered by a status below 400, over a new connection each time.
///
/// Plain HTTP; for `https` write a check around the client that the program has anyway. A redirect counts as an answer and is
/// not followed.
///
/// # Examples
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use vitalsign::health::{checks::Http, engine};
///
/// engine().register("inventory", Http::get("http://inventory:8080/livez")?)?.keep();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Http {
    uri: Uri,
    host: String,
    address: String,
}

impl Http {
    /// Of an `http://` address.
    ///
    /// # Errors
    /// When it is none.
    pub fn get(uri: &str) -> Result<Self, HttpAddressError> {
        let refuse = |why| HttpAddressError {
            uri: crate::health::text::shown(uri),
            why,
        };
        let uri: Uri = uri.parse().map_err(|_| refuse("not an address"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(refuse("not an `http://` address"));
        }
        let host = uri.host().ok_or_else(|| refuse("no host"))?;
        let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let host = match uri.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self { uri, host, address })
    }

    async fn ask(&self) -> Result<http::StatusCode, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, &self.host)
            .header(USER_AGENT, concat!("vitalsign/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let mut connection = std::pin::pin!(connection);
        let mut response = std::pin::pin!(sender.send_request(request));
        // The connection is driven here rather than by a task, so that it ends with the check.
        let mut driving = true;
        let response = std::future::poll_fn(|cx| {
            if driving && connection.as_mut().poll(cx).is_ready() {
                driving = false;
            }
            response.as_mut().poll(cx)
        })
        .await?;
        Ok(response.status())
    }
}

impl HealthCheck for Http {
    async fn check(&self) -> HealthStatus {
        match self.ask().await {
            Ok(status) if status.as_u16() < 400 => HealthStatus::up().with("status", u32::from(status.as_u16())),
            Ok(status) => {
                HealthStatus::down(format!("{}: {status}", self.uri)).with("status", u32::from(status.as_u16()))
            }
            Err(error) => {
                let because = HealthStatus::error(&*error);
                HealthStatus::down(format!("{}: {}", self.uri, because.message().unwrap_or("no answer")))
            }
        }
    }
}

/// An address that [`Http`] cannot ask.
#[derive(Clone, Debug)]
pub struct HttpAddressError {
    uri: String,
    why: &'static str,
}

impl fmt::Display for HttpAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.uri, self.why)
    }
}

impl Error for HttpAddressError {}
