//! The hand-over of finished spans: one bounded ring per thread, one writer, one reader.
//!
//! An entry is a head of fixed size and a body of bytes, written behind each other into one ring of words, so that a span is
//! copied once, in sequence, through as few cache lines as it fills, and nothing is allocated. An entry lies in one piece:
//! where it would wrap, a mark says that the rest is skipped.
#![allow(unsafe_code)]

use super::sync::{AtomicBool, AtomicUsize, Ordering, Track};
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

#[repr(align(128))]
struct Line<T>(T);

/// One word of the ring. Entries begin at words, so heads are aligned to eight bytes.
type Word = UnsafeCell<u64>;
const WORD: usize = size_of::<u64>();
/// The first word of an entry is the length of its body in bytes; this one says that the ring goes on at its beginning.
const SKIP: u64 = u64::MAX;

struct Ring {
    words: Box<[Word]>,
    track: Track,
    /// Words written since the beginning; only the writer moves it.
    tail: Line<AtomicUsize>,
    /// Words read; only the reader moves it.
    head: Line<AtomicUsize>,
    retired: AtomicBool,
}

// SAFETY: a word is touched by the writer while it lies outside `head..tail` and by the reader while inside, as handed over by
// release stores and acquire loads of those two; there is one of each. Heads are `Copy + Send` (see `ring`).
unsafe impl Sync for Ring {}

/// The end that a thread writes to.
pub(crate) struct Writer<H> {
    ring: Arc<Ring>,
    tail: usize,
    /// As last seen; read again only when the ring looks full.
    seen: usize,
    /// Where the reader is to be woken at the latest.
    half: usize,
    of: PhantomData<fn(H)>,
}

/// The end that the drainer reads.
pub(crate) struct Reader<H> {
    ring: Arc<Ring>,
    head: usize,
    of: PhantomData<fn() -> H>,
}

const fn words(bytes: usize) -> usize {
    bytes.div_ceil(WORD)
}

/// A ring of so many bytes, rounded up to a power of two.
pub(crate) fn ring<H: Copy + Send>(bytes: usize) -> (Writer<H>, Reader<H>) {
    const { assert!(align_of::<H>() <= align_of::<u64>()) };
    let size = words(bytes).next_power_of_two();
    let ring = Arc::new(Ring {
        words: (0..size).map(|_| UnsafeCell::new(0)).collect(),
        track: Track::new(size),
        tail: Line(AtomicUsize::new(0)),
        head: Line(AtomicUsize::new(0)),
        retired: AtomicBool::new(false),
    });
    let writer = Writer {
        ring: Arc::clone(&ring),
        tail: 0,
        seen: 0,
        half: size / 2,
        of: PhantomData,
    };
    (
        writer,
        Reader {
            ring,
            head: 0,
            of: PhantomData,
        },
    )
}

impl<H: Copy> Writer<H> {
    pub(crate) fn bytes(&self) -> usize {
        self.ring.words.len() * WORD
    }

    /// Bodies longer than this do not go through the ring.
    #[inline]
    pub(crate) fn longest_body(&self) -> usize {
        self.bytes() / 4 - size_of::<H>()
    }

    /// Hands an entry over; `None` when the ring is full, `Some(true)` each time another half of it was filled.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the head is built in the ring itself")]
    pub(crate) fn push(&mut self, head: &H, body: &[u8]) -> Option<bool> {
        let ring = &*self.ring;
        let size = ring.words.len();
        let needed = 1 + words(size_of::<H>()) + words(body.len());
        let mut at = self.tail & (size - 1);
        let skipped = if at + needed > size { size - at } else { 0 };
        let tail = self.tail.wrapping_add(skipped + needed);
        if tail.wrapping_sub(self.seen) > size {
            self.seen = ring.head.0.load(Ordering::Acquire);
            if tail.wrapping_sub(self.seen) > size {
                return None;
            }
        }
        if skipped != 0 {
            let _touched = ring.track.writes(at..=at);
            // SAFETY: `at < size`, and the word is the writer's: `tail - head <= size` covers the skipped words too.
            unsafe { *ring.words[at].get() = SKIP };
            at = 0;
        }
        let cells = &ring.words[at..at + needed];
        let touched = ring.track.writes(at..=at + needed - 1);
        // SAFETY: `cells` is `needed` words long, room for the length, a head and the body. They are the writer's: the reader
        // has passed them (`tail - head <= size`, seen with acquire) and looks at none beyond the tail. `&mut self` makes this
        // the only writer; going through the cells' pointers makes no reference to what the reader may hold.
        unsafe {
            let first = UnsafeCell::raw_get(cells.as_ptr());
            first.write(body.len() as u64);
            let head_at = first.add(1);
            head_at.cast::<H>().write(*head);
            let body_at = head_at.add(words(size_of::<H>())).cast::<u8>();
            if !body.is_empty() {
                ptr::copy_nonoverlapping(body.as_ptr(), body_at, body.len());
            }
        }
        drop(touched);
        self.tail = tail;
        ring.tail.0.store(tail, Ordering::Release);
        let half = tail.wrapping_sub(self.half) as isize >= 0;
        if half {
            self.half = tail.wrapping_add(size / 2);
        }
        Some(half)
    }
}

impl<H> Drop for Writer<H> {
    fn drop(&mut self) {
        self.ring.retired.store(true, Ordering::Release);
    }
}

impl<H: Copy> Reader<H> {
    /// Reads what is there now, in order; returns how many entries.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&H, &[u8])) -> usize {
        let ring = &*self.ring;
        let size = ring.words.len();
        let tail = ring.tail.0.load(Ordering::Acquire);
        let mut count = 0;
        while self.head != tail {
            let at = self.head & (size - 1);
            let touched = ring.track.reads(at..=at);
            // SAFETY: the word lies inside `head..tail`, so it is written, and the writer's no more.
            let length = unsafe { *ring.words[at].get() };
            drop(touched);
            if length == SKIP {
                self.head = self.head.wrapping_add(size - at);
                continue;
            }
            let length = length as usize;
            let needed = 1 + words(size_of::<H>()) + words(length);
            let cells = &ring.words[at..at + needed];
            let step = Step {
                ring,
                head: &mut self.head,
                needed,
            };
            // SAFETY: `push` wrote a length, a head and `length` bytes here, in one piece, before it moved the tail past them; the
            // writer touches none of it until `step` gives the words back. `H` is `Copy`: reading it twice would do no harm.
            let (head, body) = unsafe {
                let first = UnsafeCell::raw_get(cells.as_ptr()).cast_const();
                let head_at = first.add(1);
                let body_at = head_at.add(words(size_of::<H>())).cast::<u8>();
                (head_at.cast::<H>().read(), std::slice::from_raw_parts(body_at, length))
            };
            let touched = ring.track.reads(at..=at + needed - 1);
            each(&head, body);
            drop(touched);
            drop(step);
            count += 1;
        }
        count
    }

    /// The writer is gone and all it wrote has been read.
    pub(crate) fn is_done(&self) -> bool {
        self.ring.retired.load(Ordering::Acquire) && self.ring.tail.0.load(Ordering::Acquire) == self.head
    }
}

/// Gives an entry back to the writer, also when the reader's closure unwinds.
struct Step<'a> {
    ring: &'a Ring,
    head: &'a mut usize,
    needed: usize,
}

impl Drop for Step<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.head = self.head.wrapping_add(self.needed);
        self.ring.head.0.store(*self.head, Ordering::Release);
    }
}
