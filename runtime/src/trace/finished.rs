//! A finished span on its way from the thread that ended it to the drainer.

use super::context::TraceFlags;
use super::live::Live;
use super::stack::Frame;
use crate::outcome::CallOutcome;
use crate::site::Site;
use tracing_core::Metadata;

/// Status codes of OTLP.
pub(crate) const STATUS_ERROR: u8 = 2;
/// See [`STATUS_ERROR`].
pub(crate) const STATUS_OK: u8 = 1;

/// A finished span on its way to the drainer; what is rare goes into the body.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) meta: Option<&'static Metadata<'static>>,
    pub(crate) site: Option<&'static Site>,
    pub(crate) trace: [u64; 2],
    pub(crate) span: u64,
    pub(crate) parent: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// As in [`Ids`](super::local::Ids), and above the flags and the remote bit: kind, status, outcome and what follows.
    bits: u64,
}

const KIND: u32 = 12;
const STATUS: u32 = 16;
const OUTCOME: u32 = 20;
const PARENT_REMOTE: u64 = 1 << 24;
const REPEATED: u64 = 1 << 25;
const LONG: u64 = 1 << 26;

impl Head {
    #[inline]
    pub(super) fn of(live: &Live) -> Self {
        let (fixed, ids) = (&live.fixed, &live.ids);
        let outcome = fixed.outcome.map_or(0, |outcome| outcome as u64 + 1);
        Self {
            meta: fixed.meta,
            site: fixed.site,
            trace: ids.trace,
            span: ids.span,
            parent: fixed.parent,
            start: fixed.start,
            end: fixed.end,
            bits: ids.bits
                | ((fixed.kind as u64) << KIND)
                | (u64::from(fixed.status) << STATUS)
                | (outcome << OUTCOME)
                | (u64::from(fixed.parent_remote) * PARENT_REMOTE)
                | (u64::from(fixed.repeated) * REPEATED),
        }
    }

    /// Of a span that lived in a frame.
    #[inline]
    pub(crate) fn of_frame(frame: &Frame, site: &'static Site, end: u64, outcome: CallOutcome) -> Self {
        let ids = frame.ids();
        let status = if outcome == CallOutcome::Error { STATUS_ERROR } else { 0 };
        Self {
            meta: Some(site.metadata()),
            site: Some(site),
            trace: ids.trace,
            span: ids.span,
            parent: frame.parent,
            start: frame.start,
            end,
            bits: ids.bits
                | ((site.span_kind() as u64) << KIND)
                | (u64::from(status) << STATUS)
                | ((outcome as u64 + 1) << OUTCOME)
                | (u64::from(frame.parent_remote()) * PARENT_REMOTE),
        }
    }

    pub(crate) fn pipeline(&self) -> u32 {
        (self.bits >> 32) as u32
    }

    pub(crate) fn flags(&self) -> TraceFlags {
        TraceFlags(self.bits as u8)
    }

    pub(crate) fn kind(&self) -> u8 {
        (self.bits >> KIND) as u8 & 0xf
    }

    pub(crate) fn status(&self) -> u8 {
        (self.bits >> STATUS) as u8 & 0xf
    }

    pub(crate) fn outcome(&self) -> Option<CallOutcome> {
        let outcome = (self.bits >> OUTCOME) as usize & 0xf;
        CallOutcome::ALL.get(outcome.wrapping_sub(1)).copied()
    }

    pub(crate) fn parent_remote(&self) -> bool {
        self.bits & PARENT_REMOTE != 0
    }

    pub(crate) fn repeated(&self) -> bool {
        self.bits & REPEATED != 0
    }

    /// The body did not fit a ring and waits with the drainer.
    pub(crate) fn long(&self) -> bool {
        self.bits & LONG != 0
    }

    pub(crate) fn set_long(&mut self) {
        self.bits |= LONG;
    }
}
