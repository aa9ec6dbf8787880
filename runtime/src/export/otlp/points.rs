//! Snapshots of the metrics as OTLP.

use super::wire::{field, in_scope, in_scope_of};
use crate::config::env::Temporality;
use crate::export::snapshot::{Exemplar, Exponential, Family, Histogram, Kind, Labels, Number, Point, PointValue};
use bytes::{Bytes, BytesMut};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    self as otlp, AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, metric, number_data_point,
};
use prost::Message;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Encodes, and for delta temporality remembers what was last delivered.
pub(crate) struct MetricEncoder {
    temporality: Temporality,
    last: Mutex<State>,
}

/// Metrics ready to stand in a request.
pub(crate) struct Encoded {
    /// A field 2 of a `ResourceMetrics` for each scope, ours first.
    pub(crate) scopes: Vec<Bytes>,
    /// Data points.
    pub(crate) count: u64,
    /// To be committed when they were delivered.
    pub(crate) state: State,
}

type Scope = [(Cow<'static, str>, Cow<'static, str>)];
/// Name, unit and labels: seconds and milliseconds of one name are two metrics.
type Series = (Cow<'static, str>, Cow<'static, str>, Labels);

fn series(family: &Family, point: &Point) -> Series {
    (family.name.clone(), family.unit.clone(), point.labels.clone())
}

/// Labels that name the scope of an instrument stand behind its own.
pub(crate) const SCOPE: &str = "otel.scope.";

/// The labels that are no attributes.
fn scope(labels: &Labels) -> &Scope {
    match labels {
        Labels::Texts(texts) => {
            let of_scope = texts.iter().rev().take_while(|(key, _)| key.starts_with(SCOPE));
            &texts[texts.len() - of_scope.count()..]
        }
        // Of instruments that have no scope but ours.
        Labels::Row(..) => &[],
    }
}

/// What had been counted when deltas were last delivered.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    unix_nanos: u64,
    values: HashMap<Series, PointValue>,
}

impl MetricEncoder {
    pub(crate) fn new(temporality: Temporality) -> Self {
        Self {
            temporality,
            last: Mutex::default(),
        }
    }

    /// What was encoded with this state is delivered.
    pub(crate) fn commit(&self, state: State) {
        if self.temporality != Temporality::Cumulative {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = state;
        }
    }

    /// Whether what came since the last push is told of it, and not the whole.
    fn tells_changes(&self, family: &Family) -> bool {
        matches!(family.kind, Kind::Counter | Kind::Histogram)
            && match self.temporality {
                Temporality::Cumulative => false,
                Temporality::Delta => true,
                // What is only read has to be remembered for a difference.
                Temporality::LowMemory => !family.observed,
            }
    }

    pub(crate) fn encode(&self, families: &[Family]) -> Encoded {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos() as u64;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = State {
            unix_nanos: now,
            values: HashMap::new(),
        };
        let mut scopes: Vec<(&Scope, BytesMut)> = vec![(&[], BytesMut::new())];
        let mut count = 0;
        for family in families {
            let changes = self.tells_changes(family);
            let since = |point| told(family, point, changes.then_some(&*last));
            let mut parts: Vec<(&Scope, Vec<Told<'_>>)> = Vec::new();
            for point in &family.points {
                let scope = scope(&point.labels);
                match parts.iter_mut().find(|(known, _)| *known == scope) {
                    Some((_, points)) => points.push(since(point)),
                    None => parts.push((scope, vec![since(point)])),
                }
            }
            if changes {
                for point in &family.points {
                    state.values.insert(series(family, point), point.value.clone());
                }
            }
            let temporality = if changes {
                AggregationTemporality::Delta
            } else {
                AggregationTemporality::Cumulative
            };
            for (scope, points) in parts {
                let at = scopes.iter().position(|(known, _)| *known == scope);
                let at = at.unwrap_or_else(|| {
                    scopes.push((scope, BytesMut::new()));
                    scopes.len() - 1
                });
                for data in data(family.kind, &points, temporality, now) {
                    let metric = Metric {
                        name: family.name.to_string(),
                        description: family.help.to_string(),
                        unit: family.unit.to_string(),
                        data: Some(data),
                        ..Metric::default()
                    };
                    field(&mut scopes[at].1, 2, &metric.encode_to_vec());
                }
            }
            count += family.points.len() as u64;
        }
        let scopes = scopes.into_iter().filter(|(_, items)| !items.is_empty());
        Encoded {
            scopes: scopes.map(|(scope, items)| in_their_scope(scope, &items)).collect(),
            count,
            state,
        }
    }
}

/// The whole value, or what came after the last.
fn told<'a>(family: &Family, point: &'a Point, last: Option<&State>) -> Told<'a> {
    let start = point.start_unix_nanos;
    let old = last.and_then(|last| last.values.get(&series(family, point)));
    match (last, old) {
        (None, _) => (point, Cow::Borrowed(&point.value), start),
        (Some(last), Some(old)) => {
            let mut value = minus(&point.value, old);
            value.keep_examples_since(last.unix_nanos);
            (point, Cow::Owned(value), last.unix_nanos)
        }
        (Some(last), None) => (point, Cow::Borrowed(&point.value), start.max(last.unix_nanos)),
    }
}

fn in_their_scope(labels: &Scope, items: &[u8]) -> Bytes {
    if labels.is_empty() {
        return in_scope(items);
    }
    let (mut scope, mut schema_url) = (InstrumentationScope::default(), "");
    for (key, value) in labels {
        match &key[SCOPE.len()..] {
            "name" => scope.name = value.to_string(),
            "version" => scope.version = value.to_string(),
            "schema_url" => schema_url = value,
            other => scope
                .attributes
                .push(attribute(other, any_value::Value::StringValue(value.to_string()))),
        }
    }
    in_scope_of(&scope.encode_to_vec(), schema_url, items)
}

/// A point, and its value and start as they are to be told.
type Told<'a> = (&'a Point, Cow<'a, PointValue>, u64);

/// One message for each form that the points have: a family may hold classic and exponential histograms side by side.
fn data(kind: Kind, points: &[Told<'_>], temporality: AggregationTemporality, now: u64) -> Vec<metric::Data> {
    let temporality = temporality as i32;
    let (mut numbers, mut classic, mut exponential, mut summaries) = (vec![], vec![], vec![], vec![]);
    for (point, value, start) in points {
        let attributes = attributes(point);
        let start = *start;
        match &**value {
            PointValue::Number { value, exemplar } => numbers.push(NumberDataPoint {
                attributes,
                start_time_unix_nano: if kind == Kind::Gauge { 0 } else { start },
                time_unix_nano: now,
                exemplars: exemplar.as_deref().map(exemplar_of).into_iter().collect(),
                value: Some(number(*value)),
                ..NumberDataPoint::default()
            }),
            PointValue::Info => numbers.push(NumberDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                value: Some(number_data_point::Value::AsInt(1)),
                ..NumberDataPoint::default()
            }),
            PointValue::Histogram(histogram) => classic.push(HistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: histogram.counts.iter().sum(),
                sum: Some(histogram.sum),
                bucket_counts: histogram.counts.clone(),
                explicit_bounds: histogram.bounds.to_vec(),
                exemplars: histogram.exemplars.iter().map(exemplar_of).collect(),
                ..HistogramDataPoint::default()
            }),
            PointValue::Exponential(histogram) => exponential.push(ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: histogram.count,
                sum: Some(histogram.sum),
                scale: i32::from(histogram.schema),
                zero_count: histogram.zero_count,
                zero_threshold: histogram.zero_threshold,
                positive: dense(&histogram.positive),
                exemplars: histogram.exemplars.iter().map(exemplar_of).collect(),
                ..ExponentialHistogramDataPoint::default()
            }),
            PointValue::Summary(summary) => {
                let quantile = |(quantile, value): &(f64, f64)| otlp::summary_data_point::ValueAtQuantile {
                    quantile: *quantile,
                    value: *value,
                };
                summaries.push(SummaryDataPoint {
                    attributes,
                    start_time_unix_nano: start,
                    time_unix_nano: now,
                    count: summary.count,
                    sum: summary.sum,
                    quantile_values: summary.quantiles.iter().map(quantile).collect(),
                    ..SummaryDataPoint::default()
                });
            }
        }
    }
    let mut data = Vec::new();
    if !numbers.is_empty() {
        data.push(match kind {
            Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers }),
            _ => metric::Data::Sum(Sum {
                data_points: numbers,
                aggregation_temporality: temporality,
                is_monotonic: kind == Kind::Counter,
            }),
        });
    }
    if !classic.is_empty() {
        data.push(metric::Data::Histogram(otlp::Histogram {
            data_points: classic,
            aggregation_temporality: temporality,
        }));
    }
    if !exponential.is_empty() {
        data.push(metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: exponential,
            aggregation_temporality: temporality,
        }));
    }
    if !summaries.is_empty() {
        data.push(metric::Data::Summary(Summary { data_points: summaries }));
    }
    data
}

fn attributes(point: &Point) -> Vec<KeyValue> {
    let own = point.labels.len() - scope(&point.labels).len();
    let labels = point.labels.iter().take(own).enumerate();
    labels
        .map(|(at, (key, value))| {
            let is_text = at >= 64 || point.typed >> at & 1 == 0;
            attribute(key, if is_text { text(key, value) } else { typed(value) })
        })
        .collect()
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// What was no text to begin with.
fn typed(value: &str) -> any_value::Value {
    if let Ok(value) = value.parse::<bool>() {
        any_value::Value::BoolValue(value)
    } else if let Ok(value) = value.parse::<i64>() {
        any_value::Value::IntValue(value)
    } else if let Ok(value) = value.parse::<f64>() {
        any_value::Value::DoubleValue(value)
    } else {
        any_value::Value::StringValue(value.to_owned())
    }
}

/// Labels are texts; what the semantic conventions have as a number is one again.
fn text(key: &str, value: &str) -> any_value::Value {
    const NUMBERS: [&str; 3] = ["http.response.status_code", "server.port", "network.peer.port"];
    match value.parse() {
        Ok(number) if NUMBERS.contains(&key) => any_value::Value::IntValue(number),
        _ => any_value::Value::StringValue(value.to_owned()),
    }
}

fn number(value: Number) -> number_data_point::Value {
    match value {
        Number::U64(value) => number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX)),
        Number::I64(value) => number_data_point::Value::AsInt(value),
        Number::F64(value) => number_data_point::Value::AsDouble(value),
    }
}

fn exemplar_of(exemplar: &Exemplar) -> otlp::Exemplar {
    otlp::Exemplar {
        time_unix_nano: exemplar.unix_nanos,
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        trace_id: exemplar.trace_id.0.to_be_bytes().to_vec(),
        span_id: exemplar.span_id.0.to_be_bytes().to_vec(),
        ..otlp::Exemplar::default()
    }
}

/// Buckets from the first to the last, the empty ones between included. Index `i` there ends at `2^(i·2^-schema)`; OTLP's
/// index names the lower end, so it is one less.
fn dense(buckets: &[(i32, u64)]) -> Option<otlp::exponential_histogram_data_point::Buckets> {
    let first = buckets.iter().map(|(index, _)| *index).min()?;
    let last = buckets.iter().map(|(index, _)| *index).max()?;
    let mut bucket_counts = vec![0; usize::try_from(last - first).ok()? + 1];
    for (index, count) in buckets {
        bucket_counts[(index - first) as usize] += count;
    }
    Some(otlp::exponential_histogram_data_point::Buckets {
        offset: first - 1,
        bucket_counts,
    })
}

impl PointValue {
    /// Of a difference: an example that was told with the last one is none of this.
    fn keep_examples_since(&mut self, unix_nanos: u64) {
        let since = |exemplar: &Exemplar| exemplar.unix_nanos >= unix_nanos;
        match self {
            Self::Number { exemplar, .. } => *exemplar = exemplar.take().filter(|exemplar| since(exemplar)),
            Self::Histogram(histogram) => histogram.exemplars.retain(since),
            Self::Exponential(histogram) => histogram.exemplars.retain(since),
            Self::Summary(_) | Self::Info => {}
        }
    }
}

/// What was added since. What was counted elsewhere may begin anew: then it is all of it.
fn minus(new: &PointValue, old: &PointValue) -> PointValue {
    match (new, old) {
        (PointValue::Number { value, exemplar }, PointValue::Number { value: old, .. }) => PointValue::Number {
            value: match (*value, *old) {
                (Number::U64(a), Number::U64(b)) if a >= b => Number::U64(a - b),
                (Number::I64(a), Number::I64(b)) if a >= b => Number::I64(a.saturating_sub(b)),
                (Number::F64(a), Number::F64(b)) if a >= b => Number::F64(a - b),
                (value, _) => value,
            },
            exemplar: exemplar.clone(),
        },
        (PointValue::Histogram(new), PointValue::Histogram(old))
            if new.bounds == old.bounds && new.counts.iter().zip(&old.counts).all(|(a, b)| a >= b) =>
        {
            PointValue::histogram(Histogram {
                bounds: new.bounds.clone(),
                counts: new.counts.iter().zip(&old.counts).map(|(a, b)| a - b).collect(),
                sum: new.sum - old.sum,
                exemplars: new.exemplars.clone(),
            })
        }
        (PointValue::Exponential(new), PointValue::Exponential(old)) => {
            // The old one may be finer: its buckets fall into ours when the scale goes down.
            let shift = u32::from((old.schema - new.schema).max(0).unsigned_abs());
            let mut buckets: HashMap<i32, u64> = new.positive.iter().copied().collect();
            for (index, old) in &old.positive {
                let index = ((index - 1) >> shift) + 1;
                if let Some(count) = buckets.get_mut(&index) {
                    *count = count.saturating_sub(*old);
                }
            }
            let mut positive: Vec<_> = buckets.into_iter().filter(|(_, count)| *count > 0).collect();
            positive.sort_unstable();
            PointValue::Exponential(Box::new(Exponential {
                schema: new.schema,
                zero_threshold: new.zero_threshold,
                zero_count: new.zero_count.saturating_sub(old.zero_count),
                positive,
                sum: new.sum - old.sum,
                count: new.count.saturating_sub(old.count),
                exemplars: new.exemplars.clone(),
            }))
        }
        (new, _) => new.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn counter(value: u64) -> Family {
        Family {
            name: "orders.placed".into(),
            help: "Orders.".into(),
            unit: "{order}".into(),
            kind: Kind::Counter,
            observed: false,
            points: vec![Point {
                labels: vec![("channel".into(), "web".into())].into(),
                value: PointValue::Number {
                    value: Number::U64(value),
                    exemplar: None,
                },
                typed: 0,
                start_unix_nanos: 1,
            }],
        }
    }

    fn histogram(counts: [u64; 3], sum: f64) -> Family {
        Family {
            kind: Kind::Histogram,
            name: "d".into(),
            points: vec![Point {
                labels: vec![].into(),
                value: PointValue::histogram(Histogram {
                    bounds: Arc::from([1.0, 2.0]),
                    counts: counts.to_vec(),
                    sum,
                    exemplars: vec![],
                }),
                typed: 0,
                start_unix_nanos: 1,
            }],
            ..counter(0)
        }
    }

    fn decode(encoded: &Encoded) -> Vec<Metric> {
        let resource = otlp::ResourceMetrics::decode(encoded.scopes[0].clone()).unwrap();
        resource.scope_metrics[0].metrics.clone()
    }

    fn sum(metric: &Metric) -> (&Sum, i64) {
        let Some(metric::Data::Sum(sum)) = &metric.data else {
            panic!("{metric:?}")
        };
        let Some(number_data_point::Value::AsInt(value)) = sum.data_points[0].value else {
            panic!("{sum:?}")
        };
        (sum, value)
    }

    #[test]
    fn cumulative() {
        let encoder = MetricEncoder::new(Temporality::Cumulative);
        let metrics = decode(&encoder.encode(&[counter(7), histogram([1, 2, 3], 9.0)]));
        let (sum, value) = sum(&metrics[0]);
        assert_eq!((value, sum.is_monotonic, sum.aggregation_temporality), (7, true, 2));
        assert_eq!(sum.data_points[0].start_time_unix_nano, 1);
        let Some(metric::Data::Histogram(h)) = &metrics[1].data else {
            panic!()
        };
        assert_eq!(h.data_points[0].count, 6);
    }

    #[test]
    fn deltas_count_from_what_was_delivered() {
        let encoder = MetricEncoder::new(Temporality::Delta);
        let first = encoder.encode(&[counter(7), histogram([1, 0, 0], 0.5)]);
        assert_eq!(sum(&decode(&first)[0]).1, 7);
        // Not delivered: nothing is forgotten.
        let again = encoder.encode(&[counter(9), histogram([1, 1, 0], 2.0)]);
        assert_eq!(sum(&decode(&again)[0]).1, 9);
        encoder.commit(again.state);
        let next = decode(&encoder.encode(&[counter(12), histogram([1, 1, 2], 8.0)]));
        let (sum, value) = sum(&next[0]);
        assert_eq!((value, sum.aggregation_temporality), (3, 1));
        assert!(sum.data_points[0].start_time_unix_nano > 1);
        let Some(metric::Data::Histogram(h)) = &next[1].data else {
            panic!()
        };
        assert_eq!(
            (h.data_points[0].bucket_counts.as_slice(), h.data_points[0].sum),
            (&[0, 0, 2][..], Some(6.0))
        );
    }

    #[test]
    fn low_memory_wants_what_is_observed_whole() {
        let encoder = MetricEncoder::new(Temporality::LowMemory);
        let families = |value| {
            let observed = Family {
                observed: true,
                name: "cpu".into(),
                ..counter(value)
            };
            [counter(value), observed, histogram([value, 0, 0], 0.5)]
        };
        encoder.commit(encoder.encode(&families(7)).state);
        let encoded = encoder.encode(&families(9));
        assert_eq!(
            encoded.state.values.len(),
            2,
            "nothing is remembered of what is told whole"
        );
        let metrics = decode(&encoded);
        let of = |at: usize| {
            let (sum, value) = sum(&metrics[at]);
            (
                value,
                sum.aggregation_temporality,
                sum.data_points[0].start_time_unix_nano > 1,
            )
        };
        assert_eq!((of(0), of(1)), ((2, 1, true), (9, 2, false)));
        let Some(metric::Data::Histogram(h)) = &metrics[2].data else {
            panic!()
        };
        assert_eq!((h.aggregation_temporality, h.data_points[0].count), (1, 2));
        // With `delta` it is told by its changes, too.
        let encoder = MetricEncoder::new(Temporality::Delta);
        encoder.commit(encoder.encode(&families(7)).state);
        assert_eq!(sum(&decode(&encoder.encode(&families(9)))[1]).1, 2);
    }

    #[test]
    fn what_begins_anew_is_told_whole() {
        let family = |number| {
            let mut family = counter(0);
            family.points[0].value = PointValue::number(number);
            family
        };
        for (before, after, told) in [
            (Number::U64(7), Number::U64(3), number_data_point::Value::AsInt(3)),
            (
                Number::F64(7.5),
                Number::F64(0.5),
                number_data_point::Value::AsDouble(0.5),
            ),
            (
                Number::F64(0.5),
                Number::F64(2.5),
                number_data_point::Value::AsDouble(2.0),
            ),
        ] {
            let encoder = MetricEncoder::new(Temporality::Delta);
            encoder.commit(encoder.encode(&[family(before)]).state);
            let metrics = decode(&encoder.encode(&[family(after)]));
            let Some(metric::Data::Sum(sum)) = &metrics[0].data else {
                panic!()
            };
            assert_eq!(sum.data_points[0].value, Some(told));
        }
        let encoder = MetricEncoder::new(Temporality::Delta);
        encoder.commit(encoder.encode(&[histogram([5, 5, 5], 30.0)]).state);
        let metrics = decode(&encoder.encode(&[histogram([1, 0, 6], 20.0)]));
        let Some(metric::Data::Histogram(h)) = &metrics[0].data else {
            panic!()
        };
        assert_eq!((h.data_points[0].count, h.data_points[0].sum), (7, Some(20.0)));
    }

    #[test]
    fn an_example_is_told_with_its_own_difference() {
        let example = |unix_nanos| Exemplar {
            value: 1.5,
            unix_nanos,
            trace_id: crate::trace::TraceId(1),
            span_id: crate::trace::SpanId(2),
        };
        let family = |count, unix_nanos| {
            let mut family = histogram([0, count, 0], 1.5);
            let PointValue::Histogram(of) = &mut family.points[0].value else {
                panic!()
            };
            of.exemplars.push(example(unix_nanos));
            family
        };
        let examples = |encoded: &Encoded| {
            let Some(metric::Data::Histogram(h)) = decode(encoded).remove(0).data else {
                panic!()
            };
            h.data_points[0].exemplars.len()
        };
        let encoder = MetricEncoder::new(Temporality::Delta);
        let first = encoder.encode(&[family(1, 5)]);
        assert_eq!(examples(&first), 1);
        encoder.commit(first.state);
        assert_eq!(examples(&encoder.encode(&[family(2, 5)])), 0);
        assert_eq!(examples(&encoder.encode(&[family(2, u64::MAX)])), 1);
    }

    #[test]
    fn units_are_told_apart() {
        let family = |unit: &'static str, value| Family {
            unit: unit.into(),
            ..counter(value)
        };
        let encoder = MetricEncoder::new(Temporality::Delta);
        encoder.commit(encoder.encode(&[family("s", 7), family("ms", 7000)]).state);
        let metrics = decode(&encoder.encode(&[family("s", 9), family("ms", 9000)]));
        assert_eq!((sum(&metrics[0]).1, sum(&metrics[1]).1), (2, 2000));
    }

    #[test]
    fn exponential_buckets_are_dense_and_named_by_their_lower_end() {
        let buckets = dense(&[(3, 1), (5, 2)]).unwrap();
        assert_eq!((buckets.offset, buckets.bucket_counts), (2, vec![1, 0, 2]));
        assert!(dense(&[]).is_none());
    }
}
