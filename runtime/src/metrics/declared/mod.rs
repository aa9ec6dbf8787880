//! Metrics declared by hand: typed statics, known before first use.

mod counter;
mod definition;
mod gauge;
mod histogram;
mod info;
mod label;
#[cfg(feature = "summary")]
mod summary;

pub use counter::{Counter, CounterSeries, InFlight, UpDownCounter, UpDownSeries};
pub use definition::Definition;
pub use gauge::{Gauge, GaugeSeries, ObservableGauge};
pub use histogram::{Histogram, HistogramSeries, Timer};
pub use info::Info;
pub use label::{Label, Limited, Number};
#[cfg(feature = "summary")]
pub use summary::{Summary, SummarySeries};

use super::bucket;
use super::check::{Declaration, sets};
use super::columns::known_labels;
use super::registry::point;
use super::table::Found;
use crate::export::snapshot::{Family, Kind, Point, PointValue};
use crate::site::LabelDef;
use definition::Cellar;
pub(crate) use definition::type_of;

/// The link-time list of the metrics declared by hand, dependencies included.
#[linkme::distributed_slice]
#[allow(unsafe_code, reason = "a link section counts as unsafe; linkme places it")]
pub static DECLARED: [&'static dyn Metric];

/// A metric declared by hand.
pub trait Metric: Sync {
    /// What the declaration says.
    fn definition(&'static self) -> &'static Definition;
    /// What there is now.
    fn gather(&'static self, out: &mut Gathered<'_>);
}

/// Where a gathering is put.
pub struct Gathered<'a> {
    families: &'a mut Vec<Family>,
}

impl Gathered<'_> {
    /// A family of the definition's name with these points.
    fn family(&mut self, definition: &'static Definition, kind: Kind, points: Vec<Point>) {
        self.families.push(Family {
            name: definition.name.into(),
            help: definition.help.trim().into(),
            unit: definition.unit.into(),
            kind,
            observed: false,
            scope: Vec::new(),
            points,
        });
    }

    /// A family of what is in the cells, zeros included where the labels' types tell all series.
    fn cells(
        &mut self,
        definition: &'static Definition,
        cellar: &'static Cellar,
        kind: Kind,
        zero: impl Fn() -> PointValue,
        value: impl Fn(Found<'_>) -> Option<PointValue>,
    ) {
        let known = known_labels(definition.labels);
        let Some(cells) = cellar.get() else {
            let columned = known.columned();
            let sets = if known.all { 0..known.sets } else { 0..0 };
            let points = sets.filter_map(|set| Some(point(columned.texts(set, None, None)?, zero())));
            return self.family(definition, kind, points.collect());
        };
        let labels = known.of_cells(cells);
        let mut reader = cells.reader();
        // Room for all at once: a hundred thousand points that move to a larger place take as long as making them.
        let mut points = Vec::with_capacity(if known.all { known.sets } else { cells.most() });
        for set in 0..cells.sets() {
            let value = reader.series(set, 0).and_then(&value);
            let value = value.or_else(|| known.all.then(&zero));
            if let Some(value) = value
                && let Some(labels) = labels.of(set, None)
            {
                points.push(point(labels, value));
            }
        }
        self.family(definition, kind, points);
    }
}

/// All of them.
pub(crate) fn families() -> Vec<Family> {
    let mut families = Vec::new();
    for metric in DECLARED {
        metric.gather(&mut Gathered {
            families: &mut families,
        });
    }
    families
}

/// Their labels, by their names.
pub(crate) fn labels() -> impl Iterator<Item = (&'static str, &'static [LabelDef])> {
    DECLARED.iter().map(|metric| {
        let definition = metric.definition();
        (definition.name, definition.labels)
    })
}

/// What they declare, for the check that families agree.
pub(crate) fn declarations() -> impl Iterator<Item = Declaration> {
    DECLARED.iter().map(|metric| {
        let definition = metric.definition();
        let mut labels: Vec<_> = definition.labels.iter().map(|label| label.key).collect();
        labels.sort_unstable();
        Declaration {
            metric: definition.name.to_owned(),
            kind: definition.kind,
            unit: definition.unit,
            labels: Some(labels),
            help: None,
            bounds: (definition.kind == "histogram")
                .then(|| bucket::bounds(definition.buckets))
                .flatten(),
            series: sets(definition.labels),
            place: format!("{}:{} (metrics!)", definition.file, definition.line),
        }
    })
}

/// Declares metrics as typed statics.
///
/// Each is `static NAME: Type = "base.name"`, with options after the name. The base name is OpenTelemetry's: the page adds the
/// unit and `_total`. The first line of the doc comment is the help.
///
/// | type | options |
/// |---|---|
/// | `Counter`, `Counter<f64>` | `unit` |
/// | `UpDownCounter`, `Gauge`, both `<i64>` unless said otherwise | `unit` |
/// | `ObservableGauge` | `unit` |
/// | `Histogram` | `unit`, `buckets = [..]`, `native = true` |
/// | `Summary` (feature `summary`) | `unit`, `quantiles = [..]` |
/// | `Info` | |
///
/// Labels stand in parentheses after the number's type: `Counter<u64, (currency: Currency)>`. Their types are
/// [`LabelValue`](crate::LabelValue)s, or [`Limited<50>`](crate::metrics::Limited) for text. `le`, `quantile` and names that begin
/// with `__` are Prometheus' own. Every static is known before its
/// first use: `init()` checks that it agrees with others of its name, and its series stand at 0 on the page.
///
/// # Examples
///
/// ```
/// use vitalsign::metrics::Limited;
///
/// vitalsign::metrics! {
///     /// Value of placed orders.
///     pub static ORDER_VALUE: Counter<f64, (express: bool, shop: Limited<50>)> = "orders.value", unit = "EUR";
///     /// Users online now.
///     pub static ACTIVE_USERS: Gauge = "users.active";
///     /// How long a page takes to draw.
///     static DRAWING: Histogram = "page.drawing", unit = "s", buckets = [0.1, 1.0];
/// }
/// ORDER_VALUE.with(true, "berlin").add(49.99);
/// ACTIVE_USERS.set(12);
/// let drawn = DRAWING.time(|| "page");
/// ```
#[macro_export]
macro_rules! metrics {
    () => {};
    ($(#[doc = $doc:literal])* $vis:vis static $name:ident : $kind:ident = $base:literal
        $(, $option:ident = $value:tt)* ; $($rest:tt)*) => {
        $crate::__metric!([$($doc)*] $vis $name [$kind] [] $base $($option $value)*);
        $crate::metrics!($($rest)*);
    };
    ($(#[doc = $doc:literal])* $vis:vis static $name:ident : $kind:ident < $number:ident > = $base:literal
        $(, $option:ident = $value:tt)* ; $($rest:tt)*) => {
        $crate::__metric!([$($doc)*] $vis $name [$kind $number] [] $base $($option $value)*);
        $crate::metrics!($($rest)*);
    };
    ($(#[doc = $doc:literal])* $vis:vis static $name:ident : $kind:ident < ($($key:ident : $type:ty),+ $(,)?) > = $base:literal
        $(, $option:ident = $value:tt)* ; $($rest:tt)*) => {
        $crate::__metric!([$($doc)*] $vis $name [$kind] [$($key $type,)+] $base $($option $value)*);
        $crate::metrics!($($rest)*);
    };
    ($(#[doc = $doc:literal])* $vis:vis static $name:ident : $kind:ident < $number:ident, ($($key:ident : $type:ty),+ $(,)?) > = $base:literal
        $(, $option:ident = $value:tt)* ; $($rest:tt)*) => {
        $crate::__metric!([$($doc)*] $vis $name [$kind $number] [$($key $type,)+] $base $($option $value)*);
        $crate::metrics!($($rest)*);
    };
    ($($wrong:tt)+) => {
        $crate::__private::no_metric!(
            "a metric is written `static NAME: Counter<f64, (label: Type)> = \"base.name\", unit = \"By\";`"
            $($wrong)+
        );
    };
}

/// Refuses a type that is none, once, before anything else can go wrong with it.
#[doc(hidden)]
#[macro_export]
macro_rules! __metric {
    ($docs:tt $vis:vis $name:ident [Counter $($of:tt)*] $($rest:tt)*) => {
        $crate::__metric_static!($docs $vis $name [Counter $($of)*] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [UpDownCounter $($of:tt)*] $($rest:tt)*) => {
        $crate::__metric_static!($docs $vis $name [UpDownCounter $($of)*] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [Gauge $($of:tt)*] $($rest:tt)*) => {
        $crate::__metric_static!($docs $vis $name [Gauge $($of)*] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [Histogram] $($rest:tt)*) => {
        $crate::__metric_static!($docs $vis $name [Histogram] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [Summary] $($rest:tt)*) => {
        $crate::__metric_static!($docs $vis $name [Summary] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [Histogram $number:ident] $($rest:tt)*) => {
        $crate::__private::no_metric!(
            "a `Histogram` takes numbers of any type: write `Histogram`, or `Histogram<(label: Type)>`"
            $number
        );
        $crate::__metric_static!($docs $vis $name [Histogram] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [Summary $number:ident] $($rest:tt)*) => {
        $crate::__private::no_metric!(
            "a `Summary` takes numbers of any type: write `Summary`, or `Summary<(label: Type)>`"
            $number
        );
        $crate::__metric_static!($docs $vis $name [Summary] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [ObservableGauge] [] $($rest:tt)*) => {
        $crate::__metric_static!($docs $vis $name [ObservableGauge] [] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [Info] [] $($rest:tt)*) => {
        $crate::__metric_static!($docs $vis $name [Info] [] $($rest)*);
    };
    ($docs:tt $vis:vis $name:ident [$($wrong:tt)*] $($rest:tt)*) => {
        $crate::__private::no_metric!(
            "a metric is a `Counter`, `UpDownCounter`, `Gauge`, `Histogram` or `Summary`, with or without labels, or an \
             `ObservableGauge` or `Info`, without"
            $($wrong)*
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __metric_static {
    ([$($doc:literal)*] $vis:vis $name:ident $kind:tt [$($key:ident $type:ty,)*] $base:literal $($option:ident $value:tt)*) => {
        $(#[doc = $doc])*
        $vis static $name: $crate::__metric_type!($kind [$($type,)*]) = {
            #[$crate::__private::linkme::distributed_slice($crate::__private::DECLARED)]
            #[linkme(crate = $crate::__private::linkme)]
            static DECLARED: &'static dyn $crate::__private::Metric = &$name;
            static LABELS: &[$crate::__private::LabelDef] = &[$({
                static LIMIT: $crate::__private::Limit =
                    $crate::__private::Limit::new(<$type as $crate::metrics::Label>::LIMIT);
                $crate::__private::LabelDef {
                    key: $crate::metrics::Definition::key(::core::stringify!($key)),
                    source: if <$type as $crate::metrics::Label>::LIMIT > 0 {
                        $crate::__private::LabelSource::Limited(&LIMIT)
                    } else {
                        $crate::__private::LabelSource::Entry(::core::option::Option::Some(
                            &<$type as $crate::metrics::Label>::TYPE,
                        ))
                    },
                }
            }),*];
            <$crate::__metric_type!($kind [$($type,)*])>::new(
                $crate::__private::definition!(
                    { $crate::metrics::Definition } $kind { $base } { &[$($doc),*], ::core::file!(), ::core::line!() } { LABELS }
                    { $($option $value)* }
                )
            )
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __metric_type {
    ([Counter] $labels:tt) => { $crate::__metric_type!([Counter u64] $labels) };
    ([UpDownCounter] $labels:tt) => { $crate::__metric_type!([UpDownCounter i64] $labels) };
    ([Gauge] $labels:tt) => { $crate::__metric_type!([Gauge i64] $labels) };
    ([Counter $number:ident] [$($type:ty,)*]) => { $crate::metrics::Counter<$number, ($($type,)*)> };
    ([UpDownCounter $number:ident] [$($type:ty,)*]) => { $crate::metrics::UpDownCounter<$number, ($($type,)*)> };
    ([Gauge $number:ident] [$($type:ty,)*]) => { $crate::metrics::Gauge<$number, ($($type,)*)> };
    ([Histogram] [$($type:ty,)*]) => { $crate::metrics::Histogram<($($type,)*)> };
    ([Summary] [$($type:ty,)*]) => { $crate::metrics::Summary<($($type,)*)> };
    ([ObservableGauge] []) => { $crate::metrics::ObservableGauge };
    ([Info] []) => { $crate::metrics::Info };
}

#[cfg(test)]
mod tests;
