//! Metrics: what attributes count and measure, and metrics declared by hand with [`metrics!`](crate::metrics!).

mod bucket;
#[doc(hidden)]
pub mod catalog;
mod cell;
pub(crate) mod check;
pub(crate) mod columns;
mod declared;
mod door;
pub(crate) mod dropped;
pub(crate) mod dynamic;
pub(crate) mod exemplar;
#[cfg(feature = "metrics-facade")]
pub(crate) mod facade;
mod handover;
pub(crate) mod label;
mod lines;
#[cfg(feature = "otel")]
pub(crate) mod meters;
mod process;
pub(crate) mod registry;
pub(crate) mod slot;
#[cfg(any(feature = "otel", feature = "metrics-facade"))]
pub(crate) mod stream;
mod stripe;
/// What [`handover`] is made of; loom's in its test.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, PoisonError};
}
mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio-metrics")]
pub(crate) mod tokio_runtime;
mod value;

pub use declared::{
    Counter, CounterSeries, Definition, Gauge, GaugeSeries, Histogram, HistogramSeries, InFlight, Info, Label, Limited,
    Number, ObservableGauge, Timer, UpDownCounter, UpDownSeries,
};
/// What variables say of all metrics; before the first call.
pub(crate) fn configure(config: &crate::config::env::Metrics) {
    bucket::set_default_native(config.exponential);
    exemplar::set_on(config.exemplars != crate::config::env::ExemplarFilter::AlwaysOff);
    cell::set_room(config.series as usize);
}

/// After `says`, calls [may be told](crate::switch::is_unusual) to more than their cells: none goes past the question from here on.
pub(crate) fn told_to_more(says: impl FnOnce()) {
    says();
    table::close_doors();
}

#[doc(hidden)]
pub use declared::{DECLARED, Gathered, Metric};
#[cfg(feature = "summary")]
pub use declared::{Summary, SummarySeries};
#[doc(hidden)]
pub use slot::{Amount, CounterSlot, TimerSlot};
pub(crate) use slot::{CallLabels, CallRef, Ids};
