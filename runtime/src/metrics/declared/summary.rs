//! Summaries: quantiles computed here, over a sliding window.

use super::label::{Index, Label, with};
use super::{Definition, Gathered, Metric};
use crate::clock;
use crate::export::snapshot::{self, Kind, PointValue};
use crate::metrics::columns::known_labels;
use crate::metrics::dropped::{self, Reason};
use crate::metrics::{cell, registry, stripe, value};
use sketches_ddsketch::{Config, DDSketch};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// The window: so many slices of so many seconds. The oldest slice is forgotten when a new one begins.
const SLICES: usize = 6;
const SLICE_SECONDS: u64 = 10;
/// No summary has more series.
const MAX_SERIES: usize = 2_000;
/// Parts of a series: a sketch of wide values takes 16 kB, so there is not one to each of the stripes that a large machine has.
const PARTS: usize = 8;

/// Quantiles of the last minute, within one percent, and sum and count since the start.
///
/// A summary's quantiles cannot be added up over several processes; a [`Histogram`](super::Histogram) can. Threads share the
/// eight parts of a series, each under a lock that is held to count a value and while a scrape reads.
pub struct Summary<L = ()> {
    definition: Definition,
    series: OnceLock<RwLock<HashMap<usize, Arc<Series>>>>,
    types: PhantomData<fn(L)>,
}

impl<L> Summary<L> {
    #[doc(hidden)]
    pub const fn new(definition: Definition) -> Self {
        Self {
            definition: definition.kind("summary"),
            series: OnceLock::new(),
            types: PhantomData,
        }
    }

    fn all(&self) -> &RwLock<HashMap<usize, Arc<Series>>> {
        self.series.get_or_init(RwLock::default)
    }

    fn series(&'static self, index: usize) -> SummarySeries {
        let known = self.all().read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&index) {
            return SummarySeries(Some(Arc::clone(series)));
        }
        drop(known);
        let mut known = self.all().write().unwrap_or_else(PoisonError::into_inner);
        let count = known.len();
        let series = match known.entry(index) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => {
                if count >= MAX_SERIES || !cell::admit(1) {
                    return SummarySeries(None);
                }
                Arc::clone(new.insert(Arc::default()))
            }
        };
        SummarySeries(Some(series))
    }
}

impl Summary<()> {
    /// Counts a value.
    pub fn observe(&'static self, value: f64) {
        self.series(0).observe(value);
    }
}

impl<L> Metric for Summary<L> {
    fn definition(&'static self) -> &'static Definition {
        &self.definition
    }

    fn gather(&'static self, out: &mut Gathered<'_>) {
        let known = known_labels(self.definition.labels);
        let columned = known.columned();
        let series: Vec<_> = {
            let all = self.all().read().unwrap_or_else(PoisonError::into_inner);
            all.iter().map(|(&index, series)| (index, Arc::clone(series))).collect()
        };
        let mut points: Vec<_> = series
            .into_iter()
            .filter_map(|(index, series)| {
                let value = series.value(self.definition.quantiles);
                Some(registry::point(columned.texts(index, None, None)?, value))
            })
            .collect();
        points.sort_by(|a, b| a.labels.iter().cmp(b.labels.iter()));
        if points.is_empty() && self.definition.labels.is_empty() {
            let value = Series::default().value(self.definition.quantiles);
            points.push(registry::point(Vec::new(), value));
        }
        out.family(&self.definition, Kind::Summary, points);
    }
}

with!(Summary [] => SummarySeries);

/// One series of a [`Summary`].
#[derive(Clone)]
pub struct SummarySeries(Option<Arc<Series>>);

impl SummarySeries {
    /// Counts a value; what is negative or not finite is dropped and counted. `OpenMetrics` refuses a page with a quantile below 0.
    pub fn observe(&self, value: f64) {
        if !value.is_finite() {
            return dropped::count(Reason::NotFinite);
        }
        if value < 0.0 {
            return dropped::count(Reason::Negative);
        }
        match &self.0 {
            Some(series) => series.observe(value, slice_now()),
            None => dropped::count(Reason::SeriesLimit),
        }
    }
}

fn slice_now() -> u64 {
    clock::unix_nanos(clock::now()) / (SLICE_SECONDS * 1_000_000_000)
}

struct Series {
    parts: Box<[Mutex<Part>]>,
}

/// What some of the threads recorded.
#[derive(Default)]
struct Part {
    /// With the number of the slice of time that each is of.
    slices: [Option<(u64, DDSketch)>; SLICES],
    sum: f64,
    count: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Series {
    fn observe(&self, value: f64, slice: u64) {
        let mut part = self.parts[stripe::mine() % PARTS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sum = part.sum + value;
        if !sum.is_finite() {
            return dropped::count(Reason::NotFinite);
        }
        part.sum = sum;
        part.count += 1;
        let place = &mut part.slices[slice as usize % SLICES];
        if !matches!(place, Some((of, _)) if *of == slice) {
            *place = Some((slice, DDSketch::new(Config::defaults())));
        }
        if let Some((_, sketch)) = place {
            sketch.add(value);
        }
    }

    fn value(&self, quantiles: &[f64]) -> PointValue {
        let now = slice_now();
        let mut all = DDSketch::new(Config::defaults());
        let (mut sum, mut count) = (0.0, 0);
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            sum += part.sum;
            count += part.count;
            for place in &mut part.slices {
                match place {
                    Some((slice, sketch)) if *slice + SLICES as u64 > now => {
                        // They have one configuration.
                        let _ = all.merge(sketch);
                    }
                    // It would not be looked at again, and a series at rest needs no memory for it.
                    gone => *gone = None,
                }
            }
        }
        PointValue::Summary(Box::new(snapshot::Summary {
            quantiles: quantiles
                .iter()
                .map(|&q| (q, all.quantile(q).ok().flatten().unwrap_or(f64::NAN)))
                .collect(),
            sum: value::finite(sum),
            count,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_stays_finite() {
        let series = Series::default();
        for _ in 0..2 {
            series.observe(f64::MAX, slice_now());
        }
        let value = || match series.value(&[1.0]) {
            PointValue::Summary(summary) => *summary,
            _ => panic!(),
        };
        assert_eq!((value().sum, value().count), (f64::MAX, 1), "the second was dropped");
        assert!(value().quantiles[0].1.is_finite());
        // Nor do the parts exceed it together.
        for part in &series.parts {
            part.lock().unwrap().sum = f64::MAX;
        }
        assert_eq!(value().sum, f64::MAX);
    }

    #[test]
    fn the_window_slides() {
        let series = Series::default();
        let now = slice_now();
        for _ in 1..=100 {
            series.observe(1000.0, now - SLICES as u64 - 1);
        }
        for n in 1..=100 {
            series.observe(f64::from(n), now);
        }
        let PointValue::Summary(summary) = series.value(&[0.5, 1.0]) else {
            panic!()
        };
        let snapshot::Summary { quantiles, count, sum } = *summary;
        assert!((quantiles[0].1 - 50.0).abs() < 1.5, "{quantiles:?}");
        assert!((quantiles[1].1 - 100.0).abs() < 1.5, "{quantiles:?}");
        assert_eq!(count, 200);
        // What has left the window takes no memory, and threads beyond the parts share them.
        let kept = series
            .parts
            .iter()
            .map(|part| part.lock().unwrap().slices.iter().flatten().count());
        assert_eq!(kept.sum::<usize>(), 1);
        std::thread::scope(|scope| {
            for _ in 0..2 * PARTS {
                scope.spawn(|| series.observe(1.0, now));
            }
        });
        assert_eq!(series.value(&[]).count(), 200 + 2 * PARTS as u64);
        assert!((sum - 105_050.0).abs() < 1e-6);
    }
}
