//! The `metrics` facade: what `counter!`, `gauge!` and `histogram!` of that crate are given stands on the page and is pushed, as
//! our own metrics.
//!
//! Labels are open there, so their sets are bounded, and how long they are: see [`stream`](super::stream). Histograms have the buckets of their unit.

use super::bucket;
use super::registry::{self, Source};
use super::stream::{Attribute, Instrument, Series, Stream, Streams, cut, is_long};
use crate::export::diag::{Level, say, say_once, tame};
use crate::export::snapshot::{Family, Kind, Number};
use crate::quick::BuildQuick;
use crate::site::Buckets;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, Recorder, SharedString,
    Unit,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

static STREAMS: Streams<Label> = Streams::new();

/// What was said of a metric by its name; that may come before its first use or after.
struct Described {
    unit: &'static str,
    help: SharedString,
    /// Its series have been gathered under that unit, and keep it: under another they would be other series.
    shown: bool,
}

static DESCRIBED: LazyLock<RwLock<HashMap<String, Described, BuildQuick>>> = LazyLock::new(RwLock::default);

/// Descriptions kept.
const MAX_DESCRIBED: usize = 5000;

/// A longer name is that of no metric: the specification's limit.
const MAX_NAME: usize = 255;

/// Milliseconds, and smaller parts of a second.
const PARTS: &[f64] = &[
    5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0,
];

/// Bytes, and whatever else is counted.
const SIZES: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
];

/// From now on the macros of the `metrics` crate are heard.
pub(crate) fn install() {
    match metrics::set_global_recorder(Facade) {
        Ok(()) => registry::register(Arc::new(Facade)),
        Err(_) => say(
            Level::Warn,
            format_args!(
                "the `metrics` crate has a recorder already: its metrics are not shown here; install none to have them shown"
            ),
        ),
    }
}

struct Facade;

impl Source for Facade {
    fn families(&self, out: &mut Vec<Family>) {
        let first = out.len();
        STREAMS.families(out);
        let mut described = DESCRIBED.write().unwrap_or_else(PoisonError::into_inner);
        for family in &mut out[first..] {
            let shown = !family.points.is_empty();
            if let Some(described) = described.get_mut(&*family.name) {
                described.shown |= shown;
                family.unit = Cow::Borrowed(described.unit);
                family.help = Cow::Owned(described.help.to_string());
            } else if shown && described.len() < MAX_DESCRIBED {
                let (unit, help) = ("", SharedString::default());
                described.insert(family.name.to_string(), Described { unit, help, shown });
            }
        }
    }
}

fn describe(name: &KeyName, unit: Option<Unit>, help: SharedString) {
    if name.as_str().len() > MAX_NAME {
        return;
    }
    let unit = unit.map_or("", ucum);
    if is_late(name.as_str(), unit, help) {
        say_once(
            Level::Warn,
            ("metrics", "described late"),
            format_args!(
                "metric `{}` was shown without the unit that it is described with now (`{unit}`), and stays so; describe it before its first use",
                tame(name.as_str())
            ),
        );
    }
}

/// Keeps what is said of a metric; true where its unit comes too late.
fn is_late(name: &str, unit: &'static str, help: SharedString) -> bool {
    let mut described = DESCRIBED.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = described.get_mut(name) {
        known.help = help;
        if known.shown {
            return known.unit != unit;
        }
        known.unit = unit;
    } else if described.len() < MAX_DESCRIBED {
        let shown = false;
        described.insert(name.to_owned(), Described { unit, help, shown });
    }
    false
}

fn ucum(unit: Unit) -> &'static str {
    match unit {
        // No `1`: on the page that reads as a ratio.
        Unit::Count => "",
        Unit::Percent => "%",
        Unit::Seconds => "s",
        Unit::Milliseconds => "ms",
        Unit::Microseconds => "us",
        Unit::Nanoseconds => "ns",
        Unit::Tebibytes => "TiBy",
        Unit::Gibibytes => "GiBy",
        Unit::Mebibytes => "MiBy",
        Unit::Kibibytes => "KiBy",
        Unit::Bytes => "By",
        Unit::TerabitsPerSecond => "Tbit/s",
        Unit::GigabitsPerSecond => "Gbit/s",
        Unit::MegabitsPerSecond => "Mbit/s",
        Unit::KilobitsPerSecond => "kbit/s",
        Unit::BitsPerSecond => "bit/s",
        Unit::CountPerSecond => "1/s",
    }
}

fn buckets(name: &str) -> Buckets {
    if bucket::is_native_by_default() {
        return Buckets::Native;
    }
    let described = DESCRIBED.read().unwrap_or_else(PoisonError::into_inner);
    match described.get(name).map_or("", |described| described.unit) {
        "" | "s" if name.ends_with("bytes") => Buckets::Classic(SIZES),
        "" | "s" => Buckets::Default,
        "ms" | "us" | "ns" => Buckets::Classic(PARTS),
        _ => Buckets::Classic(SIZES),
    }
}

fn series(key: &Key, kind: Kind, zero: Number) -> Option<Arc<Series>> {
    let name = key.name();
    if name.is_empty() || name.len() > MAX_NAME {
        say_once(
            Level::Warn,
            ("metrics", "facade"),
            format_args!(
                "metric `{}` of the `metrics` crate is not shown: a name has 1 to {MAX_NAME} bytes",
                tame(name)
            ),
        );
        return None;
    }
    let stream: Arc<Stream<Label>> = match STREAMS.find(name, |known| known.kind == kind) {
        Some(stream) => stream,
        None => STREAMS.declare(
            Instrument {
                name: Cow::Owned(name.to_owned()),
                unit: Cow::Borrowed(""),
                kind,
                zero,
                observed: false,
                buckets: (kind == Kind::Histogram).then(|| buckets(name)),
                scope: Vec::new(),
            },
            "",
        )?,
    };
    Some(stream.series(key.labels().as_slice()))
}

impl Recorder for Facade {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        describe(&name, unit, help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        describe(&name, unit, help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        describe(&name, unit, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        series(key, Kind::Counter, Number::U64(0)).map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        series(key, Kind::Gauge, Number::F64(0.0)).map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        // The macros ask each time.
        if STREAMS
            .find(key.name(), |known| known.kind == Kind::Histogram)
            .is_some()
        {
            return series(key, Kind::Histogram, Number::F64(0.0)).map_or_else(Histogram::noop, Histogram::from_arc);
        }
        Histogram::from_arc(Arc::new(Samples {
            key: key.clone(),
            series: OnceLock::new(),
        }))
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.change(Number::U64(value));
    }

    fn absolute(&self, value: u64) {
        self.raise(value);
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        self.change(Number::F64(value));
    }

    fn decrement(&self, value: f64) {
        self.change(Number::F64(-value));
    }

    fn set(&self, value: f64) {
        Series::set(self, Number::F64(value));
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.sample(value);
    }
}

/// A histogram gets its buckets with its first value: the unit that they go by may be told after a handle of it was made, as where
/// handles stand in statics.
struct Samples {
    key: Key,
    series: OnceLock<Option<Arc<Series>>>,
}

impl HistogramFn for Samples {
    fn record(&self, value: f64) {
        let series = self
            .series
            .get_or_init(|| series(&self.key, Kind::Histogram, Number::F64(0.0)));
        if let Some(series) = series {
            series.sample(value);
        }
    }
}

impl Attribute for Label {
    fn name(&self) -> &str {
        self.key()
    }

    fn text(&self) -> (Cow<'static, str>, bool) {
        (self.value().to_owned().into(), true)
    }

    fn is_long(&self) -> bool {
        is_long(self.key()) || is_long(self.value())
    }

    fn shortened(&self) -> Self {
        Self::new(cut(self.key()).to_owned(), cut(self.value()).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::snapshot::PointValue;

    fn family(name: &str) -> Family {
        let mut families = Vec::new();
        Facade.families(&mut families);
        families.into_iter().find(|family| family.name == name).unwrap()
    }

    #[test]
    fn the_macros_of_the_facade() {
        metrics::with_local_recorder(&Facade, || {
            metrics::counter!("f_orders_total", "channel" => "web").increment(2);
            metrics::counter!("f_orders_total", "channel" => "web").increment(3);
            metrics::counter!("f_orders_total", "channel" => "shop").absolute(7);
            metrics::counter!("f_orders_total", "channel" => "shop").absolute(5);
            let gauge = metrics::gauge!("f_level");
            gauge.set(5.0);
            gauge.decrement(1.5);
            gauge.increment(f64::NAN);
            metrics::histogram!("f_took").record(0.3);
            metrics::describe_histogram!("f_took", Unit::Seconds, "How long.");
            metrics::describe_histogram!("f_sizes", Unit::Bytes, "How large.");
            metrics::histogram!("f_sizes").record(2000.0);
        });
        let number = |family: &Family, at: usize| match family.points[at].value {
            PointValue::Number { value, .. } => value,
            _ => panic!(),
        };
        let orders = family("f_orders_total");
        assert_eq!((orders.kind, orders.points.len()), (Kind::Counter, 2));
        let web = orders
            .points
            .iter()
            .position(|point| point.labels.iter().any(|(_, value)| value == "web"))
            .unwrap();
        assert_eq!(
            (number(&orders, web), number(&orders, 1 - web)),
            (Number::U64(5), Number::U64(7))
        );
        assert_eq!(number(&family("f_level"), 0), Number::F64(3.5));
        let took = family("f_took");
        assert_eq!((&*took.unit, &*took.help), ("s", "How long."));
        let PointValue::Histogram(took) = &took.points[0].value else {
            panic!()
        };
        assert_eq!(took.bounds[..], bucket::DEFAULT);
        let PointValue::Histogram(sizes) = &family("f_sizes").points[0].value else {
            panic!()
        };
        assert_eq!((&sizes.bounds[..], sizes.counts[6]), (SIZES, 1));
    }

    #[test]
    fn a_unit_is_told_before_the_first_value_or_never() {
        let histogram = metrics::with_local_recorder(&Facade, || {
            metrics::counter!("f_late").increment(1);
            metrics::histogram!("f_late_ms")
        });
        assert_eq!(family("f_late").unit, "");
        metrics::with_local_recorder(&Facade, || {
            metrics::describe_counter!("f_late", Unit::Bytes, "Said late.");
            metrics::describe_histogram!("f_late_ms", Unit::Milliseconds, "Said in time.");
        });
        histogram.record(250.0);
        let late = family("f_late");
        assert_eq!((&*late.unit, &*late.help), ("", "Said late."));
        let in_time = family("f_late_ms");
        let PointValue::Histogram(value) = &in_time.points[0].value else {
            panic!()
        };
        assert_eq!((&*in_time.unit, &value.bounds[..]), ("ms", PARTS));
    }

    #[test]
    fn long_names_are_refused_and_long_labels_cut() {
        metrics::with_local_recorder(&Facade, || {
            for end in ["a", "b"] {
                let value = format!("{}{end}", "é".repeat(100));
                metrics::counter!("f_long", "k".repeat(5000) => value).increment(1);
            }
            for name in [String::new(), "f".repeat(256)] {
                metrics::counter!(name).increment(1);
            }
            metrics::describe_gauge!("f_waiting", Unit::Count, "How many wait.");
            metrics::gauge!("f_waiting").set(3.0);
        });
        let long = family("f_long");
        let labels: Vec<_> = long.points[0].labels.iter().collect();
        assert_eq!(labels, [(&*"k".repeat(128), &*"é".repeat(64))]);
        assert!(matches!(
            long.points[..],
            [crate::export::snapshot::Point {
                value: PointValue::Number {
                    value: Number::U64(2),
                    ..
                },
                ..
            }]
        ));
        let mut families = Vec::new();
        Facade.families(&mut families);
        assert!(families.iter().all(|family| (1..=255).contains(&family.name.len())));
        // A count is no ratio.
        assert_eq!(family("f_waiting").unit, "");
    }
}
