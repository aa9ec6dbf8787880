//! Identifiers of traces and spans, and what travels between processes.
//!
//! W3C Trace Context Level 2. The types are our own and `Copy` where they can be, because they stand in every live span; with
//! the feature `otel` they convert to and from those of the `opentelemetry` crate.

use super::baggage::Baggage;
use crate::hex;
use std::fmt;
use std::sync::Arc;

/// The 16-byte id that all spans of one request share. Zero is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct TraceId(pub u128);

/// The 8-byte id of one span. Zero is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct SpanId(pub u64);

/// The flags octet of a `traceparent`, and [`DEBUG`](Self::DEBUG).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TraceFlags(pub u8);

impl TraceId {
    /// No trace.
    pub const INVALID: Self = Self(0);

    /// Whether this names a trace.
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }
}

impl SpanId {
    /// No span.
    pub const INVALID: Self = Self(0);

    /// Whether this names a span.
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }
}

impl TraceFlags {
    /// The sampled bit.
    pub const SAMPLED: Self = Self(0x01);
    /// The random bit of Level 2: the low 56 bits of the trace id are random.
    pub const RANDOM: Self = Self(0x02);
    /// Someone looks for a mistake and wants the whole trace: the debug flag of b3 and Jaeger, which is passed on in their headers. It
    /// comes with the sampled bit, and is none of `traceparent`'s: there it is neither read nor written.
    pub const DEBUG: Self = Self(0x80);

    /// Whether the sampled bit is set.
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// Whether the debug flag is set.
    pub const fn is_debug(self) -> bool {
        self.0 & Self::DEBUG.0 != 0
    }

    /// Those that W3C has defined: others say nothing to anyone.
    pub(crate) const fn of_w3c(self) -> Self {
        Self(self.0 & (Self::SAMPLED.0 | Self::RANDOM.0))
    }

    /// What a child has of its parent's, whatever the sampler says.
    pub(crate) const fn inherited(self) -> Self {
        Self(self.0 & (Self::RANDOM.0 | Self::DEBUG.0))
    }

    /// These flags and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Shown by their digits, in lower case.
macro_rules! shown {
    ($type:ty, |$this:ident, $f:ident| $show:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $this = self;
                $show
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
shown!(TraceId, |id, f| {
    write_long(f, (id.0 >> 64) as u64)?;
    write_long(f, id.0 as u64)
});
shown!(SpanId, |id, f| write_long(f, id.0));
shown!(TraceFlags, |flags, f| write!(f, "{:02x}", flags.0));

fn write_long(f: &mut fmt::Formatter<'_>, long: u64) -> fmt::Result {
    f.write_str(std::str::from_utf8(&hex::digits_of_long(long)).unwrap_or_default())
}

/// What identifies a span to others: ids, flags, trace state, and whether it came from another process; and the baggage that
/// travels with it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SpanContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Sampled, random, debug.
    pub flags: TraceFlags,
    /// True when this was extracted from a carrier.
    pub is_remote: bool,
    /// The `tracestate` header, as validated; `None` when empty.
    pub trace_state: Option<Arc<str>>,
    /// Names and values of the request. They may come without a span: then the ids are invalid, and what has this as its
    /// parent starts a new trace with the baggage.
    pub baggage: Baggage,
}

impl SpanContext {
    /// Whether both ids are valid.
    pub const fn is_valid(&self) -> bool {
        self.trace_id.is_valid() && self.span_id.is_valid()
    }

    /// Whether the sampled flag is set.
    pub const fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }
}
