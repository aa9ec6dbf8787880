//! What variables ask for and this build does not hold.

use super::{Config, Otlp, Protocol};
use std::fmt;

/// A variable asks for something that this build does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotCompiledIn {
    pub(crate) variable: &'static str,
    pub(crate) wants: &'static str,
    pub(crate) feature: &'static str,
}

impl fmt::Display for NotCompiledIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asks for {}, which is not compiled in; in Cargo.toml: vitalsign = {{ version = \"{}\", features = [\"{}\"] }}",
            self.variable,
            self.wants,
            env!("CARGO_PKG_VERSION"),
            self.feature,
        )
    }
}

impl std::error::Error for NotCompiledIn {}

impl Config {
    /// What was asked for by variable and is not in this build.
    pub(crate) fn not_compiled_in(&self) -> Vec<NotCompiledIn> {
        let mut missing = Vec::new();
        let mut need = |here: bool, variable: Option<&'static str>, wants: &'static str, feature: &'static str| {
            if let (false, Some(variable)) = (here, variable) {
                let wanted = NotCompiledIn {
                    variable,
                    wants,
                    feature,
                };
                if !missing.contains(&wanted) {
                    missing.push(wanted);
                }
            }
        };
        for otlp in self.otlp() {
            let here = match otlp.protocol {
                Protocol::Grpc => cfg!(feature = "grpc"),
                Protocol::HttpProtobuf | Protocol::HttpJson => cfg!(feature = "otlp"),
            };
            let (wants, feature) = match otlp.protocol {
                Protocol::Grpc => ("OTLP over gRPC", "grpc"),
                Protocol::HttpProtobuf | Protocol::HttpJson => ("OTLP over HTTP", "otlp"),
            };
            need(here, otlp.protocol_from.or(otlp.url_from), wants, feature);
            let files = [&otlp.certificate, &otlp.client_key, &otlp.client_certificate];
            let tls = otlp.url_from.filter(|_| otlp.url.tls);
            let tls = tls.or_else(|| files.into_iter().flatten().next().map(|file| file.variable));
            need(cfg!(feature = "tls"), tls, "TLS", "tls");
        }
        need(
            cfg!(feature = "admin"),
            self.admin.from.filter(|_| self.admin.address.is_some()),
            "the admin server",
            "admin",
        );
        let files = [&self.admin.certificate, &self.admin.key];
        let tls = files.into_iter().flatten().next().map(|file| file.variable);
        need(cfg!(feature = "tls"), tls, "TLS", "tls");
        need(
            cfg!(feature = "spool"),
            self.spool.as_ref().map(|_| "VITALSIGN_SPOOL_DIR"),
            "the spool",
            "spool",
        );
        missing
    }

    fn otlp(&self) -> impl Iterator<Item = &Otlp> {
        [&self.traces.otlp, &self.metrics.otlp, &self.logs.otlp]
            .into_iter()
            .flatten()
    }
}
