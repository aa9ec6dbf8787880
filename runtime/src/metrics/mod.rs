//! Cells, labels and families.

pub(crate) mod label;
mod slot;

pub(crate) use slot::CallLabels;
pub use slot::{Amount, CounterSlot, TimerSlot};
