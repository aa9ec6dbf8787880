//! The ring, the slab, and the table of spans that are passed over, under every interleaving that loom finds: nothing is lost or torn, no span is closed twice, and a
//! stale id reaches nobody else's span. That no two threads touch one cell at once is checked too, cell by cell.
//!
//! `LOOM_MAX_PREEMPTIONS=4 cargo test --release --test loom_spans` looks further than the two preemptions of the ordinary run.

#![cfg(feature = "record")]

#[allow(dead_code, reason = "the models call a part of it")]
#[path = "../src/trace/ring.rs"]
mod ring;
#[allow(dead_code, reason = "the models call a part of it")]
#[path = "../src/trace/slab.rs"]
mod slab;
#[allow(dead_code, reason = "the models call a part of it")]
#[path = "../src/trace/passed/table.rs"]
mod table;

/// What the modules agree by here.
mod sync {
    use loom::cell::{ConstPtr, MutPtr, UnsafeCell};
    pub(super) use loom::hint::spin_loop;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(super) use loom::thread::yield_now;
    use std::ops::RangeInclusive;

    pub(super) const FIRST_CHUNK: u32 = 2;
    pub(super) const PASSED_SLOTS: usize = 1;

    /// A cell of loom's for each of the module's own.
    pub(super) struct Track(Vec<UnsafeCell<()>>);

    pub(super) struct Touched {
        _written: Vec<MutPtr<()>>,
        _read: Vec<ConstPtr<()>>,
    }

    impl Track {
        pub(super) fn new(cells: usize) -> Self {
            Self((0..cells).map(|_| UnsafeCell::new(())).collect())
        }

        pub(super) fn writes(&self, cells: RangeInclusive<usize>) -> Touched {
            Touched {
                _written: self.0[cells].iter().map(UnsafeCell::get_mut).collect(),
                _read: Vec::new(),
            }
        }

        pub(super) fn reads(&self, cells: RangeInclusive<usize>) -> Touched {
            Touched {
                _written: Vec::new(),
                _read: self.0[cells].iter().map(UnsafeCell::get).collect(),
            }
        }
    }
}

use loom::thread;
use slab::{FreeSlot, Handle, Slab};
use std::num::NonZeroU64;
use std::sync::Arc;
use table::{Contents, Owner, Released, Table};

/// Explores with a bound on preemptions, unless the environment sets one.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(f);
}

#[test]
fn a_ring_hands_over_whole_entries_in_order() {
    model(|| {
        // Eight words: an entry of three, then one that has to go around the end or finds the ring full.
        let (mut writer, mut reader) = ring::ring::<u32>(64);
        let thread = thread::spawn(move || {
            let mut taken = Vec::new();
            for n in 1..=4_u32 {
                if writer.push(&n, &[n as u8; 7]).is_some() {
                    taken.push(n);
                }
            }
            taken
        });
        let mut read = Vec::new();
        let mut each = |head: &u32, body: &[u8]| {
            assert_eq!(body, [*head as u8; 7]);
            read.push(*head);
        };
        for _ in 0..2 {
            reader.drain(&mut each);
        }
        let taken = thread.join().unwrap();
        while !reader.is_done() {
            reader.drain(&mut each);
        }
        assert_eq!(read, taken, "what was refused was refused to its writer's face");
    });
}

fn two_slots() -> (Arc<Slab<u64>>, Vec<FreeSlot<u64>>) {
    let slab = Slab::new();
    let mut free = Vec::new();
    slab.refill(&mut free);
    free.truncate(2);
    (Arc::new(slab), free)
}

/// Adds, then gives its reference back; the sum where it was the last.
fn add_and_release(slab: &Slab<u64>, id: Handle) -> Option<u64> {
    slab.with(id, |sum| *sum += 1).expect("a reference keeps it");
    let mut closing = slab.release(id, |sum| *sum += 10)?;
    let sum = *closing.contents();
    closing.free();
    Some(sum)
}

#[test]
fn a_span_is_closed_once_after_all_that_was_said_of_it() {
    model(|| {
        let (slab, mut free) = two_slots();
        let id = slab.fill(free.pop().unwrap(), |sum| *sum = 0).unwrap();
        assert!(slab.retain(id));
        let other = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || add_and_release(&slab, id))
        };
        let mine = add_and_release(&slab, id);
        let other = other.join().unwrap();
        assert_eq!([mine, other].into_iter().flatten().collect::<Vec<_>>(), [22]);
        assert!(slab.with(id, |_| ()).is_none() && !slab.retain(id));
    });
}

#[test]
fn a_stale_id_never_reaches_the_next_span_of_its_slot() {
    model(|| {
        let (slab, mut free) = two_slots();
        let old = slab.fill(free.pop().unwrap(), |value| *value = 1).unwrap();
        let reader = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || {
                let seen = slab.with(old, |value| *value);
                assert!(matches!(seen, None | Some(1)), "{seen:?}");
                // As one who clones a span whose last handle is being dropped elsewhere.
                if slab.retain(old) {
                    assert_eq!(slab.with(old, |value| *value), Some(1));
                    return slab.release(old, |_| ()).map(slab::Closing::free);
                }
                None
            })
        };
        let mut next = None;
        if let Some(closing) = slab.release(old, |_| ()) {
            next = slab.fill(closing.free(), |value| *value = 2);
            assert_ne!(next, Some(old));
        }
        let other = reader.join().unwrap();
        assert_ne!(next.is_some(), other.is_some(), "freed once");
        if let Some(next) = next {
            assert_eq!(slab.with(next, |value| *value), Some(2));
        }
    });
}

#[test]
fn a_look_at_all_spans_meets_only_live_ones() {
    model(|| {
        let (slab, mut free) = two_slots();
        let (first, second) = (free.pop().unwrap(), free.pop().unwrap());
        let one = slab.fill(first, |value| *value = 1).unwrap();
        let thread = {
            let slab = Arc::clone(&slab);
            thread::spawn(move || {
                let two = slab.fill(second, |value| *value = 2).unwrap();
                slab.release(one, |value| *value = 3).map(slab::Closing::free);
                two
            })
        };
        let mut seen = Vec::new();
        slab.each(|_, value| seen.push(*value));
        assert!(seen.iter().all(|value| [1, 2].contains(value)), "{seen:?}");
        let two = thread.join().unwrap();
        assert_eq!(slab.with(two, |value| *value), Some(2));
    });
}

static META: u8 = 7;

/// A table of one slot.
fn one_slot() -> (Arc<Table<u8>>, Owner<Arc<Table<u8>>>) {
    let table = Arc::new(Table::new());
    (Arc::clone(&table), Owner::new(table, 0, |_| ()))
}

fn contents(n: u64) -> Contents<u8> {
    Contents {
        nonce: n,
        trace: [n, n],
        bits: n,
        meta: &META,
    }
}

/// As the owner's thread does it: on the straight way, where that is one.
fn release(owner: &Owner<Arc<Table<u8>>>, place: table::Place) -> Released {
    owner.release_plain(place).unwrap_or_else(|| owner.release(place))
}

#[test]
fn a_slot_is_free_when_both_counts_come_to_nothing_and_not_before() {
    model(|| {
        let (table, owner) = one_slot();
        let place = owner.fill(&contents(1)).unwrap();
        assert!(owner.retain(place));
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                // As one who clones its own and drops both.
                assert!(table.retain(place));
                table.release(place);
                assert_eq!(table.peek(place), Some(contents(1)));
                table.release(place);
            })
        };
        assert_eq!(table.peek(place), Some(contents(1)));
        release(&owner, place);
        // The other's reference keeps it until the other is done with it; then the slot is found.
        let look_and_fill = || {
            if !owner.has_room() {
                owner.look(|_| ());
            }
            owner.fill(&contents(2))
        };
        let early = look_and_fill();
        other.join().unwrap();
        let next = early.or_else(look_and_fill).expect("freed");
        assert_ne!(next, place);
        assert_eq!(table.peek(place), None);
        assert_eq!(table.peek(next), Some(contents(2)));
    });
}

#[test]
fn a_stale_id_is_told_nothing_of_the_next_span() {
    model(|| {
        let (table, owner) = one_slot();
        let old = owner.fill(&contents(1)).unwrap();
        let reader = thread::spawn(move || table.peek(old));
        assert_eq!(release(&owner, old), Released::Last(None));
        owner.fill(&contents(2)).unwrap();
        let seen = reader.join().unwrap();
        assert!(seen.is_none() || seen == Some(contents(1)), "{seen:?}");
    });
}

#[test]
fn what_a_span_was_forwarded_to_is_given_back_once() {
    model(|| {
        let (table, owner) = one_slot();
        let place = owner.fill(&contents(1)).unwrap();
        assert!(owner.retain(place));
        let to = NonZeroU64::new(77).unwrap();
        let other = thread::spawn(move || {
            assert!(table.forward(place, to) && !table.forward(place, to));
            table.release(place)
        });
        let mine = release(&owner, place);
        let theirs = other.join().unwrap();
        let mut given: Vec<_> = [mine, theirs]
            .into_iter()
            .filter_map(|released| match released {
                Released::Last(forward) => forward,
                Released::No => None,
            })
            .collect();
        // At the latest when the owner looks for a slot.
        owner.look(|forward| given.push(forward));
        owner.fill(&contents(2)).expect("freed");
        assert_eq!(given, [to]);
    });
}
