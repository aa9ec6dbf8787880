//! Series whose labels are not known to any attribute: what our own layers measure, by the semantic conventions.
//!
//! A key is a few small integers, so looking a series up is one hash of a few bytes, and for the first series of a family no lock.
//! The number of series is bounded by the key's type, by a cap, and by the cap on all series; what comes beyond is dropped and
//! counted.

use super::exemplar::Exemplars;
use super::registry::{LabelSet, Source, started};
use super::{cell, dropped};
use crate::export::snapshot::{self, Family, Kind, Number, Point, PointValue};
use crate::operation::Described;
use crate::quick::BuildQuick;
use crate::trace::event::{Measured, Moved};
use crate::trace::{SpanId, TraceId};
use crate::{clock, switch, testing};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

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

/// A series and its key.
type Place<K, S> = OnceLock<(K, Arc<S>)>;

/// The series of a family, or what else there is one of for each key.
pub(crate) struct Table<K, S> {
    /// Those that came first and found a place, to be found again without a lock. Most families have no others.
    quick: Box<[Place<K, S>]>,
    all: RwLock<HashMap<K, Arc<S>, BuildQuick>>,
}

impl<K, S> Default for Table<K, S> {
    fn default() -> Self {
        Self {
            quick: (0..QUICK).map(|_| OnceLock::new()).collect(),
            all: RwLock::default(),
        }
    }
}

/// Places for the first series; a power of two.
const QUICK: usize = 32;
/// So many of them in a row are looked at.
const TRIES: usize = 4;

impl<K: Hash + Eq + Clone, S> Table<K, S> {
    /// Calls with the series of a key; `None` beyond the cap, or where there is no room to `make` it.
    pub(crate) fn with<R>(
        &self,
        key: &K,
        make: impl FnOnce() -> Option<S>,
        call: impl FnOnce(&Arc<S>) -> R,
    ) -> Option<R> {
        let hash = BuildQuick::default().hash_one(key) as usize;
        let mut free = None;
        for at in 0..TRIES {
            let place = &self.quick[(hash + at) % QUICK];
            match place.get() {
                Some((known, series)) if known == key => return Some(call(series)),
                Some(_) => {}
                None => {
                    free = Some(place);
                    break;
                }
            }
        }
        let series = self.find(key, make)?;
        if let Some(place) = free {
            // Another thread may have taken it meanwhile; then this key finds the next, or none.
            let _ = place.set((key.clone(), series.clone()));
        }
        Some(call(&series))
    }

    fn find(&self, key: &K, make: impl FnOnce() -> Option<S>) -> Option<Arc<S>> {
        if let Some(series) = self.all.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Some(series.clone());
        }
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = all.get(key) {
            return Some(series.clone());
        }
        if all.len() >= MAX_SERIES {
            return None;
        }
        let series = Arc::new(make()?);
        all.insert(key.clone(), series.clone());
        Some(series)
    }

    fn snapshot(&self) -> Vec<(K, Arc<S>)> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(key, series)| (key.clone(), series.clone())).collect()
    }
}

/// Counts what has no series.
fn counted<R>(found: Option<R>) -> Option<R> {
    if found.is_none() {
        dropped::count(dropped::Reason::SeriesLimit);
    }
    found
}

/// Histogram families of the same keys: what moves several of them at once looks its key up once.
pub(crate) struct Histograms<K, const N: usize> {
    families: [(Meta<K>, Arc<[f64]>); N],
    table: Table<K, Row<N>>,
}

/// The series of one key in each family, as far as there have been samples, and room.
pub(crate) type Row<const N: usize> = [OnceLock<Option<Buckets>>; N];

/// One family.
pub(crate) type Histogram<K> = Histograms<K, 1>;

/// One series.
pub(crate) struct Buckets {
    counts: Box<[AtomicU64]>,
    /// The bits of a float.
    sum: AtomicU64,
    exemplars: Exemplars,
}

impl Buckets {
    /// None where there is no room for one more.
    fn new(bounds: &[f64]) -> Option<Self> {
        let len = bounds.len() + 1;
        cell::admit(1).then(|| Self {
            counts: (0..len).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            exemplars: Exemplars::new(1, len),
        })
    }

    fn record(&self, bounds: &[f64], sample: &Sample) {
        let Sample { value, exemplar } = *sample;
        let bucket = bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            Some((f64::from_bits(bits) + value).to_bits())
        });
        if let Some((now, trace, span)) = exemplar {
            self.exemplars
                .offer(0, bucket, value.to_bits(), now, || Some((trace, span)));
        }
    }
}

/// What is added to a histogram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    /// The sampled span that it belongs to, and when, in ticks.
    pub(crate) exemplar: Option<(u64, TraceId, SpanId)>,
}

impl Sample {
    /// The seconds from a tick to another, of a call with that span if it is sampled.
    pub(crate) fn duration(start: u64, end: u64, span: Option<(TraceId, SpanId)>) -> Self {
        Self {
            value: clock::nanos_between(start, end) as f64 / 1e9,
            exemplar: span.map(|(trace, span)| (end, trace, span)),
        }
    }
}

impl From<f64> for Sample {
    fn from(value: f64) -> Self {
        Self { value, exemplar: None }
    }
}

impl<K: Hash + Eq + Clone, const N: usize> Histograms<K, N> {
    /// Each with its bounds.
    pub(crate) fn of(families: [(Meta<K>, &[f64]); N]) -> Self {
        Self {
            families: families.map(|(meta, bounds)| (meta, bounds.into())),
            table: Table::default(),
        }
    }

    /// Adds to each family that there is a sample for.
    pub(crate) fn record_all(&self, key: &K, samples: &[Option<Sample>; N]) {
        self.with(key, |row| self.add(row, samples));
        self.capture(key, samples);
    }

    /// The same to the row of that key, which was looked up before.
    #[cfg(feature = "tower")]
    pub(crate) fn record_in(&self, row: &Row<N>, key: &K, samples: &[Option<Sample>; N]) {
        self.add(row, samples);
        self.capture(key, samples);
    }

    /// The row of a key; `None` beyond the cap.
    #[cfg(feature = "tower")]
    pub(crate) fn row(&self, key: &K) -> Option<Arc<Row<N>>> {
        self.table.with(key, Self::new_row, Arc::clone)
    }

    fn add(&self, row: &Row<N>, samples: &[Option<Sample>; N]) {
        for (((_, bounds), series), sample) in self.families.iter().zip(row).zip(samples) {
            if let Some(sample) = sample {
                match series.get_or_init(|| Buckets::new(bounds)) {
                    Some(series) => series.record(bounds, sample),
                    None => dropped::count(dropped::Reason::SeriesLimit),
                }
            }
        }
    }

    fn capture(&self, key: &K, samples: &[Option<Sample>; N]) {
        if switch::capturing() {
            for ((meta, _), sample) in self.families.iter().zip(samples) {
                if let Some(sample) = sample {
                    meta.captured(key, Moved::Sample(sample.value));
                }
            }
        }
    }

    fn with(&self, key: &K, call: impl FnOnce(&Row<N>)) {
        counted(self.table.with(key, Self::new_row, |row| call(row)));
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of what makes a series")]
    fn new_row() -> Option<Row<N>> {
        Some([const { OnceLock::new() }; N])
    }
}

impl<K: Hash + Eq + Clone> Histogram<K> {
    pub(crate) fn new(meta: Meta<K>, bounds: &[f64]) -> Self {
        Self::of([(meta, bounds)])
    }

    /// Adds a sample.
    pub(crate) fn record(&self, key: &K, sample: impl Into<Sample>) {
        self.record_all(key, &[Some(sample.into())]);
    }

    /// For the catalogue.
    pub(crate) fn described(&self, labels: Vec<(&'static str, Option<&'static str>)>) -> Described {
        let [(meta, bounds)] = &self.families;
        Described {
            bounds: Some(bounds.to_vec()),
            ..meta.described("histogram", labels)
        }
    }

    /// Makes sure that a series is shown, before its first sample.
    pub(crate) fn show(&self, key: &K) {
        let [(_, bounds)] = &self.families;
        self.with(key, |[series]| {
            series.get_or_init(|| Buckets::new(bounds));
        });
    }
}

impl<K: Hash + Eq + Clone + Send + Sync, const N: usize> Source for Histograms<K, N> {
    fn families(&self, out: &mut Vec<Family>) {
        let all = self.table.snapshot();
        for (at, (meta, bounds)) in self.families.iter().enumerate() {
            let points: Vec<Point> = all
                .iter()
                .filter_map(|(key, series)| {
                    let series = series[at].get()?.as_ref()?;
                    Some(Point {
                        labels: (meta.labels)(key).into(),
                        value: PointValue::histogram(snapshot::Histogram {
                            bounds: bounds.clone(),
                            counts: series
                                .counts
                                .iter()
                                .map(|count| count.load(Ordering::Relaxed))
                                .collect(),
                            sum: f64::from_bits(series.sum.load(Ordering::Relaxed)),
                            exemplars: series.exemplars.floats(0).collect(),
                        }),
                        typed: 0,
                        start_unix_nanos: started(),
                    })
                })
                .collect();
            if !points.is_empty() {
                out.push(family(meta, Kind::Histogram, points));
            }
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
            table: Table::default(),
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
        counted(
            self.table
                .with(key, Self::make, |number| number.fetch_add(by, Ordering::Relaxed)),
        );
        if switch::capturing() && matches!(self.kind, Kind::Counter) {
            self.meta.captured(key, Moved::By(by));
        }
    }

    /// The number of a series, to be kept by whoever will change it again.
    pub(crate) fn of(&self, key: &K) -> Option<Arc<AtomicI64>> {
        counted(self.table.with(key, Self::make, Arc::clone))
    }

    fn make() -> Option<AtomicI64> {
        cell::admit(1).then(AtomicI64::default)
    }
}

impl<K: Hash + Eq + Clone + Send + Sync> Source for Numbers<K> {
    fn families(&self, out: &mut Vec<Family>) {
        let points: Vec<Point> = self
            .table
            .snapshot()
            .into_iter()
            .map(|(key, series)| {
                let number = Number::I64(series.load(Ordering::Relaxed));
                Point {
                    labels: (self.meta.labels)(&key).into(),
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
        observed: false,
        scope: Vec::new(),
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
            let exemplar = Some((clock::now(), TraceId(1), SpanId(2)));
            histogram.record(&1, Sample { value, exemplar });
        }
        let mut families = Vec::new();
        histogram.families(&mut families);
        let PointValue::Histogram(histogram) = &families[0].points[0].value else {
            panic!()
        };
        assert_eq!((histogram.counts.as_slice(), histogram.sum), (&[2, 1, 1][..], 103.5));
        assert_eq!(
            histogram.exemplars.iter().map(|e| e.value).collect::<Vec<_>>(),
            [1.0, 2.0, 100.0]
        );
    }

    #[test]
    fn of_families_with_the_same_keys_only_those_are_shown_that_have_samples() {
        let named = |name| Meta { name, ..META };
        let both = Histograms::of([(named("test.one"), &[1.0]), (named("test.other"), &[1.0, 2.0])]);
        let shown = || {
            let mut families = Vec::new();
            both.families(&mut families);
            let of = |family: &Family| {
                let PointValue::Histogram(histogram) = &family.points[0].value else {
                    panic!()
                };
                (family.name.to_string(), family.points.len(), histogram.counts.clone())
            };
            families.iter().map(of).collect::<Vec<_>>()
        };
        let before = cell::series();
        both.record_all(&1, &[None, Some(1.5.into())]);
        assert_eq!(shown(), [("test.other".to_owned(), 1, vec![0, 1, 0])]);
        both.record_all(&1, &[Some(0.5.into()), Some(9.0.into())]);
        both.record_all(&2, &[Some(0.5.into()), None]);
        let expected = [
            ("test.one".to_owned(), 2, vec![1, 0]),
            ("test.other".to_owned(), 1, vec![0, 1, 1]),
        ];
        assert_eq!(shown(), expected);
        assert!(
            cell::series() >= before + 3,
            "each that has samples counts against the cap"
        );
    }

    #[test]
    fn what_has_no_place_in_a_histogram_is_counted() {
        let histogram = Histogram::new(
            Meta {
                name: "test.flood",
                help: "",
                unit: "",
                labels: |key: &u32| vec![("k".into(), key.to_string().into())],
            },
            &[1.0],
        );
        let before = (dropped::so_far(dropped::Reason::SeriesLimit), cell::series());
        for key in 0..MAX_SERIES as u32 + 7 {
            histogram.record(&key, 0.5);
        }
        assert!(dropped::so_far(dropped::Reason::SeriesLimit) >= before.0 + 7);
        // They count against the cap on all series.
        assert!(cell::series() >= before.1 + MAX_SERIES);
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
        // Found again, whether by a quick place or not.
        for key in [0, 1, 40, 4999] {
            numbers.add(&key, 1);
            assert_eq!(numbers.of(&key).expect("a series").load(Ordering::Relaxed), 2, "{key}");
        }
        let dropped = || dropped::so_far(dropped::Reason::SeriesLimit);
        let before = dropped();
        numbers.add(&5000, 1);
        assert!(numbers.of(&5000).is_none());
        // Other tests may be at their limits, too.
        assert!(dropped() >= before + 2);
    }
}
