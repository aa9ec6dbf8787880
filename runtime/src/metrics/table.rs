//! The cells of one site: an array indexed by labels and outcome.
//!
//! A site has one table, except in a generic function, where each set of label types it is used with gets its own, and where
//! a call ends without a returned value to take labels from. Tables are made on first use and never freed: there is a
//! bounded number of them in a program's text.

use super::CallRef;
use super::bucket::Layout;
use super::cell::{Direct, Grid, Mine, Reader, Series};
use super::columns::Columned;
use super::door::Door;
use super::exemplar::Exemplars;
use super::label::{Dims, ErrorIndex, ErrorLabelType, LabelType, Limit};
use crate::export::snapshot::{Exemplar, Number, PointValue};
use crate::outcome::CallOutcome;
use crate::site::{LabelDef, LabelSource};
use crate::switch;
use crate::trace::active;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What a table is laid out by, besides label types.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) labels: &'static [LabelDef],
    /// Series to one set of labels.
    pub(crate) outcomes: usize,
    /// Cells of one series.
    pub(crate) width: usize,
    pub(crate) layout: Option<&'static Layout>,
}

/// The tables of one slot; nearly always one.
pub(crate) struct Tables {
    head: OnceLock<&'static Table>,
}

/// A table under the addresses at which its label types were seen. The compiler may keep several copies of the same types;
/// each gets a link of its own to the same cells, so that the hot path compares addresses only.
struct Table {
    entry: &'static Dims,
    returned: &'static Dims,
    cells: &'static Cells,
    next: OnceLock<&'static Table>,
}

impl Tables {
    pub(crate) const fn new() -> Self {
        Self { head: OnceLock::new() }
    }

    /// The cells for these label types.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "two comparisons, in every record")]
    pub(crate) fn cells(
        &self,
        entry: &'static Dims,
        returned: &'static Dims,
        plan: impl FnOnce() -> Plan,
    ) -> &'static Cells {
        match self.head.get() {
            Some(table) if std::ptr::eq(table.entry, entry) && std::ptr::eq(table.returned, returned) => table.cells,
            _ => self.seek(entry, returned, plan),
        }
    }

    #[cold]
    fn seek(&self, entry: &'static Dims, returned: &'static Dims, plan: impl FnOnce() -> Plan) -> &'static Cells {
        if let Some(table) = self
            .iter()
            .find(|table| std::ptr::eq(table.entry, entry) && std::ptr::eq(table.returned, returned))
        {
            return table.cells;
        }
        let mut plan = Some(plan);
        loop {
            let same = self
                .iter()
                .find(|table| table.entry.same(entry) && table.returned.same(returned))
                .map(|table| table.cells);
            let end = self.iter().last().map_or(&self.head, |table| &table.next);
            let mut mine = false;
            let table = *end.get_or_init(|| {
                mine = true;
                Box::leak(Box::new(Table {
                    entry,
                    returned,
                    cells: same.unwrap_or_else(|| {
                        Box::leak(Box::new(Cells::new(
                            entry,
                            returned,
                            plan.take().map_or(Plan::NONE, |plan| plan()),
                        )))
                    }),
                    next: OnceLock::new(),
                }))
            });
            // Another thread may have added the link at the same time, for other types.
            if mine || (table.entry.same(entry) && table.returned.same(returned)) {
                return table.cells;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &'static Table> {
        std::iter::successors(self.head.get().copied(), |table| table.next.get().copied())
    }

    /// Each table once.
    pub(crate) fn all(&self) -> Vec<&'static Cells> {
        let mut all: Vec<&'static Cells> = Vec::new();
        for table in self.iter() {
            if !all.iter().any(|cells| std::ptr::eq(*cells, table.cells)) {
                all.push(table.cells);
            }
        }
        all
    }
}

/// The way to a table's cells that needs no look at the table: of the first one without labels of the returned value.
pub(crate) struct Short {
    way: OnceLock<Way>,
    /// For calls of which nobody but their cells is told; closed while there are others.
    door: Door<Direct>,
}

pub(crate) struct Way {
    pub(crate) direct: Direct,
    cells: &'static Cells,
    pub(crate) layout: Option<&'static Layout>,
    exemplars: bool,
}

static CLOSED: Direct = Direct::CLOSED;

/// The doors that are open. Locked while one is opened or all are closed, so that none stands open over what they are closed for.
static OPEN: Mutex<Vec<&'static Door<Direct>>> = Mutex::new(Vec::new());

/// Calls [may be told](switch::is_unusual) to more than their cells from here on: they look again.
pub(crate) fn close_doors() {
    for door in OPEN.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        door.set(&CLOSED);
    }
}

impl Short {
    pub(crate) const fn new() -> Self {
        Self {
            way: OnceLock::new(),
            door: Door::new(&CLOSED),
        }
    }

    /// The way to the cells for these label types, once it was [made](Self::make).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a comparison, in every record")]
    pub(crate) fn to(&self, entry: &'static Dims) -> Option<&Way> {
        self.way.get().filter(|way| way.direct.is_for(entry))
    }

    /// The same for a call that is told to nobody else, while there are none but such.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a comparison, in every record")]
    pub(crate) fn straight(&self, entry: &'static Dims) -> Option<&'static Direct> {
        let direct = self.door.get();
        direct.is_for(entry).then_some(direct)
    }

    /// Where examples of what goes this way are kept, if anywhere.
    pub(crate) fn exemplars(&self) -> Option<&'static Exemplars> {
        self.way.get()?.exemplars()
    }

    /// Makes it for those who come after.
    pub(crate) fn make(&'static self, entry: &'static Dims, cells: &'static Cells, exemplars: bool) {
        if self.way.get().is_none()
            && let Some(direct) = cells.grid.direct(entry)
        {
            self.way.get_or_init(|| Way {
                direct,
                cells,
                exemplars,
                layout: cells.plan.layout,
            });
        }
        self.open();
    }

    /// Opens the door, if there is something behind it and nobody else to tell.
    pub(crate) fn open(&'static self) {
        let Some(Way { direct, .. }) = self.way.get() else {
            return;
        };
        let closed = || !switch::is_unusual() && !std::ptr::eq(self.door.get(), direct);
        if closed() {
            let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
            if closed() {
                self.door.set(direct);
                open.push(&self.door);
            }
        }
    }
}

impl Way {
    /// Where examples of it go, if anywhere.
    pub(crate) fn exemplars(&self) -> Option<&'static Exemplars> {
        self.exemplars.then_some(&self.cells.exemplars)
    }
}

impl Plan {
    const NONE: Self = Self {
        labels: &[],
        outcomes: 1,
        width: 1,
        layout: None,
    };
}

/// The cells of one set of label types.
pub(crate) struct Cells {
    pub(crate) entry: &'static Dims,
    pub(crate) returned: &'static Dims,
    pub(crate) plan: Plan,
    /// Sets of labels taken from the returned value.
    returned_len: usize,
    grid: Grid,
    pub(crate) exemplars: Exemplars,
    errors: OnceLock<Box<ErrorCells>>,
    /// How the series are labelled, once a large table was gathered.
    pub(super) columned: OnceLock<Columned>,
}

/// The cells of calls that ended in an error whose type names its variants.
struct ErrorCells {
    of: ErrorLabelType,
    grid: Grid,
    exemplars: Exemplars,
    next: OnceLock<Box<ErrorCells>>,
}

/// This thread's cells of one series, and where its examples are.
pub(crate) struct Own {
    pub(crate) cells: Mine,
    pub(crate) exemplars: &'static Exemplars,
    pub(crate) unit: usize,
}

/// One series as a scrape sees it.
pub(crate) struct Found<'a> {
    pub(crate) series: Series<'a>,
    pub(crate) exemplars: &'static Exemplars,
    pub(crate) unit: usize,
}

impl Found<'_> {
    /// The value of a counter, with its latest example. Where a histogram counts, each call was one.
    pub(crate) fn counted(&self, value: Number, by_timer: bool) -> PointValue {
        let exemplar = self.exemplars.latest(self.unit);
        PointValue::Number {
            value,
            exemplar: exemplar.map(|example| {
                Box::new(Exemplar {
                    value: if by_timer { 1.0 } else { example.value },
                    ..example
                })
            }),
        }
    }
}

impl Cells {
    pub(crate) fn new(entry: &'static Dims, returned: &'static Dims, plan: Plan) -> Self {
        let entry_len = len(plan.labels, entry.types, false);
        let returned_len = len(plan.labels, returned.types, true);
        let units = entry_len.saturating_mul(returned_len).saturating_mul(plan.outcomes);
        let grid = Grid::new(units, plan.width);
        Self {
            entry,
            returned,
            plan,
            returned_len,
            exemplars: plan.exemplars(grid.units()),
            grid,
            errors: OnceLock::new(),
            columned: OnceLock::new(),
        }
    }

    /// The cells of a finished call; `None` beyond the cap on series.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "its result is too large to be handed over in registers"
    )]
    pub(crate) fn of(&'static self, labels: CallRef<'_>) -> Option<Own> {
        let set = self.set(&labels);
        match labels.error {
            Some(error) if labels.outcome == CallOutcome::Error => self.of_error(set, *error),
            _ => {
                let unit = set * 4 + labels.outcome as usize;
                Some(Own {
                    cells: self.grid.mine(unit)?,
                    exemplars: &self.exemplars,
                    unit,
                })
            }
        }
    }

    /// The cells of a set of labels without an outcome.
    #[inline]
    pub(crate) fn plain(&'static self, entry: u32) -> Option<Mine> {
        self.grid.mine(entry as usize)
    }

    /// Keeps an example of a value under the current span, where there is to be one.
    #[inline(never)]
    pub(crate) fn example(&self, unit: usize, slot: usize, value: f64, turn: u64) {
        self.exemplars
            .offer_in_turn(unit, slot, value.to_bits(), turn, active::sampled);
    }

    /// The one copy of the cells of a value that is set.
    pub(crate) fn single(&'static self, set: usize) -> Option<Mine> {
        self.grid.single(set)
    }

    #[inline]
    fn set(&self, labels: &CallRef<'_>) -> usize {
        labels.entry.index as usize * self.returned_len + labels.returned.index as usize
    }

    #[cold]
    fn of_error(&'static self, set: usize, error: ErrorIndex) -> Option<Own> {
        let mut place = &self.errors;
        let cells = loop {
            let cells = place.get_or_init(|| Box::new(self.error_cells(error.of)));
            if cells.of.same(error.of) {
                break cells;
            }
            place = &cells.next;
        };
        let unit = set * error.of.len + error.index;
        Some(Own {
            cells: cells.grid.mine(unit)?,
            exemplars: &cells.exemplars,
            unit,
        })
    }

    fn error_cells(&self, of: ErrorLabelType) -> ErrorCells {
        let units = (self.grid.units() / self.plan.outcomes).saturating_mul(of.len);
        let grid = Grid::new(units, self.plan.width);
        ErrorCells {
            of,
            exemplars: self.plan.exemplars(grid.units()),
            grid,
            next: OnceLock::new(),
        }
    }

    /// Sets of labels.
    pub(crate) fn sets(&self) -> usize {
        self.grid.units() / self.plan.outcomes.max(1)
    }

    /// So many series may have been used, and no more.
    pub(crate) fn most(&self) -> usize {
        self.grid.most()
    }

    /// For who looks at the series in their order: a set of labels, and an outcome.
    pub(crate) fn reader(&'static self) -> TableReader {
        TableReader {
            reader: self.grid.reader(),
            exemplars: &self.exemplars,
            of_set: self.plan.outcomes,
        }
    }

    /// The same by errors, for each of their types: a set of labels, and the error's number.
    pub(crate) fn by_error(&'static self) -> impl Iterator<Item = (ErrorLabelType, TableReader)> {
        let first = self.errors.get().map(|cells| &**cells);
        let all = std::iter::successors(first, |cells| cells.next.get().map(|cells| &**cells));
        all.map(|cells| {
            let reader = TableReader {
                reader: cells.grid.reader(),
                exemplars: &cells.exemplars,
                of_set: cells.of.len,
            };
            (cells.of, reader)
        })
    }
}

/// Reads a table.
pub(crate) struct TableReader {
    reader: Reader<'static>,
    exemplars: &'static Exemplars,
    /// Series to one set of labels.
    of_set: usize,
}

impl TableReader {
    /// One series of a set of labels, if it was ever used.
    #[inline]
    pub(crate) fn series(&mut self, set: usize, at: usize) -> Option<Found<'_>> {
        let unit = set * self.of_set + at;
        Some(Found {
            series: self.reader.series(unit)?,
            exemplars: self.exemplars,
            unit,
        })
    }
}

impl Plan {
    fn exemplars(&self, series: usize) -> Exemplars {
        match self.layout {
            Some(layout) => Exemplars::new(series, layout.slots()),
            None => Exemplars::new(series, 1),
        }
    }
}

/// The definitions whose values one tuple of labels holds, in its order.
pub(crate) fn dynamic(labels: &'static [LabelDef], returned: bool) -> impl Iterator<Item = &'static LabelDef> {
    labels.iter().filter(move |label| match label.source {
        LabelSource::Const(_) => false,
        LabelSource::Entry(_) | LabelSource::Limited(_) => !returned,
        LabelSource::Returned(_) | LabelSource::ReturnedLimited(_) => returned,
    })
}

/// One label's values.
#[derive(Clone, Copy)]
pub(crate) enum Values {
    Closed(LabelType),
    Limited(&'static Limit),
}

impl Values {
    pub(crate) fn of(def: &LabelDef, of: LabelType) -> Self {
        match def.source {
            LabelSource::Limited(limit) | LabelSource::ReturnedLimited(limit) => Self::Limited(limit),
            _ => Self::Closed(of),
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::Closed(of) => of.len,
            Self::Limited(limit) => limit.len(),
        }
    }

    /// The text of one; `None` of a limit's value that nobody gave yet.
    pub(crate) fn text(self, index: usize) -> Option<&'static str> {
        match self {
            Self::Closed(of) => Some((of.value)(index)),
            Self::Limited(limit) => limit.value(index),
        }
    }
}

fn len(labels: &'static [LabelDef], types: &'static [LabelType], returned: bool) -> usize {
    dynamic(labels, returned)
        .zip(types)
        .map(|(def, of)| Values::of(def, *of).len())
        .fold(1, usize::saturating_mul)
}

impl ErrorLabelType {
    /// The same list of values. Functions at one address say the same; one may stand at several, where the texts decide.
    fn same(self, other: Self) -> bool {
        self.len == other.len
            && (std::ptr::fn_addr_eq(self.value, other.value)
                || (0..self.len).all(|index| (self.value)(index) == (other.value)(index)))
    }
}
