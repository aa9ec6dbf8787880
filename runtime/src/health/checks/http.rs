//! Whether an address answers over HTTP.

use super::http_tls::Tls;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Up when a `GET` is answered by a status below 400, over a new connection each time.
///
/// `https://` needs the feature `tls`; the system's authorities are trusted, or those of `Http::trust`. A redirect counts as an
/// answer and is not followed.
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
    tls: Option<Tls>,
}

impl Http {
    /// Of an `http://` or `https://` address.
    ///
    /// # Errors
    /// When it is none, or `https://` without the feature `tls`.
    pub fn get(uri: &str) -> Result<Self, HttpAddressError> {
        let refuse = |why| HttpAddressError {
            uri: crate::health::text::shown(uri),
            why,
        };
        let uri: Uri = uri.parse().map_err(|_| refuse("not an address"))?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        if !secure && uri.scheme() != Some(&Scheme::HTTP) {
            return Err(refuse("not an `http://` or `https://` address"));
        }
        let tls = if secure {
            Some(Tls::system().map_err(refuse)?)
        } else {
            None
        };
        let host = uri.host().ok_or_else(|| refuse("no host"))?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let address = format!("{host}:{port}");
        let host = match uri.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self {
            uri,
            host,
            address,
            tls,
        })
    }

    /// Trusts the authorities in a PEM file instead of the system's.
    ///
    /// # Errors
    /// When it cannot be read as one.
    ///
    /// # Examples
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use vitalsign::health::checks::Http;
    ///
    /// let inventory = Http::get("https://inventory:8443/livez")?.trust("/etc/ssl/our-ca.pem")?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn trust(mut self, pem: impl AsRef<std::path::Path>) -> Result<Self, HttpAddressError> {
        let tls = Tls::trusting(pem.as_ref()).map_err(|why| HttpAddressError {
            uri: pem.as_ref().display().to_string(),
            why,
        })?;
        self.tls = self.tls.map(|_| tls);
        Ok(self)
    }

    async fn ask(&self) -> Result<http::StatusCode, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        match &self.tls {
            None => self.exchange(stream).await,
            Some(tls) => {
                let host = self.uri.host().unwrap_or_default();
                self.exchange(tls.connect(host, stream).await?).await
            }
        }
    }

    async fn exchange<S>(&self, stream: S) -> Result<http::StatusCode, Box<dyn Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
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

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use std::path::PathBuf;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn file(name: &str) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/export/tests/certs")).join(name)
    }

    #[tokio::test]
    async fn over_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/livez", listener.local_addr().unwrap().port());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(file("server.pem")).unwrap()],
                PrivateKeyDer::from_pem_file(file("server.key")).unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let mut head = [0; 1024];
                    let _ = stream.read(&mut head).await;
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        let trusted = Http::get(&url).unwrap().trust(file("ca.pem")).unwrap().check().await;
        assert_eq!(trusted.health(), crate::health::Health::Up, "{trusted:?}");
        let stranger = Http::get(&url)
            .unwrap()
            .trust(file("other-ca.pem"))
            .unwrap()
            .check()
            .await;
        assert_eq!(stranger.health(), crate::health::Health::Down, "{stranger:?}");
        let nothing = Http::get(&url).unwrap().trust(file("server.key")).unwrap_err();
        assert!(nothing.to_string().contains("no PEM file of certificates"), "{nothing}");
    }
}
