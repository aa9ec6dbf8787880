//! What came of each series since it was last told, for delta temporality.

use crate::export::snapshot::{Exemplar, Exponential, Family, Histogram, Labels, Number, Point, PointValue};
use std::borrow::Cow;
use std::collections::HashMap;

/// Name, unit and labels: seconds and milliseconds of one name are two metrics.
pub(super) type Series = (Cow<'static, str>, Cow<'static, str>, Labels);

pub(super) fn series(family: &Family, point: &Point) -> Series {
    (family.name.clone(), family.unit.clone(), point.labels.clone())
}

/// What had been counted when deltas were last delivered.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) unix_nanos: u64,
    pub(super) values: Told,
}

/// What was told of each series, and when.
pub(super) type Told = HashMap<Series, (u64, PointValue)>;

/// A point, and its value and start as they are to be told.
pub(super) type News<'a> = (&'a Point, Cow<'a, PointValue>, u64);

/// The whole value, or what came after the last; `None` where nothing was recorded since. What is only read was read now, and is told
/// in any case.
pub(super) fn news<'a>(family: &Family, point: &'a Point, last: Option<&State>) -> Option<News<'a>> {
    let start = point.start_unix_nanos;
    let old = last.and_then(|last| last.values.get(&series(family, point)));
    // One that began since was counted from nothing.
    let old = old.filter(|(since, _)| start <= *since);
    Some(match (last, old) {
        (None, _) => (point, Cow::Borrowed(&point.value), start),
        (Some(_), Some((since, old))) => {
            let mut value = minus(&point.value, old);
            if value.is_nothing() && !family.observed {
                return None;
            }
            value.keep_examples_since(*since);
            (point, Cow::Owned(value), *since)
        }
        (Some(last), None) => (point, Cow::Borrowed(&point.value), start.max(last.unix_nanos)),
    })
}

impl PointValue {
    /// Of a difference: there is none.
    fn is_nothing(&self) -> bool {
        match self {
            Self::Number { value, .. } => match value {
                Number::U64(value) => *value == 0,
                Number::I64(value) => *value == 0,
                Number::F64(value) => *value == 0.0,
            },
            Self::Histogram(histogram) => histogram.counts.iter().all(|count| *count == 0),
            Self::Exponential(histogram) => histogram.count == 0,
            Self::Summary(_) | Self::Info => false,
        }
    }

    /// The same: an example that was told with the last one is none of this.
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
