//! TLS to a collector: rustls on ring, the system's authorities or one's own, client certificates.

use super::connect::{Blame, Version, chain, tcp};
use super::greeting::{Greeting, greeting};
use super::paced::Paced;
use crate::config::env::{FileFrom, Otlp};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) type Connector = HttpsConnector<Paced>;

/// The connector of an endpoint. An error names the variable to blame.
pub(crate) fn connector(otlp: &Otlp, version: Version) -> Result<Connector, String> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(config(otlp)?);
    // What is configured for TLS is never sent in clear.
    let builder = if otlp.url.tls {
        builder.https_only()
    } else {
        builder.https_or_http()
    };
    Ok(match version {
        Version::Http1 => builder.enable_http1().wrap_connector(tcp(otlp)),
        #[cfg(feature = "grpc")]
        Version::Http2 => builder.enable_http2().wrap_connector(tcp(otlp)),
        #[cfg(not(feature = "grpc"))]
        Version::Http2 => return Err("OTLP over gRPC is not compiled in".to_owned()),
    })
}

fn config(otlp: &Otlp) -> Result<ClientConfig, String> {
    let blame = Blame::of(otlp);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("{}: {error}", blame.endpoint))?;
    let builder = match &otlp.certificate {
        // Reading the system's takes some milliseconds: not for who needs none.
        _ if !otlp.url.tls => builder.with_root_certificates(RootCertStore::empty()),
        Some(file) => builder.with_root_certificates(authorities(file)?),
        None => builder.with_native_roots().map_err(|error| {
            let Blame { endpoint, certificate, .. } = blame;
            format!("{endpoint} asks for TLS, and the system has no certificates to trust ({error}); {certificate} names a file of them")
        })?,
    };
    match (&otlp.client_certificate, &otlp.client_key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let private = private_key(key)?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| format!("{} and {} do not fit: {error}", certificate.variable, key.variable))
        }
        (Some(there), None) => Err(alone(there, blame.client_key)),
        (None, Some(there)) => Err(alone(there, blame.client_certificate)),
    }
}

/// Whether a server speaks HTTP/2 alone. What else may be wrong with it, sending will say.
pub(super) async fn is_http2(stream: TcpStream, otlp: &Otlp) -> bool {
    let Some((config, name)) = config(otlp).ok().zip(server_name(otlp)) else {
        return false;
    };
    let connector = TlsConnector::from(Arc::new(config.clone()));
    // Without a word on the version, as the exporter's connections are.
    let greeting = match connector.connect(name.clone(), stream).await {
        Ok(stream) => greeting(stream).await,
        Err(_) => return false,
    };
    match greeting {
        Greeting::Http2 => true,
        Greeting::Silence => false,
        // Some servers of gRPC hang up on who did not name HTTP/2; a server of HTTP/1.1 does not.
        Greeting::Closed => {
            let mut config = config;
            config.alpn_protocols = vec![b"h2".to_vec()];
            let Ok(stream) = TcpStream::connect(otlp.url.authority()).await else {
                return false;
            };
            let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            connected.is_ok_and(|stream| stream.get_ref().1.alpn_protocol() == Some(b"h2"))
        }
    }
}

fn server_name(otlp: &Otlp) -> Option<ServerName<'static>> {
    let host = otlp.url.host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).ok()
}

fn alone(there: &FileFrom, missing: &str) -> String {
    format!(
        "{} is set and {missing} is not; a client certificate needs both",
        there.variable
    )
}

fn authorities(file: &FileFrom) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| {
            format!(
                "{}={} holds a certificate that can not be trusted: {error}",
                file.variable,
                file.path.display()
            )
        })?;
    }
    Ok(roots)
}

pub(crate) fn certificates(file: &FileFrom) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(&file.path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unreadable(file, "there is no certificate in it")),
        Err(error) => Err(unreadable(file, &error.to_string())),
    }
}

pub(crate) fn private_key(file: &FileFrom) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(&file.path).map_err(|error| unreadable(file, &error.to_string()))
}

fn unreadable(file: &FileFrom, problem: &str) -> String {
    format!(
        "{}={} is no PEM file that can be read: {problem}",
        file.variable,
        file.path.display()
    )
}

/// Why TLS refused, and the variable that mends it.
pub(crate) fn refusal(error: &(dyn Error + 'static), blame: &Blame) -> Option<String> {
    let Blame {
        endpoint, certificate, ..
    } = blame;
    let Some(refused) = chain(error).find_map(|error| error.downcast_ref::<rustls::Error>()) else {
        return told_alert(error).map(|alert| refused_by_server(&alert, blame));
    };
    Some(match refused {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!(
                "{certificate}: the server's certificate is of an authority that is not trusted; this variable names the file of the one to trust"
            )
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("{endpoint}: the server's certificate is expired")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("{endpoint}: the server's certificate is for another host than this variable names"),
        rustls::Error::InvalidCertificate(other) => {
            format!("{endpoint}: the server's certificate is not valid: {other}")
        }
        rustls::Error::AlertReceived(alert) => refused_by_server(&format!("{alert:?}"), blame),
        other => format!("{endpoint}: TLS failed: {other}"),
    })
}

/// HTTP/2 keeps of what broke its connection only the words.
fn told_alert(error: &(dyn Error + 'static)) -> Option<String> {
    let told = chain(error).map(ToString::to_string);
    let mut alerts = told.filter_map(|text| Some(text.split_once("received fatal alert: ")?.1.to_owned()));
    alerts.next()
}

fn refused_by_server(alert: &str, blame: &Blame) -> String {
    let certificate = blame.client_certificate;
    if blame.has_client {
        format!("{certificate}: the server refused the client's certificate ({alert})")
    } else {
        format!("the server refused ({alert}){}", blame.hint())
    }
}
