//! Connections to a collector.

use super::paced::Paced;
use crate::config::env::Otlp;
use hyper_util::client::legacy::connect::HttpConnector;
use std::time::Duration;

#[cfg(feature = "tls")]
pub(crate) use super::tls::{Connector, connector, refusal};
#[cfg(not(feature = "tls"))]
pub(crate) use plain::{Connector, connector, refusal};

/// The version of HTTP to be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "gRPC speaks the second"))]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// The variables that the messages about one connection name.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "TLS has more to blame"))]
pub(crate) struct Blame {
    pub(crate) endpoint: &'static str,
    pub(crate) certificate: &'static str,
    pub(crate) client_certificate: &'static str,
    pub(crate) client_key: &'static str,
    pub(crate) has_client: bool,
    pub(crate) tls: bool,
}

impl Blame {
    pub(crate) fn of(otlp: &Otlp) -> Self {
        let named = |file: &Option<crate::config::env::FileFrom>, all| file.as_ref().map_or(all, |file| file.variable);
        Self {
            endpoint: otlp.url_from.unwrap_or("OTEL_EXPORTER_OTLP_ENDPOINT"),
            certificate: named(&otlp.certificate, "OTEL_EXPORTER_OTLP_CERTIFICATE"),
            client_certificate: named(&otlp.client_certificate, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
            client_key: named(&otlp.client_key, "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
            has_client: otlp.client_certificate.is_some(),
            tls: otlp.url.tls,
        }
    }

    /// What may mend a connection that broke before there was an answer: who wants a certificate and gets none hangs up, and
    /// whether the reason arrives is chance.
    pub(crate) fn hint(&self) -> String {
        if self.tls && !self.has_client {
            let Self {
                client_certificate,
                client_key,
                ..
            } = self;
            format!("; {client_certificate} and {client_key} are not set: it may ask for a client certificate")
        } else {
            String::new()
        }
    }
}

/// TCP.
pub(super) fn tcp(otlp: &Otlp) -> Paced {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(otlp.timeout.min(Duration::from_secs(10))));
    connector.set_keepalive(Some(Duration::from_secs(60)));
    connector.enforce_http(!otlp.url.tls);
    Paced(connector)
}

#[cfg(not(feature = "tls"))]
mod plain {
    use super::{Blame, Otlp, Paced, Version, tcp};
    use std::error::Error;

    pub(crate) type Connector = Paced;

    /// The connector of an endpoint. An error names the variable to blame.
    pub(crate) fn connector(otlp: &Otlp, _version: Version) -> Result<Connector, String> {
        if otlp.url.tls {
            let endpoint = Blame::of(otlp).endpoint;
            let url = &otlp.url;
            return Err(format!(
                "{endpoint}={url} needs TLS, which is not compiled in; in Cargo.toml: features = [\"tls\"]"
            ));
        }
        Ok(tcp(otlp))
    }

    /// Why TLS refused; here it never does.
    pub(crate) fn refusal(_error: &(dyn Error + 'static), _blame: &Blame) -> Option<String> {
        None
    }
}

/// An error and its causes, what an `io::Error` wraps included.
pub(crate) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        }
    })
}
