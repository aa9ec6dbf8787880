//! How a call ended.

use std::borrow::Cow;

/// How one call of an annotated function ended: the value of the `outcome` label and of the span's status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum CallOutcome {
    /// It returned, and what it returned is no failure.
    Ok = 0,
    /// It returned a failure.
    Error = 1,
    /// It unwound.
    Panic = 2,
    /// Its future was dropped after the first poll and before the end.
    Cancelled = 3,
}

impl CallOutcome {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Panic, Self::Cancelled];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a returned value says of the call that returned it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The call did what it should.
    Ok,
    /// It failed; the text is the `error.type`, of low cardinality.
    Error(Cow<'static, str>),
}

/// Implemented by types whose values can mean failure without being a `Result`.
///
/// `Result::Err` is a failure without it, every other type a success; `ok_if` and `error_if` decide for one function.
///
/// # Examples
///
/// ```
/// use vitalsign::{Outcome, Verdict};
///
/// struct ExitStatus(i32);
///
/// impl Outcome for ExitStatus {
///     fn outcome(&self) -> Verdict {
///         if self.0 == 0 { Verdict::Ok } else { Verdict::Error("exit_status".into()) }
///     }
/// }
/// assert_eq!(ExitStatus(1).outcome(), Verdict::Error("exit_status".into()));
/// ```
pub trait Outcome {
    /// The verdict on this value.
    fn outcome(&self) -> Verdict;
}

#[cfg(feature = "_http")]
impl<B> Outcome for http::Response<B> {
    /// 5xx is an error, its `error.type` the status code (OpenTelemetry's HTTP conventions).
    fn outcome(&self) -> Verdict {
        if self.status().is_server_error() {
            Verdict::Error(self.status().as_str().to_owned().into())
        } else {
            Verdict::Ok
        }
    }
}
