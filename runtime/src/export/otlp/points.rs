//! Snapshots of the metrics as OTLP.

use super::changes::{News, State, Told, news, series};
use super::framed::Framed;
use super::wire::{field, put_in_scope};
use crate::config::env::Temporality;
use crate::export::queue::MAX_BATCH_BYTES;
use crate::export::snapshot::{Exemplar, Family, Kind, Labels, Number, Point, PointValue};
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    self as otlp, AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, metric, number_data_point,
};
use prost::Message;
use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Encodes, and for delta temporality remembers what was last delivered.
pub(crate) struct MetricEncoder {
    temporality: Temporality,
    last: Mutex<State>,
}

/// Metrics ready for their requests: one, unless it would be larger than receivers take; none, where there is nothing new.
pub(crate) struct Encoded {
    pub(crate) parts: Vec<Part>,
    /// Series that are told by their changes and have none.
    unchanged: Told,
    unix_nanos: u64,
}

/// What stands in one request.
pub(crate) struct Part {
    /// A field 2 of a `ResourceMetrics` for each scope, ours first.
    pub(crate) scopes: Vec<Bytes>,
    /// Data points.
    pub(crate) count: u64,
    /// To be said before all are committed.
    pub(crate) delivered: bool,
    /// What the differences in it lead to.
    values: Told,
}

/// A series that was last told of so long ago, in nanoseconds, is gone.
const GONE: u64 = 10 * 60 * 1_000_000_000;

type Scope = [(Cow<'static, str>, Cow<'static, str>)];
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

impl MetricEncoder {
    pub(crate) fn new(temporality: Temporality) -> Self {
        Self {
            temporality,
            last: Mutex::default(),
        }
    }

    /// The differences begin anew where they were delivered. A series that is not there this time, as where what reads it panicked, may
    /// be there again next time, and is not counted twice then; of one that is gone for longer nothing is kept.
    #[expect(clippy::mutable_key_type, reason = "what labels are looked up in never changes")]
    pub(crate) fn commit(&self, encoded: Encoded) {
        if self.temporality == Temporality::Cumulative {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut values = encoded.unchanged;
        let mut all = true;
        for part in encoded.parts {
            all &= part.delivered;
            if part.delivered {
                values.extend(part.values);
            } else {
                let old = part
                    .values
                    .into_keys()
                    .filter_map(|series| last.values.remove_entry(&series));
                values.extend(old);
            }
        }
        last.values
            .retain(|_, told| encoded.unix_nanos.saturating_sub(told.0) < GONE);
        last.values.extend(values);
        if all {
            last.unix_nanos = encoded.unix_nanos;
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

    #[expect(clippy::mutable_key_type, reason = "what labels are looked up in never changes")]
    pub(crate) fn encode(&self, families: &[Family]) -> Encoded {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos() as u64;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = Request::default();
        let mut unchanged = Told::new();
        for family in families {
            let changes = self.tells_changes(family);
            let mut parts: Vec<(&Scope, Vec<News<'_>>)> = Vec::new();
            for point in &family.points {
                let Some(since) = news(family, point, changes.then_some(&*last)) else {
                    unchanged.insert(series(family, point), (now, point.value.clone()));
                    continue;
                };
                let scope = scope(&point.labels);
                match parts.iter_mut().find(|(known, _)| *known == scope) {
                    Some((_, points)) => points.push(since),
                    None => parts.push((scope, vec![since])),
                }
            }
            for (scope, points) in parts {
                request.add(family, scope, &points, changes.then_some(now), now);
            }
        }
        request.end();
        Encoded {
            parts: request.parts,
            unchanged,
            unix_nanos: now,
        }
    }
}

/// Requests being put together: as few as receivers take.
#[derive(Default)]
struct Request<'a> {
    scopes: Vec<(&'a Scope, Framed)>,
    bytes: usize,
    count: u64,
    values: Told,
    parts: Vec<Part>,
}

impl<'a> Request<'a> {
    /// Adds a family's points of one scope; `changes` says since when they are differences from here on.
    fn add(&mut self, family: &Family, scope: &'a Scope, points: &[News<'_>], changes: Option<u64>, now: u64) {
        let temporality = match changes {
            Some(_) => AggregationTemporality::Delta,
            None => AggregationTemporality::Cumulative,
        };
        let metrics = data(family.kind, points, temporality, now).into_iter().map(|data| {
            let metric = Metric {
                name: family.name.to_string(),
                description: family.help.to_string(),
                unit: family.unit.to_string(),
                data: Some(data),
                ..Metric::default()
            };
            metric.encode_to_vec()
        });
        let metrics: Vec<Vec<u8>> = metrics.collect();
        let bytes = metrics.iter().map(Vec::len).sum::<usize>();
        if bytes > MAX_BATCH_BYTES && points.len() > 1 {
            let few = points.len().div_ceil(bytes / MAX_BATCH_BYTES + 1);
            for points in points.chunks(few) {
                self.add(family, scope, points, changes, now);
            }
            return;
        }
        if self.bytes + bytes > MAX_BATCH_BYTES {
            self.end();
        }
        let at = self.scopes.iter().position(|(known, _)| *known == scope);
        let at = at.unwrap_or_else(|| {
            self.scopes.push((scope, Framed::default()));
            self.scopes.len() - 1
        });
        for metric in metrics {
            field(self.scopes[at].1.end(), 2, &metric);
        }
        self.bytes += bytes;
        self.count += points.len() as u64;
        if let Some(now) = changes {
            let told = |(point, ..): &News<'_>| (series(family, point), (now, point.value.clone()));
            self.values.extend(points.iter().map(told));
        }
    }

    /// What was added is one request.
    fn end(&mut self) {
        // Ours first.
        self.scopes.sort_by_key(|(scope, _)| !scope.is_empty());
        let scopes: Vec<_> = self.scopes.drain(..).collect();
        self.bytes = 0;
        if !scopes.is_empty() {
            self.parts.push(Part {
                scopes: scopes
                    .into_iter()
                    .map(|(scope, items)| in_their_scope(scope, items))
                    .collect(),
                count: std::mem::take(&mut self.count),
                delivered: false,
                values: std::mem::take(&mut self.values),
            });
        }
    }
}

fn in_their_scope(labels: &Scope, mut items: Framed) -> Bytes {
    if labels.is_empty() {
        put_in_scope(&mut items);
        return items.into();
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
    items.put_in_scope(&scope.encode_to_vec(), schema_url);
    items.into()
}

/// One message for each form that the points have: a family may hold classic and exponential histograms side by side.
fn data(kind: Kind, points: &[News<'_>], temporality: AggregationTemporality, now: u64) -> Vec<metric::Data> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::snapshot::Histogram;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn counter(value: u64) -> Family {
        Family {
            name: "orders.placed".into(),
            help: "Orders.".into(),
            unit: "{order}".into(),
            kind: Kind::Counter,
            observed: false,
            scope: Vec::new(),
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
        of_part(&encoded.parts[0])
    }

    fn of_part(part: &Part) -> Vec<Metric> {
        let resource = otlp::ResourceMetrics::decode(part.scopes[0].clone()).unwrap();
        resource.scope_metrics[0].metrics.clone()
    }

    fn deliver(encoder: &MetricEncoder, mut encoded: Encoded) {
        encoded.parts.iter_mut().for_each(|part| part.delivered = true);
        encoder.commit(encoded);
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
        deliver(&encoder, again);
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
    fn what_nothing_was_recorded_of_is_left_out() {
        let encoder = MetricEncoder::new(Temporality::Delta);
        let families = |counted, observed| {
            let family = Family {
                observed: true,
                name: "cpu".into(),
                ..counter(observed)
            };
            [counter(counted), family, histogram([counted, 0, 0], 0.5)]
        };
        let names = |encoded: &Encoded| -> Vec<String> { decode(encoded).into_iter().map(|m| m.name).collect() };
        // A series is told of when it is there, even with nothing in it.
        let first = encoder.encode(&families(0, 0));
        assert_eq!(names(&first), ["orders.placed", "cpu", "d"]);
        deliver(&encoder, first);
        deliver(&encoder, encoder.encode(&families(7, 3)));
        let again = encoder.encode(&families(7, 3));
        assert_eq!(names(&again), ["cpu"], "what is read was read");
        let before = again.unix_nanos;
        deliver(&encoder, again);
        // A push that fails changes nothing of it.
        encoder.commit(encoder.encode(&families(7, 4)));
        let next = encoder.encode(&families(9, 4));
        assert_eq!(names(&next), ["orders.placed", "cpu", "d"]);
        let metrics = decode(&next);
        let (of, value) = sum(&metrics[0]);
        assert_eq!(value, 2);
        assert!(of.data_points[0].start_time_unix_nano >= before);
        assert_eq!(sum(&metrics[1]).1, 1);
    }

    #[test]
    fn a_series_that_is_missing_once_is_not_counted_twice() {
        let encoder = MetricEncoder::new(Temporality::Delta);
        deliver(&encoder, encoder.encode(&[counter(100)]));
        deliver(&encoder, encoder.encode(&[]));
        assert_eq!(sum(&decode(&encoder.encode(&[counter(110)]))[0]).1, 10);
    }

    #[test]
    fn where_nothing_was_recorded_at_all_there_is_nothing_to_tell() {
        let encoder = MetricEncoder::new(Temporality::Delta);
        deliver(&encoder, encoder.encode(&[counter(7)]));
        let nothing = encoder.encode(&[counter(7)]);
        assert!(nothing.parts.is_empty());
        deliver(&encoder, nothing);
        assert_eq!(sum(&decode(&encoder.encode(&[counter(8)]))[0]).1, 1);
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
        deliver(&encoder, encoder.encode(&families(7)));
        let encoded = encoder.encode(&families(9));
        assert_eq!(
            encoded.parts[0].values.len(),
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
        deliver(&encoder, encoder.encode(&families(7)));
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
            deliver(&encoder, encoder.encode(&[family(before)]));
            let metrics = decode(&encoder.encode(&[family(after)]));
            let Some(metric::Data::Sum(sum)) = &metrics[0].data else {
                panic!()
            };
            assert_eq!(sum.data_points[0].value, Some(told));
        }
        let encoder = MetricEncoder::new(Temporality::Delta);
        deliver(&encoder, encoder.encode(&[histogram([5, 5, 5], 30.0)]));
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
        deliver(&encoder, first);
        assert_eq!(examples(&encoder.encode(&[family(2, 5)])), 0);
        assert_eq!(examples(&encoder.encode(&[family(2, u64::MAX)])), 1);
    }

    #[test]
    fn many_series_are_several_requests_each_with_its_differences() {
        let families = |value| {
            let mut large = histogram([value, 0, 0], 0.5);
            let point = large.points[0].clone();
            large.points = (0..60_000)
                .map(|n| Point {
                    labels: vec![("user".into(), format!("user-{n:06}").into())].into(),
                    ..point.clone()
                })
                .collect();
            [counter(value), large]
        };
        let encoder = MetricEncoder::new(Temporality::Delta);
        let mut first = encoder.encode(&families(7));
        let size = |part: &Part| part.scopes.iter().map(Bytes::len).sum::<usize>();
        assert!(first.parts.len() > 1);
        for part in &first.parts {
            assert!(
                size(part) <= MAX_BATCH_BYTES + 1000 && size(part) > MAX_BATCH_BYTES / 4,
                "{}",
                size(part)
            );
        }
        assert_eq!(first.parts.iter().map(|part| part.count).sum::<u64>(), 60_001);
        // All but the last are delivered.
        let n = first.parts.len() - 1;
        let missed = first.parts[n].count;
        first.parts[..n].iter_mut().for_each(|part| part.delivered = true);
        encoder.commit(first);
        let second = encoder.encode(&families(9));
        let mut counts: HashMap<(u64, bool), u64> = HashMap::new();
        for metric in second.parts.iter().flat_map(of_part) {
            if let Some(metric::Data::Histogram(h)) = metric.data {
                for point in h.data_points {
                    *counts.entry((point.count, point.start_time_unix_nano > 1)).or_default() += 1;
                }
            }
        }
        assert_eq!(
            counts,
            HashMap::from([((2, true), 60_000 - missed), ((9, false), missed)])
        );
    }

    #[test]
    fn units_are_told_apart() {
        let family = |unit: &'static str, value| Family {
            unit: unit.into(),
            ..counter(value)
        };
        let encoder = MetricEncoder::new(Temporality::Delta);
        deliver(&encoder, encoder.encode(&[family("s", 7), family("ms", 7000)]));
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
