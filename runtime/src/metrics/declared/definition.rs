//! What a declaration says, and the cells behind it.

use crate::metrics::bucket::Layout;
use crate::metrics::label::{Dims, LabelType};
use crate::metrics::table::{Cells, Plan};
use crate::site::{Buckets, LabelDef, LabelSource};
use std::sync::OnceLock;

/// One declared metric as data; [`metrics!`](crate::metrics!) writes it.
pub struct Definition {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) labels: &'static [LabelDef],
    pub(crate) buckets: Buckets,
    pub(crate) quantiles: &'static [f64],
    pub(crate) file: &'static str,
    pub(crate) line: u32,
}

impl Definition {
    #[doc(hidden)]
    pub const fn new(name: &'static str, docs: &[&'static str], file: &'static str, line: u32) -> Self {
        assert!(!name.is_empty(), "a metric has a name");
        assert!(name.len() <= 255, "a metric's name has at most 255 letters");
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(
                bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'_' | b'-' | b'/'),
                "a metric's name has letters, digits, `.`, `_`, `-` and `/` only"
            );
            at += 1;
        }
        assert!(bytes[0].is_ascii_alphabetic(), "a metric's name begins with a letter");
        assert!(
            !ends_with(bytes, b"_total") && !ends_with(bytes, b".total"),
            "write the base name: the page adds `_total`"
        );
        Self {
            name,
            help: if docs.is_empty() { "" } else { docs[0] },
            unit: "",
            kind: "",
            labels: &[],
            buckets: Buckets::Default,
            quantiles: &[0.5, 0.9, 0.95, 0.99],
            file,
            line,
        }
    }

    /// The name of a label that is written as this identifier: a raw one's is what follows `r#`.
    #[doc(hidden)]
    pub const fn key(identifier: &'static str) -> &'static str {
        match identifier.as_bytes() {
            [b'r', b'#', rest @ ..] => match std::str::from_utf8(rest) {
                Ok(key) => key,
                Err(_) => identifier,
            },
            _ => identifier,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn labels(mut self, labels: &'static [LabelDef]) -> Self {
        let mut at = 0;
        while at < labels.len() {
            let key = labels[at].key.as_bytes();
            assert!(
                !(same(key, b"le") || same(key, b"quantile") || matches!(key, [b'_', b'_', ..])),
                "`le`, `quantile` and what begins with `__` are Prometheus' own labels: write another name"
            );
            let mut before = 0;
            while before < at {
                assert!(
                    !same(key, labels[before].key.as_bytes()),
                    "two labels have one name: write another for one of them"
                );
                before += 1;
            }
            at += 1;
        }
        self.labels = labels;
        self
    }

    /// `unit = "By"`: in UCUM.
    #[doc(hidden)]
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        assert!(
            unit.is_ascii() && unit.len() <= 63,
            "a unit has at most 63 characters, all ASCII: write `unit = \"By\"`"
        );
        self.unit = unit;
        self
    }

    /// `buckets = [..]`: upper bounds.
    #[doc(hidden)]
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        assert!(
            !bounds.is_empty(),
            "`buckets` is empty; write `buckets = [0.01, 0.1, 1.0]`"
        );
        rising(bounds);
        self.buckets = Buckets::Classic(bounds);
        self
    }

    /// `native = true`: exponential buckets.
    #[doc(hidden)]
    #[must_use]
    pub const fn native(mut self, native: bool) -> Self {
        if native {
            self.buckets = Buckets::Native;
        }
        self
    }

    /// `quantiles = [..]`: each between 0 and 1.
    #[doc(hidden)]
    #[must_use]
    pub const fn quantiles(mut self, quantiles: &'static [f64]) -> Self {
        rising(quantiles);
        assert!(
            quantiles.is_empty() || (quantiles[0] >= 0.0 && quantiles[quantiles.len() - 1] <= 1.0),
            "a quantile is between 0 and 1: write `quantiles = [0.5, 0.99]`"
        );
        self.quantiles = quantiles;
        self
    }

    pub(super) const fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && ends_with(a, b)
}

const fn ends_with(text: &[u8], end: &[u8]) -> bool {
    if text.len() < end.len() {
        return false;
    }
    let mut at = 0;
    while at < end.len() {
        if text[text.len() - end.len() + at] != end[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn rising(numbers: &[f64]) {
    let mut at = 0;
    while at < numbers.len() {
        assert!(
            numbers[at].is_finite(),
            "the numbers are finite; `+Inf` is added by itself: write `[0.01, 0.1, 1.0]`"
        );
        assert!(
            at == 0 || numbers[at - 1] < numbers[at],
            "the numbers ascend, none twice: write `[0.01, 0.1, 1.0]`"
        );
        at += 1;
    }
}

/// The cells of one metric, made on first use.
pub(crate) struct Cellar {
    cells: OnceLock<&'static Cells>,
}

impl Cellar {
    pub(super) const fn new() -> Self {
        Self { cells: OnceLock::new() }
    }

    pub(super) fn get(&self) -> Option<&'static Cells> {
        self.cells.get().copied()
    }

    /// `width` cells to a series.
    #[inline]
    pub(super) fn cells(&self, definition: &'static Definition, width: impl FnOnce() -> usize) -> &'static Cells {
        match self.cells.get() {
            Some(cells) => cells,
            None => self.make(definition, width(), None),
        }
    }

    /// Those of a histogram, with room for examples.
    #[inline]
    pub(super) fn histogram(&self, definition: &'static Definition, layout: &'static Layout) -> &'static Cells {
        match self.cells.get() {
            Some(cells) => cells,
            None => self.make(definition, layout.width, Some(layout)),
        }
    }

    #[cold]
    fn make(&self, definition: &'static Definition, width: usize, layout: Option<&'static Layout>) -> &'static Cells {
        self.cells.get_or_init(|| {
            let types: Vec<LabelType> = definition.labels.iter().map(type_of).collect();
            let dims = Box::leak(Box::new(Dims { types: types.leak() }));
            let plan = Plan {
                labels: definition.labels,
                outcomes: 1,
                width,
                layout,
            };
            Box::leak(Box::new(Cells::new(dims, Dims::NONE, plan)))
        })
    }
}

/// The type of a declared label.
pub(crate) fn type_of(label: &LabelDef) -> LabelType {
    match label.source {
        LabelSource::Entry(Some(of)) => *of,
        // Its length comes from the limit.
        _ => LabelType {
            len: 0,
            value: |_| "",
            key: std::any::TypeId::of::<()>,
        },
    }
}

/// The layout of a histogram, made on first use.
pub(crate) struct Shelf(OnceLock<&'static Layout>);

impl Shelf {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(super) fn layout(&self, definition: &'static Definition) -> &'static Layout {
        self.0
            .get_or_init(|| Box::leak(Box::new(Layout::of_values(definition.buckets))))
    }
}
