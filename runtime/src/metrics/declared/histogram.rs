//! Histograms of any value, and timers for them.

use super::definition::{Cellar, Shelf};
use super::label::{Index, Label, with};
use super::{Definition, Gathered, Metric};
use crate::clock;
use crate::export::snapshot::Kind;
use crate::metrics::bucket::{self, Layout};
use crate::metrics::dropped::{self, Reason};
use crate::metrics::table::Cells;
use crate::metrics::value;
use crate::trace::direct;
use std::marker::PhantomData;

/// Values counted in buckets, and their sum. Values that are negative or not finite are dropped and counted in
/// `vitalsign_metrics_dropped_total`. Those counted under a sampled span leave exemplars.
pub struct Histogram<L = ()> {
    definition: Definition,
    cellar: Cellar,
    shelf: Shelf,
    types: PhantomData<fn(L)>,
}

impl<L> Histogram<L> {
    #[doc(hidden)]
    pub const fn new(definition: Definition) -> Self {
        Self {
            definition: definition.kind("histogram"),
            cellar: Cellar::new(),
            shelf: Shelf::new(),
            types: PhantomData,
        }
    }

    #[inline]
    fn series(&'static self, index: usize) -> HistogramSeries {
        let layout = self.shelf.layout(&self.definition);
        HistogramSeries {
            cells: self.cellar.histogram(&self.definition, layout),
            layout,
            index: u32::try_from(index).unwrap_or(u32::MAX),
        }
    }
}

impl Histogram<()> {
    /// Counts a value.
    #[inline]
    pub fn observe(&'static self, value: f64) {
        self.series(0).observe(value);
    }

    /// Measures until the timer is dropped, in seconds.
    #[inline]
    pub fn start_timer(&'static self) -> Timer {
        self.series(0).start_timer()
    }

    /// Measures what `body` takes, in seconds; also when it panics.
    #[inline]
    pub fn time<R>(&'static self, body: impl FnOnce() -> R) -> R {
        self.series(0).time(body)
    }
}

impl<L> Metric for Histogram<L> {
    fn definition(&'static self) -> &'static Definition {
        &self.definition
    }

    fn gather(&'static self, out: &mut Gathered<'_>) {
        let layout = self.shelf.layout(&self.definition);
        out.cells(
            &self.definition,
            &self.cellar,
            Kind::Histogram,
            || value::empty_histogram(layout),
            |found| {
                let value =
                    value::histogram_of_values(layout, &found, value::finite(found.series.sum_f64(bucket::SUM)));
                (value.count() > 0).then_some(value)
            },
        );
    }
}

with!(Histogram [] => HistogramSeries);

/// One series of a [`Histogram`].
#[derive(Clone, Copy)]
pub struct HistogramSeries {
    cells: &'static Cells,
    layout: &'static Layout,
    index: u32,
}

impl HistogramSeries {
    /// Counts a value.
    #[inline]
    pub fn observe(&self, value: f64) {
        if !value.is_finite() {
            return dropped::count(Reason::NotFinite);
        }
        if value < 0.0 {
            return dropped::count(Reason::Negative);
        }
        if let Some(mine) = self.cells.plain(self.index) {
            let bucket = self.layout.bucket_of(value);
            let turn = mine.add(bucket::FIRST_BUCKET + bucket, 1);
            mine.add_f64(bucket::SUM, value);
            if direct::may_be_example(0) {
                self.cells
                    .example(self.index as usize, self.layout.slot(bucket), value, turn);
            }
        }
    }

    /// Measures until the timer is dropped, in seconds.
    #[inline]
    pub fn start_timer(&self) -> Timer {
        Timer {
            series: *self,
            start: clock::now(),
            discarded: false,
        }
    }

    /// Measures what `body` takes, in seconds; also when it panics.
    #[inline]
    pub fn time<R>(&self, body: impl FnOnce() -> R) -> R {
        let _timer = self.start_timer();
        body()
    }
}

/// Measures from its making to its drop.
#[must_use = "dropped at once, it measures nothing"]
pub struct Timer {
    series: HistogramSeries,
    start: u64,
    discarded: bool,
}

impl Timer {
    /// Ends it now.
    pub fn stop(self) {
        drop(self);
    }

    /// Ends it without counting.
    pub fn discard(mut self) {
        self.discarded = true;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if !self.discarded {
            self.series
                .observe(clock::nanos_between(self.start, clock::now()) as f64 / 1e9);
        }
    }
}
