//! Cells: plain numbers, one copy per stripe, added up by whoever scrapes.

use super::{dropped, stripe};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Two cache lines, because processors fetch them in pairs: no two stripes share one.
#[repr(align(128))]
struct Line([AtomicU64; LINE]);
const LINE: usize = 16;

impl Line {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; LINE])
    }
}

/// Cells of one group of series, stripe after stripe.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    lines: &'static [Line],
    /// Lines of one stripe.
    per_stripe: usize,
}

impl Block {
    fn new(cells: usize) -> Self {
        let per_stripe = cells.div_ceil(LINE).max(1);
        let lines = (0..per_stripe * stripe::count())
            .map(|_| Line::new())
            .collect::<Vec<_>>();
        Self {
            lines: lines.leak(),
            per_stripe,
        }
    }

    /// This thread's copy of a cell.
    #[inline]
    pub(crate) fn mine(self, cell: usize) -> &'static AtomicU64 {
        &self.lines[stripe::mine() * self.per_stripe + cell / LINE].0[cell % LINE]
    }

    fn copies(self, cell: usize) -> impl Iterator<Item = u64> {
        let column = &self.lines[cell / LINE..];
        column
            .iter()
            .step_by(self.per_stripe)
            .map(move |line| line.0[cell % LINE].load(Ordering::Relaxed))
    }

    /// All copies of a cell of whole numbers.
    pub(crate) fn sum(self, cell: usize) -> u64 {
        self.copies(cell).fold(0, u64::wrapping_add)
    }

    /// All copies of a cell of floats.
    pub(crate) fn sum_f64(self, cell: usize) -> f64 {
        self.copies(cell).map(f64::from_bits).sum()
    }
}

/// Adds to a float in a cell. The loop turns again only if another thread of the same stripe came between.
#[inline]
pub(crate) fn add_f64(cell: &AtomicU64, amount: f64) {
    let mut old = cell.load(Ordering::Relaxed);
    while let Err(now) = cell.compare_exchange_weak(
        old,
        (f64::from_bits(old) + amount).to_bits(),
        Ordering::Relaxed,
        Ordering::Relaxed,
    ) {
        old = now;
    }
}

/// No table has more series than this: an index beyond is dropped, and counted as such.
pub(crate) const MAX_UNITS: usize = 1 << 20;

/// How many series all tables may hold together.
static ROOM: AtomicUsize = AtomicUsize::new(200_000);

/// Replaces the total cap. Series that are there stay.
pub(crate) fn set_series_limit(limit: usize) {
    ROOM.store(limit, Ordering::Relaxed);
}

static USED: AtomicUsize = AtomicUsize::new(0);

/// The series that have cells.
pub(crate) fn series() -> usize {
    USED.load(Ordering::Relaxed)
}

/// The cells of all series of one table. What is never used takes no more than its place in the directory.
pub(crate) struct Grid {
    blocks: Box<[OnceLock<Block>]>,
    units: usize,
    /// Cells of one series.
    width: usize,
    /// Series in one block, as a shift.
    shift: u32,
}

impl Grid {
    /// `units` series of `width` cells. As many series share a block as fill a line.
    pub(crate) fn new(units: usize, width: usize) -> Self {
        let units = units.min(MAX_UNITS);
        let shift = (LINE / width.clamp(1, LINE)).ilog2();
        Self {
            blocks: (0..units.div_ceil(1 << shift)).map(|_| OnceLock::new()).collect(),
            units,
            width,
            shift,
        }
    }

    pub(crate) fn units(&self) -> usize {
        self.units
    }

    /// The cells of a series, and where they begin; made on first use, `None` beyond the cap.
    #[inline]
    pub(crate) fn series(&self, unit: usize) -> Option<Series> {
        let block = match self.blocks.get(unit >> self.shift).and_then(OnceLock::get) {
            Some(block) => *block,
            None => self.grow(unit)?,
        };
        Some(self.within(block, unit))
    }

    #[inline]
    fn within(&self, block: Block, unit: usize) -> Series {
        Series {
            block,
            first: (unit & ((1 << self.shift) - 1)) * self.width,
        }
    }

    #[cold]
    fn grow(&self, unit: usize) -> Option<Block> {
        let Some(place) = self.blocks.get(unit >> self.shift) else {
            dropped::count(dropped::Reason::SeriesLimit);
            return None;
        };
        let per_block = 1 << self.shift;
        if USED.fetch_add(per_block, Ordering::Relaxed) + per_block > ROOM.load(Ordering::Relaxed) {
            USED.fetch_sub(per_block, Ordering::Relaxed);
            dropped::count(dropped::Reason::SeriesLimit);
            return None;
        }
        let mut made = false;
        let block = *place.get_or_init(|| {
            made = true;
            Block::new(self.width << self.shift)
        });
        if !made {
            USED.fetch_sub(per_block, Ordering::Relaxed);
        }
        Some(block)
    }

    /// The cells of a series, if there are any.
    pub(crate) fn existing(&self, unit: usize) -> Option<Series> {
        let block = self.blocks.get(unit >> self.shift)?.get()?;
        Some(self.within(*block, unit))
    }
}

/// The cells of one series.
#[derive(Clone, Copy)]
pub(crate) struct Series {
    block: Block,
    first: usize,
}

impl Series {
    /// This thread's copy of a cell.
    #[inline]
    pub(crate) fn mine(self, cell: usize) -> &'static AtomicU64 {
        self.block.mine(self.first + cell)
    }

    /// All copies of a cell of whole numbers.
    pub(crate) fn sum(self, cell: usize) -> u64 {
        self.block.sum(self.first + cell)
    }

    /// All copies of a cell of floats.
    pub(crate) fn sum_f64(self, cell: usize) -> f64 {
        self.block.sum_f64(self.first + cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_share_no_line() {
        let block = Block::new(20);
        assert_eq!(block.per_stripe, 2);
        assert_eq!(block.lines.len(), 2 * stripe::count());
        assert_eq!(size_of::<Line>(), 128);
        block.mine(17).fetch_add(3, Ordering::Relaxed);
        std::thread::spawn(move || block.mine(17).fetch_add(4, Ordering::Relaxed))
            .join()
            .unwrap();
        assert_eq!(block.sum(17), 7);
        assert_eq!(block.sum(1), 0);
    }

    #[test]
    fn series_take_cells_when_used() {
        let grid = Grid::new(100, 1);
        assert!(grid.existing(99).is_none());
        grid.series(99).unwrap().mine(0).fetch_add(1, Ordering::Relaxed);
        assert_eq!(grid.existing(99).unwrap().sum(0), 1);
        assert_eq!(grid.existing(98).unwrap().sum(0), 0);
        assert!(grid.existing(0).is_none());
        assert!(grid.series(4000).is_none());
        assert_eq!(Grid::new(10, 16).blocks.len(), 10);
        assert_eq!(Grid::new(10, 2).blocks.len(), 2);
    }

    #[test]
    fn floats_add_up() {
        let grid = Grid::new(1, 1);
        let series = grid.series(0).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| add_f64(series.mine(0), 0.5)));
            }
        });
        assert!((series.sum_f64(0) - 2000.0).abs() < 1e-9);
    }
}
