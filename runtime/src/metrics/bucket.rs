//! Where a duration falls: bounds in ticks, so that recording converts nothing.

use super::cell::Series;
use crate::clock;
use crate::site::Buckets;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Those of the HTTP semantic conventions, in seconds.
pub(crate) const DEFAULT: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The resolution of native histograms: eight buckets to the doubling, as Prometheus' growth factor 1.1 gives.
pub(crate) const SCHEMA: i8 = 3;
const PER_DOUBLING: i32 = 1 << SCHEMA;
/// From a nanosecond up: what lies below is zero.
const LOWEST: i32 = -30 * PER_DOUBLING;
/// Durations to twelve days, values to 10^15: what lies beyond counts as the last.
const HIGHEST_DURATION: i32 = 20 * PER_DOUBLING;
const HIGHEST_VALUE: i32 = 50 * PER_DOUBLING;
/// Below this is zero.
pub(crate) const ZERO_THRESHOLD: f64 = 1.0 / (1 << 30) as f64;

/// Examples kept of a native series.
const NATIVE_SLOTS: usize = 20;

/// What is wrong with a list of bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadBounds {
    Empty,
    NotFinite,
    NotRising,
}

impl std::fmt::Display for BadBounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "there is no bucket bound",
            Self::NotFinite => "a bucket bound is not a finite number (+Inf is added by itself)",
            Self::NotRising => "the bucket bounds do not rise",
        })
    }
}

static DEFAULT_NATIVE: AtomicBool = AtomicBool::new(false);

/// `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`: histograms that declare no buckets are exponential. Asked for
/// before the first call; what is laid out stays so.
pub(crate) fn set_default_native(native: bool) {
    DEFAULT_NATIVE.store(native, Ordering::Relaxed);
}

/// Whether histograms that declare no buckets are exponential.
pub(crate) fn is_native_by_default() -> bool {
    DEFAULT_NATIVE.load(Ordering::Relaxed)
}

/// The bounds of classic buckets; `None` for native ones.
pub(crate) fn bounds(buckets: Buckets) -> Option<Vec<f64>> {
    Some(match buckets {
        Buckets::Default if DEFAULT_NATIVE.load(Ordering::Relaxed) => return None,
        Buckets::Default => DEFAULT.to_vec(),
        Buckets::Classic(bounds) => bounds.to_vec(),
        Buckets::Exponential { start, factor, count } => {
            (0..count.min(1000) as i32).map(|n| start * factor.powi(n)).collect()
        }
        Buckets::Native => return None,
    })
}

/// Whether bounds can be used.
pub(crate) fn check(bounds: &[f64]) -> Result<(), BadBounds> {
    if bounds.is_empty() {
        Err(BadBounds::Empty)
    } else if bounds.iter().any(|bound| !bound.is_finite()) {
        Err(BadBounds::NotFinite)
    } else if bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
        Err(BadBounds::NotRising)
    } else {
        Ok(())
    }
}

/// How the cells of one histogram series lie: the sum first, then the buckets.
pub(crate) struct Layout {
    buckets: Buckets,
    pub(crate) shape: Shape,
    /// In ticks: up to here it is bucket 0, whatever the shape.
    lowest: u64,
    /// Cells of one series.
    pub(crate) width: usize,
    seconds_per_tick: f64,
}

/// The cell of the sum; the buckets follow.
pub(crate) const SUM: usize = 0;
pub(crate) const FIRST_BUCKET: usize = 1;

pub(crate) enum Shape {
    Classic {
        /// In seconds, rising.
        bounds: Arc<[f64]>,
        /// The same in ticks; one more, that nothing exceeds.
        ticks: Box<[u64]>,
        /// By the number of leading zeros of a duration: the first bound it can be below.
        start: [u16; 65],
    },
    /// Bucket 0 is the zero bucket.
    Native { highest: i32 },
}

static LAYOUTS: Mutex<Vec<&'static Layout>> = Mutex::new(Vec::new());

impl Layout {
    /// The one layout of these buckets. Unusable bounds give the default ones: `init()` has refused them by then, or was
    /// never asked.
    pub(crate) fn of(buckets: Buckets) -> &'static Self {
        let mut known = LAYOUTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = known.iter().find(|layout| layout.buckets == buckets) {
            return layout;
        }
        let layout = Box::leak(Box::new(Self::new(
            buckets,
            clock::ticks_per_second(),
            HIGHEST_DURATION,
        )));
        known.push(layout);
        layout
    }

    /// Of values that are no durations: what is observed is an `f64`.
    pub(crate) fn of_values(buckets: Buckets) -> Self {
        Self::new(buckets, 1.0, HIGHEST_VALUE)
    }

    fn new(buckets: Buckets, ticks_per_second: f64, highest: i32) -> Self {
        let shape = match bounds(buckets) {
            // Without any there is one bucket, which other APIs may ask for.
            Some(bounds) if bounds.is_empty() || check(&bounds).is_ok() => Shape::classic(&bounds, ticks_per_second),
            Some(_) => Shape::classic(&DEFAULT, ticks_per_second),
            None => Shape::Native { highest },
        };
        Self {
            buckets,
            width: FIRST_BUCKET
                + match &shape {
                    Shape::Classic { ticks, .. } => ticks.len(),
                    Shape::Native { highest } => (highest - LOWEST) as usize + 2,
                },
            lowest: match &shape {
                Shape::Classic { ticks, .. } => ticks[0],
                Shape::Native { .. } => 0,
            },
            shape,
            seconds_per_tick: 1.0 / ticks_per_second,
        }
    }

    /// The bucket of a duration.
    #[inline]
    pub(crate) fn bucket(&self, duration: u64) -> usize {
        self.near_bucket(duration).unwrap_or_else(|| match &self.shape {
            Shape::Native { highest } => native_bucket(self.seconds(duration), *highest),
            Shape::Classic { bounds, .. } => bounds.len(),
        })
    }

    /// The same, where it takes no arithmetic. Most calls end below the first bound, and those are the ones of which a nanosecond
    /// is a part worth speaking of.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a comparison, in every record")]
    pub(crate) fn near_bucket(&self, duration: u64) -> Option<usize> {
        if duration <= self.lowest {
            return Some(0);
        }
        let Shape::Classic { ticks, start, .. } = &self.shape else {
            return None;
        };
        let mut at = usize::from(*start.get(duration.leading_zeros() as usize)?);
        while duration > *ticks.get(at)? {
            at += 1;
        }
        Some(at)
    }

    /// The bucket of a value that is not negative.
    #[inline]
    pub(crate) fn bucket_of(&self, value: f64) -> usize {
        match &self.shape {
            Shape::Classic { bounds, .. } => bounds.partition_point(|bound| *bound < value),
            Shape::Native { highest } => native_bucket(value, *highest),
        }
    }

    /// How many durations a series holds.
    pub(crate) fn count(&self, series: &Series<'_>) -> u64 {
        series.sums(FIRST_BUCKET, self.width - FIRST_BUCKET).iter().sum()
    }

    /// A duration in seconds.
    #[inline]
    pub(crate) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 * self.seconds_per_tick
    }

    /// How many examples a series keeps: one to each classic bucket, twenty in all of native ones.
    pub(crate) fn slots(&self) -> usize {
        match &self.shape {
            Shape::Classic { ticks, .. } => ticks.len(),
            Shape::Native { .. } => NATIVE_SLOTS,
        }
    }

    /// Where an example of this bucket goes.
    #[inline]
    pub(crate) fn slot(&self, bucket: usize) -> usize {
        match &self.shape {
            Shape::Classic { .. } => bucket,
            Shape::Native { .. } => bucket / PER_DOUBLING as usize % NATIVE_SLOTS,
        }
    }

    /// The exponential index of a bucket that is not the zero bucket.
    pub(crate) fn native_index(bucket: usize) -> i32 {
        bucket as i32 - 1 + LOWEST
    }
}

impl Shape {
    fn classic(bounds: &[f64], ticks_per_second: f64) -> Self {
        let ticks: Box<[u64]> = bounds
            .iter()
            // A whole number of ticks is at most the bound exactly when it is at most the bound's whole part. A negative
            // bound holds no duration, not even 0, which the cast would let in; none is below 1 tick otherwise.
            .map(|bound| (bound * ticks_per_second) as u64)
            .chain([u64::MAX])
            .collect();
        let mut start = [0; 65];
        for (zeros, start) in start.iter_mut().enumerate() {
            let smallest = if zeros == 64 { 0 } else { 1 << (63 - zeros) };
            *start = ticks.partition_point(|&bound| bound < smallest) as u16;
        }
        Self::Classic {
            bounds: bounds.into(),
            ticks,
            start,
        }
    }
}

fn native_bucket(value: f64, highest: i32) -> usize {
    native(value).map_or(0, |index| (index.clamp(LOWEST, highest) - LOWEST) as usize + 1)
}

/// The exponential bucket of a value: `i` with `2^((i-1)/8) < value <= 2^(i/8)`; `None` for zero.
pub(crate) fn native(value: f64) -> Option<i32> {
    /// `2^(n/8)`: where an eighth of a doubling ends.
    const EIGHTHS: [f64; 8] = [
        1.0,
        1.090_507_732_665_257_7,
        1.189_207_115_002_721,
        1.296_839_554_651_009_6,
        std::f64::consts::SQRT_2,
        1.542_210_825_407_940_7,
        1.681_792_830_507_429,
        1.834_008_086_409_342_5,
    ];
    if value <= ZERO_THRESHOLD {
        return None;
    }
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let eighths = EIGHTHS.iter().filter(|&&end| mantissa > end).count() as i32;
    Some(exponent * PER_DOUBLING + eighths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(bounds: &'static [f64]) -> Layout {
        Layout::new(Buckets::Classic(bounds), 1e9, HIGHEST_DURATION)
    }

    #[test]
    fn each_bound_belongs_to_its_bucket() {
        let layout = Layout::new(Buckets::Default, 2.4e9, HIGHEST_DURATION);
        let Shape::Classic { ticks, .. } = &layout.shape else {
            panic!()
        };
        for (at, &bound) in ticks.iter().enumerate() {
            assert_eq!(layout.bucket(bound), at, "{bound}");
            assert_eq!(layout.bucket(bound - 1), at, "{bound}");
            if at < DEFAULT.len() {
                assert_eq!(layout.bucket(bound + 1), at + 1, "{bound}");
            }
        }
        assert_eq!(layout.bucket(0), 0);
        assert_eq!(layout.width, 16);
    }

    #[test]
    fn every_duration_finds_the_bucket_that_a_search_finds() {
        let layout = layout(&[1e-9, 2e-9, 3e-9, 1e-6, 1.5e-6, 2e-6, 1.0, 3600.0]);
        let Shape::Classic { ticks, .. } = &layout.shape else {
            panic!()
        };
        let mut duration = 1u64;
        for n in 0..100_000u64 {
            duration = duration.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n);
            let duration = duration >> (n % 64);
            assert_eq!(
                layout.bucket(duration),
                ticks.partition_point(|&bound| bound < duration)
            );
        }
    }

    #[test]
    fn native_buckets_hold_what_they_should() {
        for n in 1..2000 {
            let value = 1e-9 * 1.017_f64.powi(n);
            if value <= ZERO_THRESHOLD {
                continue;
            }
            let index = f64::from(native(value).unwrap());
            assert!(value <= (index / 8.0).exp2() * 1.000_000_1, "{value}");
            assert!(value > ((index - 1.0) / 8.0).exp2() * 0.999_999_9, "{value}");
        }
        assert_eq!(native(1.0), Some(0));
        assert_eq!(native(2.0), Some(8));
        assert_eq!(native(1.5), Some(5));
        assert_eq!(native(0.0), None);
    }

    #[test]
    fn unusable_bounds_are_named() {
        assert_eq!(check(&[]), Err(BadBounds::Empty));
        assert_eq!(check(&[1.0, f64::INFINITY]), Err(BadBounds::NotFinite));
        assert_eq!(check(&[f64::NAN]), Err(BadBounds::NotFinite));
        assert_eq!(check(&[1.0, 1.0]), Err(BadBounds::NotRising));
        assert_eq!(check(&[2.0, 1.0]), Err(BadBounds::NotRising));
        assert_eq!(check(&DEFAULT), Ok(()));
    }
}
