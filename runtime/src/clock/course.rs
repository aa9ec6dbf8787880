//! How far the wall clock has gone from where the counter alone would have it.
//!
//! The counter's rate is known to some millionths, which are seconds within days, and the system's clock is set now and then. So the
//! difference is looked at, and made up for within a second, for moments that are still to come: what was converted once is
//! converted alike ever after, and times rise as the counter does. Only a clock that was set far off is followed at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

/// In nanoseconds: what is not worth making up for, and what is too much for that.
const LEAST: i64 = 50_000;
const FAR: i64 = 500_000_000;
/// Of the past. At ten millionths a difference is made up for every five seconds.
const KNOTS: usize = 512;

/// A reading of the counter, and how many nanoseconds the wall clock had gone by then.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Knot {
    ticks: u64,
    gone: i64,
}

/// What was made up for. Between two knots the difference grows evenly; before the first and after the last it stays.
pub(super) struct Course {
    /// Odd while the last two knots change. They stand here so that who converts a moment of the last seconds takes no lock.
    version: AtomicU64,
    from: [AtomicU64; 2],
    gone: [AtomicI64; 2],
    past: Mutex<VecDeque<Knot>>,
}

impl Course {
    pub(super) const fn new() -> Self {
        Self {
            version: AtomicU64::new(0),
            from: [const { AtomicU64::new(0) }; 2],
            gone: [const { AtomicI64::new(0) }; 2],
            past: Mutex::new(VecDeque::new()),
        }
    }

    /// How far the wall clock had gone at a reading.
    pub(super) fn gone(&self, ticks: u64) -> i64 {
        let version = self.version.load(Ordering::Acquire);
        let knot = |at: usize| Knot {
            ticks: self.from[at].load(Ordering::Relaxed),
            gone: self.gone[at].load(Ordering::Relaxed),
        };
        let (first, last) = (knot(0), knot(1));
        fence(Ordering::Acquire);
        let whole = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        if whole && ticks >= first.ticks {
            return between(first, last, ticks);
        }
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let after = past.partition_point(|knot| knot.ticks <= ticks);
        match (after.checked_sub(1).map(|before| past[before]), past.get(after)) {
            (Some(before), Some(after)) => between(before, *after, ticks),
            (Some(knot), None) | (None, Some(&knot)) => knot.gone,
            (None, None) => 0,
        }
    }

    /// At this reading the wall clock had gone so far: the course leads there within so many ticks. One thread calls this.
    pub(super) fn steer(&self, ticks: u64, gone: i64, within: u64) {
        let now = self.gone(ticks);
        let off = gone.saturating_sub(now);
        if off.saturating_abs() < LEAST {
            return;
        }
        let far = off.saturating_abs() >= FAR;
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        // It had not come to the end of its course.
        while past.back().is_some_and(|knot| knot.ticks > ticks) {
            past.pop_back();
        }
        let first = Knot {
            ticks,
            gone: if far { gone } else { now },
        };
        let last = Knot {
            ticks: if far { ticks } else { ticks.saturating_add(within) },
            gone,
        };
        if far {
            past.push_back(Knot { ticks, gone: now });
        }
        past.extend([first, last]);
        let surplus = past.len().saturating_sub(KNOTS);
        past.drain(..surplus);
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (at, knot) in [first, last].into_iter().enumerate() {
            self.from[at].store(knot.ticks, Ordering::Relaxed);
            self.gone[at].store(knot.gone, Ordering::Relaxed);
        }
        self.version.store(version + 2, Ordering::Release);
    }
}

fn between(first: Knot, last: Knot, ticks: u64) -> i64 {
    if ticks >= last.ticks {
        return last.gone;
    }
    let (passed, all) = (ticks - first.ticks, last.ticks - first.ticks);
    first.gone + ((last.gone - first.gone) as f64 * (passed as f64 / all as f64)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter of nanoseconds.
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_rate_that_is_wrong_for_a_day_is_made_up_for() {
        for millionths in [-50, -1, 7, 50] {
            let course = Course::new();
            let mut before = 0;
            for second in 1..=24 * 3600 {
                let now = second * SECOND;
                let gone = now as i64 / 1_000_000 * millionths;
                let off = gone - course.gone(now);
                assert!(off.abs() < 150_000, "{off} after {second} s");
                course.steer(now, gone, SECOND);
                for part in 0..4 {
                    let ticks = now + part * SECOND / 4;
                    let wall = ticks as i64 + course.gone(ticks);
                    assert!(wall > before, "times rise");
                    before = wall;
                }
            }
            assert!(course.past.lock().unwrap().len() <= KNOTS);
        }
    }

    #[test]
    fn what_was_converted_stays() {
        let course = Course::new();
        let readings: Vec<u64> = (0..100).map(|n| n * SECOND / 10).collect();
        let mut converted = Vec::new();
        for &now in &readings {
            converted.push(course.gone(now));
            course.steer(now, now as i64 / 1000, SECOND);
            let again: Vec<_> = readings
                .iter()
                .take(converted.len())
                .map(|&ticks| course.gone(ticks))
                .collect();
            assert_eq!(again, converted);
        }
    }

    #[test]
    fn a_clock_that_was_set_is_followed_at_once() {
        let course = Course::new();
        let hour = 3600 * SECOND as i64;
        course.steer(10 * SECOND, -hour, SECOND);
        assert_eq!(course.gone(10 * SECOND), -hour);
        assert_eq!(course.gone(10 * SECOND - 1), 0, "not what was before");
        course.steer(20 * SECOND, 0, SECOND);
        assert_eq!(
            [9, 15, 20, 30].map(|second| course.gone(second * SECOND)),
            [0, -hour, 0, 0]
        );
    }

    #[test]
    fn who_converts_while_it_is_steered_sees_a_whole_course() {
        let course = Course::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..20_000 {
                    // So far as the counter itself.
                    let ticks = n * 1_000_000;
                    course.steer(ticks, ticks as i64 / 10, 1);
                }
            });
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let gone = course.gone(u64::MAX);
                    assert_eq!(gone % 100_000, 0);
                    let at = course.gone(gone as u64 * 10);
                    // Who was kept waiting meanwhile asks of a past that is forgotten.
                    if course.gone(u64::MAX) - gone > 100_000 * KNOTS as i64 / 4 {
                        continue;
                    }
                    assert!(at <= gone && gone - at <= 100_000, "{at} of {gone}");
                }
            });
        });
    }
}
