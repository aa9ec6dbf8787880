//! `OpenTelemetry`'s names and units as Prometheus writes them.

use super::super::diag::{Level, say_once};
use super::super::snapshot::{Family, Kind, Labels, Point};
use crate::metrics::check::{Conflict, Declaration};
use crate::metrics::columns::Columned;
use crate::metrics::registry::LabelSet;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ptr;

/// A family under its Prometheus name.
pub(super) struct Named {
    /// With the unit, without `_total` and `_info`.
    pub(super) name: String,
    /// The unit as a word, empty for none.
    pub(super) unit: String,
    pub(super) help: Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) points: Vec<Point>,
}

/// Names the families. Those that fall under one name are joined if they are of one kind; otherwise the first stands, and that is said.
/// A name is that of a sample, too: a gauge `x_total` and a counter `x` would be one on the page, as would a gauge `x` in the unit
/// `count` and a histogram `x`.
pub(super) fn families(families: impl IntoIterator<Item = Family>) -> Vec<Named> {
    let mut hidden = Vec::new();
    let named = named(families, |there, metric| {
        hidden.push(format!("`{metric}` behind `{there}`"));
    });
    if !hidden.is_empty() {
        // All at once: what is said once names no other later.
        say_once(
            Level::Warn,
            ("metrics", "names"),
            format_args!(
                "metrics whose name there is another's, of another kind, unit or set of buckets, are not on the page: {}. Rename one of each two",
                hidden.join(", ")
            ),
        );
    }
    named
}

/// `hidden` hears the name on the page and the metric that does not get it.
fn named(families: impl IntoIterator<Item = Family>, mut hidden: impl FnMut(&str, &str)) -> Vec<Named> {
    let mut named: Vec<Named> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for mut family in families {
        if family.points.is_empty() {
            continue;
        }
        let (points, all) = labelled(family.points, family.kind);
        family.points = points;
        let (name, unit) = name(&family.name, &family.unit, family.kind);
        let names = || all_names(&name, family.kind);
        let Some(&at) = names().find_map(|name| by_name.get(&name)) else {
            if !all {
                hidden(&name, &family.name);
            }
            by_name.extend(names().map(|name| (name, named.len())));
            named.push(Named {
                name,
                unit,
                help: family.help,
                kind: family.kind,
                points: family.points,
            });
            continue;
        };
        let there = &mut named[at];
        // Of what is being watched there is one word only, ours.
        let target = family.kind == Kind::Info && name == "target";
        let one = there.name == name && same_type(there.kind, family.kind) && there.unit == unit && !target;
        if !(one && there.join(family.kind, family.points) && all) {
            hidden(&there.name, &family.name);
        }
    }
    named
}

impl Named {
    /// Takes more series in. What is one series is merged if it is of one kind; otherwise the first stands. False where what should add up
    /// does not.
    fn join(&mut self, kind: Kind, points: Vec<Point>) -> bool {
        let mut all = true;
        let one_kind = self.kind == kind;
        let places = self.points.iter().enumerate();
        let mut known: HashMap<_, _> = places.map(|(at, point)| (sorted(point), at)).collect();
        for point in points {
            match known.entry(sorted(&point)) {
                Entry::Occupied(at) if one_kind => all &= self.points[*at.get()].value.merge(kind, point.value),
                Entry::Occupied(_) => {}
                Entry::Vacant(new) => {
                    new.insert(self.points.len());
                    self.points.push(point);
                }
            }
        }
        all
    }
}

/// Points under keys that need no change any more, and whether all that thereby becomes one series adds up.
fn labelled(mut points: Vec<Point>, kind: Kind) -> (Vec<Point>, bool) {
    let taken = match kind {
        Kind::Histogram => "le",
        Kind::Summary => "quantile",
        _ => "",
    };
    let fits = |key: &str| is_plain(key) && key != taken;
    // A label without a value is no label to Prometheus: beside a series without it there would be two of one name.
    let several = points.len() > 1;
    let full = |texts: &LabelSet| !several || texts.iter().all(|(_, value)| !value.is_empty());
    let mut keys = Keys::default();
    // Keys of one family are nearly always the same texts at the same places.
    let mut table: Option<&'static Columned> = None;
    let mut last: Vec<&'static str> = Vec::new();
    for point in &mut points {
        match &point.labels {
            Labels::Row(of, _) if table.is_some_and(|table| ptr::eq(table, *of)) => {}
            Labels::Row(of, _) if of.keys().all(fits) => {
                of.keys().for_each(|key| keys.show(key, key));
                table = Some(of);
            }
            Labels::Texts(texts) if are(texts, &last) && full(texts) => {}
            Labels::Texts(texts) if texts.iter().all(|(key, _)| fits(key)) && full(texts) => {
                for (key, _) in texts {
                    keys.show(key, key);
                }
                last.clear();
                // Texts that live on cannot leave their place to others.
                last.extend(texts.iter().map_while(|(key, _)| match key {
                    Cow::Borrowed(key) => Some(*key),
                    Cow::Owned(_) => None,
                }));
            }
            labels => {
                let mut labels = joined(labels, taken, &mut keys);
                if several {
                    keys.met |= labels.iter().any(|(_, value)| value.is_empty());
                    labels.retain(|(_, value)| !value.is_empty());
                }
                point.labels = labels.into();
            }
        }
    }
    // Under names that differ as the keys do, series differ as they did.
    if !keys.met {
        return (points, true);
    }
    let mut all = true;
    let mut first: HashMap<LabelSet, usize> = HashMap::new();
    let mut distinct: Vec<Point> = Vec::with_capacity(points.len());
    for point in points {
        match first.entry(sorted(&point)) {
            Entry::Occupied(known) => all &= distinct[*known.get()].value.merge(kind, point.value),
            Entry::Vacant(new) => {
                new.insert(distinct.len());
                distinct.push(point);
            }
        }
    }
    (distinct, all)
}

/// What the keys of a family are shown as.
#[derive(Default)]
struct Keys {
    by_name: HashMap<String, String>,
    /// Two of them became the same word, or one went: series may have become one.
    met: bool,
}

impl Keys {
    fn show(&mut self, name: &str, key: &str) {
        match self.by_name.get(name) {
            Some(known) => self.met |= known != key,
            None => {
                self.by_name.insert(name.to_owned(), key.to_owned());
            }
        }
    }
}

/// What tells a point from others.
fn sorted(point: &Point) -> LabelSet {
    let mut labels = point.labels.clone().into_texts();
    labels.retain(|(_, value)| !value.is_empty());
    labels.sort();
    labels
}

/// The keys are these very texts.
fn are(texts: &LabelSet, keys: &[&'static str]) -> bool {
    let same = |((key, _), known): (&(Cow<'static, str>, _), &&str)| ptr::eq(&raw const **key, &raw const **known);
    texts.len() == keys.len() && texts.iter().zip(keys).all(same)
}

/// Labels whose keys become the same word are one label, their values joined by `;`.
fn joined(labels: &Labels, taken: &str, keys: &mut Keys) -> LabelSet {
    let mut out = LabelSet::with_capacity(labels.len());
    for (key, value) in labels.clone().into_texts() {
        // As Prometheus calls what a target says under a name that it needs for itself.
        let name = if key == taken {
            Cow::Owned(format!("exported_{key}"))
        } else {
            label_key(&key)
        };
        keys.show(&name, &key);
        match out.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = format!("{known};{value}").into(),
            None => out.push((Cow::Owned(name.into_owned()), value)),
        }
    }
    out
}

fn same_type(a: Kind, b: Kind) -> bool {
    let gauge = |kind| matches!(kind, Kind::Gauge | Kind::UpDownCounter);
    a == b || (gauge(a) && gauge(b))
}

/// A family's name and those of its samples.
fn all_names(name: &str, kind: Kind) -> impl Iterator<Item = String> {
    let samples: &[&str] = match kind {
        Kind::Counter => &["_total"],
        Kind::Info => &["_info"],
        Kind::Histogram => &["_bucket", "_count", "_sum"],
        Kind::Summary => &["_count", "_sum"],
        Kind::Gauge | Kind::UpDownCounter => &[],
    };
    [""].iter().chain(samples).map(move |end| format!("{name}{end}"))
}

/// Finds two declared metrics that would be one on the page though they have two names: one of them would not be seen.
pub(crate) fn agree(declarations: &[Declaration]) -> Result<(), Conflict> {
    let mut by_name: HashMap<String, &Declaration> = HashMap::new();
    for this in declarations {
        let kind = match this.kind {
            "counter" => Kind::Counter,
            "up-down counter" => Kind::UpDownCounter,
            "histogram" => Kind::Histogram,
            "summary" => Kind::Summary,
            "info" => Kind::Info,
            _ => Kind::Gauge,
        };
        let (name, _) = name(&this.metric, this.unit, kind);
        for name in all_names(&name, kind) {
            let known = by_name.entry(name).or_insert(this);
            if is_other(&known.metric, &this.metric) {
                return Err(Conflict {
                    metric: this.metric.clone(),
                    what: format!(
                        "on the page its name is that of `{}`, rename one of them,",
                        known.metric
                    ),
                    places: vec![known.place.clone(), this.place.clone()],
                });
            }
        }
    }
    Ok(())
}

/// Not another spelling of the same, which is refused as such.
fn is_other(a: &str, b: &str) -> bool {
    word(a) != word(b)
}

/// Endings that `OpenMetrics` keeps for the samples of a family.
const RESERVED: [&str; 6] = ["_created", "_bucket", "_count", "_sum", "_gcount", "_gsum"];

/// The family's name with its unit, and the unit as a word.
fn name(base: &str, unit: &str, kind: Kind) -> (String, String) {
    let mut name = word(base);
    if kind == Kind::Counter && name.len() > "_total".len() {
        name.truncate(name.trim_end_matches("_total").len());
    }
    if kind == Kind::Info && name.len() > "_info".len() {
        name.truncate(name.trim_end_matches("_info").len());
    }
    let annotation = unit;
    let mut unit = unit_word(unit, kind);
    if kind == Kind::Info {
        unit.clear();
    }
    if unit.is_empty() && RESERVED.iter().any(|suffix| name.ends_with(suffix)) {
        // It would read as a sample of another family; what is counted tells them apart.
        let what = word(annotation.trim_matches(['{', '}']));
        name.push('_');
        name.push_str(if what == "_" { "value" } else { &what });
    }
    if !unit.is_empty() && name != unit && !name.ends_with(&format!("_{unit}")) {
        name.push('_');
        name.push_str(&unit);
    }
    if name == unit {
        // OpenMetrics wants the unit as a suffix.
        unit.clear();
    }
    (name, unit)
}

/// Letters, digits and single underscores, no digit first.
fn word(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' };
        if c == '_' && word.ends_with('_') {
            continue;
        }
        if word.is_empty() && c.is_ascii_digit() {
            word.push('_');
        }
        word.push(c);
    }
    let end = word.trim_end_matches('_').len();
    word.truncate(end.max(1));
    if word.is_empty() {
        word.push('_');
    }
    word
}

/// A key that needs no change.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.bytes().all(|c| c == b'_' || c.is_ascii_alphanumeric())
        && !key.as_bytes()[0].is_ascii_digit()
        && !key.starts_with("__")
}

/// A label's key; most need no change.
fn label_key(key: &str) -> Cow<'_, str> {
    if is_plain(key) {
        return Cow::Borrowed(key);
    }
    let word = word(key).replace(':', "_");
    // Two underscores in front are Prometheus' own.
    let word = word.trim_start_matches('_');
    Cow::Owned(if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit()) {
        format!("key_{word}")
    } else {
        word.to_owned()
    })
}

/// UCUM as a word: `s` is `seconds`, `By/s` is `bytes_per_second`, `{call}` is nothing.
fn unit_word(unit: &str, kind: Kind) -> String {
    let unit = unit.trim();
    if let Some((over, under)) = unit.split_once('/') {
        let (over, under) = (plural(over), singular(under));
        return match (over.is_empty(), under.is_empty()) {
            (_, true) => over,
            (true, false) => format!("per_{under}"),
            (false, false) => format!("{over}_per_{under}"),
        };
    }
    if unit == "1" {
        return if kind == Kind::Gauge {
            "ratio".to_owned()
        } else {
            String::new()
        };
    }
    plural(unit)
}

fn plural(unit: &str) -> String {
    let known = match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" | "kBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "bit" => "bits",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        "1" => "",
        other => return annotation_free(other),
    };
    known.to_owned()
}

fn singular(unit: &str) -> String {
    let known = match unit {
        "s" => "second",
        "min" => "minute",
        "m" => "meter",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        "Cel" => "celsius",
        "Hz" => "hertz",
        other => {
            let plural = plural(other);
            // A word that is not of our list is as its author wrote it.
            return match plural.strip_suffix('s') {
                Some(singular) if plural != annotation_free(other) => singular.to_owned(),
                _ => plural,
            };
        }
    };
    known.to_owned()
}

/// What is in braces is an annotation, no unit.
fn annotation_free(unit: &str) -> String {
    let mut depth = 0;
    let kept: String = unit
        .chars()
        .filter(|&c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => return depth == 0,
            }
            false
        })
        .collect();
    if kept.trim().is_empty() {
        String::new()
    } else {
        word(&kept).trim_matches('_').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_units() {
        for (base, unit, kind, expected, unit_word) in [
            ("orders.placed", "{call}", Kind::Counter, "orders_placed", ""),
            (
                "function.duration",
                "s",
                Kind::Histogram,
                "function_duration_seconds",
                "seconds",
            ),
            ("rows", "By", Kind::Counter, "rows_bytes", "bytes"),
            ("net.io_bytes", "By", Kind::Counter, "net_io_bytes", "bytes"),
            ("rate", "By/s", Kind::Gauge, "rate_bytes_per_second", "bytes_per_second"),
            ("rate", "{request}/s", Kind::Gauge, "rate_per_second", "per_second"),
            ("load", "1", Kind::Gauge, "load_ratio", "ratio"),
            ("load", "1", Kind::Counter, "load", ""),
            (
                "log.created",
                "{log_record}",
                Kind::Counter,
                "log_created_log_record",
                "",
            ),
            ("row.count", "", Kind::Gauge, "row_count_value", ""),
            ("row.count", "By", Kind::Counter, "row_count_bytes", "bytes"),
            ("row.count", "{row}", Kind::Gauge, "row_count_row", ""),
            (
                "drift",
                "Cel/h",
                Kind::Gauge,
                "drift_celsius_per_hour",
                "celsius_per_hour",
            ),
            ("drift", "1/Cel", Kind::Gauge, "drift_per_celsius", "per_celsius"),
            ("seats", "1/class", Kind::Gauge, "seats_per_class", "per_class"),
            (
                "rate",
                "By/MBy",
                Kind::Gauge,
                "rate_bytes_per_megabyte",
                "bytes_per_megabyte",
            ),
            ("some_total", "", Kind::Counter, "some", ""),
            ("9 lives--left", "", Kind::Gauge, "_9_lives_left", ""),
            ("target", "", Kind::Info, "target", ""),
            ("seconds", "s", Kind::Gauge, "seconds", ""),
            ("größe", "", Kind::Gauge, "gr_e", ""),
            ("", "", Kind::Gauge, "_", ""),
        ] {
            assert_eq!(
                name(base, unit, kind),
                (expected.to_owned(), unit_word.to_owned()),
                "{base} {unit}"
            );
        }
    }

    #[test]
    fn declarations_that_would_be_one_on_the_page_are_refused() {
        let declared = |metric: &str, kind, unit, place: &str| Declaration {
            metric: metric.to_owned(),
            kind,
            unit,
            labels: None,
            help: None,
            bounds: None,
            series: 1,
            place: place.to_owned(),
        };
        for (one, other) in [
            (
                declared("memory", "gauge", "By", "a:1"),
                declared("memory.bytes", "gauge", "", "b:2"),
            ),
            (
                declared("lat", "histogram", "s", "a:1"),
                declared("lat.seconds", "histogram", "", "b:2"),
            ),
            (
                declared("build", "info", "", "a:1"),
                declared("build.info", "gauge", "", "b:2"),
            ),
            (
                declared("size.total", "gauge", "", "a:1"),
                declared("size", "counter", "", "b:2"),
            ),
            (
                declared("queue", "gauge", "size_sum", "a:1"),
                declared("queue.size", "summary", "", "b:2"),
            ),
        ] {
            let expected = format!(
                "metric `{}`: on the page its name is that of `{}`, rename one of them, at a:1 and b:2",
                other.metric, one.metric
            );
            assert_eq!(agree(&[one, other]).unwrap_err().to_string(), expected);
        }
        let fine = [
            declared("memory", "gauge", "By", "a:1"),
            declared("memory", "gauge", "By", "b:2"),
            declared("memory.peak", "gauge", "By", "c:3"),
            declared("memory", "gauge", "1", "d:4"),
            declared("orders", "counter", "{order}", "e:5"),
            declared("orders.in_flight", "up-down counter", "{order}", "e:5"),
        ];
        assert_eq!(agree(&fine), Ok(()));
    }

    #[test]
    fn a_metric_whose_name_is_taken_is_told() {
        use crate::export::snapshot::{Number, PointValue};
        let family = |name: &'static str, unit: &'static str, kind| Family {
            name: name.into(),
            help: "".into(),
            unit: unit.into(),
            kind,
            observed: false,
            scope: Vec::new(),
            points: vec![Point {
                labels: LabelSet::new().into(),
                typed: 0,
                value: PointValue::number(Number::U64(1)),
                start_unix_nanos: 0,
            }],
        };
        let mut told = Vec::new();
        let shown = named(
            vec![
                family("lat", "s", Kind::Histogram),
                family("lat.seconds", "", Kind::Counter),
                family("memory", "By", Kind::Gauge),
                family("memory.bytes", "", Kind::UpDownCounter),
                family("orders", "", Kind::Counter),
                family("orders.total", "", Kind::Gauge),
                family("jobs_total", "", Kind::Gauge),
                family("jobs", "", Kind::Counter),
                family("build", "", Kind::Info),
                family("build.info", "", Kind::Gauge),
                family("queue", "", Kind::Histogram),
                family("queue", "count", Kind::Gauge),
                family("size", "sum", Kind::Gauge),
                family("size", "", Kind::Summary),
            ],
            |there, metric| told.push(format!("{metric}: {there}")),
        );
        let names: Vec<_> = shown.iter().map(|named| &*named.name).collect();
        assert_eq!(
            names,
            [
                "lat_seconds",
                "memory_bytes",
                "orders",
                "jobs_total",
                "build",
                "queue",
                "size_sum"
            ]
        );
        assert_eq!(
            told,
            [
                "lat.seconds: lat_seconds",
                "memory.bytes: memory_bytes",
                "orders.total: orders",
                "jobs: jobs_total",
                "build.info: build",
                "queue: queue",
                "size: size_sum"
            ]
        );
    }

    #[test]
    fn points_that_become_one_series_are_one() {
        use crate::export::snapshot::{Number, PointValue};
        let point = |labels: &[(&'static str, &'static str)], value| Point {
            labels: labels.iter().map(|&(key, value)| (key.into(), value.into())).collect(),
            typed: 0,
            value: PointValue::number(Number::U64(value)),
            start_unix_nanos: 0,
        };
        let points = vec![
            point(&[("a.b", "x"), ("c", "y")], 1),
            point(&[("c", "y"), ("a_b", "x")], 2),
            point(&[("a.b", "x"), ("a_b", "y")], 4),
            point(&[("le", "x")], 8),
            point(&[("c", "y"), ("empty", "")], 16),
            point(&[("c", "y")], 32),
        ];
        let (points, all) = labelled(points, Kind::Histogram);
        assert!(all);
        let shown: Vec<_> = points
            .iter()
            .map(|point| {
                let PointValue::Number { value, .. } = point.value else {
                    panic!()
                };
                let labels: Vec<_> = point
                    .labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                (labels.join(","), value.as_f64())
            })
            .collect();
        let expected = [
            ("a_b=x,c=y", 3.0),
            ("a_b=x;y", 4.0),
            ("exported_le=x", 8.0),
            ("c=y", 48.0),
        ];
        assert_eq!(shown, expected.map(|(labels, value)| (labels.to_owned(), value)));

        let levels = vec![point(&[("a.b", "x")], 20), point(&[("a_b", "x")], 21)];
        let (levels, _) = labelled(levels, Kind::Gauge);
        let PointValue::Number { value, .. } = levels[0].value else {
            panic!()
        };
        assert_eq!((levels.len(), value.as_f64()), (1, 20.0));
    }

    #[test]
    fn keys_are_words() {
        for (key, expected) in [
            ("channel", "channel"),
            ("error.type", "error_type"),
            ("__name__", "name"),
            ("1st", "key_1st"),
            ("", "key_"),
            ("le gros", "le_gros"),
            ("a:b", "a_b"),
        ] {
            assert_eq!(label_key(key), expected, "{key}");
        }
    }
}
