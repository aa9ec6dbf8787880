//! Metrics of the `prometheus-client` crate beside ours: on our page, or ours in a registry of one's own.
//!
//! # Examples
//!
//! A registry's metrics on our page, in every format, and in what is pushed:
//!
//! ```
//! use prometheus_client::metrics::counter::Counter;
//! use prometheus_client::registry::Registry;
//! use std::sync::Arc;
//!
//! let mut registry = Registry::default();
//! let hits: Counter = Counter::default();
//! registry.register("hits", "Hits", hits.clone());
//! vitalsign::prometheus::add_registry(Arc::new(registry));
//! hits.inc();
//! ```
//!
//! Our metrics in a registry that is served elsewhere:
//!
//! ```
//! use prometheus_client::registry::Registry;
//!
//! let mut registry = Registry::default();
//! registry.register_collector(Box::new(vitalsign::prometheus::collector()));
//! let mut page = String::new();
//! prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
//! assert!(page.contains("# TYPE vitalsign_metrics_dropped counter"));
//! ```

pub use super::{Page, page};

use super::names::{self, Named};
use crate::export::snapshot::{Family, Kind, Number, PointValue};
use crate::metrics::registry::{self, Source};
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

thread_local! {
    /// This thread is between the two: a registry that has our collector and is on our page would ask in a circle.
    static BETWEEN: Cell<bool> = const { Cell::new(false) };
}

fn once<R>(f: impl FnOnce() -> R) -> Option<R> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            BETWEEN.set(false);
        }
    }
    if BETWEEN.replace(true) {
        return None;
    }
    let _leave = Leave;
    Some(f())
}

/// From now on the page and what is pushed show this registry's metrics too. A family that has our name is joined to ours if
/// it is of the same type, and left out if not.
pub fn add_registry(registry: Arc<Registry>) {
    registry::register(Arc::new(Foreign(registry)));
}

struct Foreign(Arc<Registry>);

impl Source for Foreign {
    fn families(&self, out: &mut Vec<Family>) {
        let mut page = String::new();
        let encode = || prometheus_client::encoding::text::encode_registry(&mut page, &self.0);
        // A collector of the user's may fail or panic; what it wrote until then stands in whole lines or is left out.
        let _ = once(|| catch_unwind(AssertUnwindSafe(encode)));
        out.extend(super::parse::families(&page));
    }
}

/// Our metrics for a registry of one's own.
///
/// What that crate cannot carry is left out: examples, native buckets, and of summaries all but the quantiles.
pub fn collector() -> Collector {
    Collector(())
}

/// See [`collector`].
#[derive(Debug)]
pub struct Collector(());

impl prometheus_client::collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let families = once(|| names::families(registry::gather())).unwrap_or_default();
        families.iter().try_for_each(|family| encode(family, &mut encoder))
    }
}

type Labels = Vec<(String, String)>;

fn encode(family: &Named, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let unit = (!family.unit.is_empty()).then(|| Unit::Other(family.unit.clone()));
    let base = family
        .name
        .strip_suffix(&family.unit)
        .and_then(|name| name.strip_suffix('_'))
        .filter(|_| unit.is_some())
        .unwrap_or(&family.name);
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge | Kind::UpDownCounter | Kind::Summary => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Info => MetricType::Info,
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    let mut metric = encoder.encode_descriptor(base, &help, unit.as_ref(), kind)?;
    for point in &family.points {
        let labels: Labels = point
            .labels
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        match &point.value {
            PointValue::Summary(summary) => {
                for (quantile, value) in &summary.quantiles {
                    let mut labels = labels.clone();
                    labels.push(("quantile".to_owned(), format!("{quantile:?}")));
                    metric.encode_family(&labels)?.encode_gauge(value)?;
                }
            }
            PointValue::Info => metric.encode_info(&labels)?,
            value if labels.is_empty() => one(&mut metric, family.kind, value)?,
            value => one(&mut metric.encode_family(&labels)?, family.kind, value)?,
        }
    }
    Ok(())
}

fn one(metric: &mut MetricEncoder<'_>, kind: Kind, value: &PointValue) -> Result<(), fmt::Error> {
    match value {
        PointValue::Number { value, .. } if kind == Kind::Counter => match value {
            Number::U64(n) => metric.encode_counter::<Labels, _, u64>(n, None),
            other => metric.encode_counter::<Labels, _, f64>(&other.as_f64(), None),
        },
        PointValue::Number { value, .. } => match value {
            Number::I64(n) => metric.encode_gauge(n),
            other => metric.encode_gauge(&other.as_f64()),
        },
        PointValue::Histogram(histogram) => {
            let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts.iter().copied()).collect();
            metric.encode_histogram::<Labels>(histogram.sum, histogram.counts.iter().sum(), &buckets, None)
        }
        PointValue::Exponential(histogram) => {
            let buckets = [(f64::INFINITY, histogram.count)];
            metric.encode_histogram::<Labels>(histogram.sum, histogram.count, &buckets, None)
        }
        PointValue::Summary(_) | PointValue::Info => Ok(()),
    }
}
