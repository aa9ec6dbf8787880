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
use crate::export::diag::{Level, say_once};
use crate::export::snapshot::{Family, Kind, Number, PointValue};
use crate::metrics::dropped;
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
/// it is of the same type, and left out if not. So is a series that not every scraper can read: a counter that was added NaN, a
/// histogram whose sum is none or whose buckets are not in order.
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
        let mut families = super::parse::families(&page);
        for family in &mut families {
            let (kind, before) = (family.kind, family.points.len());
            family.points.retain(|point| is_sound(kind, &point.value));
            if family.points.len() < before {
                say_once(
                    Level::Warn,
                    ("metrics", "registry"),
                    format_args!(
                        "series of metric `{}` of a registry are not shown: counters and sums have to be numbers, counters not \
                         negative, and a histogram needs all its buckets, in order",
                        family.name
                    ),
                );
            }
        }
        out.extend(families);
    }
}

/// Whether every scraper can read it. That crate takes any float, and writes what it was left with; one NaN in a counter, and
/// `OpenMetrics` has the whole page refused.
fn is_sound(kind: Kind, value: &PointValue) -> bool {
    let number = match value {
        PointValue::Number { value, .. } if kind == Kind::Counter => value.as_f64(),
        PointValue::Histogram(histogram) => {
            let in_order = histogram.bounds.windows(2).all(|pair| pair[0] < pair[1]);
            if !in_order || histogram.counts.len() != histogram.bounds.len() + 1 {
                return false;
            }
            // A sum may be negative where what is observed may.
            if histogram.sum.is_finite() { 0.0 } else { f64::NAN }
        }
        _ => return true,
    };
    if !number.is_finite() {
        dropped::count(dropped::Reason::NotFinite);
    } else if number < 0.0 {
        dropped::count(dropped::Reason::Negative);
    }
    number.is_finite() && number >= 0.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn what_breaks_a_page_stays_off_it() {
        let mut registry = Registry::default();
        let counters = [1.5, f64::NAN, f64::INFINITY, -1.0].map(|by| {
            let counter = Counter::<f64, AtomicU64>::default();
            counter.inc_by(by);
            counter
        });
        for (at, counter) in counters.into_iter().enumerate() {
            registry.register(format!("c{at}"), "C", counter);
        }
        let level = Gauge::<f64, AtomicU64>::default();
        level.set(f64::NAN);
        registry.register("level", "L", level);
        for (name, bounds, value) in [
            ("good", [1.0, 2.0], 1.5),
            ("nan", [1.0, 2.0], f64::NAN),
            ("back", [2.0, 1.0], 1.5),
        ] {
            let histogram = Histogram::new(bounds);
            histogram.observe(value);
            registry.register(name, "H", histogram);
        }
        let before = dropped::so_far(dropped::Reason::NotFinite);
        let mut families = Vec::new();
        Foreign(Arc::new(registry)).families(&mut families);
        families.retain(|family| !family.points.is_empty());
        let shown: Vec<_> = families.iter().map(|family| &*family.name).collect();
        assert_eq!(shown, ["c0", "level", "good"]);
        assert!(dropped::so_far(dropped::Reason::NotFinite) >= before + 3);
    }

    #[test]
    fn units_are_words_on_the_page_only() {
        let units = [
            Unit::Amperes,
            Unit::Bytes,
            Unit::Celsius,
            Unit::Grams,
            Unit::Joules,
            Unit::Meters,
            Unit::Ratios,
            Unit::Seconds,
            Unit::Volts,
        ];
        let mut registry = Registry::default();
        for (at, unit) in units.into_iter().enumerate() {
            registry.register_with_unit(format!("g{at}"), "G", unit, Gauge::<i64>::default());
        }
        let mut theirs = String::new();
        prometheus_client::encoding::text::encode_registry(&mut theirs, &registry).unwrap();
        let mut families = Vec::new();
        Foreign(Arc::new(registry)).families(&mut families);
        let pushed: Vec<_> = families.iter().map(|family| family.unit.to_string()).collect();
        assert_eq!(pushed, ["A", "By", "Cel", "g", "J", "m", "ratios", "s", "V"]);
        for named in names::families(families) {
            let unit = format!("# UNIT {} {}\n", named.name, named.unit);
            assert!(theirs.contains(&unit), "{unit}{theirs}");
        }
    }

    #[test]
    fn half_a_histogram_is_none() {
        let page = "# HELP h H.\n# TYPE h histogram\nh_sum 1.5\nh_count 1\nh_bucket{le=\"1.0\"} 1\n";
        let families = super::super::parse::families(page);
        assert!(!is_sound(Kind::Histogram, &families[0].points[0].value));
    }
}
