//! Cells, labels and families.

mod bucket;
mod cell;
mod dropped;
mod exemplar;
pub(crate) mod label;
pub(crate) mod registry;
mod slot;
mod stripe;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use slot::CallLabels;
pub use slot::{Amount, CounterSlot, TimerSlot};
