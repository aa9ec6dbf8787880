//! Meters of the `opentelemetry` API: what their instruments are given stands on the page and is pushed, as our own metrics.
//!
//! Instruments are those of the API: counters, up-down counters, gauges and histograms, each synchronous or observed. Attributes
//! are open there, so their sets are bounded, and how long they are: see [`stream`](super::stream). On the page the scope of a meter is the labels
//! `otel_scope_name` and `otel_scope_version`; in what is pushed it is the scope. There each scope has its own metric of a name; on the page
//! they are one, and of two kinds the first.

use super::bucket;
use super::registry::{self, LabelSet, Source};
use super::stream::{Attribute, Instrument, Observer, Stream, Streams, cut, is_long};
use crate::export::diag::{Level, say};
use crate::export::snapshot::{Family, Kind, Number};
use crate::site::Buckets;
use opentelemetry::metrics::{
    AsyncInstrument, AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder, InstrumentBuilder,
    InstrumentProvider, Meter, MeterProvider, ObservableCounter, ObservableGauge, ObservableUpDownCounter,
    SyncInstrument, UpDownCounter,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

static STREAMS: Streams<KeyValue> = Streams::new();

/// The bounds that the specification gives histograms without any.
const DEFAULT: &[f64] = &[
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0,
];

/// Attributes of a scope that are shown: each stands on every series of its instruments.
const MAX_OF_SCOPE: usize = 16;

/// From now on the instruments of our meters are shown, and `opentelemetry::global::meter` gives such.
pub(crate) fn install(global: bool) {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        registry::register(Arc::new(Meters));
    }
    if global {
        opentelemetry::global::set_meter_provider(Meters);
    }
}

pub(crate) fn provider() -> impl MeterProvider + Send + Sync + use<> {
    Meters
}

#[derive(Debug)]
struct Meters;

impl Source for Meters {
    fn families(&self, out: &mut Vec<Family>) {
        STREAMS.families(out);
    }
}

impl MeterProvider for Meters {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        let mut labels = LabelSet::new();
        let mut label = |key: &'static str, value: &str| {
            if !value.is_empty() {
                labels.push((key.into(), cut(value).to_owned().into()));
            }
        };
        label("otel.scope.name", scope.name());
        label("otel.scope.version", scope.version().unwrap_or_default());
        label("otel.scope.schema_url", scope.schema_url().unwrap_or_default());
        for attribute in scope.attributes().take(MAX_OF_SCOPE) {
            let attribute = attribute.shortened();
            // The three above are the scope's own.
            let key = attribute.key.as_str();
            if !matches!(key, "name" | "version" | "schema_url") {
                labels.push((format!("otel.scope.{key}").into(), attribute.text().0));
            }
        }
        Meter::new(Arc::new(Instruments(labels)))
    }
}

/// The instruments of one meter; inside, what its series say of where they come from.
struct Instruments(LabelSet);

/// What a builder was told of an instrument.
struct Told {
    name: Cow<'static, str>,
    help: Option<Cow<'static, str>>,
    unit: Option<Cow<'static, str>>,
    observed: bool,
}

macro_rules! told {
    ($builder:ident) => {
        Told {
            name: $builder.name,
            help: $builder.description,
            unit: $builder.unit,
            observed: false,
        }
    };
}

impl Instruments {
    fn declare(&self, told: Told, kind: Kind, zero: Number, buckets: Option<Buckets>) -> One {
        let Told {
            name,
            help,
            unit,
            observed,
        } = told;
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(letters) || name.len() > 255 {
            say(
                Level::Warn,
                format_args!(
                    "instrument `{}` is not shown: a name begins with a letter, has letters, digits, `_`, `.`, `-` and `/` only, \
                     and at most 255 of them",
                    crate::export::diag::tame(&name)
                ),
            );
            return One(None);
        }
        let mut unit = unit.unwrap_or_default();
        if !unit.is_ascii() || unit.len() > 63 {
            say(
                Level::Warn,
                format_args!(
                    "instrument `{name}` is shown without its unit: a unit has at most 63 characters, all ASCII"
                ),
            );
            unit = Cow::Borrowed("");
        }
        let instrument = Instrument {
            name,
            unit,
            kind,
            zero,
            observed,
            buckets,
            scope: self.0.clone(),
        };
        One(STREAMS.declare(instrument, &help.unwrap_or_default()))
    }

    fn histogram(&self, told: Told, boundaries: Option<Vec<f64>>) -> One {
        let buckets = match boundaries {
            // Without any bound there is one bucket: +Inf.
            Some(bounds) if bounds.is_empty() => Buckets::Classic(&[]),
            Some(bounds) => match bucket::check(&bounds) {
                Ok(()) => Buckets::Classic(kept(bounds)),
                Err(bad) => {
                    let name = &told.name;
                    say(
                        Level::Warn,
                        format_args!(
                            "histogram `{name}` has the default buckets: {bad}; `with_boundaries` wants finite numbers that rise"
                        ),
                    );
                    Buckets::Classic(DEFAULT)
                }
            },
            None if bucket::is_native_by_default() => Buckets::Native,
            None => Buckets::Classic(DEFAULT),
        };
        self.declare(told, Kind::Histogram, Number::F64(0.0), Some(buckets))
    }

    fn observed<M: Measure>(&self, told: Told, kind: Kind, callbacks: Vec<Callback<M>>)
    where
        Observer<KeyValue>: AsyncInstrument<M>,
    {
        if let One(Some(stream)) = self.declare(told, kind, M::ZERO, None) {
            stream.observe_by(callbacks.into_iter().map(|callback| {
                let ask = move |observer: &Observer<KeyValue>| callback(observer);
                Arc::new(ask) as super::stream::Callback<KeyValue>
            }));
        }
    }
}

/// The one copy of these bounds: a program declares few, and declares them again and again.
fn kept(bounds: Vec<f64>) -> &'static [f64] {
    static KEPT: std::sync::Mutex<Vec<&'static [f64]>> = std::sync::Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(known) = kept.iter().find(|known| known[..] == bounds[..]) {
        return known;
    }
    let bounds: &'static [f64] = bounds.leak();
    kept.push(bounds);
    bounds
}

/// A type of number that instruments take.
trait Measure: Copy + Send + Sync + 'static {
    const ZERO: Number;
    fn number(self) -> Number;
}

macro_rules! measure {
    ($($type:ty => $number:ident $zero:literal;)*) => {$(
        impl Measure for $type {
            const ZERO: Number = Number::$number($zero);
            fn number(self) -> Number {
                Number::$number(self)
            }
        }

        impl AsyncInstrument<$type> for Observer<KeyValue> {
            fn observe(&self, measurement: $type, attributes: &[KeyValue]) {
                self.say(Number::$number(measurement), attributes);
            }
        }
    )*};
}

measure! {
    u64 => U64 0;
    i64 => I64 0;
    f64 => F64 0.0;
}

/// A synchronous instrument; none where it was refused.
struct One(Option<Arc<Stream<KeyValue>>>);

impl<M: Measure> SyncInstrument<M> for One {
    fn measure(&self, measurement: M, attributes: &[KeyValue]) {
        let Some(stream) = &self.0 else { return };
        let number = measurement.number();
        let series = stream.series(attributes);
        match stream.instrument.kind {
            Kind::Gauge => series.set(number),
            Kind::Histogram => series.sample(number.as_f64()),
            _ => series.change(number),
        }
    }
}

macro_rules! instruments {
    (sync { $($name:ident: $instrument:ident<$type:ty>, $kind:ident;)* }
     observed { $($observed:ident: $observable:ident<$of:ty>, $observed_kind:ident;)* }
     histograms { $($histogram:ident: $sample:ty;)* }) => {
        impl InstrumentProvider for Instruments {
            $(fn $name(&self, builder: InstrumentBuilder<'_, $instrument<$type>>) -> $instrument<$type> {
                $instrument::new(Arc::new(self.declare(told!(builder), Kind::$kind, <$type>::ZERO, None)))
            })*

            $(fn $observed(&self, builder: AsyncInstrumentBuilder<'_, $observable<$of>, $of>) -> $observable<$of> {
                let AsyncInstrumentBuilder { callbacks, .. } = builder;
                let told = Told { name: builder.name, help: builder.description, unit: builder.unit, observed: true };
                self.observed(told, Kind::$observed_kind, callbacks);
                $observable::new()
            })*

            $(fn $histogram(&self, builder: HistogramBuilder<'_, Histogram<$sample>>) -> Histogram<$sample> {
                let boundaries = builder.boundaries;
                Histogram::new(Arc::new(self.histogram(told!(builder), boundaries)))
            })*
        }
    };
}

instruments! {
    sync {
    u64_counter: Counter<u64>, Counter;
    f64_counter: Counter<f64>, Counter;
    i64_up_down_counter: UpDownCounter<i64>, UpDownCounter;
    f64_up_down_counter: UpDownCounter<f64>, UpDownCounter;
    u64_gauge: Gauge<u64>, Gauge;
    i64_gauge: Gauge<i64>, Gauge;
    f64_gauge: Gauge<f64>, Gauge;
    }
    observed {
    u64_observable_counter: ObservableCounter<u64>, Counter;
    f64_observable_counter: ObservableCounter<f64>, Counter;
    i64_observable_up_down_counter: ObservableUpDownCounter<i64>, UpDownCounter;
    f64_observable_up_down_counter: ObservableUpDownCounter<f64>, UpDownCounter;
    u64_observable_gauge: ObservableGauge<u64>, Gauge;
    i64_observable_gauge: ObservableGauge<i64>, Gauge;
    f64_observable_gauge: ObservableGauge<f64>, Gauge;
    }
    histograms {
    f64_histogram: f64;
    u64_histogram: u64;
    }
}

impl Attribute for KeyValue {
    fn name(&self) -> &str {
        self.key.as_str()
    }

    fn text(&self) -> (Cow<'static, str>, bool) {
        match &self.value {
            Value::String(text) => (text.as_str().to_owned().into(), true),
            // With a point, so that it is read as what it was.
            Value::F64(n) => (format!("{n:?}").into(), false),
            value => (value.as_str().into_owned().into(), false),
        }
    }

    fn is_long(&self) -> bool {
        is_long(self.key.as_str())
            || match &self.value {
                Value::String(text) => is_long(text.as_str()),
                Value::Array(_) => is_long(&self.value.as_str()),
                _ => false,
            }
    }

    fn shortened(&self) -> Self {
        let value = match &self.value {
            Value::String(text) => Value::String(cut(text.as_str()).to_owned().into()),
            // As a text, which is what a label shows of it.
            array @ Value::Array(_) => Value::String(cut(&array.as_str()).to_owned().into()),
            value => value.clone(),
        };
        KeyValue::new(cut(self.key.as_str()).to_owned(), value)
    }

    fn is(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::F64(one), Value::F64(other_one)) => self.key == other.key && one.to_bits() == other_one.to_bits(),
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests;
