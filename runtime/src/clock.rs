//! Ticks now, wall time later.
//!
//! A caller reads the processor's counter and nothing else; turning ticks into seconds or into a date is work for whoever
//! encodes. The wall clock is read at the anchor, and [followed](Follower) from there so smoothly that the times within one process
//! never run backwards against each other; only a clock that was set far off is obeyed at once.
//!
//! `quanta` finds out whether the processor's counter can be trusted, and what a tick is. Where it reads that counter and nothing
//! else, which is asked at the anchor, so do we, without a call: two readings stand in every call that is timed.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

mod course;

use course::Course;
use std::sync::OnceLock;
#[cfg(target_arch = "x86_64")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static CLOCK: OnceLock<Anchor> = OnceLock::new();

struct Anchor {
    clock: quanta::Clock,
    ticks: u64,
    unix_nanos: u64,
}

fn anchor() -> &'static Anchor {
    CLOCK.get_or_init(|| {
        let clock = quanta::Clock::new();
        #[cfg(target_arch = "x86_64")]
        DIRECT.store((0..3).all(|_| between(&clock)), Ordering::Relaxed);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Anchor {
            ticks: clock.raw(),
            unix_nanos: wall.as_nanos() as u64,
            clock,
        }
    })
}

/// `quanta` reads the processor's counter: set once the anchor is there.
#[cfg(target_arch = "x86_64")]
static DIRECT: AtomicBool = AtomicBool::new(false);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction")]
fn counter() -> u64 {
    // SAFETY: the instruction is part of every x86_64 processor and has no operands. Where a system forbids it, it faults, as it
    // would in `quanta`: it is first executed after `quanta` has found the counter usable.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Whether a reading of `quanta` is the counter's: it lies between two of ours.
#[cfg(target_arch = "x86_64")]
fn between(clock: &quanta::Clock) -> bool {
    // A clock that counts nanoseconds needs no further look, and the instruction may be forbidden there.
    let counts = clock.delta_as_nanos(0, 1 << 40) != 1 << 40;
    counts && {
        let (before, reading, after) = (counter(), clock.raw(), counter());
        (before..=after).contains(&reading)
    }
}

/// The counter's value now. The first call calibrates (some milliseconds), so `init()` makes it.
#[inline]
pub(crate) fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    if DIRECT.load(Ordering::Relaxed) {
        return counter();
    }
    elsewhere()
}

/// Not calibrated yet, or a clock of another kind.
#[cold]
#[inline(never)]
fn elsewhere() -> u64 {
    anchor().clock.raw()
}

/// Nanoseconds from one reading to a later one; 0 when they are out of order.
pub(crate) fn nanos_between(start: u64, end: u64) -> u64 {
    anchor().clock.delta_as_nanos(start, end)
}

static COURSE: Course = Course::new();

/// Nanoseconds since the Unix epoch at a reading.
pub(crate) fn unix_nanos(ticks: u64) -> u64 {
    by_counter(ticks).saturating_add_signed(COURSE.gone(ticks))
}

/// The same by the counter alone.
fn by_counter(ticks: u64) -> u64 {
    let anchor = anchor();
    if ticks >= anchor.ticks {
        anchor
            .unix_nanos
            .saturating_add(anchor.clock.delta_as_nanos(anchor.ticks, ticks))
    } else {
        anchor
            .unix_nanos
            .saturating_sub(anchor.clock.delta_as_nanos(ticks, anchor.ticks))
    }
}

/// Looks at the wall clock now and then, so that times stay with it; one thread has one.
#[derive(Default)]
pub(crate) struct Follower {
    next: Option<Instant>,
}

impl Follower {
    const EVERY: Duration = Duration::from_secs(1);

    /// To be called often.
    pub(crate) fn look(&mut self) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + Self::EVERY);
        if let Some((ticks, wall)) = both() {
            let gone = i128::from(wall) - i128::from(by_counter(ticks));
            let gone = gone.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            COURSE.steer(ticks, gone, ticks_per_second() as u64);
        }
    }
}

/// Counter and wall clock at one moment; `None` where there was always something in between.
fn both() -> Option<(u64, u64)> {
    /// In nanoseconds: less than what is made up for.
    const APART: u64 = 20_000;
    (0..3).find_map(|_| {
        let (before, wall, after) = (now(), SystemTime::now(), now());
        let apart = nanos_between(before, after);
        let wall = wall.duration_since(UNIX_EPOCH).ok()?.as_nanos() as u64;
        (apart <= APART).then_some((before, wall.saturating_sub(apart / 2)))
    })
}

/// Ticks in one second, for code that compares durations without converting each of them.
pub(crate) fn ticks_per_second() -> f64 {
    // A long span of ticks, so that the division keeps its digits.
    const SPAN: u64 = 1 << 40;
    let nanos = anchor().clock.delta_as_nanos(0, SPAN).max(1);
    SPAN as f64 * 1e9 / nanos as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_agree_with_the_wall() {
        let (start, wall) = (now(), SystemTime::now());
        std::thread::sleep(Duration::from_millis(20));
        let end = now();
        let nanos = nanos_between(start, end);
        assert!((19_000_000..5_000_000_000).contains(&nanos), "{nanos}");
        let unix = wall.duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!(unix_nanos(start).abs_diff(unix) < 1_000_000_000);
        assert_eq!(nanos_between(end, start), 0);
        for _ in 0..100 {
            Follower::default().look();
        }
        if let Some((ticks, wall)) = both() {
            let later = ticks + 2 * ticks_per_second() as u64;
            let off = unix_nanos(later).abs_diff(wall + 2_000_000_000);
            assert!(off < 1_000_000, "{off} ns from the wall two seconds later");
        }
        let per_second = (end - start) as f64 / (nanos as f64 / 1e9);
        assert!((ticks_per_second() / per_second - 1.0).abs() < 0.05);
    }
}
