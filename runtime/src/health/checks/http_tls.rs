//! TLS for the check over HTTP: rustls on ring.

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the system's authorities.
    pub(super) fn system() -> Result<Self, &'static str> {
        let trusting = builder()?
            .with_native_roots()
            .map_err(|_| "the system trusts no authority")?;
        Ok(Self(Arc::new(trusting.with_no_client_auth()).into()))
    }

    /// Trusts those in a file instead.
    pub(super) fn trusting(pem: &Path) -> Result<Self, &'static str> {
        let read = CertificateDer::pem_file_iter(pem).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut roots = RootCertStore::empty();
        if let (0, _) = roots.add_parsable_certificates(read.unwrap_or_default()) {
            return Err("no PEM file of certificates");
        }
        let trusting = builder()?.with_root_certificates(roots);
        Ok(Self(Arc::new(trusting.with_no_client_auth()).into()))
    }

    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, &'static str> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS has no suites here")
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
