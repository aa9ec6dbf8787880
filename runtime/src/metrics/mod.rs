//! Cells, labels and families.

mod bucket;
pub mod catalog;
mod cell;
pub(crate) mod check;
mod dropped;
#[cfg(feature = "_http")]
pub(crate) mod dynamic;
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
