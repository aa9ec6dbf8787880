//! The hand-over of finished spans: one bounded ring per thread, one writer, one reader.
//!
//! A span is a fixed head and a body of bytes, each in a ring of its own, so that what a span carries is copied once, in
//! sequence, and nothing is allocated. A body lies in one piece: where it would wrap, the rest of the bytes is skipped.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[repr(align(128))]
struct Line<T>(T);

struct Entry<H> {
    head: H,
    /// Where the body lies, counted from the ring's first byte ever.
    start: usize,
    end: usize,
}

struct Ring<H> {
    entries: Box<[UnsafeCell<MaybeUninit<Entry<H>>>]>,
    bytes: Box<[UnsafeCell<u8>]>,
    /// Entries written; only the writer moves it.
    tail: Line<AtomicUsize>,
    /// Entries read, and bytes read; only the reader moves them.
    head: Line<(AtomicUsize, AtomicUsize)>,
    retired: AtomicBool,
}

// SAFETY: an entry and its bytes are touched by the writer while they lie outside `head..tail` and by the reader while inside,
// as handed over by release stores and acquire loads of those two; there is one of each. Heads change threads: `Send`.
unsafe impl<H: Send> Sync for Ring<H> {}
// SAFETY: as above; the ring owns its entries.
unsafe impl<H: Send> Send for Ring<H> {}

/// The end that a thread writes to.
pub(crate) struct Writer<H> {
    ring: Arc<Ring<H>>,
    tail: usize,
    bytes: usize,
    /// As last seen; read again only when the ring looks full.
    seen_head: usize,
    seen_bytes: usize,
}

/// The end that the drainer reads.
pub(crate) struct Reader<H> {
    ring: Arc<Ring<H>>,
    head: usize,
}

/// A ring for at least `entries` spans; both sizes become powers of two.
pub(crate) fn ring<H: Send>(entries: usize, bytes: usize) -> (Writer<H>, Reader<H>) {
    let ring = Arc::new(Ring {
        entries: (0..entries.next_power_of_two())
            .map(|_| UnsafeCell::new(MaybeUninit::uninit()))
            .collect(),
        bytes: (0..bytes.next_power_of_two()).map(|_| UnsafeCell::new(0)).collect(),
        tail: Line(AtomicUsize::new(0)),
        head: Line((AtomicUsize::new(0), AtomicUsize::new(0))),
        retired: AtomicBool::new(false),
    });
    let writer = Writer {
        ring: Arc::clone(&ring),
        tail: 0,
        bytes: 0,
        seen_head: 0,
        seen_bytes: 0,
    };
    (writer, Reader { ring, head: 0 })
}

impl<H> Writer<H> {
    pub(crate) fn capacity(&self) -> usize {
        self.ring.entries.len()
    }

    /// Bodies longer than this do not go through the ring.
    pub(crate) fn longest_body(&self) -> usize {
        self.ring.bytes.len() / 4
    }

    /// Hands a span over; gives it back when the ring is full. `Ok(true)` when more than half of the ring waits.
    #[inline]
    pub(crate) fn push(&mut self, head: H, body: &[u8]) -> Result<bool, H> {
        let ring = &*self.ring;
        let size = ring.bytes.len();
        let mut start = self.bytes;
        let offset = start & (size - 1);
        if offset + body.len() > size {
            start += size - offset;
        }
        let end = start + body.len();
        let full = |seen_head: usize, seen_bytes: usize| {
            self.tail.wrapping_sub(seen_head) >= ring.entries.len() || end.wrapping_sub(seen_bytes) > size
        };
        if full(self.seen_head, self.seen_bytes) {
            self.seen_head = ring.head.0.0.load(Ordering::Acquire);
            self.seen_bytes = ring.head.0.1.load(Ordering::Acquire);
            if full(self.seen_head, self.seen_bytes) || body.len() > size {
                return Err(head);
            }
        }
        let offset = start & (size - 1);
        // SAFETY: `offset + body.len() <= size`: either it fitted, or `start` was moved to a multiple of `size` and
        // `body.len() <= size` because `end - seen_bytes <= size`. These bytes are not the reader's: they lie past
        // every body not yet read, less than `size` from the first of them. `&mut self` makes this the only writer. `u8` in
        // `UnsafeCell` has the layout of `u8`.
        unsafe {
            let to = UnsafeCell::raw_get(ring.bytes.as_ptr().add(offset));
            std::ptr::copy_nonoverlapping(body.as_ptr(), to, body.len());
        }
        let at = self.tail & (ring.entries.len() - 1);
        // SAFETY: the entry lies outside `head..tail` (the ring is not full), so it is the writer's, and holds nothing to drop.
        unsafe { (*ring.entries[at].get()).write(Entry { head, start, end }) };
        self.tail = self.tail.wrapping_add(1);
        self.bytes = end;
        ring.tail.0.store(self.tail, Ordering::Release);
        Ok(self.tail.wrapping_sub(self.seen_head) == ring.entries.len() / 2)
    }
}

impl<H> Drop for Writer<H> {
    fn drop(&mut self) {
        self.ring.retired.store(true, Ordering::Release);
    }
}

impl<H> Reader<H> {
    /// Reads what is there now, in order; returns how many.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(H, &[u8])) -> usize {
        let ring = &*self.ring;
        let tail = ring.tail.0.load(Ordering::Acquire);
        let count = tail.wrapping_sub(self.head);
        while self.head != tail {
            let at = self.head & (ring.entries.len() - 1);
            // SAFETY: the entry lies inside `head..tail`: written, not yet read, and ours until `head` moves past it, which
            // happens below whatever `each` does; so it is read out once.
            let Entry { head, start, end } = unsafe { (*ring.entries[at].get()).assume_init_read() };
            let _step = Step {
                ring,
                head: &mut self.head,
                bytes: end,
            };
            let offset = start & (ring.bytes.len() - 1);
            // SAFETY: the writer placed the body inside the ring in one piece and does not touch it until `_step` gives it back.
            let body = unsafe {
                let from = UnsafeCell::raw_get(ring.bytes.as_ptr().add(offset));
                std::slice::from_raw_parts(from, end - start)
            };
            each(head, body);
        }
        count
    }

    /// The writer is gone and all it wrote has been read.
    pub(crate) fn is_done(&self) -> bool {
        self.ring.retired.load(Ordering::Acquire) && self.ring.tail.0.load(Ordering::Acquire) == self.head
    }
}

/// Gives an entry back to the writer, also when the reader's closure unwinds.
struct Step<'a, H> {
    ring: &'a Ring<H>,
    head: &'a mut usize,
    bytes: usize,
}

impl<H> Drop for Step<'_, H> {
    #[inline]
    fn drop(&mut self) {
        *self.head = self.head.wrapping_add(1);
        self.ring.head.0.1.store(self.bytes, Ordering::Release);
        self.ring.head.0.0.store(*self.head, Ordering::Release);
    }
}

impl<H> Drop for Ring<H> {
    fn drop(&mut self) {
        let tail = self.tail.0.load(Ordering::Acquire);
        let mut head = self.head.0.0.load(Ordering::Acquire);
        while head != tail {
            let at = head & (self.entries.len() - 1);
            // SAFETY: written and never read; `&mut self` means both ends are gone.
            unsafe { self.entries[at].get_mut().assume_init_drop() };
            head = head.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn every_interleaving_of_a_small_ring_agrees_with_a_queue() {
        // All sequences of pushes (bodies of 0, 3 or 4 bytes) and drains, eight long, on a ring of 4 entries and 8 bytes.
        for mut word in 0..4_u32.pow(8) {
            let (mut writer, mut reader) = ring::<Arc<u32>>(4, 8);
            let mut model = VecDeque::new();
            let alive = Arc::new(word);
            for step in 0..8 {
                let op = word % 4;
                word /= 4;
                if let Some(length) = [0_usize, 3, 4].get(op as usize) {
                    let body = vec![step as u8; *length];
                    if writer.push(Arc::clone(&alive), &body).is_ok() {
                        model.push_back(body);
                    } else {
                        assert!(!model.is_empty(), "an empty ring takes a body of up to half its size");
                    }
                } else {
                    let mut read = Vec::new();
                    reader.drain(|_, body| read.push(body.to_vec()));
                    assert!(model.iter().eq(&read));
                    model.clear();
                }
            }
            assert_eq!(Arc::strong_count(&alive), 1 + model.len());
            drop((writer, reader));
            assert_eq!(Arc::strong_count(&alive), 1, "what was not read is dropped");
        }
    }

    #[test]
    fn across_threads_nothing_is_lost_or_torn() {
        let (mut writer, mut reader) = ring::<u64>(64, 1024);
        let thread = std::thread::spawn(move || {
            for n in 0..100_000_u64 {
                let body = vec![n as u8; (n % 50) as usize];
                while writer.push(n, &body).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while !reader.is_done() {
            reader.drain(|n, body| {
                assert_eq!(n, next);
                assert_eq!(body.len(), (n % 50) as usize);
                assert!(body.iter().all(|b| *b == n as u8));
                next += 1;
            });
        }
        thread.join().unwrap();
        assert_eq!(next, 100_000);
    }
}
