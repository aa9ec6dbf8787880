//! Series whose labels are not known to any attribute: what our own layers measure, by the semantic conventions.
//!
//! A key is a few small integers, so looking a series up is one hash of a few bytes. The number of series is bounded by the
//! key's type and by a cap; what comes beyond is dropped and counted there.

use super::exemplar::Exemplars;
use super::quick::BuildQuick;
use super::registry::{LabelSet, Source, started};
use crate::export::snapshot::{Family, Kind, Number, Point, PointValue};
use crate::operation::Described;
use crate::trace::event::{Measured, Moved};
use crate::trace::{SpanId, TraceId};
use crate::{switch, testing};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// No family has more series.
pub(crate) const MAX_SERIES: usize = 5000;

/// A family's constant part.
pub(crate) struct Meta<K> {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) labels: fn(&K) -> LabelSet,
}

impl<K> Meta<K> {
    /// For the catalogue.
    fn described(&self, kind: &'static str, labels: Vec<(&'static str, Option<&'static str>)>) -> Described {
        Described {
            name: self.name,
            kind,
            help: self.help,
            unit: self.unit,
            labels,
            bounds: None,
        }
    }

    #[cold]
    fn captured(&self, key: &K, moved: Moved) {
        testing::measured(Measured {
            name: self.name,
            labels: (self.labels)(key),
            moved,
        });
    }
}

type Table<K, S> = RwLock<HashMap<K, Arc<S>, BuildQuick>>;

fn series<K: Hash + Eq + Clone, S>(table: &Table<K, S>, key: &K, make: impl FnOnce() -> S) -> Option<Arc<S>> {
    if let Some(series) = table.read().unwrap_or_else(PoisonError::into_inner).get(key) {
        return Some(series.clone());
    }
    let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
    if table.len() >= MAX_SERIES && !table.contains_key(key) {
        return None;
    }
    Some(table.entry(key.clone()).or_insert_with(|| Arc::new(make())).clone())
}

fn snapshot<K: Clone, S>(table: &Table<K, S>) -> Vec<(K, Arc<S>)> {
    let table = table.read().unwrap_or_else(PoisonError::into_inner);
    table
        .iter()
        .map(|(key, series)| (key.clone(), series.clone()))
        .collect()
}

/// A histogram family.
pub(crate) struct Histogram<K> {
    meta: Meta<K>,
    bounds: Arc<[f64]>,
    table: Table<K, Buckets>,
    dropped: AtomicU64,
}

/// One series.
pub(crate) struct Buckets {
    counts: Box<[AtomicU64]>,
    /// The bits of a float.
    sum: AtomicU64,
    exemplars: Exemplars,
}

impl<K: Hash + Eq + Clone> Histogram<K> {
    pub(crate) fn new(meta: Meta<K>, bounds: &[f64]) -> Self {
        Self {
            meta,
            bounds: bounds.into(),
            table: RwLock::default(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds a sample; `exemplar` is the sampled span it belongs to.
    pub(crate) fn record(&self, key: &K, value: f64, exemplar: Option<(TraceId, SpanId)>) {
        if let Some(series) = self.of(key) {
            self.record_in(&series, value, exemplar);
        }
        if switch::capturing() {
            self.meta.captured(key, Moved::Sample(value));
        }
    }

    /// For the catalogue.
    pub(crate) fn described(&self, labels: Vec<(&'static str, Option<&'static str>)>) -> Described {
        Described {
            bounds: Some(self.bounds.to_vec()),
            ..self.meta.described("histogram", labels)
        }
    }

    /// The buckets of a series; `None` beyond the cap.
    pub(crate) fn of(&self, key: &K) -> Option<Arc<Buckets>> {
        let len = self.bounds.len() + 1;
        let Some(series) = series(&self.table, key, || Buckets {
            counts: (0..len).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            exemplars: Exemplars::new(1, len),
        }) else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        Some(series)
    }

    /// Adds a sample to a series of this family.
    pub(crate) fn record_in(&self, series: &Buckets, value: f64, exemplar: Option<(TraceId, SpanId)>) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        series.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let _ = series.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            Some((f64::from_bits(bits) + value).to_bits())
        });
        if exemplar.is_some() {
            let now = crate::clock::now();
            series.exemplars.offer(0, bucket, value.to_bits(), now, || exemplar);
        }
    }
}

impl<K: Hash + Eq + Clone + Send + Sync> Source for Histogram<K> {
    fn families(&self, out: &mut Vec<Family>) {
        let points: Vec<Point> = snapshot(&self.table)
            .into_iter()
            .map(|(key, series)| Point {
                labels: (self.meta.labels)(&key),
                value: PointValue::Histogram {
                    bounds: self.bounds.clone(),
                    counts: series
                        .counts
                        .iter()
                        .map(|count| count.load(Ordering::Relaxed))
                        .collect(),
                    sum: f64::from_bits(series.sum.load(Ordering::Relaxed)),
                    exemplars: series.exemplars.floats(0).collect(),
                },
                typed: 0,
                start_unix_nanos: started(),
            })
            .collect();
        if !points.is_empty() {
            out.push(family(&self.meta, Kind::Histogram, points));
        }
    }
}

/// Numbers that rise, or rise and fall.
pub(crate) struct Numbers<K> {
    meta: Meta<K>,
    kind: Kind,
    table: Table<K, AtomicI64>,
}

impl<K: Hash + Eq + Clone> Numbers<K> {
    pub(crate) fn up_down(meta: Meta<K>) -> Self {
        Self {
            meta,
            kind: Kind::UpDownCounter,
            table: RwLock::default(),
        }
    }

    /// Numbers that only rise.
    pub(crate) fn counter(meta: Meta<K>) -> Self {
        Self {
            kind: Kind::Counter,
            ..Self::up_down(meta)
        }
    }

    /// For the catalogue.
    pub(crate) fn described(&self, labels: Vec<(&'static str, Option<&'static str>)>) -> Described {
        let kind = match self.kind {
            Kind::Counter => "counter",
            _ => "up-down counter",
        };
        self.meta.described(kind, labels)
    }

    /// Adds to a series.
    pub(crate) fn add(&self, key: &K, by: i64) {
        if let Some(number) = self.of(key) {
            number.fetch_add(by, Ordering::Relaxed);
        }
        if switch::capturing() && matches!(self.kind, Kind::Counter) {
            self.meta.captured(key, Moved::By(by));
        }
    }

    /// The number of a series, to be kept by whoever will change it again.
    pub(crate) fn of(&self, key: &K) -> Option<Arc<AtomicI64>> {
        series(&self.table, key, || AtomicI64::new(0))
    }
}

impl<K: Hash + Eq + Clone + Send + Sync> Source for Numbers<K> {
    fn families(&self, out: &mut Vec<Family>) {
        let points: Vec<Point> = snapshot(&self.table)
            .into_iter()
            .map(|(key, series)| {
                let number = Number::I64(series.load(Ordering::Relaxed));
                Point {
                    labels: (self.meta.labels)(&key),
                    value: PointValue::number(number),
                    typed: 0,
                    start_unix_nanos: started(),
                }
            })
            .collect();
        if !points.is_empty() {
            out.push(family(&self.meta, self.kind, points));
        }
    }
}

fn family<K>(meta: &Meta<K>, kind: Kind, points: Vec<Point>) -> Family {
    Family {
        name: meta.name.into(),
        help: meta.help.into(),
        unit: meta.unit.into(),
        kind,
        points,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape of `Meta`")]
    fn labels(key: &u8) -> LabelSet {
        vec![("k".into(), key.to_string().into())]
    }

    const META: Meta<u8> = Meta {
        name: "test.size",
        help: "",
        unit: "By",
        labels,
    };

    #[test]
    fn samples_fall_into_buckets() {
        let histogram = Histogram::new(META, &[1.0, 10.0]);
        for value in [1.0, 0.5, 2.0, 100.0] {
            histogram.record(&1, value, Some((TraceId(1), SpanId(2))));
        }
        let mut families = Vec::new();
        histogram.families(&mut families);
        let PointValue::Histogram {
            counts, sum, exemplars, ..
        } = &families[0].points[0].value
        else {
            panic!()
        };
        assert_eq!((counts.as_slice(), *sum), (&[2, 1, 1][..], 103.5));
        assert_eq!(exemplars.iter().map(|e| e.value).collect::<Vec<_>>(), [1.0, 2.0, 100.0]);
    }

    #[test]
    fn a_flood_of_keys_is_bounded() {
        let numbers = Numbers::up_down(Meta {
            name: "test.count",
            help: "",
            unit: "",
            labels: |key: &u32| vec![("k".into(), key.to_string().into())],
        });
        for key in 0..10_000 {
            if let Some(number) = numbers.of(&key) {
                number.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut families = Vec::new();
        numbers.families(&mut families);
        assert_eq!(families[0].points.len(), MAX_SERIES);
    }
}
