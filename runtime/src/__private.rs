//! The only door for generated code. Nothing here is for people; it changes with the macros, which are pinned to the same
//! version.

pub use crate::call::{Call, IntoAmount, Settle, apply, judge, run};
pub use crate::future::{Instrumented, future, future_prepared};
#[cfg(feature = "health")]
pub use crate::health::private as health;
pub use crate::metrics::label::{
    ErrorLabelType, LabelElement, LabelIx, LabelTuple, LabelType, Labels, Limit, label, labels, limit,
};
pub use crate::site::{
    Buckets, CounterDef, Def, ErrMode, LabelDef, LabelSource, SITES, Site, Slots, SpanDef, SpanKind, TimerDef,
};
pub use linkme;
pub use tracing_core::Level;
pub use tracing_core::field::Value;

/// The traits and wrappers that ask a returned value what it means; imported by glob where it is asked.
pub mod probe {
    pub use crate::probe::*;
}
