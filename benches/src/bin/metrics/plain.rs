//! The limits of the hardware, and vitalsign's side.

use benches::measure::{Case, case};
use benches::wrapped::{body, consume};
use std::hint::black_box;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use vitalsign::__private::discard;
use vitalsign::{LabelValue, counted, timed};

#[derive(Clone, Copy, LabelValue)]
pub(crate) enum Channel {
    Web,
    Shop,
    Phone,
}

#[derive(Clone, Copy, LabelValue)]
pub(crate) enum Size {
    Small,
    Large,
}

impl Channel {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the same in every row: what is measured is what is done with it"
    )]
    pub(crate) fn of(i: u64) -> Self {
        match i % 4 {
            0 => Self::Web,
            1 => Self::Shop,
            _ => Self::Phone,
        }
    }
}

impl Size {
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "the same in every row: what is measured is what is done with it"
    )]
    pub(crate) fn of(i: u64) -> Self {
        if i.is_multiple_of(8) { Self::Large } else { Self::Small }
    }
}

static ADDED: AtomicU64 = AtomicU64::new(0);
static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);

#[inline(never)]
fn bare(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

/// What [`labelled`] is without its attribute.
#[inline(never)]
fn bare_labelled(channel: Channel, size: Size, i: u64) -> Result<u64, std::fmt::Error> {
    black_box((channel, size));
    body(i)
}

#[inline(never)]
fn adds(i: u64) -> Result<u64, std::fmt::Error> {
    let result = body(i);
    ADDED.fetch_add(1, Ordering::Relaxed);
    result
}

#[counted(name = "bench.plain")]
fn plain(i: u64) -> u64 {
    black_box(i)
}

#[counted(name = "bench.labelled", labels(channel = channel, size = size))]
fn labelled(channel: Channel, size: Size, i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

#[timed(name = "bench.timed")]
fn timed_plain(i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

#[timed(name = "bench.timed.labelled", labels(channel = channel, size = size))]
fn timed_labelled(channel: Channel, size: Size, i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

#[counted(name = "bench.both.labelled", labels(channel = channel, size = size))]
#[timed(name = "bench.both.timed")]
fn both_labelled(channel: Channel, size: Size, i: u64) -> Result<u64, std::fmt::Error> {
    body(i)
}

pub(crate) const CASES: [Case; 10] = [
    case("bare call", |n| {
        for i in 0..n {
            consume(bare(i));
        }
    }),
    case("bare call, with the arguments that two labels are of", |n| {
        for i in 0..n {
            consume(bare_labelled(Channel::of(i), Size::of(i), i));
        }
    }),
    case("limit: fetch_add on one cell", |n| {
        for i in 0..n {
            consume(adds(i));
        }
    })
    .check(|n| assert_eq!(ADDED.load(Ordering::Relaxed), n)),
    case("limit: clock pair, quanta", |n| {
        let clock = &*CLOCK;
        for i in 0..n {
            let start = clock.raw();
            let result = body(i);
            black_box(clock.raw().saturating_sub(start));
            consume(result);
        }
    }),
    case("limit: clock pair, Instant", |n| {
        for i in 0..n {
            let start = Instant::now();
            let result = body(i);
            black_box(start.elapsed());
            consume(result);
        }
    }),
    case("count: #[counted], a name, no labels", |n| {
        for i in 0..n {
            black_box(plain(i));
        }
    })
    .setup(crate::ours::init)
    .check(|n| assert_eq!(discard::total("bench.plain"), n)),
    case("count: #[counted], two enum labels, outcome", |n| {
        for i in 0..n {
            consume(labelled(Channel::of(i), Size::of(i), i));
        }
    })
    .setup(crate::ours::init)
    .check(|n| assert_eq!(discard::total("bench.labelled"), n)),
    case("time: #[timed], a name", |n| {
        for i in 0..n {
            consume(timed_plain(i));
        }
    })
    .setup(crate::ours::init)
    .check(|n| assert_eq!(discard::total("bench.timed"), n)),
    case("time: #[timed], two enum labels", |n| {
        for i in 0..n {
            consume(timed_labelled(Channel::of(i), Size::of(i), i));
        }
    })
    .setup(crate::ours::init)
    .check(|n| assert_eq!(discard::total("bench.timed.labelled"), n)),
    case("count and time: ours, two enum labels on the counter", |n| {
        for i in 0..n {
            consume(both_labelled(Channel::of(i), Size::of(i), i));
        }
    })
    .setup(crate::ours::init)
    .check(|n| {
        assert_eq!(discard::total("bench.both.labelled"), n);
        assert_eq!(discard::total("bench.both.timed"), n);
    }),
];
