//! How the series of an annotated function or a declared metric are labelled: an index becomes texts.

use super::declared;
use super::label::{ErrorIndex, LabelType};
use super::registry::{CALLS, DURATION, LabelSet, MAX_ZEROS};
use super::slot::CallLabels;
use super::table::{Values, dynamic};
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
    /// The labels of one series by its index; `None` of a limit's value that nobody gave.
    pub(super) fn labels(&self) -> impl Fn(usize) -> Option<LabelSet> {
        let layout = self.columns.layout(&self.types, &[]);
        move |set| layout.labels(set, None, None)
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
        self.labels(entry, returned, set, Some(labels.outcome), error)
    }

    /// How the labels of a table with these types are read off an index.
    pub(super) fn layout(&self, entry: &[LabelType], returned: &[LabelType]) -> Columned<'_> {
        let mut columns: Vec<(&'static str, Column)> = Vec::with_capacity(self.labels.len());
        for label in self.labels {
            if let LabelSource::Const(value) = label.source {
                columns.push((label.key, Column::Constant(value)));
            }
        }
        // The last label turns fastest, those of the returned value before those of the arguments.
        let mut step = 1;
        for (types, of_return) in [(returned, true), (entry, false)] {
            let defs: Vec<_> = dynamic(self.labels, of_return).collect();
            if of_return && types.is_empty() {
                columns.extend(defs.iter().map(|def| (def.key, Column::Constant("none"))));
                continue;
            }
            for (def, of) in defs.iter().zip(types).rev() {
                let values = Values::of(def, *of);
                let len = values.len().max(1);
                columns.push((def.key, Column::Turning { step, len, values }));
                step *= len;
            }
        }
        columns.sort_by_key(|column| column.0);
        Columned { of: self, columns }
    }

    fn labels(
        &self,
        entry: &[LabelType],
        returned: &[LabelType],
        set: usize,
        outcome: Option<CallOutcome>,
        error: Option<&'static str>,
    ) -> Option<LabelSet> {
        self.layout(entry, returned).labels(set, outcome, error)
    }
}

/// The labels of one table, in the order of their keys.
pub(super) struct Columned<'a> {
    of: &'a Columns,
    columns: Vec<(&'static str, Column)>,
}

enum Column {
    Constant(&'static str),
    Turning { step: usize, len: usize, values: Values },
}

impl Columned<'_> {
    /// The labels of one series; `None` of a limit's value that nobody gave.
    pub(super) fn labels(
        &self,
        set: usize,
        outcome: Option<CallOutcome>,
        error: Option<&'static str>,
    ) -> Option<LabelSet> {
        let mut labels: LabelSet = Vec::with_capacity(
            self.columns.len()
                + if self.of.function.is_some() { 2 } else { 0 }
                + usize::from(self.of.outcome && outcome.is_some())
                + usize::from(error.is_some()),
        );
        if let Some(def) = self.of.function {
            labels.push(("function".into(), def.function.into()));
            labels.push(("module".into(), def.module.into()));
        }
        for (key, column) in &self.columns {
            let value = match column {
                Column::Constant(value) => value,
                Column::Turning { step, len, values } => values.text(set / step % len)?,
            };
            labels.push(((*key).into(), value.into()));
        }
        if self.of.outcome {
            if let Some(outcome) = outcome {
                labels.push(("outcome".into(), outcome.as_str().into()));
            }
            if let Some(error) = error {
                labels.push(("error.type".into(), error.into()));
            }
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
