//! Metrics, by the pages that parsers and a Prometheus read. What makes `init()` fail stands in a program of its own.

mod caps;
mod exemplars;
mod other_apis;
mod page;
mod scrapes;
mod threads;

/// A builder of what is asked for its page, and pushes to this receiver when it is told to.
fn pushing(receiver: &tests::otlp::Receiver) -> vitalsign::Builder {
    vitalsign::builder()
        .admin("127.0.0.1:0")
        .otlp_endpoint(receiver.http())
        .variable("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
}
