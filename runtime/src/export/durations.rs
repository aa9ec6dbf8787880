//! How long exports and collections take, by the semantic conventions' `otel.sdk.*` metrics.

use super::stats;
use super::transport::{Failure, Kind, Signal};
use crate::metrics::dynamic::{Histogram, Meta};
use crate::metrics::registry::{self, LabelSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// From a quick answer on the same machine to an outage.
const SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

type Export = (Signal, Option<Failure>);

struct Families {
    exports: Arc<Histogram<Export>>,
    collections: Arc<Histogram<Option<&'static str>>>,
}

fn families() -> &'static Families {
    static FAMILIES: OnceLock<Families> = OnceLock::new();
    FAMILIES.get_or_init(|| {
        let families = Families {
            exports: Arc::new(Histogram::new(
                Meta {
                    name: "otel.sdk.exporter.operation.duration",
                    help: "Duration of exporting a batch, retries and the waits between them included.",
                    unit: "s",
                    labels: export_labels,
                },
                &SECONDS,
            )),
            collections: Arc::new(Histogram::new(
                Meta {
                    name: "otel.sdk.metric_reader.collection.duration",
                    help: "Duration of gathering the metrics for a push.",
                    unit: "s",
                    labels: collection_labels,
                },
                &SECONDS,
            )),
        };
        registry::register(families.exports.clone());
        registry::register(families.collections.clone());
        families
    })
}

/// An export ended, retries included.
pub(super) fn export(signal: Signal, took: Duration, failure: Option<Failure>) {
    families().exports.record(&(signal, failure), took.as_secs_f64());
}

/// The metrics were gathered for a push, or why not: a callback of the user may panic or hang.
pub(super) fn collection(took: Duration, failure: Option<&'static str>) {
    families().collections.record(&failure, took.as_secs_f64());
}

fn export_labels((signal, failure): &Export) -> LabelSet {
    let mut labels: LabelSet = stats::of(*signal).target_labels().collect();
    let mut add = |key: &'static str, value: String| labels.push((key.into(), value.into()));
    match failure {
        None => {}
        Some(Failure::Rejected) => add("error.type", "rejected".to_owned()),
        Some(Failure::Of(Kind::Http(status))) => {
            add("error.type", status.to_string());
            add("http.response.status_code", status.to_string());
        }
        Some(Failure::Of(Kind::Grpc(code))) => {
            add("error.type", code.to_string());
            add("rpc.status_code", code.to_string());
        }
        Some(Failure::Of(kind)) => add("error.type", kind.as_str().to_owned()),
    }
    labels
}

#[expect(clippy::ref_option_ref, reason = "the shape of `Meta`")]
fn collection_labels(failure: &Option<&'static str>) -> LabelSet {
    let mut labels: LabelSet = vec![
        ("otel.component.type".into(), "periodic_metric_reader".into()),
        ("otel.component.name".into(), "periodic_metric_reader/0".into()),
    ];
    labels.extend(failure.map(|failure| ("error.type".into(), failure.into())));
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_tell_what_failed() {
        let has = |failure: Option<Failure>, key: &str| {
            let labels = export_labels(&(Signal::Traces, failure));
            labels.into_iter().find(|(k, _)| k == key).map(|(_, value)| value)
        };
        assert_eq!(has(None, "error.type"), None);
        assert_eq!(has(Some(Failure::Rejected), "error.type").as_deref(), Some("rejected"));
        let status = Some(Failure::Of(Kind::Http(503)));
        assert_eq!(has(status, "error.type").as_deref(), Some("503"));
        assert_eq!(has(status, "http.response.status_code").as_deref(), Some("503"));
        let code = Some(Failure::Of(Kind::Grpc(14)));
        assert_eq!(has(code, "rpc.status_code").as_deref(), Some("14"));
        let timeout = Some(Failure::Of(Kind::Timeout));
        assert_eq!(has(timeout, "error.type").as_deref(), Some("timeout"));
    }
}
