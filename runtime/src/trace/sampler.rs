//! Which traces are recorded, decided before any attribute is looked at.

use super::baggage::Baggage;
use super::chosen::Custom;
use super::context::TraceFlags;
use super::local::Carried;
use super::probability::{self, Ot};
use super::store::ParentIds;
use crate::export::diag;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A sampler. The built-in ones are those of `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sampler {
    /// `always_on`
    AlwaysOn,
    /// `always_off`
    AlwaysOff,
    /// `traceidratio`: by the low 56 bits of the trace id, or those that the trace state gives instead.
    Ratio(Ratio),
    /// `parentbased_*`: as the parent, and for roots as the inner one says.
    ParentBased(Root),
    /// The program's own. What it said is with the thread.
    Custom(Custom),
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

impl Ratio {
    /// A ratio between 0 and 1; what lies outside is brought inside.
    pub(crate) fn new(ratio: f64) -> Self {
        Self {
            threshold: probability::threshold(if ratio.is_nan() { 1.0 } else { ratio }),
        }
    }

    #[inline]
    pub(crate) fn keeps(self, trace: [u64; 2]) -> bool {
        trace[1] & probability::BITS >= self.threshold
    }

    /// What a root carries that this kept.
    fn mark(self) -> Option<Arc<Carried>> {
        let state = probability::with_threshold("", Some(&probability::digits(self.threshold)))?;
        Carried::of(Some(state.into()), &Baggage::default())
    }

    /// Under a parent whose own decision counts for nothing. `last`: no one chooses after it, so its threshold explains what is kept.
    #[cold]
    fn independent(self, parent: &ParentIds, trace: [u64; 2], last: bool) -> Decision {
        let state = parent.ids.trace_state().unwrap_or_default();
        let ot = Ot::of(state);
        if ot.random.is_none() && parent.ids.flags().0 & TraceFlags::RANDOM.0 == 0 {
            presumed_random();
        }
        let sampled = ot.randomness(trace) >= self.threshold;
        let explains = sampled && last;
        let unchanged = if explains {
            ot.threshold == Some(self.threshold)
        } else {
            !ot.has_threshold
        };
        let digits = explains.then(|| probability::digits(self.threshold));
        Decision {
            sampled,
            state: (!unchanged).then(|| probability::with_threshold(state, digits.as_deref()).map(Into::into)),
        }
    }
}

/// Said once in a process, as the specification asks.
fn presumed_random() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        diag::say(
            diag::Level::Warn,
            format_args!(
                "traceidratio under a parent whose trace id is not said to be random (W3C Trace Context Level 2): it is \
                 taken for random; OTEL_TRACES_SAMPLER=parentbased_traceidratio goes by the parent's decision"
            ),
        );
    }
}

/// The trace state that stays right beside a decision which no threshold explains: without one, where one came from afar.
/// `follows`: the parent's decision is followed and is the last, so its threshold stays where it explains that.
#[cold]
fn inherited(parent: &ParentIds, trace: [u64; 2], sampled: bool, follows: bool) -> Decision {
    let erased = parent.ids.trace_state().and_then(|state| {
        let ot = Ot::of(state);
        let explains = |threshold| sampled == (ot.randomness(trace) >= threshold);
        let stays = !ot.has_threshold || follows && ot.threshold.is_some_and(explains);
        (!stays).then(|| probability::with_threshold(state, None).map(Into::into))
    });
    Decision { sampled, state: erased }
}

/// A sampler's answer.
#[expect(clippy::option_option, reason = "no change, and a change to none, are two things")]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    /// The trace state to go on with, where it changes.
    pub(crate) state: Option<Option<Arc<str>>>,
}

/// An answer that takes no more than the parent's flag.
#[derive(Clone, Copy)]
pub(crate) enum Quick {
    Keep,
    Drop,
    /// By half a new trace id.
    Draw(Ratio),
    /// [`Sampler::decide`] has to be asked.
    Ask,
}

/// As the samplers of `OpenTelemetry` describe themselves: `TraceIdRatioBased{0.000100}`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = (probability::BITS + 1 - self.threshold) as f64 / (probability::BITS + 1) as f64;
        write!(f, "TraceIdRatioBased{{{kept:.6}}}")
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlwaysOn => f.write_str("AlwaysOnSampler"),
            Self::AlwaysOff => f.write_str("AlwaysOffSampler"),
            Self::Ratio(ratio) => ratio.fmt(f),
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlwaysOn => Root::AlwaysOn.fmt(f),
            Self::AlwaysOff => Root::AlwaysOff.fmt(f),
            Self::Ratio(ratio) => ratio.fmt(f),
            Self::ParentBased(root) => write!(
                f,
                "ParentBased{{root:{root},remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,\
                 localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}}"
            ),
            Self::Custom(custom) => write!(f, "{custom:?}"),
        }
    }
}

impl Root {
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
    pub(crate) fn quick(&self, parent: Option<bool>) -> Quick {
        match (self, parent) {
            (Self::AlwaysOn, _) | (Self::ParentBased(_), Some(true)) => Quick::Keep,
            (Self::AlwaysOff, _) | (Self::ParentBased(_), Some(false)) => Quick::Drop,
            (Self::ParentBased(root), None) => root.quick(),
            (Self::Ratio(ratio), None) => Quick::Draw(*ratio),
            (Self::Ratio(_), Some(_)) | (Self::Custom(_), _) => Quick::Ask,
        }
    }

    #[inline]
    pub(crate) fn is_custom(&self) -> bool {
        matches!(self, Self::Custom(_))
    }

    /// The ratio by which roots are kept.
    fn ratio(&self) -> Option<Ratio> {
        match self {
            Self::Ratio(ratio) | Self::ParentBased(Root::Ratio(ratio)) => Some(*ratio),
            _ => None,
        }
    }

    /// What roots carry that were kept by a ratio: the threshold, for those who count them.
    pub(crate) fn mark(&self) -> Option<Arc<Carried>> {
        self.ratio().and_then(Ratio::mark)
    }

    /// `last`: the tail rules do not choose again, after which no threshold tells a span's share.
    #[inline]
    pub(crate) fn decide(&self, parent: Option<&ParentIds>, trace: [u64; 2], last: bool) -> Decision {
        let sampled = match (self, parent) {
            (Self::AlwaysOn, _) | (Self::ParentBased(Root::AlwaysOn), None) => true,
            // The program's own was not asked where the thread ends.
            (Self::AlwaysOff, _) | (Self::ParentBased(Root::AlwaysOff) | Self::Custom(_), None) => false,
            (Self::Ratio(ratio) | Self::ParentBased(Root::Ratio(ratio)), None) => ratio.keeps(trace),
            (Self::Ratio(ratio), Some(parent)) => return ratio.independent(parent, trace, last),
            (Self::ParentBased(_) | Self::Custom(_), Some(parent)) => parent.ids.flags().is_sampled(),
        };
        match parent {
            // What is local was put right when it began.
            Some(parent) if parent.ids.remote() && parent.ids.carried.is_some() => {
                inherited(parent, trace, sampled, last && matches!(self, Self::ParentBased(_)))
            }
            _ => Decision { sampled, state: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::context::{SpanContext, SpanId, TraceId};
    use crate::trace::ids::Rng;
    use crate::trace::local::Ids;

    #[test]
    fn samplers_describe_themselves() {
        let ratio = Ratio::new(0.0001);
        assert_eq!(Sampler::Ratio(ratio).to_string(), "TraceIdRatioBased{0.000100}");
        assert_eq!(
            Sampler::Ratio(Ratio::new(0.0)).to_string(),
            "TraceIdRatioBased{0.000000}"
        );
        assert_eq!(
            Sampler::Ratio(Ratio::new(1.0)).to_string(),
            "TraceIdRatioBased{1.000000}"
        );
        assert_eq!(Sampler::AlwaysOn.to_string(), "AlwaysOnSampler");
        assert_eq!(Sampler::AlwaysOff.to_string(), "AlwaysOffSampler");
        let parent_based = Sampler::ParentBased(Root::Ratio(ratio)).to_string();
        assert!(
            parent_based
                .starts_with("ParentBased{root:TraceIdRatioBased{0.000100},remoteParentSampled:AlwaysOnSampler,"),
            "{parent_based}"
        );
    }

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

    fn parent(state: Option<&str>, sampled: bool, remote: bool) -> ParentIds {
        let context = SpanContext {
            trace_id: TraceId(0xff12_3456_789a_bcde),
            span_id: SpanId(1),
            flags: TraceFlags(if sampled { 3 } else { 2 }),
            is_remote: remote,
            trace_state: state.map(Into::into),
            ..SpanContext::default()
        };
        ParentIds {
            ids: Ids::of(&context),
            handle: None,
        }
    }

    /// The trace state stays as it is.
    const SAME: &str = "the same";
    /// There is none any more.
    const NONE: &str = "none";

    fn decide(sampler: &Sampler, parent: &ParentIds) -> (bool, String) {
        let Decision { sampled, state } = sampler.decide(Some(parent), parent.ids.trace, true);
        let state = match &state {
            None => SAME,
            Some(None) => NONE,
            Some(Some(state)) => state,
        };
        (sampled, state.to_owned())
    }

    fn told(sampled: bool, state: &str) -> (bool, String) {
        (sampled, state.to_owned())
    }

    #[test]
    fn a_ratio_decides_by_the_randomness_and_tells_its_threshold() {
        let quarter = Sampler::Ratio(Ratio::new(0.25));
        // The trace id's low bits, 0x12…, are below 0xc0…; explicit ones go before them.
        assert_eq!(decide(&quarter, &parent(None, true, true)), told(false, SAME));
        assert_eq!(
            decide(&quarter, &parent(Some("ot=rv:c0000000000000"), false, true)),
            told(true, "ot=th:c;rv:c0000000000000")
        );
        assert_eq!(
            decide(&quarter, &parent(Some("ot=rv:bfffffffffffff,a=1"), true, true)),
            told(false, SAME)
        );
        assert_eq!(
            decide(&quarter, &parent(Some("ot=th:8;rv:bfffffffffffff,a=1"), true, true)),
            told(false, "ot=rv:bfffffffffffff,a=1")
        );
        assert_eq!(
            decide(&quarter, &parent(Some("ot=th:c;rv:ffffffffffffff"), true, false)),
            told(true, SAME),
            "it stands there already"
        );
        let mark = Sampler::ParentBased(Root::Ratio(Ratio::new(0.01)))
            .mark()
            .expect("a mark");
        assert_eq!(mark.trace_state.as_deref(), Some("ot=th:fd70a"));
        assert!(Sampler::ParentBased(Root::AlwaysOn).mark().is_none());
    }

    #[test]
    fn a_parent_s_threshold_stays_where_it_explains_the_parent_s_decision() {
        let follows = Sampler::ParentBased(Root::AlwaysOn);
        for (state, sampled, expected) in [
            ("ot=th:1", true, SAME),
            ("ot=th:2", false, SAME),
            ("ot=th:2", true, NONE),
            ("ot=th:1,a=1", false, "a=1"),
            ("ot=th:8;rv:80000000000000", true, SAME),
            ("ot=th:8;rv:7fffffffffffff", true, "ot=rv:7fffffffffffff"),
            ("ot=th:UNREADABLE", true, NONE),
            ("a=1", true, SAME),
        ] {
            assert_eq!(
                decide(&follows, &parent(Some(state), sampled, true)),
                told(sampled, expected),
                "{state}"
            );
        }
        assert_eq!(
            decide(&follows, &parent(Some("ot=th:2"), true, false)),
            told(true, SAME),
            "local: put right before"
        );
        let on = parent(Some("ot=th:1"), true, true);
        assert_eq!(
            decide(&Sampler::AlwaysOn, &on),
            told(true, NONE),
            "no longer its probability"
        );
        assert_eq!(decide(&Sampler::AlwaysOff, &on), told(false, NONE));
    }
}
