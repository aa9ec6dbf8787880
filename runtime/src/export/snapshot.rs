//! What encoders see of the metrics: plain data, gathered once, the same numbers for every format.

pub(crate) use super::labels::Labels;
use crate::trace::{SpanId, TraceId};
use std::borrow::Cow;
use std::sync::Arc;

/// One metric with all its series.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// The OpenTelemetry base name: dots, no `_total`, no unit suffix.
    pub(crate) name: Cow<'static, str>,
    pub(crate) help: Cow<'static, str>,
    /// UCUM; empty for none.
    pub(crate) unit: Cow<'static, str>,
    pub(crate) kind: Kind,
    /// Its numbers are read when someone gathers, and not counted here: whoever wants little memory is told them whole.
    pub(crate) observed: bool,
    /// Where its instrument comes from, empty for ours: the last labels of every point. In each scope a name is one of its own.
    pub(crate) scope: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    pub(crate) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    UpDownCounter,
    Gauge,
    Histogram,
    Summary,
    Info,
}

/// One series at the time of the gathering.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) labels: Labels,
    /// A bit for each label whose value was no text to begin with: a truth value, a whole number, another number, or a list.
    pub(crate) typed: u64,
    pub(crate) value: PointValue,
    /// When the series began to count, in nanoseconds since the Unix epoch.
    pub(crate) start_unix_nanos: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum PointValue {
    /// Counters, up-down counters and gauges.
    Number {
        value: Number,
        /// Boxed, since of a hundred thousand series few have one.
        exemplar: Option<Box<Exemplar>>,
    },
    Histogram(Box<Histogram>),
    Exponential(Box<Exponential>),
    Summary(Box<Summary>),
    /// The labels are the information; the value is 1.
    Info,
}

/// Classic: `counts` has one entry more than `bounds`, not cumulative.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    pub(crate) bounds: Arc<[f64]>,
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: f64,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// Exponential (OTLP) and native (Prometheus): bucket `i` ends at `2^(i·2^-schema)`, upper bound inclusive.
#[derive(Clone, Debug)]
pub(crate) struct Exponential {
    pub(crate) schema: i8,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    pub(crate) positive: Vec<(i32, u64)>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// Quantiles and their values.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) quantiles: Vec<(f64, f64)>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
}

/// A number of one of the types that metrics hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Counts.
    U64(u64),
    /// Differences.
    I64(i64),
    /// Measures.
    F64(f64),
}

/// A sampled span that fell into a bucket or moved a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) value: f64,
    pub(crate) unix_nanos: u64,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}
