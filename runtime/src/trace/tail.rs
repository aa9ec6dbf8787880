//! Tail sampling within the process: whole local traces are kept or discarded once it is known how they went.
//!
//! `VITALSIGN_TAIL=errors,slow=500ms,ratio=0.05` keeps a local trace (what one process saw of a trace, from where it came in to
//! where it went out) if a span of it ended in an error, if a span took at least so long, or else by its trace id in one of
//! twenty. The spans wait encoded, on the drainer's thread, until their local root ends; late ones follow the decision. A trace may
//! come in again, though, as when a caller tries once more: of one that was discarded, what ends later is kept from the first span on
//! that the rules ask for.
//!
//! What it does to others: nothing travels. Downstream services were told `sampled` when the request left and export their
//! part whatever becomes of ours; an upstream that keeps a trace may miss our part of it. So it suits an edge of the system, or
//! all of its services with the same ratio, which falls the same way everywhere. Metrics and logs do not wait for
//! it; exemplars do, so none names a trace that was discarded.

use super::context::TraceId;
use super::finished::Head;
use super::sampler::Ratio;
use crate::clock;
use crate::export::otlp::traces;
use crate::metrics::exemplar;
use crate::outcome::CallOutcome;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// What is kept; nothing else is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TailRules {
    errors: bool,
    slow: Option<Duration>,
    ratio: Ratio,
    /// A trace whose root has not ended by then is decided on what is known.
    wait: Duration,
    /// Bytes that may wait; beyond, the oldest trace is decided on what is known.
    bytes: usize,
}

/// A rule that is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BadRule(pub(crate) String);

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rule) = self;
        write!(
            f,
            "`{rule}` is no rule; the rules are errors, slow=500ms, ratio=0.05, wait=30s"
        )
    }
}

impl FromStr for TailRules {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        let mut rules = Self {
            errors: false,
            slow: None,
            ratio: Ratio::new(0.0),
            wait: Duration::from_secs(30),
            bytes: 16 * 1024 * 1024,
        };
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            let bad = || BadRule(rule.to_owned());
            match rule.split_once('=') {
                None if rule == "errors" => rules.errors = true,
                Some(("slow", value)) => rules.slow = Some(duration(value).ok_or_else(bad)?),
                Some(("wait", value)) => rules.wait = duration(value).ok_or_else(bad)?,
                Some(("ratio", value)) => {
                    let ratio: f64 = value.trim().parse().map_err(|_| bad())?;
                    if !(0.0..=1.0).contains(&ratio) {
                        return Err(bad());
                    }
                    rules.ratio = Ratio::new(ratio);
                }
                _ => return Err(bad()),
            }
        }
        Ok(rules)
    }
}

/// `500ms`, `2s`, `1.5s`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1e-3)
    } else {
        (text.strip_suffix('s')?, 1.0)
    };
    let seconds = number.trim().parse::<f64>().ok()? * unit;
    Duration::try_from_secs_f64(seconds).ok()
}

fn trace_id(words: [u64; 2]) -> TraceId {
    TraceId(u128::from(words[0]) << 64 | u128::from(words[1]))
}

/// Decisions that are remembered for spans that end after their root: some seconds of a busy service, in some megabytes. A span that is
/// later yet is a trace of its own, that waits for its time.
const REMEMBERED: usize = 32 * 1024;

/// Encoded spans by scope.
pub(crate) type Scopes = Vec<(&'static str, Vec<u8>, u64)>;

/// Traces that wait for their decision.
pub(crate) struct Tail {
    rules: TailRules,
    waiting: HashMap<[u64; 2], Waiting>,
    /// In the order in which they began; some are decided already.
    order: VecDeque<([u64; 2], Instant)>,
    bytes: usize,
    decided: HashMap<[u64; 2], bool>,
    forget: VecDeque<[u64; 2]>,
    pub(crate) discarded: u64,
}

#[derive(Default)]
struct Waiting {
    scopes: Scopes,
    bytes: usize,
    keep: bool,
}

impl Tail {
    pub(crate) fn new(rules: TailRules) -> Self {
        Self {
            rules,
            waiting: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            decided: HashMap::new(),
            forget: VecDeque::new(),
            discarded: 0,
        }
    }

    /// Takes an encoded span; hands on what is decided by it.
    pub(crate) fn span(&mut self, head: &Head, scope: &'static str, bytes: &[u8], keep: &mut impl FnMut(Scopes)) {
        let wanted = self.wants(head, bytes);
        let ends = head.parent == 0 || head.parent_remote();
        if let Some(kept) = self.decided.get_mut(&head.trace) {
            *kept |= wanted;
            if ends || wanted {
                exemplar::decided(trace_id(head.trace), *kept);
            }
            if *kept {
                keep(vec![(scope, bytes.to_vec(), 1)]);
            } else {
                self.discarded += 1;
            }
            return;
        }
        let order = &mut self.order;
        let waiting = self.waiting.entry(head.trace).or_insert_with(|| {
            order.push_back((head.trace, Instant::now()));
            Waiting::default()
        });
        waiting.keep |= wanted;
        waiting.bytes += bytes.len();
        self.bytes += bytes.len();
        match waiting.scopes.iter_mut().find(|(of, ..)| *of == scope) {
            Some((_, all, count)) => {
                all.extend_from_slice(bytes);
                *count += 1;
            }
            None => waiting.scopes.push((scope, bytes.to_vec(), 1)),
        }
        if ends {
            self.decide(head.trace, keep);
            self.prune();
        }
        while self.bytes > self.rules.bytes
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.decide(oldest, keep);
        }
    }

    fn wants(&self, head: &Head, bytes: &[u8]) -> bool {
        // The status may have been said by a field, which the head does not know.
        let failed =
            || matches!(head.outcome(), Some(CallOutcome::Error | CallOutcome::Panic)) || traces::is_error(bytes);
        let slow = |slow: Duration| u128::from(clock::nanos_between(head.start, head.end)) >= slow.as_nanos();
        (self.rules.errors && failed()) || self.rules.slow.is_some_and(slow)
    }

    fn decide(&mut self, trace: [u64; 2], keep: &mut impl FnMut(Scopes)) {
        let Some(waiting) = self.waiting.remove(&trace) else {
            return;
        };
        self.bytes -= waiting.bytes;
        let kept = waiting.keep || self.rules.ratio.keeps(trace);
        if kept {
            keep(waiting.scopes);
        } else {
            self.discarded += waiting.scopes.iter().map(|(_, _, count)| count).sum::<u64>();
        }
        if self.forget.len() >= REMEMBERED
            && let Some(oldest) = self.forget.pop_front()
        {
            self.decided.remove(&oldest);
        }
        exemplar::decided(trace_id(trace), kept);
        self.decided.insert(trace, kept);
        self.forget.push_back(trace);
    }

    /// Those that were decided behind one that waits take no room until its time.
    fn prune(&mut self) {
        if self.order.len() > 2 * self.waiting.len() + REMEMBERED {
            let waiting = &self.waiting;
            self.order.retain(|(trace, _)| waiting.contains_key(trace));
        }
    }

    /// Decides what has waited long enough; `all` decides everything.
    pub(crate) fn overdue(&mut self, all: bool, keep: &mut impl FnMut(Scopes)) {
        while let Some((trace, since)) = self.order.front().copied() {
            let decided = !self.waiting.contains_key(&trace);
            if !decided && !all && since.elapsed() < self.rules.wait {
                return;
            }
            self.order.pop_front();
            if !decided {
                self.decide(trace, keep);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_behind_one_that_waits_takes_no_room() {
        let mut tail = Tail::new("errors".parse().unwrap());
        tail.waiting.insert([0, 1], Waiting::default());
        for trace in 1..=REMEMBERED as u64 + 2 {
            tail.order.push_back(([0, trace], Instant::now()));
            tail.prune();
        }
        assert_eq!(tail.order.len(), REMEMBERED + 2);
        tail.order.push_back(([0, 0], Instant::now()));
        tail.prune();
        assert_eq!(tail.order.iter().map(|(trace, _)| trace[1]).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn rules_are_read() {
        let rules: TailRules = "errors, slow=500ms,ratio=0.05,wait=2s".parse().unwrap();
        assert!(rules.errors);
        assert_eq!(rules.slow, Some(Duration::from_millis(500)));
        assert_eq!(rules.ratio, Ratio::new(0.05));
        assert_eq!(rules.wait, Duration::from_secs(2));
        for bad in [
            "error",
            "slow=fast",
            "slow=5",
            "ratio=2",
            "ratio=-1",
            "slow=-1s",
            "ratio=NaN",
        ] {
            assert_eq!(bad.parse::<TailRules>(), Err(BadRule(bad.into())));
        }
    }
}
