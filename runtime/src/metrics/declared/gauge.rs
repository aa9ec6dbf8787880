//! Gauges: set, or asked when someone scrapes.

use super::definition::Cellar;
use super::label::{Index, Label, Number, usable, with};
use super::{Definition, Gathered, Metric};
use crate::export::snapshot::{Kind, PointValue};
use crate::metrics::dropped::{self, Reason};
use crate::metrics::registry;
use crate::metrics::table::Cells;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

const VALUE: usize = 0;
const MOVES: usize = 1;

/// A number that is set. It has one cell for all threads: what many threads add to belongs in an
/// [`UpDownCounter`](super::UpDownCounter).
pub struct Gauge<N: Number, L = ()> {
    definition: Definition,
    cellar: Cellar,
    types: PhantomData<fn(N, L)>,
}

impl<N: Number, L> Gauge<N, L> {
    #[doc(hidden)]
    pub const fn new(definition: Definition) -> Self {
        Self {
            definition: definition.kind("gauge"),
            cellar: Cellar::new(),
            types: PhantomData,
        }
    }

    #[inline]
    fn series(&'static self, index: usize) -> GaugeSeries<N> {
        GaugeSeries {
            cells: self.cellar.cells(&self.definition, || 2),
            index,
            number: PhantomData,
        }
    }
}

impl<N: Number> Gauge<N, ()> {
    /// Sets it; what is not finite is dropped and counted.
    pub fn set(&'static self, value: N) {
        self.series(0).set(value);
    }

    /// Adds; what is not finite is dropped and counted.
    pub fn add(&'static self, amount: N) {
        self.series(0).add(amount);
    }

    /// Takes away; what is not finite is dropped and counted, and so is what would leave a `u64` below 0.
    pub fn sub(&'static self, amount: N) {
        self.series(0).sub(amount);
    }
}

impl<N: Number, L> Metric for Gauge<N, L> {
    fn definition(&'static self) -> &'static Definition {
        &self.definition
    }

    fn gather(&'static self, out: &mut Gathered<'_>) {
        let zero = || PointValue::number(N::of_bits(N::ZERO.bits()));
        out.cells(&self.definition, &self.cellar, Kind::Gauge, zero, |found| {
            let value = PointValue::number(N::of_bits(found.series.sum(VALUE)));
            (found.series.sum(MOVES) > 0).then_some(value)
        });
    }
}

with!(Gauge [N] => GaugeSeries);

/// One series of a [`Gauge`].
#[derive(Clone, Copy)]
pub struct GaugeSeries<N> {
    cells: &'static Cells,
    index: usize,
    number: PhantomData<fn(N)>,
}

impl<N: Number> GaugeSeries<N> {
    /// Sets it; what is not finite is dropped and counted.
    pub fn set(&self, value: N) {
        if usable(value, false)
            && let Some(one) = self.cells.single(self.index)
        {
            one.cell(VALUE).store(value.bits(), Ordering::Relaxed);
            one.cell(MOVES).store(1, Ordering::Relaxed);
        }
    }

    /// Adds; what is not finite is dropped and counted.
    pub fn add(&self, amount: N) {
        if usable(amount, false)
            && let Some(one) = self.cells.single(self.index)
        {
            if N::FLOAT {
                one.add_f64(VALUE, f64::from_bits(amount.bits()));
            } else {
                one.add(VALUE, amount.bits());
            }
            one.cell(MOVES).store(1, Ordering::Relaxed);
        }
    }

    /// Takes away; what is not finite is dropped and counted, and so is what would leave a `u64` below 0.
    pub fn sub(&self, amount: N) {
        if usable(amount, false)
            && let Some(one) = self.cells.single(self.index)
        {
            let left = |bits| amount.taken_from(bits);
            if one
                .cell(VALUE)
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                .is_err()
            {
                dropped::count(if N::FLOAT { Reason::NotFinite } else { Reason::Negative });
            }
            one.cell(MOVES).store(1, Ordering::Relaxed);
        }
    }
}

type Callback = Arc<dyn Fn() -> f64 + Send + Sync>;

/// A number that is asked for when someone scrapes.
///
/// # Examples
///
/// ```
/// vitalsign::metrics! {
///     /// Jobs that wait.
///     static WAITING: ObservableGauge = "jobs.waiting";
/// }
/// WAITING.observe(|| 3.0);
/// ```
pub struct ObservableGauge {
    definition: Definition,
    callback: Mutex<Option<Callback>>,
}

impl ObservableGauge {
    #[doc(hidden)]
    pub const fn new(definition: Definition) -> Self {
        Self {
            definition: definition.kind("gauge"),
            callback: Mutex::new(None),
        }
    }

    /// From now on the value is what `callback` says; it replaces the one before. It runs on the thread that gathers, so it
    /// should be quick. If it panics, or says something that is not finite, the gauge stays away from that gathering.
    pub fn observe(&'static self, callback: impl Fn() -> f64 + Send + Sync + 'static) {
        *self.callback.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(callback));
    }
}

impl Metric for ObservableGauge {
    fn definition(&'static self) -> &'static Definition {
        &self.definition
    }

    fn gather(&'static self, out: &mut Gathered<'_>) {
        let callback = self.callback.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(callback) = callback else { return };
        let Ok(value) = catch_unwind(AssertUnwindSafe(|| callback())) else {
            return;
        };
        if !value.is_finite() {
            return dropped::count(Reason::NotFinite);
        }
        let value = PointValue::number(crate::export::snapshot::Number::F64(value));
        let points = vec![registry::point(Vec::new(), value)];
        out.family(&self.definition, Kind::Gauge, points);
    }
}
