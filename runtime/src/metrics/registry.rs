//! What there is to scrape: families merged over all sites, zeros included.

use super::bucket::{self, Layout, Shape};
use super::label::{ErrorIndex, LabelType};
use super::slot::{BEGUN, CallLabels, ENDED};
use super::table::{Cells, Found, Values, dynamic};
use super::{cell, declared, dropped, process};
use crate::clock;
use crate::export::snapshot::{Exemplar, Family, Kind, Number, Point, PointValue};
use crate::export::stats;
use crate::outcome::CallOutcome;
use crate::site::{CounterDef, Def, LabelDef, LabelSource, SITES, Site, TimerDef};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The default families.
pub(crate) const CALLS: &str = "function.calls";
pub(crate) const DURATION: &str = "function.duration";

/// A function shows zeros for at most so many sets of labels and outcomes.
const MAX_ZEROS: usize = 64;

/// Something else that has families: metrics declared by hand, numbers about ourselves, meters of other APIs.
pub(crate) trait Source: Send + Sync {
    /// Adds what there is now.
    fn families(&self, out: &mut Vec<Family>);
}

static SOURCES: Mutex<Vec<Arc<dyn Source>>> = Mutex::new(Vec::new());

/// From now on the page and the push show its families too.
pub(crate) fn register(source: Arc<dyn Source>) {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner).push(source);
}

/// When counting began, in nanoseconds since the Unix epoch. The first call fixes it, so `init()` makes it.
pub(crate) fn started() -> u64 {
    static STARTED: OnceLock<u64> = OnceLock::new();
    *STARTED.get_or_init(|| clock::unix_nanos(clock::now()))
}

/// All families, by name.
pub(crate) fn gather() -> Vec<Family> {
    let mut gathering = Gathering::default();
    for site in sites() {
        if let Some(counter) = &site.def.counter {
            gathering.counter(site, counter);
        }
        if let Some(timer) = &site.def.timer {
            gathering.timer(site, timer);
        }
    }
    gathering.own();
    for family in process::families().into_iter().chain(declared::families()) {
        gathering.merge(family);
    }
    let sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut others = stats::families();
    for source in sources {
        source.families(&mut others);
    }
    for family in others {
        gathering.merge(family);
    }
    let mut families: Vec<Family> = gathering.families.into_iter().map(|entry| entry.family).collect();
    for family in &mut families {
        if family.help.is_empty() {
            // Scrapers' linters want one, and it says where to write it.
            family.help = Cow::Owned(format!("{}: declared without a doc comment or help.", family.name));
        }
    }
    families.sort_by(|a, b| a.name.cmp(&b.name));
    families
}

/// All sites in the order of the source, so that everything derived from them is the same in each build.
pub(crate) fn sites() -> &'static [&'static Site] {
    static SORTED: OnceLock<Vec<&'static Site>> = OnceLock::new();
    SORTED.get_or_init(|| {
        let mut sites: Vec<&'static Site> = SITES.iter().collect();
        sites.sort_by_key(|site| (site.def.module, site.def.file, site.def.line, site.def.function));
        sites
    })
}

#[derive(Default)]
struct Gathering {
    families: Vec<Entry>,
    by_name: HashMap<Cow<'static, str>, usize>,
    hasher: std::hash::RandomState,
}

/// A family being put together.
struct Entry {
    family: Family,
    explicit_help: bool,
    /// Points by the hash of their labels; filled when a second source comes.
    index: HashMap<u64, Vec<usize>>,
    sources: usize,
    shared: bool,
}

/// The labels of one series.
pub(crate) type LabelSet = Vec<(Cow<'static, str>, Cow<'static, str>)>;

impl Gathering {
    fn entry(&mut self, name: Cow<'static, str>, unit: Cow<'static, str>, kind: Kind) -> usize {
        if let Some(&at) = self.by_name.get(&name) {
            return at;
        }
        let at = self.families.len();
        self.by_name.insert(name.clone(), at);
        self.families.push(Entry {
            family: Family {
                name,
                help: Cow::Borrowed(""),
                unit,
                kind,
                points: Vec::new(),
            },
            explicit_help: false,
            index: HashMap::new(),
            sources: 0,
            shared: false,
        });
        at
    }

    fn source(&mut self, at: usize, help: Cow<'static, str>, explicit: bool) {
        let entry = &mut self.families[at];
        if !help.is_empty() && (entry.family.help.is_empty() || (explicit && !entry.explicit_help)) {
            entry.family.help = help;
            entry.explicit_help = explicit;
        }
        entry.sources += 1;
        if entry.sources == 2 {
            self.share(at);
        }
    }

    /// From now on points with equal labels fall together.
    fn share(&mut self, at: usize) {
        let hasher = &self.hasher;
        let entry = &mut self.families[at];
        if !entry.shared {
            entry.shared = true;
            for (at, point) in entry.family.points.iter().enumerate() {
                entry.index.entry(hasher.hash_one(&point.labels)).or_default().push(at);
            }
        }
    }

    fn add(&mut self, at: usize, point: Point) {
        let entry = &mut self.families[at];
        if !entry.shared {
            entry.family.points.push(point);
            return;
        }
        let places = entry.index.entry(self.hasher.hash_one(&point.labels)).or_default();
        let points = &mut entry.family.points;
        if let Some(&at) = places.iter().find(|&&at| points[at].labels == point.labels) {
            points[at].value.merge(point.value);
        } else {
            places.push(points.len());
            points.push(point);
        }
    }

    /// Another source's family, joined to ours of the same name if they are of one kind, and dropped otherwise.
    fn merge(&mut self, family: Family) {
        let at = self.entry(family.name, family.unit.clone(), family.kind);
        if self.families[at].family.kind == family.kind {
            self.source(at, family.help, false);
            for point in family.points {
                self.add(at, point);
            }
        }
    }

    fn counter(&mut self, site: &'static Site, counter: &'static CounterDef) {
        let name = counter.name.unwrap_or(CALLS);
        let unit = Cow::Borrowed(counter.unit);
        let at = self.entry(Cow::Borrowed(name), unit, Kind::Counter);
        let help = if counter.name.is_none() {
            "Calls of annotated functions, by how they ended."
        } else {
            counter.help
        };
        self.source(at, Cow::Borrowed(help), counter.explicit_help);
        let slot = &site.slots.counter;
        let columns = Columns {
            function: counter.name.is_none().then_some(&site.def),
            labels: counter.labels,
            outcome: counter.outcome,
        };
        if !counter.outcome || !slot.real.all().is_empty() {
            // Series of different tables or outcomes fall together.
            self.share(at);
        }
        let whole = slot.whole.all();
        self.zeros(
            at,
            &columns,
            &whole,
            Signal::Counter {
                asynchronous: site.def.asynchronous,
                fallible: site.def.fallible,
            },
        );
        for cells in whole {
            self.table(at, &columns, cells, |found| {
                let value = found.series.sum(0);
                (value > 0).then_some(PointValue::number(Number::U64(value)))
            });
        }
        for cells in slot.real.all() {
            self.table(at, &columns, cells, |found| {
                let value = found.series.sum_f64(0);
                (value > 0.0).then_some(PointValue::number(Number::F64(value)))
            });
        }
        if counter.in_flight {
            self.in_flight(site, counter, name);
        }
    }

    fn in_flight(&mut self, site: &'static Site, counter: &'static CounterDef, name: &'static str) {
        let unit = Cow::Borrowed(counter.unit);
        let at = self.entry(Cow::Owned(format!("{name}.in_flight")), unit, Kind::UpDownCounter);
        let help = if counter.name.is_none() {
            Cow::Borrowed("Calls of annotated functions under way.")
        } else {
            Cow::Owned(format!("Calls under way of those that {name} counts."))
        };
        self.source(at, help, false);
        let columns = Columns {
            function: counter.name.is_none().then_some(&site.def),
            labels: counter.labels,
            outcome: false,
        };
        let flight = site.slots.counter.flight.all();
        self.zeros(at, &columns, &flight, Signal::InFlight);
        for cells in flight {
            self.table(at, &columns, cells, |found| {
                let ended = found.series.sum(ENDED);
                let begun = found.series.sum(BEGUN);
                (begun > 0).then_some(PointValue::number(Number::I64(
                    (begun.wrapping_sub(ended) as i64).max(0),
                )))
            });
        }
    }

    fn timer(&mut self, site: &'static Site, timer: &'static TimerDef) {
        let name = timer.name.unwrap_or(DURATION);
        let unit = Cow::Borrowed("s");
        let at = self.entry(Cow::Borrowed(name), unit, Kind::Histogram);
        let help = if timer.name.is_none() {
            "Duration of the calls of annotated functions."
        } else {
            timer.help
        };
        self.source(at, Cow::Borrowed(help), timer.explicit_help);
        let columns = Columns {
            function: timer.name.is_none().then_some(&site.def),
            labels: timer.labels,
            outcome: true,
        };
        let tables = site.slots.timer.tables.all();
        self.zeros(at, &columns, &tables, Signal::Timer(timer));
        for cells in tables {
            let Some(layout) = cells.plan.layout else { continue };
            self.table(at, &columns, cells, |found| {
                let sum = layout.seconds(found.series.sum(bucket::SUM));
                let value = histogram(layout, &found, sum);
                (value.count() > 0).then_some(value)
            });
        }
    }

    /// What is known before the first call.
    fn zeros(&mut self, at: usize, columns: &Columns, tables: &[&'static Cells], signal: Signal) {
        let returned = !matches!(signal, Signal::InFlight);
        let (Some(entry), Some(back)) = (known(columns.labels, false), known(columns.labels, true)) else {
            return;
        };
        let back = if returned { back } else { Vec::new() };
        let by_return: &[CallOutcome] = match signal {
            Signal::Counter { fallible: true, .. } => &[CallOutcome::Ok, CallOutcome::Error],
            _ => &[CallOutcome::Ok],
        };
        let by_itself: &[CallOutcome] = match signal {
            Signal::Counter { asynchronous: true, .. } => &[CallOutcome::Panic, CallOutcome::Cancelled],
            Signal::Counter { .. } => &[CallOutcome::Panic],
            _ => &[],
        };
        let product = |types: &[LabelType]| types.iter().map(|of| of.len).fold(1, usize::saturating_mul);
        let zeros = product(&entry)
            .saturating_mul(product(&back))
            .saturating_mul(by_return.len())
            .saturating_add(product(&entry).saturating_mul(by_itself.len()));
        if zeros > MAX_ZEROS {
            return;
        }
        // A table with these types shows its own values; the zeros then fall together with them.
        if !tables.is_empty() {
            self.share(at);
        }
        let empty = Vec::new();
        for (back, outcomes) in [(&back, by_return), (&empty, by_itself)] {
            let layout = columns.layout(&entry, back);
            for set in 0..product(&entry) * product(back) {
                for &outcome in outcomes {
                    if let Some(labels) = layout.labels(set, Some(outcome), None) {
                        let value = signal.zero();
                        self.add(at, point(labels, value));
                    }
                }
            }
        }
    }

    fn table(
        &mut self,
        at: usize,
        columns: &Columns,
        cells: &'static Cells,
        value: impl Fn(Found) -> Option<PointValue>,
    ) {
        let layout = columns.layout(cells.entry.types, cells.returned.types);
        let mut points = Vec::new();
        for set in 0..cells.sets() {
            for outcome in 0..cells.plan.outcomes {
                if let Some(value) = cells.existing(set, outcome).and_then(&value)
                    && let Some(labels) = layout.labels(set, CallOutcome::ALL.get(outcome).copied(), None)
                {
                    points.push(point(labels, value));
                }
            }
            for (error, found) in cells.existing_errors(set) {
                if let Some(value) = value(found)
                    && let Some(labels) = layout.labels(set, Some(CallOutcome::Error), Some(error))
                {
                    points.push(point(labels, value));
                }
            }
        }
        for point in points {
            self.add(at, point);
        }
    }

    /// Numbers about the metrics themselves.
    fn own(&mut self) {
        let unit = Cow::Borrowed("{measurement}");
        let at = self.entry(Cow::Borrowed("vitalsign.metrics.dropped"), unit, Kind::Counter);
        self.source(
            at,
            Cow::Borrowed("Measurements that metrics did not take, by reason."),
            true,
        );
        for reason in dropped::Reason::ALL {
            self.add(
                at,
                point(
                    vec![(Cow::Borrowed("reason"), Cow::Borrowed(reason.as_str()))],
                    PointValue::number(Number::U64(dropped::so_far(reason))),
                ),
            );
        }
        let unit = Cow::Borrowed("{series}");
        let at = self.entry(Cow::Borrowed("vitalsign.metrics.series"), unit, Kind::Gauge);
        self.source(at, Cow::Borrowed("Series that have cells."), true);
        self.add(
            at,
            point(Vec::new(), PointValue::number(Number::U64(cell::series() as u64))),
        );
        let unit = Cow::Borrowed("{value}");
        let at = self.entry(Cow::Borrowed("vitalsign.label.overflow"), unit, Kind::Counter);
        self.source(
            at,
            Cow::Borrowed("Label values beyond their limit, counted as `other`."),
            true,
        );
        self.share(at);
        for site in sites() {
            let def = &site.def;
            let counter = def.counter.as_ref().map(|c| (c.name.unwrap_or(CALLS), c.labels));
            let timer = def.timer.as_ref().map(|t| (t.name.unwrap_or(DURATION), t.labels));
            for (metric, labels) in counter.into_iter().chain(timer) {
                for label in labels {
                    if let LabelSource::Limited(limit) | LabelSource::ReturnedLimited(limit) = label.source {
                        let labels = vec![
                            (Cow::Borrowed("label"), Cow::Borrowed(label.key)),
                            (Cow::Borrowed("metric"), Cow::Borrowed(metric)),
                        ];
                        let value = PointValue::number(Number::U64(limit.overflow()));
                        self.add(at, point(labels, value));
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Counter { asynchronous: bool, fallible: bool },
    InFlight,
    Timer(&'static TimerDef),
}

impl Signal {
    fn zero(self) -> PointValue {
        match self {
            Self::Counter { .. } => PointValue::number(Number::U64(0)),
            Self::InFlight => PointValue::number(Number::I64(0)),
            Self::Timer(timer) => empty_histogram(Layout::of(timer.buckets)),
        }
    }
}

pub(super) fn point(labels: LabelSet, value: PointValue) -> Point {
    Point {
        labels,
        value,
        start_unix_nanos: started(),
    }
}

/// The types of a site's labels, when all are known without a call.
fn known(labels: &'static [LabelDef], returned: bool) -> Option<Vec<LabelType>> {
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
struct Columns {
    /// Of a default family: the function and its module.
    function: Option<&'static Def>,
    labels: &'static [LabelDef],
    outcome: bool,
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
    fn layout(&self, entry: &[LabelType], returned: &[LabelType]) -> Columned<'_> {
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
struct Columned<'a> {
    of: &'a Columns,
    columns: Vec<(&'static str, Column)>,
}

enum Column {
    Constant(&'static str),
    Turning { step: usize, len: usize, values: Values },
}

impl Columned<'_> {
    /// The labels of one series; `None` of a limit's value that nobody gave.
    fn labels(&self, set: usize, outcome: Option<CallOutcome>, error: Option<&'static str>) -> Option<LabelSet> {
        let mut labels: LabelSet = Vec::with_capacity(self.columns.len() + 4);
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

pub(super) fn empty_histogram(layout: &Layout) -> PointValue {
    match &layout.shape {
        Shape::Classic { bounds, ticks, .. } => PointValue::Histogram {
            bounds: bounds.clone(),
            counts: vec![0; ticks.len()],
            sum: 0.0,
            exemplars: Vec::new(),
        },
        Shape::Native { .. } => PointValue::Exponential {
            schema: bucket::SCHEMA,
            zero_threshold: bucket::ZERO_THRESHOLD,
            zero_count: 0,
            positive: Vec::new(),
            sum: 0.0,
            count: 0,
            exemplars: Vec::new(),
        },
    }
}

/// Exponential buckets of half the resolution.
fn halve(positive: &[(i32, u64)]) -> Vec<(i32, u64)> {
    let mut halved: Vec<(i32, u64)> = Vec::with_capacity(positive.len());
    for &(index, count) in positive {
        // Bucket i ends at 2^(i·2^-schema): i and i-1 join where i is even.
        let index = (index + 1) >> 1;
        match halved.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => halved.push((index, count)),
        }
    }
    halved
}

/// No more buckets from first to last than OTLP and Prometheus keep.
const MAX_NATIVE: i32 = 160;

fn narrow(mut positive: Vec<(i32, u64)>) -> (i8, Vec<(i32, u64)>) {
    let mut schema = bucket::SCHEMA;
    while let (Some(first), Some(last)) = (positive.first(), positive.last())
        && last.0 - first.0 >= MAX_NATIVE
    {
        positive = halve(&positive);
        schema -= 1;
    }
    (schema, positive)
}

pub(super) fn histogram(layout: &'static Layout, found: &Found, sum: f64) -> PointValue {
    let series = found.series;
    let exemplars = found
        .exemplars
        .of(found.unit)
        .map(|(_, kept)| Exemplar {
            value: layout.seconds(kept.value),
            unix_nanos: clock::unix_nanos(kept.at),
            trace_id: kept.trace_id,
            span_id: kept.span_id,
        })
        .collect();
    let counts = series.sums(bucket::FIRST_BUCKET, layout.width - bucket::FIRST_BUCKET);
    match &layout.shape {
        Shape::Classic { bounds, .. } => PointValue::Histogram {
            bounds: bounds.clone(),
            counts,
            sum,
            exemplars,
        },
        Shape::Native { .. } => {
            let positive = counts
                .iter()
                .enumerate()
                .skip(1)
                .filter(|&(_, &count)| count > 0)
                .map(|(bucket, &count)| (Layout::native_index(bucket), count))
                .collect();
            let (schema, positive) = narrow(positive);
            PointValue::Exponential {
                schema,
                zero_threshold: bucket::ZERO_THRESHOLD,
                zero_count: counts[0],
                positive,
                sum,
                count: counts.iter().sum(),
                exemplars,
            }
        }
    }
}

impl PointValue {
    pub(crate) fn number(value: Number) -> Self {
        Self::Number { value, exemplar: None }
    }

    /// Observations of a histogram or summary.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Histogram { counts, .. } => counts.iter().sum(),
            Self::Exponential { count, .. } | Self::Summary { count, .. } => *count,
            Self::Number { .. } | Self::Info => 0,
        }
    }

    /// Adds another part of the same series.
    #[expect(
        clippy::many_single_char_names,
        reason = "what is named here in full is named there in short"
    )]
    fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Number { value, .. }, Self::Number { value: other, .. }) => *value = value.plus(other),
            (
                Self::Histogram {
                    bounds,
                    counts,
                    sum,
                    exemplars,
                },
                Self::Histogram {
                    bounds: b,
                    counts: c,
                    sum: s,
                    exemplars: e,
                },
            ) if *bounds == b => {
                for (mine, other) in counts.iter_mut().zip(c) {
                    *mine += other;
                }
                *sum += s;
                exemplars.extend(e);
            }
            (
                Self::Exponential {
                    schema,
                    zero_count,
                    positive,
                    sum,
                    count,
                    exemplars,
                    ..
                },
                Self::Exponential {
                    schema: other_schema,
                    zero_count: z,
                    positive: mut p,
                    sum: s,
                    count: c,
                    exemplars: e,
                    ..
                },
            ) => {
                for _ in *schema..other_schema {
                    p = halve(&p);
                }
                for _ in other_schema..*schema {
                    *positive = halve(positive);
                }
                *schema = other_schema.min(*schema);
                for (index, count) in p {
                    match positive.binary_search_by_key(&index, |&(index, _)| index) {
                        Ok(at) => positive[at].1 += count,
                        Err(at) => positive.insert(at, (index, count)),
                    }
                }
                *zero_count += z;
                *sum += s;
                *count += c;
                exemplars.extend(e);
            }
            // Families that disagree are refused by `check`; where nobody asked, the first one stands.
            _ => {}
        }
    }
}

impl Number {
    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::U64(a), Self::U64(b)) => Self::U64(a.wrapping_add(b)),
            (Self::I64(a), Self::I64(b)) => Self::I64(a.wrapping_add(b)),
            (a, b) => Self::F64(a.as_f64() + b.as_f64()),
        }
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::U64(n) => n as f64,
            Self::I64(n) => n as f64,
            Self::F64(n) => n,
        }
    }
}
