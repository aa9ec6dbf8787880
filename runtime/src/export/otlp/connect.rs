//! Connections to a collector.

use crate::config::env::Otlp;
use hyper_util::client::legacy::connect::HttpConnector;
use std::time::Duration;

#[cfg(not(feature = "tls"))]
pub(crate) type Connector = HttpConnector;

/// The connector of an endpoint. An error names the variable to blame.
#[cfg(not(feature = "tls"))]
pub(crate) fn connector(otlp: &Otlp) -> Result<Connector, String> {
    if otlp.url.tls {
        return Err(format!(
            "{}={} needs TLS, which is not compiled in; in Cargo.toml: features = [\"tls\"]",
            otlp.url_from.unwrap_or("OTEL_EXPORTER_OTLP_ENDPOINT"),
            otlp.url
        ));
    }
    Ok(plain(otlp))
}

fn plain(otlp: &Otlp) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(otlp.timeout.min(Duration::from_secs(10))));
    connector.set_keepalive(Some(Duration::from_secs(60)));
    connector.enforce_http(!otlp.url.tls);
    connector
}
