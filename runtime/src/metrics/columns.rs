//! How the series of an annotated function or a declared metric are labelled: an index becomes texts.

use super::declared;
use super::label::{ErrorIndex, LabelType};
use super::registry::{CALLS, DURATION, LabelSet, MAX_ZEROS};
use super::slot::CallLabels;
use super::table::{Cells, Values, dynamic};
use crate::export::labels::{Labels, Row};
use crate::outcome::CallOutcome;
use crate::site::{Def, LabelDef, LabelSource, Site};

/// The types of a site's labels, when all are known without a call.
pub(super) fn known(labels: &'static [LabelDef], returned: bool) -> Option<Vec<LabelType>> {
    dynamic(labels, returned)
        .map(|def| match def.source {
            LabelSource::Entry(of) | LabelSource::Returned(of) => of.copied(),
            _ => None,
        })
        .collect()
}

/// How the series of a metric declared by hand are labelled, how many there can be, and whether all are known.
pub(super) fn known_labels(labels: &'static [LabelDef]) -> Own {
    let types: Vec<_> = labels.iter().map(declared::type_of).collect();
    let limited = labels
        .iter()
        .any(|label| matches!(label.source, LabelSource::Limited(_)));
    let sets = types.iter().map(|of| of.len).fold(1, usize::saturating_mul);
    Own {
        sets,
        all: !limited && sets <= MAX_ZEROS,
        columns: Columns {
            function: None,
            labels,
            outcome: false,
        },
        types,
    }
}

/// See [`known_labels`].
pub(super) struct Own {
    pub(super) sets: usize,
    pub(super) all: bool,
    columns: Columns,
    types: Vec<LabelType>,
}

impl Own {
    /// How the series are labelled.
    pub(super) fn columned(&self) -> Columned {
        self.columns.layout(&self.types, &[])
    }

    /// The same of what is in these cells.
    pub(super) fn of_cells(&self, cells: &'static Cells) -> Held {
        self.columns.of_cells(cells)
    }
}

/// How a site's series are labelled.
pub(super) struct Columns {
    /// Of a default family: the function and its module.
    pub(super) function: Option<&'static Def>,
    pub(super) labels: &'static [LabelDef],
    pub(super) outcome: bool,
}

impl Columns {
    /// The labels of the series of one call.
    fn of_call(&self, labels: &CallLabels) -> Option<LabelSet> {
        let (entry, returned) = (labels.entry.dims.types, labels.returned.dims.types);
        let returned_len = dynamic(self.labels, true)
            .zip(returned)
            .map(|(def, of)| Values::of(def, *of).len())
            .fold(1, usize::saturating_mul);
        let set = labels.entry.index as usize * returned_len + labels.returned.index as usize;
        let error = labels
            .error
            .filter(|_| labels.outcome == CallOutcome::Error)
            .map(ErrorIndex::text);
        self.layout(entry, returned).texts(set, Some(labels.outcome), error)
    }

    /// How the labels of a table with these types are read off an index.
    pub(super) fn layout(&self, entry: &[LabelType], returned: &[LabelType]) -> Columned {
        let mut columns: Vec<Column> = Vec::with_capacity(self.labels.len() + 3);
        for label in self.labels {
            if let LabelSource::Const(value) = label.source {
                columns.push(Column::constant(label.key, value));
            }
        }
        // The last label turns fastest, those of the returned value before those of the arguments.
        let mut step = 1_usize;
        for (types, of_return) in [(returned, true), (entry, false)] {
            let defs: Vec<_> = dynamic(self.labels, of_return).collect();
            if of_return && types.is_empty() {
                columns.extend(defs.iter().map(|def| Column::constant(def.key, "none")));
                continue;
            }
            for (def, of) in defs.iter().zip(types).rev() {
                let values = Values::of(def, *of);
                let len = values.len().max(1);
                columns.push(Column {
                    key: def.key,
                    text: Text::Turning { step, len, values },
                });
                step = step.saturating_mul(len);
            }
        }
        columns.sort_by_key(|column| column.key);
        if let Some(def) = self.function {
            let function = [("function", def.function), ("module", def.module)];
            columns.splice(..0, function.map(|(key, value)| Column::constant(key, value)));
        }
        if self.outcome {
            columns.push(Column {
                key: "outcome",
                text: Text::Outcome,
            });
        }
        Columned(columns.into())
    }

    /// The same of a table's cells. A large one's stays with it, so that its series need no texts of their own.
    pub(super) fn of_cells(&self, cells: &'static Cells) -> Held {
        let layout = || self.layout(cells.entry.types, cells.returned.types);
        if cells.sets() > MAX_ZEROS {
            Held::Kept(cells.columned.get_or_init(layout))
        } else {
            Held::Own(layout())
        }
    }
}

/// See [`Columns::of_cells`].
pub(super) enum Held {
    Kept(&'static Columned),
    Own(Columned),
}

impl Held {
    /// The labels of one series; `None` of a limit's value that nobody gave.
    pub(super) fn of(&self, set: usize, outcome: Option<CallOutcome>) -> Option<Labels> {
        match self {
            Self::Kept(columned) => columned.row(set, outcome),
            Self::Own(columned) => columned.texts(set, outcome, None).map(Labels::Texts),
        }
    }

    /// Those of one by an error.
    pub(super) fn of_error(&self, set: usize, error: &'static str) -> Option<Labels> {
        let columned = match self {
            Self::Kept(columned) => columned,
            Self::Own(columned) => columned,
        };
        let texts = columned.texts(set, Some(CallOutcome::Error), Some(error));
        texts.map(Labels::Texts)
    }
}

/// The labels of one table, in the order in which they are shown.
pub(crate) struct Columned(Box<[Column]>);

struct Column {
    key: &'static str,
    text: Text,
}

enum Text {
    Constant(&'static str),
    Turning { step: usize, len: usize, values: Values },
    Outcome,
}

impl Column {
    fn constant(key: &'static str, text: &'static str) -> Self {
        Self {
            key,
            text: Text::Constant(text),
        }
    }

    /// `None` of a limit's value that nobody gave.
    #[inline]
    fn text(&self, set: usize, outcome: Option<CallOutcome>) -> Option<&'static str> {
        match &self.text {
            Text::Constant(text) => Some(text),
            Text::Turning { step, len, values } => values.text(set / step % len),
            Text::Outcome => outcome.map(CallOutcome::as_str),
        }
    }
}

impl Columned {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|column| column.key)
    }

    /// The labels of a series that was given all of them.
    #[inline]
    pub(crate) fn iter(&self, Row { set, outcome }: Row) -> impl Iterator<Item = (&'static str, &'static str)> {
        let set = set as usize;
        self.0
            .iter()
            .map(move |column| (column.key, column.text(set, outcome).unwrap_or_default()))
    }

    /// One series as a place in this table; `None` of a limit's value that nobody gave.
    fn row(&'static self, set: usize, outcome: Option<CallOutcome>) -> Option<Labels> {
        let given = self.0.iter().all(|column| match column.text {
            Text::Turning {
                values: Values::Limited(_),
                ..
            } => column.text(set, outcome).is_some(),
            _ => true,
        });
        let by_outcome = matches!(self.0.last(), Some(column) if matches!(column.text, Text::Outcome));
        let row = Row {
            set: u32::try_from(set).ok()?,
            outcome: outcome.filter(|_| by_outcome),
        };
        given.then_some(Labels::Row(self, row))
    }

    /// The labels of one series as texts; `None` of a limit's value that nobody gave.
    pub(super) fn texts(
        &self,
        set: usize,
        outcome: Option<CallOutcome>,
        error: Option<&'static str>,
    ) -> Option<LabelSet> {
        let mut labels: LabelSet = Vec::with_capacity(self.0.len() + usize::from(error.is_some()));
        for column in &self.0 {
            match column.text(set, outcome) {
                Some(text) => labels.push((column.key.into(), text.into())),
                None if matches!(column.text, Text::Outcome) => {}
                None => return None,
            }
        }
        if let (Some(error), Some(Text::Outcome)) = (error, self.0.last().map(|column| &column.text)) {
            labels.push(("error.type".into(), error.into()));
        }
        Some(labels)
    }
}

/// Family and labels of the series that a call of this site counted in.
pub(crate) fn counter_series(site: &'static Site, labels: &CallLabels) -> Option<(&'static str, LabelSet)> {
    let counter = site.def.counter.as_ref()?;
    let columns = Columns {
        function: counter.name.is_none().then_some(&site.def),
        labels: counter.labels,
        outcome: counter.outcome,
    };
    Some((counter.name.unwrap_or(CALLS), columns.of_call(labels)?))
}

/// Family and labels of the series that a call of this site gave a sample.
pub(crate) fn timer_series(site: &'static Site, labels: &CallLabels) -> Option<(&'static str, LabelSet)> {
    let timer = site.def.timer.as_ref()?;
    let columns = Columns {
        function: timer.name.is_none().then_some(&site.def),
        labels: timer.labels,
        outcome: true,
    };
    Some((timer.name.unwrap_or(DURATION), columns.of_call(labels)?))
}
