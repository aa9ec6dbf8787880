//! Instruments of other APIs: their series come with attributes that are known at run time only.
//!
//! A series is found by one hash of its attributes, whatever their order, and a comparison; nothing is allocated once it is
//! known. An instrument has at most [`MAX_SETS`] of them; the measurements of all further ones share the series
//! `otel.metric.overflow="true"`, as the metrics SDK specification has it, and are counted.
//!
//! A name or a value longer than [`MAX_BYTES`] is cut there, and of more than [`MAX_ATTRIBUTES`] attributes the first are kept;
//! the measurements that came with such are counted. What then has the same attributes is one series.

use super::bucket::{self, Layout};
use super::exemplar::Exemplars;
use super::registry::{self, LabelSet};
use super::{cell, dropped, value};
use crate::clock;
use crate::export::diag::{Level, say_once};
use crate::export::snapshot::{Family, Kind, Number, Point, PointValue};
use crate::quick::{BuildQuick, Quick};
use crate::site::Buckets;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// Sets of attributes of one instrument, the overflow's included: the specification's default.
const MAX_SETS: usize = 2000;

/// Instruments of one API.
const MAX_STREAMS: usize = 5000;

/// A longer name or value is cut, as that of a [`limit`](super::label::limit) is: a label is a name, not a text.
const MAX_BYTES: usize = 128;

/// Attributes of one series; [`Point::typed`] has a bit for each.
const MAX_ATTRIBUTES: usize = 64;

/// The attribute of what is beyond the limit.
pub(crate) const OVERFLOW: &str = "otel.metric.overflow";

/// An attribute as the other API has it.
pub(crate) trait Attribute: Clone + Eq + Hash + Send + Sync + 'static {
    fn name(&self) -> &str;
    /// Its value as a label's, and whether it is a text to begin with.
    fn text(&self) -> (Cow<'static, str>, bool);
    /// Whether its name or its value has to be cut.
    fn is_long(&self) -> bool;
    /// The same with a name and a value that are not too long.
    fn shortened(&self) -> Self;

    /// Whether it says the same: also of what is no number, which equals nothing.
    fn is(&self, other: &Self) -> bool {
        self == other
    }
}

/// Whether a name or a value has to be cut.
pub(crate) fn is_long(text: &str) -> bool {
    text.len() > MAX_BYTES
}

/// What is kept of a name or a value: whole characters.
pub(crate) fn cut(text: &str) -> &str {
    if !is_long(text) {
        return text;
    }
    let end = (0..=MAX_BYTES).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

/// What an instrument is declared as.
#[derive(Clone, Debug)]
pub(crate) struct Instrument {
    pub(crate) name: Cow<'static, str>,
    pub(crate) unit: Cow<'static, str>,
    pub(crate) kind: Kind,
    /// What its numbers are; 0 of the type.
    pub(crate) zero: Number,
    /// Callbacks say its values, when someone gathers.
    pub(crate) observed: bool,
    /// Advice, by which no two instruments are told apart: those of the first declaration hold.
    pub(crate) buckets: Option<Buckets>,
    /// On every series: where the instrument comes from.
    pub(crate) scope: LabelSet,
}

impl Instrument {
    fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.unit == other.unit
            && self.kind == other.kind
            && self.zero == other.zero
            && self.observed == other.observed
            && self.scope == other.scope
    }
}

/// All instruments of one API.
pub(crate) struct Streams<A> {
    by_name: RwLock<BTreeMap<String, Vec<Arc<Stream<A>>>>>,
}

/// One instrument and its series.
pub(crate) struct Stream<A> {
    pub(crate) instrument: Instrument,
    help: Cow<'static, str>,
    form: Arc<Form>,
    table: RwLock<Table<A>>,
    overflow: OnceLock<Arc<Series>>,
    overflowed: AtomicU64,
    /// Measurements whose attributes were cut.
    cut: AtomicU64,
    callbacks: RwLock<Vec<Callback<A>>>,
}

/// Asked at every gathering for the values of an instrument that is observed.
pub(crate) type Callback<A> = Arc<dyn Fn(&Observer<A>) + Send + Sync>;

struct Table<A> {
    by_hash: HashMap<u64, Vec<Known<A>>, BuildQuick>,
    len: usize,
}

type Known<A> = (Box<[A]>, Arc<Series>);

/// What all series of an instrument have alike.
struct Form {
    kind: Kind,
    layout: Option<Layout>,
}

impl Form {
    /// Whether a number will do; what will not is counted.
    fn takes(&self, number: Number) -> bool {
        let Number::F64(n) = number else { return true };
        let rises = matches!(self.kind, Kind::Counter | Kind::Histogram);
        if !n.is_finite() {
            dropped::count(dropped::Reason::NotFinite);
            false
        } else if rises && n < 0.0 {
            dropped::count(dropped::Reason::Negative);
            false
        } else {
            true
        }
    }
}

/// One set of attributes and its numbers.
pub(crate) struct Series {
    form: Arc<Form>,
    labels: LabelSet,
    typed: u64,
    start_unix_nanos: u64,
    /// The sum; its form is the instrument's.
    sum: AtomicU64,
    /// Of a histogram.
    counts: Box<[AtomicU64]>,
    exemplars: Exemplars,
}

impl<A: Attribute> Streams<A> {
    pub(crate) const fn new() -> Self {
        Self {
            by_name: RwLock::new(BTreeMap::new()),
        }
    }

    /// An instrument by its name, the first for which this holds.
    pub(crate) fn find(&self, name: &str, is: impl Fn(&Instrument) -> bool) -> Option<Arc<Stream<A>>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut streams = by_name.get(name)?.iter();
        streams.find(|stream| is(&stream.instrument)).cloned()
    }

    /// The instrument of this declaration, a new one or the one there is; `None` when there are too many.
    pub(crate) fn declare(&self, instrument: Instrument, help: &str) -> Option<Arc<Stream<A>>> {
        let buckets = instrument.buckets;
        let stream = self.known_or_new(instrument, help)?;
        if stream.instrument.buckets != buckets {
            let name = &stream.instrument.name;
            say_once(
                Level::Warn,
                ("metrics", "boundaries"),
                format_args!(
                    "histogram `{name}` is declared with different boundaries; those of the first declaration hold"
                ),
            );
        }
        Some(stream)
    }

    fn known_or_new(&self, instrument: Instrument, help: &str) -> Option<Arc<Stream<A>>> {
        if let Some(stream) = self.find(&instrument.name, |known| known.is(&instrument)) {
            return Some(stream);
        }
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let known = by_name.get(&*instrument.name).map_or(&[] as &[_], Vec::as_slice);
        if let Some(stream) = known.iter().find(|stream| stream.instrument.is(&instrument)) {
            return Some(stream.clone());
        }
        if by_name.values().map(Vec::len).sum::<usize>() >= MAX_STREAMS {
            dropped::count(dropped::Reason::SeriesLimit);
            let name = &instrument.name;
            say_once(
                Level::Warn,
                ("metrics", "instruments"),
                format_args!("instrument `{name}` is not shown: there are {MAX_STREAMS} already"),
            );
            return None;
        }
        let twice = known.iter().any(|stream| stream.instrument.scope == instrument.scope);
        let name = instrument.name.to_string();
        let stream = Arc::new(Stream::new(instrument, help.to_owned().into()));
        by_name.entry(name.clone()).or_default().push(stream.clone());
        drop(by_name);
        if twice {
            say_once(
                Level::Warn,
                ("metrics", "declared twice"),
                format_args!(
                    "instrument `{name}` is declared in one scope as two things, by type, unit or who says its values; rename one of them"
                ),
            );
        }
        Some(stream)
    }

    /// Adds what there is now.
    pub(crate) fn families(&self, out: &mut Vec<Family>) {
        // Callbacks are the user's code: no lock is held while they run.
        let all: Vec<_> = {
            let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
            by_name.values().flatten().cloned().collect()
        };
        let (mut overflow, mut cut) = (Vec::new(), Vec::new());
        for stream in all {
            let family = stream.family();
            if !family.points.is_empty() {
                out.push(family);
            }
            let metric = || stream.instrument.name.clone();
            let overflowed = stream.overflowed.load(Ordering::Relaxed);
            if overflowed > 0 {
                overflow.push(registry::overflowed(metric(), OVERFLOW, overflowed));
            }
            let shortened = stream.cut.load(Ordering::Relaxed);
            if shortened > 0 {
                cut.push(registry::point(
                    vec![("metric".into(), metric())],
                    PointValue::number(Number::U64(shortened)),
                ));
            }
        }
        if !overflow.is_empty() {
            out.push(registry::overflow(overflow));
        }
        if !cut.is_empty() {
            out.push(Family {
                name: "vitalsign.label.cut".into(),
                help: "Measurements whose attributes were too long or too many and were cut.".into(),
                unit: "{measurement}".into(),
                kind: Kind::Counter,
                observed: false,
                scope: Vec::new(),
                points: cut,
            });
        }
    }
}

impl<A: Attribute> Stream<A> {
    fn new(instrument: Instrument, help: Cow<'static, str>) -> Self {
        Self {
            form: Arc::new(Form {
                kind: instrument.kind,
                layout: instrument.buckets.map(Layout::of_values),
            }),
            instrument,
            help,
            table: RwLock::new(Table {
                by_hash: HashMap::default(),
                len: 0,
            }),
            overflow: OnceLock::new(),
            overflowed: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            callbacks: RwLock::default(),
        }
    }

    pub(crate) fn observe_by(&self, callbacks: impl IntoIterator<Item = Callback<A>>) {
        let mut known = self.callbacks.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(callbacks);
    }

    /// The series of these attributes, or the one that those beyond the limit share.
    pub(crate) fn series(&self, given: &[A]) -> Arc<Series> {
        if is_too_much(given) {
            return self.shortened(given);
        }
        let hash = hash(given);
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = table.find(hash, given) {
            return series;
        }
        drop(table);
        self.add(distinct(given))
    }

    #[cold]
    fn shortened(&self, given: &[A]) -> Arc<Series> {
        self.cut.fetch_add(1, Ordering::Relaxed);
        self.add(shortened(given))
    }

    #[cold]
    fn add(&self, own: Box<[A]>) -> Arc<Series> {
        let hash = hash(&own);
        {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(series) = table.find(hash, &own) {
                return series;
            }
            if table.len + 1 >= MAX_SETS {
                drop(table);
                return self.overflow();
            }
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = table.find(hash, &own) {
            return series;
        }
        if table.len + 1 >= MAX_SETS || !cell::admit(1) {
            drop(table);
            return self.overflow();
        }
        table.len += 1;
        let (labels, typed) = self.labels(&own);
        let series = Arc::new(self.empty(labels, typed));
        table.by_hash.entry(hash).or_default().push((own, series.clone()));
        series
    }

    fn overflow(&self) -> Arc<Series> {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        let (labels, typed) = self.overflow_labels();
        self.overflow
            .get_or_init(|| Arc::new(self.empty(labels, typed)))
            .clone()
    }

    fn overflow_labels(&self) -> (LabelSet, u64) {
        let mut labels = vec![(OVERFLOW.into(), "true".into())];
        labels.extend(self.instrument.scope.iter().cloned());
        (labels, 1)
    }

    fn labels(&self, own: &[A]) -> (LabelSet, u64) {
        let mut typed = 0;
        let mut labels = LabelSet::with_capacity(own.len() + self.instrument.scope.len());
        for (at, attribute) in own.iter().enumerate() {
            let (text, is_text) = attribute.text();
            if !is_text && at < MAX_ATTRIBUTES {
                typed |= 1 << at;
            }
            labels.push((Cow::Owned(attribute.name().to_owned()), text));
        }
        labels.extend(self.instrument.scope.iter().cloned());
        (labels, typed)
    }

    fn empty(&self, labels: LabelSet, typed: u64) -> Series {
        let (buckets, examples) = match &self.form.layout {
            Some(layout) => (layout.width - bucket::FIRST_BUCKET, layout.slots()),
            None => (0, 1),
        };
        Series {
            form: self.form.clone(),
            labels,
            typed,
            start_unix_nanos: clock::unix_nanos(clock::now()),
            sum: AtomicU64::new(match self.instrument.zero {
                Number::F64(zero) => zero.to_bits(),
                _ => 0,
            }),
            counts: (0..buckets).map(|_| AtomicU64::new(0)).collect(),
            exemplars: Exemplars::new(1, examples),
        }
    }

    fn family(&self) -> Family {
        let mut points: Vec<Point> = {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let series = table.by_hash.values().flatten().map(|(_, series)| series);
            series
                .chain(self.overflow.get())
                .map(|series| self.point(series))
                .collect()
        };
        points.extend(self.observed());
        if points.iter().any(|point| point.typed != 0) {
            // `1` and `"1"` are two attributes and one label, whatever the order they come in.
            let mut first: HashMap<LabelSet, usize> = HashMap::new();
            let mut joined: Vec<Point> = Vec::with_capacity(points.len());
            for point in points {
                let mut texts = point.labels.clone().into_texts();
                texts.sort_unstable();
                if let Some(&at) = first.get(&texts) {
                    // Of one instrument all have the same buckets.
                    let _ = joined[at].value.merge(self.instrument.kind, point.value);
                } else {
                    first.insert(texts, joined.len());
                    joined.push(point);
                }
            }
            points = joined;
        }
        Family {
            name: self.instrument.name.clone(),
            help: self.help.clone(),
            unit: self.instrument.unit.clone(),
            kind: self.instrument.kind,
            observed: self.instrument.observed,
            scope: self.instrument.scope.clone(),
            points,
        }
    }

    fn point(&self, series: &Series) -> Point {
        let sum = series.sum.load(Ordering::Relaxed);
        let mut exemplars = series.exemplars.floats(0);
        let value = match &self.form.layout {
            Some(layout) => {
                let counts = series
                    .counts
                    .iter()
                    .map(|count| count.load(Ordering::Relaxed))
                    .collect();
                value::histogram_of(layout, counts, f64::from_bits(sum), exemplars.collect())
            }
            None => PointValue::Number {
                value: match self.instrument.zero {
                    Number::U64(_) => Number::U64(sum),
                    Number::I64(_) => Number::I64(sum as i64),
                    Number::F64(_) => Number::F64(f64::from_bits(sum)),
                },
                exemplar: exemplars.next().map(Box::new),
            },
        };
        Point {
            labels: series.labels.clone().into(),
            typed: series.typed,
            value,
            start_unix_nanos: series.start_unix_nanos,
        }
    }

    /// What the callbacks say now.
    fn observed(&self) -> Vec<Point> {
        let callbacks = self.callbacks.read().unwrap_or_else(PoisonError::into_inner).clone();
        if callbacks.is_empty() {
            return Vec::new();
        }
        let observer = Observer {
            form: self.form.clone(),
            seen: Mutex::new(Seen {
                sets: HashMap::new(),
                rest: None,
                cut: 0,
            }),
        };
        for callback in callbacks {
            if catch_unwind(AssertUnwindSafe(|| callback(&observer))).is_err() {
                let name = &self.instrument.name;
                say_once(
                    Level::Warn,
                    ("metrics", "callback"),
                    format_args!("a callback of instrument `{name}` panicked; what it did not say is missing"),
                );
            }
        }
        let seen = observer.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let point = |(labels, typed), number| Point {
            typed,
            ..registry::point(labels, PointValue::number(number))
        };
        self.cut.fetch_add(seen.cut, Ordering::Relaxed);
        let mut points: Vec<Point> = seen
            .sets
            .into_iter()
            .map(|(own, number)| point(self.labels(&own), number))
            .collect();
        if let Some((number, count)) = seen.rest {
            self.overflowed.fetch_add(count, Ordering::Relaxed);
            points.push(point(self.overflow_labels(), number));
        }
        points
    }
}

/// What the callbacks of one instrument say at one gathering.
pub(crate) struct Observer<A> {
    form: Arc<Form>,
    seen: Mutex<Seen<A>>,
}

struct Seen<A> {
    sets: HashMap<Box<[A]>, Number>,
    /// Those beyond the limit together, and how many they are.
    rest: Option<(Number, u64)>,
    /// Those whose attributes were cut.
    cut: u64,
}

impl<A: Attribute> Observer<A> {
    /// The last one said of a set of attributes holds.
    pub(crate) fn say(&self, number: Number, given: &[A]) {
        if !self.form.takes(number) {
            return;
        }
        let too_much = is_too_much(given);
        let mut own = if too_much { shortened(given) } else { distinct(given) };
        own.sort_by(|a, b| a.name().cmp(b.name()));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.cut += u64::from(too_much);
        if seen.sets.len() + 1 >= MAX_SETS && !seen.sets.contains_key(&own) {
            seen.rest = Some(match seen.rest {
                // Of gauges the last one holds, as in the series that synchronous ones share.
                Some((_, count)) if self.form.kind == Kind::Gauge => (number, count + 1),
                Some((sum, count)) => (sum.plus(number), count + 1),
                None => (number, 1),
            });
        } else {
            seen.sets.insert(own, number);
        }
    }
}

fn bits(number: Number) -> u64 {
    match number {
        Number::U64(n) => n,
        Number::I64(n) => n as u64,
        Number::F64(n) => n.to_bits(),
    }
}

impl Series {
    /// Adds to a counter, or to a number that rises and falls.
    pub(crate) fn change(&self, by: Number) {
        if !self.form.takes(by) {
            return;
        }
        match by {
            Number::U64(n) => {
                self.sum.fetch_add(n, Ordering::Relaxed);
            }
            // Two's complement: the sum of the bits is the bits of the sum.
            Number::I64(n) => {
                self.sum.fetch_add(n as u64, Ordering::Relaxed);
            }
            Number::F64(n) => self.add_real(n),
        }
        if self.form.kind == Kind::Counter {
            self.example(0, by.as_f64());
        }
    }

    /// Sets a gauge, or a counter to what was counted elsewhere.
    pub(crate) fn set(&self, to: Number) {
        if self.form.takes(to) {
            self.sum.store(bits(to), Ordering::Relaxed);
        }
    }

    /// Counts a value in a histogram.
    pub(crate) fn sample(&self, value: f64) {
        let Some(layout) = &self.form.layout else { return };
        if !self.form.takes(Number::F64(value)) {
            return;
        }
        let bucket = layout.bucket_of(value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
            self.add_real(value);
            self.example(layout.slot(bucket), value);
        }
    }

    /// Raises a counter to what was counted elsewhere.
    #[cfg(feature = "metrics-facade")]
    pub(crate) fn raise(&self, to: u64) {
        self.sum.fetch_max(to, Ordering::Relaxed);
    }

    fn add_real(&self, n: f64) {
        let add = |bits| {
            let sum = f64::from_bits(bits) + n;
            sum.is_finite().then_some(sum.to_bits())
        };
        if self
            .sum
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_err()
        {
            dropped::count(dropped::Reason::NotFinite);
        }
    }

    fn example(&self, slot: usize, value: f64) {
        if let Some(ids) = crate::trace::active::sampled() {
            self.exemplars
                .offer(0, slot, value.to_bits(), clock::now(), || Some(ids));
        }
    }
}

impl<A: Attribute> Table<A> {
    fn find(&self, hash: u64, given: &[A]) -> Option<Arc<Series>> {
        let (_, series) = self.by_hash.get(&hash)?.iter().find(|(own, _)| same(own, given))?;
        Some(series.clone())
    }
}

/// The same attributes, in whatever order; `own` has none twice.
fn same<A: Attribute>(own: &[A], given: &[A]) -> bool {
    own.len() == given.len() && own.iter().all(|one| given.iter().any(|other| one.is(other)))
}

/// The same for every order.
fn hash<A: Attribute>(given: &[A]) -> u64 {
    given.iter().fold(0, |sum: u64, attribute| {
        let mut hasher = Quick::default();
        attribute.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    })
}

/// One attribute to a name, the last one.
fn distinct<A: Attribute>(given: &[A]) -> Box<[A]> {
    let last = |(at, attribute): &(usize, &A)| !given[at + 1..].iter().any(|later| later.name() == attribute.name());
    given
        .iter()
        .enumerate()
        .filter(last)
        .map(|(_, attribute)| attribute.clone())
        .collect()
}

/// Whether attributes are too many, or one too long.
fn is_too_much<A: Attribute>(given: &[A]) -> bool {
    given.len() > MAX_ATTRIBUTES || given.iter().any(A::is_long)
}

/// The first so many attributes, short ones, one to a name: the last one.
#[cold]
fn shortened<A: Attribute>(given: &[A]) -> Box<[A]> {
    let short: Vec<A> = given.iter().map(A::shortened).collect();
    // There may be very many, so they are not compared each with each.
    let mut place: HashMap<&str, usize> = HashMap::new();
    let mut kept: Vec<&A> = Vec::new();
    for attribute in &short {
        match place.get(attribute.name()) {
            Some(&at) => kept[at] = attribute,
            None if kept.len() < MAX_ATTRIBUTES => {
                place.insert(attribute.name(), kept.len());
                kept.push(attribute);
            }
            None => {}
        }
    }
    kept.into_iter().cloned().collect()
}
