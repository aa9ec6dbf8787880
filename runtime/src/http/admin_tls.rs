//! The admin server over TLS: rustls on ring.

use crate::config::env::Admin;
use crate::export::otlp::tls::{certificates, private_key};
use rustls::ServerConfig;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What connections pass through before a request is read.
#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

impl Tls {
    /// `None` where no file is named. An error names the variable.
    pub(crate) fn of(admin: &Admin) -> Result<Option<Self>, String> {
        let (certificate, key) = match (&admin.certificate, &admin.key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (there, _) => {
                let (there, missing) = match there {
                    Some(_) => ("VITALSIGN_ADMIN_TLS_CERT", "VITALSIGN_ADMIN_TLS_KEY"),
                    None => ("VITALSIGN_ADMIN_TLS_KEY", "VITALSIGN_ADMIN_TLS_CERT"),
                };
                return Err(format!("{there} is set and {missing} is not; TLS needs both"));
            }
        };
        let (chain, private) = (certificates(certificate)?, private_key(key)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| format!("{} and {} do not fit: {error}", certificate.variable, key.variable))?;
        Ok(Some(Self(Arc::new(config).into())))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
