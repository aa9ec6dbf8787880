//! The call of a plain function that says nothing of it: neither before the body nor of the value but what its type means.
//!
//! So most functions are, and each of them is compiled: what stands in one is a load and a branch, the calls that begin and end
//! what it records, and for an error one more call, of a function that all who return that error share.

use super::end;
use super::settle::Settle;
use super::signals::{IN_FLIGHT, SPAN, TIME};
use super::{Call, CallOutcome, is_recorded};
use crate::clock;
use crate::metrics::label::Labels;
use crate::site::Site;
use crate::trace::direct;

/// The state of such a call; as with [`Call`], nothing takes its address.
pub struct Brief<const SIGNALS: u8> {
    site: &'static Site,
    /// Something records this call, and it has not ended.
    on: bool,
    /// Ticks at the beginning, where a histogram wants them.
    start: u64,
    /// The token of its span.
    span: u64,
}

impl<const SIGNALS: u8> Brief<SIGNALS> {
    /// The call begins, and its span is current until the end or the drop.
    #[inline]
    pub fn begin(site: &'static Site) -> Self {
        let mut call = Self {
            site,
            on: is_recorded::<SIGNALS>(site, false),
            start: 0,
            span: 0,
        };
        if call.on {
            // A span alone reads the clock itself, once it is known to be recorded.
            if SIGNALS & TIME != 0 {
                call.start = clock::now();
            }
            if SIGNALS & SPAN != 0 {
                call.span = direct::open(site, call.start);
            }
            if SIGNALS & IN_FLIGHT != 0 {
                end::in_flight(site, Labels::NONE, 1);
            }
        }
        call
    }

    /// Ends by a value that is no error.
    #[inline]
    pub fn succeeded(&mut self) {
        self.ends(false);
    }

    /// Ends by a value of which no more is said than whether it is an error.
    #[inline]
    pub(crate) fn ends(&mut self, is_error: bool) {
        if self.on {
            self.on = false;
            let outcome = if is_error { CallOutcome::Error } else { CallOutcome::Ok };
            end::bare::<SIGNALS>(self.site, self.start, self.span, outcome);
        }
    }

    /// Ends by an error, of which `say` tells what it is.
    #[inline]
    pub(crate) fn failed<E>(&mut self, error: &E, say: impl FnOnce(&E, &mut Settle<'_>)) {
        if self.on {
            self.on = false;
            failed::<SIGNALS, E>(self.site, self.start, self.span, error, say);
        }
    }

    /// Ends by a value that has to be asked.
    #[inline]
    pub(crate) fn asked<R: ?Sized>(&mut self, ret: &R, say: impl FnOnce(&R, &mut Settle<'_>)) {
        if self.on {
            self.on = false;
            Call::<SIGNALS>::under_way(self.site, self.start, self.span).finish(ret, say);
        }
    }
}

/// The end of a call by an error. Errors are rare; apart, each kind of them is compiled once. Should `say` unwind, the call does.
#[cold]
#[inline(never)]
fn failed<const SIGNALS: u8, E>(
    site: &'static Site,
    start: u64,
    span: u64,
    error: &E,
    say: impl FnOnce(&E, &mut Settle<'_>),
) {
    Call::<SIGNALS>::under_way(site, start, span).finish(error, say);
}

impl<const SIGNALS: u8> Drop for Brief<SIGNALS> {
    /// A plain function that did not return has unwound.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "not inlined, it would take the call's address")]
    fn drop(&mut self) {
        if self.on {
            end::unwound(SIGNALS, self.site, self.start, self.span);
        }
    }
}
