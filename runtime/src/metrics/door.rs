//! A reference that every call reads and that can be exchanged.
//!
//! What most calls go by is behind it, and something that none can go by while they have to be told to more than their cells. So what is
//! rare is asked about by those alone who find the door closed.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Leads to a `T`.
pub(super) struct Door<T: 'static> {
    to: AtomicPtr<T>,
    /// It hands the same `T` to all threads, so it may be shared where that may.
    of: PhantomData<&'static T>,
}

impl<T> Door<T> {
    pub(super) const fn new(to: &'static T) -> Self {
        Self {
            to: AtomicPtr::new(ptr::from_ref(to).cast_mut()),
            of: PhantomData,
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a load, in every record")]
    pub(super) fn get(&self) -> &'static T {
        // SAFETY: the field is private, and `new` and `set` alone write it, each the address of a `&'static T`, which is valid and only read
        // for ever. What was written to it before `set` is seen after this load: the store releases what the load acquires.
        unsafe { &*self.to.load(Ordering::Acquire) }
    }

    pub(super) fn set(&self, to: &'static T) {
        self.to.store(ptr::from_ref(to).cast_mut(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::Door;

    #[test]
    fn leads_to_one_or_the_other_whole() {
        static CLOSED: [u64; 4] = [0; 4];
        let door = Door::new(&CLOSED);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..200_u64 {
                    door.set(Box::leak(Box::new([n; 4])));
                    door.set(&CLOSED);
                }
            });
            for _ in 0..10_000 {
                let found = door.get();
                assert!(found.iter().all(|n| *n == found[0]), "{found:?}");
            }
        });
        assert!(std::ptr::eq(door.get(), &raw const CLOSED));
    }
}
