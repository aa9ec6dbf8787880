//! Cells: plain numbers, one copy per stripe, added up by whoever scrapes.

use super::label::Dims;
use super::lines::{Directory, LINE};
use super::{dropped, handover, stripe};
use crate::here::here;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// No table has more series than this: an index beyond is dropped, and counted as such. Labels that can make more are refused by
/// [`check`](super::check), where their types are known without a call.
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
    stripes: Stripes,
    /// The blocks that have room under the cap.
    admitted: Box<[AtomicBool]>,
    units: usize,
    /// Cells of one series.
    width: usize,
    /// Series in one block, as a shift.
    shift: u32,
}

/// Where a block of a stripe is.
enum Stripes {
    /// Of a few blocks, in one directory, stripe by stripe.
    Flat(Directory),
    /// Of many: a directory to a stripe, made when a thread of that stripe first comes here.
    Deep(Box<[OnceLock<Directory>]>),
}

/// A table of more blocks, and of more places for all stripes together, has a directory to each stripe.
const FLAT: usize = 4;
const FLAT_PLACES: usize = 1024;

impl Grid {
    /// `units` series of `width` cells. As many series share a block as fill a line.
    pub(crate) fn new(units: usize, width: usize) -> Self {
        let units = units.min(MAX_UNITS);
        let shift = (LINE / width.clamp(1, LINE)).ilog2();
        let blocks = units.div_ceil(1 << shift);
        Self {
            stripes: if blocks <= FLAT || blocks * stripe::count() <= FLAT_PLACES {
                Stripes::Flat(Directory::new(stripe::count() * blocks, width << shift))
            } else {
                Stripes::Deep((0..stripe::count()).map(|_| OnceLock::new()).collect())
            },
            admitted: (0..blocks).map(|_| AtomicBool::new(false)).collect(),
            units,
            width,
            shift,
        }
    }

    /// The short way to the cells for those label types, where there is one.
    pub(crate) fn direct(&self, entry: &'static Dims) -> Option<Direct> {
        match &self.stripes {
            Stripes::Flat(directory) => Some(Direct {
                entry,
                directory: *directory,
                blocks: self.admitted.len(),
                width: self.width as u32,
                shift: self.shift,
            }),
            Stripes::Deep(_) => None,
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
    pub(crate) fn mine(&self, unit: usize) -> Option<Mine> {
        let stripe = stripe::mine();
        let block = match self.block(stripe, unit) {
            Some(block) => block,
            None => self.grow(stripe, unit)?,
        };
        Some(Mine {
            block,
            first: self.first(unit),
            shared: stripe == stripe::SHARED,
        })
    }

    /// The shared copy of the cells of a series, where one value is to be set rather than many added up.
    pub(crate) fn single(&self, unit: usize) -> Option<Mine> {
        Some(Mine {
            block: self
                .block(stripe::SHARED, unit)
                .or_else(|| self.grow(stripe::SHARED, unit))?,
            first: self.first(unit),
            shared: true,
        })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads, in every record")]
    fn block(&self, stripe: usize, unit: usize) -> Option<&'static [AtomicU64]> {
        let (directory, at) = self.place(stripe, unit)?;
        directory.get(at)
    }

    /// The directory of a block, if there is one yet, and the place in it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads, in every record")]
    fn place(&self, stripe: usize, unit: usize) -> Option<(&Directory, usize)> {
        let (blocks, block) = (self.admitted.len(), unit >> self.shift);
        if block >= blocks {
            return None;
        }
        match &self.stripes {
            Stripes::Flat(directory) => Some((directory, stripe * blocks + block)),
            Stripes::Deep(stripes) => Some((stripes.get(stripe)?.get()?, block)),
        }
    }

    #[inline]
    fn first(&self, unit: usize) -> usize {
        (unit & ((1 << self.shift) - 1)) * self.width
    }

    #[cold]
    fn grow(&self, stripe: usize, unit: usize) -> Option<&'static [AtomicU64]> {
        if !self.admit(unit >> self.shift) {
            dropped::count(dropped::Reason::SeriesLimit);
            return None;
        }
        if let Stripes::Deep(stripes) = &self.stripes {
            stripes
                .get(stripe)?
                .get_or_init(|| Directory::new(self.admitted.len(), self.width << self.shift));
        }
        let (directory, at) = self.place(stripe, unit)?;
        directory.make(at, stripe)
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

    /// So many series were ever used, or have a neighbour that was.
    pub(crate) fn most(&self) -> usize {
        let blocks = self.admitted.iter().filter(|block| block.load(Ordering::Relaxed));
        (blocks.count() << self.shift).min(self.units)
    }

    /// For who looks at the series in their order.
    pub(crate) fn reader(&self) -> Reader<'_> {
        let blocks = self.admitted.len();
        Reader {
            grid: self,
            stripes: match &self.stripes {
                Stripes::Flat(directory) => (0..stripe::count())
                    .map(|stripe| (directory, stripe * blocks))
                    .collect(),
                Stripes::Deep(stripes) => stripes.iter().filter_map(|stripe| Some((stripe.get()?, 0))).collect(),
            },
            block: usize::MAX,
            copies: Vec::new(),
        }
    }
}

/// Reads the series of a table. Neighbours stand in one block, whose copies are looked for once.
pub(crate) struct Reader<'a> {
    grid: &'a Grid,
    /// Where the blocks of each stripe are: the directory, and the place of the first in it.
    stripes: Vec<(&'a Directory, usize)>,
    block: usize,
    copies: Vec<&'static [AtomicU64]>,
}

impl Reader<'_> {
    /// A series that was ever used, or has a neighbour that was.
    #[inline]
    pub(crate) fn series(&mut self, unit: usize) -> Option<Series<'_>> {
        let block = unit >> self.grid.shift;
        if block != self.block {
            self.turn_to(block);
        }
        (unit < self.grid.units && !self.copies.is_empty()).then(|| Series {
            copies: &self.copies,
            first: self.grid.first(unit),
        })
    }

    fn turn_to(&mut self, block: usize) {
        self.block = block;
        self.copies.clear();
        let grid = self.grid;
        let admitted = grid.admitted.get(block);
        if admitted.is_some_and(|admitted| admitted.load(Ordering::Relaxed)) {
            let copies = self
                .stripes
                .iter()
                .filter_map(|(directory, first)| directory.get(first + block));
            self.copies.extend(copies);
        }
    }
}

/// This thread's copy of the cells of one series.
#[derive(Clone, Copy)]
pub(crate) struct Mine {
    block: &'static [AtomicU64],
    first: usize,
    shared: bool,
}

impl Mine {
    #[inline]
    pub(crate) fn cell(&self, cell: usize) -> &'static AtomicU64 {
        &self.block[self.first + cell]
    }

    /// Adds a whole number, and tells what was there.
    #[inline]
    pub(crate) fn add(&self, cell: usize, amount: u64) -> u64 {
        handover::add(self.cell(cell), self.shared, amount)
    }

    /// Adds to a float. From beyond the largest one no amount leads back, so what would lead there is dropped.
    #[inline]
    pub(crate) fn add_f64(&self, cell: usize, amount: f64) {
        let cell = self.cell(cell);
        let sum = |bits| {
            let sum = f64::from_bits(bits) + amount;
            sum.is_finite().then_some(sum.to_bits())
        };
        if self.shared {
            if cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok() {
                return;
            }
        } else if let Some(sum) = sum(cell.load(Ordering::Relaxed)) {
            return cell.store(sum, Ordering::Relaxed);
        }
        dropped::count(dropped::Reason::NotFinite);
    }
}

/// The way from a site to the cells without a look at their table: the place, then the block.
pub(crate) struct Direct {
    entry: &'static Dims,
    directory: Directory,
    /// Blocks of one stripe.
    blocks: usize,
    width: u32,
    shift: u32,
}

/// Label types that no call has.
static NOBODY: Dims = Dims { types: &[] };

impl Direct {
    /// A way that is for nobody.
    pub(crate) const CLOSED: Self = Self {
        entry: &NOBODY,
        directory: Directory::EMPTY,
        blocks: 0,
        width: 1,
        shift: 0,
    };

    /// The label types that it is for.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a load, in every record")]
    pub(crate) fn entry(&self) -> &'static Dims {
        self.entry
    }

    /// Whether it is for those, at that address.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a comparison, in every record")]
    pub(crate) fn is_for(&self, entry: &'static Dims) -> bool {
        std::ptr::eq(self.entry, entry)
    }

    /// Counts where a series is one cell: that cell, and whether a sampled span is current. `None` if this thread has no cells of its own.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads and an addition: the whole of a record")]
    pub(crate) fn count(&self, unit: usize, amount: u64) -> Option<(&'static AtomicU64, bool)> {
        let (stripe, sampled) = here(|here| (here.stripe.get(), here.sampled.get()));
        let cell = self.one_cell(stripe, unit)?;
        handover::add_own(cell, amount);
        Some((cell, sampled != 0))
    }

    /// The cells of a series that the thread of this stripe has to itself; `None` for a thread without a stripe of its own, and for cells that
    /// are still to be made.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads, in every record")]
    pub(crate) fn own(&self, stripe: usize, unit: usize) -> Option<Alone> {
        let block = self.block(stripe, unit >> self.shift)?;
        let first = (unit & !(usize::MAX << self.shift)) * self.width as usize;
        Some(Alone { block, first })
    }

    /// The cell of such a series where it is but one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads, in every record")]
    fn one_cell(&self, stripe: usize, unit: usize) -> Option<&'static AtomicU64> {
        debug_assert_eq!((self.width, 1 << self.shift), (1, LINE));
        let line = self.directory.line(self.place(stripe, unit / LINE)?)?;
        Some(&line[unit % LINE])
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few loads, in every record")]
    fn block(&self, stripe: usize, block: usize) -> Option<&'static [AtomicU64]> {
        self.directory.get(self.place(stripe, block)?)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "two comparisons, in every record")]
    fn place(&self, stripe: usize, block: usize) -> Option<usize> {
        if stripe == stripe::SHARED || block >= self.blocks {
            return None;
        }
        // A thread that has not asked for its stripe has none below the end of the directory.
        Some(stripe.wrapping_mul(self.blocks).wrapping_add(block))
    }
}

/// Cells that no other thread writes to.
pub(crate) struct Alone {
    block: &'static [AtomicU64],
    first: usize,
}

impl Alone {
    /// Adds a whole number, if there is such a cell.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "an addition, in every record")]
    pub(crate) fn add(&self, cell: usize, amount: u64) {
        if let Some(cell) = self.block.get(self.first + cell) {
            handover::add_own(cell, amount);
        }
    }
}

/// One series in all its copies.
#[derive(Clone, Copy)]
pub(crate) struct Series<'a> {
    copies: &'a [&'static [AtomicU64]],
    first: usize,
}

impl Series<'_> {
    fn copies(self, cell: usize) -> impl Iterator<Item = u64> {
        self.copies
            .iter()
            .map(move |block| block[self.first + cell].load(Ordering::Relaxed))
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
        for block in self.copies {
            for (sum, cell) in sums.iter_mut().zip(&block[self.first + first..]) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
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
        let grid = Grid::new(1, 20);
        grid.mine(0).unwrap().add(17, 3);
        std::thread::scope(|scope| {
            scope.spawn(|| grid.mine(0).unwrap().add(17, 4));
        });
        grid.single(0).unwrap().add(17, 5);
        let mut reader = grid.reader();
        let series = reader.series(0).unwrap();
        assert_eq!(series.sum(17), 12);
        assert_eq!(series.sum(1), 0);
        assert_eq!(series.sums(16, 3), [0, 12, 0]);
    }

    #[test]
    fn the_short_way_leads_to_the_same_cells() {
        let wide = Grid::new(8, LINE);
        let narrow = Grid::new(40, 1);
        for (grid, of_one_cell) in [(&wide, false), (&narrow, false), (&Grid::new(40, 1), true)] {
            let direct = grid.direct(Dims::NONE).unwrap();
            let add = |unit, amount| {
                if of_one_cell {
                    let (cell, _) = direct.count(unit, amount)?;
                    return Some(cell.load(Ordering::Relaxed));
                }
                let own = direct.own(here(|here| here.stripe.get()), unit)?;
                own.add(0, amount);
                Some(own.block[own.first].load(Ordering::Relaxed))
            };
            let last = grid.units() - 1;
            assert!(add(last, 1).is_none(), "not made yet");
            grid.mine(last).unwrap().add(0, 1);
            assert_eq!(add(last, 2), Some(3));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(add(last, 1).is_none(), "a thread that has no stripe yet");
                    grid.mine(last).unwrap().add(0, 4);
                    assert_eq!(add(last, 8), Some(12));
                });
            });
            assert_eq!(grid.reader().series(last).unwrap().sum(0), 15);
            // Never the cells of the next stripe.
            assert!(
                [grid.units() + LINE, usize::MAX >> 2]
                    .into_iter()
                    .all(|unit| add(unit, 1).is_none())
            );
        }
        assert!(Grid::new(MAX_UNITS, LINE).direct(Dims::NONE).is_none());
    }

    #[test]
    fn series_take_cells_when_used() {
        let grid = Grid::new(100, 1);
        assert!(grid.reader().series(99).is_none());
        grid.mine(99).unwrap().add(0, 1);
        assert_eq!(grid.reader().series(99).unwrap().sum(0), 1);
        assert_eq!(grid.reader().series(98).unwrap().sum(0), 0);
        assert!(grid.reader().series(0).is_none());
        assert!(grid.reader().series(100).is_none());
        assert!(grid.mine(4000).is_none());
        assert_eq!(Grid::new(10, 16).admitted.len(), 10);
        assert_eq!(Grid::new(10, 2).admitted.len(), 2);
    }

    #[test]
    fn a_sum_stays_finite() {
        let grid = Grid::new(1, 1);
        for mine in [grid.mine(0).unwrap(), grid.single(0).unwrap()] {
            let before = dropped::so_far(dropped::Reason::NotFinite);
            for amount in [1e308, 1e308, -1e308, 2.0] {
                mine.add_f64(0, amount);
            }
            assert!(dropped::so_far(dropped::Reason::NotFinite) > before);
            assert!((f64::from_bits(mine.cell(0).load(Ordering::Relaxed)) - 2.0).abs() < 1e-9);
        }
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
        let mut reader = grid.reader();
        let series = reader.series(0).unwrap();
        assert_eq!(series.sum(0), threads as u64 * 10_000);
        assert!((series.sum_f64(1) - threads as f64 * 5_000.0).abs() < 1e-9);
    }
}
