//! Which span of ours stands behind an id of someone else's: of a `Registry`, for the layer.
//!
//! A table of buckets, each a cache line. An entry is claimed by its id and read without a lock: whoever has an id has it from the
//! one who put it in. What finds its bucket full goes to a map under a lock, which is looked at while something is in it.

use super::sync::{AtomicU64, AtomicUsize, Ordering, PLACES};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries of a bucket.
const WAYS: usize = 4;

struct Entry {
    /// 0 for a free one.
    id: AtomicU64,
    place: AtomicU64,
}

#[repr(align(64))]
struct Bucket([Entry; WAYS]);

impl Bucket {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Entry {
            id: AtomicU64::new(0),
            place: AtomicU64::new(0),
        }))
    }
}

pub(crate) struct Places {
    buckets: Box<[Bucket]>,
    more: Mutex<HashMap<u64, NonZeroU64>>,
    /// As many as there are of those, or more.
    count: AtomicUsize,
}

impl Places {
    pub(crate) fn new() -> Self {
        const { assert!(PLACES.is_power_of_two() && PLACES > 1) };
        Self {
            buckets: (0..PLACES).map(|_| Bucket::new()).collect(),
            more: Mutex::new(HashMap::new()),
            count: AtomicUsize::new(0),
        }
    }

    /// Ids are well mixed by a multiplication.
    #[inline]
    fn bucket(&self, id: u64) -> &[Entry] {
        let at = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES.trailing_zeros());
        self.buckets.get(at as usize).map_or(&[], |bucket| &bucket.0)
    }

    /// An id that is not there yet.
    #[inline]
    pub(crate) fn insert(&self, id: NonZeroU64, place: NonZeroU64) {
        for entry in self.bucket(id.get()) {
            // Those in use are passed without a locked instruction.
            if entry.id.load(Ordering::Relaxed) == 0
                && entry
                    .id
                    .compare_exchange(0, id.get(), Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return entry.place.store(place.get(), Ordering::Release);
            }
        }
        self.insert_more(id, place);
    }

    #[cold]
    fn insert_more(&self, id: NonZeroU64, place: NonZeroU64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.more().insert(id.get(), place);
    }

    fn more(&self) -> MutexGuard<'_, HashMap<u64, NonZeroU64>> {
        self.more.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn entry(&self, id: NonZeroU64) -> Option<&Entry> {
        self.bucket(id.get())
            .iter()
            .find(|entry| entry.id.load(Ordering::Acquire) == id.get())
    }

    #[inline]
    pub(crate) fn find(&self, id: NonZeroU64) -> Option<NonZeroU64> {
        if let Some(entry) = self.entry(id) {
            return NonZeroU64::new(entry.place.load(Ordering::Acquire));
        }
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.more().get(&id.get()).copied()
    }

    /// To be called once for an id, by one who knows that nobody else uses it any more.
    #[inline]
    pub(crate) fn remove(&self, id: NonZeroU64) -> Option<NonZeroU64> {
        if let Some(entry) = self.entry(id) {
            let place = NonZeroU64::new(entry.place.load(Ordering::Acquire));
            entry.place.store(0, Ordering::Relaxed);
            entry.id.store(0, Ordering::Release);
            return place;
        }
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let place = self.more().remove(&id.get());
        if place.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: usize) -> NonZeroU64 {
        NonZeroU64::new(n as u64 + 1).unwrap()
    }

    #[test]
    fn as_many_as_there_may_be_are_found_and_removed() {
        let places = Places::new();
        let many = PLACES * WAYS * 2;
        for n in 0..many {
            places.insert(number(n), number(n * 3));
        }
        assert!(!places.more().is_empty(), "more than the buckets hold");
        for n in 0..many {
            assert_eq!(places.find(number(n)), Some(number(n * 3)));
        }
        assert_eq!(places.find(number(many)), None);
        for n in (0..many).rev() {
            assert_eq!(places.remove(number(n)), Some(number(n * 3)));
            assert_eq!(places.find(number(n)), None);
            assert_eq!(places.remove(number(n)), None);
        }
        assert!(places.more().is_empty() && places.count.load(Ordering::Relaxed) == 0);
    }

    #[test]
    fn threads_find_their_own_in_shared_buckets() {
        let places = Places::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let places = &places;
                scope.spawn(move || {
                    for round in 0..20_000 {
                        // Few ids, so that all buckets in use are shared.
                        let ids: Vec<_> = (0..8).map(|n| number((n * 4 + thread) * PLACES)).collect();
                        for id in &ids {
                            places.insert(*id, number(round));
                        }
                        for id in &ids {
                            assert_eq!(places.find(*id), Some(number(round)));
                            assert_eq!(places.remove(*id), Some(number(round)));
                        }
                    }
                });
            }
        });
        assert!(places.more().is_empty() && places.count.load(Ordering::Relaxed) == 0);
    }
}
