//! The memory of cells, and the pointers that lead to it.
//!
//! A block of cells is made once, for one stripe, and never given back. So a place is one word, null or the block, and a directory
//! says once how long its blocks are: with a slice to each, a table without labels would take three times the room, and a
//! record a load more.
#![allow(unsafe_code)]

use super::stripe;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Two cache lines, because processors fetch them in pairs: no two stripes share one.
#[repr(C, align(128))]
struct Line([AtomicU64; LINE]);
/// Cells in a line.
pub(super) const LINE: usize = 16;

impl Line {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; LINE])
    }
}

/// Lines that no block has yet, by stripe: cut from larger pieces, because an allocation of one aligned line takes the room
/// of two.
static SPARE: Mutex<Vec<&'static [Line]>> = Mutex::new(Vec::new());
const PIECE: usize = 32;

fn cut(spare: &mut Vec<&'static [Line]>, stripe: usize, lines: usize) -> &'static [Line] {
    if spare.len() <= stripe {
        spare.resize(stripe::count().max(stripe + 1), &[]);
    }
    let rest = &mut spare[stripe];
    if rest.len() < lines {
        *rest = (0..lines.max(PIECE)).map(|_| Line::new()).collect::<Vec<_>>().leak();
    }
    let (cut, left) = rest.split_at(lines);
    *rest = left;
    cut
}

/// Where a block is, once there is one.
struct Place(AtomicPtr<Line>);

/// Places for blocks of one length.
#[derive(Clone, Copy)]
pub(super) struct Directory {
    places: &'static [Place],
    /// Cells of a block: a whole number of lines, one at least.
    cells: usize,
}

impl Directory {
    /// Without a place.
    pub(super) const EMPTY: Self = Self {
        places: &[],
        cells: LINE,
    };

    /// So many places for blocks of at least so many cells; they stay for as long as the program runs.
    pub(super) fn new(places: usize, cells: usize) -> Self {
        Self {
            places: (0..places)
                .map(|_| Place(AtomicPtr::default()))
                .collect::<Vec<_>>()
                .leak(),
            cells: cells.div_ceil(LINE).max(1) * LINE,
        }
    }

    /// A block, if it was made.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one load, in every record")]
    pub(super) fn get(&self, at: usize) -> Option<&'static [AtomicU64]> {
        let block = self.block(at)?;
        // SAFETY: `make` alone writes to the places of a directory, and `places` and `cells` are set together, in `new`, and
        // private. It writes the beginning of `cells / LINE` lines of one allocation that is never freed and, being
        // atomics, never borrowed for writing; the store releases what this load acquires. A line is its sixteen cells in
        // order and nothing else (`repr(C)`, and 16 × 8 bytes fill its alignment of 128), so so many lines are `cells` cells.
        Some(unsafe { slice::from_raw_parts(block.cast::<AtomicU64>(), self.cells) })
    }

    /// The first line of a block, if it was made.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one load, in every record")]
    pub(super) fn line(&self, at: usize) -> Option<&'static [AtomicU64; LINE]> {
        let block = self.block(at)?;
        // SAFETY: as in `get`; a block is one line at least.
        Some(unsafe { &(*block).0 })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one load, in every record")]
    fn block(&self, at: usize) -> Option<*mut Line> {
        let block = self.places.get(at)?.0.load(Ordering::Acquire);
        (!block.is_null()).then_some(block)
    }

    /// A block, made on first use from the lines of this stripe.
    #[cold]
    pub(super) fn make(&self, at: usize, stripe: usize) -> Option<&'static [AtomicU64]> {
        let place = self.places.get(at)?;
        // Held over the look and the store, so no two make one.
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.get(at).is_none() {
            let lines = cut(&mut spare, stripe, self.cells / LINE);
            place.0.store(lines.as_ptr().cast_mut(), Ordering::Release);
        }
        self.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_cells() {
        assert_eq!(size_of::<Line>(), LINE * size_of::<AtomicU64>());
        assert_eq!(align_of::<Line>(), 128);
    }

    #[test]
    fn blocks_are_made_once_and_apart() {
        let directory = Directory::new(6, 17);
        assert!((0..7).all(|at| directory.get(at).is_none()));
        assert!(directory.make(6, 1).is_none());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for at in 0..6 {
                        let block = directory.make(at, at % 3).unwrap();
                        assert_eq!(block.len(), 32);
                        for cell in block {
                            cell.fetch_add(1 << at, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        for at in 0..6 {
            let block = directory.get(at).unwrap();
            assert_eq!(block.as_ptr() as usize % 128, 0);
            assert!(block.iter().all(|cell| cell.load(Ordering::Relaxed) == 4 << at));
        }
    }

    #[test]
    fn a_block_has_a_line_at_least() {
        let directory = Directory::new(1, 0);
        assert!(directory.line(0).is_none());
        assert_eq!(directory.make(0, 0).unwrap().len(), LINE);
        directory.line(0).unwrap()[LINE - 1].fetch_add(1, Ordering::Relaxed);
        assert_eq!(directory.get(0).unwrap()[LINE - 1].load(Ordering::Relaxed), 1);
    }
}
