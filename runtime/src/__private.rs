//! The only door for generated code. Nothing here is for people; it changes with the macros, which are pinned to the same
//! version.

pub use crate::call::{Brief, Call, IntoAmount, Settle, Task, apply, judge, run};
pub use crate::fields::{Arg, empty, hash, len, native, redact, truncate};
pub use crate::future::{Instrumented, future, future_prepared};
#[cfg(feature = "health")]
pub use crate::health::private as health;
pub use crate::kept::kept;
pub use crate::metrics::label::{
    ErrorLabelType, ErrorsOf, LabelElement, LabelIx, LabelTuple, LabelType, Labels, Limit, label, labels, limit,
};
pub use crate::metrics::{DECLARED, Metric};
pub use crate::operation::{Carried, CodeProbe, DbDef, JobDef, OperationDef, message};
pub use crate::probe::{DebugProbe, Kind, OkProbe, Probe};
pub use crate::residual::{branch, from_residual};
pub use crate::site::{
    Buckets, CounterDef, Def, ErrMode, LabelDef, LabelSource, SITES, Site, Slots, SpanDef, SpanKind, TimerDef,
};
pub use crate::stream::{InstrumentedStream, stream, stream_boxed, stream_of};
pub use crate::trace::carrier::Links;
pub use crate::trace::discard;
pub use linkme;
pub use tracing_core::Level;
pub use tracing_core::field::{Value, debug, display};
pub use vitalsign_macros::{carried, definition, no_metric};

/// The traits that ask a returned value what it means. Imported by glob where it is asked, so they come without names: none can
/// stand in a user's way.
pub mod probe {
    pub use crate::metrics::label::ErrorsOfAny as _;
    pub use crate::probe::{
        KindOfFuture as _, KindOfLocalFuture as _, KindOfSyncFuture as _, KindOfValue as _, OkOfAny as _,
        OkOfResult as _, SettleAny as _, SettleDebug as _, SettleDebugAny as _, SettleDebugDeref as _,
        SettleDebugDisplay as _, SettleDebugLabelled as _, SettleDebugLabelledStd as _, SettleDebugOutcome as _,
        SettleDebugStd as _, SettleDeref as _, SettleDisplay as _, SettleLabelled as _, SettleLabelledOnly as _,
        SettleOutcome as _, SettleResult as _, SettleStd as _,
    };
    pub use crate::trace::carrier::{LinkMany as _, LinkOne as _};
}

/// The traits that ask an argument whether it is a job's message, and an error for a database's code.
pub mod operation {
    pub use crate::operation::{
        CarriedMessage as _, CarriedMutable as _, CarriedNothing as _, CarriedReference as _, CodeOfAny as _,
        CodeOfError as _,
    };
}

/// The traits that show an argument by what its type has.
pub mod arg {
    pub use crate::fields::{ArgDebug as _, ArgNative as _, ArgOpaque as _};
}
