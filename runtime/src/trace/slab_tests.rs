//! Stale ids, panics, many spans, many threads. `runtime/tests/loom_spans.rs` has the interleavings.

use super::slab::*;
use std::sync::Arc;

fn take<T: Default + Send>(slab: &Slab<T>) -> FreeSlot<T> {
    let mut free = Vec::new();
    slab.refill(&mut free);
    let one = free.pop().unwrap();
    slab.give_back(free.into_iter());
    one
}

#[test]
fn places_are_dense() {
    let mut expected = (0, 0);
    for index in 0..FIRST * 15 {
        assert_eq!(place(index), expected);
        expected.1 += 1;
        if expected.1 == (FIRST as usize) << expected.0 {
            expected = (expected.0 + 1, 0);
        }
    }
}

#[test]
fn stale_and_forged_ids_are_turned_away() {
    let slab = Slab::<u32>::new();
    let id = slab.fill(take(&slab), |v| *v = 7).unwrap();
    assert_eq!(slab.with(id, |v| *v), Some(7));
    assert!(slab.retain(id));
    assert!(slab.release(id, |_| ()).is_none());
    let mut closing = slab.release(id, |_| ()).unwrap();
    assert_eq!(*closing.contents(), 7);
    assert!(slab.with(id, |_| ()).is_none(), "being closed");
    let free = closing.free();
    assert!(slab.with(id, |_| ()).is_none() && !slab.retain(id) && slab.release(id, |_| ()).is_none());
    let again = slab.fill(free, |v| *v = 8).unwrap();
    assert_ne!(id, again);
    assert!(slab.with(id, |_| ()).is_none());
    for forged in [
        1,
        1 << 32,
        u64::MAX,
        again.get().get() + 1,
        again.get().get() + (1 << 32),
    ] {
        let forged = Handle::from_u64(forged).unwrap();
        if forged != again {
            assert!(slab.with(forged, |_| ()).is_none(), "{forged:?}");
            assert!(slab.release(forged, |_| ()).is_none());
        }
    }
}

#[test]
fn each_sees_the_live_ones_and_no_others() {
    let slab = Slab::<u32>::new();
    let ids: Vec<_> = (0..100).map(|n| slab.fill(take(&slab), |v| *v = n).unwrap()).collect();
    for id in ids.iter().step_by(2) {
        slab.give_back(std::iter::once(slab.release(*id, |_| ()).unwrap().free()));
    }
    let mut seen = Vec::new();
    slab.each(|id, v| seen.push((id, *v)));
    seen.sort_by_key(|(_, v)| *v);
    let odd: Vec<_> = (0..100)
        .zip(&ids)
        .filter(|(n, _)| n % 2 == 1)
        .map(|(n, id)| (*id, n))
        .collect();
    assert_eq!(seen, odd);
}

#[test]
fn a_panic_inside_leaves_the_slot_usable() {
    let slab = Slab::<u32>::new();
    let id = slab.fill(take(&slab), |_| ()).unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| slab.with(id, |_| panic!("in a slot"))));
    assert!(caught.is_err());
    assert_eq!(slab.with(id, |v| *v), Some(0));
}

#[test]
fn many_open_spans_and_threads() {
    let slab = Arc::new(Slab::<u64>::new());
    let threads: Vec<_> = (0..4_u64)
        .map(|t| {
            let slab = Arc::clone(&slab);
            std::thread::spawn(move || {
                let mut free = Vec::new();
                let mut open = Vec::new();
                for n in 0..5_000_u64 {
                    if free.is_empty() {
                        slab.refill(&mut free);
                    }
                    let value = t << 32 | n;
                    open.push((slab.fill(free.pop().unwrap(), |v| *v = value).unwrap(), value));
                }
                for (id, value) in open {
                    assert_eq!(slab.with(id, |v| *v), Some(value));
                    let closing = slab.release(id, |_| ()).unwrap();
                    free.push(closing.free());
                }
                slab.give_back(free.into_iter());
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let capacity = slab.capacity();
    assert!((5_000..70_000).contains(&capacity), "{capacity}");
}

#[test]
fn references_are_counted_across_threads() {
    let slab = Arc::new(Slab::<u64>::new());
    for _ in 0..200 {
        let id = slab.fill(take(&slab), |v| *v = 0).unwrap();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                assert!(slab.retain(id));
                let slab = Arc::clone(&slab);
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        slab.with(id, |v| *v += 1).unwrap();
                    }
                    slab.release(id, |_| ()).map(|mut c| {
                        let sum = *c.contents();
                        slab.give_back(std::iter::once(c.free()));
                        sum
                    })
                })
            })
            .collect();
        let mine = slab.release(id, |_| ()).map(|mut c| {
            let sum = *c.contents();
            slab.give_back(std::iter::once(c.free()));
            sum
        });
        let last: Vec<u64> = threads
            .into_iter()
            .filter_map(|t| t.join().unwrap())
            .chain(mine)
            .collect();
        assert_eq!(last, [150], "closed once, after all");
    }
}
