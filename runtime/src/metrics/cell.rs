//! Cells: plain numbers, one copy per stripe, added up by whoever scrapes.

use super::{dropped, handover, stripe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Two cache lines, because processors fetch them in pairs: no two stripes share one.
#[repr(align(128))]
struct Line([AtomicU64; LINE]);
const LINE: usize = 16;

impl Line {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; LINE])
    }
}

/// No table has more series than this: an index beyond is dropped, and counted as such.
pub(crate) const MAX_UNITS: usize = 1 << 18;

/// How many series all tables may hold together.
static ROOM: AtomicUsize = AtomicUsize::new(200_000);

/// `VITALSIGN_METRIC_SERIES`.
pub(crate) fn set_room(series: usize) {
    ROOM.store(series, Ordering::Relaxed);
}

static USED: AtomicUsize = AtomicUsize::new(0);

/// The series that have cells.
pub(crate) fn series() -> usize {
    USED.load(Ordering::Relaxed)
}

/// Takes room for so many more series under the cap, or none.
pub(crate) fn admit(series: usize) -> bool {
    let admitted = USED.fetch_add(series, Ordering::Relaxed) + series <= ROOM.load(Ordering::Relaxed);
    if !admitted {
        USED.fetch_sub(series, Ordering::Relaxed);
    }
    admitted
}

/// The cells of all series of one table. What is never used takes no more than its place in a directory.
pub(crate) struct Grid {
    stripes: Box<[Stripe]>,
    /// The blocks that have room under the cap.
    admitted: Box<[AtomicBool]>,
    units: usize,
    /// Cells of one series.
    width: usize,
    /// Series in one block, as a shift.
    shift: u32,
}

/// One stripe's copy: made when a thread of that stripe first comes here.
struct Stripe(OnceLock<Box<[Block]>>);

/// Cells of one group of series.
struct Block(OnceLock<&'static [Line]>);

/// Lines that no block has yet, by stripe: cut from larger pieces, because an allocation of one aligned line takes the room
/// of two. They are never given back, as tables are not.
static SPARE: Mutex<Vec<&'static [Line]>> = Mutex::new(Vec::new());
const PIECE: usize = 32;

fn cut(stripe: usize, lines: usize) -> &'static [Line] {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.is_empty() {
        spare.resize(stripe::count(), &[]);
    }
    let rest = &mut spare[stripe];
    if rest.len() < lines {
        *rest = (0..lines.max(PIECE)).map(|_| Line::new()).collect::<Vec<_>>().leak();
    }
    let (cut, left) = rest.split_at(lines);
    *rest = left;
    cut
}

impl Grid {
    /// `units` series of `width` cells. As many series share a block as fill a line.
    pub(crate) fn new(units: usize, width: usize) -> Self {
        let units = units.min(MAX_UNITS);
        let shift = (LINE / width.clamp(1, LINE)).ilog2();
        Self {
            stripes: (0..stripe::count()).map(|_| Stripe(OnceLock::new())).collect(),
            admitted: (0..units.div_ceil(1 << shift))
                .map(|_| AtomicBool::new(false))
                .collect(),
            units,
            width,
            shift,
        }
    }

    pub(crate) fn units(&self) -> usize {
        self.units
    }

    /// This thread's copy of the cells of a series; made on first use, `None` beyond the cap.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "its result is too large to be handed over in registers"
    )]
    pub(crate) fn mine(&self, unit: usize) -> Option<Mine<'_>> {
        let stripe = stripe::mine();
        let lines = match self.lines(stripe, unit) {
            Some(lines) => lines,
            None => self.grow(stripe, unit)?,
        };
        Some(Mine {
            lines,
            first: self.first(unit),
            shared: stripe == stripe::SHARED,
        })
    }

    /// The shared copy of the cells of a series, where one value is to be set rather than many added up.
    pub(crate) fn single(&self, unit: usize) -> Option<Mine<'_>> {
        Some(Mine {
            lines: self
                .lines(stripe::SHARED, unit)
                .or_else(|| self.grow(stripe::SHARED, unit))?,
            first: self.first(unit),
            shared: true,
        })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads, in every record")]
    fn lines(&self, stripe: usize, unit: usize) -> Option<&[Line]> {
        let blocks = self.stripes.get(stripe)?.0.get()?;
        blocks.get(unit >> self.shift)?.0.get().copied()
    }

    #[inline]
    fn first(&self, unit: usize) -> usize {
        (unit & ((1 << self.shift) - 1)) * self.width
    }

    #[cold]
    fn grow(&self, stripe: usize, unit: usize) -> Option<&[Line]> {
        if !self.admit(unit >> self.shift) {
            dropped::count(dropped::Reason::SeriesLimit);
            return None;
        }
        let blocks = self.stripes.get(stripe)?.0.get_or_init(|| {
            let blocks = self.admitted.len();
            (0..blocks).map(|_| Block(OnceLock::new())).collect()
        });
        let lines = blocks
            .get(unit >> self.shift)?
            .0
            .get_or_init(|| cut(stripe, (self.width << self.shift).div_ceil(LINE)));
        Some(lines)
    }

    /// Whether a block may have cells, in whichever stripe.
    fn admit(&self, block: usize) -> bool {
        let Some(admitted) = self.admitted.get(block) else {
            return false;
        };
        if admitted.load(Ordering::Relaxed) {
            return true;
        }
        let series = 1 << self.shift;
        if !admit(series) {
            return false;
        }
        if admitted.swap(true, Ordering::Relaxed) {
            // Another thread was first: it is counted once.
            USED.fetch_sub(series, Ordering::Relaxed);
        }
        true
    }

    /// A series that was ever used, or has a neighbour that was.
    pub(crate) fn existing(&self, unit: usize) -> Option<Series<'_>> {
        let admitted = self.admitted.get(unit >> self.shift)?;
        (unit < self.units && admitted.load(Ordering::Relaxed)).then_some(Series { grid: self, unit })
    }
}

/// This thread's copy of the cells of one series.
#[derive(Clone, Copy)]
pub(crate) struct Mine<'a> {
    lines: &'a [Line],
    first: usize,
    shared: bool,
}

impl Mine<'_> {
    #[inline]
    pub(crate) fn cell(&self, cell: usize) -> &AtomicU64 {
        let cell = self.first + cell;
        &self.lines[cell / LINE].0[cell % LINE]
    }

    /// Adds a whole number.
    #[inline]
    pub(crate) fn add(&self, cell: usize, amount: u64) {
        handover::add(self.cell(cell), self.shared, amount);
    }

    /// Adds to a float.
    #[inline]
    pub(crate) fn add_f64(&self, cell: usize, amount: f64) {
        let cell = self.cell(cell);
        let sum = |bits| (f64::from_bits(bits) + amount).to_bits();
        if self.shared {
            let add = |bits| Some(sum(bits));
            // The closure never declines.
            let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        } else {
            cell.store(sum(cell.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }
}

/// One series in all its copies.
#[derive(Clone, Copy)]
pub(crate) struct Series<'a> {
    grid: &'a Grid,
    unit: usize,
}

impl Series<'_> {
    fn copies(self, cell: usize) -> impl Iterator<Item = u64> {
        let cell = self.grid.first(self.unit) + cell;
        (0..self.grid.stripes.len()).filter_map(move |stripe| {
            let lines = self.grid.lines(stripe, self.unit)?;
            Some(lines[cell / LINE].0[cell % LINE].load(Ordering::Relaxed))
        })
    }

    /// All copies of a cell of whole numbers.
    pub(crate) fn sum(self, cell: usize) -> u64 {
        self.copies(cell).fold(0, u64::wrapping_add)
    }

    /// All copies of a cell of floats.
    pub(crate) fn sum_f64(self, cell: usize) -> f64 {
        self.copies(cell).map(f64::from_bits).sum()
    }

    /// The sums of `count` cells from `first` on.
    pub(crate) fn sums(self, first: usize, count: usize) -> Vec<u64> {
        let mut sums = vec![0u64; count];
        let first = self.grid.first(self.unit) + first;
        for stripe in 0..self.grid.stripes.len() {
            if let Some(lines) = self.grid.lines(stripe, self.unit) {
                for (at, sum) in sums.iter_mut().enumerate() {
                    let cell = first + at;
                    *sum = sum.wrapping_add(lines[cell / LINE].0[cell % LINE].load(Ordering::Relaxed));
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_share_no_line() {
        assert_eq!(size_of::<Line>(), 128);
        let grid = Grid::new(1, 20);
        grid.mine(0).unwrap().add(17, 3);
        std::thread::scope(|scope| {
            scope.spawn(|| grid.mine(0).unwrap().add(17, 4));
        });
        grid.single(0).unwrap().add(17, 5);
        let series = grid.existing(0).unwrap();
        assert_eq!(series.sum(17), 12);
        assert_eq!(series.sum(1), 0);
        assert_eq!(series.sums(16, 3), [0, 12, 0]);
    }

    #[test]
    fn series_take_cells_when_used() {
        let grid = Grid::new(100, 1);
        assert!(grid.existing(99).is_none());
        grid.mine(99).unwrap().add(0, 1);
        assert_eq!(grid.existing(99).unwrap().sum(0), 1);
        assert_eq!(grid.existing(98).unwrap().sum(0), 0);
        assert!(grid.existing(0).is_none());
        assert!(grid.existing(100).is_none());
        assert!(grid.mine(4000).is_none());
        assert_eq!(Grid::new(10, 16).admitted.len(), 10);
        assert_eq!(Grid::new(10, 2).admitted.len(), 2);
    }

    #[test]
    fn more_threads_than_stripes_lose_nothing() {
        let grid = Grid::new(1, 2);
        let threads = stripe::count() + 7;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mine = grid.mine(0).unwrap();
                        mine.add(0, 1);
                        mine.add_f64(1, 0.5);
                    }
                });
            }
        });
        let series = grid.existing(0).unwrap();
        assert_eq!(series.sum(0), threads as u64 * 10_000);
        assert!((series.sum_f64(1) - threads as f64 * 5_000.0).abs() < 1e-9);
    }
}
