//! Counters, and counters that also go down.

use super::definition::Cellar;
use super::label::{Index, Label, Number, usable, with};
use super::{Definition, Gathered, Metric};
use crate::export::snapshot::{Kind, Number as Level, PointValue};
use crate::metrics::table::Cells;
use crate::metrics::value::finite;
use crate::trace::direct;
use std::marker::PhantomData;

/// The cell of the value, and one that says that there is one.
const VALUE: usize = 0;
const MOVES: usize = 1;

macro_rules! counters {
    ($(#[$doc:meta])* $metric:ident, $(#[$series_doc:meta])* $series:ident, $kind:literal, $snapshot:ident, $only_up:literal, $(#[$add_doc:meta])*) => {
        $(#[$doc])*
        pub struct $metric<N: Number, L = ()> {
            definition: Definition,
            cellar: Cellar,
            types: PhantomData<fn(N, L)>,
        }

        impl<N: Number, L> $metric<N, L> {
            #[doc(hidden)]
            pub const fn new(definition: Definition) -> Self {
                Self {
                    definition: definition.kind($kind),
                    cellar: Cellar::new(),
                    types: PhantomData,
                }
            }

            #[inline]
            fn series(&'static self, index: usize) -> $series<N> {
                $series {
                    cells: self.cellar.cells(&self.definition, || 2),
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    number: PhantomData,
                }
            }
        }

        impl<N: Number> $metric<N, ()> {
            $(#[$add_doc])*
            #[inline]
            pub fn add(&'static self, amount: N) {
                self.series(0).add(amount);
            }

            /// Adds 1.
            #[inline]
            pub fn inc(&'static self) {
                self.add(N::ONE);
            }
        }

        impl<N: Number, L> Metric for $metric<N, L> {
            fn definition(&'static self) -> &'static Definition {
                &self.definition
            }

            fn gather(&'static self, out: &mut Gathered<'_>) {
                let zero = || PointValue::number(N::of_bits(N::ZERO.bits()));
                out.cells(&self.definition, &self.cellar, Kind::$snapshot, zero, |found| {
                    let value = if N::FLOAT {
                        finite(found.series.sum_f64(VALUE)).to_bits()
                    } else {
                        found.series.sum(VALUE)
                    };
                    let value = match N::of_bits(value) {
                        // The stripes are read one after another: what one thread took away may be seen before what another added.
                        Level::U64(level) if !$only_up && level > i64::MAX as u64 => Level::U64(0),
                        value => value,
                    };
                    (found.series.sum(MOVES) > 0).then(|| found.counted(value, false))
                });
            }
        }

        with!($metric [N] => $series);

        $(#[$series_doc])*
        #[derive(Clone, Copy)]
        pub struct $series<N> {
            cells: &'static Cells,
            index: u32,
            number: PhantomData<fn(N)>,
        }

        impl<N: Number> $series<N> {
            $(#[$add_doc])*
            #[inline]
            pub fn add(&self, amount: N) {
                if !usable(amount, $only_up) {
                    return;
                }
                if let Some(mine) = self.cells.plain(self.index) {
                    if N::FLOAT {
                        mine.add_f64(VALUE, f64::from_bits(amount.bits()));
                    } else {
                        mine.add(VALUE, amount.bits());
                    }
                    let turn = mine.add(MOVES, 1);
                    if $only_up && direct::may_be_example(0) {
                        self.cells.example(self.index as usize, 0, N::of_bits(amount.bits()).as_f64(), turn);
                    }
                }
            }

            /// Adds 1.
            #[inline]
            pub fn inc(&self) {
                self.add(N::ONE);
            }
        }
    };
}

counters! {
    /// A number that only grows. NaN, infinities and negative amounts are dropped and counted in
    /// `vitalsign_metrics_dropped_total`.
    Counter,
    /// One series of a [`Counter`].
    CounterSeries, "counter", Counter, true,
    /// Adds; what is negative or not finite is dropped and counted.
}

counters! {
    /// A number that grows and shrinks by amounts: things under way, bytes in a queue.
    UpDownCounter,
    /// One series of an [`UpDownCounter`].
    UpDownSeries, "up-down counter", UpDownCounter, false,
    /// Adds; what is not finite is dropped and counted.
}

impl<N: Number> UpDownCounter<N, ()> {
    /// Adds 1 now and takes it away when the guard is dropped, also by a panic or a cancellation.
    #[inline]
    pub fn in_flight(&'static self) -> InFlight<N> {
        self.series(0).in_flight()
    }
}

impl<N: Number> UpDownSeries<N> {
    /// Adds 1 now and takes it away when the guard is dropped, also by a panic or a cancellation.
    #[inline]
    pub fn in_flight(&self) -> InFlight<N> {
        self.inc();
        InFlight(*self)
    }
}

/// One more of what is counted, until it is dropped.
#[must_use = "dropped at once, it counts nothing"]
pub struct InFlight<N: Number>(UpDownSeries<N>);

impl<N: Number> Drop for InFlight<N> {
    fn drop(&mut self) {
        self.0.add(N::ONE.minus());
    }
}
