//! What there is to scrape: families merged over all sites, zeros included.

use super::bucket::{self, Layout};
use super::columns::{Columns, known};
use super::label::{ErrorLabelType, LabelType};
use super::slot::{BEGUN, ENDED};
use super::table::{Cells, Found};
use super::value::{empty_histogram, finite, histogram};
use super::{cell, declared, dropped, process};
use crate::clock;
use crate::export::diag::{Level, say_once};
use crate::export::snapshot::{Family, Kind, Labels, Number, Point, PointValue};
use crate::export::stats;
use crate::outcome::CallOutcome;
use crate::site::{CounterDef, LabelSource, SITES, Site, TimerDef};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub(crate) use super::columns::{counter_series, timer_series};

/// The default families.
pub(crate) const CALLS: &str = "function.calls";
pub(crate) const DURATION: &str = "function.duration";

/// A function shows zeros for at most so many sets of labels and outcomes.
pub(super) const MAX_ZEROS: usize = 64;

/// Something else that has families: metrics declared by hand, numbers about ourselves, meters of other APIs.
pub(crate) trait Source: Send + Sync {
    /// Adds what there is now.
    fn families(&self, out: &mut Vec<Family>);

    /// What it told of is no more: it is forgotten.
    fn is_gone(&self) -> bool {
        false
    }
}

static SOURCES: Mutex<Sources> = Mutex::new(Sources {
    all: Vec::new(),
    many: 0,
});

struct Sources {
    all: Vec<Arc<dyn Source>>,
    /// So many that it is worth looking for those that are gone: twice as many as there were after the last look.
    many: usize,
}

impl Sources {
    fn forget_gone(&mut self) {
        self.all.retain(|source| !source.is_gone());
        self.many = (self.all.len() * 2).max(64);
    }
}

/// From now on the page and the push show its families too.
pub(crate) fn register(source: Arc<dyn Source>) {
    let mut sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
    if sources.all.len() >= sources.many {
        sources.forget_gone();
    }
    sources.all.push(source);
}

#[cfg(test)]
pub(crate) fn registered() -> usize {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner).all.len()
}

/// All that there is something of.
fn sources() -> Vec<Arc<dyn Source>> {
    let mut sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
    sources.forget_gone();
    sources.all.clone()
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
    let mut others = stats::families();
    crate::jobs::measure::families(&mut others);
    for source in sources() {
        source.families(&mut others);
    }
    for family in others {
        gathering.merge(family);
    }
    if !gathering.clashes.is_empty() {
        // All at once: what is said once names no other later.
        say_once(
            Level::Warn,
            ("metrics", "kinds"),
            format_args!(
                "{}; only the first is shown. Rename one of them",
                gathering.clashes.join(", ")
            ),
        );
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
    /// By scope, name and unit: seconds and milliseconds of one name are two families, whose numbers do not add up.
    by_name: HashMap<(LabelSet, Cow<'static, str>, Cow<'static, str>), usize>,
    hasher: std::hash::RandomState,
    /// Families that are not shown, and why.
    clashes: Vec<String>,
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

/// A unit that says nothing of the numbers, only what is counted, as `{call}` does.
fn is_annotation(unit: &str) -> bool {
    unit.starts_with('{') && unit.find('}') == Some(unit.len() - 1)
}

/// The same in whichever order the labels stand.
fn hash(hasher: &std::hash::RandomState, labels: &Labels) -> u64 {
    labels
        .iter()
        .fold(0, |sum: u64, label| sum.wrapping_add(hasher.hash_one(label)))
}

/// The labels of one series.
pub(crate) type LabelSet = Vec<(Cow<'static, str>, Cow<'static, str>)>;

impl Gathering {
    fn entry(&mut self, name: Cow<'static, str>, unit: Cow<'static, str>, kind: Kind) -> usize {
        self.entry_of(LabelSet::new(), name, unit, kind)
    }

    fn entry_of(&mut self, scope: LabelSet, name: Cow<'static, str>, unit: Cow<'static, str>, kind: Kind) -> usize {
        let measure = if is_annotation(&unit) {
            Cow::Borrowed("")
        } else {
            unit.clone()
        };
        let key = (scope, name.clone(), measure);
        if let Some(&at) = self.by_name.get(&key) {
            return at;
        }
        let at = self.families.len();
        let scope = key.0.clone();
        self.by_name.insert(key, at);
        self.families.push(Entry {
            family: Family {
                name,
                help: Cow::Borrowed(""),
                unit,
                kind,
                observed: false,
                scope,
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
                entry.index.entry(hash(hasher, &point.labels)).or_default().push(at);
            }
        }
    }

    fn add(&mut self, at: usize, point: Point) {
        let entry = &mut self.families[at];
        if !entry.shared {
            entry.family.points.push(point);
            return;
        }
        let places = entry.index.entry(hash(&self.hasher, &point.labels)).or_default();
        let points = &mut entry.family.points;
        if let Some(&at) = places.iter().find(|&&at| points[at].labels.are(&point.labels)) {
            if !points[at].value.merge(entry.family.kind, point.value) {
                let name = &entry.family.name;
                let clash = format!("metric `{name}` has one series twice, which does not add up");
                if !self.clashes.contains(&clash) {
                    self.clashes.push(clash);
                }
            }
        } else {
            places.push(points.len());
            points.push(point);
        }
    }

    /// Another source's family, joined to that of the same scope, name and unit if they are of one kind, and dropped otherwise.
    fn merge(&mut self, family: Family) {
        let at = self.entry_of(family.scope, family.name, family.unit, family.kind);
        let known = &self.families[at].family;
        if known.kind != family.kind {
            let clash = format!("metric `{}` is both {:?} and {:?}", known.name, known.kind, family.kind);
            self.clashes.push(clash);
            return;
        }
        self.source(at, family.help, false);
        let entry = &mut self.families[at];
        entry.family.observed |= family.observed;
        if !entry.shared && entry.family.points.is_empty() {
            entry.family.points = family.points;
            return;
        }
        for point in family.points {
            self.add(at, point);
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
        let by_timer = counter.by_timer;
        let whole = if by_timer {
            site.slots.timer.tables.all()
        } else {
            slot.whole.all()
        };
        self.zeros(
            at,
            &columns,
            &whole,
            Signal::Counter {
                asynchronous: site.def.asynchronous,
                fallible: site.def.fallible,
                errors: counter.errors,
            },
        );
        for cells in whole {
            self.table(at, &columns, cells, |found| {
                let value = match cells.plan.layout.filter(|_| by_timer) {
                    Some(layout) => layout.count(&found.series),
                    None => found.series.sum(0),
                };
                (value > 0).then(|| found.counted(Number::U64(value), by_timer))
            });
        }
        for cells in slot.real.all() {
            self.table(at, &columns, cells, |found| {
                let value = finite(found.series.sum_f64(0));
                (value > 0.0).then(|| found.counted(Number::F64(value), false))
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
        let ok = vec![(CallOutcome::Ok, None)];
        let error = |name| (CallOutcome::Error, name);
        let mut by_return = match signal {
            // Each failure by its name, and none without: that series would never move.
            Signal::Counter {
                errors: Some(errors), ..
            } => ok
                .into_iter()
                .chain(errors.failures().into_iter().map(Some).map(error))
                .collect(),
            Signal::Counter { fallible: true, .. } => vec![ok[0], error(None)],
            _ => ok,
        };
        let by_itself = match signal {
            Signal::Counter { asynchronous: true, .. } => {
                vec![(CallOutcome::Panic, None), (CallOutcome::Cancelled, None)]
            }
            Signal::Counter { .. } => vec![(CallOutcome::Panic, None)],
            _ => Vec::new(),
        };
        let product = |types: &[LabelType]| types.iter().map(|of| of.len).fold(1, usize::saturating_mul);
        let zeros = |by_return: usize| {
            product(&entry)
                .saturating_mul(product(&back))
                .saturating_mul(by_return)
                .saturating_add(product(&entry).saturating_mul(by_itself.len()))
        };
        if zeros(by_return.len()) > MAX_ZEROS && by_return.len() > 2 {
            // Too many names.
            by_return = vec![(CallOutcome::Ok, None), error(None)];
        }
        if zeros(by_return.len()) > MAX_ZEROS {
            return;
        }
        // A table with these types shows its own values; the zeros then fall together with them.
        if !tables.is_empty() {
            self.share(at);
        }
        let empty = Vec::new();
        for (back, outcomes) in [(&back, &by_return), (&empty, &by_itself)] {
            let layout = columns.layout(&entry, back);
            for set in 0..product(&entry) * product(back) {
                for &(outcome, error) in outcomes {
                    if let Some(labels) = layout.texts(set, Some(outcome), error) {
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
        value: impl Fn(Found<'_>) -> Option<PointValue>,
    ) {
        let labels = columns.of_cells(cells);
        let mut by_error: Vec<_> = cells.by_error().collect();
        let mut reader = cells.reader();
        for set in 0..cells.sets() {
            for outcome in 0..cells.plan.outcomes {
                if let Some(value) = reader.series(set, outcome).and_then(&value)
                    && let Some(labels) = labels.of(set, CallOutcome::ALL.get(outcome).copied())
                {
                    self.add(at, point(labels, value));
                }
            }
            for (errors, reader) in &mut by_error {
                for index in 0..errors.len {
                    if let Some(value) = reader.series(set, index).and_then(&value)
                        && let Some(labels) = labels.of_error(set, (errors.value)(index))
                    {
                        self.add(at, point(labels, value));
                    }
                }
            }
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
        let Family { name, help, unit, .. } = overflow(Vec::new());
        let at = self.entry(name, unit, Kind::Counter);
        self.source(at, help, true);
        self.share(at);
        let of_sites = sites().iter().flat_map(|site| {
            let counter = site.def.counter.as_ref().map(|c| (c.name.unwrap_or(CALLS), c.labels));
            let timer = site.def.timer.as_ref().map(|t| (t.name.unwrap_or(DURATION), t.labels));
            counter.into_iter().chain(timer)
        });
        for (metric, labels) in of_sites.chain(declared::labels()) {
            for label in labels {
                if let LabelSource::Limited(limit) | LabelSource::ReturnedLimited(limit) = label.source {
                    self.add(at, overflowed(metric.into(), label.key, limit.overflow()));
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Counter {
        asynchronous: bool,
        fallible: bool,
        errors: Option<&'static ErrorLabelType>,
    },
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

/// What had to share a series because of a limit.
pub(super) fn overflow(points: Vec<Point>) -> Family {
    Family {
        name: "vitalsign.label.overflow".into(),
        help: "Label values beyond their limit, counted as `other`, and measurements beyond an instrument's.".into(),
        unit: "{value}".into(),
        kind: Kind::Counter,
        observed: false,
        scope: Vec::new(),
        points,
    }
}

/// So many values of that label had to.
pub(super) fn overflowed(metric: Cow<'static, str>, label: &'static str, values: u64) -> Point {
    let labels = vec![
        (Cow::Borrowed("label"), Cow::Borrowed(label)),
        (Cow::Borrowed("metric"), metric),
    ];
    point(labels, PointValue::number(Number::U64(values)))
}

/// A label whose values are limited here, and not where an attribute or a declaration says so.
struct Limited {
    metric: &'static str,
    label: &'static str,
    overflow: fn() -> u64,
}

impl Source for Limited {
    fn families(&self, out: &mut Vec<Family>) {
        let values = (self.overflow)();
        out.push(overflow(vec![overflowed(self.metric.into(), self.label, values)]));
    }
}

/// From now on the page and the push show how many values of that label had to share a series.
pub(crate) fn limited(metric: &'static str, label: &'static str, overflow: fn() -> u64) {
    register(Arc::new(Limited {
        metric,
        label,
        overflow,
    }));
}

pub(super) fn point(labels: impl Into<Labels>, value: PointValue) -> Point {
    Point {
        labels: labels.into(),
        value,
        typed: 0,
        start_unix_nanos: started(),
    }
}
