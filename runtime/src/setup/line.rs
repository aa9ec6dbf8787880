//! The one line at the start that says what goes where.

use crate::config::env::{Config, Otlp};
use std::fmt::Write;

/// What was decided, in one line.
pub(super) fn line(config: &Config, service: &str, admin: Option<std::net::SocketAddr>) -> String {
    let mut line = format!("{service}:");
    let scheme = if config.admin.certificate.is_some() {
        "https"
    } else {
        "http"
    };
    if config.disabled {
        line.push_str(" telemetry is off (OTEL_SDK_DISABLED)");
    } else {
        let page = admin.filter(|_| config.metrics.page);
        signal(
            &mut line,
            "traces",
            config.traces.console,
            config.traces.otlp.as_ref(),
            None,
        );
        line.push(',');
        let page = page.map(|address| format!("{scheme}://{address}/metrics"));
        signal(
            &mut line,
            "metrics",
            config.metrics.console,
            config.metrics.otlp.as_ref(),
            page,
        );
        line.push(',');
        let lines = (cfg!(feature = "logs") && config.logs.lines.is_some()).then(|| "stdout".to_owned());
        signal(&mut line, "logs", config.logs.stdout, config.logs.otlp.as_ref(), lines);
    }
    match admin {
        Some(address) => {
            let _ = write!(line, ", probes on {scheme}://{address}/readyz");
            if address.ip().is_loopback() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
                let _ = write!(
                    line,
                    " (loopback, which no kubelet or scraper outside this pod reaches; VITALSIGN_ADMIN=0.0.0.0:{} opens it)",
                    address.port()
                );
            }
        }
        None => line.push_str(", no admin server"),
    }
    line
}

fn signal(line: &mut String, name: &str, console: bool, otlp: Option<&Otlp>, own: Option<String>) {
    let mut places: Vec<String> = own.into_iter().collect();
    if console {
        places.push("the console".to_owned());
    }
    places.extend(otlp.map(|otlp| otlp.url.to_string()));
    if places.is_empty() {
        places.push("nowhere".to_owned());
    }
    let _ = write!(line, " {name} to {}", places.join(" and "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(variables: &[(&str, &str)], admin: Option<&str>) -> String {
        let (config, warnings) = Config::from(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        });
        assert!(warnings.is_empty());
        line(&config, "orders", admin.map(|address| address.parse().unwrap()))
    }

    #[test]
    fn it_names_every_place() {
        let unset = said(&[], Some("127.0.0.1:9464"));
        assert!(
            unset.starts_with(
                "orders: traces to http://localhost:4318/v1/traces, metrics to http://127.0.0.1:9464/metrics, logs to "
            ),
            "{unset}"
        );
        assert!(unset.ends_with("probes on http://127.0.0.1:9464/readyz"), "{unset}");
    }

    #[test]
    fn it_says_what_goes_nowhere() {
        let none = said(&[("OTEL_TRACES_EXPORTER", "none"), ("VITALSIGN_ADMIN", "off")], None);
        assert!(
            none.starts_with("orders: traces to nowhere, metrics to nowhere"),
            "{none}"
        );
        assert!(none.ends_with("no admin server"), "{none}");
        let off = said(&[("OTEL_SDK_DISABLED", "true")], Some("127.0.0.1:1"));
        assert_eq!(
            off,
            "orders: telemetry is off (OTEL_SDK_DISABLED), probes on http://127.0.0.1:1/readyz"
        );
    }
}
