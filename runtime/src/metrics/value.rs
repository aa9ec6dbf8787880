//! The value of a series as a scrape sees it, put together from cells and from parts.

use super::bucket::{self, Layout, Shape};
use super::table::Found;
use crate::clock;
use crate::export::snapshot::{Exemplar, Exponential, Histogram, Kind, Number, PointValue};

pub(super) fn empty_histogram(layout: &Layout) -> PointValue {
    match &layout.shape {
        Shape::Classic { bounds, ticks, .. } => PointValue::histogram(Histogram {
            bounds: bounds.clone(),
            counts: vec![0; ticks.len()],
            sum: 0.0,
            exemplars: Vec::new(),
        }),
        Shape::Native { .. } => PointValue::Exponential(Box::new(Exponential {
            schema: bucket::SCHEMA,
            zero_threshold: bucket::ZERO_THRESHOLD,
            zero_count: 0,
            positive: Vec::new(),
            sum: 0.0,
            count: 0,
            exemplars: Vec::new(),
        })),
    }
}

/// A sum of finite numbers stays one: what threads hold may exceed the largest float only together.
pub(super) fn finite(sum: f64) -> f64 {
    sum.clamp(f64::MIN, f64::MAX)
}

/// Exponential buckets of half the resolution.
fn halve(positive: &[(i32, u64)]) -> Vec<(i32, u64)> {
    let mut halved: Vec<(i32, u64)> = Vec::with_capacity(positive.len());
    for &(index, count) in positive {
        // Bucket i ends at 2^(i·2^-schema): i and i-1 join where i is even.
        let index = (index + 1) >> 1;
        match halved.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => halved.push((index, count)),
        }
    }
    halved
}

/// No more buckets from first to last than OTLP and Prometheus keep.
const MAX_NATIVE: i32 = 160;

fn narrow(mut schema: i8, mut positive: Vec<(i32, u64)>) -> (i8, Vec<(i32, u64)>) {
    while let (Some(first), Some(last)) = (positive.first(), positive.last())
        && last.0 - first.0 >= MAX_NATIVE
    {
        positive = halve(&positive);
        schema -= 1;
    }
    (schema, positive)
}

pub(super) fn histogram(layout: &'static Layout, found: &Found<'_>, sum: f64) -> PointValue {
    let exemplars = found
        .exemplars
        .of(found.unit)
        .map(|(_, kept)| Exemplar {
            value: layout.seconds(kept.value),
            unix_nanos: clock::unix_nanos(kept.at),
            trace_id: kept.trace_id,
            span_id: kept.span_id,
        })
        .collect();
    let counts = found
        .series
        .sums(bucket::FIRST_BUCKET, layout.width - bucket::FIRST_BUCKET);
    histogram_of(layout, counts, sum, exemplars)
}

/// The same of values that are no durations.
pub(super) fn histogram_of_values(layout: &'static Layout, found: &Found<'_>, sum: f64) -> PointValue {
    let exemplars = found.exemplars.floats(found.unit).collect();
    let counts = found
        .series
        .sums(bucket::FIRST_BUCKET, layout.width - bucket::FIRST_BUCKET);
    histogram_of(layout, counts, sum, exemplars)
}

/// A histogram of these counts, bucket by bucket.
pub(super) fn histogram_of(layout: &Layout, counts: Vec<u64>, sum: f64, exemplars: Vec<Exemplar>) -> PointValue {
    match &layout.shape {
        Shape::Classic { bounds, .. } => PointValue::histogram(Histogram {
            bounds: bounds.clone(),
            counts,
            sum,
            exemplars,
        }),
        Shape::Native { .. } => {
            let positive = counts
                .iter()
                .enumerate()
                .skip(1)
                .filter(|&(_, &count)| count > 0)
                .map(|(bucket, &count)| (Layout::native_index(bucket), count))
                .collect();
            let (schema, positive) = narrow(bucket::SCHEMA, positive);
            PointValue::Exponential(Box::new(Exponential {
                schema,
                zero_threshold: bucket::ZERO_THRESHOLD,
                zero_count: counts[0],
                positive,
                sum,
                count: counts.iter().sum(),
                exemplars,
            }))
        }
    }
}

impl PointValue {
    pub(crate) fn number(value: Number) -> Self {
        Self::Number { value, exemplar: None }
    }

    pub(crate) fn histogram(histogram: Histogram) -> Self {
        Self::Histogram(Box::new(histogram))
    }

    /// Observations of a histogram or summary.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Histogram(histogram) => histogram.counts.iter().sum(),
            Self::Exponential(histogram) => histogram.count,
            Self::Summary(summary) => summary.count,
            Self::Number { .. } | Self::Info => 0,
        }
    }

    /// Adds another part of the same series. The first stands, and it is false, where they do not add up: histograms of different
    /// buckets, summaries. Of levels the first stands, too, except one of 0, which may never have been set.
    #[must_use]
    pub(crate) fn merge(&mut self, kind: Kind, other: Self) -> bool {
        match (self, other) {
            (mine @ Self::Number { .. }, other @ Self::Number { .. }) if kind == Kind::Gauge => {
                if matches!(mine, Self::Number { value, .. } if value.as_f64() == 0.0) {
                    *mine = other;
                }
            }
            (Self::Number { value, exemplar }, Self::Number { value: v, exemplar: e }) => {
                *value = value.plus(v);
                let at = |exemplar: &Option<Box<Exemplar>>| exemplar.as_ref().map(|example| example.unix_nanos);
                if at(&e) > at(exemplar) {
                    *exemplar = e;
                }
            }
            (Self::Histogram(mine), Self::Histogram(other)) if mine.bounds == other.bounds => mine.merge(*other),
            (Self::Exponential(mine), Self::Exponential(other)) => mine.merge(*other),
            (Self::Info, Self::Info) => {}
            _ => return false,
        }
        true
    }
}

impl Histogram {
    /// Adds one of the same bounds.
    fn merge(&mut self, other: Self) {
        for (mine, other) in self.counts.iter_mut().zip(other.counts) {
            *mine += other;
        }
        self.sum = finite(self.sum + other.sum);
        self.exemplars.extend(other.exemplars);
    }
}

impl Exponential {
    fn merge(&mut self, mut other: Self) {
        for _ in self.schema..other.schema {
            other.positive = halve(&other.positive);
        }
        for _ in other.schema..self.schema {
            self.positive = halve(&self.positive);
        }
        self.schema = self.schema.min(other.schema);
        for (index, count) in other.positive {
            match self.positive.binary_search_by_key(&index, |&(index, _)| index) {
                Ok(at) => self.positive[at].1 += count,
                Err(at) => self.positive.insert(at, (index, count)),
            }
        }
        // The two may lie far apart.
        let (schema, positive) = narrow(self.schema, std::mem::take(&mut self.positive));
        (self.schema, self.positive) = (schema, positive);
        self.zero_count += other.zero_count;
        self.sum = finite(self.sum + other.sum);
        self.count += other.count;
        self.exemplars.extend(other.exemplars);
    }
}

impl Number {
    pub(super) fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::U64(a), Self::U64(b)) => Self::U64(a.wrapping_add(b)),
            (Self::I64(a), Self::I64(b)) => Self::I64(a.wrapping_add(b)),
            (a, b) => Self::F64(finite(a.as_f64() + b.as_f64())),
        }
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::U64(n) => n as f64,
            Self::I64(n) => n as f64,
            Self::F64(n) => n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponential(positive: Vec<(i32, u64)>, sum: f64) -> PointValue {
        PointValue::Exponential(Box::new(Exponential {
            schema: bucket::SCHEMA,
            zero_threshold: bucket::ZERO_THRESHOLD,
            zero_count: 0,
            count: positive.iter().map(|(_, count)| count).sum(),
            positive,
            sum,
            exemplars: Vec::new(),
        }))
    }

    #[test]
    fn parts_that_lie_far_apart_have_no_more_buckets_together() {
        let mut all = exponential(vec![(-200, 1), (-150, 2)], f64::MAX);
        assert!(all.merge(Kind::Histogram, exponential(vec![(150, 4), (300, 8)], f64::MAX)));
        let PointValue::Exponential(all) = all else { panic!() };
        let (first, last) = (all.positive[0].0, all.positive.last().unwrap().0);
        assert!(last - first < MAX_NATIVE, "{:?}", all.positive);
        assert_eq!((all.schema, all.count), (bucket::SCHEMA - 2, 15));
        assert_eq!(all.positive.iter().map(|(_, count)| count).sum::<u64>(), 15);
        assert_eq!(all.sum, f64::MAX);
    }

    fn classic(bound: f64, sum: f64) -> PointValue {
        PointValue::histogram(Histogram {
            bounds: [bound].into(),
            counts: vec![0, 1],
            sum,
            exemplars: Vec::new(),
        })
    }

    #[test]
    fn parts_that_do_not_add_up_are_told() {
        for other in [classic(2.0, 3.0), exponential(vec![(1, 1)], 3.0)] {
            let mut all = classic(1.0, 2.0);
            assert!(!all.merge(Kind::Histogram, other));
            let PointValue::Histogram(all) = all else { panic!() };
            assert_eq!((all.sum, all.counts), (2.0, vec![0, 1]));
        }
    }

    #[test]
    fn levels_do_not_add_up() {
        let shown = |kind, parts: [f64; 3]| {
            let mut all = PointValue::number(Number::F64(parts[0]));
            for part in &parts[1..] {
                assert!(all.merge(kind, PointValue::number(Number::F64(*part))));
            }
            match all {
                PointValue::Number { value, .. } => value.as_f64(),
                _ => panic!("{all:?}"),
            }
        };
        assert_eq!(shown(Kind::Gauge, [20.0, 20.5, 0.0]), 20.0);
        assert_eq!(shown(Kind::Gauge, [0.0, 17.0, 18.0]), 17.0);
        assert_eq!(shown(Kind::UpDownCounter, [20.0, 20.5, 0.0]), 40.5);
    }

    #[test]
    fn sums_of_parts_stay_finite() {
        let mut all = classic(1.0, f64::MAX);
        assert!(all.merge(Kind::Histogram, classic(1.0, f64::MAX)));
        let PointValue::Histogram(all) = all else { panic!() };
        assert_eq!((all.sum, all.counts), (f64::MAX, vec![0, 2]));
        let largest = Number::F64(f64::MAX);
        assert_eq!(largest.plus(largest), largest);
    }
}
