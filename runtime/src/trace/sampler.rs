//! Which traces are recorded, decided before any attribute is looked at.

use super::store::{ParentIds, Start};
use std::sync::Arc;

/// A sampler. The built-in ones are those of `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sampler {
    /// `always_on`
    AlwaysOn,
    /// `always_off`
    AlwaysOff,
    /// `traceidratio`: by the low 56 bits of the trace id.
    Ratio(Ratio),
    /// `parentbased_*`: as the parent, and for roots as the inner one says.
    ParentBased(Root),
}

/// What a parent-based sampler does at a root.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Root {
    AlwaysOn,
    AlwaysOff,
    Ratio(Ratio),
}

/// A share of all traces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// Traces whose 56 random bits are below this are dropped.
    threshold: u64,
}

const RANDOM_BITS: u64 = (1 << 56) - 1;

impl Ratio {
    /// A ratio between 0 and 1; what lies outside is brought inside.
    pub(crate) fn new(ratio: f64) -> Self {
        let ratio = if ratio.is_nan() { 1.0 } else { ratio.clamp(0.0, 1.0) };
        let kept = (ratio * (RANDOM_BITS + 1) as f64).round() as u64;
        Self {
            threshold: RANDOM_BITS + 1 - kept,
        }
    }

    #[inline]
    pub(crate) fn keeps(self, trace: [u64; 2]) -> bool {
        trace[1] & RANDOM_BITS >= self.threshold
    }
}

/// A sampler's answer.
#[expect(clippy::option_option, reason = "no change, and a change to none, are two things")]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    /// The trace state to go on with, where it changes.
    pub(crate) state: Option<Option<Arc<str>>>,
}

/// An answer that takes no more than the parent's flag.
pub(crate) enum Quick {
    Keep,
    Drop,
    /// By half a new trace id.
    Draw(Ratio),
    /// [`Sampler::decide`] has to be asked.
    Ask,
}

impl Root {
    #[inline]
    fn quick(self) -> Quick {
        match self {
            Self::AlwaysOn => Quick::Keep,
            Self::AlwaysOff => Quick::Drop,
            Self::Ratio(ratio) => Quick::Draw(ratio),
        }
    }
}

impl Sampler {
    /// What can be said before a span has any ids; `parent`: whether it is sampled.
    #[inline]
    pub(crate) fn quick(&self, parent: Option<bool>) -> Quick {
        match (self, parent) {
            (Self::AlwaysOn, _) | (Self::ParentBased(_), Some(true)) => Quick::Keep,
            (Self::AlwaysOff, _) | (Self::ParentBased(_), Some(false)) => Quick::Drop,
            (Self::ParentBased(root), None) => root.quick(),
            (Self::Ratio(ratio), None) => Quick::Draw(*ratio),
            (Self::Ratio(_), Some(_)) => Quick::Ask,
        }
    }

    #[inline]
    pub(crate) fn decide(&self, parent: Option<&ParentIds>, trace: [u64; 2], _start: &Start<'_>) -> Decision {
        let sampled = match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::Ratio(ratio) => ratio.keeps(trace),
            Self::ParentBased(root) => match parent {
                Some(parent) => parent.ids.flags().is_sampled(),
                None => match root {
                    Root::AlwaysOn => true,
                    Root::AlwaysOff => false,
                    Root::Ratio(ratio) => ratio.keeps(trace),
                },
            },
        };
        Decision { sampled, state: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::ids::Rng;

    #[test]
    fn ratios_keep_their_share() {
        let mut rng = Rng::unseeded();
        for ratio in [0.0, 0.01, 0.5, 1.0] {
            let sampler = Ratio::new(ratio);
            let kept = (0..20_000).filter(|_| sampler.keeps(rng.trace_words())).count() as f64 / 20_000.0;
            assert!((kept - ratio).abs() < 0.02, "{ratio}: {kept}");
        }
        assert!(Ratio::new(1.0).keeps([1, 0]));
        assert!(!Ratio::new(0.0).keeps([u64::MAX; 2]));
        assert!(Ratio::new(f64::NAN).keeps([0, 1]));
    }
}
