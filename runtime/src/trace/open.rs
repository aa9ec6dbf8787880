//! Spans that have not ended: how many, how old, and a word about those that are open too long.
//!
//! Nobody keeps a list of them: whoever asks looks through the slots of the store, which are as many as were ever open at once.
//! The span of a plain function lives on its thread's stack, where no other thread looks; so while long ones are looked for, or
//! times asked for, such spans go to the store too.

use super::context::{SpanContext, SpanId, TraceId};
use super::modes;
use super::slab::Handle;
use super::store::SLAB;
use crate::clock;
use crate::export::diag::{self, Level};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tracing_core::Metadata;

/// Age of the oldest open span of the store.
pub(super) fn oldest() -> Duration {
    let mut oldest = u64::MAX;
    SLAB.each(|_, live| {
        if live.is_open() {
            oldest = oldest.min(live.fixed.start);
        }
    });
    Duration::from_nanos(clock::nanos_between(oldest, clock::now()))
}

/// Someone wants to know of every span while it is open.
pub(crate) fn watch() {
    modes::set(modes::WATCHED);
}

#[inline]
pub(super) fn is_watched() -> bool {
    modes::has(modes::WATCHED)
}

/// `VITALSIGN_LONG_SPANS`, in milliseconds; 0 for never.
static LONG: AtomicU64 = AtomicU64::new(0);
/// Spans that were told of.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Tells of spans that are open longer than this.
pub(crate) fn tell_after(age: Option<Duration>) {
    let millis = age.map_or(0, |age| age.as_millis().max(1) as u64);
    LONG.store(millis, Ordering::Relaxed);
    if millis > 0 {
        watch();
    }
}

pub(super) fn told() -> u64 {
    TOLD.load(Ordering::Relaxed)
}

/// Lines in one go; a program with ten thousand of them has one cause.
const LINES: usize = 10;
/// Spans remembered as told.
const REMEMBERED: usize = 16 * 1024;

/// Looks for long spans now and then, on the drainer's thread.
#[derive(Default)]
pub(super) struct Watch {
    looked: Option<Instant>,
    told: HashSet<Handle>,
}

struct Long {
    meta: &'static Metadata<'static>,
    trace: TraceId,
    span: SpanId,
    age: Duration,
}

impl Watch {
    /// Looks, if it is time to.
    pub(super) fn look(&mut self) {
        let threshold = match LONG.load(Ordering::Relaxed) {
            0 => return,
            millis => Duration::from_millis(millis),
        };
        let every = (threshold / 4).clamp(Duration::from_millis(100), Duration::from_secs(10));
        if self.looked.is_some_and(|looked| looked.elapsed() < every) {
            return;
        }
        self.looked = Some(Instant::now());
        let (found, more) = self.find(threshold);
        for long in &found {
            say(long, threshold);
        }
        if more > 0 {
            diag::say(
                Level::Warn,
                format_args!("{more} more spans have been open for longer than {threshold:?}"),
            );
        }
        TOLD.fetch_add(found.len() as u64 + more, Ordering::Relaxed);
    }

    /// The long ones that were not told of yet, as far as there are lines for them, and how many more.
    fn find(&mut self, threshold: Duration) -> (Vec<Long>, u64) {
        let now = clock::now();
        let (mut found, mut more, mut open) = (Vec::new(), 0, HashSet::new());
        let told = &self.told;
        SLAB.each(|handle, live| {
            let Some(meta) = live.fixed.meta.filter(|_| live.is_open()) else {
                return;
            };
            let age = Duration::from_nanos(clock::nanos_between(live.fixed.start, now));
            if age < threshold || open.len() == REMEMBERED {
                return;
            }
            open.insert(handle);
            if told.contains(&handle) {
                return;
            }
            if found.len() == LINES {
                more += 1;
                return;
            }
            let SpanContext { trace_id, span_id, .. } = live.ids.context();
            found.push(Long {
                meta,
                trace: trace_id,
                span: span_id,
                age,
            });
        });
        self.told = open;
        (found, more)
    }
}

/// Only copies were made under the slots' locks; words are for now.
fn say(long: &Long, threshold: Duration) {
    let Long { meta, trace, span, age } = long;
    let place = match (meta.file(), meta.line()) {
        (Some(file), Some(line)) => format!(" at {file}:{line}"),
        _ => String::new(),
    };
    let seconds = age.as_secs_f64();
    diag::say(
        Level::Warn,
        format_args!(
            "span `{}` of {}{place} has been open for {seconds:.1} s, trace_id={trace} span_id={span}; VITALSIGN_LONG_SPANS={} asks for a \
             word",
            meta.name(),
            meta.target(),
            threshold.as_millis(),
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::__private as p;
    use crate::site::Site;
    use crate::trace::live::Fixed;
    use crate::trace::{local, store};

    static SITE: Site = Site {
        def: p::Def::bare("f"),
        slots: p::Slots::new(),
    };

    /// A recorded span; `end`: 0 while it is open.
    fn span(end: u64) -> Handle {
        let free = local::with(local::Local::free_slot).flatten().unwrap();
        let filled = SLAB.fill(free, |live| {
            live.fixed = Fixed {
                meta: Some(SITE.metadata()),
                start: clock::now(),
                end,
                recorded: true,
                ..Fixed::default()
            };
        });
        filled.unwrap()
    }

    #[test]
    fn what_has_ended_and_is_held_is_not_open() {
        let (open, ended) = (span(0), span(clock::now()));
        let mut watch = Watch::default();
        watch.find(Duration::ZERO);
        assert_eq!([open, ended].map(|span| watch.told.contains(&span)), [true, false]);
        store::discard(open);
        store::discard(ended);
    }
}
